//! The kernels as `build.rs` has compiled them, and their functions by name.

use std::collections::HashMap;
use std::ffi::CString;

use anyhow::Result;
use cudarc::driver::{DriverError, result, sys};

use super::switches::Without;

/// An image, where the driver can read it word by word.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

macro_rules! image {
    ($name:literal) => {{
        static IMAGE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".fatbin")));
        &IMAGE.0
    }};
}

const TYPES: &[&str] = &["f32", "bf16", "f16"];
/// Types and features of kernels that are compiled for one number of features.
const FIXED: &[&str] = &["bf16_64", "bf16_128", "f16_64", "f16_128"];
/// The same with those of attention for small encoders.
const ATTENDED: &[&str] = &["bf16_32", "bf16_64", "bf16_128", "f16_32", "f16_64", "f16_128"];
/// The type around products of E4M3.
const QUANTIZED: &[&str] = &["bf16"];
/// No suffix.
const ALONE: &[&str] = &[""];

/// Compute capability 9.0 has kernels that no other card runs.
pub(super) const HOPPER: (i32, i32) = (9, 0);

/// An image, and its functions: names, and what stands behind them.
type Image = (&'static [u8], &'static [(&'static str, &'static [&'static str])]);

/// What there is for a card.
fn images(capability: (i32, i32)) -> Vec<Image> {
    let mut images: Vec<Image> = vec![
        (image!("activation"), &[("activate_plain", TYPES), ("activate_gated", TYPES)]),
        (image!("attention"), &[("attend", ATTENDED), ("attend_windows", ATTENDED)]),
        (image!("attention_plain"), &[("attend_plain", TYPES)]),
        (image!("bias"), &[("add_bias", TYPES), ("fill_rows", ALONE)]),
        (image!("heads"), &[("qk_norm_rope", TYPES), ("qk_norm_rope", FIXED)]),
        (image!("norm"), &[("embed", TYPES), ("rms_norm", TYPES), ("gather_rows", ALONE), ("score_rows", ALONE)]),
        (image!("normalize"), &[("normalize", TYPES)]),
        (image!("pooling"), &[("mean_rows", ALONE), ("dot_rows", ALONE)]),
        (
            image!("quantize"),
            &[("quantize_rows", QUANTIZED), ("rms_norm_quantized", QUANTIZED), ("swiglu_quantized", QUANTIZED)],
        ),
        (image!("rotate"), &[("rotate", TYPES)]),
        (image!("swiglu"), &[("swiglu", TYPES)]),
    ];
    // Empty if the build is not for it.
    let hopper: [Image; 2] = [
        (image!("attention_hopper"), &[("attend_hopper_early", FIXED), ("attend_hopper_late", FIXED)]),
        (image!("multiply_gated_hopper"), &[("multiply_gated_hopper", &["bf16", "f16"])]),
    ];
    if capability == HOPPER {
        images.extend(hopper.into_iter().filter(|(image, _)| !image.is_empty()));
    }
    images
}

/// The kernels by name, for the current context, but for those that are switched off. They stay loaded until the program ends.
///
/// # Errors
/// If the driver takes an image for none of its own, or a function is missing.
pub(super) fn load(capability: (i32, i32), without: Without) -> Result<HashMap<String, sys::CUfunction>, DriverError> {
    let mut functions = HashMap::new();
    for (image, names) in images(capability) {
        if names.iter().all(|(name, _)| without.excludes(name)) {
            continue;
        }
        // SAFETY: the image is a complete fat binary; the context is current on this thread.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) }?;
        for (name, suffixes) in names {
            for suffix in *suffixes {
                let name = if suffix.is_empty() { (*name).to_owned() } else { format!("{name}_{suffix}") };
                let symbol = CString::new(name.clone()).unwrap_or_default();
                // SAFETY: the module was just loaded.
                let function = unsafe { result::module::get_function(module, symbol) }?;
                functions.insert(name, function);
            }
        }
    }
    Ok(functions)
}
