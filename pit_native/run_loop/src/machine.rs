//! The state of a playing melody: events in, instructions out, no clock and no I/O.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use crate::instructions::{Event, Fault, Instruction, NodeState, RunState, Verdict};
use crate::plan::{Backoff, EdgeKind, NodeKind, Plan};

/// Requests for resources that may wait at once: those of the most critical ready nodes.
const WINDOW: usize = 32;
/// Calls that may run at once in one run.
const RUNNING: usize = 256;
/// The longest delay between two attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Pending,
    Queued,
    Requested,
    Running,
    Waiting,
    Deciding,
    Delayed,
    Final(NodeState),
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    phase: Phase,
    /// Incoming edges that are not resolved.
    unresolved: u32,
    /// Incoming data edges, and how many of them bring something.
    data: u32,
    live: u32,
    attempt: u32,
    /// Attempts made before this host played the run; the retry policy does not count them.
    earlier: u32,
    /// Whether its fallback plays it.
    has_fallen: bool,
}

/// The order in which ready nodes are played: by priority, then the most critical first.
#[derive(Debug, PartialEq)]
pub(crate) struct Rank {
    priority: u8,
    level: f64,
    pub(crate) node: u32,
}

impl Rank {
    pub(crate) fn of(plan: &Plan, node: u32) -> Self {
        Self {
            priority: plan.nodes[node as usize].priority,
            level: plan.levels[node as usize],
            node,
        }
    }
}

impl Eq for Rank {}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let critical = self.level.total_cmp(&other.level);
        self.priority
            .cmp(&other.priority)
            .then(critical)
            .then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A playing melody.
#[derive(Debug)]
pub struct Machine {
    plan: Arc<Plan>,
    slots: Vec<Slot>,
    queue: BinaryHeap<Rank>,
    requested: usize,
    running: usize,
    open: usize,
    failed: usize,
    cancelled: usize,
    is_cancelling: bool,
    has_ended: bool,
    todo: Vec<(u32, bool)>,
}

impl Machine {
    /// A machine with nothing started. `kept` are nodes that were finished before and do not run again;
    /// a node is kept only with all its sources. `attempts` counts the attempts made before, by node.
    pub fn new(plan: Arc<Plan>, kept: &[u32], attempts: &[(u32, u32)]) -> Self {
        let fresh = Slot {
            phase: Phase::Pending,
            unresolved: 0,
            data: 0,
            live: 0,
            attempt: 0,
            earlier: 0,
            has_fallen: false,
        };
        let mut slots = vec![fresh; plan.nodes.len()];
        for edge in &plan.edges {
            let slot = &mut slots[edge.target as usize];
            slot.unresolved += 1;
            slot.data += u32::from(edge.kind == EdgeKind::Data);
        }
        for &(node, attempt) in attempts {
            slots[node as usize].attempt = attempt;
            slots[node as usize].earlier = attempt;
        }
        for &node in kept {
            slots[node as usize].phase = Phase::Final(NodeState::Succeeded);
        }
        let open = slots
            .iter()
            .filter(|slot| slot.phase == Phase::Pending)
            .count();
        Self {
            plan,
            slots,
            queue: BinaryHeap::new(),
            requested: 0,
            running: 0,
            open,
            failed: 0,
            cancelled: 0,
            is_cancelling: false,
            has_ended: false,
            todo: Vec::new(),
        }
    }

    /// What is played.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Where `node` stands.
    pub fn state(&self, node: u32) -> NodeState {
        match self.slots[node as usize].phase {
            Phase::Pending => NodeState::Pending,
            Phase::Queued | Phase::Requested | Phase::Deciding | Phase::Delayed => NodeState::Ready,
            Phase::Running => NodeState::Running,
            Phase::Waiting => NodeState::Waiting,
            Phase::Final(state) => state,
        }
    }

    /// Whether `node` waits for nothing but one edge from another node.
    pub fn waits_for_one(&self, node: u32) -> bool {
        let slot = &self.slots[node as usize];
        slot.phase == Phase::Pending && slot.unresolved == 1
    }

