//! Frames and envelopes of the stage protocol, version 1.

use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use rmpv::Value;

/// Containers that a frame may nest.
pub const DEPTH: usize = 64;
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
        write(&mut frame, &self.body)?;
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
    pub fn from_payload(mut payload: &[u8]) -> io::Result<Self> {
        let value = rmpv::decode::read_value_with_max_depth(&mut payload, DEPTH)
            .map_err(|error| malformed(&error.to_string()))?;
        if !payload.is_empty() {
            return Err(malformed("bytes stand behind it"));
        }
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
        Ok(Self {
            id: id_of(&id).ok_or_else(|| malformed("its id is not 16 bytes"))?,
            kind,
            ts: ts
                .as_f64()
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

    /// Waits for the next envelope; None when the other end closed the connection between two.
    ///
    /// # Errors
    /// `InvalidData` for what is no envelope, `UnexpectedEof` in the middle of a frame.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut length = [0; 4];
        let mut have = 0;
        while have < 4 {
            match from.read(&mut length[have..])? {
                0 if have == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => have += more,
            }
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > FRAME {
            return Err(malformed("a frame is too long"));
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Self::from_payload(&payload).map(Some)
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
