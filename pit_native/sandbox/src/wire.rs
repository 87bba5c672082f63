//! What host and launcher say to each other over their private socket, one message a packet.
//!
//! Host to launcher: a packet with the length of the spec (four bytes, little-endian) and [`LIMITED`],
//! [`SUPERVISE`] or [`TEMPLATE`], with [`LIMITED`] also the files of the control groups that it is to join; then
//! the spec as JSON in pieces. Launcher to host: for each overlay a [`LAYER`]
//! with the mount's target and a descriptor of its private layer; [`PLAYER`], written by the player's process
//! itself so that the kernel attests its pid, and [`READY`] once the program runs; or a [`Refusal`] at any
//! point before.
//!
//! A template says the last two of itself. Then the host sends it an [`Order`] for each Player, with
//! descriptors, and it answers with an [`Answer`]. The copy that it makes takes the launcher's part from here
//! on, over the socket that came with the order: the template itself never learns whose Player it is.

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
/// Host: this is to become a template.
pub const TEMPLATE: u8 = b't';
/// Launcher: pid 1 has ended the sandbox because it used too much memory.
pub const OUT_OF_MEMORY: u8 = b'm';
/// Launcher: written by the player's process just before it becomes the program.
pub const PLAYER: u8 = b'p';
/// Launcher: a descriptor of an overlay's private layer; the mount's target follows in the packet.
pub const LAYER: u8 = b'o';
/// Launcher: the program has been started.
pub const READY: u8 = b'r';

/// Descriptors of an order: the copy's end of its socket, three streams.
pub const ORDERED: usize = 4;

/// What a template is told: one Player more, in these `CLONE_NEW*` namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Flags of `clone`.
    pub namespaces: i32,
}

impl Order {
    /// As it travels.
    pub fn to_bytes(self) -> [u8; 4] {
        self.namespaces.to_le_bytes()
    }

    /// `None` when the bytes are no order.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let namespaces = i32::from_le_bytes(bytes.try_into().ok()?);
        Some(Self { namespaces })
    }
}

/// What a template says to an order: the copy's pid, with its pidfd beside; or the system's error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// In the host's pid namespace; 0 when there is no copy.
    pub pid: i32,
    /// 0 when there is one.
    pub errno: i32,
}

impl Answer {
    /// As it travels.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.pid.to_le_bytes());
        bytes[4..].copy_from_slice(&self.errno.to_le_bytes());
        bytes
    }

    /// `None` when the bytes are no answer.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (pid, errno) = bytes.split_at_checked(4)?;
        Some(Self {
            pid: i32::from_le_bytes(pid.try_into().ok()?),
            errno: i32::from_le_bytes(errno.try_into().ok()?),
        })
    }
}

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
