//! The stage: all Players, their pool, and how they are held and called.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ipc_bus::{Bus, Responder};
use parking_lot::{Condvar, Mutex, RwLock};
use pool_manager::{EntryOptions, Kind, Lease, PoolError, PoolManager};
use rmpv::Value;
use run_loop::ports::{Call, NodeError, Promise, Seat, Stage, Usage};
use run_loop::{Mismatch, PortTypes};
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::runtime_events::{EventQueue, Note, Place};
use crate::runtime_gpu::GpuWatch;
use crate::runtime_launch::Launch;
use crate::runtime_loader::PlayerLoader;
use crate::runtime_models::Loaded;
use crate::runtime_pool::Tending;
use crate::runtime_session::PlayerSession;
use crate::runtime_topics::Halls;

/// A Player found dead when it is allocated is started anew, so often.
const STARTS: usize = 3;
/// Beyond the Player's own time to start: the pool may have to make room first.
const ROOM: Duration = Duration::from_secs(300);

/// A Player that runs.
pub(crate) type Entry = Arc<PlayerSession>;

/// A start that is given up may take so long to end.
const START_ENDS: Duration = Duration::from_secs(1);

/// A capability request that waits for its answer.
pub(crate) struct OpenRequest {
    pub(crate) session: u64,
    /// The call in which it was made.
    pub(crate) tag: u64,
    /// Of the Player that asks; empty when it has none.
    pub(crate) project: Arc<str>,
    pub(crate) responder: Responder,
}

/// All that Players share.
pub(crate) struct Theatre {
    pub(crate) handle: Handle,
    pub(crate) bus: Bus,
    pub(crate) pool: PoolManager<Loaded>,
    /// The types that extensions declare.
    pub(crate) types: RwLock<Arc<PortTypes>>,
    /// The local models, each with its own idle time.
    pub(crate) models: Mutex<FxHashMap<Arc<str>, Option<Duration>>>,
    pub(crate) tending: Tending,
    pub(crate) gpus: Arc<GpuWatch>,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) launcher: PathBuf,
    pub(crate) sockets: PathBuf,
    pub(crate) launches: Mutex<FxHashMap<Arc<str>, Arc<Launch>>>,
    pub(crate) running: Mutex<FxHashMap<Arc<str>, Weak<PlayerSession>>>,
    /// Signalled when a Player has left `running`.
    pub(crate) left: Condvar,
    /// Set when the runtime ends: from then on Players are killed, not asked.
    pub(crate) is_ending: AtomicBool,
    /// How many Players are being started; their start is given up once `ending` holds.
    pub(crate) starting: AtomicUsize,
    pub(crate) ending: watch::Sender<bool>,
    pub(crate) calls: Mutex<FxHashMap<u64, (Place, Entry)>>,
    pub(crate) requests: Mutex<FxHashMap<u64, OpenRequest>>,
    pub(crate) halls: Halls,
    pub(crate) counter: AtomicU64,
}

impl Theatre {
    /// A number for a request or a socket.
    pub(crate) fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes a request out that is answered now, and ends the subscription that it began, if it did.
    pub(crate) fn answered(&self, request: u64) -> Option<OpenRequest> {
        let open = self.requests.lock().remove(&request)?;
        self.halls.stop(request);
        Some(open)
    }

    /// Forgets the requests that nobody waits for any more, and says so: programs may run for them.
    pub(crate) fn withdraw(&self, is_gone: impl Fn(&OpenRequest) -> bool) {
        let gone: Vec<u64> = {
            let mut requests = self.requests.lock();
            let gone = requests.iter().filter(|(_, request)| is_gone(request));
            let gone: Vec<u64> = gone.map(|(id, _)| *id).collect();
            gone.iter().for_each(|id| drop(requests.remove(id)));
            gone
        };
        for id in gone {
            self.halls.stop(id);
            self.events.push(Note::Withdrawn { id });
        }
    }

