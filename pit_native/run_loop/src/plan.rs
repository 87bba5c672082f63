//! What is to be played: nodes by index, what feeds them, and the edges that order them.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dag_tracker::{Cycle, Graph, GraphError};
use rmpv::Value;
use rustc_hash::{FxHashMap, FxHashSet};
use thiserror::Error;

use crate::digest::Digester;

/// How a node is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// By a Player process.
    Player,
    /// By a decision of the host.
    Control,
    /// By nobody: each output is the input of the same name. Costs no process and no message.
    Pass,
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// Not at all.
    None,
    /// The same delay each time.
    Fixed,
    /// Twice as long each time, up to a minute.
    Exponential,
}

/// When a failed node is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// How the delay grows.
    pub backoff: Backoff,
    /// The first delay.
    pub delay: Duration,
}

/// Where an input's value comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An output of another node.
    Node {
        /// Its index.
        node: u32,
        /// The output.
        port: Arc<str>,
    },
    /// A value that the plan holds.
    Value(Arc<Value>),
}

/// An input port and what feeds it.
#[derive(Debug, Clone)]
pub struct InputPlan {
    /// Its name.
    pub port: Arc<str>,
    /// Whether the sources are gathered into one list.
    pub is_list: bool,
    /// Whether the node runs without it when its sources were skipped or failed.
    pub is_optional: bool,
    /// At least one.
    pub sources: Vec<Source>,
}

/// Who plays a node after its last attempt has failed. It gets the same inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    /// The pool's entry for its Player.
    pub key: Arc<str>,
    /// `publisher/extension#function`.
    pub player: Arc<str>,
    /// The function alone.
    pub function: Arc<str>,
    /// Parameters, a map.
    pub params: Arc<Value>,
}

/// A lock that a node holds while it plays, on a path and all that is below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathLock {
    /// Its parts are divided by slashes.
    pub path: Arc<str>,
    /// Whether nobody else may hold it; else others may read beside it.
    pub is_exclusive: bool,
}

/// How a node is played, whatever its parameters and inputs. Many nodes of a large plan share one.
#[derive(Debug, Clone, PartialEq)]
pub struct Casting {
    /// How it is answered.
    pub kind: NodeKind,
    /// The pool's entry for its Player.
    pub key: Arc<str>,
    /// `publisher/extension#function`.
    pub player: Arc<str>,
    /// The function alone.
    pub function: Arc<str>,
    /// The version of its extension.
    pub version: Arc<str>,
    /// Output ports with their types.
    pub outputs: Vec<(Arc<str>, Arc<str>)>,
    /// Longest duration of one call.
    pub timeout: Option<Duration>,
    /// When it is tried again.
    pub retry: Retry,
    /// Resources with amounts.
    pub resources: Vec<(Arc<str>, f64)>,
    /// What it must not share meanwhile.
    pub locks: Vec<PathLock>,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// Whether it changes something outside; the journal is synced before it starts.
    pub has_effects: bool,
    /// Why it may not be cached, in a few words.
    pub uncached: Option<Arc<str>>,
    /// Who plays it when its own Player has failed for good.
    pub fallback: Option<Fallback>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Its id in the melody.
    pub id: Arc<str>,
    /// How it is played.
    pub casting: Arc<Casting>,
    /// Parameters, a map.
    pub params: Arc<Value>,
    /// What feeds it.
    pub inputs: Vec<InputPlan>,
    /// What is known of its cache key before its inputs are; none when it may not be cached.
    pub cache_key: Option<String>,
    /// How long it takes, about; for the critical path.
    pub seconds: f64,
}

impl NodePlan {
    /// The nodes that feed it, as often as they do.
    pub fn sources(&self) -> impl Iterator<Item = u32> {
        let sources = self.inputs.iter().flat_map(|input| &input.sources);
        sources.filter_map(|source| match source {
            Source::Node { node, .. } => Some(*node),
            Source::Value(_) => None,
        })
    }
}

impl Deref for NodePlan {
    type Target = Casting;

    fn deref(&self) -> &Casting {
        &self.casting
    }
}

impl DerefMut for NodePlan {
    fn deref_mut(&mut self) -> &mut Casting {
        Arc::make_mut(&mut self.casting)
    }
}

