//! Shared memory: two rings in a sealed file in memory, and a socket that rings when one side sleeps.
//!
//! One side makes the file and hands its descriptor over a Unix socket; from then on bytes travel through the
//! rings, and over the socket nothing but single bytes that wake. A socket, not an eventfd: whether writing
//! to an eventfd blocks is a flag of the open file, which the peer shares and could take away, while each
//! send here says for itself that it does not wait. The socket's end is the connection's end.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

use bytes::{BufMut, BytesMut};
use memmap2::{MmapOptions, MmapRaw};
use parking_lot::Mutex;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::settings::TransportSettings;
use super::wire::Wire;
use crate::ring::{Consumer, Corrupt, Memory, Producer, Side};

/// Before each ring: its indices and flags, each on a cache line of its own.
const HEADER: usize = 4096;
const LINE: usize = 64;
/// The ring's size where the settings give none.
const DEFAULT_CAPACITY: usize = 1 << 20;
const SMALLEST: usize = 4096;
const LARGEST: usize = 64 << 20;
/// The byte that comes with the descriptor, and those that wake.
const OFFER: u8 = 1;
const BELL: u8 = 0;
/// As much is read at once, at most.
const READ_SIZE: usize = 64 << 10;
/// So that the file can neither shrink, which would end who touches what is gone, nor grow, nor be unsealed.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// One ring's part of the shared file.
#[derive(Debug)]
pub struct Mapped {
    map: Arc<MmapRaw>,
    /// Where its header begins.
    start: usize,
    capacity: usize,
}

impl Mapped {
    fn word(&self, line: usize) -> *mut u8 {
        // SAFETY: the header lies within the map, which was made for two headers and two rings.
        unsafe { self.map.as_mut_ptr().add(self.start + line * LINE) }
    }

    fn index(&self, side: Side) -> &AtomicU64 {
        let word = self.word(if side == Side::Writer { 0 } else { 1 });
        // SAFETY: aligned to a cache line, inside the map, which lives as long as `self`; the peer changes it,
        // which is what atomics are for.
        unsafe { AtomicU64::from_ptr(word.cast()) }
    }

    fn flag(&self, side: Side) -> &AtomicU32 {
        let word = self.word(if side == Side::Writer { 2 } else { 3 });
        // SAFETY: as in `index`.
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    fn place(&self, at: usize, length: usize) -> *mut u8 {
        assert!(at <= self.capacity && length <= self.capacity - at);
        // SAFETY: the assertion holds it inside this ring.
        unsafe { self.map.as_mut_ptr().add(self.start + HEADER + at) }
    }
}

impl Memory for Arc<Mapped> {
    fn capacity(&self) -> usize {
        self.capacity
    }

    fn load(&self, side: Side) -> u64 {
        self.index(side).load(Ordering::Acquire)
    }

