//! The index, and the changes that wait for the sync that covers them: nobody sees what may still be lost.

use crate::error::Result;
use crate::index::Index;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::collections::VecDeque;

/// What a batch of the log changes in the index.
pub(crate) type Change = Box<dyn FnOnce(&mut Index) -> Result<()> + Send>;

/// The index with what is to become of it.
pub(crate) struct Ledger {
    index: RwLock<Index>,
    /// Changes by batch, in the order of the log.
    waiting: Mutex<VecDeque<(u64, Change)>>,
}

impl Ledger {
    pub(crate) fn new(index: Index) -> Self {
        Self {
            index: RwLock::new(index),
            waiting: Mutex::new(VecDeque::new()),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read()
    }

    /// For what the log does not say, or what may be lost again: chunks, and what was found damaged.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write()
    }

    /// Adds a change of a batch; the caller holds the end of the log, so that they come in its order.
    pub(crate) fn later(&self, batch: u64, change: Change) {
        self.waiting.lock().push_back((batch, change));
    }

    /// Makes the changes up to `batch`. Only whoever has synced calls this, one at a time.
    pub(crate) fn publish(&self, batch: u64) -> Result<()> {
        let covered: Vec<Change> = {
            let mut waiting = self.waiting.lock();
            let count = waiting.partition_point(|(one, _)| *one <= batch);
            waiting.drain(..count).map(|(_, change)| change).collect()
        };
        if covered.is_empty() {
            return Ok(());
        }
        let mut index = self.index.write();
        covered
            .into_iter()
            .try_for_each(|change| change(&mut index))
    }
}
