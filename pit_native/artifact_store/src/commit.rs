//! Group commit: one sync for all who wait. The protocol alone, over any lock and any disk, so that a
//! model checker can run it in every order.
//!
//! Three things make it more than a lock around a sync. The first to come leads: it syncs for all that is
//! written by then, while others write on and wait. The system reports a failed sync to one caller
//! only, drops what it could not write, and calls the next sync a success: so syncs exclude each other,
//! and after a failure there is no other. And nobody sees what may still be lost: what was written is
//! published, in its order, after the sync that covers it and before anybody is told of that.
//!
//! Of those who wait, the ones that the sync under way covers wait apart from the others: at its end they all go,
//! and of the others one is woken, to lead the next. Woken together, most would only wait again.

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
    /// The last batch that the sync under way covers, or the last one has.
    covering: u64,
    /// Where those wait that it covers, of the two rooms for who waits to be covered.
    covered_room: usize,
}

/// Rooms to wait in: two by turns for those who wait to be covered, one for who waits to sync.
pub(crate) const ROOMS: usize = 3;
const TO_SYNC: usize = 2;

/// Who is woken by a change in a room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    One,
    All,
}

impl State {
    /// Of a log that is on the disk up to `synced`.
    pub(crate) fn at(synced: Mark) -> Self {
        Self {
            synced,
            ..Self::default()
        }
    }

    /// Where the writer of a batch waits.
    fn room_of(&self, batch: u64) -> usize {
        match batch <= self.covering {
            true => self.covered_room,
            false => 1 - self.covered_room,
        }
    }

    /// A sync begins. Who waits in the room of those that come is covered by it, but for a few who wrote in this moment.
    fn cover(&mut self, mark: Mark) {
        self.is_syncing = true;
        self.covering = mark.batch;
        self.covered_room = 1 - self.covered_room;
    }
}

/// A lock around the state with rooms to wait in.
pub(crate) trait Monitor {
    /// Runs `step` with the lock held, again each time that it is woken in the room that it names, until it returns
    /// something.
    fn until<R>(&self, step: impl FnMut(&mut State) -> Result<R, usize>) -> R;
    /// Changes the state and wakes those that it says.
    fn change(&self, change: impl FnOnce(&mut State) -> [Wake; ROOMS]);
}

/// The monitor of production.
pub(crate) struct Parking {
    state: parking_lot::Mutex<State>,
    rooms: [parking_lot::Condvar; ROOMS],
}

impl Monitor for Parking {
    fn until<R>(&self, mut step: impl FnMut(&mut State) -> Result<R, usize>) -> R {
        let mut state = self.state.lock();
        loop {
            match step(&mut state) {
                Ok(result) => return result,
                Err(room) => self.rooms[room].wait(&mut state),
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State) -> [Wake; ROOMS]) {
        let wakes = change(&mut self.state.lock());
        for (room, wake) in self.rooms.iter().zip(wakes) {
            match wake {
                Wake::One => _ = room.notify_one(),
                Wake::All => _ = room.notify_all(),
            }
        }
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
            rooms: std::array::from_fn(|_| parking_lot::Condvar::new()),
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
                return Ok(Ok(Turn::Covered));
            }
            if let Some(failure) = &state.failure {
                return Ok(Err(Failed::Before(failure.clone())));
            }
            if state.has_leader {
                return Err(state.room_of(batch));
            }
            state.has_leader = true;
            Ok(Ok(Turn::Mine))
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
                return Ok(Err(Failed::Before(failure.clone())));
            }
            if state.synced.batch >= mark.batch {
                return Ok(Ok(Turn::Covered));
            }
            if state.is_syncing {
                return Err(TO_SYNC);
            }
            state.cover(mark);
            Ok(Ok(Turn::Mine))
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
            if !leads || state.failure.is_some() {
                return [Wake::All; ROOMS];
            }
            let mut wakes = [Wake::One, Wake::One, Wake::All];
            wakes[state.covered_room] = Wake::All;
            wakes
        });
        match outcome {
            Some(outcome) => outcome.map_err(Failed::Now),
            None => turn.map(|_| ()),
        }
    }

    /// Notes that the log goes on elsewhere, synced: in a new segment.
    pub(crate) fn moved(&self, mark: Mark) {
        self.0.change(|state| {
            state.synced = mark;
            [Wake::All; ROOMS]
        });
    }

    /// How far the log is on the disk.
    pub(crate) fn synced(&self) -> Mark {
        self.0.until(|state| Ok(state.synced))
    }
}

#[cfg(test)]
#[path = "commit/model.rs"]
mod model;
