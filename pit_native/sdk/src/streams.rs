//! Standard input and output as a socket, for a program whose manifest says `transport = "stdio"`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// One end of a socket whose other end two threads join with the standard streams.
pub(crate) struct Streams {
    socket: UnixStream,
    output: JoinHandle<()>,
}

impl Streams {
    pub fn open() -> io::Result<Self> {
        let (socket, inner) = UnixStream::pair()?;
        // Not through the library's own buffers: what is sent is sent at once.
        let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let mut inward = inner.try_clone()?;
        thread::spawn(move || {
            // The host's end, or a failure, which ends the session just so.
            let _ = forward(&mut input, &mut inward);
            let _ = inward.shutdown(Shutdown::Write);
        });
        let mut outward = inner;
        let output = thread::spawn(move || {
            let _ = forward(&mut outward, &mut output);
        });
        Ok(Self { socket, output })
    }

    pub fn socket(&self) -> io::Result<UnixStream> {
        self.socket.try_clone()
    }

    /// Waits until all that was sent is written.
    pub fn finish(self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.output.join();
    }
}

/// Carries bytes over until the end. `io::copy` would splice, and the kernel then holds the pipe while it waits for
/// the socket: nobody could read what is in it.
fn forward(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
