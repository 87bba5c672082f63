//! Keeps every result: content-addressed, durable when `put` returns, searchable.
//!
//! ```text
//! STORE/lock              the kernel's lock of the one writer
//! STORE/keys, keys.copy   the keys of an encrypted store, wrapped under the user's key
//! STORE/segments/N.log    the append log: every byte is under a CRC-32, every content under its SHA-256
//! STORE/index/            a checkpoint of the index and the full-text index; both can be built anew
//! ```
//!
//! A put appends content and metadata in one write and waits for one sync, which it shares with all
//! that wait at the same time. Nothing in the folder names where the folder is: it may be moved.

mod assess;
mod base;
mod blocks;
mod body;
mod checkpoint;
mod chunk_index;
mod chunk_rows;
mod chunks;
mod collect;
mod commit;
mod core;
mod error;
mod index;
mod keeper;
mod keys;
mod ledger;
mod log;
mod marks;
mod outbox;
mod outline;
mod pack;
pub mod quality;
mod query;
mod read;
mod record;
mod recovery;
mod rotation;
mod row_set;
mod rows;
mod seal;
mod search;
mod segment;
mod settle;
mod sieve;
mod snippet;
mod store;
mod sweep;
mod text;
mod types;
mod verify;
mod words;
mod write;

pub use error::{Result, StoreError};
pub use keys::{Cost, Key};
pub use read::Cursor;
pub use store::Store;
pub use types::{
    ArtifactId, Collected, Encryption, Filter, Finding, Hit, Info, Options, Outlined, Put, Stats,
    Whereabouts,
};
pub use write::Writer;
