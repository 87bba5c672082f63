//! The stage: how the pool starts Players, and what arrives from them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use ipc_bus::{Bus, Closed, Expect, Handler, Incoming, Responder};
use parking_lot::{Condvar, Mutex};
use pool_manager::{EntryOptions, Lease, LoadError, Loader, PoolError, PoolManager};
use rmpv::Value;
use run_loop::ports::{Call, NodeError, Promise, Seat, Stage};
use rustc_hash::FxHashMap;
use sandbox::{Child, Mode, Mount, Spec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use crate::runtime_events::{EventQueue, Note, Place};
use crate::runtime_pit::seconds_now;
use crate::runtime_session::{PlayerSession, describe_exit};

/// Where a Player finds its socket.
const SOCKET: &str = "/run/symphony/stage.sock";
/// A Player found dead when it is allocated is started anew, so often.
const STARTS: usize = 3;
/// Beyond the Player's own time to start: the pool may have to make room first.
const ROOM: Duration = Duration::from_secs(300);

/// What the pool holds.
pub(crate) type Entry = Arc<PlayerSession>;

/// How one Player is started.
pub(crate) struct Launch {
    pub(crate) extension: Arc<str>,
    pub(crate) version: String,
    pub(crate) spec: Spec,
    pub(crate) grants: Value,
    pub(crate) configuration: Value,
    pub(crate) project: Value,
    pub(crate) start_timeout: Duration,
    pub(crate) memory: u64,
    pub(crate) idle: Option<Duration>,
}

/// All that Players share.
pub(crate) struct Theatre {
    pub(crate) handle: Handle,
    pub(crate) bus: Bus,
    pub(crate) pool: PoolManager<Entry>,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) launcher: PathBuf,
    pub(crate) sockets: PathBuf,
    pub(crate) launches: Mutex<FxHashMap<Arc<str>, Arc<Launch>>>,
    pub(crate) running: Mutex<FxHashMap<Arc<str>, Weak<PlayerSession>>>,
    /// Signalled when a Player has left `running`.
    pub(crate) left: Condvar,
    /// Set when the runtime ends: from then on Players are killed, not asked.
    pub(crate) is_ending: AtomicBool,
    pub(crate) calls: Mutex<FxHashMap<u64, Place>>,
    pub(crate) requests: Mutex<FxHashMap<u64, (u64, Responder)>>,
    pub(crate) counter: AtomicU64,
}

impl Theatre {
    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn tell(
        &self,
        key: &Arc<str>,
        extension: &Arc<str>,
        state: &'static str,
        pid: i32,
        reason: String,
    ) {
        self.events.push(Note::Player {
            key: key.clone(),
            extension: extension.clone(),
            state,
            pid,
            reason,
        });
    }

    /// Makes a Player known; one of the same key that runs is replaced.
    pub(crate) fn register(self: &Arc<Self>, key: Arc<str>, launch: Launch) {
        let options = EntryOptions { idle: launch.idle };
        let launch = Arc::new(launch);
        self.launches.lock().insert(key.clone(), launch.clone());
        let loader = PlayerLoader {
            theatre: Arc::downgrade(self),
            key: key.clone(),
            launch,
        };
        self.pool.register_with(&key, Arc::new(loader), options);
    }

    /// Forgets a Player; false when it was not known.
    pub(crate) fn unregister(&self, key: &str) -> bool {
        self.launches.lock().remove(key);
        self.pool.unregister(key)
    }

    /// The Player that runs for `key`.
    pub(crate) fn running(&self, key: &str) -> Option<Entry> {
        self.running.lock().get(key).and_then(Weak::upgrade)
    }

    /// Ends a Player that left the pool. Blocks for a moment.
    pub(crate) fn unload(&self, player: &Entry) {
        let is_dead = player.session.is_closed();
        if self.is_ending.load(Ordering::Acquire) {
            player.kill("the host is ending");
        } else {
            player.shut_down(&self.handle);
        }
        let this = Arc::downgrade(player);
        self.running
            .lock()
            .retain(|_, known| known.strong_count() > 0 && !known.ptr_eq(&this));
        self.left.notify_all();
        if !is_dead {
            let pid = player.child.player_pid();
            self.tell(
                &player.key,
                &player.extension,
                "unloaded",
                pid,
                String::new(),
            );
        }
    }

