//! The Python face of `run_loop`, joined with the pool, the bus, the sandbox, the store and the arbiter.

use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dag_tracker::{LogError, is_full};
use ipc_bus::{Bus, Limits};
use parking_lot::{Condvar, Mutex, RwLock};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use run_loop::{JournalError, PlayerLog, PortTypes, RunError, RunLoop, World};
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::arbitration::PyArbitrationEngine;
use crate::errors::{bad_input, environment_lacks, not_found, raise, raise_coded};
use crate::runtime_call::{LoneCall, call_alone};
use crate::runtime_dicts::{session_dict, to_dict};
use crate::runtime_events::{EventQueue, Note, Place};
use crate::runtime_gpu::GpuWatch;
use crate::runtime_launch::{Launch, read_launch};
use crate::runtime_models::{Loaded, PyModelHandle, drop_model};
use crate::runtime_pit::PitArtifacts;
use crate::runtime_plan::plan_from_python;
use crate::runtime_players::{Theatre, TheatreStage};
use crate::runtime_pool::{self, PoolSettings, Tending};
use crate::runtime_settings::{bus_settings, player_log};
use crate::runtime_topics::Halls;
use crate::stale::PyStaleManager;
use crate::store::PyArtifactStore;
use crate::values::{from_python, ports_to_python};

/// Beyond the two seconds that the run loop gives, so that it is the one that notices.
const CANCEL_GRACE: Duration = Duration::from_secs(4);
/// How long Players may take to end when the host does.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long the end waits for tasks that block.
const LAST_TASKS: Duration = Duration::from_millis(200);
/// Threads for what blocks: puts that wait for their sync, and Players that start.
const BLOCKING_THREADS: usize = 128;

/// See `pit_native.pyi`.
#[pyclass(name = "Runtime", module = "pit_native", frozen)]
pub(crate) struct PyRuntime {
    run_loop: RunLoop,
    theatre: Arc<Theatre>,
    events: Arc<EventQueue>,
    threads: Mutex<Option<Threads>>,
}

/// What the run loop and the bus run on.
///
/// The bus has one thread of its own. Where several share the work, each message wakes a second one that looks
/// whether there is more and finds nothing, which on a small machine costs as much as the message.
struct Threads {
    run_loop: tokio::runtime::Runtime,
    bus: tokio::runtime::Runtime,
}

impl Threads {
    fn start(count: usize) -> std::io::Result<Self> {
        let begin = |name: &str, count: usize| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(count)
                .max_blocking_threads(BLOCKING_THREADS)
                .thread_name(name)
                .enable_all()
                .build()
        };
        Ok(Self {
            run_loop: begin("symphony-loop", count.max(1))?,
            bus: begin("symphony-bus", 1)?,
        })
    }
}

