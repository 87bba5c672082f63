//! The Python face of `stale_manager`.

use crate::errors::{bad_input, not_found, policy_error, raise, store_error};
use crate::json::{serialised, to_map};
use crate::store::{PyArtifactStore, rounded};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;
use stale_manager::{Policy, RunFacts, StaleManager, Tier, assess};
use std::collections::HashMap;
use std::sync::Arc;

/// Registrations that are made with one lock: the runs that play register, too.
const AT_ONCE: usize = 4096;

/// Id, bytes, creation and value of an artifact.
type Away = (String, u64, f64, f64);

/// See `pit_native.pyi`.
#[pyclass(name = "StaleManager", module = "pit_native", frozen)]
pub(crate) struct PyStaleManager {
    manager: Arc<Mutex<StaleManager>>,
}

impl PyStaleManager {
    /// The register itself, for other faces of the bridge.
    #[allow(dead_code, reason = "used by the face of the run loop")]
    pub(crate) fn inner(&self) -> Arc<Mutex<StaleManager>> {
        Arc::clone(&self.manager)
    }

    fn known(&self, id: &str, change: impl FnOnce(&mut StaleManager) -> bool) -> PyResult<()> {
        if change(&mut self.manager.lock()) {
            return Ok(());
        }
        Err(unknown(id))
    }
}

fn unknown(id: &str) -> PyErr {
    not_found(
        &format!("the stale manager does not know {id}"),
        "register it first",
    )
}

#[pymethods]
impl PyStaleManager {
    #[new]
    #[pyo3(signature = (policy=None))]
    fn new(policy: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let policy: Policy =
            serde_json::from_value(Value::Object(to_map(policy)?)).map_err(|error| {
                raise(
                    "InvalidConfig",
                    &format!("the retention policy cannot be used: {error}"),
                    "",
                )
            })?;
        let manager = StaleManager::new(policy.checked().map_err(policy_error)?);
        Ok(Self {
            manager: Arc::new(Mutex::new(manager)),
        })
    }

    fn register(&self, id: &str, size: u64, created: f64, value: f64) {
        self.manager.lock().register(id, size, created, value);
    }

    #[pyo3(signature = (store, worth, share=0.5))]
    fn register_all(
        &self,
        py: Python<'_>,
        store: &Bound<'_, PyArtifactStore>,
        worth: HashMap<String, f64>,
        share: f64,
    ) -> PyResult<Vec<Away>> {
        let store = store.get().inner();
        let manager = Arc::clone(&self.manager);
        py.detach(|| {
            manager.lock().begin_round();
            let all = store.outline(|run, quality| {
                let run = run.split('/').next().unwrap_or_default();
                let of_run = worth.get(run).copied().unwrap_or(0.0);
                of_run.max(rounded(quality) * share)
            })?;
            let mut away = Vec::new();
            for some in all.chunks(AT_ONCE) {
                let mut manager = manager.lock();
                for one in some {
                    let id = one.id.to_string();
                    if one.is_local {
                        manager.register(&id, one.bytes, one.created, one.worth);
                        manager.moved(&id, Tier::Active);
                        manager.set_hold(&id, one.is_held);
                    } else {
                        away.push((id, one.bytes, one.created, one.worth));
                    }
                }
            }
            Ok(away)
        })
        .map_err(store_error)
    }

    fn forget_others(&self, py: Python<'_>) {
        py.detach(|| self.manager.lock().end_round());
    }

    fn pin(&self, id: &str) -> PyResult<()> {
        self.known(id, |manager| manager.set_pin(id, true))
    }

    fn unpin(&self, id: &str) -> PyResult<()> {
        self.known(id, |manager| manager.set_pin(id, false))
    }

    fn set_hold(&self, id: &str, held: bool) -> PyResult<()> {
        self.known(id, |manager| manager.set_hold(id, held))
    }

    fn used(&self, id: &str, at: f64) -> PyResult<()> {
        self.known(id, |manager| manager.used(id, at))
    }

    fn moved(&self, id: &str, tier: &str) -> PyResult<()> {
        let tier = [Tier::Active, Tier::Archive, Tier::Cloud]
            .into_iter()
            .find(|one| one.word() == tier)
            .ok_or_else(|| {
                bad_input(
                    &format!("there is no tier {tier:?}"),
                    "active, archive or cloud",
                )
            })?;
        self.known(id, |manager| manager.moved(id, tier))
    }

    fn forget(&self, id: &str) -> bool {
        self.manager.lock().forget(id)
    }

    fn item<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let item = self.manager.lock().item(id).cloned();
        item.map(|item| serialised(py, &item)).transpose()
    }

    #[pyo3(signature = (now, free=None))]
    fn plan<'py>(
        &self,
        py: Python<'py>,
        now: f64,
        free: Option<u64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let manager = Arc::clone(&self.manager);
        let actions = py.detach(|| manager.lock().plan(now, free));
        let list = PyList::empty(py);
        for action in actions {
            let dict = PyDict::new(py);
            dict.set_item("action", action.kind.word())?;
            dict.set_item("id", action.id)?;
            dict.set_item("from", action.from.word())?;
            dict.set_item("bytes", action.bytes)?;
            dict.set_item("reason", action.reason)?;
            list.append(dict)?;
        }
        Ok(list)
    }

    fn explain(&self, id: &str, now: f64) -> PyResult<String> {
        let said = self.manager.lock().explain(id, now);
        said.ok_or_else(|| unknown(id))
    }

    #[staticmethod]
    fn assess<'py>(py: Python<'py>, runs: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let mut facts: Vec<RunFacts> = Vec::new();
        for run in runs.try_iter()? {
            let run = run?;
            let map = to_map(Some(run.cast::<PyDict>()?))?;
            let read = serde_json::from_value(Value::Object(map));
            facts.push(read.map_err(|error| {
                bad_input(
                    &format!("what is said of a run cannot be read: {error}"),
                    "",
                )
            })?);
        }
        let assessed = py.detach(|| assess(&facts));
        serialised(py, &assessed)
    }

    fn policy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let policy = self.manager.lock().policy().clone();
        serialised(py, &policy)
    }

    fn __len__(&self) -> usize {
        self.manager.lock().len()
    }
}

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyStaleManager>()
}
