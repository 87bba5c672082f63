//! Carries messages between the host and its Players: frames, envelopes, sessions, limits.
//!
//! A [`Bus`] opens one [`Listener`] for each Player. `accept` takes the one connection of the process
//! that the host started, reads its `hello` and gives a [`Session`]. Over it the host calls the Player;
//! what the Player asks arrives at the session's [`Handler`]. The wire format is described in
//! `docs/stage-protocol.md`. A peer that breaks the protocol loses its own session and nothing else.

mod bus;
mod calls;
mod envelope;
mod error;
mod fairness;
mod frame;
mod handler;
mod handshake;
mod limits;
mod listener;
mod outgoing;
mod peer;
mod rate;
mod reader;
mod requests;
pub mod ring;
mod scan;
mod schema;
mod session;
pub mod topics;
pub mod transport;

pub use bus::Bus;
pub use calls::{CallOptions, MessageId};
pub use envelope::{Envelope, Kind, PROTOCOL_VERSION};
pub use error::{BusError, CallError, Closed, Malformed};
pub use frame::FrameBuffer;
pub use handler::{Handler, Incoming, Pieces, Responder, Room};
pub use handshake::{Expect, Peer};
pub use limits::Limits;
pub use listener::Listener;
pub use peer::Credentials;
pub use rate::TokenBucket;
pub use scan::check_value;
pub use schema::check_body;
pub use session::{Session, SessionStats};

pub use rmpv::Value;