#[pymethods]
impl PyRuntime {
    #[new]
    #[pyo3(signature = (store, stale, arbiter, *, launcher, sockets, threads=2, capacity=128, memory=None, ping=10.0, predict=true, log=None, bus=None))]
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts that the loop joins, by name"
    )]
    fn new(
        store: &PyArtifactStore,
        stale: &PyStaleManager,
        arbiter: &PyArbitrationEngine,
        launcher: PathBuf,
        sockets: PathBuf,
        threads: usize,
        capacity: usize,
        memory: Option<u64>,
        ping: f64,
        predict: bool,
        log: Option<&Bound<'_, PyDict>>,
        bus: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let threads = Threads::start(threads).map_err(|error| {
            environment_lacks(
                &format!("the run loop's threads cannot be started: {error}"),
                "",
            )
        })?;
        let handle = threads.run_loop.handle().clone();
        let log = log.map(player_log).transpose()?;
        let events = EventQueue::new(log, handle.clone());
        let events =
            Arc::new(events.map_err(|error| {
                environment_lacks(&format!("no eventfd can be made: {error}"), "")
            })?);
        let settings = PoolSettings {
            capacity,
            memory,
            ping: seconds(ping)?.max(Duration::from_millis(10)),
            is_predicting: predict,
        };
        let (limits, transport) = bus.map(bus_settings).transpose()?.unwrap_or_default();
        let limits = Limits {
            cancel_grace: CANCEL_GRACE,
            ..limits
        };
        let bus = Bus::new(threads.bus.handle().clone(), limits).with_transport(transport);
        let theatre = theatre(
            handle.clone(),
            bus,
            events.clone(),
            launcher,
            sockets,
            settings,
        );
        runtime_pool::start(&theatre);
        let world = World {
            stage: Arc::new(TheatreStage(theatre.clone())),
            artifacts: Arc::new(PitArtifacts {
                store: store.inner(),
                stale: stale.inner(),
            }),
            arbiter: arbiter.inner(),
            sink: events.clone(),
        };
        let run_loop = RunLoop::new(handle, world).map_err(|error| {
            environment_lacks(
                &format!("the journal's thread cannot be started: {error}"),
                "",
            )
        })?;
        Ok(Self {
            run_loop,
            theatre,
            events,
            threads: Mutex::new(Some(threads)),
        })
    }

    fn fileno(&self) -> i32 {
        self.events.fileno()
    }

    #[pyo3(signature = (limit=1024))]
    fn drain<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let notes = self.events.take(limit.max(1));
        let dicts: PyResult<Vec<_>> = notes.iter().map(|note| to_dict(py, note)).collect();
        PyList::new(py, dicts?)
    }

    fn start(&self, py: Python<'_>, plan: &Bound<'_, PyAny>) -> PyResult<()> {
        let plan = plan_from_python(plan, None)?;
        py.detach(|| self.run_loop.start(plan)).map_err(run_error)
    }

    fn resume<'py>(
        &self,
        py: Python<'py>,
        run_dir: String,
        plan: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let plan = plan_from_python(plan, Some(run_dir))?;
        let resumed = py
            .detach(|| self.run_loop.resume(plan))
            .map_err(run_error)?;
        let dict = PyDict::new(py);
        dict.set_item(
            "kept",
            resumed.kept.iter().map(|id| &**id).collect::<Vec<_>>(),
        )?;
        dict.set_item("left", resumed.left)?;
        dict.set_item("torn", resumed.torn)?;
        Ok(dict)
    }

    fn finished(&self, py: Python<'_>, run_dir: PathBuf, run: &str) -> PyResult<Vec<String>> {
        py.detach(|| run_loop::finished(&run_dir, run))
            .map_err(|error| run_error(RunError::Journal(error)))
    }

    fn cancel(&self, run: &str) -> bool {
        self.run_loop.cancel(run)
    }

    fn decide(&self, token: u64, answer: &Bound<'_, PyAny>) -> PyResult<bool> {
        let answer = from_python(answer)?;
        Ok(self.run_loop.decide(token, answer))
    }

    fn outputs<'py>(&self, py: Python<'py>, run: &str, node: &str) -> PyResult<Bound<'py, PyDict>> {
        let outputs = py
            .detach(|| self.run_loop.outputs(run, node))
            .map_err(run_error)?;
        ports_to_python(py, &outputs)
    }

    fn register_player(
        &self,
        py: Python<'_>,
        key: &str,
        launch: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let launch = read_launch(launch)?;
        // A Player of this key that runs is unloaded, which takes a moment.
        py.detach(|| self.theatre.register(key.into(), launch));
        Ok(())
    }

    fn unregister_player(&self, py: Python<'_>, key: &str) -> bool {
        py.detach(|| self.theatre.unregister(key))
    }

    #[pyo3(signature = (id, loader, *, memory=0, idle=None))]
    fn register_model(
        &self,
        py: Python<'_>,
        id: &str,
        loader: Py<PyAny>,
        memory: u64,
        idle: Option<f64>,
    ) -> PyResult<()> {
        let idle = idle.map(seconds).transpose()?;
        py.detach(|| self.theatre.register_model(id, loader, memory, idle));
        Ok(())
    }

    #[pyo3(signature = (id, timeout=None))]
    fn hold_model(
        &self,
        py: Python<'_>,
        id: &str,
        timeout: Option<f64>,
    ) -> PyResult<PyModelHandle> {
        let timeout = timeout.map(seconds).transpose()?;
        self.theatre.hold_model(py, id, timeout)
    }

    fn model_states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.theatre.model_states(py)
    }

    fn declare_types(&self, supertypes: Vec<(String, Vec<String>)>) {
        *self.theatre.types.write() = Arc::new(PortTypes::new(supertypes));
    }

    fn prewarm(&self, py: Python<'_>, keys: Vec<String>) -> PyResult<usize> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        py.detach(|| self.theatre.pool.prewarm(&keys))
            .map_err(crate::errors::pool_error)
    }

    fn player_states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let launches: Vec<(Arc<str>, Arc<Launch>)> = self
            .theatre
            .launches
            .lock()
            .iter()
            .map(|(key, launch)| (key.clone(), launch.clone()))
            .collect();
        let states = PyDict::new(py);
        for (key, launch) in launches {
            let state = PyDict::new(py);
            let player = self.theatre.running(&key);
            state.set_item("extension", &*launch.extension)?;
            state.set_item("version", &launch.version)?;
            state.set_item("state", "unloaded")?;
            if let Some(known) = self.theatre.pool.describe(&key) {
                crate::pool::describe(&state, &known)?;
            }
            state.set_item(
                "pid",
                player.as_ref().map(|player| player.child.player_pid()),
            )?;
            state.set_item("since", player.as_ref().map(|player| player.since))?;
            let calls = player
                .as_ref()
                .map_or(0, |player| player.calls.load(Ordering::Relaxed));
            state.set_item("calls", calls)?;
            let memory = player
                .as_ref()
                .and_then(|player| player.child.memory_in_use());
            state.set_item("memory", memory)?;
            state.set_item("memory_limit", launch.memory)?;
            state.set_item("ping", player.as_ref().and_then(|player| player.ping()))?;
            let bus = player.map(|player| session_dict(py, &player.session.stats()));
            state.set_item("bus", bus.transpose()?)?;
            states.set_item(&*key, state)?;
        }
        Ok(states)
    }

    /// Descriptors of what a running Player has written over the folders that are overlays; the caller closes them.
    fn player_overlays(&self, key: &str) -> PyResult<Vec<(PathBuf, i32)>> {
        let Some(player) = self.theatre.running(key) else {
            return Ok(Vec::new());
        };
        let overlays = player.child.overlays().iter();
        overlays
            .map(|overlay| {
                let own = overlay.upper.try_clone()?;
                Ok((overlay.target.clone(), own.into_raw_fd()))
            })
            .collect()
    }

    fn learned<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let learned = py.detach(|| self.theatre.tending.learned());
        PyBytes::new(py, &learned)
    }

    fn wanted(&self) -> Vec<(String, f64)> {
        self.theatre.tending.wanted()
    }

    fn restore_learned(&self, py: Python<'_>, learned: &[u8]) -> PyResult<()> {
        py.detach(|| self.theatre.tending.restore(learned))
            .map_err(|reason| {
                let message = format!("what was learned about Players is damaged: {reason}");
                bad_input(&message, "it is learned anew")
            })
    }

    #[pyo3(signature = (token, key, body, timeout=None))]
    fn call_player(
        &self,
        py: Python<'_>,
        token: u64,
        key: &str,
        body: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let body = from_python(body)?;
        let limit = timeout.map(seconds).transpose()?;
        let (events, key, tag) = (self.events.clone(), key.into(), self.run_loop.next_tag());
        let call = LoneCall {
            key,
            body,
            limit,
            tag,
        };
        let done = move |result| events.push(Note::CallDone { token, result });
        py.detach(|| call_alone(&self.theatre, call, done));
        Ok(())
    }

    fn tell_call(
        &self,
        py: Python<'_>,
        run: &str,
        node: &str,
        method: &str,
        body: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (place, body) = (Place::of(run, node), from_python(body)?);
        Ok(py.detach(|| self.theatre.tell_call(&place, method, &body)))
    }

    fn stop_call(&self, run: &str, node: &str) -> bool {
        self.theatre.stop_call(&Place::of(run, node))
    }

    fn respond(&self, py: Python<'_>, request: u64, body: &Bound<'_, PyAny>) -> PyResult<bool> {
        let body = from_python(body)?;
        let Some(open) = self.theatre.answered(request) else {
            return Ok(false);
        };
        py.detach(|| open.responder.ok(body));
        Ok(true)
    }

    fn respond_piece(
        &self,
        py: Python<'_>,
        request: u64,
        body: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let body = from_python(body)?;
        let requests = &self.theatre.requests;
        Ok(py.detach(|| match requests.lock().get(&request) {
            Some(open) => open.responder.piece(&body),
            None => false,
        }))
    }

    fn listen(&self, py: Python<'_>, request: u64, pattern: &str, queue: usize) -> PyResult<bool> {
        py.detach(|| self.theatre.listen(request, pattern, queue))
            .map_err(|bad| bad_input(&bad.to_string(), ""))
    }

    fn announce(&self, request: u64, topic: &str) -> PyResult<bool> {
        let announced = self.theatre.announce(request, topic);
        announced.map_err(|bad| bad_input(&bad.to_string(), ""))
    }

    #[pyo3(signature = (request, code, message, remedy=""))]
    fn respond_error(&self, request: u64, code: &str, message: &str, remedy: &str) -> bool {
        let Some(open) = self.theatre.answered(request) else {
            return false;
        };
        open.responder.err(code, message, remedy);
        true
    }

    fn charge(&self, request: u64, cpu_seconds: f64, memory: u64) -> bool {
        let requests = self.theatre.requests.lock();
        let Some(tag) = requests.get(&request).map(|open| open.tag) else {
            return false;
        };
        drop(requests);
        let player = self
            .theatre
            .calls
            .lock()
            .get(&tag)
            .map(|(_, player)| player.clone());
        if let Some(player) = &player {
            player.meter.charge(tag, cpu_seconds, memory);
        }
        player.is_some()
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let runs = self.run_loop.stats();
        let dict = PyDict::new(py);
        dict.set_item("playing", runs.playing)?;
        dict.set_item("questions", runs.questions)?;
        dict.set_item("calls", runs.calls)?;
        dict.set_item("requests", self.theatre.requests.lock().len())?;
        dict.set_item("events_waiting", self.events.len())?;
        dict.set_item("events_dropped", self.events.dropped())?;
        let lost = self.events.log().map_or(0, PlayerLog::lost);
        dict.set_item("log_lines_lost", lost)?;
        dict.set_item("players", self.theatre.pool_stats(py)?)?;
        Ok(dict)
    }

    #[pyo3(signature = (timeout=1.0))]
    fn flush_log(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = seconds(timeout)?;
        Ok(py.detach(|| {
            let log = self.events.log();
            log.is_none_or(|log| log.flush(timeout))
        }))
    }

    #[pyo3(signature = (timeout=10.0))]
    fn stop(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = seconds(timeout)?;
        Ok(py.detach(|| {
            let is_quiet = self.run_loop.stop(timeout);
            self.shut_down(GOODBYE);
            is_quiet
        }))
    }
}

