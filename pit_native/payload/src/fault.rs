//! What can be wrong with a payload that does not travel in its frame.

/// Why a reference or a descriptor was refused; its session is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Descriptors came on a connection whose ends did not agree on them, or more than one message may bring.
    #[error("it brings more descriptors than were agreed")]
    Unagreed,
    /// A reference needs a descriptor that did not come with its frame.
    #[error("a reference has no descriptor")]
    Missing,
    /// A descriptor came that no reference of its frame needs.
    #[error("a descriptor belongs to no reference")]
    Extra,
    /// The descriptor is a pipe, a socket, a device or a file that others can change.
    #[error("a descriptor is no file in memory")]
    Kind,
    /// The file lacks a seal, or has one that it must not have.
    #[error("a file in memory is not sealed as agreed")]
    Seals,
    /// The file is not as long as the reference or the terms say.
    #[error("a file in memory has {found} bytes instead of {wanted}")]
    Size {
        /// What the kernel says.
        found: u64,
        /// What the reference or the terms say.
        wanted: u64,
    },
    /// Memory that the sender has not paid for would be the receiver's to pay.
    #[error("a file in memory has holes")]
    Holes,
    /// The bytes of a reference lie outside of the segment.
    #[error("a reference leads outside of its segment")]
    Outside,
    /// One frame refers to more bytes than may be.
    #[error("the references of a frame name more than {0} bytes")]
    TooLarge(u64),
    /// The reference itself is not of the agreed form.
    #[error("a reference is malformed")]
    Reference,
    /// A text is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// The kernel refused to read.
    #[error("a payload cannot be read: {0}")]
    Failed(String),
}

impl From<rustix::io::Errno> for Fault {
    fn from(error: rustix::io::Errno) -> Self {
        Fault::Failed(error.to_string())
    }
}