    /// Unloads all Players; those that have not ended after `patience` are killed.
    pub(crate) fn close(&self, patience: Duration) {
        self.pool.close();
        let until = Instant::now() + patience;
        let mut running = self.running.lock();
        while running.values().any(|player| player.strong_count() > 0) {
            if self.left.wait_until(&mut running, until).timed_out() {
                break;
            }
        }
        drop(running);
        self.is_ending.store(true, Ordering::Release);
    }

    /// A Player's session has ended by itself.
    fn lost(&self, player: &Entry, reason: &Closed) {
        let exit = player.child.wait(Some(Duration::from_secs(2)));
        let how = match (reason, exit) {
            (Closed::ByPeer | Closed::Failed(_), Ok(Some(exit))) => describe_exit(exit),
            _ => reason.to_string(),
        };
        self.tell(
            &player.key,
            &player.extension,
            "unloaded",
            player.child.player_pid(),
            format!("it ended: {how}"),
        );
        self.drop_dead(player);
    }

    /// Takes a dead Player out of the pool, unless another has taken its place.
    fn drop_dead(&self, player: &Entry) {
        if let Some(lease) = self.pool.try_allocate(&player.key, 9)
            && Arc::ptr_eq(lease.value(), player)
        {
            self.pool.discard_leased(&lease);
        }
    }

    /// Leases the Player of `key`, which is started if need be. Blocks.
    fn lease(
        &self,
        key: &Arc<str>,
        priority: u8,
        deadline: Instant,
    ) -> Result<Lease<Entry>, NodeError> {
        for _ in 0..STARTS {
            let left = deadline.saturating_duration_since(Instant::now());
            let lease = self
                .pool
                .allocate(key, priority, Some(left))
                .map_err(|error| self.not_ready(key, &error))?;
            if !lease.value().session.is_closed() {
                return Ok(lease);
            }
            self.pool.discard_leased(&lease);
        }
        let message = format!("The Player {key} ended each time it was started");
        Err(NodeError::new(
            "unavailable",
            message,
            "see `symphony logs`",
        ))
    }

    fn not_ready(&self, key: &str, error: &PoolError) -> NodeError {
        let extension = self
            .launches
            .lock()
            .get(key)
            .map_or_else(|| key.into(), |launch| launch.extension.clone());
        match error {
            PoolError::Load { error, .. } => {
                let code = if error.may_pass {
                    "unavailable"
                } else {
                    "environment"
                };
                let fault = if error.may_pass {
                    run_loop::Fault::Passing
                } else {
                    run_loop::Fault::Permanent
                };
                let message = format!(
                    "The Player {extension} could not be started: {}",
                    error.message
                );
                NodeError {
                    fault,
                    ..NodeError::new(code, message, "see `symphony doctor`")
                }
            }
            PoolError::Unknown(_) => {
                let message = format!("The Player {extension} is not there any more");
                NodeError::new("not_found", message, "install or enable its extension")
            }
            error => NodeError::new(
                "unavailable",
                format!("The Player {extension} is not ready: {error}"),
                "",
            ),
        }
    }

    /// Holds the Player of `key`, which is started if need be.
    pub(crate) async fn seat(
        self: Arc<Self>,
        key: Arc<str>,
        priority: u8,
    ) -> Result<PlayerSeat, NodeError> {
        if let Some(lease) = self.pool.try_allocate(&key, priority)
            && !lease.value().session.is_closed()
        {
            return Ok(PlayerSeat {
                theatre: self,
                lease,
            });
        }
        let launch = self.launches.lock().get(&key).cloned();
        let start = launch.map_or(ROOM, |launch| launch.start_timeout * 3 + ROOM);
        let theatre = self.clone();
        // When nobody waits any more the lease is dropped, and with it given back.
        let leased = tokio::task::spawn_blocking(move || {
            theatre.lease(&key, priority, Instant::now() + start)
        })
        .await;
        let failed = |_| {
            NodeError::new(
                "internal",
                "The host failed while it started a Player",
                "see `symphony logs`",
            )
        };
        Ok(PlayerSeat {
            lease: leased.map_err(failed)??,
            theatre: self,
        })
    }
}

