//! Local models: what Python loads into the host, in the same pool as the Players.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use pool_manager::{EntryOptions, Kind, Lease, LoadError, Loader, PoolError, Size};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::pool_error;
use crate::pool::PyLoader;
use crate::runtime_players::{Entry, Theatre};

/// What the pool holds: a Player's process or a model in the host.
#[derive(Clone)]
pub(crate) enum Loaded {
    Player(Entry),
    Model(Arc<Model>),
}

impl Loaded {
    /// The Player, if it is one.
    pub(crate) fn player(&self) -> Option<&Entry> {
        match self {
            Self::Player(player) => Some(player),
            Self::Model(_) => None,
        }
    }
}

/// A model that is loaded.
pub(crate) struct Model {
    value: Arc<Py<PyAny>>,
    /// Measured once: a model does not grow, and asking it needs the GIL.
    size: OnceLock<Option<Size>>,
}

/// Loads a model with a Python loader.
struct ModelLoader(PyLoader);

impl Loader<Loaded> for ModelLoader {
    fn load(&self, id: &str) -> Result<Loaded, LoadError> {
        let value = self.0.load(id)?;
        let size = OnceLock::new();
        Ok(Loaded::Model(Arc::new(Model { value, size })))
    }

    fn warm(&self, id: &str, loaded: &Loaded) -> Result<(), LoadError> {
        match loaded {
            Loaded::Model(model) => self.0.warm(id, &model.value),
            Loaded::Player(_) => Ok(()),
        }
    }

    fn measure(&self, id: &str, loaded: &Loaded) -> Option<Size> {
        match loaded {
            Loaded::Model(model) => *model.size.get_or_init(|| self.0.measure(id, &model.value)),
            Loaded::Player(_) => None,
        }
    }
}

/// See `pit_native.pyi`.
#[pyclass(name = "ModelHandle", module = "pit_native", frozen)]
pub(crate) struct PyModelHandle {
    lease: Mutex<Option<Lease<Loaded>>>,
}

#[pymethods]
impl PyModelHandle {
    #[getter]
    fn value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.lease.lock().as_ref().map(Lease::value) {
            Some(Loaded::Model(model)) => Ok(model.value.clone_ref(py)),
            _ => Err(pool_error(PoolError::Released)),
        }
    }

    fn release(&self) -> PyResult<()> {
        let lease = self.lease.lock().take();
        lease
            .map(drop)
            .ok_or_else(|| pool_error(PoolError::Released))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        slf.get().value(slf.py())
    }

    fn __exit__(
        &self,
        _kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        let lease = self.lease.lock().take();
        drop(lease);
    }
}

impl Theatre {
    /// Makes a model known; one of the same id that is loaded is dropped when nobody holds it any more.
    pub(crate) fn register_model(
        &self,
        id: &str,
        loader: Py<PyAny>,
        memory: u64,
        idle: Option<Duration>,
    ) {
        self.models.lock().insert(id.into(), idle);
        let options = EntryOptions {
            idle,
            kind: Kind::Model,
            size: Size { memory, gpu: 0 },
        };
        let loader = ModelLoader(PyLoader::new(loader));
        self.pool.register_with(id, Arc::new(loader), options);
    }

    /// Holds a model, which is loaded if need be.
    pub(crate) fn hold_model(
        &self,
        py: Python<'_>,
        id: &str,
        timeout: Option<Duration>,
    ) -> PyResult<PyModelHandle> {
        if !self.models.lock().contains_key(id) {
            return Err(pool_error(PoolError::Unknown(id.to_owned())));
        }
        const PRIORITY: u8 = 5;
        let lease = match self.pool.try_allocate(id, PRIORITY) {
            Some(lease) => lease,
            None => {
                let mut interrupt = None;
                let waited = py.detach(|| {
                    self.pool.allocate_unless(id, PRIORITY, timeout, &mut || {
                        interrupt = Python::attach(|py| py.check_signals()).err();
                        interrupt.is_some()
                    })
                });
                waited.map_err(|error| interrupt.unwrap_or_else(|| pool_error(error)))?
            }
        };
        self.tending.touched(id);
        Ok(PyModelHandle {
            lease: Mutex::new(Some(lease)),
        })
    }

    /// What is known of each model, by id.
    pub(crate) fn model_states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let ids: Vec<Arc<str>> = self.models.lock().keys().cloned().collect();
        let states = PyDict::new(py);
        for id in ids {
            if let Some(known) = self.pool.describe(&id) {
                let state = PyDict::new(py);
                crate::pool::describe(&state, &known)?;
                states.set_item(&*id, state)?;
            }
        }
        Ok(states)
    }
}

/// Lets go of a model that left the pool, and gives its memory back to the system. May take milliseconds.
pub(crate) fn drop_model(model: Arc<Model>) {
    // Without an interpreter there is nothing left to free it with.
    let freed = Python::try_attach(|_| drop(model));
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if freed.is_some() {
        // SAFETY: it takes no pointers, and the allocator does its own locking.
        unsafe { libc::malloc_trim(0) };
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = freed;
}

/// Adds this file's classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyModelHandle>()
}
