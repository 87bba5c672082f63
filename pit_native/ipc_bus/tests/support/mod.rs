//! A real bus on a real socket, and a peer that can also misbehave.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipc_bus::{
    Bus, BusError, Closed, Envelope, Expect, FrameBuffer, Handler, Incoming, Kind, Limits,
};
use ipc_bus::{MessageId, Responder, Session, Value};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Long enough for a loaded machine; tests end as soon as what they wait for happens.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the host's handler saw.
pub enum Seen {
    Request(Incoming, Responder),
    Event {
        session: u64,
        tag: u64,
        method: String,
        body: Value,
    },
    Closed {
        session: u64,
        reason: Closed,
    },
}

/// Hands everything to the test.
pub struct Recorder(pub mpsc::UnboundedSender<Seen>);

impl Handler for Recorder {
    fn request(&self, incoming: Incoming, responder: Responder) {
        let _ = self.0.send(Seen::Request(incoming, responder));
    }

    fn event(&self, session: u64, tag: u64, method: &str, body: Value) {
        let _ = self.0.send(Seen::Event {
            session,
            tag,
            method: method.to_owned(),
            body,
        });
    }

    fn closed(&self, session: u64, reason: &Closed) {
        let _ = self.0.send(Seen::Closed {
            session,
            reason: reason.clone(),
        });
    }
}

pub struct Host {
    pub bus: Bus,
    pub folder: TempDir,
    pub seen: mpsc::UnboundedReceiver<Seen>,
    pub recorder: Arc<Recorder>,
}

impl Host {
    pub fn new(limits: Limits) -> Host {
        let (sender, seen) = mpsc::unbounded_channel();
        Host {
            bus: Bus::new(tokio::runtime::Handle::current(), limits),
            folder: tempfile::tempdir().expect("a folder"),
            seen,
            recorder: Arc::new(Recorder(sender)),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Listens, connects a peer that sends `first`, and accepts it.
    pub async fn connect(
        &self,
        name: &str,
        expect: Expect,
        first: Vec<u8>,
    ) -> (Result<Session, BusError>, Peer) {
        let path = self.path(name);
        let listener = self.bus.listen(&path).expect("it listens");
        let peer = async {
            let mut peer = Peer::connect(&path).await;
            peer.write(&first).await;
            peer
        };
        tokio::join!(
            self.bus.accept(listener, expect, self.recorder.clone()),
            peer
        )
    }

    /// A session in good order; the welcome is read.
    pub async fn session(&self, name: &str) -> (Session, Peer) {
        let (session, mut peer) = self.connect(name, expect(), hello(1)).await;
        let welcome = peer.read().await.expect("a welcome");
        assert_eq!((welcome.kind, welcome.re), (Kind::Response, Some(id(1))));
        (session.expect("a session"), peer)
    }

    /// The next thing that the handler sees.
    pub async fn next(&mut self) -> Seen {
        tokio::time::timeout(PATIENCE, self.seen.recv())
            .await
            .expect("in time")
            .expect("the host lives")
    }

    /// The reason of the next end of a session; everything before it is passed over.
    pub async fn next_end(&mut self) -> (u64, Closed) {
        loop {
            if let Seen::Closed { session, reason } = self.next().await {
                return (session, reason);
            }
        }
    }
}

pub fn expect() -> Expect {
    Expect {
        pid: std::process::id(),
        name: "tests/peer".into(),
        grants: Value::Map(vec![]),
        timeout: PATIENCE,
    }
}

pub fn id(number: u8) -> MessageId {
    MessageId([number; 16])
}

pub fn envelope(
    number: u8,
    kind: Kind,
    re: Option<MessageId>,
    method: &str,
    body: Value,
) -> Envelope {
    Envelope {
        id: id(number),
        kind,
        ts: 1.5,
        re,
        from: "tests/peer".into(),
        to: "host".into(),
        method: method.into(),
        body,
    }
}

pub fn frame(envelope: &Envelope) -> Vec<u8> {
    envelope.to_frame(usize::MAX >> 1).expect("it fits")
}

pub fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|(key, value)| (key.into(), value))
            .collect(),
    )
}

pub fn hello(version: u64) -> Vec<u8> {
    let body = map([
        ("versions", Value::Array(vec![version.into()])),
        ("extension", "tests/peer".into()),
        ("version", "1.0.0".into()),
    ]);
    frame(&envelope(1, Kind::Request, None, "hello", body))
}

pub struct Peer {
    pub stream: UnixStream,
    frames: FrameBuffer,
}

impl Peer {
    pub async fn connect(path: &std::path::Path) -> Peer {
        let stream = UnixStream::connect(path).await.expect("it connects");
        Peer {
            stream,
            frames: FrameBuffer::new(1 << 30),
        }
    }

    /// Writes; a host that has closed is no failure of the test.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub async fn send(
        &mut self,
        number: u8,
        kind: Kind,
        re: Option<MessageId>,
        method: &str,
        body: Value,
    ) {
        self.write(&frame(&envelope(number, kind, re, method, body)))
            .await;
    }

    /// The next envelope; `None` at the end of the connection.
    pub async fn read(&mut self) -> Option<Envelope> {
        let limits = Limits {
            frame: 1 << 30,
            ..Limits::default()
        };
        loop {
            if let Some(frame) = self
                .frames
                .next_frame()
                .expect("the host sends sound frames")
            {
                return Some(
                    Envelope::from_bytes(&frame, &limits).expect("the host sends sound envelopes"),
                );
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(self.frames.space()));
            match read.await.expect("the host says something in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Answers every call with its own body until the connection ends.
    pub async fn echo(mut self) {
        while let Some(message) = self.read().await {
            if message.kind == Kind::Request {
                self.send(
                    9,
                    Kind::Response,
                    Some(message.id),
                    &message.method,
                    message.body,
                )
                .await;
            }
        }
    }
}
