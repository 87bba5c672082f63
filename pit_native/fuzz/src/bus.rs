//! The readers of the bus, over bytes that any Player may send: none may panic, hang or take memory without
//! bound, and what they accept means one thing only.

use ipc_bus::{Envelope, FrameBuffer, Limits};
use payload::{Receiver, Terms};

/// The longest frame here: small, so that lengths around it are tried.
const LIMIT: usize = 4096;

/// A stream of bytes, which arrives in pieces of a size that the first byte gives.
pub fn frame(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else {
        return;
    };
    let (whole, pieces) = (frames(data, LIMIT), frames(data, usize::from(size) + 1));
    assert_eq!(whole, pieces, "the pieces in which a stream arrives matter");
    whole.0.iter().for_each(|frame| envelope(frame));
}

/// The frames of a stream, and whether it was refused then.
fn frames(data: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut buffer, mut found) = (FrameBuffer::new(LIMIT), Vec::new());
    for piece in data.chunks(size) {
        buffer.space().extend_from_slice(piece);
        loop {
            match buffer.next_frame() {
                Ok(Some(frame)) => found.push(frame.to_vec()),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

/// The content of a frame.
pub fn envelope(data: &[u8]) {
    let limits = Limits {
        values: 10_000,
        ..Limits::default()
    };
    let beside = Envelope::from_bytes_beside(data, &limits, &mut Receiver::new(Terms::default()));
    let Ok(envelope) = Envelope::from_bytes(data, &limits) else {
        // References need descriptors, and none came.
        assert!(beside.is_err());
        return;
    };
    assert!(
        beside.is_ok(),
        "what needs nothing beside it is read the same"
    );
    assert!(envelope.ts.is_finite());
    let frame = envelope.to_frame(limits.frame).expect("it was a frame");
    let again = Envelope::from_bytes(&frame[4..], &limits).expect("what was read can be written");
    assert_eq!(again.to_frame(limits.frame).ok(), Some(frame));
}
