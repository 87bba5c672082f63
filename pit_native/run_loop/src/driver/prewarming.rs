//! Starts the Players of a run's next nodes at the right moment: their expected start less the time to load.
//!
//! The driver only notes what becomes of each node, two stores that wake nobody. A task beside it looks at the
//! notes when something may come due, and not at all while every Player that is still needed is loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::instructions::NodeState;
use crate::plan::{EdgeKind, NodeKind, NodePlan, Plan};
use crate::ports::{Arbiter, Stage};
use crate::run_loop::Shared;

/// The shortest time between two looks, and the longest while something is still to be warmed.
const SOONEST: Duration = Duration::from_millis(20);
const LATEST: Duration = Duration::from_millis(250);
/// A look may take this share of the time.
const SHARE: u32 = 50;
/// Loads are begun somewhat earlier than they must: by this share of their time, and these seconds.
const MARGIN: f64 = 0.25;
const HEAD_START: f64 = 0.05;
/// The resource that a loaded Player takes although it is not used.
const MEMORY: &str = "memory";
/// What a Player behind an undecided condition is expected to be used.
const DOUBTFUL: f64 = 0.0;
const CERTAIN: f64 = 1.0;

/// Where a node is, as far as this matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Pending,
    /// Its sources are there; it waits for resources.
    Ready,
    Running,
    Settled,
}

impl Phase {
    fn of(state: NodeState) -> Self {
        match state {
            NodeState::Pending => Self::Pending,
            NodeState::Ready => Self::Ready,
            NodeState::Running | NodeState::Waiting => Self::Running,
            _ => Self::Settled,
        }
    }

    fn from_byte(byte: u8) -> Self {
        [Self::Pending, Self::Ready, Self::Running, Self::Settled][usize::from(byte.min(3))]
    }
}

/// What the driver notes and the task reads.
struct Board {
    phases: Vec<AtomicU8>,
    /// Seconds since the run began, the bits of an f32.
    started: Vec<AtomicU32>,
    is_over: AtomicBool,
    /// Signalled at the end: the next run may begin at once, and its uses come after this one's.
    over: Notify,
}

/// The driver's end of it. Its drop ends the task.
pub(super) struct Prewarming(Option<Arc<Board>>);

impl Prewarming {
    /// Begins to watch over a run; `kept` are the nodes that do not run again.
    pub(super) fn start(plan: &Arc<Plan>, shared: &Shared, began: Instant, kept: &[u32]) -> Self {
        let Some(outlook) = Outlook::new(plan, &shared.stage, &shared.arbiter) else {
            return Self(None);
        };
        let count = plan.nodes.len();
        let board = Arc::new(Board {
            phases: (0..count)
                .map(|_| AtomicU8::new(Phase::Pending as u8))
                .collect(),
            started: (0..count).map(|_| AtomicU32::new(0)).collect(),
            is_over: AtomicBool::new(false),
            over: Notify::new(),
        });
        for &node in kept {
            board.phases[node as usize].store(Phase::Settled as u8, Ordering::Relaxed);
        }
        shared.handle.spawn(outlook.watch(board.clone(), began));
        Self(Some(board))
    }

    /// A node has got another state, so many seconds after the run began.
    #[inline]
    pub(super) fn note(&self, node: u32, state: NodeState, at: f64) {
        let Some(board) = &self.0 else { return };
        let phase = Phase::of(state);
        if phase == Phase::Running {
            board.started[node as usize].store((at as f32).to_bits(), Ordering::Relaxed);
        }
        board.phases[node as usize].store(phase as u8, Ordering::Release);
    }
}

impl Drop for Prewarming {
    fn drop(&mut self) {
        if let Some(board) = &self.0 {
            board.is_over.store(true, Ordering::Release);
            board.over.notify_one();
        }
    }
}

/// What is known of a plan before it plays, and what was seen of it since.
struct Outlook {
    plan: Arc<Plan>,
    stage: Arc<dyn Stage>,
    arbiter: Arc<dyn Arbiter>,
    order: Vec<u32>,
    /// Incoming edges of each node, by target, as indices into the plan's edges.
    incoming: Vec<Vec<u32>>,
    /// Each pool entry with its nodes.
    users: Vec<(Arc<str>, Vec<u32>)>,
    /// Entries that a node has begun to use.
    used: FxHashMap<Arc<str>, f32>,
    /// Whether the run is a prompt of its own, and not a part of another.
    is_whole: bool,
}

impl Outlook {
    fn new(plan: &Arc<Plan>, stage: &Arc<dyn Stage>, arbiter: &Arc<dyn Arbiter>) -> Option<Self> {
        let mut users: Vec<(Arc<str>, Vec<u32>)> = Vec::new();
        let mut places: FxHashMap<Arc<str>, usize> = FxHashMap::default();
        for (index, node) in plan.nodes.iter().enumerate() {
            if node.kind == NodeKind::Player {
                let place = *places.entry(node.key.clone()).or_insert_with(|| {
                    users.push((node.key.clone(), Vec::new()));
                    users.len() - 1
                });
                users[place].1.push(index as u32);
            }
        }
        if users.is_empty() {
            return None;
        }
        let mut incoming = vec![Vec::new(); plan.nodes.len()];
        for (index, edge) in plan.edges.iter().enumerate() {
            incoming[edge.target as usize].push(index as u32);
        }
        Some(Self {
            order: plan.graph.topological_order().ok()?,
            plan: plan.clone(),
            stage: stage.clone(),
            arbiter: arbiter.clone(),
            incoming,
            users,
            used: FxHashMap::default(),
            is_whole: !plan.run.contains('/'),
        })
    }

