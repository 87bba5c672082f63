//! Grants CPU, memory and other resources fairly, or says what a request waits for.
//!
//! A pure state machine: no clock, no threads, no I/O. A request asks for all it needs at once, so two
//! owners can never each hold what the other lacks. Who waits is served by priority, then by the
//! smallest dominant share held (Ghodsi et al., "Dominant Resource Fairness", NSDI 2011), then by
//! arrival. Priorities age, so that none starves behind a higher one; and a waiter that was passed over
//! often because it did not fit holds back what it needs until it does.

mod engine;
mod fairness;

pub use engine::{Arbiter, Grant, GrantId, Needs, Outcome, RequestError, Wait};
pub use fairness::jain;
