//! Questions to the host that wait for an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rmpv::Value;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::UnboundedSender;

use crate::driver::{Inbox, Message};
use crate::instructions::{Event, Verdict};

/// Who gets the answer.
#[derive(Debug)]
pub(crate) enum Question {
    /// An attempt, which reads the answer itself. That at a control node may get several, of which all but the
    /// last say that it waits.
    Asked(UnboundedSender<Value>),
    /// A condition.
    Condition { inbox: Inbox, edge: u32 },
    /// A content that is to be brought back.
    Recall { inbox: Inbox, id: Arc<str> },
    /// What to do after a failed attempt.
    Failure {
        inbox: Inbox,
        node: u32,
        attempt: u32,
        /// What the node's retry policy says.
        default: Verdict,
    },
}

/// All open questions, by token.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    last: AtomicU64,
    open: Mutex<FxHashMap<u64, (Arc<str>, Question)>>,
}

impl Decisions {
    /// Keeps a question of `run` and names it.
    pub(crate) fn ask(&self, run: &Arc<str>, question: Question) -> u64 {
        let token = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.lock().insert(token, (run.clone(), question));
        token
    }

    /// Passes an answer on; false when nobody asks (any more).
    pub(crate) fn answer(&self, token: u64, answer: Value) -> bool {
        let mut open = self.open.lock();
        if field(&answer, "waiting").is_some_and(|waits| waits.as_bool() == Some(true)) {
            let Some((_, Question::Asked(attempt))) = open.get(&token) else {
                return false;
            };
            return attempt.send(answer).is_ok();
        }
        let Some((_, question)) = open.remove(&token) else {
            return false;
        };
        drop(open);
        match question {
            Question::Asked(attempt) => attempt.send(answer).is_ok(),
            Question::Condition { inbox, edge } => {
                let holds = answer.as_bool().unwrap_or(false);
                inbox
                    .send(Message::Machine(Event::Condition { edge, holds }))
                    .is_ok()
            }
            Question::Recall { inbox, id } => {
                let failure = read_failure(&answer);
                inbox.send(Message::Recalled { id, failure }).is_ok()
            }
            Question::Failure {
                inbox,
                node,
                attempt,
                default,
            } => {
                let verdict = read_verdict(&answer, default);
                inbox
                    .send(Message::Machine(Event::Decided {
                        node,
                        attempt,
                        verdict,
                    }))
                    .is_ok()
            }
        }
    }

    /// Takes a question back; false when it was answered before.
    pub(crate) fn withdraw(&self, token: u64) -> bool {
        self.open.lock().remove(&token).is_some()
    }

    /// Takes all questions of a run back.
    pub(crate) fn forget(&self, run: &str) {
        self.open.lock().retain(|_, (asker, _)| &**asker != run);
    }

    /// How many wait.
    pub(crate) fn open(&self) -> usize {
        self.open.lock().len()
    }
}

/// Why a content could not be brought back; none when it was.
fn read_failure(answer: &Value) -> Option<String> {
    let said = field(answer, "error").map(|error| field(error, "message").and_then(Value::as_str));
    said.map(|why| why.unwrap_or("the host did not say why").to_owned())
}

fn read_verdict(answer: &Value, default: Verdict) -> Option<Verdict> {
    match field(answer, "action")?.as_str()? {
        "default" => Some(default),
        "fail" => Some(Verdict::Fail),
        "skip" => Some(Verdict::Skip),
        "fallback" => Some(Verdict::Fallback),
        "retry" => {
            let seconds = field(answer, "delay")
                .and_then(Value::as_f64)
                .unwrap_or(0.0);
            Some(Verdict::Retry(
                Duration::try_from_secs_f64(seconds).unwrap_or_default(),
            ))
        }
        _ => None,
    }
}

/// The entry `key` of a map.
pub(crate) fn field<'a>(map: &'a Value, key: &str) -> Option<&'a Value> {
    match map {
        Value::Map(entries) => entries
            .iter()
            .find(|(k, _)| k.as_str() == Some(key))
            .map(|(_, value)| value),
        _ => None,
    }
}
