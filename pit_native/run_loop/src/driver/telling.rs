//! What the host hears of a run.

use std::sync::Arc;

use crate::event::{NodeEvent, NodeNotes, RunEvent, Values};
use crate::instructions::NodeState;
use crate::plan::NodeKind;
use crate::ports::NodeError;

use super::writing::unwritten;
use super::{Detail, Driver};

impl Driver {
    pub(super) fn tell(&mut self, node: u32, state: NodeState, cause: Option<u32>) {
        let at = self.seconds();
        self.prewarming.note(node, state, at);
        let is_unwritten = self.told_state(state) != state;
        let state = self.told_state(state);
        let live = &mut self.live[node as usize];
        match state {
            NodeState::Ready => {
                live.ready_at = at;
                self.ready.push(node);
                return;
            }
            NodeState::Running if live.told != NodeState::Waiting => {
                live.queue = at - live.ready_at;
                live.started_at = at;
            }
            _ => {}
        }
        let has_run = !matches!(live.told, NodeState::Pending);
        live.told = state;
        let started = Some(live.started_at).filter(|_| state.is_final() && has_run);
        let queue = Some(live.queue).filter(|_| !matches!(state, NodeState::Skipped));
        let detail = match state {
            NodeState::Running | NodeState::Waiting => Detail::default(),
            _ => self.details.remove(&node).unwrap_or_default(),
        };
        if state.is_final() {
            self.unreserve(node);
            self.view.settle(node);
        }
        let error = detail
            .error
            .filter(|_| matches!(state, NodeState::Failed | NodeState::Skipped));
        if state == NodeState::Failed && self.error.is_none() {
            self.error = error.as_ref().map(|error| self.name_node(node, error));
        }
        let reason = cause.map(|cause| self.skip_reason(node, cause));
        let ran_because = self.reason_to_run(node);
        if state.is_final() {
            self.because.remove(&node);
            self.keys.remove(&node);
            self.parts.remove(&node);
        }
        if state == NodeState::Running {
            self.begun.push((self.events.len(), node));
        }
        let more = NodeNotes {
            error,
            reason,
            usage: detail.usage,
            ran_because,
            fallback: self.fallback_of(node),
        };
        let more = match is_unwritten {
            true => unwritten(Some(more)),
            false => more,
        };
        self.events.push(RunEvent::Node(Box::new(NodeEvent {
            seconds: detail.seconds,
            queue,
            is_cached: detail.is_cached,
            artifacts: detail.artifacts,
            started,
            more: more.boxed(),
            ..self.event_of(node, state, at)
        })));
    }

    /// That a node has a state, and nothing else of it.
    fn event_of(&self, node: u32, state: NodeState, at: f64) -> NodeEvent {
        NodeEvent {
            run: self.plan.run.clone(),
            node: self.plan.nodes[node as usize].id.clone(),
            state,
            is_cached: false,
            is_kept: false,
            attempt: self.machine.attempts(node),
            at,
            seconds: None,
            queue: None,
            started: None,
            artifacts: Arc::default(),
            more: None,
        }
    }

    /// Takes out that nodes run which have ended meanwhile: their end says when they began.
    pub(super) fn drop_what_is_over(&mut self) {
        let begun = std::mem::take(&mut self.begun);
        let over = begun
            .iter()
            .filter(|(_, node)| self.machine.state(*node).is_final());
        let over: Vec<usize> = over.map(|(at, _)| *at).collect();
        if over.is_empty() {
            return;
        }
        let (mut at, mut next) = (0, over.iter().peekable());
        self.events.retain(|_| {
            let is_over = next.next_if(|over| **over == at).is_some();
            at += 1;
            !is_over
        });
    }

    fn fallback_of(&self, node: u32) -> Option<Arc<str>> {
        let fallback = self.plan.nodes[node as usize].fallback.as_ref();
        fallback
            .filter(|_| self.machine.has_fallen(node))
            .map(|other| other.player.clone())
    }

    /// Puts what was finished in an earlier life where its targets find it, and tells of it: the host's summary
    /// may be older.
    pub(super) fn tell_kept(&mut self) {
        let mut kept: Vec<_> = std::mem::take(&mut self.kept).into_iter().collect();
        kept.sort_unstable_by_key(|(node, _)| *node);
        for (node, stored) in kept {
            self.view.keep(node, Values::new(), stored.clone());
            self.view.settle(node);
            self.events.push(RunEvent::Node(Box::new(NodeEvent {
                artifacts: stored,
                is_kept: true,
                ..self.event_of(node, NodeState::Succeeded, 0.0)
            })));
        }
    }

    pub(super) fn name_node(&self, node: u32, error: &NodeError) -> NodeError {
        let message = format!(
            "Node {} failed: {}",
            self.plan.nodes[node as usize].id, error.message
        );
        NodeError {
            message,
            ..error.clone()
        }
    }

    pub(super) fn skip_reason(&self, node: u32, cause: u32) -> String {
        let id = &self.plan.nodes[cause as usize].id;
        match self.machine.state(cause) {
            _ if cause == node => "the host decided to go on without it".to_owned(),
            NodeState::Failed => format!("{id} failed"),
            NodeState::Skipped => format!("{id} was skipped"),
            NodeState::Cancelled => format!("{id} was cancelled"),
            _ => format!("the condition on {id} does not hold"),
        }
    }

    /// Tells which nodes wait; one that is ready for a moment only is not worth an event.
    pub(super) fn tell_ready(&mut self) {
        let at = self.seconds();
        for node in std::mem::take(&mut self.ready) {
            // Nodes that are played by nobody wait for nothing but their turn.
            if self.machine.state(node) != NodeState::Ready
                || self.plan.nodes[node as usize].kind == NodeKind::Pass
                || self.live[node as usize].told == NodeState::Ready
            {
                continue;
            }
            self.live[node as usize].told = NodeState::Ready;
            let error = self
                .details
                .get(&node)
                .and_then(|detail| detail.error.clone());
            let notes = NodeNotes {
                error,
                ..NodeNotes::default()
            };
            self.events.push(RunEvent::Node(Box::new(NodeEvent {
                more: notes.boxed(),
                ..self.event_of(node, NodeState::Ready, at)
            })));
        }
    }
}
