//! Values of a GPU's types from and to f32.

use anyhow::Result;
use half::{bf16, f16};

use super::device::{Memory, Type};
use super::operations::Gpu;

impl Type {
    /// The bytes of values of this type.
    pub(super) fn narrowed(self, values: &[f32]) -> Vec<u8> {
        let values = values.iter();
        match self {
            Self::F32 => values.flat_map(|value| value.to_ne_bytes()).collect(),
            Self::Bf16 => values.flat_map(|value| bf16::from_f32(*value).to_ne_bytes()).collect(),
            Self::F16 => values.flat_map(|value| f16::from_f32(*value).to_ne_bytes()).collect(),
        }
    }

    /// The values of this type that bytes are.
    pub(super) fn widened(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect(),
            Self::Bf16 => bytes.as_chunks().0.iter().map(|bytes| bf16::from_ne_bytes(*bytes).to_f32()).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_ne_bytes(*bytes).to_f32()).collect(),
        }
    }
}

impl Gpu {
    /// Memory with these values, in the type of activations.
    ///
    /// # Errors
    /// As [`super::Device::allocate`].
    pub(super) fn narrowed(&self, values: &[f32]) -> Result<Memory> {
        let bytes = self.value().narrowed(values);
        let mut memory = self.memory(bytes.len())?;
        memory.upload(&bytes)?;
        Ok(memory)
    }

    /// The values in memory of the type of activations.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn widened(&self, memory: &Memory) -> Result<Vec<f32>> {
        let mut bytes = vec![0; memory.bytes()];
        memory.download(&mut bytes)?;
        Ok(self.value().widened(&bytes))
    }
}
