//! One suite over every transport: what holds over one holds over all.

mod support;

use std::io::ErrorKind::WouldBlock;
use std::time::Duration;

use bytes::BytesMut;
use ipc_bus::transport::{
    Backoff, RetryPolicy, TransportSettings, Wire, connect, connect_named, listen_named,
    offer_ring, take_ring,
};
use ipc_bus::{
    BusError, CallOptions, Closed, Credentials, Envelope, FrameBuffer, Kind, Limits, Malformed,
    Session, Value,
};
use support::{Host, PATIENCE, Seen, envelope, expect, frame, hello};
use tokio::net::UnixStream;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Transport {
    Socket,
    NamedPipe,
    Stdio,
    SharedMemory,
}

const ALL: [Transport; 4] = [
    Transport::Socket,
    Transport::NamedPipe,
    Transport::Stdio,
    Transport::SharedMemory,
];

async fn pair(transport: Transport, settings: &TransportSettings) -> (Wire, Wire) {
    match transport {
        Transport::Socket => {
            let (host, peer) = UnixStream::pair().expect("a pair");
            let wire = |stream| Wire::from_socket(stream, settings).expect("a wire");
            (wire(host), wire(peer))
        }
        Transport::NamedPipe => {
            let folder = tempfile::tempdir().expect("a folder");
            let name = folder.path().join("pipe");
            let listener = listen_named(&name, settings).expect("it listens");
            let (accepted, peer) = tokio::join!(listener.accept(), connect_named(&name, settings));
            let (host, credentials) = accepted.expect("accepted");
            assert_eq!(credentials.pid, std::process::id());
            (host, peer.expect("connected"))
        }
        Transport::Stdio => {
            let pipe =
                || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
            let ((host_in, peer_out), (peer_in, host_out)) = (pipe(), pipe());
            let wire = |input, output| Wire::from_pipes(input, output, settings).expect("a wire");
            (wire(host_in, host_out), wire(peer_in, peer_out))
        }
        Transport::SharedMemory => {
            let (host, peer) = UnixStream::pair().expect("a pair");
            let host = offer_ring(host, settings).expect("rings");
            (host, take_ring(peer, settings).await.expect("rings"))
        }
    }
}

/// The other end of a wire, which can also misbehave.
struct Peer {
    wire: Wire,
    frames: FrameBuffer,
}

impl Peer {
    async fn write(&self, bytes: &[u8]) {
        // A host that has closed is no failure of the test.
        let _ = self.wire.write_all(bytes).await;
    }

    async fn read(&mut self) -> Option<Envelope> {
        loop {
            if let Some(frame) = self.frames.next_frame().expect("sound frames") {
                let limits = Limits::default();
                return Some(Envelope::from_bytes(&frame, &limits).expect("sound envelopes"));
            }
            let read = tokio::time::timeout(PATIENCE, self.wire.read_some(self.frames.space()));
            if matches!(read.await.expect("in time"), Ok(0) | Err(_)) {
                return None;
            }
        }
    }

    async fn echo(mut self) {
        while let Some(message) = self.read().await {
            let answer = envelope(9, Kind::Response, Some(message.id), "call", message.body);
            self.write(&frame(&answer)).await;
        }
    }
}

async fn greet(
    host: &Host,
    transport: Transport,
    first: &[u8],
) -> (Result<Session, BusError>, Peer) {
    let (wire, peer) = pair(transport, &TransportSettings::default()).await;
    let peer = Peer {
        wire: peer,
        frames: FrameBuffer::new(32 << 20),
    };
    let credentials = Credentials {
        pid: std::process::id(),
        uid: 0,
        confirmed: true,
    };
    let recorder = host.recorder.clone();
    let adopted = host.bus.adopt(wire, credentials, expect(), recorder);
    let (session, ()) = tokio::join!(adopted, peer.write(first));
    (session, peer)
}

async fn session(host: &Host, transport: Transport) -> (Session, Peer) {
    let (session, mut peer) = greet(host, transport, &hello(1)).await;
    assert_eq!(peer.read().await.expect("a welcome").method, "hello");
    (session.expect("a session"), peer)
}

fn event(number: u64) -> Vec<u8> {
    frame(&envelope(3, Kind::Event, None, "log", number.into()))
}