    /// Where a call of a Player belongs.
    pub(crate) fn place_of(&self, tag: u64) -> Place {
        let calls = self.calls.lock();
        calls
            .get(&tag)
            .map(|(place, _)| place.clone())
            .unwrap_or_default()
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
        self.ending.send_replace(true);
        self.pool.close();
        let now = Instant::now();
        let (until, starts_end) = (now + patience, now + patience.max(START_ENDS));
        let mut running = self.running.lock();
        loop {
            let is_starting = self.starting.load(Ordering::Acquire) > 0;
            let is_running = running.values().any(|player| player.strong_count() > 0);
            let until = if is_starting { starts_end } else { until };
            if !(is_starting || is_running) || self.left.wait_until(&mut running, until).timed_out()
            {
                break;
            }
        }
        drop(running);
        self.is_ending.store(true, Ordering::Release);
    }

    /// Counts a start until what it returns is dropped.
    pub(crate) fn begin_start(&self) -> Starting<'_> {
        self.starting.fetch_add(1, Ordering::AcqRel);
        Starting(self)
    }

    /// Ends when the runtime does.
    pub(crate) async fn ended(&self) {
        let mut ending = self.ending.subscribe();
        // The sender lives as long as this.
        let _ = ending.wait_for(|is_ending| *is_ending).await;
    }

    /// Leases the Player of `key`, which is started if need be. Blocks.
    fn lease(
        &self,
        key: &Arc<str>,
        priority: u8,
        deadline: Instant,
    ) -> Result<(Lease<Loaded>, Entry), NodeError> {
        for _ in 0..STARTS {
            let left = deadline.saturating_duration_since(Instant::now());
            let lease = self
                .pool
                .allocate(key, priority, Some(left))
                .map_err(|error| self.not_ready(key, &error))?;
            if let Some(player) = open_player(&lease) {
                return Ok((lease, player));
            }
            self.pool.report_dead(&lease, "its session has ended");
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
            PoolError::GivenUp {
                failures, error, ..
            } => {
                let message = format!(
                    "The Player {extension} failed {failures} times in a row and is tried again only from \
                     time to time; the last time: {}",
                    error.message
                );
                NodeError {
                    fault: run_loop::Fault::Permanent,
                    ..NodeError::new("unavailable", message, "see `symphony doctor`")
                }
            }
            PoolError::TooLarge { why, .. } => {
                let message = format!("The Player {extension} cannot be started: {why}");
                NodeError::new("infeasible", message, "raise `pit.pool.memory`")
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

    /// Holds the Player of `key` if it runs and may be used.
    pub(crate) fn seat_now(self: &Arc<Self>, key: &Arc<str>, priority: u8) -> Option<PlayerSeat> {
        let lease = self.pool.try_allocate(key, priority)?;
        let player = open_player(&lease)?;
        Some(PlayerSeat {
            theatre: self.clone(),
            lease,
            player,
        })
    }

    /// Holds the Player of `key`, which is started if need be.
    pub(crate) async fn seat(
        self: Arc<Self>,
        key: Arc<str>,
        priority: u8,
    ) -> Result<PlayerSeat, NodeError> {
        if let Some(seat) = self.seat_now(&key, priority) {
            return Ok(seat);
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
        let (lease, player) = leased.map_err(failed)??;
        Ok(PlayerSeat {
            theatre: self,
            lease,
            player,
        })
    }
}

/// A held Player.
pub(crate) struct PlayerSeat {
    theatre: Arc<Theatre>,
    lease: Lease<Loaded>,
    player: Entry,
}

/// The Player of a lease, if it still answers.
fn open_player(lease: &Lease<Loaded>) -> Option<Entry> {
    let player = lease.value().player();
    player.filter(|player| !player.session.is_closed()).cloned()
}

impl PlayerSeat {
    /// Whether the Player reads what it is sent.
    pub(crate) fn has_room(&self) -> bool {
        self.player.session.has_room()
    }

    /// Calls a function with a whole body and gives the Player back when it has answered; `what` names it in
    /// errors. `done` runs on a thread of the runtime.
    pub(crate) fn call_then(
        self,
        body: Value,
        what: String,
        place: Place,
        tag: u64,
        limit: Option<Duration>,
        done: impl FnOnce(&str, Result<Value, NodeError>) + Send + 'static,
    ) {
        let (theatre, player) = (self.theatre.clone(), self.player.clone());
        let open = OpenCall::new(theatre.clone(), &player, place, tag);
        let close = move || {
            drop(open);
            // Nobody asks what a call outside of runs has used.
            self.player.meter.take(tag);
            drop(self);
        };
        let of = player.clone();
        let then = move |answer| match answer {
            Ok(answer) => {
                close();
                done(&what, Ok(answer));
            }
            // Who ends a session may hold locks that are taken here.
            Err(error) => {
                theatre.handle.clone().spawn(async move {
                    let error = of.failure(&what, error).await;
                    close();
                    done(&what, Err(error));
                });
            }
        };
        player.call_then("call", &body, tag, limit, then);
    }
}

/// A Player that is being started.
pub(crate) struct Starting<'a>(&'a Theatre);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.starting.fetch_sub(1, Ordering::AcqRel);
        // Under the lock, so that who is about to wait does not miss it.
        let _running = self.0.running.lock();
        self.0.left.notify_all();
    }
}

