//! NVIDIA GPUs, through CUDA's driver and cuBLAS. They are opened when the program asks for a GPU, so that it starts on
//! machines without them.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail, ensure};
use cudarc::cublas::{self, CudaBlas, sys as blas};
use cudarc::driver::sys::{CUdevice_attribute as Attribute, CUfunction_attribute as FunctionAttribute, CUresult};
use cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys};

use super::device::{Address, Device, Launch, Load, OutOfMemory, Product, TileMap, Tiled, Type};
use super::images;
use super::ledger::Ledger;
use super::monitor::Monitor;
use super::page_locked::PageLocked;
use super::products::{self, Products};
use super::switches::Without;
use super::tile_maps;
use super::uploads::Uploads;

/// The oldest cards with bf16 on their tensor cores.
const OLDEST: (i32, i32) = (8, 0);

/// The major version of the CUDA that compiled the kernels: drivers must know it.
const CUDA: &str = env!("RERANK_CUDA_MAJOR");

/// Dynamic shared memory that kernels get without asking.
const SHARED: u32 = 48 << 10;

struct Cuda {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    /// None where there is no cuBLASLt.
    products: Option<Products>,
    functions: HashMap<String, sys::CUfunction>,
    ordinal: usize,
    description: String,
    capability: (i32, i32),
    processors: usize,
    without: Without,
    monitor: Option<Monitor>,
    ledger: Arc<Ledger>,
    /// Events, by index.
    marks: Mutex<Vec<sys::CUevent>>,
}

// SAFETY: functions and events are handles that the driver lets every thread use.
unsafe impl Send for Cuda {}
// SAFETY: as above; launches go to one stream, in the order of the calls.
unsafe impl Sync for Cuda {}

/// How many GPUs there are.
///
/// # Errors
/// A sentence with a remedy: no driver, or one that is too old.
pub fn count() -> Result<usize> {
    // SAFETY: looks for the library without running anything of ours.
    let driver = unsafe { sys::is_culib_present() };
    ensure!(driver, "there is no NVIDIA driver (libcuda) on this machine; use --device cpu, or install it");
    let mut version = 0;
    // SAFETY: writes the number.
    let known = unsafe { sys::cuDriverGetVersion(&raw mut version) }.result();
    known.map_err(|error| explain(error, "the NVIDIA driver does not report its version"))?;
    ensure!(
        version / 1000 >= CUDA.parse().unwrap_or(12),
        "the NVIDIA driver knows CUDA {}.{}, and this program was built with CUDA {CUDA}; update the driver, build with an \
         older toolkit, or use --device cpu",
        version / 1000,
        version % 1000 / 10,
    );
    let count = result::init().and_then(|()| CudaContext::device_count());
    let count = count.map_err(|error| explain(error, "the NVIDIA driver does not start"))?;
    ensure!(count > 0, "there is no NVIDIA GPU on this machine; use --device cpu");
    Ok(count as usize)
}

/// Opens a GPU, counted from 0, of whose memory so many bytes are used at most.
///
/// # Errors
/// A sentence with a remedy: no driver, one that is too old, no such GPU, one that is too old, no cuBLAS.
pub fn open(ordinal: usize, most_memory: Option<usize>) -> Result<Arc<dyn Device>> {
    let count = count()?;
    ensure!(ordinal < count, "there is no GPU {ordinal}: this machine has {count}, counted from 0");
    let context = CudaContext::new(ordinal).map_err(|error| explain(error, "the GPU can't be opened"))?;
    let name = context.name().map_err(|error| explain(error, "the GPU does not report its name"))?;
    let capability =
        context.compute_capability().map_err(|error| explain(error, "the GPU does not report its capability"))?;
    ensure!(
        capability >= OLDEST,
        "GPU {ordinal} ({name}) has compute capability {}.{}, and rerank needs 8.0 (Ampere) or newer; use --device cpu",
        capability.0,
        capability.1,
    );
    let without = Without::read()?;
    let ledger = Arc::new(Ledger::new(most_memory));
    let stream = context.default_stream();
    // Before cuBLAS, which has the same library open and must not find another.
    let products = if without.cublaslt { None } else { Products::open(&stream, &name, &ledger) };
    let blas = open_blas(&stream)?;
    let memory = context.total_mem().map_err(|error| explain(error, "the GPU does not report its memory"))?;
    let processors = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT).unwrap_or(0);
    let description = format!(
        "cuda:{ordinal} ({name}, {:.1} GB, compute capability {}.{}, {processors} multiprocessors, {})",
        memory as f64 / 1e9,
        capability.0,
        capability.1,
        if products.is_some() { products::version() } else { "no cuBLASLt".to_owned() },
    );
    let functions =
        images::load(capability, without).map_err(|error| explain(error, "the GPU's kernels can't be loaded"))?;
    let monitor = context.uuid().ok().and_then(|uuid| Monitor::new(uuid.bytes.map(|byte| byte as u8)));
    let (marks, processors) = (Mutex::default(), usize::try_from(processors)?);
    let cuda = Arc::new(Cuda {
        context,
        stream,
        blas,
        products,
        functions,
        ordinal,
        description,
        capability,
        processors,
        without,
        monitor,
        ledger,
        marks,
    });
    // Kept until the program ends: libraries that are being unloaded must not be asked to give anything back.
    std::mem::forget(Arc::clone(&cuda));
    Ok(cuda)
}

