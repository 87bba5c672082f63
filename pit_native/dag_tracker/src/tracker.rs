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
    order: Vec<u32>,
    states: Vec<State>,
    waiting: Vec<u32>,
    /// Nodes that were made ready, in order; those that have left the state are dropped on reading.
    ready: Vec<u32>,
    unfinished: usize,
}

impl Tracker {
    /// A tracker with nothing started, or the cycle that forbids it.
    pub fn new(graph: Graph) -> Result<Self, Cycle> {
        let order = graph.topological_order()?;
        Ok(Self::in_order(graph, order))
    }

    /// As [`Tracker::new`], where the order of `graph` is known already.
    pub(crate) fn in_order(graph: Graph, order: Vec<u32>) -> Self {
        let waiting = graph.in_degrees().to_vec();
        let mut states = vec![State::Pending; graph.nodes()];
        let ready: Vec<u32> = (0..graph.nodes() as u32)
            .filter(|&i| waiting[i as usize] == 0)
            .collect();
        for &node in &ready {
            states[node as usize] = State::Ready;
        }
        let unfinished = graph.nodes();
        Self {
            graph,
            order,
            states,
            waiting,
            ready,
            unfinished,
        }
    }

    /// All nodes, each after its sources.
    pub fn order(&self) -> &[u32] {
        &self.order
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

    /// Marks a running (or ready) node as done; the nodes that became ready by it.
    pub fn complete(&mut self, node: u32) -> Result<&[u32], TransitionError> {
        self.expect(node, "complete", &[State::Running, State::Ready])?;
        self.states[node as usize] = State::Done;
        let from = self.trim_ready();
        self.release_targets(node);
        Ok(&self.ready[from..])
    }

    /// Marks all of `nodes`, which run or are ready, as done; the nodes that became ready by it.
    ///
    /// When one of them cannot be completed, or is named twice, nothing has changed.
    pub fn complete_many(&mut self, nodes: &[u32]) -> Result<&[u32], TransitionError> {
        let mut before = Vec::with_capacity(nodes.len());
        for &node in nodes {
            if let Err(error) = self.expect(node, "complete", &[State::Running, State::Ready]) {
                for (&node, &state) in nodes.iter().zip(&before) {
                    self.states[node as usize] = state;
                }
                return Err(error);
            }
            before.push(self.states[node as usize]);
            self.states[node as usize] = State::Done;
        }
        let from = self.trim_ready();
        for &node in nodes {
            self.release_targets(node);
        }
        Ok(&self.ready[from..])
    }

    /// Clears what has left the ready set before the list can outgrow the graph; its length.
    fn trim_ready(&mut self) -> usize {
        if self.ready.len() >= 2 * self.graph.nodes().max(16) {
            self.ready();
        }
        self.ready.len()
    }

    fn release_targets(&mut self, node: u32) {
        self.unfinished -= 1;
        for &target in self.graph.successors(node) {
            let left = &mut self.waiting[target as usize];
            *left -= 1;
            if *left == 0 && self.states[target as usize] == State::Pending {
                self.states[target as usize] = State::Ready;
                self.ready.push(target);
            }
        }
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
mod tests;