/// Says where requests and events of a call belong, for as long as the call is open.
struct OpenCall {
    theatre: Arc<Theatre>,
    tag: u64,
}

impl OpenCall {
    fn new(theatre: Arc<Theatre>, player: &Entry, place: Place, tag: u64) -> Self {
        player.meter.begin(tag);
        theatre.calls.lock().insert(tag, (place, player.clone()));
        Self { theatre, tag }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let call = self.theatre.calls.lock().remove(&self.tag);
        if let Some((_, player)) = call {
            player.meter.end(self.tag);
        }
        self.theatre.withdraw(|request| request.tag == self.tag);
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
    let _open = OpenCall::new(theatre, &player, place, tag);
    player.call("call", body, &what, tag, limit).await
}

impl Seat for PlayerSeat {
    fn call(&self, call: Call) -> Promise<Result<Value, NodeError>> {
        let (theatre, player) = (self.theatre.clone(), self.player.clone());
        let place = Place {
            run: call.run.clone(),
            node: call.node.clone(),
        };
        let (what, tag, limit) = (call.player.to_string(), call.tag, call.timeout);
        Box::pin(async move {
            let (name, began) = (call.player.clone(), Instant::now());
            let called = call_player(
                theatre.clone(),
                player,
                call_body(call),
                what,
                place,
                tag,
                limit,
            );
            let answer = called.await;
            if answer.is_ok() {
                theatre.tending.took(&name, began.elapsed().as_secs_f64());
            }
            answer
        })
    }

    fn used(&self, tag: u64) -> Option<Usage> {
        self.player.meter.take(tag)
    }

    fn cancel(&self, tag: u64) {
        self.player.session.cancel(tag);
    }

    fn kill(&self, reason: &str) {
        let player = &self.player;
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
    let outputs = call
        .outputs
        .iter()
        .map(|(port, port_type)| (Value::from(&**port), Value::from(&**port_type)));
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
        ("outputs".into(), Value::Map(outputs.collect())),
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

    fn mismatch(&self, port_type: &str, value: &Value) -> Option<Mismatch> {
        let types = self.0.types.read().clone();
        types.mismatch(port_type, value)
    }

    fn run_began(&self) {
        self.0.run_began();
    }

    fn run_uses(&self, key: &Arc<str>) {
        self.0.run_uses(key);
    }

    fn run_ended(&self, keys: &[Arc<str>]) {
        self.0.run_ended(keys);
    }

    fn lead_seconds(&self, key: &Arc<str>) -> Option<f64> {
        self.0.lead_seconds(key)
    }

    fn usual_seconds(&self, player: &str) -> Option<f64> {
        self.0.usual_seconds(player)
    }

    fn prewarm(&self, key: &Arc<str>, uses: f64) {
        // One that was unregistered meanwhile, or that fails, is found so by who asks for it.
        let _ = self.0.pool.prewarm_if_worth(key, uses);
    }
}
