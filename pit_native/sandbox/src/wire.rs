//! What host and launcher say to each other over their private socket, one message a packet.
//!
//! Host to launcher: a packet with the length of the spec (four bytes, little-endian) and [`LIMITED`] or
//! [`SUPERVISE`], then the spec as JSON in pieces. Launcher to host: [`PLAYER`], written by the player's process itself so that the kernel
//! attests its pid, then [`READY`] once the program runs; or a [`Refusal`] at any point before. For each overlay a
//! [`LAYER`] with the mount's target and a descriptor of its private layer comes before those.

use serde::{Deserialize, Serialize};

/// Descriptor of the launcher's end of the socket.
pub const CONTROL_FD: i32 = 3;
/// Largest piece of a spec in one packet.
pub const PIECE: usize = 32 << 10;
/// Largest spec; argument lists have a limit of the same order.
pub const LARGEST_SPEC: usize = 4 << 20;
/// Host: control groups limit memory.
pub const LIMITED: u8 = b'l';
/// Host: there are no control groups, so pid 1 sums memory itself.
pub const SUPERVISE: u8 = b's';
/// Launcher: pid 1 has ended the sandbox because it used too much memory.
pub const OUT_OF_MEMORY: u8 = b'm';
/// Launcher: written by the player's process just before it becomes the program.
pub const PLAYER: u8 = b'p';
/// Launcher: a descriptor of an overlay's private layer; the mount's target follows in the packet.
pub const LAYER: u8 = b'o';
/// Launcher: the program has been started.
pub const READY: u8 = b'r';

/// The launcher's last word when it refuses. Starts with `{` as JSON, unlike the one-byte messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of failure.
    pub kind: RefusalKind,
    /// Layer, path or program.
    pub subject: String,
    /// What was tried.
    pub operation: String,
    /// The system's error number, 0 if none.
    pub errno: i32,
}

/// Which error of [`crate::SandboxError`] a refusal becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// A protection failed to apply.
    Layer,
    /// A mount's source or target is unusable.
    Mount,
    /// The program could not be executed.
    Program,
}