    /// How often `node` was started.
    pub fn attempts(&self, node: u32) -> u32 {
        self.slots[node as usize].attempt
    }

    /// Whether the fallback of `node` plays it, or has played it.
    pub fn has_fallen(&self, node: u32) -> bool {
        self.slots[node as usize].has_fallen
    }

    /// Takes an event in; adds to `out` what is to be done. Events about what is over change nothing.
    pub fn handle(&mut self, event: Event, out: &mut Vec<Instruction>) {
        match event {
            Event::Begin => self.begin(out),
            Event::Granted(node) => self.granted(node, out),
            Event::Cached(node) => self.cached(node, out),
            Event::Finished { node, attempt } => self.finished(node, attempt, out),
            Event::Failed {
                node,
                attempt,
                fault,
            } => self.failed(node, attempt, fault, out),
            Event::Decided {
                node,
                attempt,
                verdict,
            } => self.decided(node, attempt, verdict, out),
            Event::Due { node, attempt } => self.due(node, attempt),
            Event::Condition { edge, holds } => self.condition(edge, holds, out),
            Event::Waits { node, waits } => self.waits(node, waits, out),
            Event::Cancel => self.cancel(out),
        }
        self.propagate(out);
        self.request_more(out);
        if self.open == 0 && !self.has_ended {
            self.has_ended = true;
            out.push(Instruction::End(self.outcome()));
        }
    }

    fn outcome(&self) -> RunState {
        match (self.cancelled, self.failed) {
            (0, 0) => RunState::Succeeded,
            (0, _) => RunState::Failed,
            _ => RunState::Cancelled,
        }
    }

    fn begin(&mut self, out: &mut Vec<Instruction>) {
        for node in 0..self.slots.len() as u32 {
            let slot = self.slots[node as usize];
            match slot.phase {
                Phase::Final(_) => self.todo.push((node, true)),
                _ if slot.unresolved == 0 => self.make_ready(node, out),
                _ => {}
            }
        }
    }

    fn make_ready(&mut self, node: u32, out: &mut Vec<Instruction>) {
        self.enqueue(node);
        out.push(Instruction::State {
            node,
            state: NodeState::Ready,
            cause: None,
        });
    }

    fn enqueue(&mut self, node: u32) {
        self.slots[node as usize].phase = Phase::Queued;
        self.queue.push(Rank::of(&self.plan, node));
    }

    fn request_more(&mut self, out: &mut Vec<Instruction>) {
        while self.requested < WINDOW && self.running < RUNNING {
            let Some(Rank { node, .. }) = self.queue.pop() else {
                return;
            };
            let slot = &mut self.slots[node as usize];
            // A node that was cancelled while it was queued is still in the heap.
            if slot.phase == Phase::Queued {
                slot.phase = Phase::Requested;
                self.requested += 1;
                out.push(Instruction::Request(node));
            }
        }
    }

    fn granted(&mut self, node: u32, out: &mut Vec<Instruction>) {
        let slot = &mut self.slots[node as usize];
        if slot.phase != Phase::Requested {
            out.push(Instruction::Release(node));
            return;
        }
        slot.phase = Phase::Running;
        slot.attempt += 1;
        let attempt = slot.attempt;
        self.requested -= 1;
        self.running += usize::from(self.counts_as_running(node));
        out.push(Instruction::State {
            node,
            state: NodeState::Running,
            cause: None,
        });
        out.push(Instruction::Start { node, attempt });
    }

    fn counts_as_running(&self, node: u32) -> bool {
        self.plan.nodes[node as usize].kind == NodeKind::Player
    }

    fn cached(&mut self, node: u32, out: &mut Vec<Instruction>) {
        if self.slots[node as usize].phase == Phase::Requested {
            self.requested -= 1;
            self.conclude(node, NodeState::Succeeded, None, out);
        }
    }

