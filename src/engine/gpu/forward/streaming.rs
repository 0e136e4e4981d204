//! The matrices of all layers. Those that are not on the device are uploaded whenever a pass comes to them, after Hugging Face
//! Accelerate's offloading to the processor; here the next layer is written and copied while the device computes.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::matrices::{Matrices, Merged};
use super::placement::Placement;
use super::weights::{Load, of_layer};
use crate::checkpoint::Weights;
use crate::engine::Model;
use crate::engine::gpu::{Gpu, SLOTS, Uploads};
use crate::model::Architecture;

/// The most bytes of a piece that is copied at once: enough for the bus.
const PIECE_BYTES: usize = 16 << 20;
/// The pieces of a layer, at least: while one is copied, the next one is written.
const PIECES: usize = 8;

/// The matrices of all layers.
pub(super) struct LayerMatrices {
    /// Those on the device; none for layers that are uploaded.
    resident: Vec<Option<Matrices>>,
    streaming: Option<Streaming>,
}

/// The layers that are uploaded, and slots for them.
struct Streaming {
    architecture: Arc<Architecture>,
    weights: Arc<Weights>,
    gpu: Gpu,
    /// Dropped first: what is copied into the slots is over then.
    uploads: Box<dyn Uploads>,
    piece_bytes: usize,
    slots: [Matrices; SLOTS],
    /// The slot of the next layer.
    slot: usize,
}

impl LayerMatrices {
    /// Copies the matrices of the layers that rest on the device, and makes slots for the others.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described, or there is no memory for them.
    pub(super) fn load(model: &Model, gpu: &Gpu, placement: &Placement) -> Result<Self> {
        let Model { architecture, weights, .. } = model;
        let layers = architecture.layers.iter().enumerate();
        let resident = layers.map(|(index, layer)| {
            if placement.is_streamed(index) {
                return Ok(None);
            }
            let gpu = of_layer(gpu, index, architecture);
            let load = Load { weights, gpu: &gpu };
            Matrices::make(layer, &gpu, |merged| load.matrix(merged)).map(Some)
        });
        let resident = resident.collect::<Result<_>>()?;
        let streaming = (placement.streamed > 0).then(|| Streaming::new(model, gpu)).transpose()?;
        Ok(Self { resident, streaming })
    }

    /// Whether a layer is uploaded when a pass comes to it.
    pub(super) fn is_streamed(&self, layer: usize) -> bool {
        self.resident[layer].is_none()
    }

    /// Begins a pass.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn begin(&mut self) -> Result<()> {
        let Some(Streaming { uploads, .. }) = &mut self.streaming else { return Ok(()) };
        // A pass that failed may have left kernels behind that read a slot.
        (0..SLOTS).try_for_each(|slot| uploads.leave(slot))
    }

    /// The matrices of a layer, for the kernels that are launched before the layer is left. Uploads only begin, and kernels wait for
    /// them: when this returns, the device may be layers behind.
    ///
    /// # Errors
    /// If the weights can't be read any more, or the device fails.
    pub(super) fn enter(&mut self, layer: usize) -> Result<&Matrices> {
        match &self.resident[layer] {
            Some(matrices) => Ok(matrices),
            None => self.streaming.as_mut().context("there are slots for layers that are uploaded")?.upload(layer),
        }
    }

    /// Ends the use of a layer's matrices.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn leave(&mut self, layer: usize) -> Result<()> {
        let is_streamed = self.is_streamed(layer);
        let Some(Streaming { uploads, slot, .. }) = self.streaming.as_mut().filter(|_| is_streamed) else {
            return Ok(());
        };
        uploads.leave(*slot)?;
        *slot = (*slot + 1) % SLOTS;
        Ok(())
    }
}

impl Streaming {
    fn new(model: &Model, gpu: &Gpu) -> Result<Self> {
        let Model { architecture, weights, .. } = model;
        let layer = architecture.layers.first().context("the model has no layers")?;
        let (mut bytes, mut longest_row) = (0, 1);
        for merged in Merged::of_layer(layer, gpu) {
            let [outputs, inputs] = merged.shape();
            bytes += outputs * inputs * gpu.value().size();
            longest_row = longest_row.max(inputs * gpu.value().size());
        }
        let piece_bytes = (bytes / PIECES).min(PIECE_BYTES).max(longest_row);
        let slot = || {
            Matrices::make(layer, gpu, |merged| {
                let [outputs, inputs] = merged.shape();
                gpu.weight(outputs, inputs)
            })
        };
        Ok(Self {
            architecture: Arc::clone(architecture),
            weights: Arc::clone(weights),
            uploads: gpu.uploads(piece_bytes)?,
            piece_bytes,
            slots: [slot()?, slot()?],
            slot: 0,
            gpu: gpu.clone(),
        })
    }

    fn upload(&mut self, layer: usize) -> Result<&Matrices> {
        let Self { architecture, weights, gpu, uploads, piece_bytes, slots, slot } = self;
        let matrices = &mut slots[*slot];
        uploads.enter(*slot)?;
        let merged = Merged::of_layer(&architecture.layers[layer], gpu);
        for (merged, weight) in merged.iter().zip(matrices.all_mut()) {
            let rows = merged.find(weights, gpu.value())?;
            let (outputs, row_bytes) = (weight.outputs(), weight.row_bytes());
            let step = *piece_bytes / row_bytes;
            for first in (0..outputs).step_by(step) {
                let bytes = step.min(outputs - first) * row_bytes;
                rows.write(first, &mut uploads.piece()?[..bytes]);
                weight.fill_from(&mut **uploads, first, bytes)?;
            }
        }
        uploads.deliver()?;
        Ok(matrices)
    }
}
