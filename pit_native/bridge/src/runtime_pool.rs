//! How the Players' pool is tended: dead and hung Players, what will be needed next, what was learned.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ipc_bus::{CallError, CallOptions, Closed};
use parking_lot::Mutex;
use pool_manager::predictor::Predictor;
use pool_manager::{Config, PoolManager, State};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rmpv::Value;

use crate::pool::pool_stats;
use crate::runtime_models::Loaded;
use crate::runtime_pit::seconds_now;
use crate::runtime_players::{Entry, Theatre};
use crate::runtime_session::describe_exit;

/// How often Players are looked at: whether they live, and how much memory they use.
const CHECK: Duration = Duration::from_secs(1);
/// How often it is considered which Players will be needed.
const TEND: Duration = Duration::from_secs(2);
/// What is known of a Player that was never started: a bare Python takes about so many seconds.
const UNKNOWN_LOAD: f64 = 0.5;
/// How long a Player is kept that is expected to be used; it is let go when that is not expected any more.
const KEPT: Duration = Duration::from_secs(3600);

/// The pool's settings that are the same for all Players.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSettings {
    pub(crate) capacity: usize,
    /// Bytes that running Players may use together.
    pub(crate) memory: Option<u64>,
    /// An idle Player must answer a ping within this time, and is asked that often.
    pub(crate) ping: Duration,
    /// Whether Players are started because they will probably be used.
    pub(crate) is_predicting: bool,
}

impl PoolSettings {
    pub(crate) fn config(&self) -> Config {
        Config {
            capacity: self.capacity,
            memory: self.memory,
            check: Some(CHECK),
            ..Config::default()
        }
    }
}

/// What tending remembers.
pub(crate) struct Tending {
    settings: PoolSettings,
    predictor: Mutex<Predictor>,
    /// Players that are kept warm because they are expected.
    kept: Mutex<BTreeMap<String, f64>>,
}