/// Opens cuBLAS, which sums in f32.
///
/// # Errors
/// If the library is not there, or does not start.
fn open_blas(stream: &Arc<CudaStream>) -> Result<CudaBlas> {
    // SAFETY: looks for the library without running anything of ours.
    let present = unsafe { blas::is_culib_present() };
    ensure!(
        present,
        "cuBLAS (libcublas) was not found; install the CUDA runtime libraries, or add their folder to LD_LIBRARY_PATH"
    );
    let blas = CudaBlas::new(Arc::clone(stream)).map_err(|error| {
        anyhow!("cuBLAS does not start ({error:?}): put a libcublas of the driver's CUDA first on LD_LIBRARY_PATH")
    })?;
    // Sums of parts stay in f32: rounded to bf16, they would depend on the size of the batch.
    let exact = blas::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    // SAFETY: the handle was just made. Where it is not known, digits are lost and nothing else.
    let _ = unsafe { blas::cublasSetMathMode(*blas.handle(), exact) };
    Ok(blas)
}

/// A driver's error with what can be done.
pub(super) fn explain(error: DriverError, what: &str) -> anyhow::Error {
    let remedy = match error.0 {
        CUresult::CUDA_ERROR_NO_DEVICE => "there is no NVIDIA GPU that this program may use; use --device cpu",
        CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH | CUresult::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE => {
            "the driver's library and its kernel module differ; restart after an update of the driver"
        }
        CUresult::CUDA_ERROR_SYSTEM_NOT_READY => "start the system's nvidia-fabricmanager",
        CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => "another program has it for itself (exclusive mode)",
        CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | CUresult::CUDA_ERROR_INVALID_IMAGE
        | CUresult::CUDA_ERROR_INVALID_PTX
        | CUresult::CUDA_ERROR_JIT_COMPILER_NOT_FOUND
        | CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU => {
            "this build has no code for this GPU or driver; update the driver, or build with CUDA_COMPUTE_CAP for this GPU"
        }
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => "its memory is full; end other programs on it",
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
        | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | CUresult::CUDA_ERROR_LAUNCH_FAILED => {
            "this is an error of rerank; please report it, and try RERANK_GPU_WITHOUT=hopper, tensor or product, or --device cpu"
        }
        _ => "update the driver, or use --device cpu",
    };
    let name =
        error.error_name().ok().map_or_else(|| format!("{:?}", error.0), |name| name.to_string_lossy().into_owned());
    anyhow!("{what} ({name}): {remedy}")
}

impl Cuda {
    fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(|error| explain(error, "the GPU does not answer"))
    }
}

// SAFETY: memory is the driver's, which keeps allocations apart until they are freed.
unsafe impl Device for Cuda {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn name(&self) -> String {
        format!("cuda:{}", self.ordinal)
    }

    fn processors(&self) -> usize {
        self.processors
    }

    fn tile_map(&self, matrix: &Tiled) -> Result<TileMap> {
        tile_maps::encode(matrix).map_err(|error| explain(error, "the driver does not describe a matrix"))
    }

    fn load(&self) -> Option<Load> {
        self.monitor.as_ref()?.load()
    }

    fn free_memory(&self) -> Result<usize> {
        self.context
            .mem_get_info()
            .map(|(free, _)| self.ledger.usable(free))
            .map_err(|error| explain(error, "the GPU does not report its memory"))
    }

    fn memory_limit(&self) -> Option<usize> {
        self.ledger.most
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        self.bind()?;
        self.ledger.allocate(bytes)
    }

    unsafe fn release(&self, address: Address) {
        // What fails here has failed before, and was reported.
        if self.bind().is_ok() {
            // SAFETY: as the caller's.
            unsafe { self.ledger.release(address) };
        }
    }

    unsafe fn upload(&self, to: Address, bytes: &[u8]) -> Result<()> {
        self.bind()?;
        // SAFETY: as the caller's. The copy is made when the call returns, after what was asked of the same (default) stream.
        unsafe { result::memcpy_htod_sync(to, bytes) }.map_err(|error| explain(error, "copying to the GPU failed"))
    }

    fn uploads(&self, piece_bytes: usize) -> Result<Option<Box<dyn Uploads>>> {
        Ok(Some(Box::new(PageLocked::new(&self.context, &self.stream, piece_bytes)?)))
    }

