//! What a function can ask of the host while it runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use rmpv::Value;

use crate::failure::Failure;
use crate::session::{Arrival, Call, Session};
use crate::wire::{field, text_of};

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
    /// 0 when all is well.
    pub exit_code: i64,
}

/// What the host has kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Empty when it has none.
    pub name: String,
    /// A media type.
    pub kind: String,
    /// The whole of it.
    pub content: Vec<u8>,
}

/// The host's side of one call. Its methods may be used from any thread of the function.
pub struct Context {
    session: Arc<Session>,
    call: Arc<Call>,
    about: Value,
}

impl Context {
    pub(crate) fn new(session: Arc<Session>, call: Arc<Call>, about: Value) -> Self {
        Self {
            session,
            call,
            about,
        }
    }

    /// The project's folder.
    pub fn project(&self) -> Option<&Path> {
        text_of(&self.about, "project").map(Path::new)
    }

    /// The run's id; empty when the function is called alone.
    pub fn run(&self) -> &str {
        text_of(&self.about, "run").unwrap_or_default()
    }

    /// The node's id.
    pub fn node(&self) -> &str {
        text_of(&self.about, "node").unwrap_or_default()
    }

    /// 1 for the first try.
    pub fn attempt(&self) -> u64 {
        field(&self.about, "attempt")
            .and_then(Value::as_u64)
            .unwrap_or(1)
    }

    /// Names the work of this node, the same in every attempt and after a resume: what is done once in the world is
    /// marked with it.
    pub fn idempotency_key(&self) -> &str {
        text_of(&self.about, "idempotency_key").unwrap_or_default()
    }

    /// The extension's setting of this name. Secrets are not among them; they stay with the host.
    pub fn setting(&self, name: &str) -> Option<Value> {
        self.session.setting(name)
    }

    /// Whether the user stopped the run or the time is over. Long loops should look.
    pub fn is_cancelled(&self) -> bool {
        self.call.is_cancelled.load(Ordering::SeqCst)
    }

    /// Says how far the work is, 0 to 1; some ten times a second are enough.
    pub fn progress(&self, fraction: f64, note: &str) {
        let body = map([("fraction", fraction.into()), ("note", note.into())]);
        self.tell("event", "progress", body);
    }

    /// Writes to the host's log: `debug`, `info`, `warning` or `error`.
    pub fn log(&self, level: &str, message: &str) {
        let fields = Value::Map(Vec::new());
        let body = map([
            ("level", level.into()),
            ("message", message.into()),
            ("fields", fields),
        ]);
        self.tell("event", "log", body);
    }

    /// Sends a piece of the result while it is still being made.
    pub fn output(&self, piece: Value) {
        self.tell("stream", "output", map([("piece", piece)]));
    }

