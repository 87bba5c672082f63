//! Loading before anybody asks: for a plan, for a prediction, and after a death.

use crate::config::PoolError;
use crate::entry::Entry;
use crate::eviction::Candidate;
use crate::pool::{Shared, Slow};
use crate::state::State;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The priority of a load that nobody waits for.
const LOWEST: u8 = 0;

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// See [`crate::PoolManager::prewarm`].
    pub(crate) fn prewarm(self: &Arc<Self>, ids: &[&str]) -> Result<usize, PoolError> {
        let mut slow = self.slow.lock();
        let mut started = 0;
        for id in ids {
            if slow.is_closed {
                return Err(PoolError::Closed);
            }
            let Some(entry) = self.entries.load().get(*id).cloned() else {
                return Err(PoolError::Unknown((*id).to_owned()));
            };
            if !self.may_load_ahead(&slow, &entry) {
                continue;
            }
            if !self.load_ahead(&mut slow, &entry, ids, f64::INFINITY) {
                break;
            }
            started += 1;
        }
        Ok(started)
    }

    /// See [`crate::PoolManager::prewarm_if_worth`].
    pub(crate) fn prewarm_if_worth(
        self: &Arc<Self>,
        id: &str,
        uses: f64,
    ) -> Result<bool, PoolError> {
        let mut slow = self.slow.lock();
        if slow.is_closed {
            return Err(PoolError::Closed);
        }
        let Some(entry) = self.entries.load().get(id).cloned() else {
            return Err(PoolError::Unknown(id.to_owned()));
        };
        if !self.may_load_ahead(&slow, &entry) {
            return Ok(false);
        }
        let cost = entry.history.lock().load_seconds.unwrap_or(0.0);
        let newcomer = Candidate {
            size: entry.size(),
            cost,
            uses,
            floor: f64::from_bits(self.floor.load(Ordering::Relaxed)),
            stamp: 0,
        };
        let below = if uses > 0.0 {
            newcomer.worth(&self.room())
        } else {
            0.0
        };
        Ok(self.load_ahead(&mut slow, &entry, &[id], below))
    }

    /// Whether it is not loaded, may be tried now, and nobody waits for the room that it would take.
    fn may_load_ahead(&self, slow: &Slow<T>, entry: &Entry<T>) -> bool {
        // A cooling entry is wanted again.
        !entry.slot.rewarm()
            && entry.state() == State::Unloaded
            && slow.queue.is_empty()
            && self.why_never(entry).is_none()
            && entry.history.lock().pause_until(Instant::now()).is_none()
    }

    fn load_ahead(
        self: &Arc<Self>,
        slow: &mut parking_lot::MutexGuard<'_, Slow<T>>,
        entry: &Arc<Entry<T>>,
        spared: &[&str],
        below: f64,
    ) -> bool {
        let Some(victims) = self.make_room(slow, entry, spared, below) else {
            return false;
        };
        if self.start_load(slow, entry, LOWEST, victims) {
            slow.counts.prewarmed += 1;
            entry.is_ahead.store(true, Ordering::Relaxed);
        }
        true
    }

    /// Loads an entry that died while it was warm, or has the reaper do so when its pause is over.
    pub(crate) fn bring_back_at(
        self: &Arc<Self>,
        slow: &mut parking_lot::MutexGuard<'_, Slow<T>>,
        entry: &Arc<Entry<T>>,
        moment: Instant,
    ) {
        if moment > Instant::now() {
            slow.comebacks.push((moment, Arc::clone(entry)));
            self.closing.notify_all();
            return;
        }
        let is_current = self
            .entries
            .load()
            .get(&*entry.id)
            .is_some_and(|known| Arc::ptr_eq(known, entry));
        if slow.is_closed
            || !is_current
            || entry.state() != State::Unloaded
            || !slow.queue.is_empty()
        {
            return;
        }
        // It had its room a moment ago; nothing that is loaded is unloaded for it.
        if let Some(victims) = self.make_room(slow, entry, &[], 0.0)
            && self.start_load(slow, entry, LOWEST, victims)
        {
            slow.counts.restarts += 1;
        }
    }

    /// Brings back what is due. Returns when the next is.
    pub(crate) fn bring_back(
        self: &Arc<Self>,
        slow: &mut parking_lot::MutexGuard<'_, Slow<T>>,
        now: Instant,
    ) -> Option<Instant> {
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut slow.comebacks)
            .into_iter()
            .partition(|(moment, _)| *moment <= now);
        slow.comebacks = later;
        for (moment, entry) in due {
            self.bring_back_at(slow, &entry, moment);
        }
        slow.comebacks.iter().map(|(moment, _)| *moment).min()
    }
}
