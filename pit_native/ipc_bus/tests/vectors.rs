//! The frames of `docs/stage-protocol.md`, which every implementation of the protocol must agree on.

mod support;

use ipc_bus::{Envelope, FrameBuffer, Kind, Limits, Malformed, MessageId, Value};
use support::unhex;

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/stage/vectors.json"))
        .expect("the vectors are JSON")
}

/// A body as the vectors write it.
fn body(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
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
            (Some(hex), _) => Value::Binary(unhex(hex.as_str().unwrap())),
            (_, Some(hex)) => Value::F64(f64::from_be_bytes(
                unhex(hex.as_str().unwrap()).try_into().unwrap(),
            )),
            _ => Value::Map(
                members
                    .iter()
                    .map(|(key, value)| (key.as_str().into(), body(value)))
                    .collect(),
            ),
        },
    }
}

fn envelope(fields: &serde_json::Value) -> Envelope {
    let text = |name: &str| fields[name].as_str().unwrap().to_owned();
    let id = |hex: &str| MessageId(unhex(hex).try_into().unwrap());
    let kinds = [
        Kind::Request,
        Kind::Response,
        Kind::Event,
        Kind::Stream,
        Kind::Error,
    ];
    Envelope {
        id: id(&text("id")),
        kind: *kinds
            .iter()
            .find(|kind| kind.as_str() == text("kind"))
            .unwrap(),
        ts: fields["ts"].as_f64().unwrap(),
        re: fields["re"].as_str().map(id),
        from: text("from"),
        to: text("to"),
        method: text("method"),
        body: body(&fields["body"]),
    }
}

fn decode(frame: &[u8]) -> Result<Envelope, Malformed> {
    let limits = Limits::default();
    let mut buffer = FrameBuffer::new(limits.frame);
    buffer.space().extend_from_slice(frame);
    let payload = buffer.next_frame()?.expect("the whole frame is there");
    Envelope::from_bytes(&payload, &limits)
}

#[test]
fn accepted_frames_are_read_and_written() {
    for vector in vectors()["accepted"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let (frame, expected) = (
            unhex(vector["frame"].as_str().unwrap()),
            envelope(&vector["envelope"]),
        );
        let read = decode(&frame).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Debug text, because NaN is not equal to itself.
        assert_eq!(format!("{read:?}"), format!("{expected:?}"), "{name}");
        assert!(
            expected.to_frame(16 << 20).unwrap() == frame,
            "{name}: written otherwise"
        );
    }
}

#[test]
fn refused_frames_are_refused_for_their_reason() {
    for vector in vectors()["refused"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let pieces = vector["frame"].as_array().unwrap().iter();
        let frame: Vec<u8> = pieces
            .flat_map(|piece| {
                unhex(piece[0].as_str().unwrap()).repeat(piece[1].as_u64().unwrap() as usize)
            })
            .collect();
        let Err(error) = decode(&frame) else {
            panic!("{name}: accepted")
        };
        let because = vector["because"].as_str().unwrap();
        assert!(error.to_string().contains(because), "{name}: {error}");
    }
}
