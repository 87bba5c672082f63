//! Running loaders on worker threads, and making room for what they load.

use crate::PoolError;
use crate::entry::{Entry, LoadError};
use crate::pool::{Shared, Slow};
use crate::state::State;
use parking_lot::MutexGuard;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// Whether one more entry may be loaded, if need be after the eviction of the one that was used
    /// longest ago, is idle, and is not among `spared`. Opens the mutex while an unload hook runs.
    pub(crate) fn make_room(&self, slow: &mut MutexGuard<'_, Slow<T>>, spared: &[&str]) -> bool {
        while slow.loaded >= self.config.capacity {
            let entries = self.entries.load_full();
            let victim = entries
                .values()
                .filter(|entry| matches!(entry.state(), State::Ready | State::Cooling))
                .filter(|entry| entry.waiters.load(Ordering::SeqCst) == 0)
                .filter(|entry| !spared.contains(&&*entry.id))
                .min_by_key(|entry| entry.stamp.load(Ordering::Relaxed));
            let Some(victim) = victim else { return false };
            let Some(value) = self.take_value(slow, victim) else {
                continue;
            };
            slow.counts.evictions += 1;
            // The room is this caller's while the hook runs.
            slow.loaded += 1;
            MutexGuard::unlocked(slow, || self.finish_unload(&victim.id, Some(value)));
            slow.loaded -= 1;
        }
        true
    }

    /// Sends an Unloaded entry to the workers.
    pub(crate) fn start_load(
        self: &Arc<Self>,
        slow: &mut Slow<T>,
        entry: &Arc<Entry<T>>,
        priority: u8,
    ) {
        if !entry.word.change(State::Unloaded, State::Loading) {
            return;
        }
        slow.loaded += 1;
        let place = slow
            .to_load
            .partition_point(|(other, _)| *other >= priority);
        slow.to_load.insert(place, (priority, Arc::clone(entry)));
        if slow.workers < self.config.loaders {
            slow.workers += 1;
            let shared = Arc::clone(self);
            let started = std::thread::Builder::new()
                .name("pool-load".into())
                .spawn(move || shared.work());
            if let Err(error) = started {
                slow.workers -= 1;
                if slow.workers == 0 {
                    let error = LoadError::new(format!("no thread for the loader: {error}"));
                    for (_, entry) in std::mem::take(&mut slow.to_load) {
                        self.note_failure(slow, &entry, error.clone());
                    }
                }
            }
        }
    }

    /// Loads what waits for a worker, until nothing does.
    fn work(self: &Arc<Self>) {
        let mut slow = self.slow.lock();
        while let Some((_, entry)) = slow.to_load.pop_front() {
            let result = MutexGuard::unlocked(&mut slow, || self.load(&entry));
            let orphan = match result {
                Ok(value) => self.note_success(&mut slow, &entry, value),
                Err(error) => {
                    self.note_failure(&mut slow, &entry, error);
                    None
                }
            };
            self.changed.notify_all();
            if orphan.is_some() {
                MutexGuard::unlocked(&mut slow, || self.finish_unload(&entry.id, orphan));
            }
        }
        slow.workers -= 1;
    }

    /// Calls the loader; a panic in it is a failed load.
    fn load(&self, entry: &Entry<T>) -> Result<T, LoadError> {
        let call = || {
            let value = entry.loader.load(&entry.id)?;
            entry.word.change(State::Loading, State::Warming);
            match entry.loader.warm(&entry.id, &value) {
                Ok(()) => Ok(value),
                Err(error) => {
                    self.finish_unload(&entry.id, Some(value));
                    Err(error)
                }
            }
        };
        catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
            Err(LoadError::new(
                "the loader panicked; this is a defect, please report it",
            ))
        })
    }

    /// Puts a loaded value in. Gives it back when the pool has forgotten the entry meanwhile.
    fn note_success(&self, slow: &mut Slow<T>, entry: &Entry<T>, value: T) -> Option<T> {
        slow.counts.loads += 1;
        if entry.word.is_detached() {
            slow.loaded -= 1;
            return Some(value);
        }
        let mut history = entry.history.lock();
        history.failures = 0;
        history.error = None;
        history.retry_at = None;
        drop(history);
        // SAFETY: the mutex is held and the entry is Loading or Warming, so it has no holders.
        unsafe { entry.replace(Some(value)) };
        let _ = entry.word.change(State::Loading, State::Ready)
            || entry.word.change(State::Warming, State::Ready);
        None
    }

    fn note_failure(&self, slow: &mut Slow<T>, entry: &Entry<T>, error: LoadError) {
        slow.counts.failures += 1;
        slow.loaded -= 1;
        let mut history = entry.history.lock();
        let pause = self
            .config
            .backoff
            .saturating_mul(1u32.checked_shl(history.failures).unwrap_or(u32::MAX))
            .min(self.config.backoff_limit);
        history.failures = history.failures.saturating_add(1);
        history.failure_count += 1;
        history.error = Some(error);
        history.retry_at = Instant::now().checked_add(pause);
        drop(history);
        let _ = entry.word.change(State::Loading, State::Unloaded)
            || entry.word.change(State::Warming, State::Unloaded);
    }

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
            // A cooling entry is wanted again.
            if entry.word.change(State::Cooling, State::Ready) || entry.state() != State::Unloaded {
                continue;
            }
            let is_pausing = entry
                .history
                .lock()
                .retry_at
                .is_some_and(|moment| moment > Instant::now());
            if is_pausing {
                continue;
            }
            if !self.make_room(&mut slow, ids) {
                break;
            }
            self.start_load(&mut slow, &entry, 0);
            started += 1;
        }
        Ok(started)
    }
}
