//! The right to use an entry for a while.

use crate::entry::Entry;
use crate::slot::Hold;
use crate::state::Given;
use std::sync::Arc;

/// Holds an entry; given back when dropped.
pub struct Lease<T: Clone + Send + Sync + 'static> {
    entry: Arc<Entry<T>>,
    hold: Hold,
}

impl<T: Clone + Send + Sync + 'static> Lease<T> {
    /// For an entry of which the caller has just become a holder.
    #[inline]
    pub(crate) fn new(entry: Arc<Entry<T>>, hold: Hold) -> Self {
        Self { entry, hold }
    }

    /// The id of the entry.
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// The entry.
    pub(crate) fn entry(&self) -> &Arc<Entry<T>> {
        &self.entry
    }

    /// The loader's value.
    #[inline]
    pub fn value(&self) -> &T {
        self.entry.slot.value(&self.hold)
    }
}

impl<T: Clone + Send + Sync + 'static> Drop for Lease<T> {
    #[inline]
    fn drop(&mut self) {
        match self.entry.slot.give_back(&mut self.hold) {
            Given::Held => {}
            Given::Idle => self.entry.shared.bell.ring(&self.entry.shared.slow),
            Given::Orphaned => self.entry.shared.unload_orphan(&self.entry),
        }
    }
}
