//! To what the operands of products are rounded: `--dtype`.

/// To what the operands of products are rounded. Sums are f32 (of whole numbers exact), and everything between products is f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Not rounded.
    F32,
    /// 8 bits of precision.
    Bf16,
    /// 11 bits of precision, up to 65,504.
    F16,
    /// Linear layers: weights as signed bytes with a scale for each output, activations with one for each token and 1,024
    /// features. Attention as [`Precision::Bf16`].
    Int8,
    /// Linear layers: weights as whole numbers of 12 bits, in 16, with a scale for each output, activations with one for each token
    /// and 512 features. Attention as [`Precision::F32`].
    Int16,
    /// Linear layers of all layers but the last: E4M3 of 8 bits, weights with a scale for each output, activations with one for each
    /// token. Everything else as [`Precision::Bf16`].
    Fp8,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::F32, Self::Bf16, Self::F16, Self::Int8, Self::Int16, Self::Fp8];

    /// Those in which the processor computes.
    pub const ON_CPU: [Self; 5] = [Self::F32, Self::Bf16, Self::F16, Self::Int8, Self::Int16];

    /// The precision of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|precision| precision.name() == name)
    }

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Fp8 => "fp8",
        }
    }

    /// Whether linear layers multiply whole numbers, which only the CPU's engine does.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Int8 | Self::Int16)
    }
}
