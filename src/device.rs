//! The choice of the devices that compute: `auto`, `cpu`, `cuda`, `cuda:N`, several of a kind.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::engine::Target;
use crate::engine::cpu::{Arithmetic, Level};
use crate::engine::gpu::{Device, Gpu, Type, check_environment, count_cuda, open_cuda};
use crate::exit::UsageError;
use crate::precision::Precision;

/// The value of `--device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best device that this build and machine have.
    Auto,
    /// These devices, each of which takes the next batch when it is free.
    Named(Vec<DeviceName>),
    /// All NVIDIA GPUs.
    AllCuda,
}

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, counted from 0.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cuda:all" => return Ok(Self::AllCuda),
            "metal" | "mps" => {
                return Err("rerank does not compute on Metal; use cpu".to_owned());
            }
            _ => {}
        }
        let mut names = Vec::new();
        for part in text.split(',') {
            // `cuda:0,1` is short for `cuda:0,cuda:1`.
            let index = match (part.strip_prefix("cuda:"), names.last()) {
                (Some(index), _) => Some(index),
                (None, Some(DeviceName::Cuda(_))) => {
                    Some(part).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
                }
                _ => None,
            };
            names.push(
                match (part, index) {
                    (_, Some(index)) => index.parse().ok().map(DeviceName::Cuda),
                    ("cpu", None) => Some(DeviceName::Cpu),
                    ("cuda", None) => Some(DeviceName::Cuda(0)),
                    _ => None,
                }
                .ok_or("use auto, cpu, cuda, cuda:N, cuda:0,1 or cuda:all")?,
            );
        }
        let mixed = names.iter().any(|name| std::mem::discriminant(name) != std::mem::discriminant(&names[0]));
        if mixed {
            let problem =
                "devices of different kinds round differently, so that scores would depend on chance; use one kind";
            return Err(problem.to_owned());
        }
        let is_twice = |(index, name): (usize, &DeviceName)| *name != DeviceName::Cpu && names[..index].contains(name);
        if names.iter().enumerate().any(is_twice) {
            return Err("a GPU is named twice; name each once".to_owned());
        }
        Ok(Self::Named(names))
    }
}

/// A device that is ready.
#[derive(Clone)]
pub enum Opened {
    /// The processor.
    Cpu,
    /// A GPU.
    Gpu(Arc<dyn Device>),
}

impl DeviceChoice {
    /// Opens the devices, with so many bytes of each GPU's memory, if that is limited. `note` receives the reason why a GPU that this
    /// build could use is not used.
    ///
    /// # Errors
    /// If a device that was named does not exist, this build has no support for it, or the memory of GPUs is limited and there is none.
    pub fn open(&self, gpu_memory: Option<u64>, note: impl FnOnce(&str)) -> Result<Vec<Opened>> {
        check_environment()?;
        let most = gpu_memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let cuda = |ordinal: usize| {
            open_cuda(ordinal, most).map(Opened::Gpu).with_context(|| format!("--device cuda:{ordinal}"))
        };
        let devices = match self {
            Self::Auto if !cfg!(feature = "cuda") => vec![Opened::Cpu],
            Self::Auto => vec![open_cuda(0, most).map(Opened::Gpu).unwrap_or_else(|error| {
                note(&format!("computing on the CPU: {error:#}"));
                Opened::Cpu
            })],
            Self::AllCuda => (0..count_cuda().context("--device cuda:all")?).map(cuda).collect::<Result<_>>()?,
            Self::Named(names) => names
                .iter()
                .map(|name| match name {
                    DeviceName::Cpu => Ok(Opened::Cpu),
                    DeviceName::Cuda(ordinal) => cuda(*ordinal),
                })
                .collect::<Result<_>>()?,
        };
        check_gpu_memory(gpu_memory, &devices)?;
        Ok(devices)
    }
}

/// Refuses a limit of GPUs' memory where none computes.
///
/// # Errors
/// A sentence with the remedy.
pub fn check_gpu_memory(gpu_memory: Option<u64>, devices: &[Opened]) -> Result<()> {
    if gpu_memory.is_some() && devices.iter().all(|device| matches!(device, Opened::Cpu)) {
        let problem = "--gpu-memory: no GPU computes here; leave it out, or name a GPU with --device cuda";
        return Err(UsageError::new(problem).into());
    }
    Ok(())
}

impl Opened {
    /// The description of the device, as it is printed.
    pub fn describe(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Gpu(device) => device.describe(),
        }
    }

    /// The instruction set with which it computes.
    pub fn instructions(&self, level: Level) -> &'static str {
        match self {
            Self::Cpu => level.name(),
            Self::Gpu(_) => "cuda",
        }
    }

    /// The device with the precision and the kernels of a forward pass.
    ///
    /// # Errors
    /// If the device has no such precision, or does not answer.
    pub fn target(&self, arithmetic: Arithmetic) -> Result<Target> {
        let precision = arithmetic.precision;
        let Self::Gpu(device) = self else {
            ensure!(
                Precision::ON_CPU.contains(&precision),
                "--dtype fp8 is for NVIDIA GPUs of compute capability 9.0 (H100, H200): use --device cuda there, or on the CPU bf16, \
                 int16 or int8"
            );
            return Ok(Target::Cpu(arithmetic));
        };
        ensure!(
            !precision.is_integer(),
            "--dtype {} is for the CPU: use --device cpu, or on a GPU bf16, f16 or f32",
            precision.name()
        );
        let of_type = |value| Gpu::new(Arc::clone(device), value);
        let gpu = match precision {
            Precision::F32 => of_type(Type::F32),
            Precision::F16 => of_type(Type::F16),
            Precision::Fp8 => of_type(Type::Bf16).quantizing()?,
            Precision::Bf16 | Precision::Int8 | Precision::Int16 => of_type(Type::Bf16),
        };
        Ok(Target::Gpu(gpu.with_memory_of_now()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_typed() {
        use DeviceName::{Cpu, Cuda};
        for (text, names) in [
            ("cuda", vec![Cuda(0)]),
            ("cuda:3", vec![Cuda(3)]),
            ("cuda:0,1", vec![Cuda(0), Cuda(1)]),
            ("cuda:2,cuda:0", vec![Cuda(2), Cuda(0)]),
            ("cpu,cpu", vec![Cpu, Cpu]),
        ] {
            assert_eq!(text.parse(), Ok(DeviceChoice::Named(names)), "{text}");
        }
        assert_eq!("cuda:all".parse(), Ok(DeviceChoice::AllCuda));
        for wrong in [
            "gpu",
            "cuda:",
            "cuda:x",
            "CPU",
            "",
            "cpu,1",
            "cuda:0,",
            "cuda:0,-1",
            "cpu,cuda:0",
            "auto,cpu",
            "cuda:0,0",
            "cuda,cuda:0",
        ] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn int8_runs_on_the_processor() {
        let arithmetic = Arithmetic::new(Level::available(), Precision::Int8);
        assert!(matches!(Opened::Cpu.target(arithmetic), Ok(Target::Cpu(_))));
    }
}
