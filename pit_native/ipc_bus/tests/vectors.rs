//! The frames of `docs/stage-protocol.md`, which every implementation of the protocol must agree on.

#[path = "../../../tests/stage/vectors.rs"]
mod shared;

use ipc_bus::{Envelope, FrameBuffer, Kind, Limits, Malformed, MessageId};
use payload::{Receiver, Terms};
use shared::{Fields, SEGMENT, accepted, beside, refused};

fn envelope(fields: Fields) -> Envelope {
    let kinds = [
        Kind::Request,
        Kind::Response,
        Kind::Event,
        Kind::Stream,
        Kind::Error,
    ];
    let kind = kinds.iter().find(|kind| kind.as_str() == fields.kind);
    Envelope {
        id: MessageId(fields.id),
        kind: *kind.expect("a kind"),
        ts: fields.ts,
        re: fields.re.map(MessageId),
        from: fields.from,
        to: fields.to,
        method: fields.method,
        body: fields.body,
    }
}

/// The envelopes of a stream that arrives in pieces, and whether a frame has begun behind them.
fn decode(stream: &[u8], piece: usize) -> Result<(Vec<Envelope>, bool), Malformed> {
    let limits = Limits::default();
    let mut buffer = FrameBuffer::new(limits.frame);
    let mut envelopes = Vec::new();
    for bytes in stream.chunks(piece) {
        buffer.space().extend_from_slice(bytes);
        while let Some(payload) = buffer.next_frame()? {
            envelopes.push(Envelope::from_bytes(&payload, &limits)?);
        }
    }
    Ok((envelopes, buffer.is_inside_frame()))
}

#[test]
fn accepted_frames_are_read_and_written_in_whatever_pieces_they_arrive() {
    for vector in accepted() {
        let name = vector.name;
        let expected = envelope(vector.fields);
        let twice = [vector.frame.clone(), vector.frame.clone()].concat();
        for piece in [1, 7, twice.len()] {
            let (read, is_inside) =
                decode(&twice, piece).unwrap_or_else(|error| panic!("{name}: {error}"));
            // Debug text, because NaN is not equal to itself.
            let both = format!("{:?}", [&expected, &expected]);
            assert_eq!(
                format!("{:?}", read.iter().collect::<Vec<_>>()),
                both,
                "{name}"
            );
            assert!(!is_inside, "{name}");
        }
        assert!(
            expected.to_frame(16 << 20).unwrap() == vector.frame,
            "{name}: written otherwise"
        );
    }
}

#[test]
fn a_frame_cut_at_any_byte_is_no_message() {
    for vector in accepted() {
        let (name, frame) = (vector.name, vector.frame);
        for cut in 1..frame.len() {
            let (read, is_inside) = decode(&frame[..cut], cut).unwrap();
            assert!(read.is_empty() && is_inside, "{name}: cut at {cut}");
            if cut < 4 {
                continue;
            }
            // The same bytes, their length told truly.
            let mut short = ((cut - 4) as u32).to_le_bytes().to_vec();
            short.extend_from_slice(&frame[4..cut]);
            assert!(decode(&short, cut).is_err(), "{name}: shortened to {cut}");
        }
    }
}

#[test]
fn refused_frames_are_refused_for_their_reason() {
    for vector in refused() {
        let name = vector.name;
        let Err(error) = decode(&vector.frame, vector.frame.len()) else {
            panic!("{name}: accepted")
        };
        assert!(
            error.to_string().contains(&vector.because),
            "{name}: {error}"
        );
    }
}

#[test]
fn frames_are_read_with_what_lies_beside_them() {
    for vector in beside() {
        let mut receiver = Receiver::new(Terms {
            segment: SEGMENT,
            ..Terms::default()
        });
        let end = vector.frame.len() as u64;
        receiver.arrive(end, vector.descriptors).unwrap();
        let frame = &vector.frame[4..];
        let read = Envelope::from_bytes_beside(frame, &Limits::default(), &mut receiver);
        assert_eq!(read, Ok(envelope(vector.fields)), "{}", vector.name);
        assert!(receiver.end_frame(end).is_ok(), "{}", vector.name);
        assert!(
            Envelope::from_bytes(frame, &Limits::default()).is_err(),
            "not agreed"
        );
    }
}
