//! Everything that can go wrong with the store.

use crate::ArtifactId;
use std::io;
use std::path::PathBuf;

/// A failed operation of the store. Nothing that was acknowledged before it is lost.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another `Store` of this one, writes this store.
    #[error("the artifact store {path} is in use by another process")]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// No space, quota or allowed file size is left; the log ends where it did before the call.
    #[error("no space is left for the artifact store {path}: {source}")]
    Full {
        /// The store's folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing is stored under this name or id.
    #[error("no artifact {0}")]
    NotFound(String),
    /// Its bytes are kept elsewhere.
    #[error("the bytes of artifact {id} are kept in {}", tier_words(tier))]
    Remote {
        /// Which.
        id: ArtifactId,
        /// The tier, as it was named when the bytes were evicted; empty when nobody said.
        tier: String,
    },
    /// It is held, and cannot be removed.
    #[error("artifact {id} is held: {reason}")]
    Held {
        /// Which.
        id: ArtifactId,
        /// Why, as was said when the hold was placed.
        reason: String,
    },
    /// Stored bytes do not match their checksum.
    #[error("artifact {id} is damaged: {detail}")]
    Damaged {
        /// Whose bytes.
        id: ArtifactId,
        /// Where, and what does not match.
        detail: String,
    },
    /// The store is encrypted and the key is missing or another one, or it is not and a key was given.
    #[error("the artifact store {path} cannot be opened: {detail}")]
    Key {
        /// The store's folder.
        path: PathBuf,
        /// Which of these it is.
        detail: &'static str,
    },
    /// The folder holds something that this version does not read.
    #[error("the artifact store {path} cannot be read: {detail}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is unknown about it.
        detail: String,
    },
    /// An argument that cannot be used.
    #[error("{0}")]
    BadInput(String),
    /// An earlier write or sync failed; the store takes no more writes until it is opened again.
    #[error("the artifact store refuses writes since one failed: {0}")]
    Poisoned(String),
    /// The store has been closed.
    #[error("the artifact store is closed")]
    Closed,
    /// The full-text index failed; the artifacts themselves are not touched by that.
    #[error("the search index failed: {0}")]
    Search(String),
    /// The system refused a read or a write.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn tier_words(tier: &str) -> String {
    match tier {
        "" => "another tier".to_owned(),
        tier => format!("the {tier} tier"),
    }
}

/// What the store's functions return.
pub type Result<T> = std::result::Result<T, StoreError>;
