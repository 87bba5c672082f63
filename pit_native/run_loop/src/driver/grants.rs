//! How a node gets what it needs before it starts: from the cache, or from the arbiter.

use crate::cache::cache_key;
use crate::event::Values;
use crate::instructions::Event;
use crate::journal::Record;
use crate::ports::{Asked, Stored};

use super::{Detail, Driver};

impl Driver {
    pub(super) fn take_grant(&mut self, node: u32, grant: u64) {
        let live = &mut self.live[node as usize];
        if live.is_queued && live.grant == grant {
            live.is_queued = false;
            self.queue.push_back(Event::Granted(node));
        } else {
            self.owed = self.owed.saturating_sub(1);
            self.shared.arbiter.release(grant);
        }
    }

    pub(super) fn request(&mut self, node: u32) {
        if self.answer_from_cache(node) {
            self.queue.push_back(Event::Cached(node));
            return;
        }
        let plan = &self.plan.nodes[node as usize];
        if plan.resources.iter().all(|(_, amount)| *amount == 0.0) {
            self.queue.push_back(Event::Granted(node));
            return;
        }
        let asked = self.shared.arbiter.request(
            &self.plan.run,
            &plan.resources,
            plan.priority,
            &self.waiter,
            u64::from(node),
        );
        let live = &mut self.live[node as usize];
        match asked {
            Ok(Asked::Granted(grant)) => {
                live.grant = grant;
                self.queue.push_back(Event::Granted(node));
            }
            Ok(Asked::Queued(grant)) => {
                live.grant = grant;
                live.is_queued = true;
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

    pub(super) fn answer_from_cache(&mut self, node: u32) -> bool {
        let Some(cache) = &self.cache else {
            return false;
        };
        let plan = &self.plan.nodes[node as usize];
        let Some(key) = cache_key(plan, |source, port| self.view.artifact_of(source, port)) else {
            return false;
        };
        let known = cache.lock().get(&key).map(<[Stored]>::to_vec);
        let stored = known.filter(|stored| {
            let is_whole = plan
                .outputs
                .iter()
                .all(|(port, _)| stored.iter().any(|s| s.port == *port));
            is_whole && stored.iter().all(|s| self.shared.artifacts.contains(&s.id))
        });
        let Some(stored) = stored else {
            self.keys.insert(node, key);
            return false;
        };
        let attempt = self.machine.attempts(node);
        self.record(&Record::Finished {
            node,
            attempt,
            is_cached: true,
            stored: stored.clone(),
        });
        self.details.insert(
            node,
            Detail {
                artifacts: stored.clone(),
                is_cached: true,
                ..Detail::default()
            },
        );
        self.view.keep(node, Values::new(), stored);
        true
    }

    pub(super) fn withdraw(&mut self, node: u32) {
        let live = &mut self.live[node as usize];
        if !live.is_queued {
            // Granted, and the machine gives it back when it hears of it.
            return;
        }
        live.is_queued = false;
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
