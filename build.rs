//! Compiles the GPU's kernels where the feature `cuda` is on; without it, there is nothing to do.
//!
//! `nvcc` is looked for in `CUDA_HOME`, `CUDA_PATH`, the folder that `scripts/cuda_toolkit.sh` makes, on `PATH` and in
//! `/usr/local/cuda`. `CUDA_COMPUTE_CAP` (as 90, or several: 80,90) says for which cards code is made; without it for 8.0,
//! 8.6, 8.9, 9.0 and, where the compiler knows them, 10.0 and 12.0. Newer ones are served by PTX, which the driver compiles.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const KERNELS: [&str; 11] = [
    "activation",
    "attention",
    "attention_plain",
    "bias",
    "heads",
    "norm",
    "normalize",
    "pooling",
    "quantize",
    "rotate",
    "swiglu",
];
/// For compute capability 9.0 alone, with instructions that no other has.
const HOPPER_KERNELS: [&str; 2] = ["attention_hopper", "multiply_gated_hopper"];
const HOPPER: u32 = 90;
const CAPABILITIES: &str = "80,86,89,90";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for variable in ["CUDA_HOME", "CUDA_PATH", "CUDA_COMPUTE_CAP", "PATH"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rerun-if-changed=src/engine/gpu/kernels");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let nvcc = find_nvcc();
    let version = version(&nvcc);
    // What it compiles runs on drivers of the same major version and of later ones.
    println!("cargo:rustc-env=RERANK_CUDA_MAJOR={}", version.0);
    let capabilities = capabilities(version);
    let codes = codes(&capabilities);
    for kernel in KERNELS {
        compile(&nvcc, kernel, &codes, &out);
    }
    for kernel in HOPPER_KERNELS {
        if capabilities.contains(&HOPPER) {
            compile(&nvcc, kernel, &["-gencode=arch=compute_90a,code=sm_90a".to_owned()], &out);
        } else if let Err(error) = std::fs::write(out.join(format!("{kernel}.fatbin")), []) {
            fail(&format!("{}: {error}", out.display()));
        }
    }
}

fn compile(nvcc: &Path, kernel: &str, codes: &[String], out: &Path) {
    let source = format!("src/engine/gpu/kernels/{kernel}.cu");
    let target = out.join(format!("{kernel}.fatbin"));
    let output = Command::new(nvcc)
        .args(["-O3", "-std=c++17", "-fatbin", "--threads=0"])
        .args(codes)
        .arg("-o")
        .args([&target, Path::new(&source)])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            // Products that wait for one another are right, and far too slow: a change has crossed the compiler's rules.
            let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            if let Some(line) = told.lines().find(|line| line.contains("(C75")) {
                println!("cargo:warning={source}: {line}");
            }
        }
        Ok(output) => fail(&format!("{source}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => fail(&format!("{}: {error}", nvcc.display())),
    }
}

fn find_nvcc() -> PathBuf {
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let local = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(".cuda/nvidia/cu13");
    let folders = homes.chain([local]).map(|home| home.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = folders.chain(env::split_paths(&path)).chain([PathBuf::from("/usr/local/cuda/bin")]);
    let found = folders.map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file());
    found.unwrap_or_else(|| PathBuf::from("nvcc"))
}

/// The version of the compiler.
fn version(nvcc: &Path) -> (u32, u32) {
    let output = Command::new(nvcc).arg("--version").output().unwrap_or_else(|error| {
        fail(&format!(
            "{}: {error}; the feature `cuda` needs CUDA's compiler: install the CUDA toolkit (12.x or 13.x), name its folder \
             in CUDA_HOME, or run scripts/cuda_toolkit.sh, which needs no root",
            nvcc.display()
        ))
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let release = text.split("release ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (12, 0) {
        fail(&format!("{} is of CUDA {release}; rerank needs 12.0 or newer", nvcc.display()));
    }
    version
}

/// The compute capabilities for which code is made, in order.
fn capabilities(version: (u32, u32)) -> Vec<u32> {
    let known = if version < (12, 8) { CAPABILITIES.to_owned() } else { format!("{CAPABILITIES},100,120") };
    let capabilities = env::var("CUDA_COMPUTE_CAP").unwrap_or(known);
    let mut numbers: Vec<u32> = capabilities
        .split([',', ';', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| match part.replace('.', "").parse() {
            Ok(number) if (80..1000).contains(&number) => number,
            _ => {
                fail(&format!("CUDA_COMPUTE_CAP={capabilities}: write 80 for 8.0; 8.0 is the oldest that is supported"))
            }
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Code for each card, and PTX of the newest for those to come.
fn codes(capabilities: &[u32]) -> Vec<String> {
    let code = |number: &u32| format!("-gencode=arch=compute_{number},code=sm_{number}");
    let newest = capabilities.last().map(|number| format!("-gencode=arch=compute_{number},code=compute_{number}"));
    capabilities.iter().map(code).chain(newest).collect()
}

fn fail(problem: &str) -> ! {
    eprintln!("{problem}");
    std::process::exit(1);
}
