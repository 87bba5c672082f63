//! The envelope of every message: nine fields around a body.

use std::time::{SystemTime, UNIX_EPOCH};

use payload::{Parcel, Receiver, Reference, Sender};
use rmpv::Value;

use crate::calls::MessageId;
use crate::error::Malformed;
use crate::limits::Limits;
use crate::scan::{Budget, Content, check_value, read_head};

/// The one version of the envelope that this bus speaks.
pub const PROTOCOL_VERSION: u64 = 1;

/// Bytes that an envelope takes beside its names and body, for the first allocation.
const ENVELOPE_BYTES: usize = 128;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wants an answer: a `response` or an `error` whose `re` is its id.
    Request,
    /// The answer to a request.
    Response,
    /// Wants no answer.
    Event,
    /// A piece of something that is still being made.
    Stream,
    /// The answer to a request that failed; without `re`, what the host has to say about the session.
    Error,
}

impl Kind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::Response => "response",
            Kind::Event => "event",
            Kind::Stream => "stream",
            Kind::Error => "error",
        }
    }

    fn from_bytes(word: &[u8]) -> Option<Kind> {
        [
            Kind::Request,
            Kind::Response,
            Kind::Event,
            Kind::Stream,
            Kind::Error,
        ]
        .into_iter()
        .find(|kind| kind.as_str().as_bytes() == word)
    }
}

/// One message. `from` and `to` are for people who read traces: nobody decides by them.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Unique in its session and direction.
    pub id: MessageId,
    /// What it is.
    pub kind: Kind,
    /// When it was made, in seconds since 1970; finite.
    pub ts: f64,
    /// The message that it answers or belongs to.
    pub re: Option<MessageId>,
    /// Who says that it sent it.
    pub from: String,
    /// For whom.
    pub to: String,
    /// What it is about.
    pub method: String,
    /// The content.
    pub body: Value,
}

impl Envelope {
    /// The whole frame, length first.
    ///
    /// # Errors
    /// [`Malformed::TooLong`] when it is over the limit.
    pub fn to_frame(&self, limit: usize) -> Result<Vec<u8>, Malformed> {
        self.parts().to_frame(limit, &mut |_, _| None)
    }

    /// As [`Envelope::to_frame`], large payloads beside it.
    ///
    /// # Errors
    /// [`Malformed::TooLong`]; what the parcel holds is then to be taken back.
    pub fn to_frame_beside(
        &self,
        limit: usize,
        sender: &mut Sender,
        parcel: &mut Parcel,
    ) -> Result<Vec<u8>, Malformed> {
        self.parts().to_frame(limit, &mut |bytes, is_text| {
            sender.put(bytes, is_text, parcel)
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            id: self.id,
            kind: self.kind,
            ts: self.ts,
            re: self.re,
            from: &self.from,
            to: &self.to,
            method: &self.method,
            body: &self.body,
        }
    }

    /// Reads a frame's bytes, without their length. Everything is checked before any value is built.
    ///
    /// # Errors
    /// [`Malformed`] with the first thing that is wrong.
    pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Envelope, Malformed> {
        let fields = Fields::read(bytes, limits, None)?;
        fields.build(limits)
    }

    /// As [`Envelope::from_bytes`], with the payloads that lie beside the frame.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn from_bytes_beside(
        bytes: &[u8],
        limits: &Limits,
        receiver: &mut Receiver,
    ) -> Result<Envelope, Malformed> {
        let fields = Fields::read(bytes, limits, Some(0))?;
        let has_references = fields.references > 0;
        let mut envelope = fields.build(limits)?;
        if has_references {
            payload::resolve(&mut envelope.body, receiver)?;
        }
        Ok(envelope)
    }
}

/// A message to be written, its texts borrowed.
pub(crate) struct Parts<'a> {
    pub id: MessageId,
    pub kind: Kind,
    pub ts: f64,
    pub re: Option<MessageId>,
    pub from: &'a str,
    pub to: &'a str,
    pub method: &'a str,
    pub body: &'a Value,
}

impl Parts<'_> {
    /// The whole frame; texts and bytes that `beside` takes stand in it as references.
    pub(crate) fn to_frame(
        &self,
        limit: usize,
        beside: &mut impl FnMut(&[u8], bool) -> Option<Reference>,
    ) -> Result<Vec<u8>, Malformed> {
        let mut frame = Vec::with_capacity(
            ENVELOPE_BYTES + self.from.len() + self.to.len() + self.method.len(),
        );
        frame.extend_from_slice(&[0; 4]);
        self.write(&mut frame, beside)
            .expect("writing to memory does not fail");
        let length = frame.len() - 4;
        if length > limit {
            return Err(Malformed::TooLong { length, limit });
        }
        frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(frame)
    }

    fn write(
        &self,
        frame: &mut Vec<u8>,
        beside: &mut impl FnMut(&[u8], bool) -> Option<Reference>,
    ) -> Result<(), rmpv::encode::Error> {
        use rmp::encode as put;
        put::write_map_len(frame, 9)?;
        put::write_str(frame, "v")?;
        put::write_uint(frame, PROTOCOL_VERSION)?;
        put::write_str(frame, "id")?;
        put::write_bin(frame, &self.id.0)?;
        put::write_str(frame, "kind")?;
        put::write_str(frame, self.kind.as_str())?;
        put::write_str(frame, "ts")?;
        put::write_f64(frame, self.ts)?;
        put::write_str(frame, "re")?;
        match &self.re {
            Some(re) => put::write_bin(frame, &re.0)?,
            None => put::write_nil(frame).map_err(rmpv::encode::Error::InvalidMarkerWrite)?,
        }
        for (name, text) in [
            ("from", self.from),
            ("to", self.to),
            ("method", self.method),
        ] {
            put::write_str(frame, name)?;
            put::write_str(frame, text)?;
        }
        put::write_str(frame, "body")?;
        payload::write_value(frame, self.body, beside)
    }
}

