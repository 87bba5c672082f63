//! The journal of a run: what was started and what is done, so that no finished node runs twice.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use dag_tracker::{LogError, LogName, RecordLog, read_records};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::plan::Plan;
use crate::ports::Stored;
use crate::trouble::Trouble;

/// The file's name in the run's folder.
pub const JOURNAL: &str = "journal";
const NAME: &LogName = b"SYMRUN0";

/// One record. Nodes are indices into the table of the last `Life`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A host begins or resumes the run.
    Life {
        /// The run.
        run: String,
        /// Ids and fingerprints of the nodes.
        nodes: Vec<(String, u64)>,
    },
    /// An attempt is about to start.
    Started {
        /// The node.
        node: u32,
        /// Which attempt.
        attempt: u32,
    },
    /// A node is done, and its outputs are stored.
    Finished {
        /// The node.
        node: u32,
        /// Which attempt.
        attempt: u32,
        /// Whether the outputs came from the cache.
        is_cached: bool,
        /// The outputs.
        stored: Arc<[Stored]>,
    },
    /// An attempt failed.
    Failed {
        /// The node.
        node: u32,
        /// Which attempt.
        attempt: u32,
        /// The error's code.
        code: String,
        /// The error's message.
        message: String,
    },
    /// The run has ended.
    Ended {
        /// Its state's word.
        state: String,
        /// How long this life took.
        seconds: f64,
    },
}

/// A journal that cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Log(LogError),
    /// The file is not as it was written, which names it and the place. What stands before the damage is
    /// not gone on with: a node whose success stood behind it would run again.
    #[error("{0}")]
    Damaged(String),
    /// Another run's journal.
    #[error("{path} is the journal of the run {found}, not of {expected}")]
    OtherRun {
        /// The file.
        path: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// The run was begun before.
    #[error("{path} exists: the run was begun before")]
    Exists {
        /// The file.
        path: String,
    },
}

impl From<LogError> for JournalError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { .. } => Self::Log(error),
            LogError::NotALog { .. } | LogError::Damaged { .. } => Self::Damaged(error.to_string()),
        }
    }
}

/// What a node did in earlier lives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// Attempts that were started.
    pub attempts: u32,
    /// Its fingerprint and outputs, if it is done.
    pub finished: Option<(u64, Arc<[Stored]>)>,
}

/// All that a journal says.
#[derive(Debug, Default)]
pub struct History {
    /// By node id.
    pub nodes: FxHashMap<String, Past>,
    /// How many hosts have played the run.
    pub lives: u32,
    /// Bytes that a crash left torn.
    pub torn: u64,
}

/// The file of a journal, shared with the thread that syncs it.
#[derive(Debug)]
pub struct JournalFile {
    /// A handle of its own.
    file: File,
    /// Whether something was written since the last sync began.
    pub(crate) is_dirty: AtomicBool,
    path: PathBuf,
    is_named: AtomicBool,
    /// The first sync that failed.
    trouble: OnceLock<Trouble>,
}

impl JournalFile {
    /// Brings to the disk what was written so far. Once that has failed it fails for good: the system may count
    /// as written what it has dropped, so a later success would mean nothing.
    pub(crate) fn sync(&self) -> Result<(), Trouble> {
        if let Some(trouble) = self.trouble.get() {
            return Err(trouble.clone());
        }
        self.is_dirty.store(false, Ordering::Release);
        let synced = self.file.sync_data().and_then(|()| self.sync_name());
        synced.map_err(|error| {
            let trouble = Trouble::of_sync(&self.path, &error);
            self.trouble.get_or_init(|| trouble).clone()
        })
    }

    /// The first time also that the file, and the folder of its run, are where they are looked for.
    fn sync_name(&self) -> std::io::Result<()> {
        if self.is_named.load(Ordering::Acquire) {
            return Ok(());
        }
        let folders = self.path.ancestors().skip(1).take(2);
        for folder in folders.filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        self.is_named.store(true, Ordering::Release);
        Ok(())
    }
}

/// The writing end.
#[derive(Debug)]
pub struct Journal {
    log: RecordLog,
    file: Arc<JournalFile>,
    /// Where records are encoded, so that each does not grow a buffer of its own.
    scratch: Vec<u8>,
}

impl Journal {
    /// Begins the journal of a new run.
    pub fn create(plan: &Plan, folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join(JOURNAL);
        if path.exists() {
            return Err(JournalError::Exists {
                path: path.display().to_string(),
            });
        }
        let begun = RecordLog::create(&path, NAME)
            .map_err(JournalError::from)
            .and_then(|log| Self::begin(log, plan));
        begun.inspect_err(|_| {
            // Nothing was promised yet, and the next try must not find a run that was begun before.
            let _ = std::fs::remove_file(&path);
        })
    }

