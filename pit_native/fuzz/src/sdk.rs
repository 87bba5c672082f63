//! The Rust SDK's reader beside the bus's: a frame that one of them takes the other takes too, as the same message.

use std::io::Write;
use std::os::unix::net::UnixStream;

use ipc_bus::{Envelope, Limits};
use symphony_sdk::wire::Reader;

/// What a socket takes without anybody reading.
const LONGEST: usize = 60_000;

/// The content of a frame.
pub fn sdk(data: &[u8]) {
    if data.len() > LONGEST {
        return;
    }
    let limits = Limits::default();
    let (mut host, player) = UnixStream::pair().expect("sockets");
    let length = (data.len() as u32).to_le_bytes();
    host.write_all(&[&length, data].concat()).expect("it fits");
    drop(host);
    let read = Reader::new(player).next_envelope();
    match (Envelope::from_bytes(data, &limits), read) {
        (Ok(envelope), Ok(Some(other))) => {
            let frame = envelope.to_frame(limits.frame).expect("it was a frame");
            assert_eq!(other.to_frame(limits.frame).ok(), Some(frame));
        }
        (Err(_), Err(_)) => {}
        (bus, sdk) => panic!("the bus reads {bus:?}, the SDK {sdk:?}"),
    }
}
