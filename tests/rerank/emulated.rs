//! A GPU emulated on the processor: the kernels' own sources, compiled by a C++ compiler, and products by their definition.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Result, ensure};
use float8::F8E4M3;
use half::{bf16, f16};
use rerank::engine::gpu::{Address, Device, Launch, OutOfMemory, Product, TILE_COLUMNS, TileMap, Tiled, Type};

/// The driver's function that describes a matrix for copies of tiles.
type Encode = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    c_uint,
    *mut c_void,
    *const u64,
    *const u64,
    *const c_uint,
    *const c_uint,
    c_int,
    c_int,
    c_int,
    c_int,
) -> c_int;
type Emulate = unsafe extern "C" fn(*const c_char, *const c_uint, *mut *mut c_void) -> c_int;

/// Bytes of `Attending` of `attention.cuh`, and those before its scale.
const ATTENDING: usize = 80;
const SCALE: usize = 72;
/// Bytes of `Operands` of `multiply_gated_hopper.cu`, and those before its inputs.
const GATED: usize = 512;
const INPUTS: usize = 392;

/// The first argument of a kernel, changed.
#[repr(align(128))]
struct Changed([u8; GATED]);

/// Makes a library.
pub fn compile(source: &str, library: &Path) {
    // What a thread has of its own is then found without a call.
    compile_with(&["-O2", "-shared", "-fPIC", "-ftls-model=initial-exec"], source, library);
}

/// Makes a library or a program, as the options ask for.
pub fn compile_with(options: &[&str], source: &str, target: &Path) {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let output = Command::new(&compiler)
        .args(["-std=c++17", "-Itests/gpu", "-Wno-unknown-pragmas"])
        .args(options)
        .arg("-o")
        .args([target, Path::new(source)])
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; install a C++ compiler or name it in CXX"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The compiled kernels, once for all tests.
fn library() -> &'static libloading::Library {
    static LIBRARY: OnceLock<libloading::Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("emulated-{}.so", std::process::id()));
        compile("tests/gpu/emulated.cpp", &path);
        // SAFETY: the library is ours and runs nothing when it is loaded.
        let library = unsafe { libloading::Library::new(&path) }.unwrap();
        std::fs::remove_file(path).unwrap();
        library
    })
}

/// Memory and kernels of a GPU that does not exist.
pub struct Emulated {
    memory: Mutex<HashMap<Address, Layout>>,
    /// Bytes that may be allocated.
    room: usize,
    /// Names of the kernels that were run.
    pub launched: Mutex<Vec<String>>,
    marks: Mutex<Vec<std::time::Instant>>,
    /// A kernel of attention that takes scores for larger than they are, a product that leaves inputs out, or scales of which the
    /// last is wrong.
    wrong: Option<&'static str>,
    /// What kernels are called that it lacks.
    lacks: &'static str,
}

impl Emulated {
    pub fn new(room: usize) -> Arc<Self> {
        Self::of_kind(room, "hopper", None)
    }

    /// One with Hopper's instructions too.
    pub fn hopper(room: usize) -> Arc<Self> {
        Self::of_kind(room, "nothing", None)
    }

    /// One of which a kernel is wrong, on a card that needs this kernel.
    pub fn wrong(kernel: &'static str) -> Arc<Self> {
        let lacks = match kernel {
            "attend_bf16_128" => "hopper",
            _ => "nothing",
        };
        Self::of_kind(1 << 30, lacks, Some(kernel))
    }

