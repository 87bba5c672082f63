//! One connection to the host: who waits for which answer, and which calls run.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use payload::{Parcel, Sender as Beside};
use rmpv::Value;

use crate::failure::Failure;
use crate::wire::{Envelope, FRAME, field, now};

pub(crate) type Id = [u8; 16];

/// What no terms put beside a frame.
const LARGE: usize = 4 << 10;
/// `ETOOMANYREFS`.
const CROWDED: i32 = 109;
/// How often it is tried again then.
const PATIENCE: usize = 6_000;
/// Events that wait to be taken; then the oldest goes.
const MOST_EVENTS: usize = 256;

/// What reaches who waits for an answer.
pub(crate) enum Arrival {
    Piece(Value),
    Answer(Value),
    Refusal(Failure),
}

/// A call that is being answered.
pub(crate) struct Call {
    pub id: Id,
    pub is_cancelled: AtomicBool,
    waiting: Mutex<Vec<Id>>,
    /// What the user did to the tree that it shows, and nobody has taken yet.
    events: Mutex<VecDeque<Value>>,
    /// Told of an event, and of the call's end.
    came: Condvar,
}

impl Call {
    fn new(id: Id) -> Self {
        Self {
            id,
            is_cancelled: AtomicBool::new(false),
            waiting: Mutex::default(),
            events: Mutex::default(),
            came: Condvar::new(),
        }
    }

