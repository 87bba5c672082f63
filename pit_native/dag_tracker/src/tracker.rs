//! Which nodes are ready, running and done, step by step.

use thiserror::Error;

use crate::graph::{Cycle, Graph};

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It waits for its sources.
    Pending = 0,
    /// All its sources are complete.
    Ready = 1,
    /// It was started.
    Running = 2,
    /// It is complete.
    Done = 3,
    /// It failed.
    Failed = 4,
    /// It can never run, for something before it failed.
    Skipped = 5,
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Pending,
            Self::Ready,
            Self::Running,
            Self::Done,
            Self::Failed,
            Self::Skipped,
        ]
        .into_iter()
        .find(|state| *state as u8 == byte)
    }
}

/// A step that a node's state does not allow.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("cannot {step} a node that is {}", .state.word())]
pub struct TransitionError {
    /// The node.
    pub node: u32,
    /// The verb: start, complete or fail.
    pub step: &'static str,
    /// Where the node stands.
    pub state: State,
}

/// The ready set of a graph. A step costs the edges of the node it is about.
#[derive(Debug, Clone)]
pub struct Tracker {
    graph: Graph,
    states: Vec<State>,
    waiting: Vec<u32>,
    /// Nodes that were made ready, in order; those that have left the state are dropped on reading.
    ready: Vec<u32>,
    unfinished: usize,
}

