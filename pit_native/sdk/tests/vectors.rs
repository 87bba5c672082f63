//! The frames of `docs/stage-protocol.md`, which every implementation of the protocol must agree on.

#[path = "../../../tests/stage/vectors.rs"]
mod shared;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use payload::{Receiver, Terms};
use shared::{Fields, SEGMENT, accepted, beside, refused};
use symphony_sdk::wire::{Envelope, Reader};

fn envelope(fields: Fields) -> Envelope {
    Envelope {
        id: fields.id,
        kind: fields.kind,
        ts: fields.ts,
        re: fields.re,
        from: fields.from,
        to: fields.to,
        method: fields.method,
        body: fields.body,
    }
}

/// The envelopes of a connection that brings these bytes, so many at once, and then ends.
fn read(stream: &[u8], piece: usize) -> io::Result<Vec<Envelope>> {
    let (here, mut there) = UnixStream::pair()?;
    let mut reader = Reader::new(here);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for bytes in stream.chunks(piece) {
                // Who refuses a frame does not read the rest.
                if there.write_all(bytes).is_err() {
                    return;
                }
            }
        });
        let mut envelopes = Vec::new();
        let read = loop {
            match reader.next_envelope() {
                Ok(Some(envelope)) => envelopes.push(envelope),
                Ok(None) => break Ok(envelopes),
                Err(error) => break Err(error),
            }
        };
        drop(reader);
        read
    })
}

#[test]
fn accepted_frames_are_read_and_written_in_whatever_pieces_they_arrive() {
    for vector in accepted() {
        let name = vector.name;
        let expected = envelope(vector.fields);
        let twice = [vector.frame.clone(), vector.frame.clone()].concat();
        for piece in [1, 7, twice.len()] {
            let read = read(&twice, piece).unwrap_or_else(|error| panic!("{name}: {error}"));
            // Debug text, because NaN is not equal to itself.
            let both = format!("{:?}", [&expected, &expected]);
            assert_eq!(
                format!("{:?}", read.iter().collect::<Vec<_>>()),
                both,
                "{name}"
            );
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
            let read = read(&frame[..cut], cut);
            assert!(read.is_err(), "{name}: cut at {cut}");
            let payload = frame.get(4..cut).unwrap_or_default();
            let short = Envelope::from_payload(payload);
            assert!(short.is_err(), "{name}: shortened to {cut}");
        }
    }
}

#[test]
fn refused_frames_are_refused() {
    for vector in refused() {
        let read = read(&vector.frame, vector.frame.len());
        let (name, because) = (vector.name, vector.because);
        assert!(read.is_err(), "{name}: accepted in spite of: {because}");
    }
}

#[test]
fn a_message_over_the_limit_is_refused_where_it_is_made() {
    let vector = accepted().swap_remove(0);
    let length = vector.frame.len() - 4;
    let made = envelope(vector.fields);
    assert!(made.to_frame(length).is_ok());
    let error = made.to_frame(length - 1).unwrap_err().to_string();
    assert!(error.contains(&length.to_string()), "{error}");
}

#[test]
fn frames_are_read_with_what_lies_beside_them() {
    for vector in beside() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut reader = Reader::new(here);
        reader.agree(Receiver::new(Terms {
            segment: SEGMENT,
            ..Terms::default()
        }));
        payload::send(there.as_fd(), &vector.frame, &vector.descriptors).unwrap();
        let read = reader.next_envelope().unwrap();
        assert_eq!(read, Some(envelope(vector.fields)), "{}", vector.name);
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(&vector.frame).unwrap();
        assert!(Reader::new(here).next_envelope().is_err(), "not agreed");
    }
}
