//! The load of GPUs during a run: sampled now and then, and reported at the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::device::Opened;
use crate::engine::gpu::{Device, Load};

/// How often the load is sampled.
const EVERY: Duration = Duration::from_millis(500);

/// One GPU's figures of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GpuFigures {
    /// The GPU's description.
    pub name: String,
    /// The most memory that was in use, by all programs, in bytes.
    pub peak_memory: Option<u64>,
    /// The share of time in which some kernel ran, on average, 0 to 1.
    pub utilization: Option<f64>,
    /// The power that it drew on average.
    pub watts: Option<f64>,
}

/// Samples the load of the GPUs of a run.
pub struct Watch {
    gpus: Vec<(Arc<dyn Device>, Vec<Load>)>,
    looked: Instant,
}

impl Watch {
    /// Makes a watch over those of a run's devices that are GPUs.
    pub fn new(devices: &[Opened]) -> Self {
        let gpu = |device: &Opened| match device {
            Opened::Cpu => None,
            Opened::Gpu(device) => Some((Arc::clone(device), Vec::new())),
        };
        Self { gpus: devices.iter().filter_map(gpu).collect(), looked: Instant::now() }
    }

    /// Samples the load, if the last sample is old enough.
    pub fn look(&mut self) {
        if self.gpus.is_empty() || self.looked.elapsed() < EVERY {
            return;
        }
        self.looked = Instant::now();
        for (gpu, loads) in &mut self.gpus {
            loads.extend(gpu.load());
        }
    }

    /// The figures of the samples so far.
    pub fn figures(&self) -> Vec<GpuFigures> {
        self.gpus.iter().map(|(gpu, loads)| figures(gpu.describe(), loads)).collect()
    }
}

fn figures(name: String, loads: &[Load]) -> GpuFigures {
    let mean = |value: fn(&Load) -> f64| {
        (!loads.is_empty()).then(|| loads.iter().map(value).sum::<f64>() / loads.len() as f64)
    };
    GpuFigures {
        name,
        peak_memory: loads.iter().map(|load| load.used_memory).max(),
        utilization: mean(|load| load.utilization),
        watts: mean(|load| load.watts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_peaks_and_means() {
        let load = |utilization, watts, used_memory| Load { utilization, watts, used_memory };
        let seen = figures("a card".to_owned(), &[load(0.5, 100., 7), load(1., 300., 5)]);
        assert_eq!(
            seen,
            GpuFigures { name: "a card".to_owned(), peak_memory: Some(7), utilization: Some(0.75), watts: Some(200.) }
        );
        assert_eq!(figures(String::new(), &[]), GpuFigures::default());
    }
}
