//! One connected Player: calls to it, answers from it, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Mutex, ReentrantMutex};
use payload::{Parcel, Sender};
use rmpv::Value;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::calls::{Answer, Answered, CallOptions, Calls, MessageId, Opening, Waiter};
use crate::envelope::{Kind, Parts, timestamp};
use crate::error::{CallError, Closed, Malformed};
use crate::handler::{Handler, error_body};
use crate::handshake::Peer;
use crate::limits::Limits;
use crate::outgoing::Outgoing;
use crate::requests::Requests;
use crate::transport::Wire;

/// A handle to one session; clones refer to the same one.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

/// Counts of one session since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// Frames that the Player sent and the host took.
    pub received: u64,
    /// Frames that the host sent.
    pub sent: u64,
    /// Bytes of the frames received.
    pub bytes_received: u64,
    /// Bytes of the frames sent.
    pub bytes_sent: u64,
    /// Frames refused because of the rate or too many open requests.
    pub refused: u64,
    /// Messages about calls that had already ended; they were dropped.
    pub late: u64,
    /// Calls that wait for an answer now.
    pub calls_waiting: u64,
    /// Bytes that wait to be written now.
    pub bytes_waiting: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub received: AtomicU64,
    pub bytes_received: AtomicU64,
    pub sent: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub refused: AtomicU64,
    pub late: AtomicU64,
}

/// What all handles, the reader and the writer share.
pub(crate) struct Inner {
    pub(crate) id: u64,
    pub(crate) peer: Peer,
    pub(crate) limits: Limits,
    pub(crate) stream: Arc<Wire>,
    pub(crate) out: Outgoing,
    /// Where large payloads go; held from there until their frame is in its place in the queue, because they
    /// are counted in the order of the frames. None when the peer takes none.
    beside: Option<Mutex<Sender>>,
    pub(crate) calls: Mutex<Calls>,
    /// Requests of the Player that are not answered yet.
    pub(crate) requests: Mutex<Requests>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) counters: Counters,
    runtime: Handle,
    /// Told when a call has an earlier deadline than those before it.
    deadline: Notify,
    /// Held while the session ends, so that nobody finds it ended before its calls are.
    ending: ReentrantMutex<()>,
    end: watch::Sender<Option<Closed>>,
}

