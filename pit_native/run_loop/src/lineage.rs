//! Why a node runs although it ran before: what its last success was made of, compared with now.

use std::path::Path;
use std::sync::Arc;

use dag_tracker::{LogError, LogName, RecordLog};
use rmpv::Value;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::cache::CacheKey;
use crate::digest::Digester;
use crate::keyed_record::KeyedRecord;
use crate::plan::{NodePlan, Source};

const NAME: &LogName = b"SYMLINE";
/// Records in the file beyond which it is rewritten with the newest of each node, and how many are kept.
const MOST: usize = 200_000;
const KEEP: usize = 100_000;
/// Characters of a value that are shown.
const SHOWN: usize = 40;

/// A node of a melody.
pub type Place = [u8; 16];

/// What a node is made of: who plays it, with which parameters, on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    player: Arc<str>,
    version: Arc<str>,
    /// Name, value in a few words, digest.
    params: Vec<(String, String, u64)>,
    /// Port, digest of what feeds it.
    inputs: Vec<(Arc<str>, u64)>,
}

impl Parts {
    /// The parts of `node`, whose sources made what `artifact_of` says.
    pub fn of(node: &NodePlan, artifact_of: impl Fn(u32, &str) -> Option<Arc<str>>) -> Self {
        let params = match &*node.params {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        let params = params.iter().map(|(name, value)| {
            let mut hash = Digester::new();
            hash.value(value);
            (
                name.as_str().unwrap_or_default().to_owned(),
                shown(value),
                hash.short(),
            )
        });
        let inputs = node.inputs.iter().map(|input| {
            let mut hash = Digester::new();
            hash.update([u8::from(input.is_list)]);
            for source in &input.sources {
                match source {
                    Source::Value(value) => hash.value(value),
                    Source::Node { node, port } => {
                        hash.update(artifact_of(*node, port).as_deref().unwrap_or("").as_bytes());
                        hash.update([0]);
                    }
                }
            }
            (input.port.clone(), hash.short())
        });
        Self {
            player: node.player.clone(),
            version: node.version.clone(),
            params: params.collect(),
            inputs: inputs.collect(),
        }
    }

    /// How this differs from what was `before`, each difference in a few words.
    pub fn differences(&self, before: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.player != before.player {
            found.push(format!(
                "player {} instead of {}",
                self.player, before.player
            ));
        } else if self.version != before.version {
            found.push(format!(
                "player {} instead of {}",
                self.version, before.version
            ));
        }
        for (name, value, hash) in &self.params {
            match before.params.iter().find(|(known, ..)| known == name) {
                None => found.push(format!("parameter {name} is new: {value}")),
                Some((_, old, old_hash)) if old_hash != hash => {
                    found.push(format!("parameter {name} changed from {old} to {value}"));
                }
                Some(_) => {}
            }
        }
        for (name, old, _) in &before.params {
            if !self.params.iter().any(|(known, ..)| known == name) {
                found.push(format!("parameter {name} is gone, it was {old}"));
            }
        }
        for (port, hash) in &self.inputs {
            match before.inputs.iter().find(|(known, _)| known == port) {
                None => found.push(format!("input {port} is new")),
                Some((_, old)) if old != hash => found.push(format!("input {port} changed")),
                Some(_) => {}
            }
        }
        for (port, _) in &before.inputs {
            if !self.inputs.iter().any(|(known, _)| known == port) {
                found.push(format!("input {port} is gone"));
            }
        }
        found
    }
}

/// The name under which the parts of `node` in `melody` are kept.
pub fn place(melody: &str, node: &str) -> Place {
    let mut hash = Digester::new();
    hash.update((melody.len() as u64).to_le_bytes());
    hash.update(melody.as_bytes());
    hash.update(node.as_bytes());
    let mut place = Place::default();
    place.copy_from_slice(&hash.finish()[..16]);
    place
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.as_str().unwrap_or("…").to_owned(),
        value => serde_json::to_string(value).unwrap_or_else(|_| "…".to_owned()),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The parts of every node's last success, in an append-only file. Like the cache it is never synced.
#[derive(Debug)]
pub struct Lineage {
    log: RecordLog,
    known: FxHashMap<Place, Known>,
}

/// What the last success of a node was made of, and the first bytes of the key under which the cache has it; 0
/// for none. Two successes with one key are made of the same.
#[derive(Debug)]
struct Known {
    made_by: u64,
    parts: Written,
}

/// As it is in memory, or as it was read from the file: most are never asked for.
#[derive(Debug)]
enum Written {
    Known(Arc<Parts>),
    Record(KeyedRecord),
}

impl Known {
    fn parts(&self) -> Option<Arc<Parts>> {
        match &self.parts {
            Written::Known(parts) => Some(parts.clone()),
            Written::Record(record) => record.value().map(Arc::new),
        }
    }
}

/// The mark of a key.
fn mark(key: Option<&CacheKey>) -> u64 {
    key.map_or(0, |key| {
        u64::from_le_bytes(key[..8].try_into().unwrap_or_default())
    })
}

impl Lineage {
    /// Opens the file at `path`, or begins one.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let (mut log, records) = RecordLog::open(path, NAME)?;
        let mut payloads = records.payloads;
        let is_long = payloads.len() > MOST;
        if is_long {
            payloads.drain(..payloads.len() - KEEP);
        }
        // A record that cannot be read is one that is not there.
        let known: FxHashMap<Place, Known> = payloads.into_iter().filter_map(read).collect();
        if is_long {
            log = RecordLog::create(path, NAME)?;
            for (place, known) in &known {
                if let Some(parts) = known.parts() {
                    push(&mut log, place, known.made_by, &parts);
                }
            }
            log.flush()?;
        }
        Ok(Self { log, known })
    }

    /// What the node was made of when it last succeeded.
    pub fn get(&self, place: &Place) -> Option<Arc<Parts>> {
        self.known.get(place)?.parts()
    }

    /// Whether the last success of the node is what the cache has under `key`.
    pub fn is_made_by(&self, place: &Place, key: &CacheKey) -> bool {
        let known = self.known.get(place);
        known.is_some_and(|known| known.made_by == mark(Some(key)))
    }

    /// Remembers what a node that succeeded was made of, and under which key the cache has it; the next `flush`
    /// writes it.
    pub fn insert(&mut self, place: Place, parts: Parts, key: Option<&CacheKey>) {
        let made_by = mark(key);
        let is_known = self.known.get(&place).is_some_and(|known| {
            known.made_by == made_by && known.parts().is_some_and(|known| *known == parts)
        });
        if !is_known {
            push(&mut self.log, &place, made_by, &parts);
            let parts = Written::Known(Arc::new(parts));
            self.known.insert(place, Known { made_by, parts });
        }
    }

    /// Hands to the kernel what is new.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.log.flush()
    }
}