    fn of_kind(room: usize, lacks: &'static str, wrong: Option<&'static str>) -> Arc<Self> {
        let (memory, launched, marks) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { memory, room, launched, marks, wrong, lacks })
    }

    fn used(&self) -> usize {
        self.memory.lock().unwrap().values().map(Layout::size).sum()
    }

    /// The memory that begins at an address inside an allocation.
    unsafe fn slice<'a>(&self, address: Address, bytes: usize) -> &'a mut [u8] {
        let memory = self.memory.lock().unwrap();
        let inside = |(start, layout): (&Address, &Layout)| {
            *start <= address && address + bytes as u64 <= *start + layout.size() as u64
        };
        assert!(memory.iter().any(inside), "{bytes} bytes at {address:#x} are not allocated");
        // SAFETY: the bytes are allocated, as was just checked; tests use them from one thread.
        unsafe { std::slice::from_raw_parts_mut(address as *mut u8, bytes) }
    }
}

// SAFETY: every allocation is one of its own, and lasts until it is released.
unsafe impl Device for Emulated {
    fn describe(&self) -> String {
        "emulated".to_owned()
    }

    fn free_memory(&self) -> Result<usize> {
        Ok(self.room.saturating_sub(self.used()))
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        if self.used() + bytes > self.room {
            return Err(OutOfMemory { bytes }.into());
        }
        let layout = Layout::from_size_align(bytes, 256)?;
        // SAFETY: not empty, as the callers ask for at least one byte.
        let memory = unsafe { alloc(layout) };
        // SAFETY: just allocated. What is not written is not a number.
        unsafe { memory.write_bytes(0xff, bytes) };
        self.memory.lock().unwrap().insert(memory as Address, layout);
        Ok(memory as Address)
    }

    unsafe fn release(&self, address: Address) {
        let layout = self.memory.lock().unwrap().remove(&address).expect("memory is released once");
        // SAFETY: was allocated with this layout.
        unsafe { dealloc(address as *mut u8, layout) };
    }

    unsafe fn upload(&self, to: Address, bytes: &[u8]) -> Result<()> {
        // SAFETY: checked by `slice`.
        unsafe { self.slice(to, bytes.len()) }.copy_from_slice(bytes);
        Ok(())
    }

    unsafe fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: checked by `slice`.
        bytes.copy_from_slice(unsafe { self.slice(from, bytes.len()) });
        Ok(())
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()> {
        // SAFETY: checked by `slice`.
        unsafe { self.slice(to, bytes).copy_from_slice(self.slice(from, bytes)) };
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }

    fn mark(&self, index: usize) -> Result<()> {
        let mut marks = self.marks.lock().unwrap();
        marks.truncate(index);
        marks.push(std::time::Instant::now());
        Ok(())
    }

    fn between(&self, first: usize, second: usize) -> Result<f64> {
        let marks = self.marks.lock().unwrap();
        Ok((marks[second] - marks[first]).as_secs_f64())
    }

    fn processors(&self) -> usize {
        2
    }

    fn tile_map(&self, matrix: &Tiled) -> Result<TileMap> {
        const SWIZZLE_128: c_int = 3;
        let Tiled { address, rows, columns, value, tile_rows } = *matrix;
        // SAFETY: checked by `slice`.
        unsafe { self.slice(address, rows * columns * value.size()) };
        let kind = if value == Type::Bf16 { 9 } else { 6 };
        let (extents, stride) = ([columns as u64, rows as u64], (columns * value.size()) as u64);
        let (tile, steps) = ([TILE_COLUMNS, tile_rows], [1; 2]);
        let mut map = TileMap([0; 16]);
        let (place, address) = ((&raw mut map).cast(), address as *mut c_void);
        let (extents, tile, steps) = (extents.as_ptr(), tile.as_ptr(), steps.as_ptr());
        let library = library();
        // SAFETY: the function is of this type, and the arrays are of two dimensions.
        let status = unsafe {
            let encode = library.get::<Encode>(b"cuTensorMapEncodeTiled")?;
            encode(place, kind, 2, address, extents, &raw const stride, tile, steps, 0, SWIZZLE_128, 0, 0)
        };
        ensure!(status == 0, "there are no tiles of {matrix:?}");
        Ok(map)
    }

    fn check_scaled(&self) -> Result<()> {
        Ok(())
    }

