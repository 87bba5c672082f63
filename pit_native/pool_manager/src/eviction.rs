//! Which idle entries make room.
//!
//! GreedyDual-Size-Frequency (L. Cherkasova, "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency
//! Caching Policy", HP Laboratories HPL-98-69R1, 1998): an entry is worth L + F · C / S. F is how often it was
//! used since it was loaded plus how often it is expected to be used soon, C the seconds that loading it took, S
//! its dominant share of the room, and L the worth of the entry that was evicted last when it was last used, so
//! that what is no longer used loses to what is.

use crate::ledger::{Ledger, Room, Size};

/// Loads shorter than this cost the same: their measured times are noise.
const SHORTEST_LOAD: f64 = 0.001;

/// What is known of an entry that may be evicted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) size: Size,
    /// Seconds that its load took.
    pub(crate) cost: f64,
    /// Uses since it was loaded, and expected ones.
    pub(crate) uses: f64,
    /// L at its last use.
    pub(crate) floor: f64,
    /// When it was last used; breaks ties, the oldest goes first.
    pub(crate) stamp: u64,
}

impl Candidate {
    /// H of the paper.
    pub(crate) fn worth(&self, room: &Room) -> f64 {
        self.floor + self.uses * self.cost.max(SHORTEST_LOAD) / room.share(self.size)
    }
}

/// The candidates (by index) whose eviction lets one more entry of `size` fit, and the new L. Only candidates
/// worth less than `below` are taken. `None` when all of them would not do: then none is to be evicted.
pub(crate) fn choose(
    candidates: &[Candidate],
    room: &Room,
    ledger: &Ledger,
    size: Size,
    below: f64,
) -> Option<(Vec<usize>, f64)> {
    let worth: Vec<f64> = candidates.iter().map(|one| one.worth(room)).collect();
    let mut order: Vec<usize> = (0..candidates.len())
        .filter(|&index| worth[index] < below)
        .collect();
    order.sort_by(|&a, &b| {
        worth[a]
            .total_cmp(&worth[b])
            .then(candidates[a].stamp.cmp(&candidates[b].stamp))
    });
    let mut left = *ledger;
    let mut chosen = Vec::new();
    for index in order {
        if left.fits(room, size) {
            break;
        }
        left.remove(candidates[index].size);
        chosen.push(index);
    }
    if !left.fits(room, size) {
        return None;
    }
    // What a later, larger victim has made unnecessary stays; the most valuable are spared first.
    let mut kept = chosen.clone();
    for &index in chosen.iter().rev() {
        let mut with = left;
        with.add(candidates[index].size);
        if with.fits(room, size) {
            left = with;
            kept.retain(|&other| other != index);
        }
    }
    let floor = kept.iter().map(|&index| worth[index]).fold(0.0, f64::max);
    Some((kept, floor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn room(entries: usize, memory: u64) -> Room {
        Room {
            entries,
            memory: Some(memory * MIB),
            gpu: None,
        }
    }

    fn candidate(memory: u64, cost: f64, uses: f64, stamp: u64) -> Candidate {
        let size = Size {
            memory: memory * MIB,
            gpu: 0,
        };
        Candidate {
            size,
            cost,
            uses,
            floor: 0.0,
            stamp,
        }
    }

    fn booked(candidates: &[Candidate]) -> Ledger {
        let mut ledger = Ledger::default();
        for one in candidates {
            ledger.add(one.size);
        }
        ledger
    }

    fn size(memory: u64) -> Size {
        Size {
            memory: memory * MIB,
            gpu: 0,
        }
    }

    #[test]
    fn large_cheap_and_rarely_used_entries_go_first() {
        let room = room(100, 100);
        for (case, candidates, expected) in [
            (
                "size",
                [candidate(60, 1.0, 1.0, 1), candidate(10, 1.0, 1.0, 0)],
                0,
            ),
            (
                "reload cost",
                [candidate(40, 9.0, 1.0, 0), candidate(40, 1.0, 1.0, 1)],
                1,
            ),
            (
                "use",
                [candidate(40, 1.0, 1.0, 1), candidate(40, 1.0, 5.0, 0)],
                0,
            ),
            (
                "recency",
                [candidate(40, 1.0, 1.0, 7), candidate(40, 1.0, 1.0, 3)],
                1,
            ),
        ] {
            let mut ledger = booked(&candidates);
            ledger.add(size(100 - ledger.used.memory / MIB));
            let chosen = choose(&candidates, &room, &ledger, size(5), f64::INFINITY);
            assert_eq!(
                chosen.map(|(chosen, _)| chosen),
                Some(vec![expected]),
                "{case}"
            );
        }
    }

    #[test]
    fn nothing_is_evicted_in_vain_or_for_what_is_worth_less() {
        let room = room(2, 100);
        let candidates = [candidate(30, 1.0, 1.0, 0)];
        let mut ledger = booked(&candidates);
        ledger.add(size(70));
        assert_eq!(
            choose(&candidates, &room, &ledger, size(31), f64::INFINITY),
            None
        );
        assert_eq!(
            choose(
                &candidates,
                &room,
                &ledger,
                size(30),
                candidates[0].worth(&room)
            ),
            None
        );
        assert!(choose(&candidates, &room, &ledger, size(30), f64::INFINITY).is_some());
    }

    #[test]
    fn what_a_larger_victim_makes_unnecessary_stays() {
        let candidates = [candidate(1, 0.001, 1.0, 0), candidate(50, 90.0, 1.0, 1)];
        let mut ledger = booked(&candidates);
        ledger.add(size(49));
        let (chosen, _) =
            choose(&candidates, &room(9, 100), &ledger, size(50), f64::INFINITY).expect("room");
        assert_eq!(chosen, [1]);
    }

    proptest! {
        #[test]
        fn what_is_chosen_makes_room_and_no_more(
            sizes in prop::collection::vec((1u64..50, 0u64..9, 1u64..9), 0..12),
            held in 0u64..60,
            wanted in 1u64..70,
        ) {
            let room = room(9, 100);
            let candidates: Vec<_> = sizes.iter().enumerate()
                .map(|(at, &(size, cost, uses))| candidate(size, cost as f64, uses as f64, at as u64)).collect();
            let mut ledger = booked(&candidates);
            ledger.add(size(held));
            let mut all_gone = Ledger::default();
            all_gone.add(size(held));
            match choose(&candidates, &room, &ledger, size(wanted), f64::INFINITY) {
                None => prop_assert!(!all_gone.fits(&room, size(wanted))),
                Some((chosen, _)) => {
                    let mut left = ledger;
                    for &index in &chosen {
                        left.remove(candidates[index].size);
                    }
                    prop_assert!(left.fits(&room, size(wanted)));
                    for &index in &chosen {
                        let mut with = left;
                        with.add(candidates[index].size);
                        prop_assert!(!with.fits(&room, size(wanted)), "one was evicted in vain");
                    }
                }
            }
        }
    }
}
