//! What calls use of the machine: CPU time of the Player, shared among the calls that run at once, and memory.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use run_loop::ports::Usage;
use rustc_hash::FxHashMap;

/// The kernel formats a whole page to tell the peak of memory, so it is asked no more often.
const PEAK_INTERVAL: Duration = Duration::from_millis(20);

/// Meters the calls of one Player's process.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: i32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// CPU time of the process when it was last looked at.
    cpu: f64,
    peak: Option<u64>,
    asked: Option<Instant>,
    open: FxHashMap<u64, Usage>,
    ended: FxHashMap<u64, Usage>,
}

impl Meter {
    pub(crate) fn new(pid: i32) -> Self {
        Self {
            pid,
            state: Mutex::default(),
        }
    }

    /// A call begins.
    pub(crate) fn begin(&self, tag: u64) {
        let mut state = self.state.lock();
        self.share(&mut state);
        state.open.insert(tag, Usage::default());
    }

    /// A program that the call had executed has used this.
    pub(crate) fn charge(&self, tag: u64, cpu_seconds: f64, memory: u64) {
        if let Some(usage) = self.state.lock().open.get_mut(&tag) {
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
        if let Some(mut usage) = state.open.remove(&tag) {
            usage.peak_memory = usage.peak_memory.max(state.peak);
            state.ended.insert(tag, usage);
        }
    }

    /// What an ended call has used; forgotten by this.
    pub(crate) fn take(&self, tag: u64) -> Option<Usage> {
        self.state.lock().ended.remove(&tag)
    }

    /// What the process has used since the last look belongs to all open calls alike.
    fn share(&self, state: &mut State) {
        // A process that has ended has no clock any more.
        let Some(cpu) = cpu_of(self.pid) else {
            return;
        };
        let each = (cpu - state.cpu).max(0.0) / state.open.len().max(1) as f64;
        state.cpu = cpu;
        for usage in state.open.values_mut() {
            usage.cpu_seconds += each;
        }
    }
}

/// CPU seconds of a process by its clock, which counts nanoseconds where `/proc/PID/stat` counts ticks of 10 ms.
fn cpu_of(pid: i32) -> Option<f64> {
    let mut clock = 0;
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: both calls write where they are told and nowhere else; `time` is read only when written.
    let time = unsafe {
        if libc::clock_getcpuclockid(pid, &mut clock) != 0
            || libc::clock_gettime(clock, time.as_mut_ptr()) != 0
        {
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
