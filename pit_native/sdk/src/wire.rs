//! Frames and envelopes of the stage protocol, version 1.

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{SystemTime, UNIX_EPOCH};

use payload::{Parcel, Receiver, Reference, Sender};
use rmpv::Value;

/// Containers that a frame may nest.
pub const DEPTH: usize = 64;
/// Values that a frame may hold.
pub const VALUES: usize = 2_000_000;
/// Bytes of a frame until the host's welcome says otherwise.
pub const FRAME: usize = 16 << 20;

const KINDS: [&str; 5] = ["request", "response", "event", "stream", "error"];

/// One message. The fields are those of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Unique in its session and direction.
    pub id: [u8; 16],
    /// `request`, `response`, `event`, `stream` or `error`.
    pub kind: String,
    /// Seconds since 1970.
    pub ts: f64,
    /// The message that this one answers or belongs to.
    pub re: Option<[u8; 16]>,
    /// Who says that he sent it; nobody decides by it.
    pub from: String,
    /// Whom it is for.
    pub to: String,
    /// What it is about.
    pub method: String,
    /// The content.
    pub body: Value,
}

impl Envelope {
    /// The whole frame: length and MessagePack, fields in the order of the protocol.
    ///
    /// # Errors
    /// `InvalidInput` when it is longer than `limit` bytes.
    pub fn to_frame(&self, limit: usize) -> io::Result<Vec<u8>> {
        self.write_frame(limit, &mut |_, _| None)
    }

    /// As [`Self::to_frame`], large payloads beside it. When it fails, the parcel is to be taken back.
    ///
    /// # Errors
    /// As [`Self::to_frame`].
    pub fn to_frame_beside(
        &self,
        limit: usize,
        sender: &mut Sender,
        parcel: &mut Parcel,
    ) -> io::Result<Vec<u8>> {
        self.write_frame(limit, &mut |bytes, is_text| {
            sender.put(bytes, is_text, parcel)
        })
    }

