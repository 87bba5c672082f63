//! The Linux system calls that the standard library lacks, each as one checked function.

use std::ffi::CStr;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// `MOUNT_ATTR_*` bits that the crate uses.
pub mod attribute {
    /// Read-only.
    pub const READ_ONLY: u64 = 0x1;
    /// Set-user-id bits mean nothing.
    pub const NO_SUID: u64 = 0x2;
    /// Device nodes mean nothing.
    pub const NO_DEVICES: u64 = 0x4;
    /// Nothing can be executed.
    pub const NO_EXECUTE: u64 = 0x8;
}

const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_FROM_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_TO_EMPTY_PATH: libc::c_uint = 0x40;
const RESOLVE_IN_ROOT: u64 = 0x10;

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// The result of a call that answers -1 with `errno`.
pub fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    // SAFETY: the caller passes the fresh descriptor that a system call has just returned.
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Opens `path` as seen from `root`: absolute links and `..` stay beneath it. For naming only (`O_PATH`).
pub fn open_beneath(root: RawFd, path: &CStr) -> io::Result<OwnedFd> {
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_IN_ROOT,
    };
    // SAFETY: `how` and `path` live across the call, the size is that of `how`.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root,
            path.as_ptr(),
            &how,
            size_of::<OpenHow>(),
        )
    })
}

/// Opens `path` for naming only (`O_PATH`).
pub fn open_path(path: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the path lives across the call.
    owned(unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) }.into())
}

/// A detached copy of the mounts at and below what `fd` names.
pub fn clone_tree(fd: RawFd) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE
        | (libc::O_CLOEXEC | libc::AT_EMPTY_PATH | libc::AT_RECURSIVE) as libc::c_uint;
    // SAFETY: the empty path is a constant.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, fd, c"".as_ptr(), flags) })
}

/// Adds attributes to the mount `fd`, and to those below it when `recursive`.
pub fn restrict_mount(fd: RawFd, path: &CStr, set: u64, recursive: bool) -> io::Result<()> {
    let attributes = MountAttributes {
        set,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `attributes` and `path` live across the call, the size is that of `attributes`.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            path.as_ptr(),
            flags as libc::c_uint,
            &attributes,
            size_of::<MountAttributes>(),
        )
    })
    .map(drop)
}

/// Attaches the detached mount `fd` at `target`.
pub fn attach_mount(fd: RawFd, target: &CStr) -> io::Result<()> {
    // SAFETY: both paths live across the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            fd,
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_FROM_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Attaches the detached mount `fd` over what `target` names, whatever its path is by now.
pub fn attach_mount_over(fd: RawFd, target: RawFd) -> io::Result<()> {
    let flags = MOVE_MOUNT_FROM_EMPTY_PATH | MOVE_MOUNT_TO_EMPTY_PATH;
    // SAFETY: both paths are constants.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            fd,
            c"".as_ptr(),
            target,
            c"".as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// `mount(2)`.
pub fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: libc::c_ulong,
    data: &CStr,
) -> io::Result<()> {
    // SAFETY: all strings live across the call.
    check(
        unsafe {
            libc::mount(
                source.as_ptr(),
                target.as_ptr(),
                kind.as_ptr(),
                flags,
                data.as_ptr().cast(),
            )
        }
        .into(),
    )
    .map(drop)
}

/// Makes `new_root` the root and moves the old one to `put_old`.
pub fn pivot_root(new_root: &CStr, put_old: &CStr) -> io::Result<()> {
    // SAFETY: both paths live across the call.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, new_root.as_ptr(), put_old.as_ptr()) })
        .map(drop)
}

/// Takes the mount at `target` out of sight; it ends when nothing uses it any more.
pub fn detach_mount(target: &CStr) -> io::Result<()> {
    // SAFETY: the path lives across the call.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }.into()).map(drop)
}

/// `prctl(2)` with up to two arguments, the others zero.
pub fn prctl(
    operation: libc::c_int,
    first: libc::c_ulong,
    second: libc::c_ulong,
) -> io::Result<()> {
    // SAFETY: the operations that this crate uses take integers only.
    check(
        unsafe {
            libc::prctl(
                operation,
                first,
                second,
                0 as libc::c_ulong,
                0 as libc::c_ulong,
            )
        }
        .into(),
    )
    .map(drop)
}

/// Blocks exactly the signals of `mask` (bit 0 is signal 1), those that the C library keeps to itself included;
/// answers with those that were blocked before.
pub fn set_signal_mask(mask: u64) -> io::Result<u64> {
    let mut before = 0u64;
    // SAFETY: both sets live across the call and have the stated size.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            size_of::<u64>(),
        )
    })
    .map(|_| before)
}

/// Gives every signal its default effect. Fails for `SIGKILL` and `SIGSTOP`, whose effect is always that.
pub fn reset_signals() {
    // The kernel's structure: handler, flags, restorer, mask.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the structure lives across the call; no old one is asked for.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null::<u64>(),
                size_of::<u64>(),
            )
        };
    }
}

