//! Named pipes and sockets of the host in a folder that is shown: each is hidden by an empty file, for behind its
//! name there would be a process of the host.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use super::root::kind_of;
use crate::sys::{self, attribute};

/// Folders within folders. Each that is being read holds a descriptor.
const DEEPEST: usize = 256;
const LISTING: libc::c_int = libc::O_RDONLY | libc::O_DIRECTORY;
const NOTHING: &str = "/.nothing";
const HIDDEN: u64 =
    attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEVICES | attribute::NO_EXECUTE;

/// Hides every named pipe and socket at and below `tree`, which is mounted in the root that is being built.
///
/// Nothing is opened by a path, so that no link leads out of the tree. What is made there later is not hidden.
pub fn hide_channels(tree: RawFd) -> io::Result<()> {
    let mut masks = Masks { nothing: None };
    let walked = match open_at(tree, c".", LISTING) {
        Ok(folder) => masks.walk(folder, 0),
        Err(error) if is_passed_over(&error) => Ok(()),
        Err(error) => Err(error),
    };
    if masks.nothing.is_some() {
        fs::remove_file(NOTHING)?;
    }
    walked
}

struct Masks {
    /// The empty file, made for the first that is hidden.
    nothing: Option<OwnedFd>,
}

impl Masks {
    /// Reads `folder` to its end and closes it.
    fn walk(&mut self, folder: OwnedFd, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!(
                "it has folders that lie more than {DEEPEST} deep"
            )));
        }
        let mut entries = Entries::of(folder)?;
        while let Some((name, mut kind)) = entries.next()? {
            if kind == libc::DT_UNKNOWN {
                kind = match open_at(entries.fd(), &name, libc::O_PATH) {
                    Ok(entry) => (kind_of(entry.as_raw_fd())? >> 12) as u8,
                    Err(error) if is_passed_over(&error) => continue,
                    Err(error) => return Err(error),
                };
            }
            let flags = match kind {
                libc::DT_DIR => LISTING,
                libc::DT_FIFO | libc::DT_SOCK => libc::O_PATH,
                _ => continue,
            };
            match open_at(entries.fd(), &name, flags) {
                Ok(entry) if kind == libc::DT_DIR => self.walk(entry, depth + 1)?,
                Ok(entry) => self.hide(entry.as_raw_fd())?,
                Err(error) if is_passed_over(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whatever it is by now: nothing else has a place where a named pipe or a socket was a moment ago.
    fn hide(&mut self, channel: RawFd) -> io::Result<()> {
        if kind_of(channel)? == libc::S_IFDIR {
            return Ok(());
        }
        if self.nothing.is_none() {
            fs::File::create_new(NOTHING)?;
            self.nothing = Some(sys::open_path(c"/.nothing")?);
        }
        if let Some(nothing) = &self.nothing {
            let mask = sys::clone_tree(nothing.as_raw_fd())?;
            sys::restrict_mount(mask.as_raw_fd(), c"", HIDDEN, false)?;
            sys::attach_mount_over(mask.as_raw_fd(), channel)?;
        }
        Ok(())
    }
}

/// Gone or replaced since it was listed, or a folder that may be listed neither outside nor inside.
fn is_passed_over(error: &io::Error) -> bool {
    let passed = [libc::ENOENT, libc::ENOTDIR, libc::ELOOP, libc::EACCES];
    error
        .raw_os_error()
        .is_some_and(|number| passed.contains(&number))
}

fn open_at(folder: RawFd, name: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the name lives across the call.
    let fd = unsafe { libc::openat(folder, name.as_ptr(), flags) };
    sys::check(fd.into())?;
    // SAFETY: a fresh descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The entries of a folder with what the kernel says they are, without asking for each.
struct Entries(NonNull<libc::DIR>);

impl Entries {
    fn of(folder: OwnedFd) -> io::Result<Self> {
        let fd = folder.into_raw_fd();
        // SAFETY: the descriptor is the stream's from here on.
        NonNull::new(unsafe { libc::fdopendir(fd) })
            .map(Self)
            .ok_or_else(io::Error::last_os_error)
    }

    fn fd(&self) -> RawFd {
        // SAFETY: the stream is open as long as `self` lives.
        unsafe { libc::dirfd(self.0.as_ptr()) }
    }

    fn next(&mut self) -> io::Result<Option<(CString, u8)>> {
        loop {
            // SAFETY: the stream is open and nobody else's; the entry is copied before the next call.
            unsafe {
                *libc::__errno_location() = 0;
                let entry = libc::readdir64(self.0.as_ptr());
                if entry.is_null() {
                    let error = io::Error::last_os_error();
                    return if error.raw_os_error() == Some(0) {
                        Ok(None)
                    } else {
                        Err(error)
                    };
                }
                let name = CStr::from_ptr((*entry).d_name.as_ptr());
                if name != c"." && name != c".." {
                    return Ok(Some((name.to_owned(), (*entry).d_type)));
                }
            }
        }
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        // SAFETY: the stream is open and nobody else's.
        unsafe { libc::closedir(self.0.as_ptr()) };
    }
}
