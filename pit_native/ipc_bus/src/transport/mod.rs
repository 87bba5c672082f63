//! How bytes travel between the host and a peer. Frames, sessions and limits are the same over all of them.

mod memory;
mod named;
mod settings;
mod socket;
mod wire;

pub use memory::{Mapped, offer_ring, take_ring};
pub use named::{NamedListener, connect_named, listen_named};
pub use settings::{Backoff, RetryPolicy, TransportSettings, connect};
pub use wire::Wire;
