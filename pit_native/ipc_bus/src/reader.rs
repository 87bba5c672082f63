//! Reads one session: cuts frames, checks them, and sends each where it belongs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::BufMut;
use payload::{Fault, Receiver};
use rmpv::Value;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::calls::{Answered, MessageId, Reference};
use crate::envelope::{Envelope, Kind};
use crate::error::{CallError, Closed, Malformed};
use crate::fairness::{Share, Traffic, Turn};
use crate::frame::FrameBuffer;
use crate::handler::{Incoming, Responder, error_body};
use crate::outgoing::WriterEnd;
use crate::rate::TokenBucket;
use crate::session::Inner;
use crate::transport::Wire;

/// How long nothing is read after a refused frame: a flood costs the host no processor time.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(1);

/// Runs both halves of a session until it ends, then tells the handler.
pub(crate) async fn run(session: Arc<Inner>, frames: FrameBuffer, traffic: Arc<Traffic>) {
    let writer = tokio::spawn({
        let session = session.clone();
        async move {
            let reason = match session.out.run_writer(session.limits.stall).await {
                WriterEnd::Closed => return,
                WriterEnd::Stalled => Closed::Stalled {
                    reading: true,
                    seconds: session.limits.stall.as_secs(),
                },
                WriterEnd::Failed(error) if is_hangup(&error) => Closed::ByPeer,
                WriterEnd::Failed(error) => Closed::Failed(error.to_string()),
            };
            session.end(reason);
        }
    });
    let clock = tokio::spawn({
        let session = session.clone();
        async move { session.run_clock().await }
    });
    let now = Instant::now();
    let bucket = TokenBucket::new(session.limits.rate, session.limits.burst, now);
    let beside = session.peer.has_segments;
    let mut reader = Reader {
        session: session.clone(),
        arrived: frames.unread() as u64,
        frames,
        beside: beside.then(|| Receiver::new(session.limits.payloads.clone())),
        bucket,
        refused: 0,
        traffic,
        share: Share::new(now),
        turn: Turn::default(),
        began: now,
    };
    let reason = match reader.read_until_end().await {
        Ok(reason) => reason,
        Err(malformed) => {
            session.complain("protocol", &malformed.to_string(), "see the stage protocol");
            Closed::Protocol(malformed)
        }
    };
    session.end(reason);
    clock.abort();
    if let Err(panic) = writer.await {
        tracing::error!(session = session.id, %panic, "the session's writer ended in disorder");
    }
    session.handler.closed(session.id, &session.reason());
}

fn is_hangup(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}

/// After so many frames it is another session's turn: one that floods must not hold a thread.
const FRAMES_A_TURN: usize = 16;

/// So many bytes of a frame count as another one.
const BYTES_A_TURN: usize = 4 << 10;

/// So many bytes beside a frame, which are only copied, cost as much as one that is read.
const COPIED: usize = 16;

/// A frame that is longer is not read where others wait for the thread.
const LONG: usize = 64 << 10;

struct Reader {
    session: Arc<Inner>,
    frames: FrameBuffer,
    /// Bytes that have arrived in all.
    arrived: u64,
    /// What lies beside the frames; none where that was not agreed.
    beside: Option<Receiver>,
    bucket: TokenBucket,
    refused: u64,
    traffic: Arc<Traffic>,
    share: Share,
    /// What came since `began`, when this session last had to wait or gave way.
    turn: Turn,
    began: Instant,
}

impl Reader {
    async fn read_until_end(&mut self) -> Result<Closed, Malformed> {
        let mut taken = 0;
        loop {
            let mut has_frame = false;
            // What arrived with the hello, or with the last read, comes first.
            while let Some(frame) = self.frames.next_frame()? {
                has_frame = true;
                let (envelope, beside) = self.read(&frame)?;
                if let Some(reason) = self.take(envelope, frame.len(), beside).await? {
                    return Ok(reason);
                }
                taken += 1 + frame.len() / BYTES_A_TURN;
                if taken >= FRAMES_A_TURN {
                    taken = 0;
                    self.give_way().await;
                    tokio::task::yield_now().await;
                    self.began = Instant::now();
                }
            }
            if !has_frame {
                self.turn.wake();
            }
            self.give_way().await;
            match self.read_more().await {
                Ok(0) => return Ok(Closed::ByPeer),
                Ok(_) => {}
                Err(ReadEnd::Stalled) => {
                    return Ok(Closed::Stalled {
                        reading: false,
                        seconds: self.session.limits.stall.as_secs(),
                    });
                }
                Err(ReadEnd::Failed(error)) if is_hangup(&error) => return Ok(Closed::ByPeer),
                Err(ReadEnd::Failed(error)) => return Ok(Closed::Failed(error.to_string())),
                Err(ReadEnd::Malformed(malformed)) => return Err(malformed),
            }
        }
    }

