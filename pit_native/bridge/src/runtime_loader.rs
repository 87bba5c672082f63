//! How a Player is started: socket, sandbox, handshake, activation.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use ipc_bus::Expect;
use pool_manager::{LoadError, Loader, Size};
use rmpv::Value;
use run_loop::ports::NodeError;
use sandbox::Child;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::runtime_door::Door;
use crate::runtime_handler::PlayerHandler;
use crate::runtime_launch::Launch;
use crate::runtime_models::Loaded;
use crate::runtime_pit::seconds_now;
use crate::runtime_players::{Entry, Theatre};
use crate::runtime_session::{PlayerSession, describe_exit};

/// Starts the Player of one pool entry.
pub(crate) struct PlayerLoader {
    pub(crate) theatre: Weak<Theatre>,
    pub(crate) key: Arc<str>,
    pub(crate) launch: Arc<Launch>,
}

impl Loader<Loaded> for PlayerLoader {
    fn load(&self, _id: &str) -> Result<Loaded, LoadError> {
        let theatre = self
            .theatre
            .upgrade()
            .ok_or_else(|| LoadError::new("the host is ending"))?;
        let extension = &self.launch.extension;
        let _starting = theatre.begin_start();
        theatre.tell(&self.key, extension, "loading", 0, String::new());
        let began = Instant::now();
        match self.start(&theatre) {
            Ok(player) => {
                let seconds = began.elapsed().as_secs_f64();
                theatre.tending.loaded(&self.key, seconds);
                theatre
                    .running
                    .lock()
                    .insert(self.key.clone(), Arc::downgrade(&player));
                theatre.tell(
                    &self.key,
                    extension,
                    "ready",
                    player.child.player_pid(),
                    String::new(),
                );
                // Where no page has asked for it: not beside the first Player's start, which it would slow down.
                if let Some(template) = &self.launch.template {
                    template.warm();
                }
                Ok(Loaded::Player(player))
            }
            Err(error) => {
                theatre.tell(&self.key, extension, "unloaded", 0, error.message.clone());
                Err(error)
            }
        }
    }

    fn measure(&self, _id: &str, loaded: &Loaded) -> Option<Size> {
        let player = loaded.player()?;
        let memory = player
            .child
            .memory_in_use()
            .or_else(|| resident(player.child.player_pid()))?;
        let gpu = player.meter.gpu_memory();
        Some(Size { memory, gpu })
    }

    fn check(&self, _id: &str, loaded: &Loaded) -> Result<(), String> {
        let Some(player) = loaded.player() else {
            return Ok(());
        };
        // Its session ends with it and says so at once; this finds what that should ever miss.
        if player.session.is_closed() {
            return Err("its session has ended".to_owned());
        }
        match player.child.wait(Some(Duration::ZERO)) {
            Ok(Some(exit)) => Err(format!("it ended: {}", describe_exit(exit))),
            _ => Ok(()),
        }
    }
}

/// Bytes of a process in main memory, where no control group counts them.
fn resident(pid: i32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: it only reads a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}

impl PlayerLoader {
    fn start(&self, theatre: &Arc<Theatre>) -> Result<Entry, LoadError> {
        let launch = &self.launch;
        let until = Instant::now() + launch.start_timeout;
        let mut spec = launch.spec.clone();
        let door = Door::open(theatre, launch.is_stdio, &mut spec)
            .map_err(|error| lasting(error.to_string()))?;
        // What it says in its hello; else it would have to read its manifest before it is ready.
        spec.env.extend([
            ("SYMPHONY_EXTENSION".into(), launch.extension.to_string()),
            ("SYMPHONY_EXTENSION_VERSION".into(), launch.version.clone()),
        ]);
        let child = match &launch.template {
            Some(template) => template.spawn(&spec).map(|(child, _)| child),
            None => sandbox::spawn(&theatre.launcher, &spec),
        };
        let child = Arc::new(child.map_err(|error| lasting(error.to_string()))?);
        let handler = Arc::new(PlayerHandler {
            theatre: Arc::downgrade(theatre),
            key: self.key.clone(),
            extension: launch.extension.clone(),
            project: launch.project.as_str().unwrap_or_default().into(),
            player: OnceLock::new(),
        });
        let expect = Expect {
            pid: u32::try_from(child.player_pid()).unwrap_or_default(),
            name: launch.extension.to_string(),
            grants: launch.grants.clone(),
            timeout: launch.start_timeout,
        };
        let accept = door.greet(&theatre.bus, expect, handler.clone());
        let session = theatre.bus.runtime().block_on(async {
            tokio::select! {
                biased;
                session = accept => session.map_err(|error| LoadError::new(error.to_string())),
                ended = ended(&child) => Err(LoadError::new(ended)),
                () = theatre.ended() => Err(LoadError::new("the host is ending")),
            }
        })?;
        let gpus = launch.has_gpus().then(|| {
            // How much memory they have free is asked before this Player takes some.
            theatre.pool.find_gpus();
            theatre.gpus.player(child.pid())
        });
        let player = PlayerSession::new(
            self.key.clone(),
            launch.extension.clone(),
            session,
            child.clone(),
            seconds_now(),
            gpus.flatten(),
        );
        let player = Arc::new(player);
        // The handler needs to know whose session ended; set once, before anything is called.
        let _ = handler.player.set(Arc::downgrade(&player));
        self.activate(
            theatre,
            &player,
            until.saturating_duration_since(Instant::now()),
        )?;
        Ok(player)
    }

    fn activate(&self, theatre: &Theatre, player: &Entry, left: Duration) -> Result<(), LoadError> {
        let launch = &self.launch;
        let body = Value::Map(vec![
            ("configuration".into(), launch.configuration.clone()),
            ("project".into(), launch.project.clone()),
            ("extension".into(), (&*launch.extension).into()),
            ("version".into(), launch.version.as_str().into()),
        ]);
        let activated = theatre.handle.block_on(async {
            let call = player.call("activate", body, "its activation", 0, Some(left));
            tokio::select! {
                biased;
                activated = tokio::time::timeout(left, call) => activated,
                () = theatre.ended() => Ok(Err(NodeError::new("crashed", "the host is ending", ""))),
            }
        });
        match activated {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.code == "crashed" => Err(LoadError::new(error.message)),
            Ok(Err(error)) => Err(lasting(error.message)),
            Err(_) => Err(LoadError::new(format!(
                "it was not ready within {} seconds",
                launch.start_timeout.as_secs_f64()
            ))),
        }
    }
}

/// A failure that trying again does not mend.
fn lasting(message: String) -> LoadError {
    LoadError {
        message,
        may_pass: false,
    }
}

/// Waits for the end of a process that was to connect.
async fn ended(child: &Child) -> String {
    let watched = child.pidfd().try_clone_to_owned().and_then(|pidfd| {
        // SAFETY: an owned descriptor names the same open file for as long as it lives.
        let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        Ok(watched?)
    });
    let Ok(watched) = watched else {
        return std::future::pending().await;
    };
    if watched.readable().await.is_err() {
        return std::future::pending().await;
    }
    match child.wait(Some(Duration::ZERO)) {
        Ok(Some(exit)) => format!("it ended before it was ready ({})", describe_exit(exit)),
        _ => "it ended before it was ready".to_owned(),
    }
}
