//! What a card or a library does wrong can be switched off from outside, and what is fast compared with what is not.

use anyhow::{Result, bail};

/// The environment variable, a list of names with commas.
const VARIABLE: &str = "RERANK_GPU_WITHOUT";

/// What is not to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// Attention for Hopper.
    pub(super) hopper: bool,
    /// Attention on tensor cores, that for Hopper too.
    pub(super) tensor: bool,
    /// The product of gates and ups for Hopper.
    pub(super) product: bool,
    /// Products by cuBLASLt.
    pub(super) cublaslt: bool,
}

impl Without {
    /// What the environment asks for.
    ///
    /// # Errors
    /// If it names what there is not.
    #[cfg(feature = "cuda")]
    pub(super) fn read() -> Result<Self> {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    /// What the variable asks for.
    ///
    /// # Errors
    /// If it names what there is not.
    fn parse(text: &str) -> Result<Self> {
        let mut without = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "hopper" => without.hopper = true,
                "tensor" => (without.hopper, without.tensor) = (true, true),
                "product" => without.product = true,
                "cublaslt" => without.cublaslt = true,
                _ => bail!("{VARIABLE}={text}: there is no {name}; use hopper, tensor, product or cublaslt"),
            }
        }
        Ok(without)
    }

    /// Whether kernels of this name, without types and features, are switched off.
    pub(super) fn excludes(self, kernels: &str) -> bool {
        match kernels {
            "attend_hopper_early" | "attend_hopper_late" => self.hopper,
            "attend" | "attend_windows" => self.tensor,
            "multiply_gated_hopper" => self.product,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_switch_off_what_they_say() {
        let excluded = |text: &str| -> Vec<&str> {
            let without = Without::parse(text).unwrap();
            let attention = ["attend", "attend_hopper_early", "attend_hopper_late"];
            let kernels = attention.into_iter().chain(["attend_plain", "multiply_gated_hopper", "qk_norm_rope"]);
            kernels.filter(|kernel| without.excludes(kernel)).collect()
        };
        assert_eq!(excluded(""), Vec::<&str>::new());
        let hopper = ["attend_hopper_early", "attend_hopper_late"];
        assert_eq!(excluded("hopper"), hopper);
        assert_eq!(excluded("product"), ["multiply_gated_hopper"]);
        assert_eq!(excluded("cublaslt, tensor"), [&["attend"][..], &hopper].concat());
        assert!(Without::parse("cublaslt").unwrap().cublaslt && !Without::parse("tensor").unwrap().cublaslt);
        assert!(Without::parse("hoper").unwrap_err().to_string().contains("use hopper, tensor"));
    }
}
