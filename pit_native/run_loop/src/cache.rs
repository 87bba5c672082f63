//! Remembers which artifacts a node with the same player, parameters and inputs made before.

use std::path::Path;
use std::sync::Arc;

use dag_tracker::{LogError, LogName, RecordLog};
use rustc_hash::FxHashMap;

use crate::digest::Digester;
use crate::keyed_record::KeyedRecord;
use crate::lineage::Lineage;
use crate::plan::{NodePlan, Source};
use crate::ports::Stored;

const NAME: &LogName = b"SYMCACH";
/// Entries kept when the file is rewritten, and how many make it so.
const KEEP: usize = 50_000;
const MOST: usize = 200_000;

/// Names what a node will do: its cache base and the content of its inputs.
pub type CacheKey = [u8; 32];

/// Outputs as they are in memory, or as they were read from the file: most are never asked for.
#[derive(Debug)]
enum Entry {
    Known(Arc<[Stored]>),
    Written(KeyedRecord),
}

/// A map from keys to outputs, kept in an append-only file beside the runs.
///
/// It is never synced: what a power failure takes is made again.
#[derive(Debug)]
pub struct ResultCache {
    log: RecordLog,
    entries: FxHashMap<CacheKey, Entry>,
    /// What each node was last made of, in a file beside this one.
    pub lineage: Lineage,
}

impl ResultCache {
    /// Opens the cache at `path`, or begins one.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let (mut log, records) = RecordLog::open(path, NAME)?;
        let mut payloads = records.payloads;
        if payloads.len() > MOST {
            payloads.drain(..payloads.len() - KEEP);
            log = RecordLog::create(path, NAME)?;
            payloads.iter().for_each(|payload| log.push(payload));
            log.flush()?;
        }
        // An entry that cannot be read is one that is not there.
        let entries = payloads
            .into_iter()
            .filter_map(KeyedRecord::read)
            .map(|(key, record)| (key, Entry::Written(record)))
            .collect();
        let lineage = Lineage::open(&path.with_extension("lineage"))?;
        Ok(Self {
            log,
            entries,
            lineage,
        })
    }

    /// The outputs remembered for `key`.
    pub fn get(&self, key: &CacheKey) -> Option<Arc<[Stored]>> {
        match self.entries.get(key)? {
            Entry::Known(stored) => Some(stored.clone()),
            Entry::Written(record) => record.value(),
        }
    }

    /// Remembers outputs; the next `flush` writes them.
    pub fn insert(&mut self, key: CacheKey, stored: Arc<[Stored]>) {
        if let Ok(payload) = rmp_serde::to_vec(&(key, &stored)) {
            self.log.push(&payload);
        }
        self.entries.insert(key, Entry::Known(stored));
    }

    /// Answers `key` no more while this host lives: what it names is lost.
    pub fn forget(&mut self, key: &CacheKey) {
        self.entries.remove(key);
    }

    /// Hands to the kernel what is new.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.log.flush()?;
        self.lineage.flush()
    }
}

/// The key of `node`, whose sources made what `artifact_of` says; None when it may not be cached.
pub fn cache_key(
    node: &NodePlan,
    artifact_of: impl Fn(u32, &str) -> Option<Arc<str>>,
) -> Option<CacheKey> {
    let base = node.cache_key.as_ref()?;
    let mut hash = Digester::new();
    hash.update(base.as_bytes());
    for input in &node.inputs {
        hash.update([0, u8::from(input.is_list)]);
        hash.update((input.port.len() as u64).to_le_bytes());
        hash.update(input.port.as_bytes());
        for source in &input.sources {
            match source {
                Source::Node { node, port } => {
                    hash.update([1]);
                    match artifact_of(*node, port) {
                        Some(id) => hash.update(id.as_bytes()),
                        None if input.is_optional => hash.update([9]),
                        None => return None,
                    }
                }
                Source::Value(value) => {
                    hash.update([2]);
                    hash.value(value);
                }
            }
        }
    }
    Some(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;
    use crate::testing::{self, NodeSpec};

    fn stored(id: &str) -> Stored {
        Stored {
            port: "out".into(),
            id: id.into(),
            name: "n".into(),
            type_name: "json".into(),
            bytes: 1,
            quality: 0.5,
            encoding: Encoding::Json,
        }
    }

    #[test]
    fn entries_survive_and_a_torn_one_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let mut cache = ResultCache::open(&path).unwrap();
        cache.insert([1; 32], Arc::new([stored("a")]));
        cache.insert([2; 32], Arc::new([stored("b")]));
        cache.flush().unwrap();
        drop(cache);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let cache = ResultCache::open(&path).unwrap();
        assert_eq!(
            cache.get(&[1; 32]).as_deref(),
            Some([stored("a")].as_slice())
        );
        assert_eq!(cache.get(&[2; 32]), None);
    }

    #[test]
    fn the_key_follows_the_inputs_content() {
        let cached = NodeSpec {
            cache_key: Some("base".into()),
            ..NodeSpec::default()
        };
        let plan = testing::plan(vec![NodeSpec::default(), cached], &[("data", 0, 1)]);
        let key = |id: &'static str| cache_key(&plan.nodes[1], |_, _| Some(id.into()));
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
        assert_eq!(cache_key(&plan.nodes[1], |_, _| None), None);
        assert_eq!(
            cache_key(&plan.nodes[0], |_, _| None),
            None,
            "a node without a base is never cached"
        );
    }
}
