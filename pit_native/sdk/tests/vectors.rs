//! The frames of `docs/stage-protocol.md`, which every implementation of the protocol must agree on.

use symphony_sdk::Value;
use symphony_sdk::wire::Envelope;

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/stage/vectors.json"))
        .expect("the vectors are JSON")
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
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
    let id = |hex: &str| unhex(hex).try_into().unwrap();
    Envelope {
        id: id(&text("id")),
        kind: text("kind"),
        ts: fields["ts"].as_f64().unwrap(),
        re: fields["re"].as_str().map(id),
        from: text("from"),
        to: text("to"),
        method: text("method"),
        body: body(&fields["body"]),
    }
}

#[test]
fn accepted_frames_are_read_and_written() {
    for vector in vectors()["accepted"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let frame = unhex(vector["frame"].as_str().unwrap());
        let expected = envelope(&vector["envelope"]);
        let twice = [frame.clone(), frame.clone()].concat();
        let mut reader = twice.as_slice();
        for _ in 0..2 {
            let read = Envelope::read(&mut reader)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .expect("a frame");
            // Debug text, because NaN is not equal to itself.
            assert_eq!(format!("{read:?}"), format!("{expected:?}"), "{name}");
        }
        assert!(Envelope::read(&mut reader).unwrap().is_none());
        assert!(
            expected.to_frame(16 << 20).unwrap() == frame,
            "{name}: written otherwise"
        );
    }
}

#[test]
fn what_is_cut_short_is_no_message() {
    for vector in vectors()["accepted"].as_array().unwrap() {
        let frame = unhex(vector["frame"].as_str().unwrap());
        assert!(Envelope::read(&mut &frame[..frame.len() - 1]).is_err());
    }
}

#[test]
fn a_message_over_the_limit_is_refused_where_it_is_made() {
    let vector = &vectors()["accepted"][0];
    let made = envelope(&vector["envelope"]);
    let length = vector["frame"].as_str().unwrap().len() / 2 - 4;
    assert!(made.to_frame(length).is_ok());
    let error = made.to_frame(length - 1).unwrap_err().to_string();
    assert!(error.contains(&length.to_string()), "{error}");
}