/// What an edge means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// The target takes an output of the source.
    Data,
    /// The target only comes after the source.
    Control,
    /// The target runs only when a condition on the source's outputs holds.
    Conditional,
}

/// What a conditional edge asks.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The condition, in the host's words.
    pub when: Option<Arc<str>>,
    /// The host's own mark.
    pub token: Option<i64>,
}

/// One edge.
#[derive(Debug, Clone)]
pub struct EdgePlan {
    /// What it means.
    pub kind: EdgeKind,
    /// Index of the source.
    pub source: u32,
    /// Index of the target.
    pub target: u32,
    /// Whether the target can do without it.
    pub is_optional: bool,
    /// Of a conditional edge. Apart, for a large plan has many edges and few conditions.
    pub condition: Option<Box<Condition>>,
}

/// A melody that is ready to be played.
#[derive(Debug)]
pub struct Plan {
    /// Id of the run.
    pub run: Arc<str>,
    /// The run's folder; none plays without a journal.
    pub folder: Option<PathBuf>,
    /// The melody's name.
    pub name: String,
    /// Which melody it is, whatever its content; none for a plan that is played once.
    pub melody: Option<String>,
    /// The project's path.
    pub project: Option<String>,
    /// All nodes.
    pub nodes: Vec<NodePlan>,
    /// All edges, those that follow from inputs first.
    pub edges: Vec<EdgePlan>,
    /// Stored with every artifact.
    pub meta: Vec<(String, Value)>,
    /// Whether the host is asked what to do after each failed attempt.
    pub asks_on_failure: bool,
    /// The graph over [`Plan::edges`].
    pub graph: Graph,
    /// For each node how much work depends on it, in seconds: the critical path starts with the largest.
    pub levels: Vec<f64>,
    /// For each node its class: nodes of one class ask for the same resources and locks at the same
    /// priority.
    pub classes: Vec<u32>,
    /// For each node how many nodes take an output of it.
    pub consumers: Vec<u32>,
    index: FxHashMap<Arc<str>, u32>,
}

/// A plan that cannot be played.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A part of the document is missing or has the wrong form.
    #[error("the plan's {at} {problem}")]
    Malformed {
        /// Where.
        at: String,
        /// What is wrong.
        problem: String,
    },
    /// Two nodes have one id.
    #[error("two nodes of the plan are called {0}")]
    DuplicateNode(String),
    /// An edge or input names a node that there is not.
    #[error("{at} names the node {node}, which the plan does not have")]
    UnknownNode {
        /// Who names it.
        at: String,
        /// The node.
        node: String,
    },
    /// The nodes of a cycle, in order, the first repeated.
    #[error("the plan has a cycle: {}", .0.join(" → "))]
    Cycle(Vec<String>),
    /// Too large for 32-bit indices.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// The parts of a plan before its graph is known.
#[derive(Debug, Default)]
pub struct PlanParts {
    /// Id of the run.
    pub run: String,
    /// The run's folder.
    pub folder: Option<PathBuf>,
    /// The melody's name.
    pub name: String,
    /// Which melody it is.
    pub melody: Option<String>,
    /// The project's path.
    pub project: Option<String>,
    /// All nodes; sources of inputs are indices already.
    pub nodes: Vec<NodePlan>,
    /// Control and conditional edges, and data edges that no input names.
    pub edges: Vec<EdgePlan>,
    /// Stored with every artifact.
    pub meta: Vec<(String, Value)>,
    /// Whether the host is asked after failures.
    pub asks_on_failure: bool,
}

impl Plan {
    /// Puts the parts together; the edges that inputs imply are added to those listed.
    pub fn new(parts: PlanParts) -> Result<Self, PlanError> {
        let mut index = FxHashMap::default();
        index.reserve(parts.nodes.len());
        for (at, node) in parts.nodes.iter().enumerate() {
            if index.insert(node.id.clone(), at as u32).is_some() {
                return Err(PlanError::DuplicateNode(node.id.to_string()));
            }
        }
        Self::with_index(parts, index)
    }

