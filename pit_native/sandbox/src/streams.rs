//! The standard streams of a sandbox.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

use crate::error::SandboxError;
use crate::spawn::host;
use crate::spec::Stdio;

/// The three standard streams of the sandbox.
pub struct Streams {
    chosen: [RawFd; 3],
    /// Kept open for the streams that are null.
    _null: Option<File>,
}

impl Streams {
    /// Opens what `wanted` names.
    pub fn open(wanted: &[Stdio; 3]) -> Result<Self, SandboxError> {
        let null = if wanted.contains(&Stdio::Null) {
            let file = File::options().read(true).write(true).open("/dev/null");
            Some(file.map_err(host("opening /dev/null"))?)
        } else {
            None
        };
        let mut chosen = [0; 3];
        for (number, stream) in wanted.iter().enumerate() {
            chosen[number] = match stream {
                Stdio::Inherit => number as RawFd,
                Stdio::Fd(fd) => *fd,
                Stdio::Null => null.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            };
            refuse_folder(number, chosen[number])?;
        }
        Ok(Self {
            chosen,
            _null: null,
        })
    }

    /// Input, output and error.
    pub fn descriptors(&self) -> [RawFd; 3] {
        self.chosen
    }
}

/// A folder as a stream would be a door out: paths can be opened relative to it.
fn refuse_folder(number: usize, fd: RawFd) -> Result<(), SandboxError> {
    // SAFETY: `status` has room for the answer.
    let mode = unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &mut status) < 0 {
            return Err(SandboxError::host("a standard stream is not open"));
        }
        status.st_mode & libc::S_IFMT
    };
    if mode == libc::S_IFDIR || mode == libc::S_IFBLK {
        let reason = format!(
            "[{number}] is a folder or a disk, which would open the host's files to the sandbox"
        );
        return Err(SandboxError::InvalidSpec {
            field: "stdio",
            reason,
        });
    }
    Ok(())
}
