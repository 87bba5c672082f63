//! Carries large payloads beside the frames of a socket, as `docs/stage-protocol.md` says.
//!
//! Text and bytes of a message that are large stand in its frame as a [`Reference`]: to a part of a shared
//! segment, which a [`Sender`] makes once and reuses, or to a file in memory of their own, sealed against
//! writing. The descriptors of both travel with the first byte of the frame. A [`Receiver`] checks each
//! descriptor before it reads from it, and reads with `pread`: a file that is shorter than it was said to be
//! gives fewer bytes then, where a mapping would end the process.

mod fault;
mod receiver;
mod reference;
mod sender;
mod socket;

pub use fault::Fault;
pub use receiver::{Receiver, resolve};
pub use reference::{Place, Reference, TYPES};
pub use sender::{Parcel, Sender, write_value};
pub use socket::{Arrival, receive, receive_more, send};

/// What both ends hold to; the host says it in its welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The size of a segment in bytes: exactly this, and a multiple of 4096.
    pub segment: u64,
    /// Text and bytes of at least so many bytes travel beside the frame where there is room.
    pub least: u64,
    /// From so many bytes on they travel in a file of their own.
    pub file: u64,
    /// The most bytes that the references of one frame may name together.
    pub payload: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            segment: 16 << 20,
            least: 64 << 10,
            file: 4 << 20,
            payload: 256 << 20,
        }
    }
}

/// The most descriptors that travel with one frame.
pub const DESCRIPTORS: usize = 16;

/// Where the payloads of a segment begin. Its first byte is the receiver's: it counts there what it has taken.
pub const SEGMENT_START: u64 = 4096;
