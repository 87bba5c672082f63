//! Who is at the other end of a socket: the kernel's word, never the peer's own.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use tokio::net::UnixStream;

/// The process and user that made the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Its process id as this process sees it.
    pub pid: u32,
    /// Its user id.
    pub uid: u32,
    /// Whether the kernel also confirmed the process by a descriptor, which a reused id cannot fool.
    pub confirmed: bool,
}

/// Asks the kernel who connected.
///
/// `SO_PEERCRED` gives the id that the process had when it connected. Where the kernel has
/// `SO_PEERPIDFD` (Linux 6.5), the descriptor must refer to a process with that same id that is
/// still alive; otherwise the id may meanwhile belong to another.
///
/// # Errors
/// When the kernel does not answer, or the process is gone.
pub(crate) fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let peer = stream.peer_cred()?;
    let pid = peer
        .pid()
        .and_then(|pid| u32::try_from(pid).ok())
        .unwrap_or(0);
    let confirmed = match peer_pidfd(stream)? {
        None => false,
        Some(pidfd) => {
            let alive = pid_of(&pidfd)?;
            if alive != Some(pid) {
                return Err(io::Error::new(
                    io::ErrorKind::NotConnected,
                    "the connecting process has ended",
                ));
            }
            true
        }
    };
    Ok(Credentials {
        pid,
        uid: peer.uid(),
        confirmed,
    })
}

/// The peer's process as a descriptor, or `None` where the kernel does not have the option.
fn peer_pidfd(stream: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut descriptor: libc::c_int = -1;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes into `descriptor`, which lives through the call.
    let status = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut descriptor).cast(),
            &raw mut size,
        )
    };
    if status == 0 {
        // SAFETY: the kernel has just given us this descriptor, and nobody else owns it.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOPROTOOPT | libc::EINVAL | libc::ENODATA) => Ok(None),
        _ => Err(error),
    }
}

/// The process id behind a pidfd; `None` when the process has ended.
fn pid_of(pidfd: &OwnedFd) -> io::Result<Option<u32>> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    Ok(line.and_then(|pid| pid.trim().parse().ok()))
}