impl Tending {
    pub(crate) fn new(settings: PoolSettings) -> Self {
        Self {
            settings,
            predictor: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// A call of `player` took so long.
    pub(crate) fn took(&self, player: &str, seconds: f64) {
        self.predictor.lock().took(player, seconds);
    }

    /// A Player of `key` was started in so many seconds.
    pub(crate) fn loaded(&self, key: &str, seconds: f64) {
        self.predictor.lock().loaded(key, seconds);
    }

    /// A model was used.
    pub(crate) fn touched(&self, id: &str) {
        self.predictor.lock().touched(id, seconds_now());
    }

    /// All that was learned, as bytes.
    pub(crate) fn learned(&self) -> Vec<u8> {
        self.predictor.lock().to_bytes()
    }

    /// Which Players should be warm now, with how likely they are needed.
    pub(crate) fn wanted(&self) -> Vec<(String, f64)> {
        self.predictor.lock().wanted(seconds_now())
    }

    /// Takes what an earlier host has learned; a new session begins.
    pub(crate) fn restore(&self, learned: &[u8]) -> Result<(), String> {
        let mut predictor = Predictor::from_bytes(learned)?;
        predictor.opened(seconds_now());
        *self.predictor.lock() = predictor;
        Ok(())
    }
}

/// Starts the tasks that tend the theatre's pool. They end with the theatre.
pub(crate) fn start(theatre: &Arc<Theatre>) {
    let settings = theatre.tending.settings;
    theatre.handle.spawn(repeat(
        Arc::downgrade(theatre),
        settings.ping,
        ping_idle_players,
    ));
    if settings.is_predicting {
        theatre
            .handle
            .spawn(repeat(Arc::downgrade(theatre), TEND, |theatre| {
                // Making room may unload a Player, which blocks.
                let tended = theatre.clone();
                theatre.handle.spawn_blocking(move || tended.tend());
            }));
    }
}

async fn repeat(theatre: Weak<Theatre>, every: Duration, act: impl Fn(&Arc<Theatre>)) {
    loop {
        tokio::time::sleep(every).await;
        let Some(theatre) = theatre.upgrade() else {
            return;
        };
        act(&theatre);
    }
}

/// A busy Player may be slow to answer, and its node has a timeout; one that is idle has no excuse.
fn ping_idle_players(theatre: &Arc<Theatre>) {
    let running: Vec<Entry> = theatre
        .running
        .lock()
        .values()
        .filter_map(Weak::upgrade)
        .collect();
    for player in running {
        if theatre.pool.state(&player.key) == Some(State::Ready) {
            let theatre = theatre.clone();
            theatre.handle.clone().spawn(ping(theatre, player));
        }
    }
}

async fn ping(theatre: Arc<Theatre>, player: Entry) {
    let options = CallOptions {
        deadline: theatre.tending.settings.ping,
        tag: 0,
    };
    let began = player.calls.load(std::sync::atomic::Ordering::Relaxed);
    let asked = Instant::now();
    let answer = player
        .session
        .call("ping", Value::Map(Vec::new()), options)
        .await;
    if answer.is_ok() {
        player.note_ping(asked.elapsed());
    }
    // One that was used meanwhile is its caller's affair.
    if !matches!(answer, Err(CallError::Timeout(_)))
        || player.calls.load(std::sync::atomic::Ordering::Relaxed) != began
    {
        return;
    }
    let seconds = options.deadline.as_secs_f64();
    let reason = format!("it did not answer a ping within {seconds} seconds");
    player.kill(&reason);
    theatre.tell(
        &player.key,
        &player.extension,
        "unloaded",
        player.child.player_pid(),
        reason.clone(),
    );
    let handle = theatre.handle.clone();
    handle.spawn_blocking(move || theatre.bury(&player, &reason));
}

impl Theatre {
    /// A Player's session has ended by itself.
    pub(crate) fn lost(&self, player: &Entry, reason: &Closed) {
        // First of all nobody else may get it, and its successor is started: the rest may take a moment.
        self.bury(player, &reason.to_string());
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
    }

    /// Takes a dead Player out of the pool, unless another has taken its place.
    fn bury(&self, player: &Entry, reason: &str) {
        self.pool.report_dead_if(
            &player.key,
            |loaded| {
                loaded
                    .player()
                    .is_some_and(|loaded| Arc::ptr_eq(loaded, player))
            },
            reason,
        );
    }

    /// Starts and keeps what will probably be needed, and lets go what will not.
    fn tend(&self) {
        let wanted: BTreeMap<String, f64> = self.tending.wanted().into_iter().collect();
        let mut kept = self.tending.kept.lock();
        for key in kept.keys().filter(|key| !wanted.contains_key(*key)) {
            self.pool.expect(key, 0.0);
            let launch = self.launches.lock().get(&**key).cloned();
            let model = self.models.lock().get(&**key).copied();
            let idle = launch.map_or(model.flatten(), |launch| launch.idle);
            self.pool.set_idle(key, idle);
        }
        for (key, chance) in &wanted {
            if self.pool.expect(key, *chance) {
                self.pool.set_idle(key, Some(KEPT));
                // One that was unregistered meanwhile is not wanted any more.
                let _ = self.pool.prewarm_if_worth(key, *chance);
            }
        }
        *kept = wanted;
    }

    /// A run begins.
    pub(crate) fn run_began(&self) {
        self.tending.predictor.lock().began(seconds_now());
    }

    /// A run uses a Player for the first time.
    pub(crate) fn run_uses(&self, key: &str) {
        self.tending.predictor.lock().used(key, seconds_now());
    }

    /// A run has ended that used these Players.
    pub(crate) fn run_ended(&self, keys: &[Arc<str>]) {
        let mut predictor = self.tending.predictor.lock();
        predictor.ended(keys.iter().map(|key| &**key), seconds_now());
    }

    /// How long a Player takes to be ready, in seconds; none when it is, or is about to be.
    pub(crate) fn lead_seconds(&self, key: &str) -> Option<f64> {
        if self.pool.state(key)? != State::Unloaded {
            return None;
        }
        let learned = self.tending.predictor.lock().load_seconds(key);
        let known = self.pool.describe(key).and_then(|known| known.load_seconds);
        Some(learned.into_iter().chain(known).fold(f64::NAN, f64::max))
            .filter(|seconds| seconds.is_finite())
            .or(Some(UNKNOWN_LOAD))
    }

    /// How long a call usually takes at least, in seconds.
    pub(crate) fn usual_seconds(&self, player: &str) -> Option<f64> {
        self.tending.predictor.lock().usual_seconds(player)
    }

    /// The pool in numbers, for Python.
    pub(crate) fn pool_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.pool.stats());
        let dict = pool_stats(py, &stats)?;
        let accuracy = self.tending.predictor.lock().accuracy();
        dict.set_item("registered", stats.entries)?;
        dict.set_item("predicted_hits", accuracy.hits)?;
        dict.set_item("predicted_misses", accuracy.misses)?;
        dict.set_item("predicted_unused", accuracy.unused)?;
        Ok(dict)
    }
}

/// The pool of all Players and models.
pub(crate) fn players(
    settings: &PoolSettings,
    unload: pool_manager::UnloadHook<Loaded>,
) -> PoolManager<Loaded> {
    PoolManager::with_unload(settings.config(), unload)
}
