//! What the fuzz targets call; `cargo test` includes the same files.

/// The readers, by target.
pub mod readers {
    pub use crate::journal::journal;
    pub use crate::store::{checkpoint, keys, segment};
}

mod journal;
mod scratch;
mod store;
