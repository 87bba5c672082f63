//! What can go wrong on the bus, each with its cause.

use std::path::PathBuf;
use std::time::Duration;

/// A frame that does not hold to the protocol; its session is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The length announces more than the limit.
    #[error("a frame of {length} bytes is over the limit of {limit}")]
    TooLong {
        /// Announced length.
        length: usize,
        /// Largest length allowed.
        limit: usize,
    },
    /// The bytes end inside a value.
    #[error("the frame ends inside a value")]
    Truncated,
    /// Bytes follow the envelope.
    #[error("{0} bytes follow the envelope")]
    Trailing(usize),
    /// Containers nest deeper than the limit.
    #[error("the frame nests deeper than {0} levels")]
    TooDeep(usize),
    /// The frame holds more values than the limit.
    #[error("the frame holds more than {0} values")]
    TooMany(usize),
    /// A map has the same key twice.
    #[error("a map has the key {0:?} twice")]
    DuplicateKey(String),
    /// A key of a map is no string.
    #[error("a map has a key that is no string")]
    KeyType,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// An extension type or the reserved byte 0xc1.
    #[error("the type 0x{0:02x} is not part of the protocol")]
    Type(u8),
    /// A field of the envelope is missing or has the wrong type.
    #[error("the envelope's field {0:?} is missing or wrong")]
    Field(&'static str),
    /// A field that the envelope does not have.
    #[error("the envelope has no field {0:?}")]
    UnknownField(String),
    /// Another version of the envelope.
    #[error("the envelope has version {0}; this host speaks version 1")]
    Version(u64),
    /// A reply to something that was not asked.
    #[error("a {0} answers nothing that was asked in this session")]
    UnknownReply(&'static str),
    /// A request whose id is still being answered.
    #[error("a request repeats the id of one that is not answered yet")]
    RepeatedId,
    /// A payload beside the frame, or a descriptor, is not as agreed.
    #[error("{0}")]
    Payload(#[from] payload::Fault),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The host closed it.
    #[error("the host closed the session")]
    ByHost,
    /// The peer closed its end, as it does when its process ends.
    #[error("the Player closed the connection")]
    ByPeer,
    /// The peer broke the protocol.
    #[error("the Player broke the protocol: {0}")]
    Protocol(Malformed),
    /// The peer went on sending beyond its rate.
    #[error("the Player sent more than {0} messages a second and went on when they were refused")]
    Flood(u64),
    /// The peer took nothing, or did not finish a frame.
    #[error("the Player did not {what} for {seconds} s", what = if *.reading { "read" } else { "finish a frame" })]
    Stalled {
        /// True when it did not read what was sent to it.
        reading: bool,
        /// How long the host waited.
        seconds: u64,
    },
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Failed(String),
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// No answer within the deadline; the Player was told to stop.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The session ended.
    #[error("{0}")]
    Closed(Closed),
    /// The Player answered with an error.
    #[error("{message}")]
    Remote {
        /// A stable word: `bad_input`, `failed`, `permission_denied`, `unavailable`, `internal`.
        code: String,
        /// What happened.
        message: String,
        /// What to do about it, or empty.
        remedy: String,
        /// The Player's traceback, or empty.
        traceback: String,
    },
    /// The call was cancelled.
    #[error("the call was cancelled")]
    Cancelled,
    /// The call itself cannot be sent.
    #[error("{0}")]
    Protocol(String),
}

/// Why a listener or an accept failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The socket cannot be made.
    #[error("cannot listen at {0}: {1}")]
    Listen(PathBuf, #[source] std::io::Error),
    /// Nobody whom the host expects came in time.
    #[error("the Player did not connect within {waited:?}{}", describe_strangers(*.strangers))]
    Timeout {
        /// How long the host waited.
        waited: Duration,
        /// Connections refused because another process made them.
        strangers: usize,
    },
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Failed(#[from] std::io::Error),
    /// What the Player said first was no `hello`, or not the one expected.
    #[error("the Player's hello was refused: {0}")]
    Hello(String),
    /// The first frame broke the protocol.
    #[error("the Player broke the protocol: {0}")]
    Malformed(#[from] Malformed),
}

fn describe_strangers(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; one connection of another process was refused".into(),
        _ => format!("; {count} connections of other processes were refused"),
    }
}
