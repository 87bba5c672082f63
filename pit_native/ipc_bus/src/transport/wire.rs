//! A connected stream of bytes in both directions, over whichever transport.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::memory::RingWire;
use super::settings::TransportSettings;
use super::socket::Socket;
use crate::ring::{Consumer, Producer};

/// One connection. None of its methods but [`Wire::readable`] and [`Wire::writable`] waits.
#[derive(Debug)]
pub struct Wire(Way);

#[derive(Debug)]
enum Way {
    /// A Unix socket; on Linux that is also what a named pipe is.
    Socket(Socket),
    /// Two pipes, as they are standard input and output of a process.
    Pipes(Pipes),
    /// Two rings of shared memory; boxed, for it is many times larger than the others.
    Ring(Box<RingWire>),
}

/// The ends are let go on `shutdown`: that is how the other side learns of it.
#[derive(Debug)]
struct Pipes {
    input: pipe::Receiver,
    output: Mutex<Option<Arc<pipe::Sender>>>,
    ended: watch::Sender<bool>,
}

impl Wire {
    /// A connected Unix socket. Needs a Tokio runtime around it.
    ///
    /// # Errors
    /// When the system does not take the buffer's size, or cannot watch it.
    pub fn from_socket(stream: UnixStream, settings: &TransportSettings) -> io::Result<Wire> {
        if settings.buffer_size > 0 {
            rustix::net::sockopt::set_socket_send_buffer_size(&stream, settings.buffer_size)?;
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, settings.buffer_size)?;
        }
        Ok(Wire(Way::Socket(Socket::new(stream)?)))
    }

    /// Two pipes: `input` is read from, `output` written to. Needs a Tokio runtime around it.
    ///
    /// # Errors
    /// When they are no pipes, or the system does not take the buffer's size.
    pub fn from_pipes(
        input: OwnedFd,
        output: OwnedFd,
        settings: &TransportSettings,
    ) -> io::Result<Wire> {
        if settings.buffer_size > 0 {
            for end in [input.as_fd(), output.as_fd()] {
                rustix::pipe::fcntl_setpipe_size(end, settings.buffer_size)?;
            }
        }
        Ok(Wire(Way::Pipes(Pipes {
            input: pipe::Receiver::from_owned_fd(input)?,
            output: Mutex::new(Some(pipe::Sender::from_owned_fd(output)?.into())),
            ended: watch::Sender::new(false),
        })))
    }

    pub(super) fn from_ring(ring: RingWire) -> Wire {
        Wire(Way::Ring(Box::new(ring)))
    }

    /// The socket, where this is one: only through a socket can descriptors be handed over.
    pub(crate) fn socket(&self) -> Option<&Socket> {
        match &self.0 {
            Way::Socket(socket) => Some(socket),
            Way::Pipes(_) | Way::Ring(_) => None,
        }
    }

    /// The bare rings of a connection over shared memory, for a thread that looks for data all the time
    /// instead of waiting: who writes and who reads, and nothing else may use this connection then.
    pub fn into_rings(self) -> Option<(Producer, Consumer)> {
        match self.0 {
            Way::Ring(ring) => Some(ring.into_halves()),
            Way::Socket(_) | Way::Pipes(_) => None,
        }
    }

    /// Waits until something can be read, or the connection has ended. It may be wrong: then reading says
    /// `WouldBlock`.
    ///
    /// # Errors
    /// The connection's.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.0 {
            Way::Socket(socket) => socket.readable().await,
            Way::Pipes(pipes) => {
                let mut ended = pipes.ended.subscribe();
                tokio::select! {
                    biased;
                    readable = pipes.input.readable() => readable,
                    _ = ended.wait_for(|has_ended| *has_ended) => Ok(()),
                }
            }
            Way::Ring(ring) => ring.readable().await,
        }
    }

    /// Waits until something can be written, as [`Wire::readable`] does.
    ///
    /// # Errors
    /// The connection's.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.0 {
            Way::Socket(socket) => socket.writable().await,
            Way::Pipes(pipes) => {
                let output = pipes.output.lock().clone();
                let Some(output) = output else {
                    return Ok(());
                };
                let mut ended = pipes.ended.subscribe();
                tokio::select! {
                    biased;
                    writable = output.writable() => writable,
                    _ = ended.wait_for(|has_ended| *has_ended) => Ok(()),
                }
            }
            Way::Ring(ring) => ring.writable().await,
        }
    }

    /// Reads what is there, at most as much as `buffer` has room for; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; else the connection's.
    pub fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match &self.0 {
            Way::Socket(socket) => {
                // SAFETY: nothing but what the kernel writes there is ever read.
                let room = unsafe { buffer.chunk_mut().as_uninit_slice_mut() };
                let arrival = socket.receive(room)?;
                // SAFETY: the kernel has written so many bytes there.
                unsafe { buffer.advance_mut(arrival.bytes) };
                Ok(arrival.bytes)
            }
            Way::Pipes(pipes) => {
                if *pipes.ended.borrow() {
                    return Ok(0);
                }
                pipes.input.try_read_buf(&mut buffer.limit(READ_SIZE))
            }
            Way::Ring(ring) => ring.try_read_buf(buffer),
        }
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; else the connection's.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Way::Socket(socket) => socket.send(bytes, &[]),
            Way::Pipes(pipes) => match &*pipes.output.lock() {
                Some(output) => output.try_write(bytes),
                None => Err(io::ErrorKind::BrokenPipe.into()),
            },
            Way::Ring(ring) => ring.try_write(bytes),
        }
    }

    /// Ends both directions; who waits here or there learns of it.
    pub fn shutdown(&self) {
        match &self.0 {
            Way::Socket(socket) => socket.shutdown(),
            Way::Pipes(pipes) => {
                drop(pipes.output.lock().take());
                pipes.ended.send_replace(true);
            }
            Way::Ring(ring) => ring.shutdown(),
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The connection's.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for bytes and reads them; 0 at the end. Cancel-safe.
    ///
    /// # Errors
    /// The connection's.
    pub async fn read_some(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match self.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }
}

/// A pipe gives at most what its system's buffer holds.
const READ_SIZE: usize = 64 << 10;
