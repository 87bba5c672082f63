//! What is written is read again; whatever else is read is refused and harms nothing.

use melody_file::{DEPTH, FileError, MAGIC, decode, encode};
use proptest::prelude::*;
use serde_json::{Value, json};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn with_checksum(body: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    out.extend_from_slice(body);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_document_comes_back(document in value()) {
        let bytes = encode(&document).unwrap();
        prop_assert_eq!(decode(&bytes).unwrap(), document);
    }

    #[test]
    fn a_changed_bit_is_found(document in value(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = encode(&document).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn no_content_harms_the_reader(body in prop::collection::vec(any::<u8>(), 0..200)) {
        // The checksum is right, as an attacker would make it; the answer does not matter.
        let _ = decode(&with_checksum(&body));
    }

    #[test]
    fn changed_contents_do_not_harm_the_reader(
        document in value(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)
    ) {
        let mut body = encode(&document).unwrap()[MAGIC.len() + 4..].to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let _ = decode(&with_checksum(&body));
    }
}

#[test]
fn the_order_of_keys_is_kept() {
    let document = json!({"name": "x", "format": "f", "nodes": [{"id": "a", "kind": "operator"}]});
    let again = decode(&encode(&document).unwrap()).unwrap();
    assert_eq!(again.to_string(), document.to_string());
}

#[test]
fn deep_nesting_is_refused_both_ways() {
    let mut document = json!(1);
    for _ in 0..=DEPTH {
        document = json!([document]);
    }
    assert_eq!(encode(&document), Err(FileError::Depth));
    // Tables without an entry, then a million lists of one item each: deeper than any stack.
    let mut body = vec![0, 0, 0xc0, 0x84, 0x3d];
    for _ in 0..1_000_000 {
        body.extend_from_slice(&[7, 1]);
    }
    assert_eq!(decode(&with_checksum(&body)), Err(FileError::Depth));
}

#[test]
fn a_count_beyond_the_file_allocates_nothing() {
    // One token: a list of four thousand million items.
    let body = [0, 0, 1, 7, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(
        decode(&with_checksum(&body)),
        Err(FileError::Malformed("it ends within a list"))
    );
}

#[test]
fn a_torn_file_is_refused_at_every_length() {
    let whole = encode(&json!({"name": "x", "nodes": [1, 2, "three"]})).unwrap();
    for end in 0..whole.len() {
        assert!(decode(&whole[..end]).is_err(), "at {end}");
    }
}

/// A file with one shape whose two keys are texts of their own that say the same.
#[test]
fn a_key_that_stands_twice_is_refused() {
    let good = encode(&json!({"a": 1, "b": 2})).unwrap();
    let place = good.windows(4).position(|w| w == b"\x01a\x01b").unwrap();
    let mut body = good[MAGIC.len() + 4..].to_vec();
    body[place - MAGIC.len() - 4 + 3] = b'a';
    let refused = decode(&with_checksum(&body)).unwrap_err();
    assert_eq!(refused, FileError::Malformed("a key stands twice"));
}