    async fn watch(mut self, board: Arc<Board>, began: Instant) {
        if self.is_whole {
            self.stage.run_began();
        }
        let mut pause = SOONEST;
        while !board.is_over.load(Ordering::Acquire) {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = board.over.notified() => break,
            }
            let looked = Instant::now();
            self.note_uses(&board);
            let next = self.look(&board, began.elapsed().as_secs_f64());
            pause = next.clamp(SOONEST, LATEST).max(looked.elapsed() * SHARE);
        }
        self.note_uses(&board);
        if self.is_whole {
            let keys: Vec<Arc<str>> = self.used.into_keys().collect();
            self.stage.run_ended(&keys);
        }
    }

    /// Tells the stage which entries were used for the first time, in the order of their use.
    fn note_uses(&mut self, board: &Board) {
        let mut fresh: Vec<(f32, Arc<str>)> = Vec::new();
        for (key, nodes) in &self.users {
            if self.used.contains_key(key) {
                continue;
            }
            let starts = nodes.iter().map(|&node| node as usize).filter_map(|node| {
                let bits = board.started[node].load(Ordering::Relaxed);
                (bits != 0).then(|| f32::from_bits(bits))
            });
            if let Some(first) = starts.min_by(f32::total_cmp) {
                fresh.push((first, key.clone()));
            }
        }
        fresh.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (first, key) in fresh {
            if self.is_whole {
                self.stage.run_uses(&key);
            }
            self.used.insert(key, first);
        }
    }

    /// Starts what is due. Returns after which time to look again.
    fn look(&self, board: &Board, now: f64) -> Duration {
        let cold: Vec<(usize, f64)> = (0..self.users.len())
            .filter_map(|at| Some((at, self.stage.lead_seconds(&self.users[at].0)?)))
            .collect();
        if cold.is_empty() {
            return LATEST;
        }
        let phases: Vec<Phase> = board
            .phases
            .iter()
            .map(|phase| Phase::from_byte(phase.load(Ordering::Acquire)))
            .collect();
        let started =
            |node: usize| f64::from(f32::from_bits(board.started[node].load(Ordering::Relaxed)));
        let starts = self.forecast(&phases, started, now);
        let mut next = f64::INFINITY;
        for (at, lead) in cold {
            let (key, nodes) = &self.users[at];
            let soonest = nodes
                .iter()
                .map(|&node| (starts[node as usize], node))
                .min_by(|(a, _), (b, _)| a.at.total_cmp(&b.at));
            let Some((start, node)) = soonest.filter(|(start, _)| start.at.is_finite()) else {
                continue;
            };
            let due = start.at - lead * (1.0 + MARGIN) - HEAD_START;
            if due > now {
                next = next.min(due - now);
            } else if self.has_room_for(node) {
                let uses = if start.is_certain { CERTAIN } else { DOUBTFUL };
                self.stage.prewarm(key, uses);
            }
        }
        Duration::from_secs_f64(next.min(LATEST.as_secs_f64()))
    }

    /// Whether the memory that `node` will ask for is free: what running nodes were granted is not taken ahead of
    /// its time. While it is not, the node could not start either.
    fn has_room_for(&self, node: u32) -> bool {
        let mut needs = self.plan.nodes[node as usize].resources.iter();
        needs.all(|(name, amount)| &**name != MEMORY || self.arbiter.has_free(name, *amount))
    }

    /// When each node is expected to start, in seconds since the run began; for what has started or will not
    /// start, and for what waits for something whose end nobody knows, never.
    fn forecast(&self, phases: &[Phase], started: impl Fn(usize) -> f64, now: f64) -> Vec<Start> {
        let mut ends = vec![Start::NEVER; phases.len()];
        let mut starts = vec![Start::NEVER; phases.len()];
        for &node in &self.order {
            let node = node as usize;
            let plan = &self.plan.nodes[node];
            let start = match phases[node] {
                Phase::Settled => {
                    ends[node] = Start::at(now);
                    continue;
                }
                Phase::Running => {
                    // What takes longer than usual may end at any moment.
                    ends[node] = Start::at((started(node) + self.seconds(plan)).max(now));
                    continue;
                }
                Phase::Ready => Start::at(now),
                Phase::Pending => self.after_sources(node, phases, &ends, now),
            };
            starts[node] = start;
            ends[node] = Start {
                at: start.at + self.seconds(plan),
                ..start
            };
        }
        starts
    }

    fn after_sources(&self, node: usize, phases: &[Phase], ends: &[Start], now: f64) -> Start {
        let mut start = Start::at(now);
        for &edge in &self.incoming[node] {
            let edge = &self.plan.edges[edge as usize];
            let end = ends[edge.source as usize];
            start.at = start.at.max(end.at);
            start.is_certain &= end.is_certain;
            if edge.kind == EdgeKind::Conditional {
                start.is_certain &= phases[edge.source as usize] == Phase::Settled;
            }
        }
        start
    }

    fn seconds(&self, node: &NodePlan) -> f64 {
        match node.kind {
            NodeKind::Pass => 0.0,
            NodeKind::Player => self
                .stage
                .usual_seconds(&node.player)
                .unwrap_or(node.seconds),
            NodeKind::Control => match node.player.rsplit('#').next() {
                Some("if" | "join") => 0.0,
                // A person answers when it pleases.
                Some("approve") => f64::INFINITY,
                _ => node.seconds,
            },
        }
    }
}

/// When something is expected, and whether it depends on a condition that is not decided.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Start {
    at: f64,
    is_certain: bool,
}

impl Start {
    const NEVER: Self = Self::at(f64::INFINITY);

    const fn at(at: f64) -> Self {
        Self {
            at,
            is_certain: true,
        }
    }
}

#[cfg(test)]
mod tests;