/// Now, as the envelope says it.
pub(crate) fn timestamp() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// The fields as they stand in the bytes, checked for form but not built.
#[derive(Default)]
struct Fields<'a> {
    version: Option<u64>,
    id: Option<MessageId>,
    kind: Option<Kind>,
    ts: Option<f64>,
    re: Option<Option<MessageId>>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    method: Option<&'a str>,
    body: Option<&'a [u8]>,
    /// How many payloads lie beside the frame.
    references: usize,
}

impl<'a> Fields<'a> {
    fn read(
        bytes: &'a [u8],
        limits: &Limits,
        references: Option<usize>,
    ) -> Result<Fields<'a>, Malformed> {
        let head = read_head(bytes, 0)?;
        let Content::Container {
            items,
            is_map: true,
        } = head.content
        else {
            return Err(Malformed::Field("v"));
        };
        let mut budget = Budget {
            depth: limits.depth.saturating_sub(1),
            depth_limit: limits.depth,
            values: limits.values.saturating_sub(1),
            values_limit: limits.values,
            references,
        };
        let mut fields = Fields::default();
        let mut position = head.end;
        for _ in 0..items / 2 {
            let key = read_head(bytes, position)?;
            let Content::Text(name) = key.content else {
                return Err(Malformed::KeyType);
            };
            let end = check_value(bytes, key.end, &mut budget)?;
            fields.set(name, &bytes[key.end..end])?;
            position = end;
        }
        if position != bytes.len() {
            return Err(Malformed::Trailing(bytes.len() - position));
        }
        fields.references = budget.references.unwrap_or(0);
        Ok(fields)
    }

    fn set(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Malformed> {
        match name {
            b"v" => once(&mut self.version, "v", unsigned(value)),
            b"id" => once(&mut self.id, "id", id(value)),
            b"kind" => once(
                &mut self.kind,
                "kind",
                bytes_of(value).and_then(Kind::from_bytes),
            ),
            b"ts" => once(
                &mut self.ts,
                "ts",
                float(value).filter(|seconds| seconds.is_finite()),
            ),
            b"re" => once(
                &mut self.re,
                "re",
                if value == [0xc0] {
                    Some(None)
                } else {
                    id(value).map(Some)
                },
            ),
            b"from" => once(&mut self.from, "from", text(value)),
            b"to" => once(&mut self.to, "to", text(value)),
            b"method" => once(&mut self.method, "method", text(value)),
            b"body" => once(&mut self.body, "body", Some(value)),
            _ => Err(Malformed::UnknownField(
                String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned(),
            )),
        }
    }

    fn build(self, limits: &Limits) -> Result<Envelope, Malformed> {
        let version = self.version.ok_or(Malformed::Field("v"))?;
        if version != PROTOCOL_VERSION {
            return Err(Malformed::Version(version));
        }
        let envelope = Envelope {
            id: self.id.ok_or(Malformed::Field("id"))?,
            kind: self.kind.ok_or(Malformed::Field("kind"))?,
            ts: self.ts.ok_or(Malformed::Field("ts"))?,
            re: self.re.ok_or(Malformed::Field("re"))?,
            from: self.from.ok_or(Malformed::Field("from"))?.to_owned(),
            to: self.to.ok_or(Malformed::Field("to"))?.to_owned(),
            method: self.method.ok_or(Malformed::Field("method"))?.to_owned(),
            body: build_value(self.body.ok_or(Malformed::Field("body"))?, limits)?,
        };
        if matches!(envelope.kind, Kind::Response) && envelope.re.is_none() {
            return Err(Malformed::Field("re"));
        }
        Ok(envelope)
    }
}

fn once<T>(slot: &mut Option<T>, name: &'static str, value: Option<T>) -> Result<(), Malformed> {
    let value = value.ok_or(Malformed::Field(name))?;
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed::DuplicateKey(name.to_owned())),
    }
}

fn bytes_of(value: &[u8]) -> Option<&[u8]> {
    match read_head(value, 0).ok()?.content {
        Content::Text(text) => Some(text),
        _ => None,
    }
}

fn text(value: &[u8]) -> Option<&str> {
    bytes_of(value).and_then(|text| std::str::from_utf8(text).ok())
}

fn id(value: &[u8]) -> Option<MessageId> {
    match read_head(value, 0).ok()?.content {
        Content::Bytes(bytes) => bytes.try_into().ok().map(MessageId),
        _ => None,
    }
}

fn unsigned(mut value: &[u8]) -> Option<u64> {
    rmp::decode::read_int(&mut value).ok()
}

/// Any number: languages without a float type of their own write whole seconds as integers.
fn float(value: &[u8]) -> Option<f64> {
    let number = rmpv::decode::read_value(&mut &value[..]).ok()?;
    number.as_f64()
}

/// Builds a value that the scan has already found to be sound.
fn build_value(mut bytes: &[u8], limits: &Limits) -> Result<Value, Malformed> {
    // rmpv counts a container twice and a string once more.
    let depth = limits.depth * 2 + 4;
    rmpv::decode::read_value_with_max_depth(&mut bytes, depth).map_err(|error| match error {
        rmpv::decode::Error::DepthLimitExceeded => Malformed::TooDeep(limits.depth),
        _ => Malformed::Truncated,
    })
}
