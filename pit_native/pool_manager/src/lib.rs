//! Hands out Players and local models that are loaded and warm.
//!
//! An entry goes Unloaded → Loading → Warming → Ready ⇄ Active, and Ready → Cooling → Ready or
//! Unloaded. Allocating an entry that is loaded is one compare-and-swap and takes no lock; all else
//! (loading, eviction, waiting) happens under one mutex, which is never held while a loader or an
//! unload hook runs.

mod entry;
mod lease;
mod loading;
mod pool;
mod reaper;
mod state;
mod waiting;

pub use entry::{Entry, EntryOptions, LoadError, Loader};
pub use lease::Lease;
pub use pool::PoolManager;
pub use state::State;

use std::sync::Arc;
use std::time::Duration;

/// What happens with a value that leaves the pool: it gets the entry's id and the value.
pub type UnloadHook<T> = Arc<dyn Fn(&str, T) + Send + Sync>;

/// How a pool behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many entries may be loaded at once; idle ones are evicted, least recently used first.
    pub capacity: usize,
    /// An entry that nobody held for this long cools down; never, when absent.
    pub idle: Option<Duration>,
    /// How long a cooling entry can still be asked back before it is unloaded.
    pub cooling: Duration,
    /// How many loaders run at once.
    pub loaders: usize,
    /// The wait after the first failed load; it doubles with each further one.
    pub backoff: Duration,
    /// The longest such wait.
    pub backoff_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity: 128,
            idle: Some(Duration::from_secs(300)),
            cooling: Duration::from_secs(2),
            loaders: 8,
            backoff: Duration::from_millis(50),
            backoff_limit: Duration::from_secs(10),
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
    /// Entries found dead.
    pub discards: u64,
}
