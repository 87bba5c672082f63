//! The functions of an extension, and the loop that answers the host.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use payload::{Receiver, Sender, Terms};
use rmpv::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::failure::Failure;
use crate::session::Session;
use crate::streams::Streams;
use crate::wire::{Envelope, Reader, field, text_of};

/// With this grant a Player writes over the project, in a private layer that the host looks at.
const WRITES: &str = "write:project/**";

type Function = Box<dyn Fn(&Context, Value) -> Result<Value, Failure> + Send + Sync>;

/// A set of functions by name.
#[derive(Default)]
pub struct Player {
    functions: BTreeMap<String, Function>,
}

impl Player {
    /// One without functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a function callable. It is given its inputs and parameters as one struct, and gives its
    /// outputs as one: the fields are the ports of the manifest.
    #[must_use]
    pub fn function<Given, Made>(
        mut self,
        name: &str,
        function: impl Fn(&Context, Given) -> Result<Made, Failure> + Send + Sync + 'static,
    ) -> Self
    where
        Given: DeserializeOwned,
        Made: Serialize,
    {
        let call = move |context: &Context, given: Value| {
            let given = rmpv::ext::from_value(given)
                .map_err(|error| Failure::bad_input(error.to_string()))?;
            let made = function(context, given)?;
            named(&made)
        };
        self.functions.insert(name.to_owned(), Box::new(call));
        self
    }

    /// Speaks with the host that the environment names until it ends the session: over a socket or, where the
    /// manifest says `transport = "stdio"`, over standard input and output, which nothing else may use then.
    ///
    /// # Errors
    /// `NotFound` outside of a host, and what the connection fails with.
    pub fn serve(self) -> io::Result<()> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| {
                let said = format!("{name} is not set: a Player is started by the host");
                io::Error::new(io::ErrorKind::NotFound, said)
            })
        };
        let name = variable("SYMPHONY_EXTENSION")?;
        let version = variable("SYMPHONY_EXTENSION_VERSION")?;
        if std::env::var("SYMPHONY_TRANSPORT").is_ok_and(|transport| transport == "stdio") {
            let streams = Streams::open()?;
            let served = self.serve_on(streams.socket()?, &name, &version);
            streams.finish();
            return served;
        }
        let socket = UnixStream::connect(variable("SYMPHONY_SOCKET")?)?;
        self.serve_on(socket, &name, &version)
    }

    /// As [`Self::serve`], over a connected socket.
    ///
    /// # Errors
    /// What the connection fails with; `ConnectionRefused` when the host refuses hello.
    pub fn serve_on(self, socket: UnixStream, name: &str, version: &str) -> io::Result<()> {
        let mut reader = Reader::new(socket.try_clone()?);
        let session = Arc::new(Session::new(name.to_owned(), socket));
        greet(&mut reader, &session, name, version)?;
        let functions = Arc::new(self.functions);
        let mut held: Option<Vec<Envelope>> = None;
        while let Some(message) = reader.next_envelope()? {
            match (message.kind.as_str(), message.method.as_str()) {
                ("response" | "error" | "stream", _) => session.deliver(message),
                ("event", "cancel") => {
                    if let Some(call) = message.re {
                        session.cancel(call);
                    }
                }
                ("event", "ui.event") => {
                    if let Some(call) = message.re {
                        session.take_event(call, message.body);
                    }
                }
                ("event", _) => (),
                (_, "call") => match &mut held {
                    Some(held) => held.push(message),
                    None => start(&session, &functions, message),
                },
                (_, "pause") => {
                    held.get_or_insert_default();
                    session.reply(message.id, Ok(empty()), "pause")?;
                }
                (_, "resume") => {
                    session.reply(message.id, Ok(empty()), "resume")?;
                    for call in held.take().unwrap_or_default() {
                        start(&session, &functions, call);
                    }
                }
                (_, "ping") => session.reply(message.id, Ok(empty()), "ping")?,
                (_, "activate") => {
                    if let Some(settings) = field(&message.body, "configuration") {
                        session.configure(settings.clone());
                    }
                    let names = functions.keys().map(|name| name.as_str().into()).collect();
                    let body = Value::Map(vec![("functions".into(), Value::Array(names))]);
                    session.reply(message.id, Ok(body), "activate")?;
                }
                (_, "shutdown") => {
                    session.reply(message.id, Ok(empty()), "shutdown")?;
                    return Ok(());
                }
                (_, other) => {
                    let said = format!("this Player does not know the request {other}");
                    session.reply(message.id, Err(Failure::coded("internal", said)), other)?;
                }
            }
        }
        Ok(())
    }
}

