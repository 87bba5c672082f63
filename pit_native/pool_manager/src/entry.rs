//! One thing that the pool can load: a Player or a local model.

use crate::pool::Shared;
use crate::state::{State, Word};
use parking_lot::Mutex;
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

/// What a loader said when it failed.
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

/// Makes the value of an entry. Called on a worker thread of the pool.
pub trait Loader<T>: Send + Sync {
    /// The value for `id`.
    fn load(&self, id: &str) -> Result<T, LoadError>;

    /// Makes a loaded value ready for its first use.
    fn warm(&self, _id: &str, _value: &T) -> Result<(), LoadError> {
        Ok(())
    }
}

impl<T, F: Fn(&str) -> Result<T, LoadError> + Send + Sync> Loader<T> for F {
    fn load(&self, id: &str) -> Result<T, LoadError> {
        self(id)
    }
}

/// What one entry does differently from the pool's [`crate::Config`].
#[derive(Clone, Copy, Debug, Default)]
pub struct EntryOptions {
    /// Its own idle time.
    pub idle: Option<Duration>,
}

/// What happened with the loads of an entry.
#[derive(Default)]
pub(crate) struct LoadHistory {
    /// Failures since the last success.
    pub(crate) failures: u32,
    /// Rises with each failure, so that a waiter sees its own.
    pub(crate) failure_count: u64,
    /// The last failure.
    pub(crate) error: Option<LoadError>,
    /// Not before this moment is it loaded again.
    pub(crate) retry_at: Option<Instant>,
}

/// One registered entry. The pool hands out [`Arc`]s of it as keys that skip the lookup by id.
pub struct Entry<T: Clone + Send + Sync + 'static> {
    pub(crate) id: Box<str>,
    /// The pool; the circle is broken when the pool is closed or forgets the entry.
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) word: Word,
    /// Written only by who holds the pool's mutex and found the entry without holders in a state
    /// below Ready; read only by holders.
    value: UnsafeCell<Option<T>>,
    pub(crate) loader: Arc<dyn Loader<T>>,
    pub(crate) options: EntryOptions,
    /// When it was last used, on the pool's clock of allocations.
    pub(crate) stamp: AtomicU64,
    /// Threads that wait for this entry; with any it is not evicted.
    pub(crate) waiters: AtomicU32,
    pub(crate) history: Mutex<LoadHistory>,
}

// SAFETY: `value` follows the protocol above; everything else is Sync by itself.
unsafe impl<T: Clone + Send + Sync + 'static> Sync for Entry<T> {}

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
            word: Word::new(),
            value: UnsafeCell::new(None),
            loader,
            options,
            stamp: AtomicU64::new(0),
            waiters: AtomicU32::new(0),
            history: Mutex::default(),
        }
    }

    /// The id under which it is registered.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.word.state()
    }

    /// The value, for a holder.
    ///
    /// # Safety
    /// The caller holds the entry ([`Word::hold`] returned true and it has not given it back).
    pub(crate) unsafe fn value(&self) -> Option<&T> {
        // SAFETY: while there is a holder the cell is not written.
        unsafe { (*self.value.get()).as_ref() }
    }

    /// Puts a value in, or takes it out.
    ///
    /// # Safety
    /// The caller holds the pool's mutex, and the entry has no holders and can get none: its state is
    /// Unloaded, Loading or Warming, or it is detached.
    pub(crate) unsafe fn replace(&self, value: Option<T>) -> Option<T> {
        // SAFETY: nobody reads, for reading needs a holder; nobody else writes, for that needs the mutex.
        unsafe { std::mem::replace(&mut *self.value.get(), value) }
    }
}
