//! Reads `vectors.json` for the tests of everything in Rust that speaks the protocol.

use rmpv::Value;
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
fn body(value: &Json) -> Value {
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

pub fn accepted() -> Vec<Accepted> {
    let read = |vector: &Json| {
        let fields = &vector["envelope"];
        let id = |hex: &str| unhex(hex).try_into().expect("16 bytes");
        Accepted {
            name: text(vector, "name"),
            frame: unhex(&text(vector, "frame")),
            fields: Fields {
                id: id(&text(fields, "id")),
                kind: text(fields, "kind"),
                ts: fields["ts"].as_f64().expect("a time"),
                re: fields["re"].as_str().map(id),
                from: text(fields, "from"),
                to: text(fields, "to"),
                method: text(fields, "method"),
                body: body(&fields["body"]),
            },
        }
    };
    vectors("accepted").iter().map(read).collect()
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