fn greet(reader: &mut Reader, session: &Session, name: &str, version: &str) -> io::Result<()> {
    let body = Value::Map(vec![
        ("versions".into(), Value::Array(vec![1.into()])),
        ("extension".into(), name.into()),
        ("version".into(), version.into()),
        ("sdk".into(), "symphony.sdk/rust".into()),
        ("segments".into(), true.into()),
    ]);
    let id = session.send("request", None, "hello", body)?;
    let refused = |said: &str| io::Error::new(io::ErrorKind::ConnectionRefused, said.to_owned());
    let answer = reader
        .next_envelope()?
        .ok_or_else(|| refused("the host closed before it answered hello"))?;
    if answer.kind == "error" {
        return Err(refused(&Failure::of(&answer.body).message));
    }
    if answer.kind != "response" || answer.re != Some(id) {
        return Err(refused("the host did not answer hello"));
    }
    let frame = field(&answer.body, "limits").and_then(|limits| field(limits, "frame")?.as_u64());
    if let Some(frame) = frame {
        session.set_limit(usize::try_from(frame).unwrap_or(usize::MAX));
    }
    let grants = field(&answer.body, "grants");
    let granted = grants.and_then(|grants| field(grants, "capabilities")?.as_array());
    if granted.is_some_and(|granted| granted.iter().any(|grant| grant.as_str() == Some(WRITES))) {
        session.note_that_it_writes();
    }
    if let Some(agreed) = field(&answer.body, "segments") {
        let number = |name| field(agreed, name).and_then(Value::as_u64);
        let terms = Terms {
            segment: number("size").ok_or_else(|| refused("its segments have no size"))?,
            least: number("least").unwrap_or(u64::MAX),
            file: number("file").unwrap_or(u64::MAX),
            payload: number("payload").unwrap_or(0),
        };
        reader.agree(Receiver::new(terms.clone()));
        session.agree(Sender::new(terms));
    }
    Ok(())
}

/// Runs a call on a thread of its own: the reader stays free for `cancel` and `ping`.
fn start(session: &Arc<Session>, functions: &Arc<BTreeMap<String, Function>>, message: Envelope) {
    let call = session.begin(message.id);
    let (session, functions) = (Arc::clone(session), Arc::clone(functions));
    thread::spawn(move || {
        let about = field(&message.body, "context")
            .cloned()
            .unwrap_or(Value::Nil);
        let context = Context::new(Arc::clone(&session), Arc::clone(&call), about);
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let outputs = run(&functions, &context, &message.body)?;
            if session.writes() {
                // Before the answer: the steps that follow it shall see what was written.
                context.ask("changes.keep", empty(), |_| ())?;
            }
            Ok(outputs)
        }))
        .unwrap_or_else(|panic| {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Failure::new(format!(
                "it panicked: {}",
                said.unwrap_or("no reason was given")
            )))
        });
        // What a cancelled call made is not wanted any more.
        let answer = if context.is_cancelled() {
            Err(Failure::cancelled())
        } else {
            answer
        };
        let body = answer.map(|outputs| Value::Map(vec![("outputs".into(), outputs)]));
        // A host that is gone is seen by the reader.
        let _ = session.end(&call, body, "call");
    });
}

fn run(
    functions: &BTreeMap<String, Function>,
    context: &Context,
    body: &Value,
) -> Result<Value, Failure> {
    let name = text_of(body, "function").unwrap_or_default();
    let function = functions.get(name).ok_or_else(|| {
        let known: Vec<&str> = functions.keys().map(String::as_str).collect();
        Failure::bad_input(format!(
            "there is no function {name:?}; there are: {}",
            known.join(", ")
        ))
    })?;
    let mut given = Vec::new();
    for part in ["params", "inputs"] {
        if let Some(fields) = field(body, part).and_then(Value::as_map) {
            given.extend(fields.iter().cloned());
        }
    }
    function(context, Value::Map(given))
}

/// Outputs go by name: what is no map, or has keys that are no text, cannot be outputs.
fn named(made: &impl Serialize) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::coded("bad_output", error.to_string());
    let bytes = rmp_serde::to_vec_named(made).map_err(|error| failed(&error))?;
    let value = rmpv::decode::read_value(&mut bytes.as_slice()).map_err(|error| failed(&error))?;
    match &value {
        Value::Map(fields) if fields.iter().all(|(key, _)| key.is_str()) => Ok(value),
        Value::Nil => Ok(empty()),
        _ => Err(failed(&"a function gives a struct of its outputs")),
    }
}

fn empty() -> Value {
    Value::Map(Vec::new())
}
