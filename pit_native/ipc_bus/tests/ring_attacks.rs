//! A peer that writes what it likes into the shared memory, or offers memory that would hurt.

mod support;

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use ipc_bus::transport::{TransportSettings, Wire, offer_ring, take_ring};
use ipc_bus::{CallOptions, Closed, Credentials, Kind, Limits};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use support::{Host, PATIENCE, envelope, expect, frame, hello};
use tokio::net::UnixStream;

const CAPACITY: usize = 4096;
const HEADER: usize = 4096;
const LINE: usize = 64;

/// The peer of a ring, with its bare memory. The first ring is the one that the host writes.
struct Hostile {
    file: File,
    map: MmapRaw,
    bell: UnixStream,
}

impl Hostile {
    fn word(&self, ring: usize, line: usize) -> &AtomicU64 {
        let at = ring * (HEADER + CAPACITY) + line * LINE;
        // SAFETY: inside the map, aligned, and only touched as an atomic.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }

    /// Puts bytes at the start of the ring that the host reads.
    fn put(&self, bytes: &[u8]) {
        let at = HEADER + CAPACITY + HEADER;
        // SAFETY: inside the map.
        unsafe {
            let place = self.map.as_mut_ptr().add(at);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        }
    }

    /// Says that so many bytes were ever written for the host, and wakes it.
    fn say_written(&self, count: u64) {
        self.word(1, 0).store(count, Ordering::Release);
        let _ = self.bell.try_write(&[0]);
    }
}

fn settings() -> TransportSettings {
    TransportSettings {
        buffer_size: CAPACITY,
        ..TransportSettings::default()
    }
}

fn hostile_pair() -> (Wire, Hostile) {
    let (host, bell) = UnixStream::pair().expect("a pair");
    let wire = offer_ring(host, &settings()).expect("rings");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let parts = &mut [IoSliceMut::new(&mut byte)];
    rustix::net::recvmsg(&bell, parts, &mut message, RecvFlags::CMSG_CLOEXEC).expect("an offer");
    let file = message.drain().find_map(|part| match part {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let file = File::from(file.expect("a descriptor"));
    let map = MmapOptions::new().map_raw(&file).expect("mapped");
    (wire, Hostile { file, map, bell })
}

async fn adopt(host: &Host, wire: Wire) -> Result<ipc_bus::Session, ipc_bus::BusError> {
    let credentials = Credentials {
        pid: 1,
        uid: 0,
        confirmed: true,
    };
    let recorder = host.recorder.clone();
    host.bus.adopt(wire, credentials, expect(), recorder).await
}

/// A session in good order whose peer is about to attack; how many bytes it has written.
async fn session(host: &Host) -> (ipc_bus::Session, Hostile, u64) {
    let (wire, peer) = hostile_pair();
    let hello = hello(1);
    peer.put(&hello);
    peer.say_written(hello.len() as u64);
    let session = adopt(host, wire).await.expect("a session");
    (session, peer, hello.len() as u64)
}

#[tokio::test]
async fn an_index_that_cannot_be_ends_the_session_and_reads_nothing() {
    for jump in [CAPACITY as u64 + 1, u64::MAX, 1 << 63, u64::MAX / 2] {
        let mut host = Host::new(Limits::default());
        let (_session, peer, written) = session(&host).await;
        peer.say_written(written.wrapping_add(jump));
        let (_, reason) = host.next_end().await;
        let Closed::Failed(why) = reason else {
            panic!("{jump}: {reason}")
        };
        assert!(why.contains("impossible"), "{why}");
    }
}

#[tokio::test]
async fn a_reader_who_claims_what_was_never_written_ends_the_session() {
    for claim in [u64::MAX, 1 << 40] {
        let mut host = Host::new(Limits::default());
        let (session, peer, _) = session(&host).await;
        peer.word(0, 1).store(claim, Ordering::Release);
        let call = session.call("call", 1.into(), CallOptions::default());
        let answer = tokio::time::timeout(PATIENCE, call).await.expect("in time");
        assert!(answer.is_err());
        assert!(matches!(host.next_end().await.1, Closed::Failed(_)));
    }
}

#[tokio::test]
async fn the_file_cannot_be_cut_under_the_host() {
    let (wire, peer) = hostile_pair();
    let refused = peer.file.set_len(0).expect_err("sealed");
    assert_eq!(
        refused.raw_os_error(),
        Some(rustix::io::Errno::PERM.raw_os_error())
    );
    assert!(peer.file.set_len(1 << 30).is_err());
    let unseal = rustix::fs::fcntl_add_seals(&peer.file, SealFlags::WRITE);
    assert!(
        unseal.is_err(),
        "no seal can be added that would stop the host's writing"
    );
    wire.try_write(&[1; 100]).expect("it is whole");
    // Without the seals the same attempt succeeds, and touching the memory would end the process.
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let bare = File::from(rustix::fs::memfd_create("bare", flags).expect("a file"));
    bare.set_len(8192)
        .and_then(|()| bare.set_len(0))
        .expect("an unsealed file can be cut");
}

/// Offers a file, or nothing, as the peer's first byte.
fn offer(socket: &UnixStream, file: Option<BorrowedFd<'_>>) {
    let files: Vec<_> = file.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        assert!(message.push(SendAncillaryMessage::ScmRights(&files)));
    }
    let sent = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&[1])],
        &mut message,
        SendFlags::empty(),
    );
    sent.expect("sent");
}

