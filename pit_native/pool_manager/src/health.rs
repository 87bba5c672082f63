//! Finding values that have died or grown, and bringing back what was warm.

use crate::entry::{Entry, LoadError};
use crate::pool::{Registry, Shared};
use crate::state::State;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Starts the thread that checks. It ends with the pool.
pub(crate) fn start<T: Clone + Send + Sync + 'static>(shared: &Arc<Shared<T>>, every: Duration) {
    let weak = Arc::downgrade(shared);
    let started = std::thread::Builder::new()
        .name("pool-health".into())
        .spawn(move || run(&weak, every));
    // Without the thread a dead value is found when it is used, or when somebody reports it.
    drop(started);
}

fn run<T: Clone + Send + Sync + 'static>(weak: &Weak<Shared<T>>, every: Duration) {
    loop {
        let Some(shared) = weak.upgrade() else { return };
        let mut slow = shared.slow.lock();
        if slow.is_closed {
            return;
        }
        shared.closing.wait_for(&mut slow, every);
        if slow.is_closed {
            return;
        }
        drop(slow);
        shared.check_all();
    }
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// Asks every value that is in use or ready whether it works, and what it occupies.
    pub(crate) fn check_all(self: &Arc<Self>) {
        let entries = self.entries.load_full();
        for entry in entries.values() {
            // One that cools down is on its way out; a look must not call it back.
            if !matches!(entry.state(), State::Ready | State::Active) {
                continue;
            }
            let looked = self.peek(entry, |value| {
                let checked = entry.loader.check(&entry.id, value);
                (checked, entry.loader.measure(&entry.id, value))
            });
            match looked {
                Some((Err(reason), _)) => {
                    self.bury(entry, LoadError::new(reason));
                }
                Some((Ok(()), Some(size))) => self.note_size(entry, size),
                _ => {}
            }
        }
        self.trim(None);
    }

    /// Looks at a value without using it.
    pub(crate) fn peek<R>(
        self: &Arc<Self>,
        entry: &Arc<Entry<T>>,
        look: impl FnOnce(&T) -> R,
    ) -> Option<R> {
        let lease = self.hold_quietly(entry)?;
        Some(look(lease.value()))
    }

    /// Takes a dead value out. If it was warm it is loaded again, at once the first time and after growing
    /// pauses when it dies again and again. False when the pool has another entry in its place by now.
    pub(crate) fn bury(self: &Arc<Self>, entry: &Arc<Entry<T>>, reason: LoadError) -> bool {
        let mut slow = self.slow.lock();
        let known = self.entries.load().get(&*entry.id).cloned();
        if slow.is_closed || !known.is_some_and(|known| Arc::ptr_eq(&known, entry)) {
            return false;
        }
        if matches!(
            entry.state(),
            State::Unloaded | State::Loading | State::Warming
        ) {
            return false;
        }
        let was_warm = entry.state() != State::Cooling;
        let fresh = Arc::new(entry.successor());
        let mut entries = Registry::clone(&self.entries.load());
        entries.insert(entry.id.clone(), Arc::clone(&fresh));
        self.entries.store(Arc::new(entries));
        let value = self.detach(&mut slow, entry);
        slow.counts.deaths += 1;
        let now = Instant::now();
        let retry_at = {
            let mut history = entry.history.lock();
            history.die(reason, &self.config.restarts, now, self.chance());
            history.is_wanted &= was_warm;
            history.is_wanted.then(|| history.retry_at.unwrap_or(now))
        };
        if let Some(retry_at) = retry_at {
            self.bring_back_at(&mut slow, &fresh, retry_at);
        }
        drop(slow);
        self.bell.changed.notify_all();
        self.finish_unload(&entry.id, value);
        true
    }
}
