//! Why a journal cannot be written any more.

use std::io;
use std::path::Path;

use dag_tracker::{LogError, is_full};

use crate::ports::NodeError;

/// A disk that refused a write or a sync. It holds for the rest of the run: after a sync that failed, one that
/// succeeds says nothing of what was to be written before.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    is_full: bool,
    reason: String,
}

impl Trouble {
    pub(crate) fn of_sync(path: &Path, error: &io::Error) -> Self {
        Self {
            is_full: is_full(error),
            reason: format!("{} could not be synced: {error}", path.display()),
        }
    }

    /// That nobody is left to sync.
    pub(crate) fn thread_ended() -> Self {
        Self {
            is_full: false,
            reason: "the journal's thread has ended".to_owned(),
        }
    }

    /// What ends the run, or the node that would have had an effect.
    pub(crate) fn error(&self) -> NodeError {
        let (code, remedy) = match self.is_full {
            true => ("storage_full", "free some space, then resume the run"),
            false => ("storage_failed", "check the disk, then resume the run"),
        };
        let message = format!("The run's journal could not be written: {}", self.reason);
        NodeError::new(code, message, remedy)
    }
}

impl From<&LogError> for Trouble {
    fn from(error: &LogError) -> Self {
        Self {
            is_full: matches!(error, LogError::Io { source, .. } if is_full(source)),
            reason: error.to_string(),
        }
    }
}