    fn has(&self, kernel: &str) -> bool {
        !kernel.contains(self.lacks)
    }

    unsafe fn launch(&self, kernel: &str, launch: Launch, arguments: &mut [*mut c_void]) -> Result<()> {
        self.launched.lock().unwrap().push(kernel.to_owned());
        let mut changed = Changed([0u8; GATED]);
        if self.wrong == Some(kernel) {
            let (size, place) = if kernel.starts_with("attend") { (ATTENDING, SCALE) } else { (GATED, INPUTS) };
            // SAFETY: the first argument of these kernels is of this size.
            changed.0[..size].copy_from_slice(unsafe { std::slice::from_raw_parts(arguments[0].cast(), size) });
            let value = &mut changed.0[place..place + 4];
            let bytes = [value[0], value[1], value[2], value[3]];
            value.copy_from_slice(&match kernel.starts_with("attend") {
                true => (1.02 * f32::from_ne_bytes(bytes)).to_ne_bytes(),
                // The last inputs are left out.
                false => (i32::from_ne_bytes(bytes) - 64).to_ne_bytes(),
            });
            arguments[0] = changed.0.as_mut_ptr().cast();
        }
        let name = CString::new(kernel)?;
        let shape = [launch.grid[0], launch.grid[1], launch.block[0], launch.block[1], launch.shared];
        let library = library();
        // SAFETY: the function is of this type; threads that run it share nothing but kernels.
        let status = unsafe {
            let emulate = library.get::<Emulate>(b"emulate")?;
            emulate(name.as_ptr(), shape.as_ptr(), arguments.as_mut_ptr())
        };
        ensure!(status == 0, "there is no kernel {kernel}");
        Ok(())
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        let Product { rows, outputs, inputs, value, scales, add, .. } = *product;
        let read = |address: Address, count: usize, value: Type| -> Vec<f32> {
            // SAFETY: checked by `slice`.
            let bytes = unsafe { self.slice(address, count * value.size()) };
            bytes.chunks_exact(value.size()).map(|bytes| widened(bytes, value)).collect()
        };
        let operand = |address: Address, count: usize| -> Vec<f32> {
            if scales.is_none() {
                return read(address, count, value);
            }
            // SAFETY: checked by `slice`.
            let bytes = unsafe { self.slice(address, count) };
            bytes.iter().map(|byte| F8E4M3::from_bits(*byte).to_f32()).collect()
        };
        let (left, right) = (operand(product.left, rows * inputs), operand(product.right, outputs * inputs));
        let mut scales =
            scales.map(|scales| [read(scales.left, rows, Type::F32), read(scales.right, outputs, Type::F32)]);
        if let Some([_, right]) = scales.as_mut().filter(|_| self.wrong == Some("scales")) {
            right[outputs - 1] *= 1.05;
        }
        let kind = product.result_type();
        // SAFETY: checked by `slice`.
        let results = unsafe { self.slice(product.results, rows * outputs * kind.size()) };
        for (index, result) in results.chunks_exact_mut(kind.size()).enumerate() {
            let (row, output) = (&left[index / outputs * inputs..], &right[index % outputs * inputs..]);
            let sum: f32 = row[..inputs].iter().zip(&output[..inputs]).map(|(left, right)| left * right).sum();
            let scale = scales.as_ref().map_or(1., |[left, right]| left[index / outputs] * right[index % outputs]);
            let sum = sum * scale;
            let before = if add { widened(result, kind) } else { 0. };
            match kind {
                Type::F32 => result.copy_from_slice(&(before + sum).to_le_bytes()),
                Type::Bf16 => result.copy_from_slice(&bf16::from_f32(sum).to_le_bytes()),
                Type::F16 => result.copy_from_slice(&f16::from_f32(sum).to_le_bytes()),
            }
        }
        Ok(())
    }
}

fn widened(bytes: &[u8], value: Type) -> f32 {
    match value {
        Type::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Type::Bf16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Type::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
    }
}