impl PyRuntime {
    fn shut_down(&self, patience: Duration) {
        // Requests that are still open are answered with an error by their drop.
        let open = std::mem::take(&mut *self.theatre.requests.lock());
        drop(open);
        let Some(threads) = self.threads.lock().take() else {
            return;
        };
        self.theatre.close(patience);
        threads.run_loop.shutdown_timeout(LAST_TASKS);
        threads.bus.shutdown_timeout(LAST_TASKS);
    }
}

impl Drop for PyRuntime {
    fn drop(&mut self) {
        self.shut_down(Duration::ZERO);
    }
}

fn theatre(
    handle: tokio::runtime::Handle,
    bus: Bus,
    events: Arc<EventQueue>,
    launcher: PathBuf,
    sockets: PathBuf,
    settings: PoolSettings,
) -> Arc<Theatre> {
    Arc::new_cyclic(|own: &Weak<Theatre>| {
        let own = own.clone();
        let threads = handle.clone();
        // The last lease may be given back on a thread that must not block. When the runtime has ended,
        // the closure is dropped, and with it the process.
        let unload = Arc::new(move |_: &str, loaded: Loaded| {
            let own = own.clone();
            threads.spawn_blocking(move || match (loaded, own.upgrade()) {
                (Loaded::Player(player), Some(theatre)) => theatre.unload(&player),
                (Loaded::Player(player), None) => player.kill("the host is ending"),
                (Loaded::Model(model), _) => drop_model(model),
            });
        });
        Theatre {
            bus,
            pool: runtime_pool::players(&settings, unload),
            tending: Tending::new(settings),
            gpus: GpuWatch::new(handle.clone()),
            handle,
            events,
            launcher,
            sockets,
            launches: Mutex::default(),
            models: Mutex::default(),
            types: RwLock::default(),
            running: Mutex::new(FxHashMap::default()),
            left: Condvar::new(),
            is_ending: AtomicBool::new(false),
            starting: AtomicUsize::new(0),
            ending: watch::Sender::new(false),
            calls: Mutex::new(FxHashMap::default()),
            requests: Mutex::new(FxHashMap::default()),
            halls: Halls::default(),
            counter: AtomicU64::new(0),
        }
    })
}

pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| bad_input(&format!("{seconds} is no duration in seconds"), ""))
}

fn run_error(error: RunError) -> PyErr {
    let message = error.to_string();
    match error {
        RunError::Playing(_) => raise_coded(
            "BadInput",
            &message,
            "wait for its end or cancel it",
            "playing",
        ),
        RunError::Unknown(_) => not_found(&message, ""),
        RunError::NoFolder(_) => bad_input(&message, "give the plan a folder"),
        RunError::Journal(JournalError::Exists { .. }) => {
            raise_coded("BadInput", &message, "resume it instead", "exists")
        }
        RunError::Journal(JournalError::OtherRun { .. }) => {
            bad_input(&message, "name the run's own folder")
        }
        RunError::Journal(JournalError::Damaged(_)) => raise_coded(
            "SymphonyError",
            &message,
            "play its melody anew, which does again what this run did",
            "damaged_journal",
        ),
        RunError::Folder { source, .. }
        | RunError::Journal(JournalError::Log(LogError::Io { source, .. }))
            if is_full(&source) =>
        {
            raise(
                "StorageFull",
                &message,
                "free some space, then resume the run",
            )
        }
        RunError::Folder { .. } | RunError::Journal(JournalError::Log(_)) => raise_coded(
            "EnvironmentLacks",
            &message,
            "check the disk and its permissions",
            "storage_failed",
        ),
        RunError::Output(error) => {
            raise_coded("SymphonyError", &error.message, &error.remedy, &error.code)
        }
    }
}

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyRuntime>()
}