impl Session {
    /// Wraps a connection whose handshake is done; the caller starts the reader.
    pub(crate) fn new(
        id: u64,
        peer: Peer,
        limits: Limits,
        stream: Wire,
        calls: Calls,
        handler: Arc<dyn Handler>,
    ) -> Self {
        let stream = Arc::new(stream);
        let inner = Inner {
            id,
            beside: peer
                .has_segments
                .then(|| Mutex::new(Sender::new(limits.payloads.clone()))),
            peer,
            out: Outgoing::new(stream.clone(), limits.outgoing),
            limits,
            stream,
            calls: Mutex::new(calls),
            requests: Mutex::default(),
            handler,
            counters: Counters::default(),
            runtime: Handle::current(),
            deadline: Notify::new(),
            ending: ReentrantMutex::new(()),
            end: watch::Sender::new(None),
        };
        Session {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The session's number in this host.
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// Who is at the other end: what it said of itself, and what the kernel says.
    pub fn peer(&self) -> &Peer {
        &self.inner.peer
    }

    /// Calls the Player and waits for its answer. Several calls may run at once. Dropping the future
    /// tells the Player to stop.
    ///
    /// # Errors
    /// [`CallError`]; a body over the frame limit is refused before anything is sent.
    pub async fn call(&self, method: &str, body: Value, options: CallOptions) -> Answer {
        let inner = &self.inner;
        let until = Instant::now().checked_add(options.deadline);
        if !inner.out.has_room() {
            let room = tokio::time::timeout(options.deadline, inner.out.wait_for_room());
            let in_time = room.await;
            in_time.map_err(|_| CallError::Timeout(options.deadline))?;
        }
        let (sender, receiver) = oneshot::channel();
        let opening = Opening {
            options,
            until,
            waiter: Waiter::Task(sender),
        };
        let id = inner.open(opening).map_err(|(_, error)| error)?;
        let mut given_up = GivenUp {
            inner,
            id,
            is_armed: true,
        };
        inner.send_call(id, method, &body);
        let answer = receiver.await;
        given_up.is_armed = false;
        answer.unwrap_or_else(|_| Err(CallError::Closed(inner.reason())))
    }

    /// As [`Session::call`], from any thread and without waiting: `done` gets the answer, once, and saves
    /// the switch to a task that waits for it. It runs on the session's reader or, for a call that ends
    /// without an answer, on the thread that ends it, perhaps before this returns; it must not block, and
    /// with [`CallError::Closed`] it must take no lock that a caller of [`Session::close`] may hold.
    ///
    /// The call is sent also when as many bytes wait as may: ask [`Session::has_room`] before.
    pub fn call_then(
        &self,
        method: &str,
        body: &Value,
        options: CallOptions,
        done: impl FnOnce(Answer) + Send + 'static,
    ) {
        let opening = Opening {
            options,
            until: Instant::now().checked_add(options.deadline),
            waiter: Waiter::Function(Box::new(done)),
        };
        match self.inner.open(opening) {
            Ok(id) => self.inner.send_call(id, method, body),
            Err((waiter, error)) => waiter.tell(Err(error)),
        }
    }

    /// Whether fewer bytes wait to be written than may; [`Session::call`] waits while it is false.
    pub fn has_room(&self) -> bool {
        self.inner.out.has_room()
    }

    /// Tells the Player something that wants no answer, such as `ui.event`.
    ///
    /// # Errors
    /// When the body is over the frame limit.
    pub fn notify(&self, method: &str, body: &Value) -> Result<(), CallError> {
        let sent = self.inner.send(Kind::Event, None, method, body);
        sent.map_err(|malformed| {
            CallError::Protocol(format!("the event {method} cannot be sent: {malformed}"))
        })
    }

    /// As [`Session::notify`], about the open calls of `tag`; how many there are.
    ///
    /// # Errors
    /// When the body is over the frame limit.
    pub fn notify_calls(&self, tag: u64, method: &str, body: &Value) -> Result<usize, CallError> {
        let ids = self.inner.calls.lock().of_tag(tag);
        for id in &ids {
            let sent = self.inner.send(Kind::Event, Some(*id), method, body);
            sent.map_err(|malformed| {
                CallError::Protocol(format!("the event {method} cannot be sent: {malformed}"))
            })?;
        }
        Ok(ids.len())
    }

    /// Stops the open calls of `tag`: the Player is told, and has the limits' `cancel_grace` to answer.
    pub fn cancel(&self, tag: u64) {
        let ids = self.inner.calls.lock().of_tag(tag);
        if ids.is_empty() {
            return;
        }
        for id in &ids {
            self.inner.send_cancel(*id);
        }
        let inner = self.inner.clone();
        self.inner.runtime.spawn(async move {
            tokio::time::sleep(inner.limits.cancel_grace).await;
            for id in ids {
                let waiter = inner.calls.lock().give_up(id);
                if let Some(waiter) = waiter {
                    waiter.tell(Err(CallError::Cancelled));
                }
            }
        });
    }

    /// Ends the session; open calls end with [`CallError::Closed`].
    pub fn close(&self) {
        self.inner.end(Closed::ByHost);
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        self.inner.end.borrow().is_some()
    }

    /// Waits for the end and gives its reason.
    pub async fn closed(&self) -> Closed {
        let mut end = self.inner.end.subscribe();
        let seen = end.wait_for(Option::is_some).await;
        seen.ok()
            .and_then(|reason| reason.clone())
            .unwrap_or(Closed::ByHost)
    }

    /// Counts so far.
    pub fn stats(&self) -> SessionStats {
        let counters = &self.inner.counters;
        SessionStats {
            received: counters.received.load(Relaxed),
            sent: counters.sent.load(Relaxed),
            bytes_received: counters.bytes_received.load(Relaxed),
            bytes_sent: counters.bytes_sent.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            late: counters.late.load(Relaxed),
            calls_waiting: self.inner.calls.lock().waiting() as u64,
            bytes_waiting: self.inner.out.waiting() as u64,
        }
    }

    /// How long a cancelled call may take to answer.
    pub fn cancel_grace(&self) -> Duration {
        self.inner.limits.cancel_grace
    }
}

/// Tells the Player when a caller stops waiting before the answer came.
struct GivenUp<'a> {
    inner: &'a Inner,
    id: MessageId,
    is_armed: bool,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        let was_open = self.inner.calls.lock().abandon(self.id);
        if was_open {
            self.inner.send_cancel(self.id);
        }
    }
}

impl Inner {
    /// Sends a message of the host with a fresh id.
    pub(crate) fn send(
        &self,
        kind: Kind,
        re: Option<MessageId>,
        method: &str,
        body: &Value,
    ) -> Result<(), Malformed> {
        let id = self.calls.lock().next_id();
        self.send_as(id, kind, re, method, body)
    }