    /// Waits for the next event of what the call shows.
    pub fn next_event(&self) -> Result<Value, Failure> {
        let mut events = locked(&self.events);
        loop {
            if self.is_cancelled.load(Ordering::SeqCst) {
                return Err(Failure::cancelled());
            }
            if let Some(event) = events.pop_front() {
                return Ok(event);
            }
            events = self
                .came
                .wait(events)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn cancel(&self) {
        let events = locked(&self.events);
        self.is_cancelled.store(true, Ordering::SeqCst);
        drop(events);
        self.came.notify_all();
    }
}

/// Sends, and hands what arrives to who waits for it. Shared by all threads.
pub(crate) struct Session {
    name: String,
    writer: Mutex<UnixStream>,
    /// Large payloads go there, once the host has agreed. Held until their frame is written, because they are
    /// counted in the order of the frames; taken before the writer.
    beside: Mutex<Option<Beside>>,
    limit: AtomicUsize,
    /// Whether calls write over the project.
    writes: AtomicBool,
    half: [u8; 8],
    count: AtomicU64,
    waiters: Mutex<HashMap<Id, Sender<Arrival>>>,
    calls: Mutex<HashMap<Id, Arc<Call>>>,
    /// The extension's settings, once it is activated.
    configuration: Mutex<Value>,
}

impl Session {
    pub fn new(name: String, writer: UnixStream) -> Self {
        Self {
            name,
            writer: Mutex::new(writer),
            beside: Mutex::new(None),
            limit: AtomicUsize::new(FRAME),
            writes: AtomicBool::new(false),
            // Unique in a session is all that is asked; no other Player shares it.
            half: now().to_bits().to_be_bytes(),
            count: AtomicU64::new(0),
            waiters: Mutex::default(),
            calls: Mutex::default(),
            configuration: Mutex::new(Value::Nil),
        }
    }

    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// From now on the host is told, before each answer, that there may be changes to keep.
    pub fn note_that_it_writes(&self) {
        self.writes.store(true, Ordering::Relaxed);
    }

    pub fn writes(&self) -> bool {
        self.writes.load(Ordering::Relaxed)
    }

    /// From now on large payloads travel beside their frames.
    pub fn agree(&self, beside: Beside) {
        *locked(&self.beside) = Some(beside);
    }

    pub fn send(&self, kind: &str, re: Option<Id>, method: &str, body: Value) -> io::Result<Id> {
        let id = self.next_id();
        self.send_as(id, kind, re, method, body)?;
        Ok(id)
    }

    /// Asks, and gives where the answer arrives. A call that is cancelled ends the wait.
    pub fn ask(
        &self,
        call: Option<&Call>,
        method: &str,
        body: Value,
    ) -> Result<Receiver<Arrival>, Failure> {
        let id = self.next_id();
        let (sender, receiver) = channel();
        locked(&self.waiters).insert(id, sender);
        if let Some(call) = call {
            locked(&call.waiting).push(id);
            // After the waiter is known: a cancellation from now on finds it.
            if call.is_cancelled.load(Ordering::SeqCst) {
                self.forget(id);
                return Err(Failure::cancelled());
            }
        }
        self.send_as(id, "request", call.map(|call| call.id), method, body)
            .map_err(|error| {
                self.forget(id);
                Failure::new(error.to_string())
            })?;
        Ok(receiver)
    }

    /// An answer or a piece of one; what nobody waits for any more is dropped.
    pub fn deliver(&self, message: Envelope) {
        let Some(re) = message.re else { return };
        let arrival = match message.kind.as_str() {
            "stream" => {
                if let Some(waiter) = locked(&self.waiters).get(&re) {
                    let _ = waiter.send(Arrival::Piece(message.body));
                }
                return;
            }
            "error" => Arrival::Refusal(Failure::of(&message.body)),
            _ => Arrival::Answer(message.body),
        };
        if let Some(waiter) = locked(&self.waiters).remove(&re) {
            let _ = waiter.send(arrival);
        }
    }

    pub fn begin(&self, id: Id) -> Arc<Call> {
        let call = Arc::new(Call::new(id));
        locked(&self.calls).insert(id, Arc::clone(&call));
        call
    }

    pub fn cancel(&self, id: Id) {
        let Some(call) = locked(&self.calls).get(&id).cloned() else {
            return;
        };
        call.cancel();
        let mut waiters = locked(&self.waiters);
        for id in locked(&call.waiting).drain(..) {
            if let Some(waiter) = waiters.remove(&id) {
                let _ = waiter.send(Arrival::Refusal(Failure::cancelled()));
            }
        }
    }

    /// What the user did to the tree of a call; when that has ended, nobody wants to know.
    pub fn take_event(&self, id: Id, event: Value) {
        let Some(call) = locked(&self.calls).get(&id).cloned() else {
            return;
        };
        let mut events = locked(&call.events);
        if events.len() == MOST_EVENTS {
            events.pop_front();
        }
        events.push_back(event);
        drop(events);
        call.came.notify_all();
    }

    /// Remembers the extension's settings.
    pub fn configure(&self, settings: Value) {
        *locked(&self.configuration) = settings;
    }

    pub fn setting(&self, name: &str) -> Option<Value> {
        field(&locked(&self.configuration), name).cloned()
    }

    /// Answers a call: nothing of it is sent after this.
    pub fn end(&self, call: &Call, answer: Result<Value, Failure>, method: &str) -> io::Result<()> {
        locked(&self.calls).remove(&call.id);
        for id in locked(&call.waiting).drain(..) {
            self.forget(id);
        }
        self.reply(call.id, answer, method)
    }

    pub fn reply(&self, re: Id, answer: Result<Value, Failure>, method: &str) -> io::Result<()> {
        let answer = answer.and_then(|body| {
            self.send("response", Some(re), method, body)
                .map_err(|error| Failure::new(error.to_string()))
        });
        if let Err(failure) = answer {
            self.send("error", Some(re), method, failure.body())?;
        }
        Ok(())
    }

    fn send_as(
        &self,
        id: Id,
        kind: &str,
        re: Option<Id>,
        method: &str,
        body: Value,
    ) -> io::Result<()> {
        let envelope = Envelope {
            id,
            kind: kind.to_owned(),
            ts: now(),
            re,
            from: self.name.clone(),
            to: "host".to_owned(),
            method: method.to_owned(),
            body,
        };
        let limit = self.limit.load(Ordering::Relaxed);
        if !is_large(&envelope.body) {
            let frame = envelope.to_frame(limit)?;
            return locked(&self.writer).write_all(&frame);
        }
        let mut beside = locked(&self.beside);
        let Some(sender) = beside.as_mut() else {
            let frame = envelope.to_frame(limit)?;
            return locked(&self.writer).write_all(&frame);
        };
        let mut parcel = Parcel::default();
        match envelope.to_frame_beside(limit, sender, &mut parcel) {
            Ok(frame) => write_beside(&mut locked(&self.writer), &frame, &parcel),
            Err(error) => {
                sender.take_back(parcel);
                Err(error)
            }
        }
    }

    fn next_id(&self) -> Id {
        let count = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.half);
        id[8..].copy_from_slice(&count);
        id
    }

    fn forget(&self, id: Id) {
        locked(&self.waiters).remove(&id);
    }
}

/// Whether a value holds a text or bytes that may travel beside their frame; the terms say from which size on
/// they do.
fn is_large(value: &Value) -> bool {
    match value {
        Value::Binary(bytes) => bytes.len() >= LARGE,
        Value::String(text) => text.as_bytes().len() >= LARGE,
        Value::Array(items) => items.iter().any(is_large),
        Value::Map(entries) => entries.iter().any(|(_, item)| is_large(item)),
        _ => false,
    }
}

/// Writes a frame with descriptors on its first byte.
fn write_beside(socket: &mut UnixStream, frame: &[u8], parcel: &Parcel) -> io::Result<()> {
    for _ in 0..PATIENCE {
        match payload::send(socket.as_fd(), frame, &parcel.descriptors) {
            Ok(sent) => return socket.write_all(&frame[sent..]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Too many descriptors of this user are on their way, also those that others sent.
            Err(error) if error.raw_os_error() == Some(CROWDED) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(CROWDED))
}

/// A function that panicked held no lock of the session; what it guards is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
