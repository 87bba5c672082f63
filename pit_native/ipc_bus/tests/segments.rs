//! Payloads beside the frames, between a real bus and a peer that can also misbehave.

mod support;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use ipc_bus::{CallOptions, Closed, Envelope, Kind, Limits, Malformed, Session, Value};
use payload::{Fault, Parcel, Receiver, SEGMENT_START, Sender, Terms};
use rustix::fs::SealFlags;
use support::{Host, PATIENCE, Seen, envelope, expect, frame, map};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// A peer that has agreed to take payloads beside the frames.
struct Apart {
    stream: UnixStream,
    bytes: Vec<u8>,
    sender: Sender,
    receiver: Receiver,
    arrived: u64,
    /// How many descriptors came in all.
    descriptors: usize,
}

fn hello(has_segments: bool) -> Vec<u8> {
    let body = map([
        ("versions", Value::Array(vec![1.into()])),
        ("extension", "tests/peer".into()),
        ("version", "1.0.0".into()),
        ("segments", has_segments.into()),
    ]);
    frame(&envelope(1, Kind::Request, None, "hello", body))
}

async fn agreed(host: &Host, name: &str) -> (Session, Apart) {
    let (session, mut peer) = host.connect(name, expect(), hello(true)).await;
    let welcome = peer.read().await.expect("a welcome");
    let told = &welcome.body["segments"];
    let number = |name: &str| told[name].as_u64().expect("a number");
    let terms = Terms {
        segment: number("size"),
        least: number("least"),
        file: number("file"),
        payload: number("payload"),
    };
    assert_eq!(terms, *host_terms(host));
    let apart = Apart {
        stream: peer.stream,
        bytes: Vec::new(),
        sender: Sender::new(terms.clone()),
        receiver: Receiver::new(terms),
        arrived: 0,
        descriptors: 0,
    };
    (session.expect("a session"), apart)
}

fn host_terms(host: &Host) -> &Terms {
    &host.bus.limits().payloads
}