impl Tracker {
    /// A tracker with nothing started, or the cycle that forbids it.
    pub fn new(graph: Graph) -> Result<Self, Cycle> {
        graph.topological_order()?;
        let waiting = graph.in_degrees().to_vec();
        let mut states = vec![State::Pending; graph.nodes()];
        let ready: Vec<u32> = (0..graph.nodes() as u32)
            .filter(|&i| waiting[i as usize] == 0)
            .collect();
        for &node in &ready {
            states[node as usize] = State::Ready;
        }
        let unfinished = graph.nodes();
        Ok(Self {
            graph,
            states,
            waiting,
            ready,
            unfinished,
        })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Where `node` stands.
    pub fn state(&self, node: u32) -> State {
        self.states[node as usize]
    }

    /// All nodes that are ready now, in the order in which they became so.
    pub fn ready(&mut self) -> &[u32] {
        let states = &self.states;
        self.ready
            .retain(|&node| states[node as usize] == State::Ready);
        &self.ready
    }

    /// Whether every node is done, failed or skipped.
    pub fn is_finished(&self) -> bool {
        self.unfinished == 0
    }

    /// How many nodes are not done, failed or skipped.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Marks a ready node as running.
    pub fn start(&mut self, node: u32) -> Result<(), TransitionError> {
        self.expect(node, "start", &[State::Ready])?;
        self.states[node as usize] = State::Running;
        Ok(())
    }

    /// Marks a running (or ready) node as done; adds to `newly_ready` what became ready by it.
    pub fn complete(
        &mut self,
        node: u32,
        newly_ready: &mut Vec<u32>,
    ) -> Result<(), TransitionError> {
        self.expect(node, "complete", &[State::Running, State::Ready])?;
        self.states[node as usize] = State::Done;
        self.unfinished -= 1;
        let from = newly_ready.len();
        for &target in self.graph.successors(node) {
            let left = &mut self.waiting[target as usize];
            *left -= 1;
            if *left == 0 && self.states[target as usize] == State::Pending {
                self.states[target as usize] = State::Ready;
                newly_ready.push(target);
            }
        }
        // What has left the set is cleared before the list can outgrow the graph.
        if self.ready.len() >= 2 * self.graph.nodes().max(16) {
            self.ready();
        }
        self.ready.extend_from_slice(&newly_ready[from..]);
        Ok(())
    }

    /// Marks a running (or ready) node as failed; adds to `skipped` what can never run now.
    pub fn fail(&mut self, node: u32, skipped: &mut Vec<u32>) -> Result<(), TransitionError> {
        self.expect(node, "fail", &[State::Running, State::Ready])?;
        self.states[node as usize] = State::Failed;
        self.unfinished -= 1;
        let mut next = skipped.len();
        self.skip_targets(node, skipped);
        while next < skipped.len() {
            let node = skipped[next];
            next += 1;
            self.skip_targets(node, skipped);
        }
        Ok(())
    }

    fn skip_targets(&mut self, node: u32, skipped: &mut Vec<u32>) {
        for &target in self.graph.successors(node) {
            if self.states[target as usize] == State::Pending {
                self.states[target as usize] = State::Skipped;
                self.unfinished -= 1;
                skipped.push(target);
            }
        }
    }

    fn expect(
        &self,
        node: u32,
        step: &'static str,
        allowed: &[State],
    ) -> Result<(), TransitionError> {
        let state = self.states[node as usize];
        if allowed.contains(&state) {
            Ok(())
        } else {
            Err(TransitionError { node, step, state })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn diamond() -> Tracker {
        Tracker::new(Graph::new(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]).unwrap()).unwrap()
    }

    #[test]
    fn a_node_is_ready_when_all_sources_are_done() {
        let mut tracker = diamond();
        let mut new = Vec::new();
        assert_eq!(tracker.ready(), [0]);
        tracker.start(0).unwrap();
        assert_eq!(tracker.ready(), [0u32; 0]);
        tracker.complete(0, &mut new).unwrap();
        assert_eq!(new, [1, 2]);
        new.clear();
        tracker.complete(1, &mut new).unwrap();
        assert!(new.is_empty());
        tracker.complete(2, &mut new).unwrap();
        assert_eq!(
            (new.as_slice(), tracker.ready()),
            ([3].as_slice(), [3].as_slice())
        );
        tracker.complete(3, &mut new).unwrap();
        assert!(tracker.is_finished());
    }

    #[test]
    fn what_depends_on_a_failure_is_skipped_once() {
        let mut tracker = diamond();
        let (mut new, mut skipped) = (Vec::new(), Vec::new());
        tracker.complete(0, &mut new).unwrap();
        tracker.fail(1, &mut skipped).unwrap();
        assert_eq!(skipped, [3]);
        skipped.clear();
        tracker.fail(2, &mut skipped).unwrap();
        assert!(skipped.is_empty() && tracker.is_finished());
        assert_eq!(
            tracker.start(3),
            Err(TransitionError {
                node: 3,
                step: "start",
                state: State::Skipped
            })
        );
    }

    #[test]
    fn a_failure_reaches_down_a_chain_of_a_hundred_thousand() {
        let n = 100_000u32;
        let edges: Vec<_> = (0..n - 1).map(|i| (i, i + 1)).collect();
        let mut tracker = Tracker::new(Graph::new(n as usize, &edges).unwrap()).unwrap();
        let mut skipped = Vec::new();
        tracker.fail(0, &mut skipped).unwrap();
        assert_eq!(skipped.len(), n as usize - 1);
    }

    proptest! {
        #[test]
        fn no_node_is_ready_before_its_sources_and_all_end(
            n in 1usize..25, raw in proptest::collection::vec((0u32..25, 0u32..25), 0..60),
            fails in proptest::collection::vec(proptest::bool::weighted(0.15), 25),
            picks in proptest::collection::vec(0usize..1000, 25),
        ) {
            let edges: Vec<_> = raw.into_iter()
                .map(|(a, b)| (a % n as u32, b % n as u32))
                .filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).collect();
            let mut tracker = Tracker::new(Graph::new(n, &edges).unwrap()).unwrap();
            let mut steps = 0;
            while !tracker.ready().is_empty() {
                let ready = tracker.ready();
                let node = ready[picks[steps % picks.len()] % ready.len()];
                steps += 1;
                for &(a, b) in &edges {
                    if b == node { prop_assert_eq!(tracker.state(a), State::Done); }
                }
                tracker.start(node).unwrap();
                let mut out = Vec::new();
                if fails[node as usize] { tracker.fail(node, &mut out).unwrap(); }
                else { tracker.complete(node, &mut out).unwrap(); }
            }
            prop_assert!(tracker.is_finished());
        }
    }
}
