//! The words that the machine speaks: states, events in, instructions out.

use std::time::Duration;

/// Where a node stands, in the words of the contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It waits for its sources.
    Pending,
    /// It waits for resources, or for its next attempt.
    Ready,
    /// It runs.
    Running,
    /// It is done.
    Succeeded,
    /// It failed for good.
    Failed,
    /// It will not run.
    Skipped,
    /// It was stopped.
    Cancelled,
    /// It waits for a person.
    Waiting,
}

impl NodeState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Waiting => "waiting",
        }
    }

    /// Whether it stays so.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled
        )
    }
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It plays.
    Running,
    /// Every node that had to run is done.
    Succeeded,
    /// A node failed.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl RunState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What kind of failure it was, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It would fail again: bad input, a missing permission, resources that do not exist.
    Permanent,
    /// Another attempt may do better.
    Passing,
    /// The Player's process ended. A node without effects gets a second attempt whatever its policy.
    Crash,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The node has failed.
    Fail,
    /// Another attempt after a delay.
    Retry(Duration),
    /// The node counts as skipped; the run does not fail for it.
    Skip,
    /// Its fallback plays it; where it has none, or it has played, the node has failed.
    Fallback,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The run begins.
    Begin,
    /// A requested node's resources are held.
    Granted(u32),
    /// A requested node needs none: its outputs were in the cache.
    Cached(u32),
    /// An attempt succeeded.
    Finished {
        /// The node.
        node: u32,
        /// Which attempt.
        attempt: u32,
    },
    /// An attempt failed.
    Failed {
        /// The node.
        node: u32,
        /// Which attempt; 0 when it failed before it started.
        attempt: u32,
        /// How.
        fault: Fault,
    },
    /// The answer to [`Instruction::Decide`].
    Decided {
        /// The node.
        node: u32,
        /// Which attempt.
        attempt: u32,
        /// None: as the policy says.
        verdict: Option<Verdict>,
    },
    /// The delay of [`Instruction::Delay`] is over.
    Due {
        /// The node.
        node: u32,
        /// The attempt that failed.
        attempt: u32,
    },
    /// The answer to [`Instruction::Evaluate`].
    Condition {
        /// The edge.
        edge: u32,
        /// Whether the condition holds.
        holds: bool,
    },
    /// A running node waits for a person, or does no longer.
    Waits {
        /// The node.
        node: u32,
        /// Whether it waits.
        waits: bool,
    },
    /// The run is to stop.
    Cancel,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Instruction {
    /// Ask for the node's resources; answer with Granted, Cached or Failed.
    Request(u32),
    /// Take the request back, whether it waits or has been granted.
    Withdraw(u32),
    /// Start an attempt; answer with Finished or Failed.
    Start {
        /// The node.
        node: u32,
        /// Counted from 1.
        attempt: u32,
    },
    /// Stop the running attempt; it still answers with Finished or Failed.
    Stop(u32),
    /// Give the node's resources back.
    Release(u32),
    /// Ask what to do after a failed attempt; answer with Decided.
    Decide {
        /// The node.
        node: u32,
        /// Which attempt.
        attempt: u32,
        /// What the policy says.
        default: Verdict,
    },
    /// Wait, then answer with Due.
    Delay {
        /// The node.
        node: u32,
        /// The attempt that failed.
        attempt: u32,
        /// How long.
        delay: Duration,
    },
    /// Ask whether an edge's condition holds; answer with Condition.
    Evaluate(u32),
    /// The node's state has changed.
    State {
        /// The node.
        node: u32,
        /// To this.
        state: NodeState,
        /// For Skipped: the node because of which.
        cause: Option<u32>,
    },
    /// Every node is in a final state.
    End(RunState),
}