#[tokio::test]
async fn calls_are_answered_over_all_of_them() {
    for transport in ALL {
        let host = Host::new(Limits::default());
        let (session, peer) = session(&host, transport).await;
        tokio::spawn(peer.echo());
        for number in 0..300 {
            let answer = session.call("call", number.into(), CallOptions::default());
            assert_eq!(answer.await, Ok(number.into()), "{transport:?}");
        }
        let large = Value::Binary((0..8 << 20).map(|at: u32| at as u8).collect());
        let answer = session.call("call", large.clone(), CallOptions::default());
        assert!(
            answer.await == Ok(large),
            "{transport:?}: 8 MiB come back as they went"
        );
    }
}

#[tokio::test]
async fn messages_keep_their_order() {
    for transport in ALL {
        let mut host = Host::new(Limits::default());
        let (_session, peer) = session(&host, transport).await;
        let sends = tokio::spawn(async move {
            for number in 0..5_000 {
                peer.write(&event(number)).await;
            }
            peer
        });
        for number in 0..5_000u64 {
            let Seen::Event { body, .. } = host.next().await else {
                panic!("{transport:?}: an event")
            };
            assert_eq!(body, number.into(), "{transport:?}");
        }
        sends.await.expect("sent");
    }
}

#[tokio::test]
async fn who_does_not_read_holds_the_writer_up_and_loses_nothing() {
    for transport in ALL {
        let settings = TransportSettings {
            buffer_size: 16 << 10,
            ..TransportSettings::default()
        };
        let taken = |wire: &Wire| {
            let mut taken = 0usize;
            loop {
                match wire.try_write(&[taken as u8; 1]) {
                    Ok(count) => taken += count,
                    Err(error) if error.kind() == WouldBlock => return taken,
                    Err(error) => panic!("{transport:?}: {error}"),
                }
            }
        };
        let (here, there) = pair(transport, &settings).await;
        here.writable().await.expect("writable");
        let first = taken(&here);
        let is_bounded = first > 0 && first < 128 << 10;
        assert!(
            is_bounded,
            "{transport:?}: {first} bytes with buffers of 16 KiB"
        );
        let mut got = BytesMut::new();
        while got.len() < first {
            there.read_some(&mut got).await.expect("read");
        }
        let expected = (0..first).map(|at| at as u8);
        assert!(got.iter().copied().eq(expected), "{transport:?}");
        // Room again, and who waited for it learns of it.
        tokio::time::timeout(PATIENCE, here.writable())
            .await
            .expect("in time")
            .expect("writable");
        assert!(here.try_write(&[1]).is_ok(), "{transport:?}");
    }
}

#[tokio::test]
async fn larger_buffers_take_more() {
    for transport in ALL {
        let mut amounts = Vec::new();
        for buffer_size in [16 << 10, 512 << 10] {
            let settings = TransportSettings {
                buffer_size,
                ..TransportSettings::default()
            };
            let (here, _there) = pair(transport, &settings).await;
            here.writable().await.expect("writable");
            let mut taken = 0;
            while let Ok(count) = here.try_write(&[7; 4096]) {
                taken += count;
            }
            amounts.push(taken);
        }
        assert!(amounts[1] > 4 * amounts[0], "{transport:?}: {amounts:?}");
    }
}

