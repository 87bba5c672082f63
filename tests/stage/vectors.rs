//! Reads `vectors.json` for the tests of everything in Rust that speaks the protocol.

use std::os::fd::OwnedFd;

use rmpv::Value;
use rustix::fs::{MemfdFlags, SealFlags};
use serde_json::Value as Json;

/// The fields of an envelope, as the vectors write them.
pub struct Fields {
    pub id: [u8; 16],
    pub kind: String,
    pub ts: f64,
    pub re: Option<[u8; 16]>,
    pub from: String,
    pub to: String,
    pub method: String,
    pub body: Value,
}

/// A frame that is read and written.
pub struct Accepted {
    pub name: String,
    /// Length first.
    pub frame: Vec<u8>,
    pub fields: Fields,
}

/// A frame that arrives with descriptors.
pub struct Beside {
    pub name: String,
    /// Length first.
    pub frame: Vec<u8>,
    /// In the order in which the frame needs them.
    pub descriptors: Vec<OwnedFd>,
    pub fields: Fields,
}

/// The size of the segments of [`Beside`].
pub const SEGMENT: u64 = 65_536;

/// A frame that is refused.
pub struct Refused {
    pub name: String,
    /// Length first.
    pub frame: Vec<u8>,
    pub because: String,
}

fn vectors(part: &str) -> Vec<Json> {
    let mut vectors: Json =
        serde_json::from_str(include_str!("vectors.json")).expect("the vectors are JSON");
    match vectors[part].take() {
        Json::Array(vectors) => vectors,
        _ => panic!("there are no vectors {part}"),
    }
}

fn text(of: &Json, name: &str) -> String {
    of[name].as_str().expect("a text").to_owned()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

/// A body as the vectors write it.
pub fn body(value: &Json) -> Value {
    match value {
        Json::Null => Value::Nil,
        Json::Bool(fact) => Value::Boolean(*fact),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (_, Some(number)) => Value::from(number),
            _ => Value::F64(number.as_f64().expect("a float")),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().map(body).collect()),
        Json::Object(members) => match (members.get("$bin"), members.get("$float")) {
            (Some(hex), _) => Value::Binary(unhex(hex.as_str().expect("hexadecimal"))),
            (_, Some(hex)) => {
                let bytes = unhex(hex.as_str().expect("hexadecimal"));
                Value::F64(f64::from_be_bytes(bytes.try_into().expect("eight bytes")))
            }
            _ => Value::Map(
                members
                    .iter()
                    .map(|(key, value)| (key.as_str().into(), body(value)))
                    .collect(),
            ),
        },
    }
}

fn fields(of: &Json) -> Fields {
    let id = |hex: &str| unhex(hex).try_into().expect("16 bytes");
    Fields {
        id: id(&text(of, "id")),
        kind: text(of, "kind"),
        ts: of["ts"].as_f64().expect("a time"),
        re: of["re"].as_str().map(id),
        from: text(of, "from"),
        to: text(of, "to"),
        method: text(of, "method"),
        body: body(&of["body"]),
    }
}

pub fn accepted() -> Vec<Accepted> {
    let read = |vector: &Json| Accepted {
        name: text(vector, "name"),
        frame: unhex(&text(vector, "frame")),
        fields: fields(&vector["envelope"]),
    };
    vectors("accepted").iter().map(read).collect()
}

fn memory_file(size: u64, offset: u64, content: &[u8], seals: SealFlags) -> OwnedFd {
    let file = rustix::fs::memfd_create("vector", MemfdFlags::ALLOW_SEALING).expect("a file");
    rustix::fs::ftruncate(&file, size).expect("its size");
    rustix::io::pwrite(&file, content, offset).expect("its content");
    rustix::fs::fcntl_add_seals(&file, seals).expect("its seals");
    file
}

pub fn beside() -> Vec<Beside> {
    let sized = SealFlags::SHRINK | SealFlags::GROW;
    let read = |vector: &Json| {
        let mut files = vector["files"].as_array().expect("files").iter();
        let frame = unhex(&text(vector, "frame"));
        let types = frame
            .windows(2)
            .filter(|pair| pair[0] == 0xd8 && (1..5).contains(&pair[1]));
        let descriptors = types.map(|pair| match pair[1] {
            1 | 2 => {
                let offset = vector["segment"][0].as_u64().expect("an offset");
                let content = unhex(vector["segment"][1].as_str().expect("hexadecimal"));
                memory_file(SEGMENT, offset, &content, sized)
            }
            _ => {
                let content = unhex(files.next().and_then(Json::as_str).expect("a file"));
                memory_file(0, 0, &content, sized | SealFlags::WRITE)
            }
        });
        Beside {
            name: text(vector, "name"),
            descriptors: descriptors.collect(),
            fields: fields(&vector["envelope"]),
            frame,
        }
    };
    vectors("beside").iter().map(read).collect()
}

pub fn refused() -> Vec<Refused> {
    let read = |vector: &Json| {
        let pieces = vector["frame"].as_array().expect("pieces").iter();
        let piece = |piece: &Json| {
            let times = piece[1].as_u64().expect("a number") as usize;
            unhex(piece[0].as_str().expect("hexadecimal")).repeat(times)
        };
        Refused {
            name: text(vector, "name"),
            frame: pieces.flat_map(piece).collect(),
            because: text(vector, "because"),
        }
    };
    vectors("refused").iter().map(read).collect()
}