    /// Whether `attempt` of `node` is what runs; if so it runs no longer.
    fn stop_running(&mut self, node: u32, attempt: u32, out: &mut Vec<Instruction>) -> bool {
        let slot = &self.slots[node as usize];
        if slot.attempt != attempt || !matches!(slot.phase, Phase::Running | Phase::Waiting) {
            return false;
        }
        self.running -= usize::from(self.counts_as_running(node));
        out.push(Instruction::Release(node));
        true
    }

    fn finished(&mut self, node: u32, attempt: u32, out: &mut Vec<Instruction>) {
        if self.stop_running(node, attempt, out) {
            self.conclude(node, NodeState::Succeeded, None, out);
        }
    }

    fn failed(&mut self, node: u32, attempt: u32, fault: Fault, out: &mut Vec<Instruction>) {
        if attempt == 0 && self.slots[node as usize].phase == Phase::Requested {
            self.requested -= 1;
        } else if !self.stop_running(node, attempt, out) {
            return;
        }
        if self.is_cancelling {
            self.conclude(node, NodeState::Cancelled, None, out);
            return;
        }
        let default = self.default_verdict(node, fault);
        self.slots[node as usize].phase = Phase::Deciding;
        if self.plan.asks_on_failure {
            out.push(Instruction::State {
                node,
                state: NodeState::Ready,
                cause: None,
            });
            out.push(Instruction::Decide {
                node,
                attempt,
                default,
            });
        } else {
            self.judge(node, attempt, default, out);
        }
    }

    fn default_verdict(&self, node: u32, fault: Fault) -> Verdict {
        let plan = &self.plan.nodes[node as usize];
        let slot = &self.slots[node as usize];
        let attempt = slot.attempt - slot.earlier;
        let allowed = match fault {
            Fault::Permanent => 0,
            Fault::Passing => plan.retry.attempts,
            Fault::Crash if plan.has_effects => plan.retry.attempts,
            Fault::Crash => plan.retry.attempts.max(2),
        };
        if slot.has_fallen {
            return Verdict::Fail;
        }
        if attempt >= allowed {
            return match plan.fallback {
                Some(_) => Verdict::Fallback,
                None => Verdict::Fail,
            };
        }
        let delay = match plan.retry.backoff {
            Backoff::None => Duration::ZERO,
            Backoff::Fixed => plan.retry.delay,
            Backoff::Exponential => plan
                .retry
                .delay
                .saturating_mul(1 << (attempt.saturating_sub(1)).min(16)),
        };
        Verdict::Retry(delay.min(LONGEST_DELAY).mul_f64(self.jitter(node, attempt)))
    }

