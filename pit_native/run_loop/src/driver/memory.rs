//! What earlier runs have left: answers from the cache, and why a node runs although it ran before.

use std::sync::Arc;

use crate::cache::{CacheKey, cache_key};
use crate::event::Values;
use crate::journal::Record;
use crate::lineage::{Parts, place};
use crate::plan::{NodeKind, NodePlan};
use crate::ports::{Presence, Stored};

use super::{Detail, Driver};

/// Why a node runs, as far as the cache says.
enum Reason {
    /// It knows nothing of what the node is made of now.
    Unknown,
    /// What it knows cannot be had.
    Lost(String),
}

impl NodePlan {
    /// Whether these are all outputs that the node has.
    pub(super) fn is_whole(&self, stored: &[Stored]) -> bool {
        let mut ports = self.outputs.iter();
        ports.all(|(port, _)| stored.iter().any(|s| s.port == *port))
    }
}

impl Driver {
    /// Whether the cache knew the node's outputs; if not, why it has to run is noted.
    pub(super) fn answer_from_cache(&mut self, node: u32) -> bool {
        let plan = self.plan.clone();
        let own = &plan.nodes[node as usize];
        // Only the first attempt asks: a node that has failed before it starts over is not in the cache.
        if own.kind != NodeKind::Player
            || self.machine.has_fallen(node)
            || self.because.contains_key(&node)
        {
            return false;
        }
        let Some(cache) = &self.cache else {
            return false;
        };
        let key = cache_key(own, |source, port| self.view.artifact_of(source, port));
        let known = key.and_then(|key| Some((key, cache.lock().get(&key)?)));
        let Some((key, stored)) = known.filter(|(_, stored)| own.is_whole(stored)) else {
            let lost = self.lost.remove(&node);
            self.note_reason(node, key, lost.map_or(Reason::Unknown, Reason::Lost));
            return false;
        };
        // What is in another tier is there for who asks by its id; what will be read has been brought back.
        let is_gone = |one: &&Stored| self.shared.artifacts.presence(&one.id) == Presence::Gone;
        if let Some(gone) = stored.iter().find(is_gone) {
            let why = format!("the artifact {} was removed", gone.name);
            self.note_reason(node, Some(key), Reason::Lost(why));
            return false;
        }
        self.take_cached(node, &key, stored);
        true
    }

    fn take_cached(&mut self, node: u32, key: &CacheKey, stored: Arc<[Stored]>) {
        let attempt = self.machine.attempts(node);
        self.note_answered(node, key);
        self.record(&Record::Finished {
            node,
            attempt,
            is_cached: true,
            stored: stored.clone(),
        });
        let detail = Detail {
            artifacts: stored.clone(),
            is_cached: true,
            ..Detail::default()
        };
        self.details.insert(node, detail);
        self.view.keep(node, Values::new(), stored);
    }

    /// Remembers what a node that was answered is made of, unless that is what it was made of before.
    fn note_answered(&mut self, node: u32, key: &CacheKey) {
        let (Some(melody), Some(cache)) = (&self.plan.melody, &self.cache) else {
            return;
        };
        let own = &self.plan.nodes[node as usize];
        let place = place(melody, &own.id);
        let mut cache = cache.lock();
        if cache.lineage.is_made_by(&place, key) {
            return;
        }
        let parts = Parts::of(own, |source, port| self.view.artifact_of(source, port));
        cache.lineage.insert(place, parts, Some(key));
        self.has_remembered = true;
    }

    /// Finds out what a node that has to run is made of, and why it runs.
    fn note_reason(&mut self, node: u32, key: Option<CacheKey>, reason: Reason) {
        if let Some(key) = key {
            self.keys.insert(node, key);
        }
        let (Some(melody), Some(cache)) = (&self.plan.melody, &self.cache) else {
            return;
        };
        let own = &self.plan.nodes[node as usize];
        let parts = Parts::of(own, |source, port| self.view.artifact_of(source, port));
        let differences = {
            let cache = cache.lock();
            let before = cache.lineage.get(&place(melody, &own.id));
            before.map(|before| parts.differences(&before))
        };
        let because = match (reason, differences, &own.uncached) {
            (Reason::Lost(why), ..) => why,
            (Reason::Unknown, None, _) => "no earlier success to reuse".to_owned(),
            (Reason::Unknown, Some(found), _) if !found.is_empty() => found.join("; "),
            (Reason::Unknown, Some(_), Some(why)) => why.to_string(),
            (Reason::Unknown, Some(_), None) => "its result is no longer in the cache".to_owned(),
        };
        self.because.insert(node, because.into());
        self.parts.insert(node, parts);
    }

    /// Remembers a success: what the node was made of, and its outputs if they may answer it again.
    pub(super) fn remember(&mut self, node: u32, stored: &Arc<[Stored]>) {
        let (key, parts) = (self.keys.remove(&node), self.parts.remove(&node));
        let Some(cache) = &self.cache else {
            return;
        };
        // What a fallback answered is not what the node's own Player would have answered.
        if self.machine.has_fallen(node) || (key.is_none() && parts.is_none()) {
            return;
        }
        let mut cache = cache.lock();
        if let Some(key) = key {
            cache.insert(key, stored.clone());
        }
        if let (Some(parts), Some(melody)) = (parts, &self.plan.melody) {
            let place = place(melody, &self.plan.nodes[node as usize].id);
            cache.lineage.insert(place, parts, key.as_ref());
        }
        self.has_remembered = true;
    }

    /// Why `node` runs; empty when that is not known.
    pub(super) fn reason_to_run(&self, node: u32) -> Option<Arc<str>> {
        self.because
            .get(&node)
            .filter(|why| !why.is_empty())
            .cloned()
    }
}
