//! The first exchange of a session: who is there, which version, which grants.

use std::time::Duration;

use rmpv::Value;

use crate::calls::Calls;
use crate::envelope::{Envelope, Kind, PROTOCOL_VERSION, Parts, timestamp};
use crate::error::BusError;
use crate::frame::FrameBuffer;
use crate::handler::error_body;
use crate::limits::Limits;
use crate::peer::Credentials;
use crate::transport::Wire;

/// Nobody needs more than this to say hello.
const HELLO_BYTES: usize = 64 << 10;

/// Whom the host waits for.
#[derive(Debug, Clone)]
pub struct Expect {
    /// The process that the host started; 0 takes any process of this user (tests).
    pub pid: u32,
    /// The extension, `publisher/name`; empty takes any.
    pub name: String,
    /// What the session may do, told to the Player in answer to its hello.
    pub grants: Value,
    /// How long connecting and the hello may take together.
    pub timeout: Duration,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// The extension, as the host expects it or, when it takes any, as the Player says.
    pub name: String,
    /// The extension's version, as the Player says.
    pub version: String,
    /// The process, as the kernel says.
    pub pid: u32,
    /// The user, as the kernel says.
    pub uid: u32,
    /// Whether the kernel confirmed the process by a descriptor.
    pub is_confirmed: bool,
    /// Whether it takes payloads beside their frames, and may send them.
    pub has_segments: bool,
}

/// Reads the hello and answers it. Frames that came after it stay in `frames`.
pub(crate) async fn greet(
    stream: &Wire,
    credentials: Credentials,
    expect: &Expect,
    limits: &Limits,
    calls: &mut Calls,
    frames: &mut FrameBuffer,
) -> Result<Peer, BusError> {
    frames.set_limit(HELLO_BYTES.min(limits.frame));
    let hello = read_hello(stream, limits, frames).await?;
    frames.set_limit(limits.frame);
    let mut checked = check_hello(&hello, credentials, expect);
    if let Ok(peer) = &mut checked {
        // Only a socket carries descriptors.
        peer.has_segments &= stream.socket().is_some();
    }
    let (kind, body) = match &checked {
        Ok(peer) => (
            Kind::Response,
            welcome(&expect.grants, limits, peer.has_segments),
        ),
        Err(reason) => (
            Kind::Error,
            error_body("protocol", reason, "see the stage protocol"),
        ),
    };
    let parts = Parts {
        id: calls.next_id(),
        kind,
        ts: timestamp(),
        re: Some(hello.id),
        from: "host",
        to: &expect.name,
        method: "hello",
        body: &body,
    };
    let frame = parts.to_frame(limits.frame, &mut |_, _| None)?;
    stream.write_all(&frame).await?;
    checked.map_err(BusError::Hello)
}

async fn read_hello(
    stream: &Wire,
    limits: &Limits,
    frames: &mut FrameBuffer,
) -> Result<Envelope, BusError> {
    loop {
        if let Some(frame) = frames.next_frame()? {
            return Ok(Envelope::from_bytes(&frame, limits)?);
        }
        if stream.read_some(frames.space()).await? == 0 {
            return Err(BusError::Hello("the connection ended before it".into()));
        }
    }
}

fn check_hello(
    hello: &Envelope,
    credentials: Credentials,
    expect: &Expect,
) -> Result<Peer, String> {
    if hello.kind != Kind::Request || hello.method != "hello" || hello.re.is_some() {
        return Err(format!(
            "the first frame is {} {:?}",
            hello.kind.as_str(),
            hello.method
        ));
    }
    let field = |name: &str| {
        let fields = hello.body.as_map()?;
        fields
            .iter()
            .find(|(key, _)| key.as_str() == Some(name))
            .map(|(_, value)| value)
    };
    let versions = field("versions")
        .and_then(Value::as_array)
        .ok_or("it names no protocol versions")?;
    if !versions
        .iter()
        .any(|version| version.as_u64() == Some(PROTOCOL_VERSION))
    {
        return Err(format!(
            "it does not speak protocol version {PROTOCOL_VERSION}"
        ));
    }
    let name = field("extension")
        .and_then(Value::as_str)
        .ok_or("it names no extension")?;
    if !expect.name.is_empty() && name != expect.name {
        return Err(format!(
            "it says that it is {name:?}, expected {:?}",
            expect.name
        ));
    }
    let version = field("version")
        .and_then(Value::as_str)
        .ok_or("it names no extension version")?;
    Ok(Peer {
        name: name.to_owned(),
        version: version.to_owned(),
        pid: credentials.pid,
        uid: credentials.uid,
        is_confirmed: credentials.confirmed,
        has_segments: field("segments").and_then(Value::as_bool) == Some(true),
    })
}

fn welcome(grants: &Value, limits: &Limits, has_segments: bool) -> Value {
    let numbers = |fields: &[(&str, u64)]| {
        let fields = fields.iter().copied();
        Value::Map(
            fields
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    };
    let mut welcome = vec![
        ("version".into(), PROTOCOL_VERSION.into()),
        ("grants".into(), grants.clone()),
        (
            "limits".into(),
            numbers(&[
                ("frame", limits.frame as u64),
                ("depth", limits.depth as u64),
                ("values", limits.values as u64),
            ]),
        ),
    ];
    if has_segments {
        let terms = &limits.payloads;
        let agreed = numbers(&[
            ("size", terms.segment),
            ("least", terms.least),
            ("file", terms.file),
            ("payload", terms.payload),
        ]);
        welcome.push(("segments".into(), agreed));
    }
    Value::Map(welcome)
}
