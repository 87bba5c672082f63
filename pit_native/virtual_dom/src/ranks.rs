//! Counts the occupied slots before a slot, while slots come and go: a Fenwick tree.

/// A row of slots, each occupied or not.
pub(crate) struct Ranks {
    sums: Vec<i32>,
}

impl Ranks {
    pub(crate) fn new(occupied: &[bool]) -> Self {
        let mut sums = vec![0; occupied.len() + 1];
        for (slot, is_occupied) in occupied.iter().enumerate() {
            sums[slot + 1] += i32::from(*is_occupied);
            let parent = (slot + 1) + ((slot + 1) & (slot + 1).wrapping_neg());
            if parent < sums.len() {
                sums[parent] += sums[slot + 1];
            }
        }
        Ranks { sums }
    }

    pub(crate) fn occupy(&mut self, slot: usize) {
        self.add(slot, 1);
    }

    pub(crate) fn vacate(&mut self, slot: usize) {
        self.add(slot, -1);
    }

    fn add(&mut self, slot: usize, change: i32) {
        let mut at = slot + 1;
        while at < self.sums.len() {
            self.sums[at] += change;
            at += at & at.wrapping_neg();
        }
    }

    /// How many slots before `slot` are occupied.
    pub(crate) fn before(&self, slot: usize) -> usize {
        let (mut at, mut sum) = (slot, 0);
        while at > 0 {
            sum += self.sums[at];
            at &= at - 1;
        }
        sum as usize
    }
}

/// Which of `positions` form a longest increasing run: these can stay while all others move.
pub(crate) fn longest_increasing(positions: &[usize]) -> Vec<bool> {
    // `tails[k]` is the index of the smallest end of an increasing run of length k + 1.
    let mut tails: Vec<usize> = Vec::new();
    let mut previous = vec![usize::MAX; positions.len()];
    for (index, position) in positions.iter().enumerate() {
        let length = tails.partition_point(|tail| positions[*tail] < *position);
        if length > 0 {
            previous[index] = tails[length - 1];
        }
        if length == tails.len() {
            tails.push(index);
        } else {
            tails[length] = index;
        }
    }
    let mut stays = vec![false; positions.len()];
    let mut at = tails.last().copied().unwrap_or(usize::MAX);
    while at != usize::MAX {
        stays[at] = true;
        at = previous[at];
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_is_increasing_and_longest() {
        let count = |positions: &[usize]| {
            longest_increasing(positions)
                .iter()
                .filter(|stays| **stays)
                .count()
        };
        assert_eq!(count(&[0, 1, 2, 3]), 4);
        assert_eq!(count(&[3, 2, 1, 0]), 1);
        assert_eq!(longest_increasing(&[1, 2, 0]), [true, true, false]);
        assert_eq!(
            longest_increasing(&[2, 0, 1, 4, 3]),
            [false, true, true, false, true]
        );
        assert_eq!(count(&[]), 0);
    }

    #[test]
    fn ranks_follow_the_slots() {
        let mut ranks = Ranks::new(&[true, false, true, true]);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|slot| ranks.before(slot)),
            [0, 1, 1, 2, 3]
        );
        ranks.occupy(1);
        ranks.vacate(3);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|slot| ranks.before(slot)),
            [0, 1, 2, 3, 3]
        );
    }
}
