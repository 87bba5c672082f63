//! One thing that the pool can load: a Player or a local model.

use crate::ledger::Size;
use crate::pool::Shared;
use crate::restarts::History;
use crate::slot::Slot;
use crate::state::State;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What a loader said when it failed, or a value that died.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// One line: what, why, what to do.
    pub message: String,
    /// False when trying again cannot help.
    pub may_pass: bool,
}

impl LoadError {
    /// A failure that may pass.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            may_pass: true,
        }
    }
}

/// Makes the value of an entry. Called on threads of the pool, never with a lock held.
pub trait Loader<T>: Send + Sync {
    /// The value for `id`.
    fn load(&self, id: &str) -> Result<T, LoadError>;

    /// Makes a loaded value ready for its first use.
    fn warm(&self, _id: &str, _value: &T) -> Result<(), LoadError> {
        Ok(())
    }

    /// What a loaded value occupies now; where it cannot tell, what was declared counts.
    fn measure(&self, _id: &str, _value: &T) -> Option<Size> {
        None
    }

    /// Whether a loaded value still works; if not, why. Asked every [`crate::Config::check`] and must not wait.
    fn check(&self, _id: &str, _value: &T) -> Result<(), String> {
        Ok(())
    }
}

impl<T, F: Fn(&str) -> Result<T, LoadError> + Send + Sync> Loader<T> for F {
    fn load(&self, id: &str) -> Result<T, LoadError> {
        self(id)
    }
}

/// What an entry is. The pool treats all alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A process of an extension.
    Player,
    /// Something that lives in the host.
    #[default]
    Model,
}

impl Kind {
    /// The lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Model => "model",
        }
    }
}

/// What one entry does differently from the pool's [`crate::Config`].
#[derive(Clone, Copy, Debug, Default)]
pub struct EntryOptions {
    /// Its own idle time.
    pub idle: Option<Duration>,
    /// What it is.
    pub kind: Kind,
    /// What it occupies, as long as that has not been measured.
    pub size: Size,
}

/// One registered entry. The pool hands out [`Arc`]s of it as keys that skip the lookup by id.
pub struct Entry<T: Clone + Send + Sync + 'static> {
    pub(crate) id: Box<str>,
    /// The pool; the circle is broken when the pool is closed or forgets the entry.
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) slot: Slot<T>,
    pub(crate) loader: Arc<dyn Loader<T>>,
    pub(crate) options: EntryOptions,
    /// When it was last used, on the pool's clock of allocations.
    pub(crate) stamp: AtomicU64,
    /// The pool's floor at its last use (the bits of an f64): see [`crate::eviction`].
    pub(crate) floor: AtomicU64,
    /// Allocations before the value that it has now.
    pub(crate) earlier: AtomicU64,
    /// How often it is expected to be used soon (the bits of an f64).
    pub(crate) expected: AtomicU64,
    /// It was loaded before anybody asked, and nobody has used it yet.
    pub(crate) is_ahead: AtomicBool,
    /// Milliseconds of its own idle time; 0 for the pool's.
    pub(crate) idle: AtomicU64,
    /// Threads that wait for this entry; with any it is not evicted.
    pub(crate) waiters: AtomicU32,
    /// What is booked for it; changed with the pool's mutex held.
    pub(crate) booked: Mutex<Option<Size>>,
    /// Shared with the entries that take its place when a value dies.
    pub(crate) history: Arc<Mutex<History>>,
}

impl<T: Clone + Send + Sync + 'static> Entry<T> {
    pub(crate) fn new(
        id: &str,
        shared: Arc<Shared<T>>,
        loader: Arc<dyn Loader<T>>,
        options: EntryOptions,
    ) -> Self {
        Self {
            id: id.into(),
            shared,
            slot: Slot::new(),
            loader,
            options,
            stamp: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            earlier: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            is_ahead: AtomicBool::new(false),
            idle: AtomicU64::new(options.idle.map_or(0, milliseconds)),
            waiters: AtomicU32::new(0),
            booked: Mutex::new(None),
            history: Arc::default(),
        }
    }

    /// An empty entry in the place of this one, which knows what happened to it.
    pub(crate) fn successor(&self) -> Self {
        let fresh = Self::new(
            &self.id,
            Arc::clone(&self.shared),
            Arc::clone(&self.loader),
            self.options,
        );
        fresh
            .idle
            .store(self.idle.load(Ordering::Relaxed), Ordering::Relaxed);
        fresh
            .expected
            .store(self.expected.load(Ordering::Relaxed), Ordering::Relaxed);
        Self {
            history: Arc::clone(&self.history),
            ..fresh
        }
    }

    /// The id under which it is registered.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.slot.state()
    }

    /// What is booked for its next load.
    pub(crate) fn size(&self) -> Size {
        self.history.lock().measured.unwrap_or(self.options.size)
    }

    pub(crate) fn idle_time(&self) -> Option<Duration> {
        match self.idle.load(Ordering::Relaxed) {
            0 => self.shared.config.idle,
            own => Some(Duration::from_millis(own)),
        }
    }
}

/// At least 1, for 0 means "none".
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
