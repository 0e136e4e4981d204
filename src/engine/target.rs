//! Where a model's forward runs.

use super::cpu::Arithmetic;
use super::gpu::Gpu;
use crate::batch::LimitsChoice;

/// Where a model's forward runs, and how.
#[derive(Clone)]
pub enum Target {
    /// The processor, with this arithmetic.
    Cpu(Arithmetic),
    /// A GPU, with its type of values.
    Gpu(Gpu),
}

impl Target {
    /// The same for batches of these limits: on a GPU, fewer layers stay in host memory where batches are small.
    #[must_use]
    pub fn for_batches(self, limits: LimitsChoice) -> Self {
        match self {
            Self::Gpu(gpu) => Self::Gpu(gpu.with_wanted_tokens(limits.tokens)),
            Self::Cpu(arithmetic) => Self::Cpu(arithmetic),
        }
    }

    /// The class of kernels that run there. The bits of scores depend on it and on the precision. All GPUs are one class.
    pub fn kernel_class(&self) -> String {
        match self {
            Self::Cpu(arithmetic) => arithmetic.kernel_class(),
            Self::Gpu(_) => "cuda".to_owned(),
        }
    }
}
