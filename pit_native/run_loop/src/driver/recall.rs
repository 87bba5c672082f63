//! Contents of earlier results that lie in another tier: which of them will be read, and their way back.
//!
//! It is found out before the first node starts, for the ids of what the cache would answer are the keys of what
//! comes behind. A result whose content cannot be brought back is none: its node runs, so that contents before it
//! may be read that were not to be.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::cache::{CacheKey, cache_key};
use crate::decisions::Question;
use crate::event::RunEvent;
use crate::instructions::Event;
use crate::machine::Machine;
use crate::plan::{EdgeKind, NodeKind};
use crate::ports::{Presence, Stored};
use crate::resume::keepable;

use super::{Driver, Kept, Message};

/// Nodes whose contents could not be brought back: which, and why.
type Lost = FxHashMap<u32, (Arc<str>, String)>;

/// What is known before the first node starts.
#[derive(Debug, Default)]
struct Foreseen {
    /// What nodes have made that will not run.
    made: Kept,
    /// The keys of those of them that the cache answers.
    keys: FxHashMap<u32, CacheKey>,
}

impl Driver {
    /// Brings back what nodes that run will read. Results that cannot be brought back are forgotten.
    pub(super) async fn bring_back_what_is_read(
        &mut self,
        messages: &mut UnboundedReceiver<Message>,
    ) {
        while self.shared.artifacts.are_some_away() {
            let foreseen = self.foresee();
            let waiting = self.away_and_read(&foreseen.made);
            if waiting.is_empty() {
                return;
            }
            let Some(lost) = self.recall(waiting, messages).await else {
                self.queue.push_back(Event::Cancel);
                return;
            };
            if lost.is_empty() {
                return;
            }
            self.do_without(&lost, &foreseen);
        }
    }

    /// Nodes that are kept, and those that the cache will answer.
    fn foresee(&self) -> Foreseen {
        let plan = &self.plan;
        let mut foreseen = Foreseen {
            made: self.kept.clone(),
            keys: FxHashMap::default(),
        };
        let Some(cache) = &self.cache else {
            return foreseen;
        };
        let cache = cache.lock();
        for node in plan.graph.topological_order().unwrap_or_default() {
            let own = &plan.nodes[node as usize];
            if own.kind != NodeKind::Player || foreseen.made.contains_key(&node) {
                continue;
            }
            let id_of = |source: u32, port: &str| {
                let mut stored = foreseen.made.get(&source)?.iter();
                let stored = stored.find(|stored| &*stored.port == port)?;
                Some(stored.id.clone())
            };
            let Some(key) = cache_key(own, id_of) else {
                continue;
            };
            if let Some(stored) = cache.get(&key).filter(|stored| own.is_whole(stored)) {
                foreseen.made.insert(node, stored);
                foreseen.keys.insert(node, key);
            }
        }
        foreseen
    }

    /// The contents in other tiers that will be read, with the nodes that made them.
    fn away_and_read(&self, made: &Kept) -> FxHashMap<Arc<str>, Vec<u32>> {
        let mut found: FxHashMap<Arc<str>, Vec<u32>> = FxHashMap::default();
        for (&node, stored) in made {
            if !self.is_read(node, made) {
                continue;
            }
            for one in &**stored {
                if self.shared.artifacts.presence(&one.id) == Presence::Away {
                    found.entry(one.id.clone()).or_default().push(node);
                }
            }
        }
        found
    }

    /// Whether somebody reads what `node` made, where those in `made` do not run.
    fn is_read(&self, node: u32, made: &Kept) -> bool {
        // The host reads what comes out of a run inside of another.
        if self.plan.run.contains('/') && self.plan.consumers[node as usize] == 0 {
            return true;
        }
        let mut edges = self.plan.graph.out_edges(node).iter();
        edges.any(|&edge| {
            let edge = &self.plan.edges[edge as usize];
            match edge.kind {
                EdgeKind::Data => !made.contains_key(&edge.target),
                EdgeKind::Conditional => true,
                EdgeKind::Control => false,
            }
        })
    }

    /// Asks the host for contents and waits for all answers; none when the run is cancelled meanwhile.
    async fn recall(
        &mut self,
        mut waiting: FxHashMap<Arc<str>, Vec<u32>>,
        messages: &mut UnboundedReceiver<Message>,
    ) -> Option<Lost> {
        for id in waiting.keys() {
            let question = Question::Recall {
                inbox: self.inbox.clone(),
                id: id.clone(),
            };
            let token = self.shared.decisions.ask(&self.plan.run, question);
            self.events.push(RunEvent::Recall {
                token,
                run: self.plan.run.clone(),
                id: id.clone(),
            });
        }
        self.shared.sink.emit(&mut self.events);
        let mut lost = Lost::default();
        while !waiting.is_empty() {
            match messages.recv().await? {
                Message::Recalled { id, failure } => {
                    let nodes = waiting.remove(&id).unwrap_or_default();
                    let is_here = self.shared.artifacts.presence(&id) == Presence::Here;
                    let missing = || (!is_here).then(|| "no tier holds it".to_owned());
                    if let Some(why) = failure.or_else(missing) {
                        let why = |node| (node, (id.clone(), why.clone()));
                        lost.extend(nodes.into_iter().map(why));
                    }
                }
                Message::Machine(Event::Cancel) => return None,
                message => self.apply(message),
            }
        }
        Some(lost)
    }

    /// Nodes whose results are lost run, and what comes after them.
    fn do_without(&mut self, lost: &Lost, foreseen: &Foreseen) {
        for (node, (id, why)) in lost {
            let Some(stored) = foreseen.made.get(node) else {
                continue;
            };
            self.lost.insert(*node, not_back(stored, id, why));
            if let (Some(key), Some(cache)) = (foreseen.keys.get(node), &self.cache) {
                cache.lock().forget(key);
            }
            self.kept.remove(node);
        }
        let kept = keepable(&self.plan, |node| self.kept.contains_key(&node));
        let nodes: FxHashSet<u32> = kept.iter().copied().collect();
        self.kept.retain(|node, _| nodes.contains(node));
        self.machine = Machine::new(self.plan.clone(), &kept, &self.attempts);
    }

    /// A node could not read what its sources had made: the cache answers them no more, so that they run when
    /// the Melody is played again.
    pub(super) fn forget_sources(&mut self, node: u32) {
        let Some(cache) = &self.cache else {
            return;
        };
        let mut cache = cache.lock();
        for source in self.plan.nodes[node as usize].sources() {
            let own = &self.plan.nodes[source as usize];
            if let Some(key) = cache_key(own, |node, port| self.view.artifact_of(node, port)) {
                cache.forget(&key);
            }
        }
    }
}

fn not_back(stored: &[Stored], id: &str, why: &str) -> String {
    let lost = stored.iter().find(|stored| *stored.id == *id);
    let name = lost.map_or(id, |stored| &stored.name);
    format!("the artifact {name} could not be brought back: {why}")
}
