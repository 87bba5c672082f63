//! Keeps every result: content-addressed, durable when `put` returns, searchable.
//!
//! ```text
//! STORE/lock              the kernel's lock of the one writer
//! STORE/segments/N.log    the append log: every byte is under a CRC-32, every content under its SHA-256
//! STORE/index/            a checkpoint of the index and the full-text index; both can be built anew
//! ```
//!
//! A put appends content and metadata in one write and waits for one sync, which it shares with all
//! that wait at the same time. Nothing in the folder names where the folder is: it may be moved.

mod body;
mod checkpoint;
mod collect;
mod commit;
mod core;
mod error;
mod index;
mod keeper;
mod log;
mod marks;
pub mod quality;
mod query;
mod record;
mod recovery;
mod seal;
mod segment;
mod store;
mod text;
mod types;
mod verify;

pub use error::{Result, StoreError};
pub use store::Store;
pub use types::{ArtifactId, Collected, Filter, Finding, Hit, Info, Options, Put, Stats};
