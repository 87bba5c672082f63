//! The calls of one session that wait for an answer, and those that were given up.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rmpv::Value;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::oneshot;
use tokio::time::Instant;

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

/// What became of a call.
pub(crate) type Answer = Result<Value, CallError>;

/// Who gets the answer. It is told outside of the lock over [`Calls`], for it may call again.
pub(crate) enum Waiter {
    Task(oneshot::Sender<Answer>),
    /// Runs where the answer is read, so that no other task must be woken for it.
    Function(Box<dyn FnOnce(Answer) + Send>),
}

impl Waiter {
    pub(crate) fn tell(self, answer: Answer) {
        match self {
            // The caller may have gone in this instant; then nobody wants the answer.
            Waiter::Task(sender) => drop(sender.send(answer)),
            // A fault of one caller must not end the session's reader.
            Waiter::Function(done) => {
                if catch_unwind(AssertUnwindSafe(|| done(answer))).is_err() {
                    tracing::error!("what was to happen with an answer panicked");
                }
            }
        }
    }
}

/// A call to be opened.
pub(crate) struct Opening {
    pub(crate) options: CallOptions,
    /// When it is given up; never when the time is beyond what the clock counts.
    pub(crate) until: Option<Instant>,
    pub(crate) waiter: Waiter,
}

/// Whose an answer is.
pub(crate) enum Answered {
    Waits(Waiter),
    /// Its call was given up; nobody wants it.
    Late,
    Unknown,
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
    pending: FxHashMap<MessageId, Opening>,
    /// Given up while the Player may still answer. An answer to one of these is no violation, once.
    abandoned: FxHashSet<MessageId>,
    /// When the clock looks at the deadlines next: at the first of them or before, and never too late.
    alarm: Option<Instant>,
}

impl Calls {
    pub(crate) fn new(session: [u8; 8]) -> Self {
        Calls {
            session,
            next: 1,
            pending: FxHashMap::default(),
            abandoned: FxHashSet::default(),
            alarm: None,
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

    /// True when the clock has to be told, because it would look too late.
    pub(crate) fn open(&mut self, id: MessageId, call: Opening) -> bool {
        let is_earlier = match (call.until, self.alarm) {
            (Some(until), Some(alarm)) => until < alarm,
            (until, None) => until.is_some(),
            (None, Some(_)) => false,
        };
        if is_earlier {
            self.alarm = call.until;
        }
        self.pending.insert(id, call);
        is_earlier
    }

    /// Takes the call of this id, for its answer.
    pub(crate) fn answer(&mut self, id: MessageId) -> Answered {
        match self.pending.remove(&id) {
            Some(call) => Answered::Waits(call.waiter),
            None if self.abandoned.remove(&id) => Answered::Late,
            None => Answered::Unknown,
        }
    }

    /// When the clock has to look next.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        self.alarm
    }

    /// Gives up the calls whose deadline has come, each with how long it had, and sets the next alarm.
    pub(crate) fn give_up_due(&mut self, now: Instant) -> Vec<(MessageId, Duration, Waiter)> {
        let is_due = |call: &Opening| call.until.is_some_and(|until| until <= now);
        let mut due: Vec<_> = self.pending.extract_if(|_, call| is_due(call)).collect();
        due.sort_by_key(|(_, call)| call.until);
        self.alarm = self.pending.values().filter_map(|call| call.until).min();
        self.abandoned.extend(due.iter().map(|(id, _)| *id));
        due.into_iter()
            .map(|(id, call)| (id, call.options.deadline, call.waiter))
            .collect()
    }

    /// Stops waiting; true when the call was still open, so that the Player should hear of it.
    pub(crate) fn abandon(&mut self, id: MessageId) -> bool {
        let was_open = self.pending.remove(&id).is_some();
        if was_open {
            self.abandoned.insert(id);
        }
        was_open
    }

    /// Ends an open call on the host's side; its late answer will be no violation.
    pub(crate) fn give_up(&mut self, id: MessageId) -> Option<Waiter> {
        let call = self.pending.remove(&id)?;
        self.abandoned.insert(id);
        Some(call.waiter)
    }

    /// The open calls that belong to `tag`.
    pub(crate) fn of_tag(&self, tag: u64) -> Vec<MessageId> {
        self.pending
            .iter()
            .filter(|(_, call)| call.options.tag == tag)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(crate) fn refer(&self, id: MessageId) -> Reference {
        if let Some(call) = self.pending.get(&id) {
            return Reference::Open(call.options.tag);
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

    /// Takes all of them, for the session's end.
    pub(crate) fn take_all(&mut self) -> Vec<Waiter> {
        self.pending.drain().map(|(_, call)| call.waiter).collect()
    }
}
