//! Tensors of safetensors files, looked up by name and checked against the shape that the configuration demands.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};

/// The tensors of one checkpoint, in one file or in several.
pub struct Weights {
    tensors: MmapedSafetensors,
    files: String,
    device: Device,
}

impl Weights {
    /// Maps the files and reads their headers. Tensors will be put on `device`.
    ///
    /// # Errors
    /// If a file can't be read, is cut off or not safetensors.
    pub fn open(paths: &[PathBuf], device: &Device) -> Result<Self> {
        for path in paths {
            File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            // SAFETY: the mapping lives for this check only. As for every mapped file, another program that cuts it
            // meanwhile ends this one.
            unsafe { MmapedSafetensors::new(path) }.with_context(|| broken(path))?;
        }
        let files = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        // SAFETY: the tensors are copied out of the mapping while the model loads, and it is dropped then. As above, the
        // files must not be cut while that goes on; safetensors checks that every tensor lies inside its file.
        let tensors = unsafe { MmapedSafetensors::multi(paths) }.with_context(|| format!("cannot read {files}"))?;
        Ok(Self { tensors, files, device: device.clone() })
    }

    /// A tensor in the type that the file has.
    ///
    /// # Errors
    /// If it is missing, of another shape, or of a type other than f32, f16 and bf16.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.check(name, shape)?;
        let tensor = self.tensors.load(name, &self.device).with_context(|| format!("{}: tensor {name}", self.files))?;
        ensure!(
            matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16),
            "{}: tensor {name} is of type {:?}; rerank reads f32, f16 and bf16",
            self.files,
            tensor.dtype()
        );
        Ok(tensor)
    }

    /// A small tensor, widened to f32.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn get_f32(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.get(name, shape)?.to_dtype(DType::F32)?)
    }

    /// One row of a matrix, widened to f32; the others are not read.
    ///
    /// # Errors
    /// As [`Weights::get`], and if there is no such row.
    pub fn row_f32(&self, name: &str, shape: [usize; 2], row: usize) -> Result<Vec<f32>> {
        self.check(name, &shape)?;
        ensure!(row < shape[0], "{}: tensor {name} has {} rows, and token {row} none", self.files, shape[0]);
        let view = self.tensors.get(name)?;
        let bytes = view.data().len() / shape[0];
        let dtype = DType::try_from(view.dtype())?;
        let row = Tensor::from_raw_buffer(&view.data()[row * bytes..][..bytes], dtype, &[shape[1]], &Device::Cpu)?;
        Ok(row.to_dtype(DType::F32)?.to_vec1()?)
    }

    fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let Ok(view) = self.tensors.get(name) else {
            bail!("{}: tensor {name} is missing; is the model complete?", self.files)
        };
        ensure!(
            view.shape() == shape,
            "{}: tensor {name} has shape {:?}, and config.json demands {shape:?}",
            self.files,
            view.shape()
        );
        Ok(())
    }
}

fn broken(path: &Path) -> String {
    format!("{} is not a complete safetensors file; download it again", path.display())
}
