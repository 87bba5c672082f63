//! What the host does with what Players send.

use std::pin::Pin;
use std::sync::Arc;

use rmpv::Value;

use crate::calls::MessageId;
use crate::envelope::Kind;
use crate::error::Closed;
use crate::session::Inner;

/// The host's side of a session. All methods run on the session's reader task and must not block:
/// while one runs, nothing else of this session is read.
pub trait Handler: Send + Sync + 'static {
    /// A capability call. The answer may be given later and from any thread.
    fn request(&self, incoming: Incoming, responder: Responder);

    /// `progress`, `log`, `ui` and stream pieces (`output`). `tag` is that of the host's call in which
    /// it happened, 0 if in none.
    fn event(&self, session: u64, tag: u64, method: &str, body: Value);

    /// Asked after each request, event and stream piece: what to wait for before more of this session is read,
    /// when the host has too much of it already. Its answers are not read meanwhile either.
    fn room(&self, _session: u64) -> Option<Room> {
        None
    }

    /// The session ended. Nothing of it comes after this; its open calls have ended before.
    fn closed(&self, session: u64, reason: &Closed);
}

/// Ends when there is room for more.
pub type Room = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request of a Player.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The session that asks. This, not the envelope's `from`, says who it is.
    pub session: u64,
    /// The tag of the host's call in which it asks, 0 if in none.
    pub tag: u64,
    /// What it wants, such as `fs.read`.
    pub method: String,
    /// The request's content.
    pub body: Value,
}

/// The one answer to one request. Dropped unused, it answers with an error, so that nobody waits for ever.
pub struct Responder {
    session: Arc<Inner>,
    request: MessageId,
    method: String,
    is_answered: bool,
}

impl Responder {
    pub(crate) fn new(session: Arc<Inner>, request: MessageId, method: String) -> Self {
        Responder {
            session,
            request,
            method,
            is_answered: false,
        }
    }

    /// Answers. An answer over the frame limit becomes an error that says so.
    pub fn ok(mut self, value: Value) {
        self.finish(Kind::Response, &value);
    }

    /// Refuses, with a stable word, what happened, and what to do about it.
    pub fn err(mut self, code: &str, message: &str, remedy: &str) {
        self.finish(Kind::Error, &error_body(code, message, remedy));
    }

    /// Sends a piece of an answer that is still being made. False when it cannot be sent: the session
    /// is closed or the piece is over the frame limit.
    pub fn piece(&self, value: &Value) -> bool {
        self.session
            .send(Kind::Stream, Some(self.request), &self.method, value)
            .is_ok()
    }

    /// What sends such pieces without the answer in hand, for who makes them elsewhere. They are of no use to
    /// anybody once the answer is given.
    pub fn pieces(&self) -> Pieces {
        Pieces {
            session: self.session.clone(),
            request: self.request,
            method: self.method.clone(),
        }
    }

    fn finish(&mut self, kind: Kind, body: &Value) {
        self.is_answered = true;
        self.session.answer(self.request, &self.method, kind, body);
    }
}

/// Sends pieces of an answer, see [`Responder::pieces`].
pub struct Pieces {
    session: Arc<Inner>,
    request: MessageId,
    method: String,
}

impl Pieces {
    /// Sends one. False when it cannot be sent: it is over the frame limit.
    pub fn send(&self, value: &Value) -> bool {
        self.session
            .send(Kind::Stream, Some(self.request), &self.method, value)
            .is_ok()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.is_answered {
            let message = format!("the host gave no answer to {}", self.method);
            self.finish(Kind::Error, &error_body("internal", &message, ""));
        }
    }
}

/// The body of every `error`.
pub(crate) fn error_body(code: &str, message: &str, remedy: &str) -> Value {
    Value::Map(
        [
            ("code", code),
            ("message", message),
            ("remedy", remedy),
            ("traceback", ""),
        ]
        .into_iter()
        .map(|(key, text)| (Value::from(key), Value::from(text)))
        .collect(),
    )
}
