//! Waiting for an entry that is not loaded: who gets room first, and for how long one waits.

use crate::config::PoolError;
use crate::entry::{Entry, LoadError};
use crate::lease::Lease;
use crate::pool::{Shared, Slow};
use crate::state::State;
use parking_lot::MutexGuard;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a waiter sleeps before it asks whether it was interrupted.
const SLICE: Duration = Duration::from_millis(50);

/// Who waits for room: highest priority first, then the first to come.
#[derive(Default)]
pub(crate) struct Queue {
    tickets: BTreeSet<(u8, u64)>,
    next: u64,
}

impl Queue {
    fn join(&mut self, priority: u8) -> (u8, u64) {
        self.next += 1;
        let ticket = (9 - priority.min(9), self.next);
        self.tickets.insert(ticket);
        ticket
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    fn leave(&mut self, ticket: (u8, u64)) {
        self.tickets.remove(&ticket);
    }

    /// Whether room may go to the holder of `ticket`, or to a newcomer of `priority` without one.
    fn is_first(&self, ticket: Option<(u8, u64)>, priority: u8) -> bool {
        match self.tickets.first() {
            None => true,
            Some(first) => *first >= ticket.unwrap_or((9 - priority.min(9), u64::MAX)),
        }
    }
}

/// What a waiter does next.
enum Step<T: Clone + Send + Sync + 'static> {
    Done(Lease<T>),
    Failed(PoolError),
    /// Wait for a change, or until the moment when a failed load may be tried again.
    Wait(&'static str, Option<Instant>),
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// The slow path of an allocation.
    #[cold]
    pub(crate) fn wait_for(
        self: &Arc<Self>,
        id: &str,
        priority: u8,
        timeout: Option<Duration>,
        is_interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Lease<T>, PoolError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut wait = Wait {
            id,
            priority,
            ticket: None,
            seen: None,
            at: None,
        };
        let mut slow = self.slow.lock();
        slow.counts.waits += 1;
        let result = loop {
            let (waits_for, until) = match self.step(&mut slow, &mut wait) {
                Step::Done(lease) => break Ok(lease),
                Step::Failed(error) => break Err(error),
                Step::Wait(what, until) => (what, until),
            };
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                let seconds = format!("{:.3}", timeout.unwrap_or_default().as_secs_f64());
                break Err(PoolError::Timeout {
                    id: id.to_owned(),
                    seconds,
                    waited_for: waits_for,
                });
            }
            let slice = [deadline, until]
                .into_iter()
                .flatten()
                .fold(now + SLICE, Instant::min);
            self.bell.changed.wait_until(&mut slow, slice);
            if MutexGuard::unlocked(&mut slow, &mut *is_interrupted) {
                break Err(PoolError::Interrupted);
            }
        };
        self.stop_waiting(&mut slow, &mut wait);
        result
    }

    /// Looks once, with the mutex held, and starts a load where one is due.
    fn step(
        self: &Arc<Self>,
        slow: &mut MutexGuard<'_, Slow<T>>,
        wait: &mut Wait<'_, T>,
    ) -> Step<T> {
        if slow.is_closed {
            return Step::Failed(PoolError::Closed);
        }
        let Some(entry) = self.entries.load().get(wait.id).cloned() else {
            return Step::Failed(PoolError::Unknown(wait.id.to_owned()));
        };
        wait.attach(&entry);
        if let Some(lease) = self.hold(&entry) {
            return Step::Done(lease);
        }
        if let Some(error) = wait.new_failure(&entry) {
            return Step::Failed(PoolError::Load {
                id: wait.id.to_owned(),
                error,
            });
        }
        if entry.state() != State::Unloaded {
            return Step::Wait("its loader still runs", None);
        }
        if let Some(step) = self.refusal(&entry) {
            return step;
        }
        // Counted before looking for idle entries, so that a lease given back in between rings.
        self.bell.join();
        let victims = match slow.queue.is_first(wait.ticket, wait.priority) {
            true => self.make_room(slow, &entry, &[wait.id], f64::INFINITY),
            false => None,
        };
        if let Some(victims) = victims {
            self.bell.leave();
            if let Some(ticket) = wait.ticket.take() {
                slow.queue.leave(ticket);
                self.bell.leave();
                self.bell.changed.notify_all();
            }
            self.start_load(slow, &entry, wait.priority, victims);
            return Step::Wait("its loader still runs", None);
        }
        match wait.ticket {
            Some(_) => self.bell.leave(),
            None => wait.ticket = Some(slow.queue.join(wait.priority)),
        }
        Step::Wait("the pool is full of entries in use", None)
    }

    /// Why an entry that is not loaded cannot be loaded now.
    fn refusal(&self, entry: &Entry<T>) -> Option<Step<T>> {
        if let Some(why) = self.why_never(entry) {
            let id = entry.id.to_string();
            return Some(Step::Failed(PoolError::TooLarge { id, why }));
        }
        let history = entry.history.lock();
        let retry_at = history.pause_until(Instant::now())?;
        if history.is_given_up(&self.config.restarts) {
            return Some(Step::Failed(PoolError::GivenUp {
                id: entry.id.to_string(),
                failures: history.failures,
                error: history.error.clone().unwrap_or_else(|| LoadError::new("")),
            }));
        }
        Some(Step::Wait(
            "its loader failed before and is tried again after a pause",
            Some(retry_at),
        ))
    }

    fn stop_waiting(&self, slow: &mut Slow<T>, wait: &mut Wait<'_, T>) {
        wait.detach();
        if let Some(ticket) = wait.ticket.take() {
            slow.queue.leave(ticket);
            self.bell.leave();
        }
        if self.bell.is_awaited() {
            self.bell.changed.notify_all();
        }
    }
}

/// One thread's wait for one id.
struct Wait<'a, T: Clone + Send + Sync + 'static> {
    id: &'a str,
    priority: u8,
    /// Its place in the queue for room.
    ticket: Option<(u8, u64)>,
    /// Failures of the entry that happened before this wait.
    seen: Option<u64>,
    /// The entry that it is counted at as a waiter.
    at: Option<Arc<Entry<T>>>,
}

impl<T: Clone + Send + Sync + 'static> Wait<'_, T> {
    /// Counts as a waiter of `entry`, which can change when the id is registered anew.
    fn attach(&mut self, entry: &Arc<Entry<T>>) {
        if self.at.as_ref().is_some_and(|at| Arc::ptr_eq(at, entry)) {
            return;
        }
        self.detach();
        entry.waiters.fetch_add(1, Ordering::SeqCst);
        self.seen = Some(entry.history.lock().failure_count);
        self.at = Some(Arc::clone(entry));
    }

    fn detach(&mut self) {
        if let Some(entry) = self.at.take() {
            entry.waiters.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The error of a load that failed while this thread waited for it.
    fn new_failure(&self, entry: &Entry<T>) -> Option<LoadError> {
        let history = entry.history.lock();
        if Some(history.failure_count) == self.seen {
            None
        } else {
            history.error.clone()
        }
    }
}
