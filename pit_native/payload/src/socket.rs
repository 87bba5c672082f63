//! Bytes of a stream socket with descriptors on the first of them.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::DESCRIPTORS;

/// Writes what the socket takes, descriptors on the first byte. They are sent if any byte is.
///
/// # Errors
/// As `sendmsg(2)`; a peer that is gone is an error and no signal.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let sent = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    );
    Ok(sent?)
}

/// What one read brought.
#[derive(Debug)]
pub struct Arrival {
    /// Bytes written into the buffer; 0 at the end of the stream.
    pub bytes: usize,
    /// The descriptors that came with them.
    pub descriptors: Vec<OwnedFd>,
    /// Whether there were more descriptors than were wanted; the kernel has closed those.
    pub is_cut: bool,
}

/// Room for a control message with the most descriptors, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 128]);

const _: () = assert!(
    // SAFETY: arithmetic alone.
    unsafe { libc::CMSG_SPACE((DESCRIPTORS * size_of::<libc::c_int>()) as u32) } as usize
        <= size_of::<Control>()
);

/// Reads into `room` whatever is there, and at most [`DESCRIPTORS`] descriptors; none of them is inherited by
/// a program that is started.
///
/// # Errors
/// As `recvmsg(2)`.
pub fn receive(socket: BorrowedFd<'_>, room: &mut [MaybeUninit<u8>]) -> io::Result<Arrival> {
    let mut part = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: room.len(),
    };
    let mut control = Control([0; 128]);
    // SAFETY: a header of zeros is an empty one.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    // SAFETY: arithmetic alone.
    let space = unsafe { libc::CMSG_SPACE((DESCRIPTORS * size_of::<libc::c_int>()) as u32) };
    header.msg_controllen = space as _;
    // SAFETY: the header leads to memory that lives across the call and is as long as it says.
    let bytes = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC) };
    if bytes < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Arrival {
        bytes: bytes as usize,
        descriptors: descriptors_of(&header),
        is_cut: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// As [`receive`], behind what a buffer holds, as far as it has room.
///
/// # Errors
/// As [`receive`].
pub fn receive_more(socket: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<Arrival> {
    let arrival = receive(socket, buffer.spare_capacity_mut())?;
    // SAFETY: the kernel has written so many bytes there.
    unsafe { buffer.set_len(buffer.len() + arrival.bytes) };
    Ok(arrival)
}

/// All descriptors of a message that was received.
fn descriptors_of(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled the control buffer of the header, and these walk what it wrote there.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            if (message.cmsg_level, message.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let length = message.cmsg_len - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(message).cast::<libc::c_int>();
                for at in 0..length / size_of::<libc::c_int>() {
                    // Each of them is new and nobody else's.
                    descriptors.push(OwnedFd::from_raw_fd(data.add(at).read_unaligned()));
                }
            }
            next = libc::CMSG_NXTHDR(header, message);
        }
    }
    descriptors
}
