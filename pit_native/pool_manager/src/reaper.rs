//! The thread that lets idle entries cool down, unloads what nobody asked back, and brings back what died.

use crate::pool::Shared;
use crate::state::State;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// What the reaper saw of an entry at its last look.
pub(crate) struct Seen {
    entry: usize,
    allocations: u64,
    since: Instant,
    is_cooling: bool,
}

/// Starts the thread. It ends with the pool.
pub(crate) fn start<T: Clone + Send + Sync + 'static>(shared: &Arc<Shared<T>>) {
    let weak = Arc::downgrade(shared);
    let started = std::thread::Builder::new()
        .name("pool-reaper".into())
        .spawn(move || run(&weak));
    // Without the thread nothing cools down; room is still made by eviction.
    drop(started);
}

fn run<T: Clone + Send + Sync + 'static>(weak: &Weak<Shared<T>>) {
    let mut seen = FxHashMap::default();
    loop {
        let Some(shared) = weak.upgrade() else { return };
        let mut pause = shared.look(&mut seen, Instant::now());
        let mut slow = shared.slow.lock();
        if slow.is_closed {
            return;
        }
        let now = Instant::now();
        if let Some(next) = shared.bring_back(&mut slow, now) {
            pause = pause.min(next.saturating_duration_since(now));
        }
        shared.closing.wait_for(&mut slow, pause);
        if slow.is_closed {
            return;
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// Moves every entry that is due one step on, and says when to look again.
    pub(crate) fn look(&self, seen: &mut FxHashMap<Box<str>, Seen>, now: Instant) -> Duration {
        let entries = self.entries.load_full();
        seen.retain(|id, _| entries.contains_key(id));
        let mut pause = Duration::from_secs(1);
        for (id, entry) in entries.iter() {
            let Some(idle) = entry.idle_time() else {
                continue;
            };
            pause = pause.min(idle.min(self.config.cooling) / 4);
            let state = entry.state();
            let is_cooling = state == State::Cooling;
            let address = Arc::as_ptr(entry).addr();
            let allocations = entry.slot.allocations();
            let last = seen.entry(id.clone()).or_insert(Seen {
                entry: address,
                allocations,
                since: now,
                is_cooling,
            });
            let is_same = last.entry == address
                && last.allocations == allocations
                && last.is_cooling == is_cooling
                && matches!(state, State::Ready | State::Cooling);
            if !is_same {
                *last = Seen {
                    entry: address,
                    allocations,
                    since: now,
                    is_cooling,
                };
                continue;
            }
            let age = now.saturating_duration_since(last.since);
            if state == State::Ready && age >= idle {
                if entry.slot.cool() {
                    *last = Seen {
                        entry: address,
                        allocations,
                        since: now,
                        is_cooling: true,
                    };
                }
            } else if is_cooling && age >= self.config.cooling {
                let mut slow = self.slow.lock();
                let value = self.take_cooled(&mut slow, entry);
                slow.counts.idle_unloads += u64::from(value.is_some());
                drop(slow);
                if value.is_some() {
                    self.bell.changed.notify_all();
                }
                self.finish_unload(id, value);
            }
        }
        pause.max(Duration::from_millis(5))
    }
}

#[cfg(test)]
mod tests;
