//! What earlier runs have left: answers from the cache, and why a node runs although it ran before.

use std::sync::Arc;

use crate::cache::cache_key;
use crate::event::Values;
use crate::journal::Record;
use crate::lineage::{Parts, place};
use crate::plan::NodeKind;
use crate::ports::Stored;

use super::{Detail, Driver};

impl Driver {
    /// Whether the cache knew the node's outputs; if not, why it has to run is noted.
    pub(super) fn answer_from_cache(&mut self, node: u32) -> bool {
        let plan = self.plan.clone();
        let own = &plan.nodes[node as usize];
        // Only the first attempt asks: a node that has failed before it starts over is not in the cache.
        if self.cache.is_none()
            || own.kind != NodeKind::Player
            || self.machine.has_fallen(node)
            || self.because.contains_key(&node)
        {
            return false;
        }
        let key = cache_key(own, |source, port| self.view.artifact_of(source, port));
        let known = key.and_then(|key| {
            let cache = self.cache.as_ref()?.lock();
            cache.get(&key).map(<[Stored]>::to_vec)
        });
        let is_whole = |stored: &Vec<Stored>| {
            own.outputs
                .iter()
                .all(|(port, _)| stored.iter().any(|s| s.port == *port))
        };
        let known = known.filter(is_whole);
        let lost = known.as_ref().and_then(|stored| {
            let lost = stored
                .iter()
                .find(|s| !self.shared.artifacts.contains(&s.id));
            lost.map(|stored| stored.name.clone())
        });
        self.note_parts(node, known.is_some(), lost.as_deref());
        match known.filter(|_| lost.is_none()) {
            Some(stored) => {
                self.take_cached(node, stored);
                true
            }
            None => {
                if let Some(key) = key {
                    self.keys.insert(node, key);
                }
                false
            }
        }
    }

    fn take_cached(&mut self, node: u32, stored: Vec<Stored>) {
        let attempt = self.machine.attempts(node);
        self.because.remove(&node);
        self.remember(node, &[]);
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

    /// Finds out what the node is made of, and why it runs.
    fn note_parts(&mut self, node: u32, is_known: bool, lost: Option<&str>) {
        let (Some(melody), Some(cache)) = (&self.plan.melody, &self.cache) else {
            return;
        };
        let own = &self.plan.nodes[node as usize];
        let parts = Parts::of(own, |source, port| self.view.artifact_of(source, port));
        let cache = cache.lock();
        let before = cache.lineage.get(&place(melody, &own.id));
        // Why it runs is asked only of a node that runs.
        let is_answered = is_known && lost.is_none();
        let differences = before
            .filter(|_| !is_answered)
            .map(|before| parts.differences(before));
        let because = match (lost, differences, &own.uncached) {
            _ if is_answered => String::new(),
            (Some(lost), ..) => format!("the artifact {lost} was removed"),
            (None, None, _) => "no earlier success to reuse".to_owned(),
            (None, Some(found), _) if !found.is_empty() => found.join("; "),
            (None, Some(_), Some(why)) => why.to_string(),
            (None, Some(_), None) => "its result is no longer in the cache".to_owned(),
        };
        drop(cache);
        self.because.insert(node, because.into());
        self.parts.insert(node, parts);
    }

    /// Remembers a success: what the node was made of, and its outputs if they may answer it again.
    pub(super) fn remember(&mut self, node: u32, stored: &[Stored]) {
        let (key, parts) = (self.keys.remove(&node), self.parts.remove(&node));
        let Some(cache) = self.cache.clone() else {
            return;
        };
        // What a fallback answered is not what the node's own Player would have answered.
        if self.machine.has_fallen(node) || (key.is_none() && parts.is_none()) {
            return;
        }
        let mut cache = cache.lock();
        if let Some(key) = key {
            cache.insert(key, stored.to_vec());
        }
        if let (Some(parts), Some(melody)) = (parts, &self.plan.melody) {
            let place = place(melody, &self.plan.nodes[node as usize].id);
            cache.lineage.insert(place, parts);
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
