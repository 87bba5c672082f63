//! How an output becomes the bytes of an artifact, and back.

use rmpv::Value;
use serde::{Deserialize, Serialize};

/// The form of stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8 text.
    Text,
    /// The bytes themselves.
    Bytes,
    /// Compact JSON.
    Json,
    /// MessagePack, for what JSON cannot say: bytes inside of lists and maps, infinities.
    MessagePack,
}

impl Encoding {
    /// The word for it, as stored with the artifact.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::MessagePack => "msgpack",
        }
    }
}

/// The bytes of `value` on a port of type `type_name`. Text is stored as it is where the type says that
/// it is text or a text-like format, else as JSON.
pub fn encode(value: &Value, type_name: &str) -> (Vec<u8>, Encoding) {
    match value {
        Value::Binary(bytes) => (bytes.clone(), Encoding::Bytes),
        Value::String(text) if holds_text(type_name) => (text.as_bytes().to_vec(), Encoding::Text),
        _ if !fits_json(value) => (message_pack(value), Encoding::MessagePack),
        _ => match serde_json::to_vec(value) {
            Ok(json) => (json, Encoding::Json),
            Err(_) => (message_pack(value), Encoding::MessagePack),
        },
    }
}

fn message_pack(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail.
    let _ = rmpv::encode::write_value(&mut bytes, value);
    bytes
}

/// The value that [`encode`] stored, or what is wrong with the bytes.
pub fn decode(bytes: Vec<u8>, encoding: Encoding) -> Result<Value, String> {
    match encoding {
        Encoding::Bytes => Ok(Value::Binary(bytes)),
        Encoding::Text => String::from_utf8(bytes)
            .map(Value::from)
            .map_err(|error| error.to_string()),
        Encoding::Json => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        Encoding::MessagePack => {
            rmpv::decode::read_value(&mut bytes.as_slice()).map_err(|error| error.to_string())
        }
    }
}

fn holds_text(type_name: &str) -> bool {
    let (family, _) = type_name.split_once('/').unwrap_or((type_name, ""));
    matches!(family, "text" | "path" | "image" | "application")
}

/// Whether JSON can say it. Iterative: a Player decides how deep it nests.
fn fits_json(value: &Value) -> bool {
    let mut todo = vec![value];
    while let Some(value) = todo.pop() {
        match value {
            Value::Binary(_) | Value::Ext(..) => return false,
            Value::String(text) if !text.is_str() => return false,
            Value::F32(number) if !number.is_finite() => return false,
            Value::F64(number) if !number.is_finite() => return false,
            Value::Array(items) => todo.extend(items),
            Value::Map(entries) => {
                for (key, value) in entries {
                    if key.as_str().is_none() {
                        return false;
                    }
                    todo.push(value);
                }
            }
            _ => {}
        }
    }
    true
}

/// The ending of a stored file's name.
pub fn suffix(type_name: &str, encoding: Encoding) -> &'static str {
    match (encoding, type_name) {
        (Encoding::Json, _) => "json",
        (Encoding::MessagePack, _) => "msgpack",
        (_, "text/markdown") => "md",
        (_, "text/csv") => "csv",
        (_, "text/html") => "html",
        (_, "text/x-diff") => "diff",
        (_, "image/svg+xml") => "svg",
        (_, "image/png") => "png",
        (_, "image/jpeg") => "jpg",
        (_, "application/pdf") => "pdf",
        (_, "application/json") => "json",
        (Encoding::Text, _) => "txt",
        (Encoding::Bytes, _) => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("not a number is not equal to itself", |f| !f.is_nan())
                .prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            proptest::collection::vec(any::<u8>(), 0..9).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec((".{0,5}".prop_map(Value::from), inner), 0..4)
                    .prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(value in value(), kind in prop_oneof![Just("text/plain"), Just("json")]) {
            let (bytes, encoding) = encode(&value, kind);
            prop_assert_eq!(decode(bytes, encoding).unwrap(), value);
        }
    }

    #[test]
    fn files_look_as_a_person_expects() {
        let table: [(Value, &str, &str, &[u8]); 5] = [
            ("# Hi".into(), "text/markdown", "md", b"# Hi"),
            ("<svg/>".into(), "image/svg+xml", "svg", b"<svg/>"),
            (
                Value::Array(vec![1.into()]),
                "list<integer>",
                "json",
                b"[1]",
            ),
            ("é".into(), "json", "json", "\"é\"".as_bytes()),
            (Value::Binary(vec![1, 2]), "image/png", "png", &[1, 2]),
        ];
        for (value, kind, ending, bytes) in table {
            let (stored, encoding) = encode(&value, kind);
            assert_eq!((stored.as_slice(), suffix(kind, encoding)), (bytes, ending));
        }
    }
}
