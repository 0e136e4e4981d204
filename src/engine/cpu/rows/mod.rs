//! Operations on the rows of a tile, between products. Each is compiled for every instruction level from one source.

pub(crate) mod activation;
pub(crate) mod bias;
pub(crate) mod layer_norm;
pub(crate) mod math;
pub(crate) mod qk_norm_rope;
pub(crate) mod rms_norm;
