//! The queue of one subscription.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Message, Pattern};

/// How much of it a subscription may have waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Messages that wait in the host.
    pub queue: usize,
    /// Bytes of memory that they may take; one message may wait alone however large it is.
    pub bytes: usize,
    /// Messages sent to the subscriber and not acknowledged.
    pub window: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            queue: 256,
            bytes: 16 << 20,
            window: 64,
        }
    }
}

/// Takes a message to its subscriber, with how many were dropped since the last. It must not wait, nor call
/// the topics back.
pub type Deliver = Box<dyn Fn(&Message, u64) + Send + Sync>;

pub(super) struct Subscriber {
    id: u64,
    pattern: Pattern,
    bounds: Bounds,
    deliver: Deliver,
    state: Mutex<State>,
    /// Told when a message has left the queue.
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Message>>,
    bytes: usize,
    /// Messages on their way that are not acknowledged.
    sent: usize,
    dropped: u64,
    is_closed: bool,
}

impl Subscriber {
    pub(super) fn new(id: u64, pattern: Pattern, bounds: Bounds, deliver: Deliver) -> Self {
        Subscriber {
            id,
            pattern,
            bounds,
            deliver,
            state: Mutex::default(),
            room: Notify::new(),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Takes the message unless it has no room for it. A closed subscription takes it to nobody.
    pub(super) fn offer(&self, message: &Arc<Message>) -> bool {
        self.offer_locked(&mut self.state.lock(), message)
    }

    fn offer_locked(&self, state: &mut State, message: &Arc<Message>) -> bool {
        if state.is_closed || state.waiting.is_empty() && state.sent < self.bounds.window {
            self.send(state, message);
            return true;
        }
        let has_room = self.has_room(state, message);
        if has_room {
            state.queue(message.clone());
        }
        has_room
    }

    /// Takes the message as soon as it has room. Cancel-safe: a message is taken whole or not at all.
    pub(super) async fn offer_when_free(&self, message: &Arc<Message>) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.offer(message) {
                return;
            }
            room.await;
        }
    }

    /// Takes the message in any case; true when older ones had to go for it.
    pub(super) fn displace(&self, message: &Arc<Message>) -> bool {
        let mut state = self.state.lock();
        if self.offer_locked(&mut state, message) {
            return false;
        }
        let dropped = state.dropped;
        while !self.has_room(&state, message) {
            state.unqueue();
            state.dropped += 1;
        }
        state.queue(message.clone());
        state.dropped > dropped
    }

    fn has_room(&self, state: &State, message: &Message) -> bool {
        let fits = state.bytes + message.weight <= self.bounds.bytes;
        state.waiting.is_empty() || state.waiting.len() < self.bounds.queue && fits
    }

    pub(super) fn acknowledge(&self, count: usize) {
        let mut state = self.state.lock();
        state.sent = state.sent.saturating_sub(count);
        while state.sent < self.bounds.window {
            let Some(message) = state.unqueue() else {
                break;
            };
            self.send(&mut state, &message);
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Under the lock, so that messages keep their order.
    fn send(&self, state: &mut State, message: &Message) {
        if !state.is_closed {
            state.sent += 1;
            (self.deliver)(message, std::mem::take(&mut state.dropped));
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        *state = State {
            is_closed: true,
            ..State::default()
        };
        drop(state);
        self.room.notify_waiters();
    }
}

impl State {
    fn queue(&mut self, message: Arc<Message>) {
        self.bytes += message.weight;
        self.waiting.push_back(message);
    }

    fn unqueue(&mut self) -> Option<Arc<Message>> {
        let message = self.waiting.pop_front()?;
        self.bytes -= message.weight;
        Some(message)
    }
}
