//! A Unix socket that wakes its reader for what there is to read, and for nothing else.
//!
//! Tokio's own socket is watched for both directions at once: each time that the peer reads, the kernel says that
//! there is room again and a thread wakes for nothing, once for every message. Here room is waited for only where
//! there was none.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use payload::Arrival;
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A connected Unix socket.
#[derive(Debug)]
pub(crate) struct Socket(AsyncFd<UnixStream>);

impl Socket {
    /// Watches it in the runtime around it.
    ///
    /// # Errors
    /// When the system cannot watch it.
    pub(crate) fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        Ok(Self(watch(stream.into_std()?, Interest::READABLE)?))
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }

    /// Waits for room. A descriptor that is watched anew is told at once of room that there is already.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        let again = self.0.get_ref().as_fd().try_clone_to_owned()?;
        let watched = watch(again, Interest::WRITABLE)?;
        watched.writable().await.map(drop)
    }

    /// Reads what is there, descriptors too.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; else the socket's.
    pub(crate) fn receive(&self, room: &mut [MaybeUninit<u8>]) -> io::Result<Arrival> {
        let mut arrived = None;
        let read = self.0.try_io(Interest::READABLE, |socket| {
            let arrival = payload::receive(socket.as_fd(), room)?;
            // Where the room was not filled nothing is left, and the next read can wait for the socket instead of
            // asking in vain. Only what came with descriptors ends a read early.
            let is_drained =
                (1..room.len()).contains(&arrival.bytes) && arrival.descriptors.is_empty();
            arrived = Some(arrival);
            match is_drained {
                true => Err(ErrorKind::WouldBlock.into()),
                false => Ok(()),
            }
        });
        match (arrived, read) {
            (Some(arrival), _) => Ok(arrival),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes what there is room for, descriptors on the first byte.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; else the socket's.
    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
        let socket = self.0.get_ref();
        if descriptors.is_empty() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            return Ok(rustix::net::send(socket, bytes, flags)?);
        }
        payload::send(socket.as_fd(), bytes, descriptors)
    }

    pub(crate) fn shutdown(&self) {
        // It may be gone already, which is what is wanted.
        let _ = self.0.get_ref().shutdown(std::net::Shutdown::Both);
    }
}

fn watch<T: Into<OwnedFd> + AsRawFd>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: an owner of a descriptor refers to the same open file for as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(owner, interest) }?)
}
