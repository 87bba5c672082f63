//! Where a Player and the host speak: a socket that its sandbox shows it, or its standard input and output.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use ipc_bus::transport::Wire;
use ipc_bus::{Bus, BusError, Credentials, Expect, Listener, Session};
use sandbox::{Mode, Mount, Spec, Stdio};

use crate::runtime_handler::PlayerHandler;
use crate::runtime_players::Theatre;

/// Where a Player finds its socket.
const SOCKET: &str = "/run/symphony/stage.sock";

/// Opened before the Player starts, gone through when it is there.
pub(crate) enum Door {
    Socket(Listener),
    Streams {
        input: OwnedFd,
        output: OwnedFd,
        /// The Player's ends, which nobody else has; let go once it is started.
        theirs: [OwnedFd; 2],
    },
}

impl Door {
    /// Opens it and says in the Player's `spec` where it is.
    pub(crate) fn open(
        theatre: &Theatre,
        is_stdio: bool,
        spec: &mut Spec,
    ) -> Result<Door, BusError> {
        spec.mounts
            .retain(|mount| mount.target.as_os_str() != SOCKET);
        if is_stdio {
            let (their_input, output) = std::io::pipe()?;
            let (input, their_output) = std::io::pipe()?;
            let theirs = [OwnedFd::from(their_input), their_output.into()];
            for (stream, end) in spec.stdio.iter_mut().zip(&theirs) {
                *stream = Stdio::Fd(end.as_raw_fd());
            }
            let (input, output) = (input.into(), output.into());
            return Ok(Door::Streams {
                input,
                output,
                theirs,
            });
        }
        let name = format!("{}-{}.sock", std::process::id(), theatre.next());
        let path = theatre.sockets.join(name);
        let listener = theatre.bus.listen(&path)?;
        spec.mounts.push(Mount {
            source: path,
            target: SOCKET.into(),
            mode: Mode::ReadWrite,
            plain: false,
            layers: Vec::new(),
        });
        Ok(Door::Socket(listener))
    }

    /// Waits for the started Player and greets it.
    pub(crate) async fn greet(
        self,
        bus: &Bus,
        expect: Expect,
        handler: Arc<PlayerHandler>,
    ) -> Result<Session, BusError> {
        match self {
            Door::Socket(listener) => bus.accept(listener, expect, handler).await,
            Door::Streams {
                input,
                output,
                theirs,
            } => {
                drop(theirs);
                let wire = Wire::from_pipes(input, output, bus.transport())?;
                // Nobody was given the other ends but the process that was started with them.
                let credentials = Credentials {
                    pid: expect.pid,
                    // SAFETY: it cannot fail.
                    uid: unsafe { libc::getuid() },
                    confirmed: true,
                };
                bus.adopt(wire, credentials, expect, handler).await
            }
        }
    }
}
