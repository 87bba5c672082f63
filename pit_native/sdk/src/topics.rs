//! What functions publish, and what they hear of other Players: messages under a topic, one after the other.

use std::sync::mpsc::Receiver;

use rmpv::Value;

use crate::context::{Context, map};
use crate::failure::Failure;
use crate::session::Arrival;
use crate::wire::{field, text_of};

/// So many messages are dealt with before the host is told, a quarter of those that it sends without hearing.
const BATCH: u64 = 16;

/// How a message was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// How many subscriptions there are.
    pub subscribers: u64,
    /// At how many of them an older message went for this one.
    pub displaced: u64,
}

/// One message of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Under which it was published.
    pub topic: String,
    /// What was published.
    pub value: Value,
    /// The extension that published it, as the host knows it.
    pub from: String,
    /// How many messages were dropped before this one because they were not taken in time.
    pub missed: u64,
}

/// The messages of a topic or a pattern, in their order. It ends when it is dropped, and with its call: then what
/// the host ended it with is its last item, `cancelled` where the call was stopped.
pub struct Subscription<'a> {
    context: &'a Context,
    id: Value,
    arrivals: Receiver<Arrival>,
    taken: u64,
    has_ended: bool,
}

impl Context {
    /// Publishes a value under a topic below the extension's own name, such as `publisher/name/news`. Players of
    /// the same project hear it. Where a subscriber's queue is full it waits at most `wait` seconds (60 at most);
    /// then the oldest message there goes.
    ///
    /// # Errors
    /// `permission_denied` for a topic of another extension; `cancelled`.
    pub fn publish(&self, topic: &str, value: Value, wait: f64) -> Result<Published, Failure> {
        let told = map([
            ("topic", topic.into()),
            ("value", value),
            ("wait", wait.into()),
        ]);
        let mut answer = self.ask("extension.publish", told.clone(), |_| ());
        if matches!(&answer, Err(failure) if failure.code == "permission_denied") {
            // The first under this topic: the host is asked whether it may be.
            self.ask("extension.announce", map([("topic", topic.into())]), |_| ())?;
            answer = self.ask("extension.publish", told, |_| ());
        }
        let answer = answer?;
        Ok(Published {
            subscribers: count(&answer, "subscribers"),
            displaced: count(&answer, "displaced"),
        })
    }

    /// What is published from now on under a topic or a pattern such as `publisher/name/*`: `*` is any one part,
    /// `**` at the end any that follow. At most `queue` messages wait in the host while the function is busy; beyond
    /// them the oldest go, and the next message says how many.
    ///
    /// # Errors
    /// `permission_denied` without `ipc:publisher/name`; `bad_input` for what is no pattern; `cancelled`.
    pub fn subscribe(&self, topic: &str, queue: u64) -> Result<Subscription<'_>, Failure> {
        let body = map([("topic", topic.into()), ("queue", queue.into())]);
        let arrivals = self.begin("extension.subscribe", body)?;
        let id = match arrivals.recv() {
            Ok(Arrival::Piece(piece)) => field(&piece, "id").cloned().unwrap_or(Value::Nil),
            Ok(Arrival::Refusal(failure)) => return Err(failure),
            Ok(Arrival::Answer(_)) | Err(_) => return Err(Failure::cancelled()),
        };
        Ok(Subscription {
            context: self,
            id,
            arrivals,
            taken: 0,
            has_ended: false,
        })
    }
}

impl Iterator for Subscription<'_> {
    type Item = Result<Message, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut missed = 0;
        while !self.has_ended {
            match self.arrivals.recv() {
                Ok(Arrival::Piece(piece)) => {
                    if field(&piece, "missed").is_some() {
                        missed += count(&piece, "missed");
                        continue;
                    }
                    self.acknowledge();
                    return Some(Ok(message(piece, missed)));
                }
                Ok(Arrival::Refusal(failure)) => {
                    self.has_ended = true;
                    return Some(Err(failure));
                }
                Ok(Arrival::Answer(_)) | Err(_) => self.has_ended = true,
            }
        }
        None
    }
}

impl Subscription<'_> {
    fn acknowledge(&mut self) {
        self.taken += 1;
        if self.taken == BATCH {
            self.taken = 0;
            let body = map([("id", self.id.clone()), ("count", BATCH.into())]);
            self.context.tell("event", "extension.received", body);
        }
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            // Nobody waits for the answer; where the call has ended, so has this.
            let body = map([("id", self.id.clone())]);
            let _ = self.context.begin("extension.unsubscribe", body);
        }
    }
}

fn message(piece: Value, missed: u64) -> Message {
    let text = |name: &str| text_of(&piece, name).unwrap_or_default().to_owned();
    Message {
        topic: text("topic"),
        from: text("from"),
        value: field(&piece, "value").cloned().unwrap_or(Value::Nil),
        missed,
    }
}

fn count(answer: &Value, name: &str) -> u64 {
    field(answer, name).and_then(Value::as_u64).unwrap_or(0)
}