fn push(log: &mut RecordLog, place: &Place, made_by: u64, parts: &Parts) {
    // Writing plain data to memory cannot fail.
    if let Ok(payload) = rmp_serde::to_vec(&(place, made_by, parts)) {
        log.push(&payload);
    }
}

/// A record, of which older ones have no mark.
fn read(payload: Vec<u8>) -> Option<(Place, Known)> {
    let (place, mut record) = KeyedRecord::read(payload)?;
    let made_by = match record.fields() {
        2 => 0,
        _ => record.take()?,
    };
    let parts = Written::Record(record);
    Some((place, Known { made_by, parts }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, NodeSpec};

    #[test]
    fn each_difference_is_named() {
        let mut plan = testing::plan(vec![NodeSpec::default(); 2], &[("data", 0, 1)]);
        let mut node = plan.nodes.remove(1);
        let params = |entries: &[(&str, Value)]| {
            let entries = entries.iter().map(|(k, v)| ((*k).into(), v.clone()));
            Arc::new(Value::Map(entries.collect()))
        };
        node.params = params(&[("since", "90d".into()), ("old", 1.into())]);
        let parts = |node: &NodePlan, id: &'static str| Parts::of(node, |_, _| Some(id.into()));
        let before = parts(&node, "a");
        assert!(parts(&node, "a").differences(&before).is_empty());
        assert_eq!(
            parts(&node, "b").differences(&before),
            ["input from_0 changed"]
        );
        node.version = "1.0.1".into();
        node.params = params(&[("since", "30d".into()), ("new", true.into())]);
        assert_eq!(
            parts(&node, "a").differences(&before),
            [
                "player 1.0.1 instead of 1.0.0",
                "parameter since changed from 90d to 30d",
                "parameter new is new: true",
                "parameter old is gone, it was 1"
            ]
        );
    }

    #[test]
    fn the_newest_parts_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lineage");
        let mut plan = testing::plan(vec![NodeSpec::default()], &[]);
        let mut node = plan.nodes.remove(0);
        let mut lineage = Lineage::open(&path).unwrap();
        for version in ["1.0.0", "2.0.0"] {
            node.version = version.into();
            lineage.insert(place("m", "n"), Parts::of(&node, |_, _| None), None);
        }
        lineage.flush().unwrap();
        let lineage = Lineage::open(&path).unwrap();
        assert_eq!(
            lineage.get(&place("m", "n")).as_deref(),
            Some(&Parts::of(&node, |_, _| None))
        );
        assert_eq!(lineage.get(&place("m", "other")), None);
    }
}
