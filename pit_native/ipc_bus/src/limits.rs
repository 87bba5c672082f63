//! What a peer may take: every bound of the bus in one place, all of them configuration.

use std::time::Duration;

/// Bounds of one session. The defaults are those of `docs/stage-protocol.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Longest frame in bytes, without its four bytes of length.
    pub frame: usize,
    /// How deep containers may nest in a frame; the envelope is the first.
    pub depth: usize,
    /// How many values one frame may hold. Bounds the memory that a frame of tiny values unfolds into.
    pub values: usize,
    /// Requests, events and stream pieces that a Player may send in a second.
    pub rate: f64,
    /// How many of them it may send at once after a quiet time.
    pub burst: f64,
    /// After this many frames beyond the rate the session is closed.
    pub refusals: u64,
    /// Requests of a Player that may wait for an answer at the same time.
    pub requests: usize,
    /// Bytes that these may hold together, payloads included; a single one may hold what a message may.
    pub unanswered: usize,
    /// Bytes that may wait to be written before callers wait and the peer is no longer read.
    pub outgoing: usize,
    /// A peer that takes nothing, or does not finish a frame, for so long loses its session.
    pub stall: Duration,
    /// How long a cancelled call may take to answer before it is given up.
    pub cancel_grace: Duration,
    /// From which size on payloads travel beside their frames, and how much of them there may be.
    pub payloads: payload::Terms,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            frame: 16 << 20,
            depth: 64,
            values: 2_000_000,
            rate: 150_000.0,
            burst: 150_000.0,
            refusals: 1_000,
            requests: 256,
            unanswered: 256 << 20,
            outgoing: 32 << 20,
            stall: Duration::from_secs(30),
            cancel_grace: Duration::from_secs(2),
            payloads: payload::Terms::default(),
        }
    }
}
