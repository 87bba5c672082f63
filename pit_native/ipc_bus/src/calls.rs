//! The calls of one session that wait for an answer, and those that were given up.

use std::fmt;
use std::time::Duration;

use rmpv::Value;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::oneshot;

use crate::error::CallError;

/// 16 bytes that name a message: the session's random half, then a count.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(pub [u8; 16]);

impl fmt::Debug for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// How a call is made.
#[derive(Debug, Clone, Copy)]
pub struct CallOptions {
    /// After this the call is given up and the Player told to stop.
    pub deadline: Duration,
    /// The host's own number for what this call belongs to; it returns with the Player's requests.
    pub tag: u64,
}

impl Default for CallOptions {
    fn default() -> Self {
        CallOptions {
            deadline: Duration::from_secs(300),
            tag: 0,
        }
    }
}

/// What became of a call, as the reader hands it to the caller.
pub(crate) type Answer = Result<Value, CallError>;

struct Pending {
    tag: u64,
    answer: oneshot::Sender<Answer>,
}

/// What an id in `re` refers to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A call that waits; with its tag.
    Open(u64),
    /// A call of this session that ended.
    Ended,
    /// Nothing that this session ever sent.
    Unknown,
}

/// Pure bookkeeping: ids out, answers in.
pub(crate) struct Calls {
    session: [u8; 8],
    next: u64,
    pending: FxHashMap<MessageId, Pending>,
    /// Given up while the Player may still answer. An answer to one of these is no violation, once.
    abandoned: FxHashSet<MessageId>,
}

impl Calls {
    pub(crate) fn new(session: [u8; 8]) -> Self {
        Calls {
            session,
            next: 1,
            pending: FxHashMap::default(),
            abandoned: FxHashSet::default(),
        }
    }

    /// A fresh id for anything that the host sends.
    pub(crate) fn next_id(&mut self) -> MessageId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.session);
        id[8..].copy_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        MessageId(id)
    }

    pub(crate) fn open(&mut self, id: MessageId, tag: u64) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        self.pending.insert(id, Pending { tag, answer });
        receiver
    }

    /// Hands the answer over. False when nothing was asked under this id.
    pub(crate) fn answer(&mut self, id: MessageId, answer: Answer) -> bool {
        match self.pending.remove(&id) {
            // The caller may have gone in this instant; then nobody wants the answer.
            Some(pending) => {
                let _ = pending.answer.send(answer);
                true
            }
            None => self.abandoned.remove(&id),
        }
    }

    /// Stops waiting; true when the call was still open, so that the Player should hear of it.
    pub(crate) fn abandon(&mut self, id: MessageId) -> bool {
        let was_open = self.pending.remove(&id).is_some();
        if was_open {
            self.abandoned.insert(id);
        }
        was_open
    }

    /// Ends an open call on the host's side with `error`; its late answer will be no violation.
    pub(crate) fn give_up(&mut self, id: MessageId, error: CallError) {
        if let Some(pending) = self.pending.remove(&id) {
            self.abandoned.insert(id);
            let _ = pending.answer.send(Err(error));
        }
    }

    /// The open calls that belong to `tag`.
    pub(crate) fn of_tag(&self, tag: u64) -> Vec<MessageId> {
        self.pending
            .iter()
            .filter(|(_, pending)| pending.tag == tag)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(crate) fn refer(&self, id: MessageId) -> Reference {
        if let Some(pending) = self.pending.get(&id) {
            return Reference::Open(pending.tag);
        }
        let count = u64::from_be_bytes(id.0[8..].try_into().expect("eight bytes"));
        if id.0[..8] == self.session && count > 0 && count < self.next {
            Reference::Ended
        } else {
            Reference::Unknown
        }
    }

    /// How many calls wait.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Ends all of them the same way.
    pub(crate) fn end_all(&mut self, error: &CallError) {
        for (_, pending) in self.pending.drain() {
            let _ = pending.answer.send(Err(error.clone()));
        }
    }
}
