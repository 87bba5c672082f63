//! The right to use an entry for a while.

use crate::entry::Entry;
use crate::state::Given;
use std::sync::Arc;

/// Holds an entry; given back when dropped.
pub struct Lease<T: Clone + Send + Sync + 'static> {
    entry: Arc<Entry<T>>,
}

impl<T: Clone + Send + Sync + 'static> Lease<T> {
    /// For an entry of which the caller has just become a holder.
    #[inline]
    pub(crate) fn new(entry: Arc<Entry<T>>) -> Self {
        Self { entry }
    }

    /// The id of the entry.
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// Whether it holds this very entry.
    pub(crate) fn is_of(&self, entry: &Arc<Entry<T>>) -> bool {
        Arc::ptr_eq(&self.entry, entry)
    }

    /// The loader's value.
    #[inline]
    pub fn value(&self) -> &T {
        // SAFETY: a lease exists only between `hold` and `give_back`.
        match unsafe { self.entry.value() } {
            Some(value) => value,
            None => unreachable!("an entry is Ready only after its value was put in"),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Drop for Lease<T> {
    #[inline]
    fn drop(&mut self) {
        match self.entry.word.give_back() {
            Given::Held => {}
            Given::Idle => self.entry.shared.notice_idle(),
            Given::Orphaned => self.entry.shared.unload_orphan(&self.entry),
        }
    }
}
