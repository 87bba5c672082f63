//! The place of one value: who may read it, and who may take it out.
//!
//! All unsafe code of the crate is here. The value is read by holders only and written only while there are
//! none and there can be none; the atomic [`Word`] keeps both apart. `interleavings.rs` model-checks it.

use crate::state::{Given, State, Word};
use crate::sync::UnsafeCell;

/// A value and its state.
pub(crate) struct Slot<T> {
    word: Word,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is shared by holders (T: Sync) and moved between threads (T: Send) under the protocol above.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

/// The proof of a holder: it was counted by [`Slot::hold`], and must go to [`Slot::give_back`].
pub(crate) struct Hold(());

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self {
            word: Word::new(State::Unloaded),
            value: UnsafeCell::new(None),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.word.state()
    }

    pub(crate) fn holders(&self) -> u64 {
        self.word.holders()
    }

    pub(crate) fn allocations(&self) -> u64 {
        self.word.allocations()
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.word.is_detached()
    }

    /// The state, as who waits must read it: see [`crate::doorbell`].
    pub(crate) fn observe(&self) -> State {
        self.word.observe()
    }

    /// Adds a holder if a value is there. Takes no lock.
    #[inline]
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.word.hold(true).then_some(Hold(()))
    }

    /// As [`Self::hold`], but it is no use of the value: it counts no allocation.
    pub(crate) fn hold_quietly(&self) -> Option<Hold> {
        self.word.hold(false).then_some(Hold(()))
    }

    /// Takes a holder away; the hold is worth nothing afterwards.
    #[inline]
    pub(crate) fn give_back(&self, _hold: &mut Hold) -> Given {
        self.word.give_back()
    }

    /// The value, for a holder.
    #[inline]
    pub(crate) fn value<'a>(&'a self, _hold: &'a Hold) -> &'a T {
        // SAFETY: while there is a holder the cell is not written, and the hold outlives the reference.
        let value = self.value.with(|cell| unsafe { (*cell).as_ref() });
        match value {
            Some(value) => value,
            None => unreachable!("an entry is Ready only after its value was put in"),
        }
    }

    /// Begins a load: Unloaded → Loading. False when it is not Unloaded.
    pub(crate) fn begin(&self) -> bool {
        self.word.change(State::Unloaded, State::Loading)
    }

    /// The value is loaded and warms up: Loading → Warming.
    pub(crate) fn warm(&self) {
        self.word.change(State::Loading, State::Warming);
    }

    /// The load has failed: back to Unloaded.
    pub(crate) fn fail(&self) {
        let _ = self.word.change(State::Loading, State::Unloaded)
            || self.word.change(State::Warming, State::Unloaded);
    }

    /// Puts the value in: Warming → Ready. Only the one worker that loads the entry calls it.
    pub(crate) fn fill(&self, value: T) {
        debug_assert_eq!(self.state(), State::Warming);
        // SAFETY: the entry is Warming, so nobody reads and nobody but its one worker writes.
        self.value.with_mut(|cell| unsafe { *cell = Some(value) });
        self.word.change(State::Warming, State::Ready);
    }

    /// Lets an idle value cool down: Ready → Cooling.
    pub(crate) fn cool(&self) -> bool {
        self.word.change(State::Ready, State::Cooling)
    }

    /// A cooling value is wanted again: Cooling → Ready.
    pub(crate) fn rewarm(&self) -> bool {
        self.word.change(State::Cooling, State::Ready)
    }

    /// Takes a cooling value out: Cooling → Unloaded. `None` when somebody has asked for it meanwhile.
    pub(crate) fn take_cooled(&self) -> Option<T> {
        if !self.word.take_cooled() {
            return None;
        }
        // SAFETY: this thread alone made it Unloaded; it gets no holder before it is filled again, which
        // needs a load that begins after the caller has left the pool's mutex.
        self.value.with_mut(|cell| unsafe { (*cell).take() })
    }

    /// Cuts the entry off from new holders, for ever. Gives the value if nobody holds it; else the last
    /// holder's [`Self::give_back`] says that it is orphaned, and calls [`Self::take_orphaned`].
    pub(crate) fn detach(&self) -> Option<T> {
        if !self.word.detach() {
            return None;
        }
        // SAFETY: it was Ready or Cooling without a holder when it was detached, and can get none.
        self.value.with_mut(|cell| unsafe { (*cell).take() })
    }

    /// Takes the value of an orphan out; for who was told [`Given::Orphaned`], once.
    pub(crate) fn take_orphaned(&self) -> Option<T> {
        debug_assert!(self.is_detached() && self.holders() == 0);
        // SAFETY: detached, and its last holder is the caller, who has given it back.
        self.value.with_mut(|cell| unsafe { (*cell).take() })
    }
}
