//! The Python face of `pool_manager`.
//!
//! A loaded entry is handed out without a lock and with the GIL held: giving it up for 50 ns would cost
//! far more. Whatever may wait gives it up.

use crate::errors::{bad_input, not_found, pool_error};
use parking_lot::Mutex;
use pool_manager::{
    Config, Description, Entry, EntryOptions, Kind, Lease, LoadError, Loader, PoolError,
    PoolManager, Restarts, Size, State, Stats, UnloadHook,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use rustc_hash::FxHashMap;
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::time::Duration;

/// What an entry holds for Python.
type Value = Arc<Py<PyAny>>;
/// The exceptions of loaders that failed, by entry, to be raised as causes.
type Causes = Arc<Mutex<FxHashMap<String, PyErr>>>;

/// A cell that only who holds the GIL touches, and never across a call into Python.
struct GilCell<T>(UnsafeCell<T>);

// SAFETY: `with` demands the GIL, which is one for all threads under abi3.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The content, for as long as `change` runs.
    ///
    /// # Safety
    /// `change` neither calls into Python (a release of a last reference included) nor enters this cell again.
    #[inline]
    unsafe fn with<R>(&self, _py: Python<'_>, change: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the GIL keeps other threads out, the caller's promise keeps this one out.
        change(unsafe { &mut *self.0.get() })
    }
}

/// See `pit_native.pyi`.
#[pyclass(name = "PoolHandle", module = "pit_native", frozen, freelist = 256)]
pub(crate) struct PyPoolHandle {
    lease: GilCell<Option<Lease<Value>>>,
}

impl PyPoolHandle {
    /// The lease, which leaves the handle unusable.
    #[inline]
    fn take(&self, py: Python<'_>) -> Option<Lease<Value>> {
        // SAFETY: taking moves bytes and drops nothing.
        unsafe { self.lease.with(py, Option::take) }
    }
}

#[pymethods]
impl PyPoolHandle {
    #[getter]
    fn value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        // SAFETY: a new reference runs no Python.
        unsafe {
            self.lease.with(py, |lease| {
                lease.as_ref().map(|lease| lease.value().clone_ref(py))
            })
        }
        .ok_or_else(|| pool_error(PoolError::Released))
    }

    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        // SAFETY: copying text runs no Python.
        unsafe {
            self.lease.with(py, |lease| {
                lease.as_ref().map(|lease| lease.id().to_owned())
            })
        }
        .ok_or_else(|| pool_error(PoolError::Released))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        slf.get().value(slf.py())
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        drop(self.take(py));
    }
}

/// Calls a Python loader.
pub(crate) struct PyLoader {
    loader: Py<PyAny>,
    causes: Causes,
}

impl PyLoader {
    /// One whose exceptions nobody asks for.
    pub(crate) fn new(loader: Py<PyAny>) -> Self {
        let causes = Causes::default();
        Self { loader, causes }
    }

    fn failed(&self, py: Python<'_>, id: &str, error: PyErr) -> LoadError {
        let message = error.to_string();
        self.causes
            .lock()
            .insert(id.to_owned(), error.clone_ref(py));
        LoadError::new(message)
    }
}

impl Loader<Value> for PyLoader {
    fn load(&self, id: &str) -> Result<Value, LoadError> {
        Python::attach(|py| match self.loader.call1(py, (id,)) {
            Ok(value) => Ok(Arc::new(value)),
            Err(error) => Err(self.failed(py, id, error)),
        })
    }

    fn warm(&self, id: &str, value: &Value) -> Result<(), LoadError> {
        Python::attach(|py| {
            let warmed = method(value.bind(py), "warm").and_then(|warm| match warm {
                Some(warm) => warm.call0().map(drop),
                None => Ok(()),
            });
            warmed.map_err(|error| self.failed(py, id, error))
        })
    }

    fn measure(&self, _id: &str, value: &Value) -> Option<Size> {
        Python::attach(|py| {
            let value = value.bind(py);
            size_in_use(value).unwrap_or_else(|error| {
                error.write_unraisable(py, Some(value));
                None
            })
        })
    }