    fn send_as(
        &self,
        id: MessageId,
        kind: Kind,
        re: Option<MessageId>,
        method: &str,
        body: &Value,
    ) -> Result<(), Malformed> {
        let parts = Parts {
            id,
            kind,
            ts: timestamp(),
            re,
            from: "host",
            to: &self.peer.name,
            method,
            body,
        };
        let least = match &self.beside {
            Some(_) => self.limits.payloads.least,
            None => u64::MAX,
        };
        let (mut held, mut parcel) = (None, Parcel::default());
        let frame = parts.to_frame(self.limits.frame, &mut |bytes, is_text| {
            if (bytes.len() as u64) < least {
                return None;
            }
            let sender = held.get_or_insert_with(|| self.beside.as_ref().map(Mutex::lock));
            sender.as_mut()?.put(bytes, is_text, &mut parcel)
        });
        let mut held = held.flatten();
        let frame = match (frame, &mut held) {
            (Err(malformed), Some(sender)) => {
                sender.take_back(parcel);
                return Err(malformed);
            }
            (frame, _) => frame?,
        };
        self.counters.sent.fetch_add(1, Relaxed);
        let length = frame.len() + parcel.bytes;
        self.counters.bytes_sent.fetch_add(length as u64, Relaxed);
        self.out.send(frame, parcel);
        Ok(())
    }

    /// Begins to wait for an answer, or says why there will be none.
    fn open(&self, opening: Opening) -> Result<MessageId, (Waiter, CallError)> {
        let mut calls = self.calls.lock();
        // Under this lock the session's end is either seen here or ends this call.
        if let Some(reason) = self.end.borrow().clone() {
            return Err((opening.waiter, CallError::Closed(reason)));
        }
        let id = calls.next_id();
        let is_earlier = calls.open(id, opening);
        drop(calls);
        if is_earlier {
            self.deadline.notify_one();
        }
        Ok(id)
    }

    /// Sends an open call; one that cannot be sent ends.
    fn send_call(&self, id: MessageId, method: &str, body: &Value) {
        if let Err(malformed) = self.send_as(id, Kind::Request, None, method, body) {
            let problem = format!("the call {method} cannot be sent: {malformed}");
            let answered = self.calls.lock().answer(id);
            if let Answered::Waits(waiter) = answered {
                waiter.tell(Err(CallError::Protocol(problem)));
            }
        }
    }

    /// Gives calls up at their deadlines. One timer serves all calls of the session, and is only set anew
    /// when one is due, not for each call.
    pub(crate) async fn run_clock(&self) {
        loop {
            let alarm = self.calls.lock().alarm();
            match alarm {
                None => self.deadline.notified().await,
                Some(alarm) => tokio::select! {
                    () = tokio::time::sleep_until(alarm) => {}
                    () = self.deadline.notified() => continue,
                },
            }
            let due = self.calls.lock().give_up_due(Instant::now());
            for (id, deadline, waiter) in due {
                self.send_cancel(id);
                waiter.tell(Err(CallError::Timeout(deadline)));
            }
        }
    }

    fn send_cancel(&self, call: MessageId) {
        let sent = self.send(Kind::Event, Some(call), "cancel", &Value::Map(Vec::new()));
        debug_assert!(sent.is_ok(), "a cancel is small");
    }

    /// Answers a request of the Player; an answer that is too large becomes an error.
    pub(crate) fn answer(&self, request: MessageId, method: &str, kind: Kind, body: &Value) {
        self.requests.lock().end(request);
        if let Err(malformed) = self.send(kind, Some(request), method, body) {
            let message = format!("the answer to {method} cannot be sent: {malformed}");
            let body = error_body("failed", &message, "ask for less at once");
            let sent = self.send(Kind::Error, Some(request), method, &body);
            debug_assert!(sent.is_ok(), "an error is small");
        }
    }

    /// Says what the host has against the session as a whole.
    pub(crate) fn complain(&self, code: &str, message: &str, remedy: &str) {
        let body = error_body(code, message, remedy);
        let sent = self.send(Kind::Error, None, "session", &body);
        debug_assert!(sent.is_ok(), "a complaint is small");
    }

    /// Ends the session, once; the first reason holds.
    pub(crate) fn end(&self, reason: Closed) {
        let _ending = self.ending.lock();
        let mut calls = self.calls.lock();
        let is_first = self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            if is_first {
                *end = Some(reason.clone());
            }
            is_first
        });
        if !is_first {
            return;
        }
        let waiters = calls.take_all();
        drop(calls);
        self.out.close();
        // The reader wakes with the end of the stream and tells the handler.
        self.stream.shutdown();
        for waiter in waiters {
            waiter.tell(Err(CallError::Closed(reason.clone())));
        }
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this.
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    /// Why it ended.
    pub(crate) fn reason(&self) -> Closed {
        self.end.borrow().clone().unwrap_or(Closed::ByHost)
    }
}
