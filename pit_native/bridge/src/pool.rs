//! The Python face of `pool_manager`.
//!
//! A loaded entry is handed out without a lock and with the GIL held: giving it up for 50 ns would cost
//! far more. Whatever may wait gives it up.

use crate::errors::{bad_input, not_found, pool_error};
use parking_lot::Mutex;
use pool_manager::{
    Config, Entry, Lease, LoadError, Loader, PoolError, PoolManager, Restarts, State, UnloadHook,
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
struct PyLoader {
    loader: Py<PyAny>,
    causes: Causes,
}

impl PyLoader {
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
            let value = value.bind(py);
            let warmed = match value.getattr_opt("warm") {
                Ok(Some(warm)) if warm.is_callable() => warm.call0().map(drop),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            warmed.map_err(|error| self.failed(py, id, error))
        })
    }
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
        signature = (capacity=128, *, idle=Some(300.0), cooling=2.0, loaders=8, backoff=0.05, unload=None),
        text_signature = "(capacity=128, *, idle=300.0, cooling=2.0, loaders=8, backoff=0.05, unload=None)"
    )]
    fn new(
        capacity: usize,
        idle: Option<f64>,
        cooling: f64,
        loaders: usize,
        backoff: f64,
        unload: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        if capacity == 0 || loaders == 0 {
            return Err(bad_input(
                "a pool needs a capacity and loaders of at least 1",
                "",
            ));
        }
        let config = Config {
            capacity,
            idle: idle.map(seconds).transpose()?,
            cooling: seconds(cooling)?,
            loaders,
            restarts: Restarts {
                first: seconds(backoff)?,
                ..Restarts::default()
            },
            ..Config::default()
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

    #[pyo3(signature = (id, loader))]
    fn register(&self, py: Python<'_>, id: &str, loader: Bound<'_, PyAny>) -> PyResult<()> {
        if !loader.is_callable() {
            return Err(bad_input(
                &format!("the loader of {id:?} cannot be called"),
                "",
            ));
        }
        let loader = PyLoader {
            loader: loader.unbind(),
            causes: Arc::clone(&self.causes),
        };
        py.detach(|| self.pool.register(id, Arc::new(loader)));
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

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.pool.stats());
        let states = PyDict::new(py);
        for (state, count) in State::ALL.into_iter().zip(stats.states) {
            states.set_item(state.word(), count)?;
        }
        let dict = PyDict::new(py);
        dict.set_item("capacity", stats.capacity)?;
        dict.set_item("entries", stats.entries)?;
        dict.set_item("loaded", stats.loaded)?;
        dict.set_item("states", states)?;
        dict.set_item("held", stats.held)?;
        dict.set_item("allocations", stats.allocations)?;
        dict.set_item("waits", stats.waits)?;
        dict.set_item("loads", stats.loads)?;
        dict.set_item("failures", stats.failures)?;
        dict.set_item("evictions", stats.evictions)?;
        dict.set_item("idle_unloads", stats.idle_unloads)?;
        dict.set_item("discards", stats.discards)?;
        Ok(dict)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.pool.close());
    }
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

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyPoolHandle>()?;
    module.add_class::<PyPoolManager>()
}