    fn check(&self, _id: &str, value: &Value) -> Result<(), String> {
        Python::attach(|py| {
            let healthy = method(value.bind(py), "is_healthy").and_then(|ask| match ask {
                Some(ask) => ask.call0()?.is_truthy(),
                None => Ok(true),
            });
            match healthy {
                Ok(true) => Ok(()),
                Ok(false) => Err("it said that it is not healthy".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// The method of a value, if it has it.
fn method<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let found = value.getattr_opt(name)?;
    Ok(found.filter(|method| method.is_callable()))
}

/// What `memory_in_use` answers: bytes of memory, or these and bytes of GPU memory.
fn size_in_use(value: &Bound<'_, PyAny>) -> PyResult<Option<Size>> {
    let Some(ask) = method(value, "memory_in_use")? else {
        return Ok(None);
    };
    let answer = ask.call0()?;
    let (memory, gpu) = match answer.extract::<(u64, u64)>() {
        Ok(both) => both,
        Err(_) => (answer.extract()?, 0),
    };
    Ok(Some(Size { memory, gpu }))
}

/// Places in the cache of keys; a power of two.
const CACHED: usize = 64;

/// A key that was used lately: the very string object, kept alive, and the entry that it names.
struct Cached {
    key: Py<PyString>,
    entry: Arc<Entry<Value>>,
}

/// See `pit_native.pyi`.
#[pyclass(name = "PoolManager", module = "pit_native", frozen)]
pub(crate) struct PyPoolManager {
    pool: PoolManager<Value>,
    causes: Causes,
    cache: GilCell<Vec<Option<Cached>>>,
}

fn slot_of(key: &Bound<'_, PyString>) -> usize {
    // Objects are aligned to 16 bytes.
    (key.as_ptr().addr() >> 4) % CACHED
}

impl PyPoolManager {
    /// A lease of what the cache has for this string object, if it is loaded.
    #[inline]
    fn allocate_cached(&self, id: &Bound<'_, PyString>) -> Option<Lease<Value>> {
        // SAFETY: nothing in here drops a Python object.
        unsafe {
            self.cache.with(id.py(), |cache| match &cache[slot_of(id)] {
                Some(cached) if cached.key.as_ptr() == id.as_ptr() => {
                    self.pool.try_allocate_entry(&cached.entry)
                }
                _ => None,
            })
        }
    }

    /// Looks the id up and remembers it, then leases or waits.
    #[cold]
    fn allocate_slowly(
        &self,
        id: &Bound<'_, PyString>,
        priority: i64,
        timeout: Option<f64>,
    ) -> PyResult<Lease<Value>> {
        let py = id.py();
        let text = id.to_str()?;
        let priority = u8::try_from(priority)
            .ok()
            .filter(|priority| *priority <= 9)
            .ok_or_else(|| bad_input(&format!("priority {priority} is not between 0 and 9"), ""))?;
        let timeout = timeout.map(seconds).transpose()?;
        if let Some(entry) = self.pool.resolve(text) {
            let fresh = Some(Cached {
                key: id.clone().unbind(),
                entry,
            });
            // SAFETY: the old one is moved out and dropped after the cell is left.
            let old = unsafe {
                self.cache.with(py, |cache| {
                    std::mem::replace(&mut cache[slot_of(id)], fresh)
                })
            };
            drop(old);
        }
        if let Some(lease) = self.pool.try_allocate(text, priority) {
            return Ok(lease);
        }
        let mut interrupt = None;
        let result = py.detach(|| {
            self.pool.allocate_unless(text, priority, timeout, &mut || {
                interrupt = Python::attach(|py| py.check_signals()).err();
                interrupt.is_some()
            })
        });
        result.map_err(|error| match (error, interrupt) {
            (PoolError::Interrupted, Some(interrupt)) => interrupt,
            (error @ PoolError::Load { .. }, _) => {
                let cause = self.causes.lock().remove(text);
                let raised = pool_error(error);
                raised.set_cause(py, cause);
                raised
            }
            (error, _) => pool_error(error),
        })
    }
}

#[pymethods]
impl PyPoolManager {
    #[new]
    #[pyo3(
        signature = (
            capacity=128, *, memory=None, gpu_memory=None, idle=Some(300.0), cooling=2.0, loaders=8, backoff=0.05,
            give_up_after=6, check=None, unload=None
        ),
        text_signature = "(capacity=128, *, memory=None, gpu_memory=None, idle=300.0, cooling=2.0, loaders=8, backoff=0.05, give_up_after=6, check=None, unload=None)"
    )]
    #[allow(clippy::too_many_arguments, reason = "settings, by name")]
    fn new(
        capacity: usize,
        memory: Option<u64>,
        gpu_memory: Option<u64>,
        idle: Option<f64>,
        cooling: f64,
        loaders: usize,
        backoff: f64,
        give_up_after: u32,
        check: Option<f64>,
        unload: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        if capacity == 0 || loaders == 0 || give_up_after == 0 {
            let message = "a pool needs a capacity, loaders and attempts of at least 1";
            return Err(bad_input(message, ""));
        }
        let config = Config {
            capacity,
            memory,
            gpu_memory,
            idle: idle.map(seconds).transpose()?,
            cooling: seconds(cooling)?,
            loaders,
            check: check.map(seconds).transpose()?,
            restarts: Restarts {
                first: seconds(backoff)?,
                attempts: give_up_after,
                ..Restarts::default()
            },
        };
        let pool = match unload {
            None => PoolManager::new(config),
            Some(unload) => PoolManager::with_unload(config, unload_hook(unload)),
        };
        let cache = GilCell::new((0..CACHED).map(|_| None).collect());
        Ok(Self {
            pool,
            causes: Causes::default(),
            cache,
        })
    }

    #[pyo3(signature = (id, loader, *, kind="model", memory=0, gpu_memory=0, idle=None))]
    #[allow(clippy::too_many_arguments, reason = "options, by name")]
    fn register(
        &self,
        py: Python<'_>,
        id: &str,
        loader: Bound<'_, PyAny>,
        kind: &str,
        memory: u64,
        gpu_memory: u64,
        idle: Option<f64>,
    ) -> PyResult<()> {
        if !loader.is_callable() {
            return Err(bad_input(
                &format!("the loader of {id:?} cannot be called"),
                "",
            ));
        }
        let kinds = [Kind::Player, Kind::Model];
        let kind = kinds
            .into_iter()
            .find(|known| known.word() == kind)
            .ok_or_else(|| bad_input(&format!("there is no kind {kind:?}"), "player or model"))?;
        let options = EntryOptions {
            idle: idle.map(seconds).transpose()?,
            kind,
            size: Size {
                memory,
                gpu: gpu_memory,
            },
        };
        let loader = PyLoader {
            loader: loader.unbind(),
            causes: Arc::clone(&self.causes),
        };
        py.detach(|| self.pool.register_with(id, Arc::new(loader), options));
        Ok(())
    }

    fn unregister(&self, py: Python<'_>, id: &str) -> bool {
        py.detach(|| self.pool.unregister(id))
    }

    #[pyo3(signature = (id, priority=5, timeout=None))]
    #[inline]
    fn allocate(
        &self,
        id: &Bound<'_, PyString>,
        priority: i64,
        timeout: Option<f64>,
    ) -> PyResult<PyPoolHandle> {
        let lease = match self.allocate_cached(id) {
            Some(lease) => lease,
            None => self.allocate_slowly(id, priority, timeout)?,
        };
        Ok(PyPoolHandle {
            lease: GilCell::new(Some(lease)),
        })
    }

    #[inline]
    fn release(&self, py: Python<'_>, handle: &Bound<'_, PyPoolHandle>) -> PyResult<()> {
        match handle.get().take(py) {
            Some(lease) => {
                drop(lease);
                Ok(())
            }
            None => Err(pool_error(PoolError::Released)),
        }
    }

    fn discard(&self, py: Python<'_>, id: &str) -> bool {
        py.detach(|| self.pool.discard(id))
    }

    fn report_dead(
        &self,
        py: Python<'_>,
        handle: &Bound<'_, PyPoolHandle>,
        reason: &str,
    ) -> PyResult<bool> {
        let lease = handle
            .get()
            .take(py)
            .ok_or_else(|| pool_error(PoolError::Released))?;
        Ok(py.detach(|| self.pool.report_dead(&lease, reason)))
    }

    fn prewarm(&self, py: Python<'_>, ids: Vec<String>) -> PyResult<usize> {
        py.detach(|| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            self.pool.prewarm(&ids)
        })
        .map_err(pool_error)
    }

    fn state(&self, id: &str) -> PyResult<&'static str> {
        self.pool.state(id).map(State::word).ok_or_else(|| {
            not_found(
                &format!("the pool has no entry {id:?}"),
                "register it first",
            )
        })
    }

    fn describe<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyDict>> {
        let description = self.pool.describe(id).ok_or_else(|| {
            not_found(
                &format!("the pool has no entry {id:?}"),
                "register it first",
            )
        })?;
        let dict = PyDict::new(py);
        describe(&dict, &description)?;
        Ok(dict)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.pool.stats());
        pool_stats(py, &stats)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.pool.close());
    }
}

