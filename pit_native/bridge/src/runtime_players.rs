//! The stage: all Players, their pool, and how they are held and called.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ipc_bus::{Bus, Closed, Responder};
use parking_lot::{Condvar, Mutex};
use pool_manager::{EntryOptions, Kind, Lease, PoolError, PoolManager};
use rmpv::Value;
use run_loop::ports::{Call, NodeError, Promise, Seat, Stage};
use rustc_hash::FxHashMap;
use sandbox::Spec;
use tokio::runtime::Handle;

use crate::runtime_events::{EventQueue, Note, Place};
use crate::runtime_loader::PlayerLoader;
use crate::runtime_session::{PlayerSession, describe_exit};

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
    /// A number for a request or a socket.
    pub(crate) fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Says that a Player's process has changed its state.
    pub(crate) fn tell(
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
        let options = EntryOptions {
            idle: launch.idle,
            kind: Kind::Player,
            ..EntryOptions::default()
        };
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
    pub(crate) fn lost(&self, player: &Entry, reason: &Closed) {
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
