//! How a node gets what it needs before it starts: from the cache, or from the arbiter.

use crate::instructions::Event;
use crate::machine::Rank;
use crate::ports::{Asked, Asking};

use super::Driver;

impl Driver {
    /// A queued request was granted. The arbiter serves a run's requests in the order in which they were
    /// made; what it grants goes to the first in our own line of those that ask for the same.
    pub(super) fn take_grant(&mut self, grant: u64) {
        let Some(asker) = self.waiting.remove(&grant) else {
            self.owed = self.owed.saturating_sub(1);
            self.shared.arbiter.release(grant);
            return;
        };
        let first = self.first_in_line(asker);
        if first != asker {
            let other = std::mem::replace(&mut self.live[first as usize].grant, grant);
            self.live[asker as usize].grant = other;
            self.waiting.insert(other, asker);
            for (grant, node) in [(grant, first), (other, asker)] {
                let label = &self.plan.nodes[node as usize].id;
                self.shared.arbiter.relabel(grant, label);
            }
        }
        self.live[first as usize].is_queued = false;
        self.queue.push_back(Event::Granted(first));
    }

    /// Takes the first of the nodes that wait for the same as `asker` out of their line.
    fn first_in_line(&mut self, asker: u32) -> u32 {
        let class = self.plan.classes[asker as usize];
        let line = self.lines.entry(class).or_default();
        while let Some(Rank { node, .. }) = line.pop() {
            // Those that were withdrawn are still in it.
            if self.live[node as usize].is_queued {
                return node;
            }
        }
        asker
    }

    pub(super) fn request(&mut self, node: u32) {
        if self.answer_from_cache(node) {
            self.queue.push_back(Event::Cached(node));
            return;
        }
        let plan = &self.plan.nodes[node as usize];
        let is_free = plan.resources.iter().all(|(_, amount)| *amount == 0.0);
        if is_free && plan.locks.is_empty() {
            self.queue.push_back(Event::Granted(node));
            return;
        }
        let asking = Asking {
            owner: &self.plan.run,
            label: &plan.id,
            needs: &plan.resources,
            locks: &plan.locks,
            priority: plan.priority,
            seconds: plan.seconds,
        };
        let arbiter = &self.shared.arbiter;
        let asked = arbiter.request(asking, &self.waiter, u64::from(node));
        self.unreserve(node);
        let live = &mut self.live[node as usize];
        match asked {
            Ok(Asked::Granted(grant)) => {
                live.grant = grant;
                self.queue.push_back(Event::Granted(node));
            }
            Ok(Asked::Queued(grant)) => {
                live.grant = grant;
                live.is_queued = true;
                self.waiting.insert(grant, node);
                let line = self.lines.entry(self.plan.classes[node as usize]);
                line.or_default().push(Rank::of(&self.plan, node));
            }
            Err(error) => {
                self.queue.push_back(Event::Failed {
                    node,
                    attempt: 0,
                    fault: error.fault,
                });
                self.details.entry(node).or_default().error = Some(error);
            }
        }
    }

    pub(super) fn withdraw(&mut self, node: u32) {
        let live = &mut self.live[node as usize];
        if !live.is_queued {
            // Granted, and the machine gives it back when it hears of it.
            return;
        }
        live.is_queued = false;
        self.waiting.remove(&live.grant);
        if !self.shared.arbiter.withdraw(live.grant) {
            self.owed += 1;
        }
        live.grant = 0;
    }

    pub(super) fn release(&mut self, node: u32) {
        let grant = std::mem::take(&mut self.live[node as usize].grant);
        if grant != 0 {
            self.shared.arbiter.release(grant);
        }
    }
}
