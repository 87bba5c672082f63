//! Group commit: one sync for all who wait. The protocol alone, over any lock and any disk, so that a
//! model checker can run it in every order.
//!
//! Three things make it more than a lock around a sync. The first to come leads: it syncs for all that is
//! written by then, while others write on and wait. The system reports a failed sync to one caller
//! only, drops what it could not write, and calls the next sync a success: so syncs exclude each other,
//! and after a failure there is no other. And nobody sees what may still be lost: what was written is
//! published, in its order, after the sync that covers it and before anybody is told of that.

/// Up to where the log has been written, or is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Counts appended batches.
    pub(crate) batch: u64,
    /// The segment that was written last.
    pub(crate) segment: u32,
    /// Where its last record ends.
    pub(crate) end: u64,
}

/// What the protocol remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    synced: Mark,
    has_leader: bool,
    is_syncing: bool,
    failure: Option<String>,
}

impl State {
    /// Of a log that is on the disk up to `synced`.
    pub(crate) fn at(synced: Mark) -> Self {
        Self {
            synced,
            ..Self::default()
        }
    }
}

/// A lock around the state with one condition to wait for.
pub(crate) trait Monitor {
    /// Runs `step` with the lock held, again after each change, until it returns something.
    fn until<R>(&self, step: impl FnMut(&mut State) -> Option<R>) -> R;
    /// Changes the state and wakes all who wait.
    fn change(&self, change: impl FnOnce(&mut State));
}

/// The monitor of production.
pub(crate) struct Parking {
    state: parking_lot::Mutex<State>,
    changed: parking_lot::Condvar,
}

impl Monitor for Parking {
    fn until<R>(&self, mut step: impl FnMut(&mut State) -> Option<R>) -> R {
        let mut state = self.state.lock();
        loop {
            if let Some(result) = step(&mut state) {
                return result;
            }
            self.changed.wait(&mut state);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }
}

/// Why a commit did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed<E> {
    /// The sync that this caller made.
    Now(E),
    /// One before, or one that somebody else made for this caller too.
    Before(String),
}

enum Turn {
    Covered,
    Mine,
}

/// The protocol. Lock order: whoever holds the log's end may call [`Self::sync`]; a leader asks for the
/// end only between leading and syncing.
pub(crate) struct GroupCommit<M>(M);

impl GroupCommit<Parking> {
    pub(crate) fn new(synced: Mark) -> Self {
        Self(Parking {
            state: parking_lot::Mutex::new(State::at(synced)),
            changed: parking_lot::Condvar::new(),
        })
    }
}

impl<M: Monitor> GroupCommit<M> {
    /// Returns once a sync has covered `batch`. A caller that has to lead asks `written` how far the log
    /// goes by then, with what is to be synced, and hands that to `sync`, then the mark to `publish`.
    pub(crate) fn commit<T, E: ToString>(
        &self,
        batch: u64,
        written: impl FnOnce() -> (Mark, T),
        sync: impl FnOnce(&T) -> Result<(), E>,
        publish: impl FnOnce(Mark) -> Result<(), E>,
    ) -> Result<(), Failed<E>> {
        let turn = self.0.until(|state| {
            if state.synced.batch >= batch {
                return Some(Ok(Turn::Covered));
            }
            if let Some(failure) = &state.failure {
                return Some(Err(Failed::Before(failure.clone())));
            }
            if state.has_leader {
                return None;
            }
            state.has_leader = true;
            Some(Ok(Turn::Mine))
        });
        match turn? {
            Turn::Covered => Ok(()),
            Turn::Mine => {
                let (mark, target) = written();
                self.sync_as(true, mark, || sync(&target), publish)
            }
        }
    }

    /// Syncs up to `mark` unless that is done; the caller holds the log's end, so nothing comes after it.
    pub(crate) fn sync<E: ToString>(
        &self,
        mark: Mark,
        sync: impl FnOnce() -> Result<(), E>,
        publish: impl FnOnce(Mark) -> Result<(), E>,
    ) -> Result<(), Failed<E>> {
        self.sync_as(false, mark, sync, publish)
    }

    fn sync_as<E: ToString>(
        &self,
        leads: bool,
        mark: Mark,
        sync: impl FnOnce() -> Result<(), E>,
        publish: impl FnOnce(Mark) -> Result<(), E>,
    ) -> Result<(), Failed<E>> {
        let turn = self.0.until(|state| {
            if let Some(failure) = &state.failure {
                return Some(Err(Failed::Before(failure.clone())));
            }
            if state.synced.batch >= mark.batch {
                return Some(Ok(Turn::Covered));
            }
            if state.is_syncing {
                return None;
            }
            state.is_syncing = true;
            Some(Ok(Turn::Mine))
        });
        let outcome = match &turn {
            Ok(Turn::Mine) => Some(sync().and_then(|()| publish(mark))),
            _ if !leads => return turn.map(|_| ()),
            _ => None,
        };
        self.0.change(|state| {
            state.has_leader &= !leads;
            state.is_syncing &= outcome.is_none();
            match &outcome {
                Some(Ok(())) => state.synced = mark,
                Some(Err(error)) => state.failure = Some(error.to_string()),
                None => {}
            }
        });
        match outcome {
            Some(outcome) => outcome.map_err(Failed::Now),
            None => turn.map(|_| ()),
        }
    }

    /// Notes that the log goes on elsewhere, synced: in a new segment.
    pub(crate) fn moved(&self, mark: Mark) {
        self.0.change(|state| state.synced = mark);
    }

    /// How far the log is on the disk.
    pub(crate) fn synced(&self) -> Mark {
        self.0.until(|state| Some(state.synced))
    }
}

#[cfg(test)]
#[path = "commit/model.rs"]
mod model;
