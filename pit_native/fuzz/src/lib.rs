//! What the fuzz targets call; `cargo test` includes the files for those that read files.

/// The readers, by target.
pub mod readers {
    pub use crate::bus::{envelope, frame};
    pub use crate::journal::journal;
    pub use crate::melody::melody;
    pub use crate::sdk::sdk;
    pub use crate::store::{checkpoint, keys, segment};
    pub use crate::topics::topic;
}

mod bus;
mod journal;
mod melody;
mod scratch;
mod sdk;
mod store;
mod topics;
