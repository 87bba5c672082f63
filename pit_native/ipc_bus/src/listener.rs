//! A socket for one Player: its owner alone can reach it, and it goes when it has served.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

use crate::error::BusError;

/// An open socket in the file system. Dropping it removes the file.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Makes the socket. Needs a Tokio runtime around it.
    pub(crate) fn open(path: &Path) -> Result<Listener, BusError> {
        let socket = listen(path).map_err(|error| BusError::Listen(path.to_owned(), error))?;
        Ok(Listener {
            socket,
            path: path.to_owned(),
        })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    remove_stale(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The mode of the unbound socket is that of the file to come, so that there is no moment in
    // which another user could connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, path)?;
    rustix::net::listen(&socket, 4)?;
    UnixListener::from_std(socket.into())
}

/// Binds below the folder's descriptor where the path is longer than a socket's address may be
/// (107 bytes): a home may lie as deep as its user likes.
fn bind(socket: &OwnedFd, path: &Path) -> io::Result<()> {
    if let Ok(address) = SocketAddrUnix::new(path) {
        return Ok(rustix::net::bind(socket, &address)?);
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let short = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    Ok(rustix::net::bind(socket, &SocketAddrUnix::new(&short)?)?)
}

/// A socket file that a killed host left is in the way; anything else there is not ours to remove.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) => {
            std::fs::remove_file(path)
        }
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is no socket is there",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Already gone when the home was removed; a file left behind is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}
