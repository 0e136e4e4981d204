//! Which device computes: `auto`, `cpu`, `cuda`, `cuda:N`, `metal`.

use std::str::FromStr;

use anyhow::{Result, bail};
use candle_core::Device;

use crate::kernels::Precision;

/// `--device` as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best device that this build and machine have.
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, counted from 0.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "use auto, cpu, cuda, cuda:N or metal".to_owned()),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// If this build has no support for it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(_) => bail!("this build of rerank has no CUDA support; use --device cpu"),
            Self::Metal => bail!("this build of rerank has no Metal support; use --device cpu"),
        }
    }
}

/// The precision of products where the user does not say: on the CPU, f32, so that scores are the same on every machine to
/// many digits; `--dtype bf16` is there for speed.
pub fn default_precision(device: &Device) -> Precision {
    match device {
        Device::Cpu => Precision::F32,
        Device::Cuda(_) | Device::Metal(_) => Precision::Bf16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_typed() {
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        for wrong in ["gpu", "cuda:", "cuda:x", "CPU", ""] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }
}
