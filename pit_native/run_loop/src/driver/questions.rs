//! What a run waits for: the host's decisions, and delays.

use std::time::Duration;

use crate::attempt::blocking;
use crate::decisions::Question;
use crate::event::{RunEvent, Values};
use crate::instructions::{Event, Verdict};
use crate::ports::NodeError;

use super::{Driver, Message};

/// How long the host may think about a failure before the policy decides.
const DECISION_TIME: Duration = Duration::from_secs(5);

impl Driver {
    pub(super) fn decide(&mut self, node: u32, attempt: u32, default: Verdict) {
        let question = Question::Failure {
            inbox: self.inbox.clone(),
            node,
            attempt,
            default,
        };
        let token = self.shared.decisions.ask(&self.plan.run, question);
        let error = self
            .details
            .get(&node)
            .and_then(|detail| detail.error.clone());
        self.events.push(RunEvent::Failure {
            token,
            run: self.plan.run.clone(),
            node: self.plan.nodes[node as usize].id.clone(),
            attempt,
            error: error
                .unwrap_or_else(|| NodeError::new("failed", "It failed without saying why", "")),
        });
        let (shared, inbox) = (self.shared.clone(), self.inbox.clone());
        self.shared.handle.spawn(async move {
            tokio::time::sleep(DECISION_TIME).await;
            if shared.decisions.withdraw(token) {
                let _ = inbox.send(Message::Machine(Event::Decided {
                    node,
                    attempt,
                    verdict: Some(default),
                }));
            }
        });
    }

    pub(super) fn delay(&mut self, node: u32, attempt: u32, delay: Duration) {
        if delay.is_zero() {
            self.queue.push_back(Event::Due { node, attempt });
            return;
        }
        let inbox = self.inbox.clone();
        self.shared.handle.spawn(async move {
            tokio::time::sleep(delay).await;
            // The run may have ended meanwhile.
            let _ = inbox.send(Message::Machine(Event::Due { node, attempt }));
        });
    }

    pub(super) fn evaluate(&mut self, edge: u32) {
        let plan = self.plan.clone();
        let (source, target) = (
            plan.edges[edge as usize].source,
            plan.edges[edge as usize].target,
        );
        let question = Question::Condition {
            inbox: self.inbox.clone(),
            edge,
        };
        let token = self.shared.decisions.ask(&plan.run, question);
        let ask = move |outputs: Values| {
            let condition = plan.edges[edge as usize].condition.as_deref();
            RunEvent::Condition {
                token,
                run: plan.run.clone(),
                source: plan.nodes[source as usize].id.clone(),
                target: plan.nodes[target as usize].id.clone(),
                when: condition.and_then(|condition| condition.when.clone()),
                edge: condition.and_then(|condition| condition.token),
                outputs,
            }
        };
        if let Some(outputs) = self.view.in_memory(source) {
            self.events.push(ask(outputs));
            return;
        }
        let (shared, view, inbox) = (self.shared.clone(), self.view.clone(), self.inbox.clone());
        self.shared.handle.spawn(async move {
            let artifacts = shared.artifacts.clone();
            match blocking(move || view.load(source, &*artifacts)).await {
                Ok(outputs) => shared.sink.emit(&mut vec![ask(outputs)]),
                // What cannot be read cannot hold.
                Err(_) if shared.decisions.withdraw(token) => {
                    let _ = inbox.send(Message::Machine(Event::Condition { edge, holds: false }));
                }
                Err(_) => {}
            }
        });
    }
}