async fn refusal(file: Option<BorrowedFd<'_>>) -> io::Error {
    let (here, there) = UnixStream::pair().expect("a pair");
    offer(&there, file);
    take_ring(here, &settings()).await.expect_err("refused")
}

#[tokio::test]
async fn memory_that_would_hurt_is_refused() {
    let make = |size: u64, seals: SealFlags| {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(rustix::fs::memfd_create("offer", flags).expect("a file"));
        file.set_len(size).expect("sized");
        rustix::fs::fcntl_add_seals(&file, seals).expect("sealed");
        file
    };
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let good = 2 * (HEADER + CAPACITY) as u64;
    for (size, seals, why) in [
        (good, SealFlags::GROW, "sealed"),
        (good, SealFlags::SHRINK, "sealed"),
        (good + 1, all, "size"),
        (0, all, "size"),
        (2 * HEADER as u64, all, "size"),
        (1 << 40, all, "size"),
    ] {
        let error = refusal(Some(make(size, seals).as_fd())).await.to_string();
        assert!(error.contains(why), "{size}: {error}");
    }
    let plain = tempfile::tempfile().expect("a file");
    refusal(Some(plain.as_fd())).await;
    refusal(None).await;
    let (here, there) = UnixStream::pair().expect("a pair");
    offer(&there, Some(make(good, all).as_fd()));
    assert!(
        take_ring(here, &settings()).await.is_ok(),
        "and a good one is taken"
    );
}

#[tokio::test]
async fn nothing_offered_is_waited_for_as_long_as_the_settings_say() {
    let (here, _there) = UnixStream::pair().expect("a pair");
    let timeout = Duration::from_millis(10);
    let settings = TransportSettings {
        timeout,
        ..settings()
    };
    let error = take_ring(here, &settings).await.expect_err("in vain");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn scribbling_over_all_of_the_memory_ends_one_session_and_hurts_nothing() {
    let mut host = Host::new(Limits::default());
    let (neighbour, peer) = host.session("neighbour").await;
    tokio::spawn(peer.echo());
    for seed in 1..20u64 {
        let (session, peer, _) = session(&host).await;
        let peer = Arc::new(peer);
        let is_over = Arc::new(AtomicBool::new(false));
        let scribbler = std::thread::spawn({
            let (peer, is_over) = (peer.clone(), is_over.clone());
            move || {
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                while !is_over.load(Ordering::Relaxed) {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let line = state as usize % (2 * (HEADER + CAPACITY) / LINE);
                    peer.word(0, line)
                        .store(state >> (state % 64), Ordering::Relaxed);
                    let _ = peer.bell.try_write(&[0]);
                }
            }
        });
        let ended = tokio::time::timeout(PATIENCE, async {
            while !session.is_closed() {
                let deadline = Duration::from_millis(20);
                let _ = session
                    .call("call", seed.into(), CallOptions { deadline, tag: 0 })
                    .await;
            }
        });
        let ended = ended.await;
        is_over.store(true, Ordering::Relaxed);
        scribbler.join().expect("no panic");
        ended.expect("it is found out");
        let (_, reason) = host.next_end().await;
        assert!(
            matches!(reason, Closed::Failed(_) | Closed::Protocol(_)),
            "{reason}"
        );
        let answer = neighbour
            .call("call", seed.into(), CallOptions::default())
            .await;
        assert_eq!(answer, Ok(seed.into()));
    }
}

#[tokio::test]
async fn who_rings_without_end_is_still_heard_and_nothing_more() {
    let mut host = Host::new(Limits::default());
    let (_session, peer, written) = session(&host).await;
    for _ in 0..1_000 {
        let _ = peer.bell.try_write(&[0; 512]);
        tokio::task::yield_now().await;
    }
    let event = frame(&envelope(2, Kind::Event, None, "log", "heard".into()));
    // Behind the hello, which is shorter than the ring.
    let at = HEADER + CAPACITY + HEADER + written as usize;
    // SAFETY: inside the map.
    unsafe {
        let place = peer.map.as_mut_ptr().add(at);
        std::ptr::copy_nonoverlapping(event.as_ptr(), place, event.len());
    }
    peer.say_written(written + event.len() as u64);
    let support::Seen::Event { body, .. } = host.next().await else {
        panic!("an event")
    };
    assert_eq!(body, "heard".into());
}

#[tokio::test]
async fn what_is_read_is_a_copy_that_the_peer_cannot_change() {
    let (wire, peer) = hostile_pair();
    peer.put(b"as it was");
    peer.say_written(9);
    let mut got = BytesMut::new();
    wire.read_some(&mut got).await.expect("read");
    peer.put(b"something");
    assert_eq!(&got[..], b"as it was");
}
