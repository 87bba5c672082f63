//! Where sessions come from: listening, accepting, greeting.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::runtime::Handle;

use crate::calls::Calls;
use crate::error::BusError;
use crate::fairness::Traffic;
use crate::frame::FrameBuffer;
use crate::handler::Handler;
use crate::handshake::{self, Expect};
use crate::limits::Limits;
use crate::listener::Listener;
use crate::peer::{self, Credentials};
use crate::reader;
use crate::session::Session;
use crate::transport::{TransportSettings, Wire};

/// Makes sessions; clones share the numbering.
#[derive(Clone)]
pub struct Bus {
    runtime: Handle,
    limits: Limits,
    transport: TransportSettings,
    sessions: Arc<AtomicU64>,
    traffic: Arc<Traffic>,
}

impl Bus {
    /// A bus whose sessions run on `runtime` under `limits`.
    pub fn new(runtime: Handle, limits: Limits) -> Self {
        Bus {
            runtime,
            limits,
            transport: TransportSettings::default(),
            sessions: Arc::new(AtomicU64::new(1)),
            traffic: Arc::new(Traffic::new(Instant::now())),
        }
    }

    /// The same bus with other settings of its transports.
    pub fn with_transport(mut self, settings: TransportSettings) -> Self {
        self.transport = settings;
        self
    }

    /// Where its sessions run. A connection is accepted or made on this runtime: the one whose driver first meets a
    /// descriptor goes on watching it.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The settings of its transports.
    pub fn transport(&self) -> &TransportSettings {
        &self.transport
    }

    /// The bounds of every session.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Opens a socket for one Player, mode 0600. Call it before the Player starts.
    ///
    /// # Errors
    /// [`BusError::Listen`].
    pub fn listen(&self, path: &Path) -> Result<Listener, BusError> {
        let _inside = self.runtime.enter();
        Listener::open(path)
    }

    /// Takes the one connection of the expected process and greets it. The socket file is gone
    /// afterwards, whatever happened. Connections of other processes are closed unheard.
    ///
    /// # Errors
    /// [`BusError::Timeout`] when it does not come or does not say hello, [`BusError::Hello`] when
    /// what it says is not what is expected, [`BusError::Malformed`] when it is no frame.
    pub async fn accept(
        &self,
        listener: Listener,
        expect: Expect,
        handler: Arc<dyn Handler>,
    ) -> Result<Session, BusError> {
        let mut strangers = 0;
        let timeout = expect.timeout;
        match tokio::time::timeout(
            timeout,
            self.accept_unbounded(listener, &expect, handler, &mut strangers),
        )
        .await
        {
            Ok(session) => session,
            Err(_) => Err(BusError::Timeout {
                waited: timeout,
                strangers,
            }),
        }
    }

    async fn accept_unbounded(
        &self,
        listener: Listener,
        expect: &Expect,
        handler: Arc<dyn Handler>,
        strangers: &mut usize,
    ) -> Result<Session, BusError> {
        let (stream, credentials) = take_expected(&listener, expect.pid, strangers).await?;
        drop(listener);
        let wire = Wire::from_socket(stream, &self.transport)?;
        self.begin(wire, credentials, expect, handler).await
    }

    /// Greets a peer over a connection that stands already: the pipes or the rings of a process that the host
    /// started. `credentials` say whose they are; who makes the connection knows.
    ///
    /// # Errors
    /// As [`Bus::accept`].
    pub async fn adopt(
        &self,
        wire: Wire,
        credentials: Credentials,
        expect: Expect,
        handler: Arc<dyn Handler>,
    ) -> Result<Session, BusError> {
        let timeout = expect.timeout;
        let begun =
            tokio::time::timeout(timeout, self.begin(wire, credentials, &expect, handler)).await;
        begun.unwrap_or(Err(BusError::Timeout {
            waited: timeout,
            strangers: 0,
        }))
    }

    async fn begin(
        &self,
        wire: Wire,
        credentials: Credentials,
        expect: &Expect,
        handler: Arc<dyn Handler>,
    ) -> Result<Session, BusError> {
        let id = self.sessions.fetch_add(1, Relaxed);
        let mut calls = Calls::new(random_half()?);
        let mut frames = FrameBuffer::new(self.limits.frame);
        let peer = handshake::greet(
            &wire,
            credentials,
            expect,
            &self.limits,
            &mut calls,
            &mut frames,
        )
        .await?;
        let _inside = self.runtime.enter();
        let session = Session::new(id, peer, self.limits.clone(), wire, calls, handler);
        let traffic = self.traffic.clone();
        self.runtime
            .spawn(reader::run(session.inner().clone(), frames, traffic));
        Ok(session)
    }
}

/// Waits for a connection of the process `pid`; any process of this user will do when it is 0.
async fn take_expected(
    listener: &Listener,
    pid: u32,
    strangers: &mut usize,
) -> Result<(UnixStream, Credentials), BusError> {
    loop {
        let (stream, _) = match listener.socket.accept().await {
            Ok(accepted) => accepted,
            // Descriptors may be free again in a moment; without the pause this would spin.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                tracing::warn!(%error, "no descriptor for a Player's connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match peer::credentials(&stream) {
            Ok(credentials) if pid == 0 || credentials.pid == pid => {
                return Ok((stream, credentials));
            }
            Ok(credentials) => {
                tracing::warn!(
                    pid = credentials.pid,
                    expected = pid,
                    "another process connected to a Player's socket"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "a connection whose process is unknown was refused")
            }
        }
        *strangers += 1;
    }
}

/// The half of the session's message ids that no other session shares.
fn random_half() -> Result<[u8; 8], BusError> {
    let mut half = [0; 8];
    let filled = rustix::rand::getrandom(&mut half, rustix::rand::GetRandomFlags::empty());
    match filled {
        Ok(count) if count == half.len() => Ok(half),
        Ok(_) => Err(std::io::Error::other("the kernel gave too few random bytes").into()),
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}