    fn store(&self, side: Side, index: u64) {
        self.index(side).store(index, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn set_waiting(&self, side: Side, waits: bool) {
        self.flag(side).store(u32::from(waits), Ordering::Relaxed);
    }

    fn take_waiting(&self, side: Side) -> bool {
        let flag = self.flag(side);
        // The look before saves the exclusive access while nobody sleeps.
        flag.load(Ordering::Relaxed) != 0 && flag.swap(0, Ordering::Relaxed) != 0
    }

    fn copy_in(&self, at: usize, bytes: &[u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: `place` has checked the bounds, and `bytes` is memory of this process. A peer that looks or
        // writes at the same time gets, or makes, other bytes, and nothing more: no reference to them exists.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) }
    }

    fn copy_out(&self, at: usize, bytes: &mut [u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: as in `copy_in`; what is believed is the copy.
        unsafe { std::ptr::copy_nonoverlapping(place, bytes.as_mut_ptr(), bytes.len()) }
    }
}

/// A connection over two rings.
#[derive(Debug)]
pub(super) struct RingWire {
    out: Mutex<Producer>,
    input: Mutex<Consumer>,
    bell: UnixStream,
    /// Told when the bell was heard, for whoever of reader and writer did not take it.
    heard: Notify,
    has_ended: AtomicBool,
}

/// Makes the rings and hands them to the other end of `socket`, who calls [`take_ring`].
///
/// # Errors
/// When the system gives no memory, or the socket fails.
pub fn offer_ring(socket: UnixStream, settings: &TransportSettings) -> io::Result<Wire> {
    let capacity = match settings.buffer_size {
        0 => DEFAULT_CAPACITY,
        size => size.clamp(SMALLEST, LARGEST).next_power_of_two(),
    };
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create("symphony-ring", flags)?);
    file.set_len(2 * (HEADER + capacity) as u64)?;
    rustix::fs::fcntl_add_seals(&file, SEALS)?;
    let map = Arc::new(MmapOptions::new().map_raw(&file)?);
    hand_over(&socket, file.as_fd())?;
    Ok(Wire::from_ring(RingWire::new(map, capacity, socket, true)))
}

/// Takes the rings that the other end of `socket` offers, within the settings' time.
///
/// # Errors
/// When it offers something else: a file that is not sealed, or of an impossible size; or nothing in time.
pub async fn take_ring(socket: UnixStream, settings: &TransportSettings) -> io::Result<Wire> {
    let taken = tokio::time::timeout(settings.timeout, receive(&socket)).await;
    let file = File::from(taken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??);
    let seals = rustix::fs::fcntl_get_seals(&file)?;
    if !seals.contains(SEALS) {
        return Err(refused("is not sealed"));
    }
    let size = usize::try_from(file.metadata()?.len()).map_err(|_| refused("is too large"))?;
    let capacity = (size / 2).saturating_sub(HEADER);
    let fits = capacity.is_power_of_two() && (SMALLEST..=LARGEST).contains(&capacity);
    if !fits || size % 2 != 0 {
        return Err(refused("has an impossible size"));
    }
    let map = Arc::new(MmapOptions::new().map_raw(&file)?);
    Ok(Wire::from_ring(RingWire::new(map, capacity, socket, false)))
}

fn refused(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the shared memory that the peer offers {why}"),
    )
}

fn hand_over(socket: &UnixStream, file: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    let files = [file];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    assert!(message.push(SendAncillaryMessage::ScmRights(&files)));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(&[OFFER])], &mut message, flags)?;
    Ok(())
}

async fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let take = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let got = rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut message,
            flags,
        )?;
        let mut files = message.drain().flat_map(|part| match part {
            RecvAncillaryMessage::ScmRights(files) => files.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        match (got.bytes, files.next()) {
            (1, Some(file)) if byte == [OFFER] => Ok(file),
            (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Err(refused("is not there")),
        }
    };
    socket.async_io(Interest::READABLE, take).await
}

impl RingWire {
    fn new(map: Arc<MmapRaw>, capacity: usize, bell: UnixStream, is_first: bool) -> RingWire {
        let [first, second] = [0, HEADER + capacity].map(|start| {
            Arc::new(Mapped {
                map: map.clone(),
                start,
                capacity,
            })
        });
        let (out, input) = if is_first {
            (first, second)
        } else {
            (second, first)
        };
        RingWire {
            out: Mutex::new(Producer::new(out)),
            input: Mutex::new(Consumer::new(input)),
            bell,
            heard: Notify::new(),
            has_ended: AtomicBool::new(false),
        }
    }

    pub(super) fn into_halves(self) -> (Producer, Consumer) {
        (self.out.into_inner(), self.input.into_inner())
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.sleep(|| self.input.lock().may_sleep()).await
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.sleep(|| self.out.lock().may_sleep()).await
    }

    /// Sleeps until the bell rings, or not at all when `may_sleep` says that there is something to do.
    async fn sleep(&self, may_sleep: impl Fn() -> Result<bool, Corrupt>) -> io::Result<()> {
        // Registered before the flag goes up: a ring that the other half takes is not missed.
        let heard = self.heard.notified();
        tokio::pin!(heard);
        heard.as_mut().enable();
        if self.has_ended.load(Ordering::Acquire) || !may_sleep().map_err(broken)? {
            return Ok(());
        }
        tokio::select! {
            () = heard => {}
            readable = self.bell.readable() => {
                readable?;
                self.take_bell();
            }
        }
        Ok(())
    }

    fn take_bell(&self) {
        let mut rings = [0; 64];
        match self.bell.try_read(&mut rings) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(count) if count > 0 => {}
            // Its end, or its failure.
            _ => self.has_ended.store(true, Ordering::Release),
        }
        self.heard.notify_waiters();
    }

    fn ring(&self) {
        // A full socket has rings enough; a broken one is found by who listens.
        let _ = rustix::net::send(
            &self.bell,
            &[BELL],
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        );
    }

    pub(super) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let has_ended = self.has_ended.load(Ordering::Acquire);
        let mut input = self.input.lock();
        let available = input.available().map_err(broken)?.min(READ_SIZE);
        if available == 0 {
            return match has_ended {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let start = buffer.len();
        buffer.put_bytes(0, available);
        let count = input.read(&mut buffer[start..]).map_err(broken)?;
        buffer.truncate(start + count);
        if input.must_ring() {
            drop(input);
            self.ring();
        }
        Ok(count)
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_ended.load(Ordering::Acquire) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut out = self.out.lock();
        let count = out.write(bytes).map_err(broken)?;
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if out.must_ring() {
            drop(out);
            self.ring();
        }
        Ok(count)
    }

    pub(super) fn shutdown(&self) {
        self.has_ended.store(true, Ordering::Release);
        // The socket may be gone already, which is what is wanted.
        let _ = rustix::net::shutdown(&self.bell, rustix::net::Shutdown::Both);
        self.heard.notify_waiters();
    }
}

fn broken(corrupt: Corrupt) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, corrupt)
}