impl Apart {
    /// Sends bytes with descriptors; a host that has closed is no failure of the test.
    async fn send_raw(&mut self, bytes: &[u8], descriptors: &[OwnedFd]) {
        let mut sent = 0;
        while sent < bytes.len() {
            if self.stream.writable().await.is_err() {
                return;
            }
            let with = if sent == 0 { descriptors } else { &[] };
            let written = self.stream.try_io(Interest::WRITABLE, || {
                payload::send(self.stream.as_fd(), &bytes[sent..], with)
            });
            match written {
                Ok(count) => sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    async fn send(&mut self, envelope: &Envelope) {
        let mut parcel = Parcel::default();
        let frame = envelope.to_frame_beside(1 << 24, &mut self.sender, &mut parcel);
        self.send_raw(&frame.expect("it fits"), &parcel.descriptors)
            .await;
    }

    /// The next envelope; `None` at the end of the connection.
    async fn read(&mut self) -> Option<Envelope> {
        loop {
            if let Some(header) = self.bytes.first_chunk::<4>() {
                let end = 4 + u32::from_le_bytes(*header) as usize;
                if self.bytes.len() >= end {
                    let frame: Vec<u8> = self.bytes.drain(..end).collect();
                    let limits = Limits::default();
                    let read =
                        Envelope::from_bytes_beside(&frame[4..], &limits, &mut self.receiver);
                    let rest = self.bytes.len() as u64;
                    let ended = self.receiver.end_frame(self.arrived - rest);
                    ended.expect("the host passes nothing but what its frame needs");
                    return Some(read.expect("the host sends sound envelopes"));
                }
            }
            let readable = tokio::time::timeout(PATIENCE, self.stream.readable());
            readable.await.expect("in time").expect("a connection");
            self.bytes.reserve(1 << 16);
            let arrival = self.stream.try_io(Interest::READABLE, || {
                payload::receive_more(self.stream.as_fd(), &mut self.bytes)
            });
            match arrival {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(arrival) if arrival.bytes > 0 => {
                    assert!(!arrival.is_cut);
                    self.arrived += arrival.bytes as u64;
                    self.descriptors += arrival.descriptors.len();
                    let arrived = self.receiver.arrive(self.arrived, arrival.descriptors);
                    arrived.expect("few descriptors");
                }
                _ => return None,
            }
        }
    }

    /// Answers every call with its own body.
    async fn echo(mut self) {
        while let Some(message) = self.read().await {
            if message.kind == Kind::Request {
                let re = Some(message.id);
                let answer = envelope(9, Kind::Response, re, &message.method, message.body);
                self.send(&answer).await;
            }
        }
    }
}

fn small() -> Limits {
    Limits {
        payloads: Terms {
            segment: 64 << 10,
            least: 1 << 10,
            file: 32 << 10,
            payload: 24 << 20,
        },
        ..Limits::default()
    }
}

fn body(length: usize, byte: u8) -> Value {
    map([
        ("bytes", Value::Binary(vec![byte; length])),
        ("text", "ü".repeat(length / 2).into()),
        (
            "list",
            Value::Array(vec![Value::Binary(vec![byte; length])]),
        ),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_of_every_size_arrive_in_both_directions() {
    for limits in [small(), Limits::default()] {
        let host = Host::new(limits);
        let (session, peer) = agreed(&host, "p").await;
        let echo = tokio::spawn(peer.echo());
        for length in [0, 1023, 1024, 20_000, 40_000, 70_000, 1 << 20, 5 << 20] {
            let body = body(length, length as u8);
            let answer = session.call("call", body.clone(), CallOptions::default());
            assert!(
                answer.await == Ok(body),
                "{length} bytes came back otherwise"
            );
        }
        session.close();
        echo.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_share_a_segment_that_is_too_small_for_them() {
    let host = Host::new(small());
    let (session, peer) = agreed(&host, "p").await;
    let echo = tokio::spawn(peer.echo());
    let calls: Vec<_> = (0..200u32)
        .map(|number| {
            let session = session.clone();
            tokio::spawn(async move {
                let body = body(1000 + number as usize * 150, number as u8);
                let answer = session.call("call", body.clone(), CallOptions::default());
                answer.await == Ok(body)
            })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
    session.close();
    echo.await.unwrap();
}

#[tokio::test]
async fn the_host_passes_the_payloads_files_and_nothing_else() {
    let host = Host::new(small());
    let (session, peer) = agreed(&host, "p").await;
    let body = map([
        ("part", Value::Binary(vec![1; 2000])),
        ("file", Value::Binary(vec![2; 40_000])),
    ]);
    session.notify("told", &body).unwrap();
    let mut bytes = vec![std::mem::MaybeUninit::uninit(); 4096];
    let arrival = loop {
        peer.stream.readable().await.unwrap();
        let arrival = peer.stream.try_io(Interest::READABLE, || {
            payload::receive(peer.stream.as_fd(), &mut bytes)
        });
        match arrival {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            other => break other.unwrap(),
        }
    };
    let sized = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let seals: Vec<SealFlags> = arrival
        .descriptors
        .iter()
        .map(|file| rustix::fs::fcntl_get_seals(file).expect("a file in memory"))
        .collect();
    assert_eq!(seals, [sized, sized | SealFlags::WRITE]);
    for descriptor in arrival.descriptors.iter() {
        let file = File::from(descriptor.try_clone().unwrap());
        assert!(file.set_len(1).is_err(), "it keeps its size");
    }
    // The segment came once; the next payload is in it without a descriptor.
    session
        .notify("told", &map([("part", Value::Binary(vec![3; 2000]))]))
        .unwrap();
    let next = loop {
        peer.stream.readable().await.unwrap();
        let arrival = peer.stream.try_io(Interest::READABLE, || {
            payload::receive(peer.stream.as_fd(), &mut bytes)
        });
        match arrival {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(next.descriptors.len(), 0);
}

#[tokio::test]
async fn who_did_not_agree_gets_no_descriptor_and_may_send_none() {
    let mut host = Host::new(small());
    let (session, mut peer) = host.connect("plain", expect(), hello(false)).await;
    let session = session.expect("a session");
    let welcome = peer.read().await.expect("a welcome");
    assert!(welcome.body["segments"].is_nil());
    session.notify("told", &body(5000, 1)).unwrap();
    let told = peer.read().await.expect("an event");
    assert_eq!(told.body, body(5000, 1), "it stands in the frame");
    let file = [OwnedFd::from(File::open("/dev/null").unwrap())];
    let event = envelope(2, Kind::Event, None, "log", Value::Nil);
    payload::send(peer.stream.as_fd(), &frame(&event), &file).unwrap();
    let (_, reason) = host.next_end().await;
    assert_eq!(
        reason,
        Closed::Protocol(Malformed::Payload(Fault::Unagreed))
    );
}

/// An event whose one value is this reference.
fn event_with(kind: i8, offset: u64, length: u64) -> Vec<u8> {
    let data = [offset.to_le_bytes(), length.to_le_bytes()].concat();
    let body = map([("value", Value::Ext(kind, data))]);
    frame(&envelope(2, Kind::Event, None, "output", body))
}

fn sealed(content: usize, seals: SealFlags) -> OwnedFd {
    let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("hostile-payload", flags).unwrap();
    rustix::io::pwrite(&file, &vec![7; content], 0).unwrap();
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file
}

/// Files of the hostile peers that this process still holds.
fn held() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    links
        .filter_map(|link| std::fs::read_link(link.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().contains("hostile-payload"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_agreed_ends_its_session_alone_and_leaves_no_descriptor() {
    let whole = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    let sized = SealFlags::SHRINK | SealFlags::GROW;
    let plain = || OwnedFd::from(File::open("/proc/self/exe").unwrap());
    let (pipe, _writer) = rustix::pipe::pipe().unwrap();
    let attacks: Vec<(Vec<u8>, Vec<OwnedFd>, &str)> = vec![
        (event_with(3, 0, 100), vec![], "no descriptor"),
        (event_with(1, SEGMENT_START, 100), vec![], "no descriptor"),
        (event_with(3, 0, 100), vec![plain()], "no file in memory"),
        (event_with(3, 0, 100), vec![pipe], "no file in memory"),
        (event_with(3, 0, 100), vec![sealed(100, sized)], "sealed"),
        (
            event_with(3, 0, 99),
            vec![sealed(100, whole)],
            "100 bytes instead of 99",
        ),
        (event_with(3, 8, 92), vec![sealed(100, whole)], "malformed"),
        (
            event_with(3, 0, 100),
            vec![sealed(100, whole), sealed(1, whole)],
            "no reference",
        ),
        (
            event_with(1, 0, 9),
            vec![sealed(64 << 10, sized)],
            "outside",
        ),
        (
            event_with(1, u64::MAX, 9),
            vec![sealed(64 << 10, sized)],
            "outside",
        ),
        (
            event_with(1, SEGMENT_START, 9),
            vec![sealed(64 << 10, whole)],
            "sealed",
        ),
        (
            event_with(1, SEGMENT_START, 9),
            vec![sealed(1 << 10, sized)],
            "instead of",
        ),
        (
            event_with(3, 0, 1 << 40),
            vec![sealed(100, whole)],
            "name more than",
        ),
        (event_with(4, 0, 100), vec![sealed(100, whole)], "accepted"),
        (event_with(5, 0, 100), vec![], "not part of the protocol"),
    ];
    let mut host = Host::new(small());
    let (neighbour, peer) = agreed(&host, "neighbour").await;
    tokio::spawn(peer.echo());
    for (number, (bytes, descriptors, because)) in attacks.into_iter().enumerate() {
        let (session, mut peer) = agreed(&host, &number.to_string()).await;
        peer.send_raw(&bytes, &descriptors).await;
        if because == "accepted" {
            assert!(matches!(host.next().await, Seen::Event { .. }));
            session.close();
        }
        let (ended, reason) = host.next_end().await;
        assert_eq!(ended, session.id());
        let is_refused = reason.to_string().contains(because) || because == "accepted";
        assert!(is_refused, "{number}: {reason}");
        drop((descriptors, session));
        let big = body(3000, 3);
        let answer = neighbour.call("call", big.clone(), CallOptions::default());
        assert_eq!(answer.await, Ok(big));
    }
    // The reader lets go of what it held when its task ends, a moment after its handler was told.
    let none_left = async {
        while held() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, none_left).await;
    assert!(waited.is_ok(), "{} descriptors are still open", held());
}

#[tokio::test]
async fn a_flood_of_descriptors_in_one_frame_is_cut() {
    let mut host = Host::new(small());
    let (session, mut peer) = agreed(&host, "flood").await;
    let event = envelope(2, Kind::Event, None, "log", "x".repeat(100).into());
    for byte in frame(&event) {
        let two = [0, 1].map(|_| OwnedFd::from(File::open("/dev/null").unwrap()));
        peer.send_raw(&[byte], &two).await;
    }
    let (ended, reason) = host.next_end().await;
    assert_eq!(ended, session.id());
    assert_eq!(
        reason,
        Closed::Protocol(Malformed::Payload(Fault::Unagreed))
    );
}

#[tokio::test]
async fn what_the_sender_changes_during_the_copy_is_what_was_there_and_no_more() {
    // A writer that goes on writing changes bytes of its own payload, never their number or another's.
    let mut host = Host::new(small());
    let (_session, mut peer) = agreed(&host, "changing").await;
    let segment = sealed(64 << 10, SealFlags::SHRINK | SealFlags::GROW);
    let writing = segment.try_clone().unwrap();
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                for byte in [7, 8] {
                    rustix::io::pwrite(&writing, &[byte; 30_000], SEGMENT_START).unwrap();
                }
                assert!(rustix::fs::ftruncate(&writing, 10).is_err());
            }
        }
    });
    let bytes = event_with(1, SEGMENT_START, 30_000);
    peer.send_raw(&bytes, &[segment]).await;
    for _ in 0..200 {
        let Seen::Event { body, .. } = host.next().await else {
            panic!("the session goes on")
        };
        let Value::Binary(content) = &body["value"] else {
            panic!("bytes")
        };
        assert_eq!(content.len(), 30_000);
        assert!(content.iter().all(|byte| [7, 8].contains(byte)));
        peer.send_raw(&bytes, &[]).await;
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
}

/// Without the bound each request that waits would hold what a message may: 256 times 256 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_requests_hold_that_wait_is_bounded_payloads_included() {
    let mut host = Host::new(Limits {
        unanswered: 1 << 20,
        ..small()
    });
    let (session, mut peer) = agreed(&host, "hoarder").await;
    let large = |number: u8| {
        let content = Value::Binary(vec![7; 700_000]);
        envelope(
            number,
            Kind::Request,
            None,
            "fs.write",
            map([("content", content)]),
        )
    };
    peer.send(&large(2)).await;
    peer.send(&large(3)).await;
    let refusal = peer.read().await.expect("a refusal");
    assert_eq!(
        (refusal.kind, refusal.re),
        (Kind::Error, Some(support::id(3)))
    );
    assert_eq!(refusal.body["code"].as_str(), Some("unavailable"));
    assert_eq!(session.stats().refused, 1);
    let Seen::Request(_, first) = host.next().await else {
        panic!("a request")
    };
    first.ok(Value::Nil);
    assert_eq!(
        peer.read().await.expect("an answer").re,
        Some(support::id(2))
    );
    peer.send(&large(4)).await;
    let Seen::Request(..) = host.next().await else {
        panic!("there is room again")
    };
}
