//! What the run loop tells the host.

use std::sync::Arc;

use rmpv::Value;

use crate::instructions::{NodeState, RunState};
use crate::ports::{NodeError, Stored, Usage};

/// Values by port.
pub type Values = Vec<(Arc<str>, Arc<Value>)>;

/// One event. Those with a token ask for an answer through [`crate::RunLoop::decide`].
#[derive(Debug, Clone)]
pub enum RunEvent {
    /// A node's state has changed.
    Node(Box<NodeEvent>),
    /// A run's state has changed.
    Run {
        /// The run.
        run: Arc<str>,
        /// To this.
        state: RunState,
        /// Since it began, in this life.
        seconds: f64,
        /// Why it failed.
        error: Option<NodeError>,
    },
    /// A control node is to be answered.
    Control {
        /// Names the question.
        token: u64,
        /// The run.
        run: Arc<str>,
        /// The node.
        node: Arc<str>,
        /// The control Player.
        player: Arc<str>,
        /// Its parameters.
        params: Arc<Value>,
        /// Its inputs.
        inputs: Values,
    },
    /// A condition is to be evaluated.
    Condition {
        /// Names the question.
        token: u64,
        /// The run.
        run: Arc<str>,
        /// The source.
        source: Arc<str>,
        /// The target.
        target: Arc<str>,
        /// The condition.
        when: Option<Arc<str>>,
        /// The plan's mark on the edge.
        edge: Option<i64>,
        /// The source's outputs.
        outputs: Values,
    },
    /// A content is to be brought back from another tier. The answer is true when it is there, else why not.
    Recall {
        /// Names the question.
        token: u64,
        /// The run.
        run: Arc<str>,
        /// The artifact's id.
        id: Arc<str>,
    },
    /// An attempt failed; what next?
    Failure {
        /// Names the question.
        token: u64,
        /// The run.
        run: Arc<str>,
        /// The node.
        node: Arc<str>,
        /// Which attempt.
        attempt: u32,
        /// Why.
        error: NodeError,
    },
}

/// A node's new state. A large run tells of many at once, so what most lack stands apart.
#[derive(Debug, Clone)]
pub struct NodeEvent {
    /// The run.
    pub run: Arc<str>,
    /// The node.
    pub node: Arc<str>,
    /// Its state.
    pub state: NodeState,
    /// Whether the outputs came from the cache.
    pub is_cached: bool,
    /// Whether it was finished in an earlier life of the run.
    pub is_kept: bool,
    /// Attempts so far.
    pub attempt: u32,
    /// Seconds since the run began, in this life.
    pub at: f64,
    /// Seconds that the last attempt took.
    pub seconds: Option<f64>,
    /// Seconds that it waited for resources.
    pub queue: Option<f64>,
    /// When it began to run, in seconds since the run began; for final states.
    pub started: Option<f64>,
    /// What was stored.
    pub artifacts: Arc<[Stored]>,
    /// What is seldom known.
    pub more: Option<Box<NodeNotes>>,
}

/// What is told of some nodes only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeNotes {
    /// Why it failed.
    pub error: Option<NodeError>,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// What the last attempt used.
    pub usage: Option<Usage>,
    /// Why it ran and was not answered from the cache.
    pub ran_because: Option<Arc<str>>,
    /// The Player that answered in place of its own.
    pub fallback: Option<Arc<str>>,
}

impl NodeNotes {
    /// Apart, unless there is nothing to note.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}