/// What is known of an entry, as `describe` gives it.
pub(crate) fn describe(dict: &Bound<'_, PyDict>, known: &Description) -> PyResult<()> {
    dict.set_item("state", known.state.word())?;
    dict.set_item("kind", known.kind.word())?;
    dict.set_item("memory", known.size.memory)?;
    dict.set_item("gpu_memory", known.size.gpu)?;
    dict.set_item("measured", known.is_measured)?;
    dict.set_item("load_seconds", known.load_seconds)?;
    dict.set_item("failures", known.failures)?;
    dict.set_item("given_up", known.is_given_up)?;
    dict.set_item("reason", &known.reason)?;
    dict.set_item("pause", known.pause.map(|pause| pause.as_secs_f64()))
}

/// A pool in numbers, as `stats` gives it.
pub(crate) fn pool_stats<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let states = PyDict::new(py);
    for (state, count) in State::ALL.into_iter().zip(stats.states) {
        states.set_item(state.word(), count)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("capacity", stats.capacity)?;
    dict.set_item("entries", stats.entries)?;
    dict.set_item("loaded", stats.loaded)?;
    dict.set_item("memory", stats.used.memory)?;
    dict.set_item("memory_limit", stats.memory)?;
    dict.set_item("gpu_memory", stats.used.gpu)?;
    let gpu = stats.gpu.as_ref();
    dict.set_item("gpu_memory_limit", gpu.and_then(|gpu| gpu.as_ref().ok()))?;
    dict.set_item("gpu_absent", gpu.and_then(|gpu| gpu.as_ref().err()))?;
    dict.set_item("states", states)?;
    for (name, count) in [
        ("held", stats.held),
        ("allocations", stats.allocations),
        ("waits", stats.waits),
        ("loads", stats.loads),
        ("failures", stats.failures),
        ("evictions", stats.evictions),
        ("idle_unloads", stats.idle_unloads),
        ("discards", stats.discards),
        ("deaths", stats.deaths),
        ("restarts", stats.restarts),
        ("given_up", stats.given_up as u64),
        ("prewarmed", stats.prewarmed),
        ("prewarm_hits", stats.prewarm_hits),
        ("prewarm_misses", stats.prewarm_misses),
    ] {
        dict.set_item(name, count)?;
    }
    Ok(dict)
}

/// Calls `unload(id, value)`; what it raises is reported as unraisable, for nobody waits for it.
fn unload_hook(unload: Py<PyAny>) -> UnloadHook<Value> {
    Arc::new(move |id, value| {
        Python::attach(|py| {
            if let Err(error) = unload.call1(py, (id, value.clone_ref(py))) {
                error.write_unraisable(py, Some(unload.bind(py)));
            }
        });
    })
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        bad_input(
            &format!("{seconds} is no time in seconds"),
            "give a number from 0 up",
        )
    })
}

/// What NVML knows of this machine's GPUs.
#[pyfunction]
fn graphics_processors(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let known = py.detach(pool_manager::gpu_memory);
    let dict = PyDict::new(py);
    let found = known.as_ref().ok();
    dict.set_item("devices", found.map_or(0, |all| all.devices))?;
    dict.set_item("memory", found.map_or(0, |all| all.total))?;
    dict.set_item("free", found.map_or(0, |all| all.free))?;
    dict.set_item("absent", known.as_ref().err())?;
    Ok(dict)
}

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyPoolHandle>()?;
    module.add_class::<PyPoolManager>()?;
    module.add_function(wrap_pyfunction!(graphics_processors, module)?)
}
