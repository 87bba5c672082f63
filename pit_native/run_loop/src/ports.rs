//! What the run loop needs of the world: traits that `bridge` implements over the Pit and the bus.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rmpv::Value;
use serde::{Deserialize, Serialize};

use crate::encoding::Encoding;
use crate::event::RunEvent;
use crate::instructions::Fault;
use crate::plan::PathLock;
use crate::port_types::{Mismatch, PortTypes};

/// A future that may move between threads.
pub type Promise<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeError {
    /// A stable word for programs.
    pub code: String,
    /// What failed and why, in one line.
    pub message: String,
    /// What the user can do.
    pub remedy: String,
    /// Where in the Player's code, if it said so.
    pub traceback: String,
    /// Whether another attempt may help.
    pub fault: Fault,
}

impl NodeError {
    /// An error with a code, whose fault follows from the code.
    pub fn new(code: &str, message: impl Into<String>, remedy: &str) -> Self {
        let fault = match code {
            "bad_input" | "bad_output" | "permission_denied" | "infeasible" | "not_found"
            | "not_approved" => Fault::Permanent,
            _ => Fault::Passing,
        };
        Self {
            code: code.to_owned(),
            message: message.into(),
            remedy: remedy.to_owned(),
            traceback: String::new(),
            fault,
        }
    }
}

/// One call of a function.
#[derive(Debug, Clone)]
pub struct Call {
    /// The run, empty outside of one.
    pub run: Arc<str>,
    /// The node, empty outside of a run.
    pub node: Arc<str>,
    /// Counted from 1.
    pub attempt: u32,
    /// The pool's entry.
    pub key: Arc<str>,
    /// `publisher/extension#function`.
    pub player: Arc<str>,
    /// The function alone.
    pub function: Arc<str>,
    /// Parameters.
    pub params: Arc<Value>,
    /// Inputs by port.
    pub inputs: Vec<(Arc<str>, Arc<Value>)>,
    /// Output ports with their types, so that a Player need not read its manifest for them.
    pub outputs: Vec<(Arc<str>, Arc<str>)>,
    /// The project's path.
    pub project: Option<String>,
    /// Names this call; never used twice in a process.
    pub tag: u64,
    /// When the caller gives up.
    pub timeout: Option<Duration>,
}

/// What a call has used of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU seconds, user and system, of the Player and the programs that it had executed.
    pub cpu_seconds: f64,
    /// The most memory that the Player has held so far, or one of those programs, in bytes.
    pub peak_memory: Option<u64>,
    /// Share of a GPU, 0 to 1; none where it is not known.
    pub gpu_share: Option<f64>,
}

/// Where Players are.
pub trait Stage: Send + Sync + 'static {
    /// Starts the Player of `key` if it does not run, and holds it until the seat is dropped.
    fn seat(&self, key: &Arc<str>, priority: u8) -> Promise<Result<Box<dyn Seat>, NodeError>>;
    /// A run of its own begins, uses a Player for the first time, and has ended.
    fn run_began(&self) {}
    /// See [`Stage::run_began`].
    fn run_uses(&self, _key: &Arc<str>) {}
    /// See [`Stage::run_began`].
    fn run_ended(&self, _keys: &[Arc<str>]) {}
    /// How long the Player of `key` takes to be ready, in seconds; none when it is, or is about to be.
    fn lead_seconds(&self, _key: &Arc<str>) -> Option<f64> {
        None
    }
    /// How long a call of `player` usually takes at least, in seconds, where that is known.
    fn usual_seconds(&self, _player: &str) -> Option<f64> {
        None
    }
    /// Starts the Player of `key` ahead of its use, if there is room; one that is loaded makes room only if
    /// it is worth less than `uses` uses soon. Returns at once.
    fn prewarm(&self, _key: &Arc<str>, _uses: f64) {}
    /// What is wrong with an output on a port of this type, for types that extensions declare.
    fn mismatch(&self, port_type: &str, value: &Value) -> Option<Mismatch> {
        PortTypes::built_in().mismatch(port_type, value)
    }
}

