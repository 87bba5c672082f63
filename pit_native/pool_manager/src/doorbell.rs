//! Waking who waits for room, by threads that take no lock while nobody waits.
//!
//! Who gives an entry back changes its word and then looks whether somebody waits. Who waits says so first
//! and then looks at the words, each by a read-modify-write ([`crate::slot::Slot::observe`]). The changes of one
//! word have one order: either the waiter sees the idle entry, or the giver's change follows the waiter's
//! look and with it sees that somebody waits. Acquire and release suffice for that.

use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering};

/// Counts who waits for room, and wakes them.
pub(crate) struct Doorbell {
    waiting: AtomicUsize,
    /// Signalled, with the mutex held, when something has changed that a waiter may wait for.
    pub(crate) changed: Condvar,
}

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            changed: Condvar::new(),
        }
    }

    /// From now on whoever makes an entry idle rings.
    pub(crate) fn join(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
    }

    /// The end of [`Self::join`].
    pub(crate) fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether somebody waits for room.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Wakes all, if there are any. The mutex is the one that waiters hold while they look.
    #[inline]
    pub(crate) fn ring<S>(&self, mutex: &Mutex<S>) {
        if self.is_awaited() {
            let _held = mutex.lock();
            self.changed.notify_all();
        }
    }
}
