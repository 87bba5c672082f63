//! Decides what becomes of a list of children: who stays, who goes, who moves, who is new.
//!
//! Pure: it sees identities only. Keyed children are matched by key, the others by kind in order; a
//! longest run of matches keeps its place and everything else moves around it, so that the patch of
//! one moved row is one operation.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::ranks::{Ranks, longest_increasing};

/// What makes two children the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Identity<'a> {
    Text,
    Unkeyed(&'a str),
    Keyed(&'a str, &'a str),
}

/// One step on the list, in the order in which they apply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The item at this index goes.
    Remove { index: usize },
    /// The item moves; `to` counts without it.
    Move { from: usize, to: usize },
    /// The child `child` of the new list comes in at `index`.
    Add { index: usize, child: usize },
}

/// For each new child the index of the old one that it continues.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) matches: Vec<Option<usize>>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) fn plan(old: &[Identity<'_>], new: &[Identity<'_>]) -> Plan {
    let prefix = old
        .iter()
        .zip(new)
        .take_while(|(before, after)| before == after)
        .count();
    let rest = old.len().min(new.len()) - prefix;
    let suffix = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(rest)
        .take_while(|(a, b)| a == b)
        .count();
    let (old_end, new_end) = (old.len() - suffix, new.len() - suffix);
    let mut matches: Vec<Option<usize>> = (0..prefix).map(Some).collect();
    matches.extend(match_middle(
        &old[prefix..old_end],
        &new[prefix..new_end],
        prefix,
    ));
    matches.extend((old_end..old.len()).map(Some));
    let steps = steps(&matches[prefix..new_end], prefix, old_end);
    Plan { matches, steps }
}

fn match_middle(old: &[Identity<'_>], new: &[Identity<'_>], prefix: usize) -> Vec<Option<usize>> {
    let mut waiting: FxHashMap<Identity<'_>, VecDeque<usize>> = FxHashMap::default();
    for (index, identity) in old.iter().enumerate() {
        waiting
            .entry(*identity)
            .or_default()
            .push_back(prefix + index);
    }
    new.iter()
        .map(|identity| waiting.get_mut(identity).and_then(VecDeque::pop_front))
        .collect()
}

/// The steps for the middle of the list, which begins at `start` and ended at `old_end`.
fn steps(matches: &[Option<usize>], start: usize, old_end: usize) -> Vec<Step> {
    let mut is_kept = vec![false; old_end - start];
    for matched in matches.iter().flatten() {
        is_kept[matched - start] = true;
    }
    let removals = (0..is_kept.len()).rev().filter(|index| !is_kept[*index]);
    let mut steps: Vec<Step> = removals
        .map(|index| Step::Remove {
            index: start + index,
        })
        .collect();
    let kept: Vec<usize> = matches.iter().flatten().copied().collect();
    let stays = longest_increasing(&kept);
    if stays.iter().all(|stays| *stays) && kept.len() == matches.len() {
        return steps;
    }
    place(matches, &kept, &stays, start, &mut steps);
    steps
}

/// Moves and adds from left to right, each directly behind the child before it.
///
/// Every child that moves has two slots, where it was and where it goes. In a row of slots that holds
/// both in order, an index is the count of occupied slots before.
fn place(
    matches: &[Option<usize>],
    kept: &[usize],
    stays: &[bool],
    start: usize,
    steps: &mut Vec<Step>,
) {
    let mut strays: Vec<usize> = kept
        .iter()
        .zip(stays)
        .filter(|(_, stays)| !**stays)
        .map(|(old, _)| *old)
        .collect();
    strays.sort_unstable();
    let mut occupied = Vec::with_capacity(matches.len() + strays.len());
    let mut slot_of_child = vec![0; matches.len()];
    let mut slot_of_stray: FxHashMap<usize, usize> = FxHashMap::default();
    let mut next_stray = strays.iter().peekable();
    let is_anchor = anchors(matches, stays);
    // Strays stand in their old order, before the anchor that was behind them, after what is new there.
    for (child, matched) in matches.iter().enumerate() {
        if is_anchor[child] {
            let old = matched.expect("an anchor is matched");
            while let Some(stray) = next_stray.next_if(|stray| **stray < old) {
                slot_of_stray.insert(*stray, occupied.len());
                occupied.push(true);
            }
        }
        slot_of_child[child] = occupied.len();
        occupied.push(is_anchor[child]);
    }
    for stray in next_stray {
        slot_of_stray.insert(*stray, occupied.len());
        occupied.push(true);
    }
    let mut ranks = Ranks::new(&occupied);
    for (child, matched) in matches.iter().enumerate() {
        if is_anchor[child] {
            continue;
        }
        let slot = slot_of_child[child];
        match matched {
            None => steps.push(Step::Add {
                index: start + ranks.before(slot),
                child: start + child,
            }),
            Some(old) => {
                let old_slot = slot_of_stray[old];
                let from = start + ranks.before(old_slot);
                ranks.vacate(old_slot);
                let to = start + ranks.before(slot);
                if from != to {
                    steps.push(Step::Move { from, to });
                }
            }
        }
        ranks.occupy(slot);
    }
}

/// Which new children are matched and keep their place.
fn anchors(matches: &[Option<usize>], stays: &[bool]) -> Vec<bool> {
    let mut stays = stays.iter();
    matches
        .iter()
        .map(|matched| matched.is_some() && *stays.next().expect("one for each match"))
        .collect()
}
