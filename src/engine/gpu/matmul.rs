//! cuBLASLt: products by an algorithm that is named, and which algorithms there are.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use cudarc::cublas::sys::cublasOperation_t as Transposition;
use cudarc::cublaslt::{
    result::{self, CublasError},
    sys,
};

use super::device::{Address, Product, Scales, Type};

/// How a product is divided into tiles, and how their sums are made.
pub(super) type Algorithm = sys::cublasLtMatmulAlgo_t;

/// Algorithms that are asked for: those behind them are not expected to be fast.
const CANDIDATES: usize = 8;

/// Rows for which an algorithm must work too: one, some, and about as many as a batch has at most.
const OTHER_ROWS: [usize; 3] = [1, 100, 32_767];

/// Device memory that an algorithm may work in. Kernels that run on until all tiles are done hand out the tiles by a counter,
/// for which a few bytes are enough. There is no room for parts of sums: how those are divided depends on the number of rows.
pub(super) const WORKSPACE_BYTES: usize = 4 << 10;

/// Device memory to work in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workspace {
    /// Where it begins.
    pub(super) address: Address,
    /// How much there is.
    pub(super) bytes: usize,
}

/// The library, opened.
pub(super) struct Matmul {
    handle: sys::cublasLtHandle_t,
}

// SAFETY: the handle is the library's, which lets every thread use it; it is never changed.
unsafe impl Send for Matmul {}
// SAFETY: as above.
unsafe impl Sync for Matmul {}

/// What is done with matrices, for the library: `(inputs, outputs)ᵀ · (inputs, rows)` with sums in f32, as it counts by columns.
struct Operation(sys::cublasLtMatmulDesc_t);