/// Starts the Player of one pool entry.
struct PlayerLoader {
    theatre: Weak<Theatre>,
    key: Arc<str>,
    launch: Arc<Launch>,
}

impl Loader<Entry> for PlayerLoader {
    fn load(&self, _id: &str) -> Result<Entry, LoadError> {
        let theatre = self
            .theatre
            .upgrade()
            .ok_or_else(|| LoadError::new("the host is ending"))?;
        let extension = &self.launch.extension;
        theatre.tell(&self.key, extension, "loading", 0, String::new());
        match self.start(&theatre) {
            Ok(player) => {
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
                Ok(player)
            }
            Err(error) => {
                theatre.tell(&self.key, extension, "unloaded", 0, error.message.clone());
                Err(error)
            }
        }
    }
}

impl PlayerLoader {
    fn start(&self, theatre: &Arc<Theatre>) -> Result<Entry, LoadError> {
        let launch = &self.launch;
        let until = Instant::now() + launch.start_timeout;
        let path = theatre
            .sockets
            .join(format!("{}-{}.sock", std::process::id(), theatre.next()));
        let listener = theatre
            .bus
            .listen(&path)
            .map_err(|error| lasting(error.to_string()))?;
        let mut spec = launch.spec.clone();
        spec.mounts
            .retain(|mount| mount.target.as_os_str() != SOCKET);
        spec.mounts.push(Mount {
            source: path,
            target: SOCKET.into(),
            mode: Mode::ReadWrite,
        });
        let child =
            sandbox::spawn(&theatre.launcher, &spec).map_err(|error| lasting(error.to_string()))?;
        let child = Arc::new(child);
        let handler = Arc::new(PlayerHandler {
            theatre: Arc::downgrade(theatre),
            key: self.key.clone(),
            extension: launch.extension.clone(),
            player: OnceLock::new(),
        });
        let expect = Expect {
            pid: u32::try_from(child.player_pid()).unwrap_or_default(),
            name: launch.extension.to_string(),
            grants: launch.grants.clone(),
            timeout: launch.start_timeout,
        };
        let accept = theatre.bus.accept(listener, expect, handler.clone());
        let session = theatre.handle.block_on(async {
            tokio::select! {
                biased;
                session = accept => session.map_err(|error| LoadError::new(error.to_string())),
                ended = ended(&child) => Err(LoadError::new(ended)),
            }
        })?;
        let pid = child.clone();
        let player = PlayerSession::new(
            self.key.clone(),
            launch.extension.clone(),
            session,
            pid,
            seconds_now(),
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
            tokio::time::timeout(left, call).await
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

/// What arrives from one Player.
struct PlayerHandler {
    theatre: Weak<Theatre>,
    key: Arc<str>,
    extension: Arc<str>,
    player: OnceLock<Weak<PlayerSession>>,
}

impl Handler for PlayerHandler {
    fn request(&self, incoming: Incoming, responder: Responder) {
        let Some(theatre) = self.theatre.upgrade() else {
            return;
        };
        let id = theatre.next();
        let place = theatre
            .calls
            .lock()
            .get(&incoming.tag)
            .cloned()
            .unwrap_or_default();
        theatre
            .requests
            .lock()
            .insert(id, (incoming.session, responder));
        theatre.events.push(Note::Request {
            id,
            place,
            extension: self.extension.clone(),
            key: self.key.clone(),
            method: incoming.method,
            body: incoming.body,
        });
    }

    fn event(&self, _session: u64, tag: u64, method: &str, body: Value) {
        let Some(theatre) = self.theatre.upgrade() else {
            return;
        };
        if !matches!(method, "progress" | "log" | "output" | "ui") {
            return;
        }
        let place = theatre.calls.lock().get(&tag).cloned().unwrap_or_default();
        let (method, extension) = (method.to_owned(), self.extension.clone());
        theatre.events.push(Note::Said {
            method,
            place,
            extension,
            body,
        });
    }

    fn closed(&self, session: u64, reason: &Closed) {
        let Some(theatre) = self.theatre.upgrade() else {
            return;
        };
        theatre
            .requests
            .lock()
            .retain(|_, (asker, _)| *asker != session);
        if *reason == Closed::ByHost {
            return;
        }
        let Some(player) = self.player.get().and_then(Weak::upgrade) else {
            return;
        };
        let reason = reason.clone();
        // Waiting for the exit status and the pool's hooks may block; the reader must not.
        let handle = theatre.handle.clone();
        handle.spawn_blocking(move || theatre.lost(&player, &reason));
    }
}

/// A held Player.
pub(crate) struct PlayerSeat {
    theatre: Arc<Theatre>,
    lease: Lease<Entry>,
}

impl PlayerSeat {
    fn player(&self) -> &Entry {
        self.lease.value()
    }

    /// Calls a function with a whole body; `what` names it in errors.
    pub(crate) async fn call_with(
        &self,
        body: Value,
        what: String,
        place: Place,
        tag: u64,
        limit: Option<Duration>,
    ) -> Result<Value, NodeError> {
        call_player(
            self.theatre.clone(),
            self.player().clone(),
            body,
            what,
            place,
            tag,
            limit,
        )
        .await
    }
}

/// Says where requests and events of a call belong, for as long as the call is open.
struct OpenCall {
    theatre: Arc<Theatre>,
    tag: u64,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.theatre.calls.lock().remove(&self.tag);
    }
}

async fn call_player(
    theatre: Arc<Theatre>,
    player: Entry,
    body: Value,
    what: String,
    place: Place,
    tag: u64,
    limit: Option<Duration>,
) -> Result<Value, NodeError> {
    theatre.calls.lock().insert(tag, place);
    let _open = OpenCall { theatre, tag };
    player.call("call", body, &what, tag, limit).await
}

impl Seat for PlayerSeat {
    fn call(&self, call: Call) -> Promise<Result<Value, NodeError>> {
        let (theatre, player) = (self.theatre.clone(), self.player().clone());
        let place = Place {
            run: call.run.clone(),
            node: call.node.clone(),
        };
        let (what, tag, limit) = (call.player.to_string(), call.tag, call.timeout);
        Box::pin(async move {
            call_player(theatre, player, call_body(call), what, place, tag, limit).await
        })
    }

    fn cancel(&self, tag: u64) {
        self.player().session.cancel(tag);
    }

    fn kill(&self, reason: &str) {
        let player = self.player();
        player.kill(reason);
        let (state, pid) = ("unloaded", player.child.player_pid());
        self.theatre.tell(
            &player.key,
            &player.extension,
            state,
            pid,
            reason.to_owned(),
        );
        self.theatre.pool.discard_leased(&self.lease);
    }
}

fn call_body(call: Call) -> Value {
    let inputs = call
        .inputs
        .into_iter()
        .map(|(port, value)| (Value::from(&*port), Arc::unwrap_or_clone(value)));
    let context = Value::Map(vec![
        ("run".into(), (&*call.run).into()),
        ("node".into(), (&*call.node).into()),
        (
            "project".into(),
            call.project.map_or(Value::Nil, Value::from),
        ),
        ("attempt".into(), call.attempt.into()),
        (
            "idempotency_key".into(),
            format!("{}/{}", call.run, call.node).into(),
        ),
    ]);
    Value::Map(vec![
        ("function".into(), (&*call.function).into()),
        ("params".into(), (*call.params).clone()),
        ("inputs".into(), Value::Map(inputs.collect())),
        ("context".into(), context),
    ])
}

/// The theatre as the run loop's stage.
pub(crate) struct TheatreStage(pub(crate) Arc<Theatre>);

impl Stage for TheatreStage {
    fn seat(&self, key: &Arc<str>, priority: u8) -> Promise<Result<Box<dyn Seat>, NodeError>> {
        let (theatre, key) = (self.0.clone(), key.clone());
        Box::pin(async move {
            theatre
                .seat(key, priority)
                .await
                .map(|seat| Box::new(seat) as Box<dyn Seat>)
        })
    }
}