/// A descriptor from which the signals of `mask` are read; close-on-exec, never waits.
pub fn signal_descriptor(mask: u64) -> io::Result<OwnedFd> {
    // SAFETY: the set lives across the call and has the stated size.
    owned(unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const mask,
            size_of::<u64>(),
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )
    })
}

/// A pair of connected packet sockets, close-on-exec.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut pair = [0; 2];
    // SAFETY: `pair` has room for two descriptors.
    check(
        unsafe {
            libc::socketpair(
                libc::AF_UNIX,
                libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
                0,
                pair.as_mut_ptr(),
            )
        }
        .into(),
    )?;
    // SAFETY: the call succeeded, both descriptors are fresh.
    Ok(unsafe { (OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1])) })
}

/// Makes the kernel attach the sender's pid to every packet that arrives on `socket`, and limits waiting.
pub fn want_credentials(socket: &OwnedFd, seconds: i64) -> io::Result<()> {
    let on: libc::c_int = 1;
    let limit = libc::timeval {
        tv_sec: seconds,
        tv_usec: 0,
    };
    // SAFETY: both values live across their call and have the stated sizes.
    unsafe {
        check(
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PASSCRED,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
            .into(),
        )?;
        check(
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const limit).cast(),
                size_of::<libc::timeval>() as libc::socklen_t,
            )
            .into(),
        )?;
    }
    Ok(())
}

/// Sends one packet; never raises SIGPIPE.
pub fn send(socket: RawFd, packet: &[u8]) -> io::Result<()> {
    loop {
        // SAFETY: the buffer lives across the call.
        let sent = unsafe {
            libc::send(
                socket,
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_NOSIGNAL,
            )
        };
        match check(sent as libc::c_long) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends one packet with descriptors, at most [`MOST_PASSED`], which stay open here.
pub fn send_with(socket: RawFd, packet: &[u8], passed: &[RawFd]) -> io::Result<()> {
    if passed.is_empty() || passed.len() > MOST_PASSED {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let size = size_of_val(passed);
    let mut ancillary = Ancillary([0; ANCILLARY]);
    let mut piece = libc::iovec {
        iov_base: packet.as_ptr().cast_mut().cast(),
        iov_len: packet.len(),
    };
    // SAFETY: a zeroed header is valid; the pointers set below outlive the call, and the buffer has room for
    // the one message that is written into it.
    let header = unsafe {
        let mut header: libc::msghdr = zeroed();
        header.msg_iov = &mut piece;
        header.msg_iovlen = 1;
        header.msg_control = ancillary.0.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(size as u32) as _;
        let message = libc::CMSG_FIRSTHDR(&header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = libc::CMSG_LEN(size as u32) as _;
        ptr::copy_nonoverlapping(passed.as_ptr().cast(), libc::CMSG_DATA(message), size);
        header
    };
    loop {
        // SAFETY: as above.
        let sent = unsafe { libc::sendmsg(socket, &header, libc::MSG_NOSIGNAL) };
        match check(sent as libc::c_long) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The most descriptors that travel with one packet.
pub const MOST_PASSED: usize = 8;
/// Room for so many, and for credentials.
const ANCILLARY: usize = 128;

#[repr(align(8))]
struct Ancillary([u8; ANCILLARY]);

/// One packet: its length (0: the other end is closed), the sender's pid (0 if unknown), and the
/// descriptors that came with it.
pub struct Received {
    /// Bytes.
    pub length: usize,
    /// As the kernel attests it.
    pub pid: i32,
    /// Close-on-exec.
    pub passed: Vec<OwnedFd>,
}

/// Receives one packet.
pub fn receive(socket: RawFd, buffer: &mut [u8], flags: libc::c_int) -> io::Result<Received> {
    let mut ancillary = Ancillary([0; ANCILLARY]);
    let mut piece = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: a zeroed header is valid; the pointers set below outlive the call.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &mut piece;
    header.msg_iovlen = 1;
    header.msg_control = ancillary.0.as_mut_ptr().cast();
    header.msg_controllen = ancillary.0.len() as _;
    let length = loop {
        // SAFETY: as above.
        let length = unsafe { libc::recvmsg(socket, &mut header, flags | libc::MSG_CMSG_CLOEXEC) };
        match check(length as libc::c_long) {
            Ok(length) => break length as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    let mut received = Received {
        length,
        pid: 0,
        passed: Vec::new(),
    };
    // SAFETY: the kernel has filled the ancillary buffer; a credentials message holds a `ucred`, one of
    // rights fresh descriptors, of which every one is taken over.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    received.pid = ptr::read_unaligned(data.cast::<libc::ucred>()).pid;
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let bytes = (*message).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                    for number in 0..bytes / size_of::<RawFd>() {
                        let fd = ptr::read_unaligned(data.cast::<RawFd>().add(number));
                        received.passed.push(OwnedFd::from_raw_fd(fd));
                    }
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(&header, message);
        }
    }
    Ok(received)
}
