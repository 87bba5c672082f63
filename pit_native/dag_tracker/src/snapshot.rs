//! A tracker's journal on disk: the graph with its names first, then every step.

use std::fs::File;
use std::path::Path;

use thiserror::Error;

use crate::graph::Graph;
use crate::record_log::{LogError, LogName, RecordLog, read_records};
use crate::tracker::{State, Tracker};

const NAME: &LogName = b"SYMDAG0";

/// Why a journal cannot be read back.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file cannot be read or is something else.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The records are whole but make no sense together.
    #[error("{path} holds no tracker: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// What [`recover`] finds.
#[derive(Debug)]
pub struct Recovered {
    /// The ids as bytes, in node order, as given to [`TrackerJournal::create`].
    pub ids: Vec<Vec<u8>>,
    /// The tracker as it was; nodes that were running are ready again.
    pub tracker: Tracker,
    /// The journal, to go on with.
    pub journal: TrackerJournal,
}

/// Writes each step of a tracker; a step survives the process once [`TrackerJournal::step`] returns.
#[derive(Debug)]
pub struct TrackerJournal {
    log: RecordLog,
}

impl TrackerJournal {
    /// Begins a journal at `path` with the graph and where it stands, synced to disk.
    pub fn create(path: &Path, ids: &[Vec<u8>], tracker: &Tracker) -> Result<Self, LogError> {
        let mut log = RecordLog::create(path, NAME)?;
        let mut table = Vec::new();
        table.extend_from_slice(&(ids.len() as u32).to_le_bytes());
        for id in ids {
            table.extend_from_slice(&(id.len() as u32).to_le_bytes());
            table.extend_from_slice(id);
        }
        for (source, target) in tracker.graph().pairs() {
            table.extend_from_slice(&source.to_le_bytes());
            table.extend_from_slice(&target.to_le_bytes());
        }
        log.push(&table);
        // Steps are replayed through the tracker's own rules, so sources come before their targets.
        for &node in tracker.order() {
            match tracker.state(node) {
                state @ (State::Running | State::Done | State::Failed) => {
                    log.push(&step_record(node, state))
                }
                State::Pending | State::Ready | State::Skipped => {}
            }
        }
        log.flush()?;
        log.sync()?;
        Ok(Self { log })
    }

    /// Records that `node` went to `state` (running, done or failed).
    pub fn step(&mut self, node: u32, state: State) -> Result<(), LogError> {
        self.log.push(&step_record(node, state));
        self.log.flush()
    }

    /// Records that all of `nodes` went to `state`, in one write.
    pub fn steps(&mut self, nodes: &[u32], state: State) -> Result<(), LogError> {
        for &node in nodes {
            self.log.push(&step_record(node, state));
        }
        self.log.flush()
    }

    /// A second handle on the file: `sync_data` on it waits until all steps so far are on the disk.
    pub fn handle(&self) -> Result<File, LogError> {
        self.log.handle()
    }
}

fn step_record(node: u32, state: State) -> [u8; 5] {
    let mut record = [0; 5];
    record[..4].copy_from_slice(&node.to_le_bytes());
    record[4] = state as u8;
    record
}

/// Reads the journal at `path`; a torn last step is dropped.
pub fn recover(path: &Path) -> Result<Recovered, SnapshotError> {
    let damaged = |reason: &str| SnapshotError::Damaged {
        path: path.display().to_string(),
        reason: reason.to_owned(),
    };
    let records = read_records(path, NAME)?;
    let (table, steps) = records
        .payloads
        .split_first()
        .ok_or_else(|| damaged("its graph is missing"))?;
    let (ids, edges) = read_table(table).ok_or_else(|| damaged("its graph is cut off"))?;
    let graph = Graph::new(ids.len(), &edges).map_err(|error| damaged(&error.to_string()))?;
    let mut tracker = Tracker::new(graph).map_err(|_| damaged("its graph has a cycle"))?;
    let mut scratch = Vec::new();
    for step in steps {
        let (node, state) = read_step(step)
            .filter(|(node, _)| (*node as usize) < ids.len())
            .ok_or_else(|| damaged("a step is malformed"))?;
        scratch.clear();
        match state {
            // Whether it finished is not known, so it runs again.
            State::Running => Ok(()),
            State::Done => tracker.complete(node).map(drop),
            State::Failed => tracker.fail(node, &mut scratch),
            State::Pending | State::Ready | State::Skipped => {
                return Err(damaged("a step has no meaning"));
            }
        }
        .map_err(|error| damaged(&error.to_string()))?;
    }
    let (log, _) = RecordLog::open(path, NAME)?;
    Ok(Recovered {
        ids,
        tracker,
        journal: TrackerJournal { log },
    })
}

fn read_step(record: &[u8]) -> Option<(u32, State)> {
    let node = u32::from_le_bytes(record.get(..4)?.try_into().ok()?);
    (record.len() == 5)
        .then(|| State::from_byte(record[4]))
        .flatten()
        .map(|state| (node, state))
}

/// Names of the nodes and edges between them.
type Table = (Vec<Vec<u8>>, Vec<(u32, u32)>);

fn read_table(mut bytes: &[u8]) -> Option<Table> {
    let mut take = |length: usize| {
        let (head, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(head)
    };
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
    let count = number(take(4)?)?;
    let mut ids = Vec::new();
    for _ in 0..count {
        let length = number(take(4)?)? as usize;
        ids.push(take(length)?.to_vec());
    }
    let mut edges = Vec::new();
    while let Some(pair) = take(8) {
        edges.push((number(&pair[..4])?, number(&pair[4..])?));
    }
    bytes.is_empty().then_some((ids, edges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_torn_tail_gives_a_state_that_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let edges = [(0, 1), (0, 2), (1, 3), (2, 3)];
        let ids: Vec<Vec<u8>> = ["a", "b", "c", "d"]
            .iter()
            .map(|s| s.as_bytes().to_vec())
            .collect();
        let mut tracker = Tracker::new(Graph::new(4, &edges).unwrap()).unwrap();
        let mut journal = TrackerJournal::create(&path, &ids, &tracker).unwrap();
        let first = std::fs::read(&path).unwrap().len();
        for node in [0, 2, 1, 3] {
            tracker.start(node).unwrap();
            journal.step(node, State::Running).unwrap();
            tracker.complete(node).unwrap();
            journal.step(node, State::Done).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        let torn = folder.path().join("torn");
        let mut last = 4;
        for cut in (0..=whole.len()).rev() {
            std::fs::write(&torn, &whole[..cut]).unwrap();
            if cut < first {
                assert!(recover(&torn).is_err());
                continue;
            }
            let found = recover(&torn).unwrap();
            assert_eq!(found.ids, ids);
            let left = 4 - found.tracker.unfinished();
            assert!(left <= last);
            last = left;
        }
        assert_eq!(last, 0);
    }

    #[test]
    fn a_journal_begun_late_holds_what_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let edges = [(0, 1), (2, 3)];
        let ids = vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec(), b"d".to_vec()];
        let mut tracker = Tracker::new(Graph::new(4, &edges).unwrap()).unwrap();
        let mut scratch = Vec::new();
        tracker.complete(0).unwrap();
        tracker.fail(2, &mut scratch).unwrap();
        drop(TrackerJournal::create(&path, &ids, &tracker).unwrap());
        let mut found = recover(&path).unwrap();
        assert_eq!(found.tracker.ready(), [1]);
        assert_eq!(found.tracker.state(3), State::Skipped);
        found.tracker.complete(1).unwrap();
        found.journal.step(1, State::Done).unwrap();
        assert!(recover(&path).unwrap().tracker.is_finished());
    }
}
