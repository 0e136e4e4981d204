//! What a card or a library does wrong can be switched off from outside, and what is fast compared with what is not.

use anyhow::{Result, bail};

/// The environment variable, a list of names with commas.
pub(super) const VARIABLE: &str = "RERANK_GPU_WITHOUT";

/// What is not to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// Attention for Hopper.
    pub(super) hopper: bool,
    /// Attention on tensor cores, that for Hopper too.
    pub(super) tensor: bool,
    /// Products by cuBLASLt.
    pub(super) cublaslt: bool,
}

impl Without {
    /// What the variable says.
    ///
    /// # Errors
    /// If it names what there is not.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut without = Self::default();
        for name in text.split(',').filter(|name| !name.is_empty()) {
            match name {
                "hopper" => without.hopper = true,
                "tensor" => (without.hopper, without.tensor) = (true, true),
                "cublaslt" => without.cublaslt = true,
                _ => bail!("{VARIABLE}={text}: there is no {name}; use hopper, tensor or cublaslt"),
            }
        }
        Ok(without)
    }

    /// Whether a kernel is switched off.
    pub(super) fn excludes(self, kernel: &str) -> bool {
        match kernel.strip_prefix("attend_") {
            Some(rest) if rest.starts_with("hopper") => self.hopper,
            Some(rest) => self.tensor && !rest.starts_with("plain"),
            None => false,
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
            let kernels = ["attend_bf16_128", "attend_hopper_f16_64", "attend_plain_f32", "turn_heads_f16_64"];
            kernels.into_iter().filter(|kernel| without.excludes(kernel)).collect()
        };
        assert_eq!(excluded(""), Vec::<&str>::new());
        assert_eq!(excluded("hopper"), ["attend_hopper_f16_64"]);
        assert_eq!(excluded("cublaslt,tensor"), ["attend_bf16_128", "attend_hopper_f16_64"]);
        assert!(Without::parse("cublaslt").unwrap().cublaslt && !Without::parse("tensor").unwrap().cublaslt);
        assert!(Without::parse("hoper").unwrap_err().to_string().contains("use hopper, tensor or cublaslt"));
    }
}
