//! What follows what: a Markov chain of second order that backs off to lower orders where it has seen little.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a prompt begins with; no Player is called so.
pub(super) const START: &str = "^";
/// What a prompt ends with.
const END: &str = "$";
/// Each new observation makes the earlier ones of its context count less, so that habits may change.
const DECAY: f64 = 0.98;
/// Contexts that are remembered.
const CONTEXTS: usize = 8_000;
/// Followers weighing less are forgotten.
const LEAST: f64 = 0.02;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sequence {
    /// Contexts of one or two names, joined by a space, to the names that followed.
    follows: BTreeMap<String, BTreeMap<String, f64>>,
    /// The last names, at most two.
    last: Vec<String>,
}

fn context(names: &[&str]) -> String {
    names.join(" ")
}

impl Sequence {
    /// A prompt begins.
    pub(super) fn begin(&mut self) {
        if self.last.last().is_some_and(|last| last != START) {
            // The end is learned when the next begins: only then it is known that nothing more came.
            self.learn(END);
        }
        self.push(START);
    }

    pub(super) fn note(&mut self, name: &str) {
        self.learn(name);
        self.push(name);
    }

    fn push(&mut self, name: &str) {
        self.last.push(name.to_owned());
        if self.last.len() > 2 {
            self.last.remove(0);
        }
    }

    fn learn(&mut self, next: &str) {
        let last: Vec<String> = self.last.clone();
        for from in 0..last.len() {
            let names: Vec<&str> = last[from..].iter().map(String::as_str).collect();
            let key = context(&names);
            if self.follows.len() >= CONTEXTS && !self.follows.contains_key(&key) {
                continue;
            }
            let follows = self.follows.entry(key).or_default();
            follows.retain(|_, weight| {
                *weight *= DECAY;
                *weight >= LEAST
            });
            *follows.entry(next.to_owned()).or_insert(0.0) += 1.0;
        }
    }

    /// What the next prompt begins with, each with its probability.
    pub(super) fn after_start(&self) -> Vec<(&str, f64)> {
        let last = self.last.iter().rev().find(|name| *name != START);
        match last {
            Some(last) => self.after(&[last, START]),
            None => self.after(&[START]),
        }
    }

    /// What follows these names, each with its probability, without the end.
    pub(super) fn after(&self, names: &[&str]) -> Vec<(&str, f64)> {
        let mut all: BTreeMap<&str, f64> = BTreeMap::new();
        let mut rest = 1.0;
        for from in 0..names.len() {
            let Some(follows) = self.follows.get(&context(&names[from..])) else {
                continue;
            };
            let sum: f64 = follows.values().sum();
            // What was seen once counts for two thirds, the shorter context for the rest.
            let trust = rest * sum / (sum + 0.5);
            for (name, weight) in follows {
                *all.entry(name).or_insert(0.0) += trust * weight / sum;
            }
            rest -= trust;
        }
        all.remove(END);
        all.into_iter().collect()
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.follows
            .retain(|context, _| context.split(' ').all(|part| part != name));
        for follows in self.follows.values_mut() {
            follows.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'a>(all: &[(&'a str, f64)]) -> Option<&'a str> {
        all.iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(name, _)| *name)
    }

    #[test]
    fn two_names_say_more_than_one_and_one_more_than_none() {
        let mut sequence = Sequence::default();
        for _ in 0..5 {
            for run in [["a", "b", "c"], ["x", "b", "y"]] {
                sequence.begin();
                run.iter().for_each(|name| sequence.note(name));
            }
        }
        assert_eq!(best(&sequence.after(&["a", "b"])), Some("c"));
        assert_eq!(best(&sequence.after(&["x", "b"])), Some("y"));
        assert_eq!(
            best(&sequence.after(&["new", "b"])),
            best(&sequence.after(&["b"]))
        );
        assert_eq!(
            best(&sequence.after_start()),
            Some("a"),
            "after the run that ended with y"
        );
        assert!(sequence.after(&["b", "c"]).is_empty(), "c is the end");
        let sum: f64 = sequence.after(&["a", "b"]).iter().map(|(_, p)| p).sum();
        assert!(sum <= 1.0 + 1e-9);
    }

    #[test]
    fn habits_change() {
        let mut sequence = Sequence::default();
        for name in ["old"; 40].into_iter().chain(["new"; 40]) {
            sequence.begin();
            sequence.note(name);
        }
        assert_eq!(best(&sequence.after(&[START])), Some("new"));
        sequence.forget("new");
        assert_eq!(best(&sequence.after(&[START])), Some("old"));
    }
}
