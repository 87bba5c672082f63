//! The states of an entry, and the atomic word that holds state, holders and count together.

use crate::sync::{AtomicU64, Ordering};

/// Where an entry is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is loaded.
    Unloaded,
    /// Its loader runs, or waits for its turn.
    Loading,
    /// It is loaded and warms up.
    Warming,
    /// It can be handed out at once; nobody holds it.
    Ready,
    /// Somebody holds it; it can be handed out again.
    Active,
    /// It was idle for long; asked for now it is Ready again, else it will be unloaded.
    Cooling,
}

impl State {
    /// All states, in the order of their life.
    pub const ALL: [Self; 6] = [
        Self::Unloaded,
        Self::Loading,
        Self::Warming,
        Self::Ready,
        Self::Active,
        Self::Cooling,
    ];

    /// The lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unloaded => "unloaded",
            Self::Loading => "loading",
            Self::Warming => "warming",
            Self::Ready => "ready",
            Self::Active => "active",
            Self::Cooling => "cooling",
        }
    }

    /// Whether an entry may go from this state to `next` in one step.
    pub fn may_become(self, next: Self) -> bool {
        use State::{Active, Cooling, Loading, Ready, Unloaded, Warming};
        matches!(
            (self, next),
            (Unloaded, Loading)
                | (Loading, Warming | Unloaded)
                | (Warming, Ready | Unloaded)
                | (Ready, Active | Cooling)
                | (Active, Ready)
                | (Cooling, Ready | Unloaded)
        )
    }
}

const STATE_MASK: u64 = 0b111;
const DETACHED: u64 = 0b1000;
const HOLDER: u64 = 1 << 4;
const HOLDERS_MASK: u64 = ((1 << 24) - 1) << 4;
const ALLOCATION: u64 = 1 << 28;

/// State (3 bits), detached (1), holders (24) and allocations (36, wrapping), changed as one.
pub(crate) struct Word(AtomicU64);

/// What became of an entry when a lease was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// Others still hold it.
    Held,
    /// Nobody holds it now.
    Idle,
    /// Nobody holds it now, and the pool no longer knows it: its value must be unloaded.
    Orphaned,
}

fn state_of(word: u64) -> State {
    State::ALL[(word & STATE_MASK) as usize]
}

impl Word {
    pub(crate) fn new(state: State) -> Self {
        Self(AtomicU64::new(state as u64))
    }

    pub(crate) fn state(&self) -> State {
        state_of(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn holders(&self) -> u64 {
        (self.0.load(Ordering::Acquire) & HOLDERS_MASK) / HOLDER
    }

    pub(crate) fn allocations(&self) -> u64 {
        self.0.load(Ordering::Relaxed) / ALLOCATION
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.0.load(Ordering::Acquire) & DETACHED != 0
    }

    /// The state, read so that the next change by another thread sees what this one did before.
    pub(crate) fn observe(&self) -> State {
        state_of(self.0.fetch_add(0, Ordering::AcqRel))
    }

    /// Adds a holder if a value is there. The value cannot be taken away while there are holders.
    #[inline]
    pub(crate) fn hold(&self, is_use: bool) -> bool {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let is_loaded = (word & STATE_MASK) >= State::Ready as u64;
            if !is_loaded || word & DETACHED != 0 || word & HOLDERS_MASK == HOLDERS_MASK {
                return false;
            }
            let next = ((word & !STATE_MASK) | State::Active as u64)
                .wrapping_add(HOLDER)
                .wrapping_add(if is_use { ALLOCATION } else { 0 });
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
    }

    /// Takes one holder away.
    #[inline]
    pub(crate) fn give_back(&self) -> Given {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let mut next = word - HOLDER;
            let is_last = next & HOLDERS_MASK == 0;
            if is_last {
                next = (next & !STATE_MASK) | State::Ready as u64;
            }
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if !is_last => return Given::Held,
                Ok(_) if word & DETACHED != 0 => return Given::Orphaned,
                Ok(_) => return Given::Idle,
                Err(seen) => word = seen,
            }
        }
    }

    /// Goes from one state to another; false when it was in a third.
    pub(crate) fn change(&self, from: State, to: State) -> bool {
        debug_assert!(from.may_become(to), "{from:?} → {to:?}");
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (state_of(word) == from).then_some((word & !STATE_MASK) | to as u64)
            })
            .is_ok()
    }

    /// Cooling → Unloaded, unless the entry is detached: then who detached it has the value.
    pub(crate) fn take_cooled(&self) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (state_of(word) == State::Cooling && word & DETACHED == 0)
                    .then_some((word & !STATE_MASK) | State::Unloaded as u64)
            })
            .is_ok()
    }

    /// Cuts the entry off from new holders, for ever. True for who may take its value now: it is loaded,
    /// nobody holds it, and nobody has detached it before.
    pub(crate) fn detach(&self) -> bool {
        let word = self.0.fetch_or(DETACHED, Ordering::AcqRel);
        word & (HOLDERS_MASK | DETACHED) == 0
            && matches!(state_of(word), State::Ready | State::Cooling)
    }
}

#[cfg(all(test, not(feature = "model-check")))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_loaded_entries_can_be_held() {
        for (state, expected) in [
            (State::Unloaded, false),
            (State::Loading, false),
            (State::Warming, false),
            (State::Ready, true),
            (State::Active, true),
            (State::Cooling, true),
        ] {
            let word = Word::new(state);
            assert_eq!(word.hold(true), expected, "{state:?}");
            if expected {
                assert_eq!(word.state(), State::Active);
                assert_eq!(word.give_back(), Given::Idle);
                assert_eq!(word.state(), State::Ready);
            }
        }
    }

    #[test]
    fn a_detached_entry_is_orphaned_with_its_last_holder() {
        let word = Word::new(State::Ready);
        assert!(word.hold(true) && word.hold(true));
        assert!(!word.detach());
        assert!(!word.hold(true));
        assert_eq!(word.give_back(), Given::Held);
        assert_eq!(word.give_back(), Given::Orphaned);
    }

    proptest! {
        #[test]
        fn holders_and_allocations_are_counted_exactly(steps in prop::collection::vec(any::<bool>(), 0..200)) {
            let word = Word::new(State::Ready);
            let (mut holders, mut allocations) = (0u64, 0u64);
            for hold in steps {
                if hold {
                    prop_assert!(word.hold(true));
                    holders += 1;
                    allocations += 1;
                } else if holders > 0 {
                    word.give_back();
                    holders -= 1;
                }
                prop_assert_eq!(word.holders(), holders);
                prop_assert_eq!(word.allocations(), allocations);
                let expected = if holders > 0 { State::Active } else { State::Ready };
                prop_assert_eq!(word.state(), expected);
            }
        }
    }
}
