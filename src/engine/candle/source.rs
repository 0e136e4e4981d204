//! A checkpoint's tensors, as candle asks for them.

use std::sync::Arc;

use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use crate::checkpoint::Weights;
use crate::model::{self, Architecture};

/// The tensors that are described.
pub(super) struct Source {
    pub(super) architecture: Arc<Architecture>,
    pub(super) weights: Arc<Weights>,
}

impl Source {
    fn find(&self, name: &str) -> Option<&model::Tensor> {
        self.architecture.tensors().into_iter().find(|tensor| tensor.name == name)
    }

    /// The values of a tensor, widened to f32.
    fn values(&self, tensor: &model::Tensor) -> anyhow::Result<Vec<f32>> {
        if tensor.shape.len() == 1 {
            return self.weights.vector(tensor);
        }
        let (rows, inputs) = (self.weights.matrix(tensor)?, tensor.inputs());
        let mut values = vec![0.; tensor.rows.len() * inputs];
        values.chunks_mut(inputs).enumerate().for_each(|(row, values)| rows.row(row, values));
        Ok(values)
    }
}

impl SimpleBackend for Source {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        match *tensor.shape() == shape {
            true => Ok(tensor),
            false => {
                Err(Error::Msg(format!("tensor {name} is described as {:?}, and {shape:?} is needed", tensor.shape())))
            }
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let found = self.find(name).ok_or_else(|| Error::Msg(format!("tensor {name} is not described")))?;
        let values = self.values(found).map_err(|error| Error::Msg(format!("{error:#}")))?;
        self.weights.release(found);
        Tensor::from_vec(values, found.shape.as_slice(), device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