    /// The content of a file that the grants cover.
    ///
    /// # Errors
    /// What the host refuses with; `cancelled`.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let answer = self.ask("fs.read", map([("path", path.into())]), |_| ())?;
        Ok(bytes_of(&answer, "content"))
    }

    /// Writes a file through the host.
    ///
    /// # Errors
    /// What the host refuses with; `cancelled`.
    pub fn write(&self, path: &str, content: Vec<u8>) -> Result<(), Failure> {
        let body = map([("path", path.into()), ("content", Value::Binary(content))]);
        self.ask("fs.write", body, |_| ()).map(drop)
    }

    /// The files that match a pattern such as `src/**/*.py`, relative to the project, sorted.
    ///
    /// # Errors
    /// What the host refuses with; `cancelled`.
    pub fn list(&self, pattern: &str) -> Result<Vec<String>, Failure> {
        let answer = self.ask("fs.list", map([("pattern", pattern.into())]), |_| ())?;
        let paths = field(&answer, "paths").and_then(Value::as_array);
        let paths = paths.into_iter().flatten().filter_map(Value::as_str);
        Ok(paths.map(str::to_owned).collect())
    }

    /// Calls a function of another extension, `publisher/extension#function`, with inputs and parameters by name,
    /// and gives its outputs.
    ///
    /// # Errors
    /// What the host refuses with, and what the function fails with; `cancelled`.
    pub fn call(&self, player: &str, inputs: Value, params: Value) -> Result<Value, Failure> {
        let body = map([
            ("player", player.into()),
            ("inputs", inputs),
            ("params", params),
        ]);
        let answer = self.ask("extension.call", body, |_| ())?;
        Ok(field(&answer, "outputs").cloned().unwrap_or(Value::Nil))
    }

    /// Runs a program in a sandbox of its own with the same grants.
    ///
    /// # Errors
    /// What the host refuses with; `cancelled`.
    pub fn exec(&self, argv: &[&str]) -> Result<Executed, Failure> {
        let words = argv.iter().map(|word| Value::from(*word)).collect();
        let body = map([
            ("argv", Value::Array(words)),
            ("cwd", Value::Nil),
            ("timeout", Value::Nil),
            ("input", Value::Nil),
        ]);
        let answer = self.ask("exec", body, |_| ())?;
        Ok(Executed {
            stdout: bytes_of(&answer, "stdout"),
            stderr: bytes_of(&answer, "stderr"),
            exit_code: field(&answer, "exit_code")
                .and_then(Value::as_i64)
                .unwrap_or(-1),
        })
    }

    /// A stored artifact by its id.
    ///
    /// # Errors
    /// What the host refuses with; `cancelled`.
    pub fn artifact(&self, id: &str) -> Result<Artifact, Failure> {
        let answer = self.ask("artifact.get", map([("id", id.into())]), |_| ())?;
        let text = |name: &str| text_of(&answer, name).unwrap_or_default().to_owned();
        Ok(Artifact {
            name: text("name"),
            kind: text("type"),
            content: bytes_of(&answer, "content"),
        })
    }

    /// Keeps an artifact; gives its id.
    ///
    /// # Errors
    /// What the host refuses with; `cancelled`.
    pub fn store(&self, name: &str, kind: &str, content: Vec<u8>) -> Result<String, Failure> {
        let body = map([
            ("name", name.into()),
            ("type", kind.into()),
            ("content", Value::Binary(content)),
        ]);
        let answer = self.ask("artifact.put", body, |_| ())?;
        Ok(text_of(&answer, "id").unwrap_or_default().to_owned())
    }

    /// Any request of the protocol; `on_piece` hears of the stream before the answer.
    ///
    /// # Errors
    /// What the host refuses with; `cancelled`.
    pub fn ask(
        &self,
        method: &str,
        body: Value,
        mut on_piece: impl FnMut(Value),
    ) -> Result<Value, Failure> {
        let answers = self.begin(method, body)?;
        loop {
            match answers.recv() {
                Ok(Arrival::Piece(piece)) => on_piece(piece),
                Ok(Arrival::Answer(answer)) => return Ok(answer),
                Ok(Arrival::Refusal(failure)) => return Err(failure),
                Err(_) => return Err(Failure::cancelled()),
            }
        }
    }

    pub(crate) fn call_of(&self) -> &Call {
        &self.call
    }

    /// Asks, and gives where the pieces and the answer arrive.
    pub(crate) fn begin(&self, method: &str, body: Value) -> Result<Receiver<Arrival>, Failure> {
        self.session.ask(Some(&self.call), method, body)
    }

    pub(crate) fn tell(&self, kind: &str, method: &str, body: Value) {
        // A host that is gone is seen by the reader.
        let _ = self.session.send(kind, Some(self.call.id), method, body);
    }
}

pub(crate) fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
    )
}

pub(crate) fn bytes_of(answer: &Value, name: &str) -> Vec<u8> {
    field(answer, name)
        .and_then(Value::as_slice)
        .unwrap_or_default()
        .to_vec()
}