    /// Goes on with the journal of a run, or begins it where there is none.
    pub fn resume(plan: &Plan, folder: &Path) -> Result<(Self, History), JournalError> {
        let path = folder.join(JOURNAL);
        let history = if path.exists() {
            read_history(&path, &plan.run)?
        } else {
            History::default()
        };
        let (mut log, _) = RecordLog::open(&path, NAME)?;
        // The life before may have ended because it could not be synced.
        log.renew()?;
        Ok((Self::begin(log, plan)?, history))
    }

    fn begin(log: RecordLog, plan: &Plan) -> Result<Self, JournalError> {
        let file = Arc::new(JournalFile {
            file: log.handle()?,
            is_dirty: AtomicBool::new(false),
            path: log.path().to_owned(),
            is_named: AtomicBool::new(false),
            trouble: OnceLock::new(),
        });
        let mut journal = Self {
            log,
            file,
            scratch: Vec::new(),
        };
        let node = |at: usize| (plan.nodes[at].id.to_string(), plan.fingerprint(at as u32));
        journal.push(&Record::Life {
            run: plan.run.to_string(),
            nodes: (0..plan.nodes.len()).map(node).collect(),
        });
        journal.flush()?;
        Ok(journal)
    }

    /// Adds a record to what the next flush writes.
    pub fn push(&mut self, record: &Record) {
        // Writing these records to memory cannot fail: they hold only plain data.
        self.scratch.clear();
        if rmp_serde::encode::write(&mut self.scratch, record).is_ok() {
            self.log.push(&self.scratch);
        }
    }

    /// Hands the records to the kernel; from then on they survive this process. True when the file was
    /// clean before, so that a sync is due.
    pub fn flush(&mut self) -> Result<bool, LogError> {
        if !self.log.is_dirty() {
            return Ok(false);
        }
        self.log.flush()?;
        Ok(!self.file.is_dirty.swap(true, Ordering::AcqRel))
    }

    /// The file to sync.
    pub fn file(&self) -> &Arc<JournalFile> {
        &self.file
    }
}

/// The nodes of `run` that have succeeded by the journal in `folder`; none where there is no journal.
pub fn finished(folder: &Path, run: &str) -> Result<Vec<String>, JournalError> {
    let path = folder.join(JOURNAL);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let nodes = read_history(&path, run)?.nodes.into_iter();
    let done = nodes.filter(|(_, past)| past.finished.is_some());
    Ok(done.map(|(node, _)| node).collect())
}

/// Reads what earlier lives of `run` did. A torn tail is left out, anything else that is not as it was
/// written is [`JournalError::Damaged`].
pub fn read_history(path: &Path, run: &str) -> Result<History, JournalError> {
    let records = read_records(path, NAME)?;
    let shown = path.display().to_string();
    let mut history = History {
        torn: records.torn,
        ..History::default()
    };
    let mut table: Vec<(String, u64)> = Vec::new();
    for (at, payload) in records.payloads.iter().enumerate() {
        let damaged = |reason: String| {
            JournalError::Damaged(format!("{shown}: record {at} cannot be read: {reason}"))
        };
        let record: Record =
            rmp_serde::from_slice(payload).map_err(|error| damaged(error.to_string()))?;
        let known = |node: u32| {
            table
                .get(node as usize)
                .cloned()
                .ok_or_else(|| damaged(format!("there is no node {node}")))
        };
        match record {
            Record::Life { run: found, nodes } => {
                if found != run {
                    return Err(JournalError::OtherRun {
                        path: shown,
                        found,
                        expected: run.to_owned(),
                    });
                }
                table = nodes;
                history.lives += 1;
            }
            Record::Started { node, attempt } => {
                let (id, _) = known(node)?;
                let past = history.nodes.entry(id).or_default();
                past.attempts = past.attempts.max(attempt);
                past.finished = None;
            }
            Record::Finished { node, stored, .. } => {
                let (id, print) = known(node)?;
                history.nodes.entry(id).or_default().finished = Some((print, stored));
            }
            Record::Failed { .. } | Record::Ended { .. } => {}
        }
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_failed_once_fails_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let sound = File::create(folder.path().join(JOURNAL)).unwrap();
        // A pipe cannot be synced.
        let (_reader, writer) = std::io::pipe().unwrap();
        let mut journal = JournalFile {
            file: File::from(std::os::fd::OwnedFd::from(writer)),
            is_dirty: AtomicBool::new(true),
            path: folder.path().join(JOURNAL),
            is_named: AtomicBool::new(false),
            trouble: OnceLock::new(),
        };
        let first = journal.sync().unwrap_err().error();
        journal.file = sound;
        let second = journal.sync().unwrap_err().error();
        assert_eq!(first, second);
        assert!(first.message.contains("could not be synced"), "{first:?}");
    }
}
