//! What is asked for, what is granted, and why it may never be.

use std::sync::Arc;

use thiserror::Error;

use crate::locks::Locks;
use crate::resources::Needs;

/// Names a request and the grant that it becomes; later requests have larger ones.
pub type GrantId = u64;

/// A request.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// In whose name; shares are counted for owners.
    pub owner: &'a str,
    /// How explanations call it; the owner if none.
    pub label: Option<Arc<str>>,
    /// How much of what.
    pub needs: Needs,
    /// What must not change meanwhile, or what it changes.
    pub locks: Locks,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// How long it will take, as far as is known.
    pub seconds: Option<f64>,
    /// The caller's own mark; comes back with the grant.
    pub tag: u64,
}

impl<'a> Ask<'a> {
    /// A request for `needs` with priority 5.
    pub fn new(owner: &'a str, needs: Needs) -> Self {
        Self {
            owner,
            label: None,
            needs,
            locks: Locks::new(),
            priority: 5,
            seconds: None,
            tag: 0,
        }
    }
}

/// What was granted.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// Who holds it.
    pub owner: Arc<str>,
    /// What it holds.
    pub needs: Needs,
    /// And which names.
    pub locks: Locks,
    /// The caller's own mark on the request.
    pub tag: u64,
}

/// The answer to a request.
#[derive(Debug)]
pub enum Outcome {
    /// It may begin.
    Granted(Grant),
    /// It waits; the id becomes the grant's, and withdraws the request until then.
    Queued(GrantId),
}

/// A request that can never be granted.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum RequestError {
    /// More than there is at all.
    #[error("{owner} asks for {asked} {resource}, but there are only {capacity}")]
    Infeasible {
        /// Who asks.
        owner: String,
        /// Of what.
        resource: String,
        /// How much.
        asked: f64,
        /// How much there is.
        capacity: f64,
    },
    /// A resource that has no capacity entry.
    #[error("{owner} asks for {resource}, which this machine does not manage")]
    UnknownResource {
        /// Who asks.
        owner: String,
        /// Of what.
        resource: String,
    },
    /// A negative amount, or none that is a number.
    #[error("{owner} asks for {asked} {resource}, which is no amount")]
    NoAmount {
        /// Who asks.
        owner: String,
        /// Of what.
        resource: String,
        /// The amount.
        asked: f64,
    },
    /// Others have reserved so much of it for that time that not enough remains.
    #[error(
        "{owner} would reserve {asked} {resource}, but {reserved} of {capacity} are reserved then"
    )]
    Reserved {
        /// Who asks.
        owner: String,
        /// Of what.
        resource: String,
        /// How much.
        asked: f64,
        /// How much is reserved already.
        reserved: f64,
        /// How much there is.
        capacity: f64,
    },
    /// The grant was released before, or never was.
    #[error("grant {0} is not held: it was released before, or comes from another engine")]
    NotHeld(GrantId),
}
