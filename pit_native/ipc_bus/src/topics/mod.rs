//! Topics: who publishes reaches all who subscribed, and no slow one among them holds up another.
//!
//! Each subscription has a queue of its own, bounded in messages and in bytes, and a window: so many messages
//! are on their way to it that it has not acknowledged. When both are full, the publisher waits as long as it
//! said that it would; then the oldest message goes, and the subscriber is told how many it has missed.

mod pattern;
mod queue;
mod routes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::RwLock;
use rmpv::Value;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

pub use pattern::{BadTopic, Pattern, Topic};
pub use queue::{Bounds, Deliver};
pub use routes::Routes;

use queue::Subscriber;

/// One message on its way to all who subscribed.
#[derive(Debug)]
pub struct Message {
    /// Under which it was published.
    pub topic: Topic,
    /// What the subscribers get.
    pub body: Value,
    /// Bytes of memory that it takes, about.
    weight: usize,
}

impl Message {
    /// A message with its weight taken.
    pub fn new(topic: Topic, body: Value) -> Message {
        let weight = weigh(&body);
        Message {
            topic,
            body,
            weight,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// Subscriptions that it reached.
    pub subscribers: usize,
    /// Of these, how many lost an older message for it.
    pub displaced: usize,
}

/// The subscriptions of one group of peers who may hear each other.
#[derive(Default)]
pub struct Topics {
    routes: RwLock<Routes<Arc<Subscriber>>>,
    subscribers: RwLock<FxHashMap<u64, Arc<Subscriber>>>,
    counter: AtomicU64,
}

impl Topics {
    /// Sends what is published under `pattern` to `deliver` from now on; the number names the subscription.
    pub fn subscribe(&self, pattern: Pattern, bounds: Bounds, deliver: Deliver) -> u64 {
        let id = self.counter.fetch_add(1, Relaxed) + 1;
        let subscriber = Arc::new(Subscriber::new(id, pattern.clone(), bounds, deliver));
        self.subscribers.write().insert(id, subscriber.clone());
        self.routes.write().insert(&pattern, subscriber);
        id
    }

    /// Ends a subscription; false when it had ended.
    pub fn unsubscribe(&self, id: u64) -> bool {
        let Some(subscriber) = self.subscribers.write().remove(&id) else {
            return false;
        };
        let mut routes = self.routes.write();
        routes.remove(subscriber.pattern(), |other| other.id() == id);
        drop(routes);
        subscriber.close();
        true
    }

    /// The subscriber has dealt with `count` messages and can take as many again.
    pub fn acknowledge(&self, id: u64, count: usize) {
        let subscriber = self.subscribers.read().get(&id).cloned();
        if let Some(subscriber) = subscriber {
            subscriber.acknowledge(count);
        }
    }

    /// Whether nobody subscribes.
    pub fn is_empty(&self) -> bool {
        self.subscribers.read().is_empty()
    }

    /// Publishes without waiting: where a queue is full its oldest message goes.
    pub fn publish(&self, message: Message) -> Published {
        let message = Arc::new(message);
        let reached = self.reached(&message.topic);
        let displaced = reached.iter().filter(|one| one.displace(&message)).count();
        Published {
            subscribers: reached.len(),
            displaced,
        }
    }

    /// Publishes, and waits at most `patience` for queues that are full; then their oldest messages go. Who
    /// has room gets it at once, whoever else has none.
    pub async fn publish_within(&self, message: Message, patience: Duration) -> Published {
        let message = Arc::new(message);
        let until = Instant::now() + patience;
        let mut reached = self.reached(&message.topic);
        let subscribers = reached.len();
        reached.retain(|one| !one.offer(&message));
        let mut displaced = 0;
        for slow in reached {
            let taken = tokio::time::timeout_at(until, slow.offer_when_free(&message)).await;
            if taken.is_err() {
                displaced += usize::from(slow.displace(&message));
            }
        }
        Published {
            subscribers,
            displaced,
        }
    }

    fn reached(&self, topic: &Topic) -> Vec<Arc<Subscriber>> {
        let mut reached = Vec::new();
        let routes = self.routes.read();
        routes.reached(topic, |one| reached.push(one.clone()));
        reached
    }
}

/// About how many bytes of memory a value takes.
fn weigh(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => text.as_bytes().len(),
        Value::Binary(bytes) | Value::Ext(_, bytes) => bytes.len(),
        Value::Array(items) => items.iter().map(weigh).sum(),
        Value::Map(entries) => {
            let entries = entries.iter();
            entries.map(|(key, value)| weigh(key) + weigh(value)).sum()
        }
        _ => 0,
    };
    size_of::<Value>() + inside
}
