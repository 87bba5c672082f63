//! Frames on their way out: written at once when the socket takes them, queued in order when not.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use payload::Parcel;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::transport::Wire;

/// How long to wait while too many descriptors are on their way.
const CROWDED: Duration = Duration::from_millis(5);

/// The writing half of a session.
pub(crate) struct Outgoing {
    stream: Arc<Wire>,
    limit: usize,
    queue: Mutex<Queue>,
    /// Told when something was queued.
    work: Notify,
    /// Told when the queue has room again.
    room: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    /// How much of the first frame is written.
    written: usize,
    /// Bytes that wait, in frames and in files beside them.
    bytes: usize,
    is_closed: bool,
}

struct Frame {
    bytes: Vec<u8>,
    /// They travel with its first byte.
    descriptors: Vec<OwnedFd>,
    /// Bytes of the files that those lead to.
    beside: usize,
}

/// Why the writer stopped.
pub(crate) enum WriterEnd {
    Closed,
    Stalled,
    Failed(io::Error),
}

impl Outgoing {
    pub(crate) fn new(stream: Arc<Wire>, limit: usize) -> Self {
        Outgoing {
            stream,
            limit,
            queue: Mutex::default(),
            work: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Sends a frame; what the socket does not take now, the writer sends. Never waits.
    ///
    /// The lock is held over the write so that frames never mix; the socket does not block.
    pub(crate) fn send(&self, bytes: Vec<u8>, parcel: Parcel) {
        let mut frame = Frame {
            bytes,
            beside: parcel.bytes,
            descriptors: parcel.descriptors,
        };
        let mut queue = self.queue.lock();
        if queue.is_closed {
            return;
        }
        let mut written = 0;
        if queue.frames.is_empty() {
            while written < frame.bytes.len() {
                match write(&self.stream, &mut frame, written) {
                    Ok(count) => written += count,
                    // The socket is full, or broken: the writer and the reader learn why.
                    Err(_) => break,
                }
            }
            if written == frame.bytes.len() {
                return;
            }
            queue.written = written;
        }
        queue.bytes += frame.bytes.len() - written + frame.beside;
        queue.frames.push_back(frame);
        drop(queue);
        self.work.notify_one();
    }

    /// Waits until fewer bytes wait than the limit. Cancel-safe.
    pub(crate) async fn wait_for_room(&self) {
        if self.has_room() {
            return;
        }
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.has_room() {
                return;
            }
            room.await;
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        let queue = self.queue.lock();
        queue.is_closed || queue.bytes < self.limit
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().bytes
    }

    /// Drops what waits and lets everyone go.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.is_closed = true;
        queue.frames.clear();
        queue.bytes = 0;
        drop(queue);
        self.work.notify_one();
        self.room.notify_waiters();
    }

    /// Writes what is queued until the session closes, the socket fails, or the peer stops reading.
    pub(crate) async fn run_writer(&self, stall: Duration) -> WriterEnd {
        let mut crowded = None;
        loop {
            match self.write_queued() {
                Ok(Progress::Closed) => return WriterEnd::Closed,
                Ok(Progress::Empty) => self.work.notified().await,
                Ok(Progress::Full) => {
                    match tokio::time::timeout(stall, self.stream.writable()).await {
                        Err(_) => return WriterEnd::Stalled,
                        Ok(Err(error)) => return WriterEnd::Failed(error),
                        Ok(Ok(())) => {}
                    }
                }
                // Nobody tells when there is room for descriptors again.
                Ok(Progress::Crowded) => {
                    if crowded.get_or_insert_with(Instant::now).elapsed() >= stall {
                        return WriterEnd::Stalled;
                    }
                    tokio::time::sleep(CROWDED).await;
                    continue;
                }
                Err(error) => return WriterEnd::Failed(error),
            }
            crowded = None;
        }
    }

    fn write_queued(&self) -> io::Result<Progress> {
        let mut queue = self.queue.lock();
        loop {
            if queue.is_closed {
                return Ok(Progress::Closed);
            }
            let start = queue.written;
            let Some(frame) = queue.frames.front_mut() else {
                return Ok(Progress::Empty);
            };
            match write(&self.stream, frame, start) {
                Ok(count) => {
                    let is_done = start + count == frame.bytes.len();
                    let beside = std::mem::take(&mut frame.beside);
                    let was_full = queue.bytes >= self.limit;
                    queue.bytes -= count + beside;
                    queue.written += count;
                    if is_done {
                        queue.frames.pop_front();
                        queue.written = 0;
                    }
                    if was_full && queue.bytes < self.limit {
                        self.room.notify_waiters();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Full);
                }
                Err(error) if is_crowded(&error) => return Ok(Progress::Crowded),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Writes what the connection takes of a frame that is written up to `start`.
fn write(stream: &Wire, frame: &mut Frame, start: usize) -> io::Result<usize> {
    let socket = match stream.socket() {
        Some(socket) if start == 0 && !frame.descriptors.is_empty() => socket,
        _ => return stream.try_write(&frame.bytes[start..]),
    };
    let count = socket.send(&frame.bytes, &frame.descriptors)?;
    frame.descriptors.clear();
    Ok(count)
}

/// Whether more descriptors of this user are on their way than may be, also those that others sent.
fn is_crowded(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ETOOMANYREFS)
}

enum Progress {
    Empty,
    Full,
    Crowded,
    Closed,
}