    /// Leaves the session alone for a while when it has taken its share and others want theirs.
    async fn give_way(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if turn.is_empty() {
            return;
        }
        let now = Instant::now();
        if !self.share.spend(&turn, self.began, now) {
            return;
        }
        if !self.traffic.has_others(self.session.id, now) {
            return self.share.forgive();
        }
        let held = self.traffic.hold();
        let pause = self.share.settle(held.sharers);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.session.ended() => {}
        }
    }

    /// The envelope of a frame, whatever of it lies beside it copied out, and how many bytes those were.
    fn read(&mut self, frame: &[u8]) -> Result<(Envelope, usize), Malformed> {
        let limits = &self.session.limits;
        let waits = self
            .beside
            .as_ref()
            .is_some_and(|beside| beside.waiting() > 0);
        let is_threaded = || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
        // To check a long frame, or to copy a large file, takes longer than other tasks of this thread should wait.
        let is_long = (frame.len() > LONG || waits) && is_threaded();
        let read = |read: &mut dyn FnMut() -> Result<Envelope, Malformed>| match is_long {
            true => tokio::task::block_in_place(read),
            false => read(),
        };
        let Some(beside) = &mut self.beside else {
            return Ok((read(&mut || Envelope::from_bytes(frame, limits))?, 0));
        };
        let end = self.arrived - self.frames.unread() as u64;
        let envelope = read(&mut || Envelope::from_bytes_beside(frame, limits, beside));
        let envelope = envelope?;
        let named = beside.end_frame(end)?;
        Ok((envelope, named as usize))
    }

    async fn read_more(&mut self) -> Result<usize, ReadEnd> {
        let stream = self.session.stream.clone();
        let stall = self.session.limits.stall;
        loop {
            let readable = stream.readable();
            if self.frames.is_inside_frame() {
                tokio::time::timeout(stall, readable)
                    .await
                    .map_err(|_| ReadEnd::Stalled)??;
            } else {
                readable.await?;
            }
            self.began = Instant::now();
            self.traffic.note(self.session.id, self.began);
            match self.receive(&stream) {
                Err(ReadEnd::Failed(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// Reads what is there, descriptors too where the connection has them.
    fn receive(&mut self, stream: &Wire) -> Result<usize, ReadEnd> {
        let space = self.frames.space();
        let Some(socket) = stream.socket() else {
            return Ok(stream.try_read_buf(space)?);
        };
        let arrival = socket.receive(space.spare_capacity_mut())?;
        // SAFETY: the kernel has written so many bytes there.
        unsafe { space.advance_mut(arrival.bytes) };
        self.arrived += arrival.bytes as u64;
        if arrival.is_cut {
            return Err(Fault::Unagreed.into());
        }
        if !arrival.descriptors.is_empty() {
            let beside = self.beside.as_mut().ok_or(Fault::Unagreed)?;
            beside.arrive(self.arrived, arrival.descriptors)?;
        }
        Ok(arrival.bytes)
    }

    /// Deals with one frame; a reason ends the session.
    async fn take(
        &mut self,
        envelope: Envelope,
        length: usize,
        beside: usize,
    ) -> Result<Option<Closed>, Malformed> {
        let session = &self.session;
        session.counters.received.fetch_add(1, Relaxed);
        session
            .counters
            .bytes_received
            .fetch_add(length as u64 + 4, Relaxed);
        match (envelope.kind, envelope.re) {
            (Kind::Response, Some(re)) => self.answer(re, Ok(envelope.body), "response")?,
            (Kind::Error, Some(re)) => {
                self.answer(re, Err(remote_error(&envelope.body)), "error")?
            }
            (Kind::Request, _) | (Kind::Event, _) | (Kind::Stream, _) => {
                if !self.bucket.take(Instant::now) {
                    return self.refuse(&envelope).await;
                }
                self.turn.message(length + beside / COPIED);
                if envelope.kind == Kind::Request {
                    // Who asks without reading the answers is not read either. Answers and events are:
                    // a simple peer may well write its answer before it reads the next call.
                    self.session.out.wait_for_room().await;
                }
                self.deliver(envelope, length + beside)?;
                if let Some(room) = session.handler.room(session.id) {
                    tokio::select! {
                        () = room => {}
                        () = session.ended() => {}
                    }
                }
            }
            (Kind::Response | Kind::Error, None) => return Err(Malformed::Field("re")),
        }
        Ok(None)
    }

    fn answer(
        &self,
        re: MessageId,
        answer: Result<Value, CallError>,
        kind: &'static str,
    ) -> Result<(), Malformed> {
        let answered = self.session.calls.lock().answer(re);
        match answered {
            Answered::Waits(waiter) => waiter.tell(answer),
            Answered::Late => {}
            Answered::Unknown => return Err(Malformed::UnknownReply(kind)),
        }
        Ok(())
    }

    fn deliver(&self, envelope: Envelope, bytes: usize) -> Result<(), Malformed> {
        let session = &self.session;
        let reference = match envelope.re {
            None => Reference::Open(0),
            Some(re) => session.calls.lock().refer(re),
        };
        let is_request = envelope.kind == Kind::Request;
        let tag = match reference {
            Reference::Open(tag) => tag,
            Reference::Unknown => return Err(Malformed::UnknownReply(envelope.kind.as_str())),
            Reference::Ended => {
                session.counters.late.fetch_add(1, Relaxed);
                if is_request {
                    let body = error_body("cancelled", "the call that asks has ended", "");
                    session.answer(envelope.id, &envelope.method, Kind::Error, &body);
                }
                return Ok(());
            }
        };
        if !is_request {
            session
                .handler
                .event(session.id, tag, &envelope.method, envelope.body);
            return Ok(());
        }
        let begun = session
            .requests
            .lock()
            .begin(envelope.id, bytes, &session.limits);
        if let Some(message) = begun? {
            session.counters.refused.fetch_add(1, Relaxed);
            let body = error_body(
                "unavailable",
                &message,
                "wait for answers before asking more",
            );
            session.answer(envelope.id, &envelope.method, Kind::Error, &body);
            return Ok(());
        }
        let responder = Responder::new(session.clone(), envelope.id, envelope.method.clone());
        let incoming = Incoming {
            session: session.id,
            tag,
            method: envelope.method,
            body: envelope.body,
        };
        session.handler.request(incoming, responder);
        Ok(())
    }

    /// Turns a frame beyond the rate away and says so; who goes on loses the session.
    async fn refuse(&mut self, envelope: &Envelope) -> Result<Option<Closed>, Malformed> {
        let session = &self.session;
        self.refused += 1;
        session.counters.refused.fetch_add(1, Relaxed);
        let rate = session.limits.rate as u64;
        let message = format!(
            "more than {rate} messages a second; {} was refused",
            envelope.method
        );
        let remedy = "send fewer messages, each with more in it";
        if envelope.kind == Kind::Request {
            let body = error_body("unavailable", &message, remedy);
            session.answer(envelope.id, &envelope.method, Kind::Error, &body);
        } else if self.refused == 1 {
            session.complain("rate", &message, remedy);
        }
        if self.refused > session.limits.refusals {
            session.complain("rate", &message, remedy);
            return Ok(Some(Closed::Flood(rate)));
        }
        tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
        Ok(None)
    }
}

enum ReadEnd {
    Stalled,
    Failed(std::io::Error),
    Malformed(Malformed),
}

impl From<Fault> for ReadEnd {
    fn from(fault: Fault) -> Self {
        ReadEnd::Malformed(fault.into())
    }
}

impl From<std::io::Error> for ReadEnd {
    fn from(error: std::io::Error) -> Self {
        ReadEnd::Failed(error)
    }
}

/// The Player's own words about its failure. What is missing or no text is empty, `code` then `failed`.
fn remote_error(body: &Value) -> CallError {
    let word = |name: &str| {
        let fields = body.as_map()?;
        fields
            .iter()
            .find(|(key, _)| key.as_str() == Some(name))
            .and_then(|(_, value)| value.as_str())
    };
    let text = |name: &str| word(name).unwrap_or_default().to_owned();
    match word("code") {
        Some("cancelled") => CallError::Cancelled,
        code => CallError::Remote {
            code: code.unwrap_or("failed").to_owned(),
            message: word("message")
                .unwrap_or("the Player gave no reason")
                .to_owned(),
            remedy: text("remedy"),
            traceback: text("traceback"),
        },
    }
}
