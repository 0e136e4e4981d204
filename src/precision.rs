//! To what the operands of products are rounded: `--dtype`.

/// To what the operands of products are rounded. Sums are f32 (of int8 exact), and everything between products is f32.
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
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::Bf16, Self::F16, Self::Int8];

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
        }
    }
}