    fn write_frame(
        &self,
        limit: usize,
        beside: &mut impl FnMut(&[u8], bool) -> Option<Reference>,
    ) -> io::Result<Vec<u8>> {
        let id = |id: &[u8; 16]| Value::Binary(id.to_vec());
        let fields = [
            ("v", Value::from(1)),
            ("id", id(&self.id)),
            ("kind", self.kind.as_str().into()),
            ("ts", Value::F64(self.ts)),
            ("re", self.re.as_ref().map_or(Value::Nil, id)),
            ("from", self.from.as_str().into()),
            ("to", self.to.as_str().into()),
            ("method", self.method.as_str().into()),
        ];
        let mut frame = vec![0; 4];
        // A map of nine entries; the body is written where it stands, for it may be large.
        frame.push(0x89);
        for (name, value) in fields {
            write(&mut frame, &name.into())?;
            write(&mut frame, &value)?;
        }
        write(&mut frame, &"body".into())?;
        payload::write_value(&mut frame, &self.body, beside).map_err(io::Error::from)?;
        let length = frame.len() - 4;
        if length > limit {
            let said = format!(
                "the {} {} is {length} bytes; a message may have {limit}",
                self.kind, self.method
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
        }
        frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(frame)
    }

    /// The envelope in the bytes of one frame, without its length.
    ///
    /// # Errors
    /// `InvalidData` when they are not exactly one envelope of version 1.
    pub fn from_payload(payload: &[u8]) -> io::Result<Self> {
        let whole = payload;
        let mut payload = payload;
        // rmpv counts a container twice and a string once more.
        let value = rmpv::decode::read_value_with_max_depth(&mut payload, DEPTH * 2 + 4)
            .map_err(|error| malformed(&error.to_string()))?;
        if !payload.is_empty() {
            return Err(malformed("bytes stand behind it"));
        }
        if has_reserved(whole) {
            return Err(malformed("the byte 0xc1 is part of no value"));
        }
        let mut left = VALUES;
        check(&value, DEPTH, &mut left)?;
        let Value::Map(fields) = value else {
            return Err(malformed("it is no map"));
        };
        if fields.len() != 9 {
            return Err(malformed("it has not exactly nine fields"));
        }
        let mut found: [Option<Value>; 9] = Default::default();
        let names = [
            "v", "id", "kind", "ts", "re", "from", "to", "method", "body",
        ];
        for (name, value) in fields {
            let place = names
                .iter()
                .position(|known| name.as_str() == Some(known))
                .ok_or_else(|| malformed("it has an unknown field"))?;
            if found[place].replace(value).is_some() {
                return Err(malformed("a field stands twice"));
            }
        }
        let [v, id, kind, ts, re, from, to, method, body] =
            found.map(|value| value.expect("nine different fields of nine"));
        let kind = text(kind)?;
        if v.as_u64() != Some(1) || !KINDS.contains(&kind.as_str()) {
            return Err(malformed("it has another version or kind"));
        }
        if kind == "response" && re == Value::Nil {
            return Err(malformed("it answers nothing"));
        }
        Ok(Self {
            id: id_of(&id).ok_or_else(|| malformed("its id is not 16 bytes"))?,
            kind,
            ts: ts
                .as_f64()
                .filter(|seconds| seconds.is_finite())
                .ok_or_else(|| malformed("its ts is no number"))?,
            re: match re {
                Value::Nil => None,
                other => Some(id_of(&other).ok_or_else(|| malformed("its re is not 16 bytes"))?),
            },
            from: text(from)?,
            to: text(to)?,
            method: text(method)?,
            body,
        })
    }
}

/// Whether a value begins with the reserved byte, which the decoder takes for nil. The bytes are sound else.
fn has_reserved(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&marker) = bytes.get(at) {
        let number = |width: usize| {
            let digits = bytes.get(at + 1..at + 1 + width).unwrap_or_default();
            let sum = |sum: usize, digit: &u8| (sum << 8) | usize::from(*digit);
            width + digits.iter().fold(0, sum)
        };
        at += 1 + match marker {
            0xc1 => return true,
            0xa0..=0xbf => usize::from(marker & 0x1f),
            0xc4 | 0xd9 => number(1),
            0xc5 | 0xda => number(2),
            0xc6 | 0xdb => number(4),
            0xc7 => 1 + number(1),
            0xc8 => 1 + number(2),
            0xc9 => 1 + number(4),
            0xcc | 0xd0 => 1,
            0xcd | 0xd1 | 0xdc | 0xde => 2,
            0xca | 0xce | 0xd2 | 0xdd | 0xdf => 4,
            0xcb | 0xcf | 0xd3 => 8,
            0xd4..=0xd8 => 1 + (1 << (marker - 0xd4)),
            _ => 0,
        };
    }
    false
}

/// Whether a value holds nothing that the protocol does not have, so many levels deep.
fn check(value: &Value, depth: usize, left: &mut usize) -> io::Result<()> {
    let is_container = matches!(value, Value::Array(_) | Value::Map(_));
    if is_container && depth == 0 {
        return Err(malformed("it nests too deep"));
    }
    *left = left
        .checked_sub(1)
        .ok_or_else(|| malformed("it holds too many values"))?;
    match value {
        Value::String(text) if !text.is_str() => Err(malformed("a text is no UTF-8")),
        Value::Ext(kind, _) if !payload::TYPES.contains(kind) => {
            Err(malformed("a type is not part of the protocol"))
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check(item, depth - 1, left)),
        Value::Map(entries) => {
            let mut keys = HashSet::with_capacity(entries.len());
            entries.iter().try_for_each(|(key, item)| {
                *left = left.saturating_sub(1);
                let key = key.as_str().ok_or_else(|| malformed("a key is no text"))?;
                if !keys.insert(key) {
                    return Err(malformed("a key stands twice"));
                }
                check(item, depth - 1, left)
            })
        }
        _ => Ok(()),
    }
}

