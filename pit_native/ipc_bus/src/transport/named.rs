//! Named pipes, through `interprocess`: a named pipe on Windows, a Unix socket elsewhere.
//!
//! Nothing of this crate has been built or run on Windows. There its sockets' part would have to be left out,
//! and the conversions below replaced by those to Tokio's named pipes.

use std::io;
use std::path::Path;

use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::{GenericFilePath, ListenerOptions};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use tokio::net::UnixStream;

use super::settings::{TransportSettings, connect};
use super::wire::Wire;
use crate::peer::{self, Credentials};

/// Waits for connections to a named pipe, which goes when this is dropped.
#[derive(Debug)]
pub struct NamedListener {
    listener: Listener,
    settings: TransportSettings,
}

/// Opens a named pipe that this user alone can reach. `name` is a path; on Windows it would begin with
/// `\\.\pipe\`. Needs a Tokio runtime around it.
///
/// # Errors
/// When the name is taken or the system refuses it.
pub fn listen_named(name: &Path, settings: &TransportSettings) -> io::Result<NamedListener> {
    let options = ListenerOptions::new().name(name.to_fs_name::<GenericFilePath>()?);
    Ok(NamedListener {
        listener: options.mode(0o600).create_tokio()?,
        settings: *settings,
    })
}

impl NamedListener {
    /// The next connection, and the process that made it, as the kernel says.
    ///
    /// # Errors
    /// The listener's, or when the process is not known.
    pub async fn accept(&self) -> io::Result<(Wire, Credentials)> {
        let stream = socket_of(self.listener.accept().await?);
        let credentials = peer::credentials(&stream)?;
        Ok((Wire::from_socket(stream, &self.settings)?, credentials))
    }
}

/// Connects to a named pipe, as often as the settings say.
///
/// # Errors
/// The last try's.
pub async fn connect_named(name: &Path, settings: &TransportSettings) -> io::Result<Wire> {
    let connected = connect(settings, || async {
        Stream::connect(name.to_fs_name::<GenericFilePath>()?).await
    });
    Wire::from_socket(socket_of(connected.await?), settings)
}

fn socket_of(stream: Stream) -> UnixStream {
    match stream {
        Stream::UdSocket(stream) => stream.into(),
    }
}