/// A Player that is held.
pub trait Seat: Send + Sync {
    /// Calls a function; the answer is `{"outputs": {...}, "artifacts": {...}}`.
    fn call(&self, call: Call) -> Promise<Result<Value, NodeError>>;
    /// What the call named `tag` has used; asked once, when it has ended.
    fn used(&self, tag: u64) -> Option<Usage> {
        let _ = tag;
        None
    }
    /// Asks the Player to stop a call.
    fn cancel(&self, tag: u64);
    /// Ends the Player's process, for it does not listen.
    fn kill(&self, reason: &str);
}

/// An output as it was stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// The output port.
    pub port: Arc<str>,
    /// The artifact's id.
    pub id: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_name: String,
    /// Its size.
    pub bytes: u64,
    /// Its score, 0 to 1.
    pub quality: f64,
    /// How the value was turned into bytes.
    pub encoding: Encoding,
}

/// What is to be stored.
#[derive(Debug)]
pub struct NewArtifact<'a> {
    /// The bytes.
    pub content: &'a [u8],
    /// The name to show.
    pub name: &'a str,
    /// The type.
    pub type_name: &'a str,
    /// Stored beside it.
    pub meta: &'a [(String, Value)],
}

/// Whether a content can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It can be read.
    Here,
    /// Another tier holds it: the host can bring it back.
    Away,
    /// It was removed, or what is left of it is damaged.
    Gone,
}

/// Where outputs are kept. The methods block; they are called on threads that may.
pub trait Artifacts: Send + Sync + 'static {
    /// Stores something, durable when it returns: its id and its quality.
    fn put(&self, artifact: NewArtifact<'_>) -> Result<(Arc<str>, f64), NodeError>;
    /// The content of an artifact.
    fn get(&self, id: &str) -> Result<Vec<u8>, NodeError>;
    /// Whether it can be had.
    fn presence(&self, id: &str) -> Presence;
    /// Whether anything at all is in another tier.
    fn are_some_away(&self) -> bool;
}

/// The answer to a request for resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// They are held under this name.
    Granted(u64),
    /// The waiter is told later, with the same name.
    Queued(u64),
}

/// Told when a queued request is granted: the mark given with the request, and the grant's name.
pub trait Waiter: Send + Sync {
    /// The grant is held from now on.
    fn granted(&self, mark: u64, grant: u64);
}

/// What a node asks of the arbiter.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// In whose name: the run.
    pub owner: &'a str,
    /// The node, as explanations call it.
    pub label: &'a Arc<str>,
    /// Resources with amounts.
    pub needs: &'a [(Arc<str>, f64)],
    /// Locks on paths.
    pub locks: &'a [PathLock],
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// How long it takes, about.
    pub seconds: f64,
}

/// Who hands out resources.
pub trait Arbiter: Send + Sync + 'static {
    /// Asks for all that a node needs, at once; the waiter is told with the `mark`.
    fn request(
        &self,
        asking: Asking<'_>,
        waiter: &Arc<dyn Waiter>,
        mark: u64,
    ) -> Result<Asked, NodeError>;
    /// Says that another node has a grant, or waits for it, than the one that asked.
    fn relabel(&self, grant: u64, label: &Arc<str>);
    /// Gives a grant back.
    fn release(&self, grant: u64);
    /// Takes a request back that waits; false when it does not wait.
    fn withdraw(&self, grant: u64) -> bool;
    /// Says that `owner` will ask for nothing more.
    fn retire(&self, owner: &str);
    /// Keeps what `asking` names for its owner, who will ask for it within so many seconds; none when it is not
    /// free, or others wait for it. The grant of it ends the reservation.
    fn reserve(&self, asking: Asking<'_>, lasts: f64) -> Option<u64> {
        let _ = (asking, lasts);
        None
    }
    /// Ends a reservation that is still there.
    fn unreserve(&self, _reservation: u64) {}
    /// Whether so much of `resource` is held by nobody now.
    fn has_free(&self, resource: &str, amount: f64) -> bool;
}

/// Where events go.
pub trait Sink: Send + Sync + 'static {
    /// Takes all of `events`, in order.
    fn emit(&self, events: &mut Vec<RunEvent>);
}