    /// Between 0.5 and 1, so that nodes that failed together do not come back together. It depends on
    /// the run, the node and the attempt alone (the finaliser of SplitMix64).
    fn jitter(&self, node: u32, attempt: u32) -> f64 {
        let seed = self.plan.run.bytes().fold(0u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let mut mixed = seed ^ (u64::from(node) << 32) ^ u64::from(attempt);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        0.5 + 0.5 * (mixed >> 11) as f64 / (1u64 << 53) as f64
    }

    fn decided(
        &mut self,
        node: u32,
        attempt: u32,
        verdict: Option<Verdict>,
        out: &mut Vec<Instruction>,
    ) {
        let slot = &self.slots[node as usize];
        if slot.phase == Phase::Deciding && (slot.attempt == attempt || attempt == 0) {
            self.judge(node, attempt, verdict.unwrap_or(Verdict::Fail), out);
        }
    }

    fn judge(&mut self, node: u32, attempt: u32, verdict: Verdict, out: &mut Vec<Instruction>) {
        match verdict {
            Verdict::Fallback
                if self.plan.nodes[node as usize].fallback.is_some()
                    && !self.slots[node as usize].has_fallen =>
            {
                self.slots[node as usize].has_fallen = true;
                self.make_ready(node, out);
            }
            Verdict::Fail | Verdict::Fallback => {
                self.conclude(node, NodeState::Failed, None, out);
            }
            Verdict::Skip => self.conclude(node, NodeState::Skipped, Some(node), out),
            Verdict::Retry(delay) => {
                self.slots[node as usize].phase = Phase::Delayed;
                out.push(Instruction::State {
                    node,
                    state: NodeState::Ready,
                    cause: None,
                });
                out.push(Instruction::Delay {
                    node,
                    attempt,
                    delay,
                });
            }
        }
    }

    fn due(&mut self, node: u32, attempt: u32) {
        let slot = &self.slots[node as usize];
        if slot.phase == Phase::Delayed && (slot.attempt == attempt || attempt == 0) {
            // That it is ready was said when the delay began.
            self.enqueue(node);
        }
    }

    fn waits(&mut self, node: u32, waits: bool, out: &mut Vec<Instruction>) {
        let slot = &mut self.slots[node as usize];
        let (from, to, state) = match waits {
            true => (Phase::Running, Phase::Waiting, NodeState::Waiting),
            false => (Phase::Waiting, Phase::Running, NodeState::Running),
        };
        if slot.phase == from {
            slot.phase = to;
            out.push(Instruction::State {
                node,
                state,
                cause: None,
            });
        }
    }

    fn cancel(&mut self, out: &mut Vec<Instruction>) {
        if self.is_cancelling {
            return;
        }
        self.is_cancelling = true;
        for node in 0..self.slots.len() as u32 {
            match self.slots[node as usize].phase {
                Phase::Final(_) => {}
                Phase::Running | Phase::Waiting => out.push(Instruction::Stop(node)),
                Phase::Requested => {
                    self.requested -= 1;
                    out.push(Instruction::Withdraw(node));
                    self.conclude(node, NodeState::Cancelled, None, out);
                }
                Phase::Pending | Phase::Queued | Phase::Deciding | Phase::Delayed => {
                    self.conclude(node, NodeState::Cancelled, None, out);
                }
            }
        }
    }

    fn condition(&mut self, edge: u32, holds: bool, out: &mut Vec<Instruction>) {
        self.resolve(edge, holds, out);
    }

    /// Puts a node into its final state; its edges are resolved by [`Machine::propagate`].
    fn conclude(
        &mut self,
        node: u32,
        state: NodeState,
        cause: Option<u32>,
        out: &mut Vec<Instruction>,
    ) {
        self.slots[node as usize].phase = Phase::Final(state);
        self.open -= 1;
        self.failed += usize::from(state == NodeState::Failed);
        self.cancelled += usize::from(state == NodeState::Cancelled);
        out.push(Instruction::State { node, state, cause });
        self.todo.push((node, state == NodeState::Succeeded));
    }

    fn propagate(&mut self, out: &mut Vec<Instruction>) {
        let plan = self.plan.clone();
        while let Some((node, is_live)) = self.todo.pop() {
            for &edge in plan.graph.out_edges(node) {
                let EdgeKind::Conditional = plan.edges[edge as usize].kind else {
                    self.resolve(edge, is_live, out);
                    continue;
                };
                let target = plan.edges[edge as usize].target;
                if !is_live {
                    self.resolve(edge, false, out);
                } else if self.slots[target as usize].phase == Phase::Pending {
                    out.push(Instruction::Evaluate(edge));
                }
            }
        }
    }

    fn resolve(&mut self, edge: u32, is_live: bool, out: &mut Vec<Instruction>) {
        let edge = &self.plan.edges[edge as usize];
        let (source, target, is_optional) = (edge.source, edge.target, edge.is_optional);
        let slot = &mut self.slots[target as usize];
        if slot.phase != Phase::Pending || slot.unresolved == 0 {
            return;
        }
        slot.unresolved -= 1;
        slot.live += u32::from(is_live && edge.kind == EdgeKind::Data);
        let is_starved = slot.unresolved == 0 && slot.data > 0 && slot.live == 0;
        if (!is_live && !is_optional) || is_starved {
            self.conclude(target, NodeState::Skipped, Some(source), out);
        } else if slot.unresolved == 0 {
            self.make_ready(target, out);
        }
    }
}

#[cfg(test)]
mod tests;
