//! The memory of this machine's GPUs, as NVML tells it. Its library is loaded when it is first asked for.

use nvml_wrapper::Nvml;
use std::sync::OnceLock;

/// All GPUs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemory {
    /// How many there are.
    pub devices: u32,
    /// Bytes.
    pub total: u64,
    /// Bytes that nobody uses now.
    pub free: u64,
}

fn library() -> Result<&'static Nvml, String> {
    static NVML: OnceLock<Result<Nvml, String>> = OnceLock::new();
    NVML.get_or_init(|| Nvml::init().map_err(|error| format!("no GPU that NVML knows of: {error}")))
        .as_ref()
        .map_err(Clone::clone)
}

/// The GPUs' memory now, or why there is none.
pub fn gpu_memory() -> Result<GpuMemory, String> {
    let nvml = library()?;
    let said = |error: nvml_wrapper::error::NvmlError| format!("NVML: {error}");
    let devices = nvml.device_count().map_err(said)?;
    let mut all = GpuMemory {
        devices,
        total: 0,
        free: 0,
    };
    for index in 0..devices {
        let device = nvml.device_by_index(index).map_err(said)?;
        let memory = device.memory_info().map_err(said)?;
        all.total += memory.total;
        all.free += memory.free;
    }
    if devices == 0 {
        return Err("NVML finds no GPU".to_owned());
    }
    Ok(all)
}
