//! This machine's GPUs, as NVML tells of them. Its library is loaded when it is first asked for.

mod owner;
mod time;

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

pub use owner::owner_of;
pub use time::{GpuTime, GpuUse, Owner};

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

fn said(error: &NvmlError) -> String {
    format!("NVML: {error}")
}

/// The GPUs' memory now, or why there is none.
pub fn gpu_memory() -> Result<GpuMemory, String> {
    let nvml = library()?;
    let devices = nvml.device_count().map_err(|error| said(&error))?;
    let mut all = GpuMemory {
        devices,
        total: 0,
        free: 0,
    };
    for index in 0..devices {
        let device = nvml.device_by_index(index).map_err(|error| said(&error))?;
        let memory = device.memory_info().map_err(|error| said(&error))?;
        all.total += memory.total;
        all.free += memory.free;
    }
    if devices == 0 {
        return Err("NVML finds no GPU".to_owned());
    }
    Ok(all)
}

/// Bytes of GPU memory by process, as far as the driver tells them; a process on two GPUs comes twice.
pub fn gpu_memory_by_process() -> Result<Vec<(u32, u64)>, String> {
    let nvml = library()?;
    let mut held = Vec::new();
    for index in 0..nvml.device_count().map_err(|error| said(&error))? {
        let device = nvml.device_by_index(index).map_err(|error| said(&error))?;
        let running = device
            .running_compute_processes()
            .map_err(|error| said(&error))?;
        held.extend(
            running
                .iter()
                .filter_map(|process| match process.used_gpu_memory {
                    UsedGpuMemory::Used(bytes) => Some((process.pid, bytes)),
                    UsedGpuMemory::Unavailable => None,
                }),
        );
    }
    Ok(held)
}

/// Notes in `time` what processes have used of every GPU since the last look; `owner` says whose each of them is.
/// Where NVML cannot tell (no library, no GPU, a GPU in parts) it is an error.
pub fn look_at_gpus(time: &mut GpuTime, mut owner: impl FnMut(u32) -> Owner) -> Result<(), String> {
    let nvml = library()?;
    let devices = nvml.device_count().map_err(|error| said(&error))?;
    for index in 0..devices {
        let device = nvml.device_by_index(index).map_err(|error| said(&error))?;
        let now = micros_now();
        let samples = match device.process_utilization_stats(time.seen(index, now)) {
            Ok(samples) => samples,
            // Nobody has used it.
            Err(NvmlError::NotFound) => Vec::new(),
            Err(error) => return Err(said(&error)),
        };
        let uses = samples.into_iter().map(|sample| GpuUse {
            pid: sample.pid,
            at: sample.timestamp,
            share: f64::from(sample.sm_util) / 100.0,
        });
        time.note(index, uses.collect(), now, &mut owner);
    }
    match devices {
        0 => Err("NVML finds no GPU".to_owned()),
        _ => Ok(()),
    }
}

impl GpuTime {
    /// Somebody is watched from now on: what was before does not count.
    pub fn begin(&mut self) {
        self.begin_at(micros_now());
    }
}

/// Microseconds since the epoch: the clock of NVML's samples.
fn micros_now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    })
}
