//! What an NVIDIA GPU is doing, from the management library (NVML), where it is installed.

use nvml_wrapper::Nvml;

use super::device::Load;

/// One GPU's gauges.
pub(super) struct Monitor {
    nvml: Nvml,
    uuid: String,
}

impl Monitor {
    /// By the identity that the driver gives: the library counts GPUs otherwise. None where it is not installed.
    pub(super) fn new(uuid: [u8; 16]) -> Option<Self> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let parts = [&uuid[..4], &uuid[4..6], &uuid[6..8], &uuid[8..10], &uuid[10..]].map(hex);
        let monitor = Self { nvml: Nvml::init().ok()?, uuid: format!("GPU-{}", parts.join("-")) };
        monitor.nvml.device_by_uuid(&*monitor.uuid).ok()?;
        Some(monitor)
    }

    /// The gauges now.
    pub(super) fn load(&self) -> Option<Load> {
        let device = self.nvml.device_by_uuid(&*self.uuid).ok()?;
        Some(Load {
            utilization: f64::from(device.utilization_rates().ok()?.gpu) / 100.,
            watts: f64::from(device.power_usage().ok()?) / 1000.,
            used_memory: device.memory_info().ok()?.used,
        })
    }
}
