//! The codec: what is written is read back; no bytes make it panic or unfold; the shared vectors hold.

use ipc_bus::{Envelope, FrameBuffer, Kind, Limits, MessageId, Value};
use proptest::prelude::*;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |float| !float.is_nan())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Binary),
    ];
    leaf.prop_recursive(6, 200, 30, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..30).prop_map(Value::Array),
            proptest::collection::btree_map(any::<String>(), inner, 0..30).prop_map(|map| {
                Value::Map(
                    map.into_iter()
                        .map(|(key, value)| (key.into(), value))
                        .collect(),
                )
            }),
        ]
    })
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let kinds = prop_oneof![
        Just(Kind::Request),
        Just(Kind::Response),
        Just(Kind::Event),
        Just(Kind::Stream),
        Just(Kind::Error)
    ];
    (
        any::<[u8; 16]>(),
        kinds,
        -1e12..1e12f64,
        any::<[u8; 16]>(),
        any::<bool>(),
        any::<String>(),
        values(),
    )
        .prop_map(|(id, kind, ts, re, has_re, text, body)| Envelope {
            id: MessageId(id),
            kind,
            ts,
            re: (has_re || kind == Kind::Response).then_some(MessageId(re)),
            from: text.clone(),
            to: text.chars().rev().collect(),
            method: text,
            body,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(envelope in envelopes()) {
        let frame = envelope.to_frame(1 << 24).unwrap();
        prop_assert_eq!(Envelope::from_bytes(&frame[4..], &Limits::default()), Ok(envelope));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Envelope::from_bytes(&bytes, &Limits::default());
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(envelope in envelopes(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut frame = envelope.to_frame(1 << 24).unwrap();
        let at = 4 + at.index(frame.len() - 4);
        frame[at] = byte;
        if let Ok(read) = Envelope::from_bytes(&frame[4..], &Limits::default()) {
            prop_assert!(read.to_frame(1 << 24).is_ok());
        }
    }

    #[test]
    fn a_cut_frame_is_refused(envelope in envelopes(), at in any::<prop::sample::Index>()) {
        let frame = envelope.to_frame(1 << 24).unwrap();
        let cut = 4 + at.index(frame.len() - 4);
        prop_assert!(Envelope::from_bytes(&frame[4..cut], &Limits::default()).is_err());
    }

    #[test]
    fn frames_are_cut_the_same_however_they_arrive(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8),
        piece in 1usize..64,
    ) {
        let mut stream = Vec::new();
        for frame in &frames {
            stream.extend_from_slice(&(frame.len() as u32).to_le_bytes());
            stream.extend_from_slice(frame);
        }
        let mut buffer = FrameBuffer::new(200);
        let mut cut = Vec::new();
        for bytes in stream.chunks(piece) {
            buffer.space().extend_from_slice(bytes);
            while let Some(frame) = buffer.next_frame().unwrap() {
                cut.push(frame.to_vec());
            }
        }
        prop_assert_eq!(cut, frames);
        prop_assert!(!buffer.is_inside_frame());
    }
}

#[test]
fn floats_travel_with_all_their_bits() {
    for bits in [
        0x7ff8_0000_0000_0001u64,
        0x7ff0_0000_0000_0000,
        0x8000_0000_0000_0000,
    ] {
        let envelope = sample(Value::from(f64::from_bits(bits)));
        let frame = envelope.to_frame(1 << 20).unwrap();
        let read = Envelope::from_bytes(&frame[4..], &Limits::default()).unwrap();
        assert_eq!(read.body.as_f64().unwrap().to_bits(), bits);
    }
}

#[test]
fn the_deepest_frame_allowed_is_read() {
    let nested = |levels: usize| (0..levels).fold(Value::Nil, |inner, _| Value::Array(vec![inner]));
    let read = |levels: usize| {
        let frame = sample(nested(levels)).to_frame(1 << 20).unwrap();
        Envelope::from_bytes(&frame[4..], &Limits::default()).is_ok()
    };
    assert_eq!(
        (read(63), read(64)),
        (true, false),
        "the envelope is the first of 64"
    );
}

fn sample(body: Value) -> Envelope {
    Envelope {
        id: MessageId([7; 16]),
        kind: Kind::Event,
        ts: 0.0,
        re: None,
        from: String::new(),
        to: String::new(),
        method: "log".into(),
        body,
    }
}
