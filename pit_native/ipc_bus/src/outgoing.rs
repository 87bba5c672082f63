//! Frames on their way out: written at once when the socket takes them, queued in order when not.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::transport::Wire;

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
    frames: VecDeque<Vec<u8>>,
    /// How much of the first frame is written.
    written: usize,
    /// Bytes that wait.
    bytes: usize,
    is_closed: bool,
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
    pub(crate) fn send(&self, frame: Vec<u8>) {
        let mut queue = self.queue.lock();
        if queue.is_closed {
            return;
        }
        let mut written = 0;
        if queue.frames.is_empty() {
            while written < frame.len() {
                match self.stream.try_write(&frame[written..]) {
                    Ok(count) => written += count,
                    // The socket is full, or broken: the writer and the reader learn why.
                    Err(_) => break,
                }
            }
            if written == frame.len() {
                return;
            }
            queue.written = written;
        }
        queue.bytes += frame.len() - written;
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
                Err(error) => return WriterEnd::Failed(error),
            }
        }
    }

    fn write_queued(&self) -> io::Result<Progress> {
        let mut queue = self.queue.lock();
        loop {
            if queue.is_closed {
                return Ok(Progress::Closed);
            }
            let start = queue.written;
            let Some(frame) = queue.frames.front() else {
                return Ok(Progress::Empty);
            };
            match self.stream.try_write(&frame[start..]) {
                Ok(count) => {
                    let is_done = start + count == frame.len();
                    let was_full = queue.bytes >= self.limit;
                    queue.bytes -= count;
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
                Err(error) => return Err(error),
            }
        }
    }
}

enum Progress {
    Empty,
    Full,
    Closed,
}
