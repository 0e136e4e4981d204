//! The types of tensors, by their numbers in a file.

use anyhow::{Result, bail};

/// A type that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::checkpoint) enum Kind {
    F64,
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
}

/// A number, the type, its name, and the values and bytes of a block.
type Row = (u32, Kind, &'static str, usize, usize);

const KINDS: [Row; 16] = [
    (0, Kind::F32, "F32", 1, 4),
    (1, Kind::F16, "F16", 1, 2),
    (2, Kind::Q4_0, "Q4_0", 32, 18),
    (3, Kind::Q4_1, "Q4_1", 32, 20),
    (6, Kind::Q5_0, "Q5_0", 32, 22),
    (7, Kind::Q5_1, "Q5_1", 32, 24),
    (8, Kind::Q8_0, "Q8_0", 32, 34),
    (10, Kind::Q2K, "Q2_K", 256, 84),
    (11, Kind::Q3K, "Q3_K", 256, 110),
    (12, Kind::Q4K, "Q4_K", 256, 144),
    (13, Kind::Q5K, "Q5_K", 256, 176),
    (14, Kind::Q6K, "Q6_K", 256, 210),
    (20, Kind::Iq4Nl, "IQ4_NL", 32, 18),
    (23, Kind::Iq4Xs, "IQ4_XS", 256, 136),
    (28, Kind::F64, "F64", 1, 8),
    (30, Kind::Bf16, "BF16", 1, 2),
];

/// Types that are known and not read.
const OTHERS: [(u32, &str); 20] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

impl Kind {
    /// The type of this number.
    ///
    /// # Errors
    /// If it is not read: with its name, and what to take instead.
    pub(super) fn of(number: u32) -> Result<Self> {
        if let Some((_, kind, ..)) = KINDS.iter().find(|(other, ..)| *other == number) {
            return Ok(*kind);
        }
        const REMEDY: &str = "rerank reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL and IQ4_XS: take a \
             file of the model in one of these, such as Q4_K_M or Q8_0";
        match OTHERS.iter().find(|(other, _)| *other == number) {
            Some((_, name)) => bail!("it is of type {name}; {REMEDY}"),
            None => bail!("its type has the number {number}, which rerank does not know; {REMEDY}"),
        }
    }

    fn row(self) -> Row {
        KINDS.iter().copied().find(|(_, kind, ..)| *kind == self).unwrap_or((0, Self::F32, "F32", 1, 4))
    }

    /// Its name.
    pub(in crate::checkpoint) fn name(self) -> &'static str {
        self.row().2
    }

    /// Values in a block.
    pub(super) fn block_values(self) -> usize {
        self.row().3
    }

    /// Bytes of a block.
    pub(super) fn block_bytes(self) -> usize {
        self.row().4
    }

    /// Whether values share scales, and take less memory than single ones.
    pub(in crate::checkpoint) fn is_quantized(self) -> bool {
        self.block_values() > 1
    }
}