    unsafe fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()> {
        self.bind()?;
        // SAFETY: as the caller's; the bytes are there until the stream is done, which is waited for.
        unsafe { result::memcpy_dtoh_async(bytes, from, self.stream.cu_stream()) }
            .and_then(|()| self.stream.synchronize())
            .map_err(|error| explain(error, "the GPU failed"))
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<()> {
        self.bind()?;
        // SAFETY: as the caller's.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }
            .map_err(|error| explain(error, "copying on the GPU failed"))
    }

    fn finish(&self) -> Result<()> {
        self.bind()?;
        self.stream.synchronize().map_err(|error| explain(error, "the GPU failed"))
    }

    fn mark(&self, index: usize) -> Result<()> {
        self.bind()?;
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| explain(error, "the GPU's clock failed");
        while marks.len() <= index {
            marks.push(result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(failed)?);
        }
        // SAFETY: the event was made here, and lasts as long as the device.
        unsafe { result::event::record(marks[index], self.stream.cu_stream()) }.map_err(failed)
    }

    fn between(&self, first: usize, second: usize) -> Result<f64> {
        self.bind()?;
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = |index: usize| marks.get(index).copied().context("there is no such mark");
        // SAFETY: as above.
        let milliseconds = unsafe { result::event::elapsed(mark(first)?, mark(second)?) };
        milliseconds.map(|time| f64::from(time) / 1e3).map_err(|error| explain(error, "the GPU's clock failed"))
    }

    fn check_scaled(&self) -> Result<()> {
        products::check_scaled(self.products.as_ref(), self.capability, self.without, &self.description)
    }

    fn has(&self, kernel: &str) -> bool {
        self.functions.contains_key(kernel)
    }

    unsafe fn launch(&self, kernel: &str, launch: Launch, arguments: &mut [*mut c_void]) -> Result<()> {
        let Some(&function) = self.functions.get(kernel) else { bail!("there is no kernel {kernel}") };
        if launch.grid.contains(&0) {
            return Ok(());
        }
        self.bind()?;
        let Launch { grid, block, shared } = launch;
        let attribute = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: as the caller's; the function is loaded as long as the program runs.
        unsafe {
            if shared > SHARED {
                result::function::set_function_attribute(function, attribute, shared as i32)
                    .map_err(|error| explain(error, "the GPU has too little shared memory"))?;
            }
            let (grid, block) = ((grid[0], grid[1], 1), (block[0], block[1], 1));
            result::launch_kernel(function, grid, block, shared, self.stream.cu_stream(), arguments)
        }
        .map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => OutOfMemory { bytes: 0 }.into(),
            _ => explain(error, kernel),
        })
    }

    fn warnings(&self) -> Vec<String> {
        let lacking = match &self.products {
            Some(products) => products.lacking(),
            None if self.without.cublaslt => Some("cuBLASLt is switched off".to_owned()),
            None => Some("cuBLASLt does not start; put the CUDA runtime's libraries on LD_LIBRARY_PATH".to_owned()),
        };
        let warning = |what| {
            format!("{what}: cuBLAS does the products, and scores depend on their batch by the rounding of sums")
        };
        lacking.into_iter().map(warning).collect()
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        self.bind()?;
        if product.rows == 0 {
            return Ok(());
        }
        if let Some(products) = &self.products {
            // SAFETY: as the caller's; the context was just made current.
            match unsafe { products.multiply(product) } {
                // Nothing else does such products.
                Err(error) if product.scales.is_some() => {
                    let (outputs, inputs) = (product.outputs, product.inputs);
                    return Err(error.context(format!(
                        "--dtype fp8: cuBLASLt has no algorithm for products of {outputs} × {inputs} in E4M3 with a scale for each \
                         row; use --dtype bf16"
                    )));
                }
                Err(_) => (),
                multiplied => return multiplied,
            }
        }
        // SAFETY: as the caller's.
        unsafe { self.multiply_freely(product) }
    }

    unsafe fn multiply_freely(&self, product: &Product) -> Result<()> {
        ensure!(product.scales.is_none(), "cuBLAS multiplies no matrices with scales");
        self.bind()?;
        let int = |value: usize| i32::try_from(value).context("a matrix is too large for cuBLAS");
        let (rows, outputs, inputs) = (int(product.rows)?, int(product.outputs)?, int(product.inputs)?);
        let value = match product.value {
            Type::F32 => blas::cudaDataType::CUDA_R_32F,
            Type::Bf16 => blas::cudaDataType::CUDA_R_16BF,
            Type::F16 => blas::cudaDataType::CUDA_R_16F,
        };
        let results = if product.add { blas::cudaDataType::CUDA_R_32F } else { value };
        let (one, before) = (1f32, if product.add { 1f32 } else { 0. });
        // cuBLAS counts by columns: what is row by row here is transposed there.
        // SAFETY: as the caller's; sums are in f32.
        unsafe {
            cublas::result::gemm_ex(
                *self.blas.handle(),
                blas::cublasOperation_t::CUBLAS_OP_T,
                blas::cublasOperation_t::CUBLAS_OP_N,
                outputs,
                rows,
                inputs,
                (&raw const one).cast(),
                product.right as *const c_void,
                value,
                inputs,
                product.left as *const c_void,
                value,
                inputs,
                (&raw const before).cast(),
                product.results as *mut c_void,
                results,
                outputs,
                blas::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|error| match error.0 {
            blas::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => OutOfMemory { bytes: 0 }.into(),
            status => {
                anyhow!("a product on the GPU failed: {status:?}; update the driver or cuBLAS, or use --device cpu")
            }
        })
    }
}
