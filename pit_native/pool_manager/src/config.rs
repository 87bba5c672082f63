//! What is told to the pool, and what it tells: settings, errors, numbers.

use crate::entry::{Kind, LoadError};
use crate::ledger::Size;
use crate::restarts::Restarts;
use crate::state::State;
use std::sync::Arc;
use std::time::Duration;

/// What happens with a value that leaves the pool: it gets the entry's id and the value.
pub type UnloadHook<T> = Arc<dyn Fn(&str, T) + Send + Sync>;

/// How a pool behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many entries may be loaded at once; idle ones are evicted, those that are worth least first.
    pub capacity: usize,
    /// Bytes of main memory that loaded entries may occupy; unlimited when absent.
    pub memory: Option<u64>,
    /// Bytes of GPU memory that they may occupy; when absent, what NVML says is free when an entry that
    /// needs some is first registered.
    pub gpu_memory: Option<u64>,
    /// An entry that nobody held for this long cools down; never, when absent.
    pub idle: Option<Duration>,
    /// How long a cooling entry can still be asked back before it is unloaded.
    pub cooling: Duration,
    /// How many loaders run at once.
    pub loaders: usize,
    /// How often values are checked and measured; never, when absent.
    pub check: Option<Duration>,
    /// What happens after failures and deaths.
    pub restarts: Restarts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity: 128,
            memory: None,
            gpu_memory: None,
            idle: Some(Duration::from_secs(300)),
            cooling: Duration::from_secs(2),
            loaders: 8,
            check: None,
            restarts: Restarts::default(),
        }
    }
}

/// Why an allocation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// No such id is registered.
    #[error("the pool has no entry {0:?}")]
    Unknown(String),
    /// The entry was not Ready in time.
    #[error("{id:?} was not ready within {seconds} s: {waited_for}")]
    Timeout {
        /// The entry.
        id: String,
        /// The timeout, in seconds, as text.
        seconds: String,
        /// What it waited for.
        waited_for: &'static str,
    },
    /// The loader failed; the next allocation tries again after a growing pause.
    #[error("loading {id:?} failed: {error}")]
    Load {
        /// The entry.
        id: String,
        /// What the loader said.
        error: LoadError,
    },
    /// The entry failed or died too often in a row; one try is made from time to time when it is asked for.
    #[error("{id:?} was given up after {failures} failures in a row, the last: {error}")]
    GivenUp {
        /// The entry.
        id: String,
        /// How many.
        failures: u32,
        /// The last.
        error: LoadError,
    },
    /// It needs more than the pool has, even when nothing else is loaded.
    #[error("{id:?} can never be loaded: {why}")]
    TooLarge {
        /// The entry.
        id: String,
        /// What it lacks.
        why: String,
    },
    /// A handle was used after its release.
    #[error("this handle has been released")]
    Released,
    /// The caller asked to stop waiting.
    #[error("waiting for the pool was interrupted")]
    Interrupted,
    /// The pool has been closed.
    #[error("the pool is closed")]
    Closed,
}

/// The pool in numbers, since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries that may be loaded at once.
    pub capacity: usize,
    /// Registered entries.
    pub entries: usize,
    /// Entries that hold or are getting a value.
    pub loaded: usize,
    /// What they occupy.
    pub used: Size,
    /// Bytes of main memory that they may occupy.
    pub memory: Option<u64>,
    /// Bytes of GPU memory that they may occupy, or why there is none.
    pub gpu: Option<Result<u64, String>>,
    /// Entries in each state, in the order of [`State::ALL`].
    pub states: [usize; 6],
    /// Leases that are out.
    pub held: u64,
    /// Allocations of entries that are registered now.
    pub allocations: u64,
    /// Allocations that had to wait.
    pub waits: u64,
    /// Loads that succeeded.
    pub loads: u64,
    /// Loads that failed.
    pub failures: u64,
    /// Entries unloaded to make room.
    pub evictions: u64,
    /// Entries unloaded because nobody used them.
    pub idle_unloads: u64,
    /// Entries dropped because somebody said that they are of no use any more.
    pub discards: u64,
    /// Entries whose value was found dead.
    pub deaths: u64,
    /// Loads that the pool began by itself after a death.
    pub restarts: u64,
    /// Entries that are given up now.
    pub given_up: usize,
    /// Loads begun before anybody asked.
    pub prewarmed: u64,
    /// Those of them that were used.
    pub prewarm_hits: u64,
    /// Those that were unloaded without having been used.
    pub prewarm_misses: u64,
}

/// One entry in numbers and words.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Where it is in its life.
    pub state: State,
    /// What it is.
    pub kind: Kind,
    /// What it occupies when it is loaded: as measured, else as declared.
    pub size: Size,
    /// Whether the size was measured.
    pub is_measured: bool,
    /// Seconds that a load takes, smoothed; none before the first.
    pub load_seconds: Option<f64>,
    /// Failed loads and early deaths in a row.
    pub failures: u32,
    /// Whether the pool has given it up.
    pub is_given_up: bool,
    /// The last failure or death.
    pub reason: Option<String>,
    /// How long it is not tried again.
    pub pause: Option<Duration>,
}