#[tokio::test]
async fn a_peer_that_dies_within_a_frame_ends_its_session() {
    for transport in ALL {
        let mut host = Host::new(Limits::default());
        let (session, peer) = session(&host, transport).await;
        let whole = event(1);
        peer.write(&whole[..whole.len() - 1]).await;
        let call = session.call("call", Value::Nil, CallOptions::default());
        let dies = async {
            tokio::task::yield_now().await;
            drop(peer);
        };
        let (answer, ()) = tokio::join!(call, dies);
        assert_eq!(
            answer,
            Err(ipc_bus::CallError::Closed(Closed::ByPeer)),
            "{transport:?}"
        );
        assert_eq!(
            host.next_end().await,
            (session.id(), Closed::ByPeer),
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn a_host_that_closes_lets_the_peer_go() {
    for transport in ALL {
        let host = Host::new(Limits::default());
        let (session, mut peer) = session(&host, transport).await;
        session.close();
        assert!(peer.read().await.is_none(), "{transport:?}");
    }
}

#[tokio::test]
async fn impossible_lengths_are_refused_as_soon_as_they_are_seen() {
    for transport in ALL {
        for length in [u32::MAX, 1 << 31, (16 << 20) + 1] {
            let mut host = Host::new(Limits::default());
            let (_session, peer) = session(&host, transport).await;
            peer.write(&length.to_le_bytes()).await;
            let (_, reason) = host.next_end().await;
            let expected = Malformed::TooLong {
                length: length as usize,
                limit: 16 << 20,
            };
            assert_eq!(reason, Closed::Protocol(expected), "{transport:?}");
        }
    }
}

#[tokio::test]
async fn wherever_the_bytes_are_cut_the_whole_arrives_or_the_end_is_seen() {
    let bytes = [hello(1), event(5)].concat();
    let hello_ends = hello(1).len();
    for transport in ALL {
        for cut in 0..=bytes.len() {
            // Two pieces of a whole.
            let mut host = Host::new(Limits::default());
            let (first, rest) = bytes.split_at(cut);
            let (wire, peer) = pair(transport, &TransportSettings::default()).await;
            let credentials = Credentials {
                pid: 1,
                uid: 0,
                confirmed: true,
            };
            let adopted = host
                .bus
                .adopt(wire, credentials, expect(), host.recorder.clone());
            let sends = async {
                peer.write_all(first).await.expect("written");
                tokio::task::yield_now().await;
                peer.write_all(rest).await.expect("written");
            };
            let (session, ()) = tokio::join!(adopted, sends);
            let session = session.expect("a session");
            let Seen::Event { body, .. } = host.next().await else {
                panic!("{transport:?} at {cut}: an event")
            };
            assert_eq!(body, 5.into());
            drop((session, peer));
            // One piece, and then nothing.
            let (wire, peer) = pair(transport, &TransportSettings::default()).await;
            let adopted = host
                .bus
                .adopt(wire, credentials, expect(), host.recorder.clone());
            let sends = async {
                peer.write_all(first).await.expect("written");
                drop(peer);
            };
            let (session, ()) = tokio::join!(adopted, sends);
            // The peer may be gone before it is welcomed.
            if let Ok(session) = session {
                assert!(cut >= hello_ends, "{transport:?} at {cut}");
                let ended = tokio::time::timeout(PATIENCE, session.closed()).await;
                assert!(
                    matches!(ended, Ok(Closed::ByPeer)),
                    "{transport:?} at {cut}: {ended:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_is_tried_as_often_as_the_policy_says() {
    for (backoff, waited) in [
        (Backoff::None, 0),
        (Backoff::Fixed, 300),
        (Backoff::Exponential, 700),
    ] {
        let settings = TransportSettings {
            retry: RetryPolicy {
                attempts: 4,
                delay: Duration::from_millis(100),
                backoff,
            },
            ..TransportSettings::default()
        };
        let (mut tries, began) = (0, tokio::time::Instant::now());
        let refused = connect(&settings, || {
            tries += 1;
            std::future::ready(Err::<(), _>(std::io::ErrorKind::ConnectionRefused.into()))
        });
        let error = refused.await.expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(
            (tries, began.elapsed().as_millis()),
            (4, waited),
            "{backoff:?}"
        );
    }
    let settings = TransportSettings {
        timeout: Duration::from_secs(2),
        retry: RetryPolicy {
            attempts: 1,
            ..RetryPolicy::default()
        },
        ..TransportSettings::default()
    };
    let never = connect(&settings, std::future::pending::<std::io::Result<()>>);
    assert_eq!(
        never.await.expect_err("in vain").kind(),
        std::io::ErrorKind::TimedOut
    );
}

#[tokio::test]
async fn a_named_pipe_that_opens_later_is_found_by_trying_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("pipe");
    let settings = TransportSettings {
        retry: RetryPolicy {
            attempts: 100,
            delay: Duration::from_millis(20),
            backoff: Backoff::Fixed,
        },
        ..TransportSettings::default()
    };
    let connects = tokio::spawn({
        let name = name.clone();
        async move { connect_named(&name, &settings).await }
    });
    tokio::task::yield_now().await;
    let listener = listen_named(&name, &settings).expect("it listens");
    let (accepted, connected) = tokio::join!(listener.accept(), connects);
    assert!(accepted.is_ok() && connected.expect("no panic").is_ok());
}