impl Operation {
    fn new(scales: Option<Scales>) -> Result<Self, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        // Values of f32 are multiplied as they are: nothing allows for TF32.
        let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let operation = Self(result::create_matmul_desc(compute, sys::cudaDataType::CUDA_R_32F)?);
        // The other matrix is not transposed unless that is said.
        operation.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, Transposition::CUBLAS_OP_T as i32)?;
        if let Some(Scales { left, right }) = scales {
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_MODE, SCALE_OF_EACH_ROW)?;
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_MODE, SCALE_OF_EACH_ROW)?;
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, right)?;
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, left)?;
        }
        Ok(operation)
    }

    fn set<Value: Copy>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: Value,
    ) -> Result<(), CublasError> {
        // SAFETY: the library checks that the attribute has as many bytes; all that are set here are integers and addresses.
        unsafe { result::set_matmul_desc_attribute(self.0, attribute, (&raw const value).cast(), size_of::<Value>()) }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // SAFETY: as for layouts.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// Libraries before 12.9 do not know this mode; `products::check_scaled` refuses them.
const SCALE_OF_EACH_ROW: i32 = sys::cublasLtMatmulMatrixScale_t::CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F as i32;

/// What a matrix looks like, for the library.
struct Layout(sys::cublasLtMatrixLayout_t);

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: nobody else has it. What fails here leaves some bytes behind.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// The matrices of a product.
struct Layouts {
    left: Layout,
    right: Layout,
    results: Layout,
}

impl Layouts {
    fn new(product: &Product, rows: usize) -> Result<Self, CublasError> {
        // What is row by row here is transposed there.
        let layout = |data, width: usize, count: usize| {
            result::create_matrix_layout(data, width as u64, count as u64, width as i64).map(Layout)
        };
        let operand = if product.scales.is_some() { sys::cudaDataType::CUDA_R_8F_E4M3 } else { data(product.value) };
        Ok(Self {
            left: layout(operand, product.inputs, rows)?,
            right: layout(operand, product.inputs, product.outputs)?,
            results: layout(data(product.result_type()), product.outputs, rows)?,
        })
    }
}

fn data(value: Type) -> sys::cudaDataType {
    match value {
        Type::F32 => sys::cudaDataType::CUDA_R_32F,
        Type::Bf16 => sys::cudaDataType::CUDA_R_16BF,
        Type::F16 => sys::cudaDataType::CUDA_R_16F,
    }
}

/// The version of the cuBLASLt library that was loaded.
pub(super) fn version() -> usize {
    // SAFETY: asks for a number.
    unsafe { sys::cublasLtGetVersion() }
}

/// Bytes that an address is a multiple of; 256 are all that is ever asked for.
pub(super) fn alignment(address: Address) -> u32 {
    1 << address.trailing_zeros().min(8)
}

/// What is asked of algorithms.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn set<Value: Copy>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: Value,
    ) -> Result<(), CublasError> {
        // SAFETY: the library checks that the attribute has as many bytes; all that are set here are integers.
        unsafe { result::set_matmul_pref_attribute(self.0, attribute, (&raw const value).cast(), size_of::<Value>()) }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: as for layouts.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

impl Matmul {
    /// None where the library is missing or does not start.
    pub(super) fn open() -> Option<Self> {
        // SAFETY: looks for the library without running anything of ours.
        if !unsafe { sys::is_culib_present() } {
            return None;
        }
        result::create_handle().ok().map(|handle| Self { handle })
    }

    /// Algorithms for products like this one of any number of rows, those first that are expected to be the fastest. Each
    /// makes a sum in one piece, as far as the library reports, and works in as many bytes of memory at most.
    ///
    /// # Errors
    /// If the library knows none.
    pub(super) fn candidates(&self, product: &Product, workspace: usize) -> Result<Vec<Algorithm>, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let (operation, layouts) = (Operation::new(product.scales)?, Layouts::new(product, product.rows)?);
        let preference = Preference(result::create_matmul_pref()?);
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace)?;
        let whole = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE as u32;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, whole)?;
        let [left, right, results] = [product.left, product.right, product.results].map(alignment);
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, right)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, left)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, results)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, results)?;
        let mut found = [const { MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::zeroed() }; CANDIDATES];
        let mut count = 0;
        // SAFETY: there is room for as many as are asked for.
        unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                operation.0,
                layouts.right.0,
                layouts.left.0,
                layouts.results.0,
                layouts.results.0,
                preference.0,
                CANDIDATES as i32,
                found.as_mut_ptr().cast(),
                &raw mut count,
            )
        }
        .result()?;
        let found = found.iter().take(count.max(0) as usize);
        // SAFETY: zeros are a valid result, and the library wrote others over them.
        let found = found.map(|found| unsafe { found.assume_init() });
        let usable = found.filter(|found| found.state.result().is_ok() && found.workspaceSize <= workspace);
        let whole = usable.map(|found| found.algo).filter(sums_in_one_piece);
        let works = |algorithm: &Algorithm, rows| {
            self.needs(product, rows, algorithm).is_some_and(|needed| needed <= workspace)
        };
        Ok(whole.filter(|algorithm| OTHER_ROWS.iter().all(|&rows| works(algorithm, rows))).collect())
    }

    /// The bytes of memory that an algorithm works in for products like this one of so many rows; None if it can't do them.
    fn needs(&self, product: &Product, rows: usize, algorithm: &Algorithm) -> Option<usize> {
        let (operation, layouts) = (Operation::new(product.scales).ok()?, Layouts::new(product, rows).ok()?);
        let mut needs = MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::zeroed();
        // SAFETY: all are there; one result is written.
        let status = unsafe {
            sys::cublasLtMatmulAlgoCheck(
                self.handle,
                operation.0,
                layouts.right.0,
                layouts.left.0,
                layouts.results.0,
                layouts.results.0,
                algorithm,
                needs.as_mut_ptr(),
            )
        };
        // SAFETY: zeros are a valid result, and the library wrote over them.
        status.result().ok().map(|()| unsafe { needs.assume_init() }.workspaceSize)
    }

    /// Multiplies by an algorithm.
    ///
    /// # Safety
    /// The memory of all three matrices and the workspace is there, nobody but the stream uses the workspace, and the context
    /// is current.
    ///
    /// # Errors
    /// If the algorithm does not do this product, or the launch fails; nothing has been computed then.
    pub(super) unsafe fn multiply(
        &self,
        product: &Product,
        algorithm: &Algorithm,
        workspace: Workspace,
        stream: *mut c_void,
    ) -> Result<(), CublasError> {
        let (operation, layouts) = (Operation::new(product.scales)?, Layouts::new(product, product.rows)?);
        let (one, before) = (1f32, if product.add { 1f32 } else { 0. });
        // SAFETY: as the caller's.
        unsafe {
            result::matmul(
                self.handle,
                operation.0,
                (&raw const one).cast(),
                (&raw const before).cast(),
                product.right as *const c_void,
                layouts.right.0,
                product.left as *const c_void,
                layouts.left.0,
                product.results as *const c_void,
                layouts.results.0,
                product.results as *mut c_void,
                layouts.results.0,
                algorithm,
                workspace.address as *mut c_void,
                workspace.bytes,
                stream.cast(),
            )
        }
    }
}

/// Whether an algorithm neither divides sums nor adds parts of them.
fn sums_in_one_piece(algorithm: &Algorithm) -> bool {
    use sys::cublasLtMatmulAlgoConfigAttributes_t as Attribute;
    let number = |attribute| -> Option<u32> {
        let (mut value, mut written) = (0u32, 0);
        // SAFETY: the attributes that are read here are of 32 bits.
        let status = unsafe {
            let place = (&raw mut value).cast();
            sys::cublasLtMatmulAlgoConfigGetAttribute(algorithm, attribute, place, size_of::<u32>(), &raw mut written)
        };
        status.result().ok().map(|()| value)
    };
    let parts = number(Attribute::CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
    let scheme = number(Attribute::CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
    parts.is_some_and(|parts| parts <= 1) && scheme == Some(0)
}
