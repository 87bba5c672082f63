//! What calls use of the machine: time of CPU and GPUs of the Player, shared among the calls that run at once, and
//! memory.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use run_loop::ports::Usage;
use rustc_hash::FxHashMap;

use crate::runtime_gpu::WatchedPlayer;

/// The kernel formats a whole page to tell the peak of memory, so it is asked no more often.
const PEAK_INTERVAL: Duration = Duration::from_millis(20);

/// Meters the calls of one Player's process.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: i32,
    clock: Option<libc::clockid_t>,
    /// Of a Player that was granted GPUs.
    gpus: Option<WatchedPlayer>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// CPU time of the process when it was last looked at.
    cpu: f64,
    /// What a call that was open all the time would have had of it.
    each: f64,
    /// The same of the GPUs' time; none as long as nothing tells it.
    gpu: Option<GpuShare>,
    peak: Option<u64>,
    asked: Option<Instant>,
    open: FxHashMap<u64, Open>,
    ended: FxHashMap<u64, Usage>,
}

/// GPU time in seconds.
#[derive(Debug, Clone, Copy, Default)]
struct GpuShare {
    /// Of the Player when it was last looked at.
    seconds: f64,
    /// What a call that was open all the time would have had of it.
    each: f64,
    /// Processes seen so far that may be the Player's or not.
    strangers: u64,
}

/// A call that has not ended.
#[derive(Debug)]
struct Open {
    began: Instant,
    /// [`State::each`] and [`State::gpu`] when it began.
    since: f64,
    gpu_since: Option<GpuShare>,
    /// What programs have used that it had executed.
    charged: Usage,
}

impl Meter {
    pub(crate) fn new(pid: i32, gpus: Option<WatchedPlayer>) -> Self {
        Self {
            pid,
            clock: clock_of(pid),
            gpus,
            state: Mutex::default(),
        }
    }

    /// Bytes of GPU memory that the Player holds.
    pub(crate) fn gpu_memory(&self) -> u64 {
        self.gpus.as_ref().map_or(0, WatchedPlayer::memory)
    }

    /// A call begins.
    pub(crate) fn begin(&self, tag: u64) {
        if let Some(gpus) = &self.gpus {
            gpus.begin();
        }
        let mut state = self.state.lock();
        self.share(&mut state);
        let call = Open {
            began: Instant::now(),
            since: state.each,
            gpu_since: state.gpu,
            charged: Usage::default(),
        };
        state.open.insert(tag, call);
    }

    /// A program that the call had executed has used this.
    pub(crate) fn charge(&self, tag: u64, cpu_seconds: f64, memory: u64) {
        if let Some(call) = self.state.lock().open.get_mut(&tag) {
            let usage = &mut call.charged;
            usage.cpu_seconds += cpu_seconds;
            usage.peak_memory = usage.peak_memory.max(Some(memory));
        }
    }

    /// A call ends.
    pub(crate) fn end(&self, tag: u64) {
        let mut state = self.state.lock();
        self.share(&mut state);
        let now = Instant::now();
        if state.asked.is_none_or(|asked| now - asked >= PEAK_INTERVAL) {
            state.peak = peak_of(self.pid).or(state.peak);
            state.asked = Some(now);
        }
        if let Some(call) = state.open.remove(&tag) {
            let usage = Usage {
                cpu_seconds: call.charged.cpu_seconds + state.each - call.since,
                peak_memory: call.charged.peak_memory.max(state.peak),
                gpu_share: gpu_share(call.gpu_since, state.gpu, now - call.began),
            };
            state.ended.insert(tag, usage);
        }
        drop(state);
        if let Some(gpus) = &self.gpus {
            gpus.end();
        }
    }

    /// What an ended call has used; forgotten by this.
    pub(crate) fn take(&self, tag: u64) -> Option<Usage> {
        self.state.lock().ended.remove(&tag)
    }

    /// What the process has used since the last look belongs to all open calls alike.
    fn share(&self, state: &mut State) {
        let calls = state.open.len().max(1) as f64;
        state.gpu = self
            .gpus
            .as_ref()
            .and_then(WatchedPlayer::look)
            .map(|seen| {
                let known = state.gpu.unwrap_or(GpuShare {
                    seconds: seen.seconds,
                    ..GpuShare::default()
                });
                GpuShare {
                    seconds: seen.seconds,
                    each: known.each + (seen.seconds - known.seconds).max(0.0) / calls,
                    strangers: seen.strangers,
                }
            });
        // A process that has ended has no clock any more.
        let Some(cpu) = self.clock.and_then(cpu_at) else {
            return;
        };
        state.each += (cpu - state.cpu).max(0.0) / calls;
        state.cpu = cpu;
    }
}

/// How much of one GPU a call has kept busy throughout; none where that is not known from its begin to its end, and
/// where it used none but somebody did of whom nobody can tell who it is.
fn gpu_share(since: Option<GpuShare>, until: Option<GpuShare>, lasted: Duration) -> Option<f64> {
    let (since, until) = (since?, until?);
    let busy = until.each - since.each;
    if busy <= 0.0 && until.strangers != since.strangers {
        return None;
    }
    Some(busy / lasted.as_secs_f64().max(busy).max(f64::MIN_POSITIVE))
}

/// The clock of a process's CPU time, which counts nanoseconds where `/proc/PID/stat` counts ticks of 10 ms.
fn clock_of(pid: i32) -> Option<libc::clockid_t> {
    let mut clock = 0;
    // SAFETY: it writes where it is told and nowhere else.
    let failed = unsafe { libc::clock_getcpuclockid(pid, &mut clock) };
    (failed == 0).then_some(clock)
}

/// The seconds that such a clock shows.
fn cpu_at(clock: libc::clockid_t) -> Option<f64> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: it writes where it is told and nowhere else; `time` is read only when written.
    let time = unsafe {
        if libc::clock_gettime(clock, time.as_mut_ptr()) != 0 {
            return None;
        }
        time.assume_init()
    };
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// The most memory that a process has held since it began, in bytes.
fn peak_of(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