    /// As [`Plan::new`], where the places of all nodes are known already.
    pub(crate) fn with_index(
        parts: PlanParts,
        index: FxHashMap<Arc<str>, u32>,
    ) -> Result<Self, PlanError> {
        let PlanParts {
            run,
            folder,
            name,
            melody,
            project,
            nodes,
            edges: listed,
            meta,
            asks_on_failure,
        } = parts;
        let (edges, consumers) = all_edges(&nodes, listed);
        let pairs: Vec<(u32, u32)> = edges.iter().map(|e| (e.source, e.target)).collect();
        let graph = Graph::new(nodes.len(), &pairs)?;
        drop(pairs);
        let order = graph.topological_order().map_err(|Cycle(cycle)| {
            PlanError::Cycle(
                cycle
                    .iter()
                    .map(|&at| nodes[at as usize].id.to_string())
                    .collect(),
            )
        })?;
        let weights: Vec<f64> = nodes.iter().map(|node| node.seconds).collect();
        let levels = graph.bottom_levels(&order, &weights);
        let run = run.into();
        Ok(Self {
            run,
            folder,
            name,
            melody,
            project,
            classes: classes(&nodes),
            nodes,
            edges,
            meta,
            asks_on_failure,
            graph,
            levels,
            consumers,
            index,
        })
    }

    /// The index of the node called `id`.
    pub fn index_of(&self, id: &str) -> Option<u32> {
        self.index.get(id).copied()
    }

    /// What a node is, apart from what its sources gave: a finished node with the same print is not
    /// played again on resume.
    pub fn fingerprint(&self, node: u32) -> u64 {
        let node = &self.nodes[node as usize];
        let mut hash = Digester::new();
        for text in [&node.player, &node.function] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.value(&node.params);
        for input in &node.inputs {
            hash.update([1, u8::from(input.is_list)]);
            hash.update(input.port.as_bytes());
            for source in &input.sources {
                match source {
                    Source::Node { node, port } => {
                        hash.update([2]);
                        hash.update(self.nodes[*node as usize].id.as_bytes());
                        hash.update([0]);
                        hash.update(port.as_bytes());
                    }
                    Source::Value(value) => {
                        hash.update([3]);
                        hash.value(value);
                    }
                }
                hash.update([0]);
            }
        }
        hash.short()
    }
}

fn classes(nodes: &[NodePlan]) -> Vec<u32> {
    let mut known = FxHashMap::default();
    let class = |node: &NodePlan| {
        let needs: Vec<(Arc<str>, u64)> = node
            .resources
            .iter()
            .map(|(name, amount)| (name.clone(), amount.to_bits()))
            .collect();
        let next = known.len() as u32;
        *known
            .entry((node.priority, needs, node.locks.clone()))
            .or_insert(next)
    };
    nodes.iter().map(class).collect()
}

/// The edges that inputs imply, then those of the listed that say more.
fn all_edges(nodes: &[NodePlan], listed: Vec<EdgePlan>) -> (Vec<EdgePlan>, Vec<u32>) {
    let (mut edges, consumers) = edges_of_inputs(nodes);
    if edges.is_empty() {
        return (listed, consumers);
    }
    let fed: FxHashSet<(u32, u32)> = match listed.iter().any(|edge| edge.kind == EdgeKind::Data) {
        true => edges.iter().map(|e| (e.source, e.target)).collect(),
        false => FxHashSet::default(),
    };
    let says_more = |e: &EdgePlan| e.kind != EdgeKind::Data || !fed.contains(&(e.source, e.target));
    edges.extend(listed.into_iter().filter(says_more));
    edges.shrink_to_fit();
    (edges, consumers)
}

fn edges_of_inputs(nodes: &[NodePlan]) -> (Vec<EdgePlan>, Vec<u32>) {
    let mut edges = Vec::new();
    let mut consumers = vec![0; nodes.len()];
    for (target, node) in nodes.iter().enumerate() {
        for input in &node.inputs {
            for source in &input.sources {
                let Source::Node { node: source, .. } = *source else {
                    continue;
                };
                consumers[source as usize] += 1;
                edges.push(EdgePlan {
                    kind: EdgeKind::Data,
                    source,
                    target: target as u32,
                    is_optional: input.is_optional,
                    condition: None,
                });
            }
        }
    }
    (edges, consumers)
}
