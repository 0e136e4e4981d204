//! What stands between the products of an MLP, and behind a dense layer of a head: `activation.cu`.

use anyhow::Result;

use super::device::Memory;
use super::operations::{Gpu, Rows, arguments, int};
use super::residual::by_units;
use crate::model::Activation;

/// As `activation.cuh` numbers them.
fn number(activation: Option<Activation>) -> i32 {
    match activation {
        None => 0,
        Some(Activation::Silu) => 1,
        Some(Activation::Gelu) => 2,
        Some(Activation::GeluTanh) => 3,
        Some(Activation::Relu) => 4,
        Some(Activation::Tanh) => 5,
    }
}

impl Gpu {
    /// `activated = activation(products + bias)`, or, where products are twice as wide (gates, then ups),
    /// `activation(gates) · ups` of their sums with the bias. The bias is f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn activate(
        &self,
        products: Rows<'_>,
        bias: Option<&Memory>,
        activation: Option<Activation>,
        activated: Rows<'_>,
    ) -> Result<()> {
        let (size, features) = (self.value().size(), activated.width);
        let vector = 16 / size;
        let is_gated = products.width == 2 * features;
        assert!((is_gated || products.width == features) && activated.count >= products.count);
        assert!(bias.is_none_or(|bias| bias.bytes() >= products.width * 4));
        let (from, to) = (products.address(size, products.width), activated.address(size, features));
        let (values, width, kind) = (bias.map_or(0, Memory::address), int(features)?, number(activation));
        let kernel = if is_gated { "activate_gated" } else { "activate_plain" };
        let launch = by_units(products.count, features.div_ceil(vector))?;
        // SAFETY: the memory was checked.
        unsafe { self.launch(kernel, launch, arguments!(from, values, to, width, kind)) }
    }
}
