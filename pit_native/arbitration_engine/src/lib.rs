//! Grants CPU, memory, named locks and other resources fairly, or says what a request waits for.
//!
//! A pure state machine: no clock, no threads, no I/O. A request asks for all it needs at once, so two
//! owners can never each hold what the other lacks. Which waiting request goes first is the strategy's
//! to say; under each of them priorities age, and an owner's oldest request that was passed over too
//! often holds back what it needs, so that none starves.

mod engine;
mod explain;
mod fairness;
mod locks;
mod request;
mod reservations;
mod resources;
mod strategy;

pub use engine::Arbiter;
pub use explain::{Reason, Wait};
pub use fairness::jain;
pub use locks::{Lock, Locks, Mode};
pub use request::{Ask, Grant, GrantId, Outcome, RequestError};
pub use reservations::ReservationId;
pub use resources::{Needs, Resources};
pub use strategy::Strategy;