/// How much is read at once.
const READ_SIZE: usize = 64 << 10;

/// Reads envelopes from the connection to the host.
pub struct Reader {
    socket: UnixStream,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read already.
    start: usize,
    /// Bytes that have arrived in all.
    arrived: u64,
    beside: Option<Receiver>,
}

impl Reader {
    /// Reads from this socket.
    pub fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
            start: 0,
            arrived: 0,
            beside: None,
        }
    }

    /// From the next message on payloads may lie beside their frames.
    pub fn agree(&mut self, receiver: Receiver) {
        self.beside = Some(receiver);
    }

    /// Waits for the next envelope; None when the other end closed the connection between two.
    ///
    /// # Errors
    /// `InvalidData` for what is no envelope or lies beside it and is not as agreed, `UnexpectedEof` in the
    /// middle of a frame.
    pub fn next_envelope(&mut self) -> io::Result<Option<Envelope>> {
        loop {
            let unread = &self.buffer[self.start..];
            if let Some(header) = unread.first_chunk::<4>() {
                let length = u32::from_le_bytes(*header) as usize;
                if length > FRAME {
                    return Err(malformed("a frame is too long"));
                }
                if let Some(payload) = unread.get(4..4 + length) {
                    let envelope = Envelope::from_payload(payload)?;
                    self.start += 4 + length;
                    return self.complete(envelope).map(Some);
                }
            }
            if self.receive()? == 0 {
                return match self.buffer.len() - self.start {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Puts what lies beside the frame into its envelope.
    fn complete(&mut self, mut envelope: Envelope) -> io::Result<Envelope> {
        let unread = (self.buffer.len() - self.start) as u64;
        if let Some(beside) = &mut self.beside {
            let resolved = payload::resolve(&mut envelope.body, beside)
                .and_then(|()| beside.end_frame(self.arrived - unread));
            resolved.map_err(|fault| malformed(&fault.to_string()))?;
        } else if has_reference(&envelope.body) {
            return Err(malformed("nothing was agreed to lie beside it"));
        }
        Ok(envelope)
    }

    fn receive(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        // The buffer grows with what has arrived, never with what was announced.
        self.buffer
            .reserve(READ_SIZE.max(self.buffer.len().min(FRAME)));
        let arrival = loop {
            match payload::receive_more(self.socket.as_fd(), &mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.arrived += arrival.bytes as u64;
        let is_agreed = match &mut self.beside {
            Some(beside) => {
                !arrival.is_cut && beside.arrive(self.arrived, arrival.descriptors).is_ok()
            }
            None => arrival.descriptors.is_empty() && !arrival.is_cut,
        };
        if !is_agreed {
            return Err(malformed("it brings more descriptors than were agreed"));
        }
        Ok(arrival.bytes)
    }
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::Ext(..) => true,
        Value::Array(items) => items.iter().any(has_reference),
        Value::Map(entries) => entries.iter().any(|(_, item)| has_reference(item)),
        _ => false,
    }
}

/// Seconds since 1970, for `ts`.
pub(crate) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// A field of a map.
pub(crate) fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    map.as_map()?
        .iter()
        .find_map(|(key, value)| (key.as_str() == Some(name)).then_some(value))
}

/// A text of a map.
pub(crate) fn text_of<'a>(map: &'a Value, name: &str) -> Option<&'a str> {
    field(map, name)?.as_str()
}

fn write(into: &mut impl Write, value: &Value) -> io::Result<()> {
    rmpv::encode::write_value(into, value).map_err(io::Error::from)
}

fn id_of(value: &Value) -> Option<[u8; 16]> {
    match value {
        Value::Binary(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    }
}

fn text(value: Value) -> io::Result<String> {
    match value {
        Value::String(text) => text
            .into_str()
            .ok_or_else(|| malformed("a text is no UTF-8")),
        _ => Err(malformed("a field that is text is none")),
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a frame is no envelope: {why}"),
    )
}
