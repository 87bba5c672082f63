//! The Python face of `arbitration_engine`, shared with the run loop.

use std::sync::Arc;

use arbitration_engine::{Arbiter, Grant, GrantId, Outcome, RequestError};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString};
use run_loop::ports::{Asked, NodeError, Waiter};
use rustc_hash::FxHashMap;

use crate::errors::{bad_input, raise_coded};

/// The arbiter with those who are told when a queued request is granted.
pub(crate) struct SharedArbiter {
    state: Mutex<State>,
}

struct State {
    core: Arbiter,
    waiters: FxHashMap<GrantId, Arc<dyn Waiter>>,
    /// Grants of Python's requests that a release by the run loop made possible.
    unclaimed: Vec<Grant>,
}

impl SharedArbiter {
    /// Passes grants to their waiters and gives back the others, which Python asked for.
    fn hand_out(&self, granted: Vec<Grant>, waiters: Vec<Arc<dyn Waiter>>) {
        debug_assert_eq!(granted.len(), waiters.len());
        for (grant, waiter) in granted.into_iter().zip(waiters) {
            waiter.granted(grant.tag, grant.id);
        }
    }

    /// Splits `granted` under the lock; the waiters are called without it.
    fn settle(&self, mut state: parking_lot::MutexGuard<'_, State>, granted: Vec<Grant>) {
        let (mut told, mut waiters) = (Vec::new(), Vec::new());
        for grant in granted {
            match state.waiters.remove(&grant.id) {
                Some(waiter) => {
                    told.push(grant);
                    waiters.push(waiter);
                }
                None => state.unclaimed.push(grant),
            }
        }
        drop(state);
        self.hand_out(told, waiters);
    }
}

impl run_loop::ports::Arbiter for SharedArbiter {
    fn request(
        &self,
        owner: &str,
        needs: &[(Arc<str>, f64)],
        priority: u8,
        waiter: &Arc<dyn Waiter>,
        mark: u64,
    ) -> Result<Asked, NodeError> {
        let mut state = self.state.lock();
        let amounts = needs.iter().map(|(name, amount)| (&**name, *amount));
        let needs = state
            .core
            .needs("the node", amounts)
            .map_err(|error| infeasible(&error))?;
        match state.core.request(owner, needs, priority, mark) {
            Outcome::Granted(grant) => Ok(Asked::Granted(grant.id)),
            Outcome::Queued(id) => {
                state.waiters.insert(id, waiter.clone());
                Ok(Asked::Queued(id))
            }
        }
    }

    fn release(&self, grant: u64) {
        let mut state = self.state.lock();
        let mut granted = Vec::new();
        let released = state.core.release(grant, &mut granted);
        debug_assert!(
            released.is_ok(),
            "the run loop gives back what it holds, once"
        );
        self.settle(state, granted);
    }

    fn withdraw(&self, grant: u64) -> bool {
        let mut state = self.state.lock();
        let mut granted = Vec::new();
        let was_waiting = state.core.withdraw(grant, &mut granted);
        if was_waiting {
            state.waiters.remove(&grant);
        }
        self.settle(state, granted);
        was_waiting
    }

    fn retire(&self, owner: &str) {
        self.state.lock().core.retire(owner);
    }
}

fn infeasible(error: &RequestError) -> NodeError {
    NodeError::new(
        "infeasible",
        error.to_string(),
        "lower the node's resources, or raise those of the host in the settings",
    )
}

fn request_error(error: &RequestError) -> PyErr {
    let (remedy, code) = match error {
        RequestError::Infeasible { .. } => ("ask for less, or raise the capacity", "infeasible"),
        RequestError::UnknownResource { .. } => {
            ("name a resource of the capacities", "unknown_resource")
        }
        RequestError::NoAmount { .. } => ("give a number that is not negative", "bad_input"),
        RequestError::NotHeld(_) => ("release a grant once", "not_held"),
    };
    raise_coded("BadInput", &error.to_string(), remedy, code)
}

/// See `pit_native.pyi`.
#[pyclass(name = "Grant", module = "pit_native", frozen)]
pub(crate) struct PyGrant {
    grant: Grant,
    engine: Arc<SharedArbiter>,
}

#[pymethods]
impl PyGrant {
    #[getter]
    fn id(&self) -> u64 {
        self.grant.id
    }

    #[getter]
    fn owner(&self) -> &str {
        &self.grant.owner
    }

    #[getter]
    fn resources<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, amount) in self.engine.state.lock().core.amounts(&self.grant.needs) {
            dict.set_item(name, amount)?;
        }
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        format!("<Grant {} of {}>", self.grant.id, self.grant.owner)
    }
}

/// See `pit_native.pyi`.
#[pyclass(name = "ArbitrationEngine", module = "pit_native", frozen)]
pub(crate) struct PyArbitrationEngine {
    engine: Arc<SharedArbiter>,
}

impl PyArbitrationEngine {
    /// The engine itself, for the run loop.
    pub(crate) fn inner(&self) -> Arc<SharedArbiter> {
        self.engine.clone()
    }

    fn grants<'py>(&self, py: Python<'py>, grants: Vec<Grant>) -> PyResult<Bound<'py, PyList>> {
        let wrap = |grant| {
            Bound::new(
                py,
                PyGrant {
                    grant,
                    engine: self.engine.clone(),
                },
            )
        };
        PyList::new(
            py,
            grants.into_iter().map(wrap).collect::<PyResult<Vec<_>>>()?,
        )
    }
}

#[pymethods]
impl PyArbitrationEngine {
    #[new]
    fn new(capacities: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut all = Vec::new();
        for (name, amount) in capacities.iter() {
            let (name, amount) = (name.extract::<String>()?, amount_of(&amount)?);
            if !amount.is_finite() || amount < 0.0 {
                let message = format!("the capacity of {name} is {amount}, which is no amount");
                return Err(bad_input(&message, "give a number that is not negative"));
            }
            all.push((name, amount));
        }
        let state = State {
            core: Arbiter::new(all),
            waiters: FxHashMap::default(),
            unclaimed: Vec::new(),
        };
        Ok(Self {
            engine: Arc::new(SharedArbiter {
                state: Mutex::new(state),
            }),
        })
    }

    #[pyo3(signature = (owner, needs, priority=5))]
    fn request(
        &self,
        owner: &str,
        needs: &Bound<'_, PyDict>,
        priority: i64,
    ) -> PyResult<Option<PyGrant>> {
        let priority = u8::try_from(priority)
            .ok()
            .filter(|priority| *priority <= 9);
        let priority = priority
            .ok_or_else(|| bad_input("the priority is not between 0 and 9", "9 goes first"))?;
        let mut amounts: Vec<(Bound<'_, PyString>, f64)> = Vec::with_capacity(needs.len());
        for (name, amount) in needs.iter() {
            amounts.push((name.cast_into::<PyString>()?, amount_of(&amount)?));
        }
        let mut named = Vec::with_capacity(amounts.len());
        for (name, amount) in &amounts {
            named.push((name.to_str()?, *amount));
        }
        let mut state = self.engine.state.lock();
        let needs = state
            .core
            .needs(owner, named)
            .map_err(|error| request_error(&error))?;
        match state.core.request(owner, needs, priority, 0) {
            Outcome::Granted(grant) => Ok(Some(PyGrant {
                grant,
                engine: self.engine.clone(),
            })),
            Outcome::Queued(_) => Ok(None),
        }
    }

    fn release<'py>(&self, py: Python<'py>, grant: &PyGrant) -> PyResult<Bound<'py, PyList>> {
        let mut state = self.engine.state.lock();
        let mut granted = Vec::new();
        if !Arc::ptr_eq(&grant.engine, &self.engine) {
            return Err(request_error(&RequestError::NotHeld(grant.grant.id)));
        }
        state
            .core
            .release(grant.grant.id, &mut granted)
            .map_err(|error| request_error(&error))?;
        self.engine.settle(state, granted);
        self.granted(py)
    }

    fn granted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let grants = std::mem::take(&mut self.engine.state.lock().unclaimed);
        self.grants(py, grants)
    }

    fn withdraw(&self, owner: &str) -> usize {
        let mut state = self.engine.state.lock();
        // Requests of the run loop are its own to withdraw.
        let waits = state.core.explain();
        let own = waits
            .into_iter()
            .filter(|wait| wait.owner == owner && !state.waiters.contains_key(&wait.id));
        let own: Vec<GrantId> = own.map(|wait| wait.id).collect();
        let mut granted = Vec::new();
        for id in &own {
            state.core.withdraw(*id, &mut granted);
        }
        self.engine.settle(state, granted);
        own.len()
    }

    fn fairness<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (index, shares, resources, waiting, held) = {
            let core = &self.engine.state.lock().core;
            let resources = core
                .resources()
                .map(|(name, free, all)| (name.to_owned(), free, all));
            let resources: Vec<_> = resources.collect();
            (
                core.fairness(),
                core.shares(),
                resources,
                core.waiting(),
                core.held(),
            )
        };
        let (answer, owners, amounts) = (PyDict::new(py), PyDict::new(py), PyDict::new(py));
        for (owner, share) in shares {
            owners.set_item(&*owner, share)?;
        }
        for (name, free, capacity) in resources {
            let amount = PyDict::new(py);
            amount.set_item("free", free)?;
            amount.set_item("capacity", capacity)?;
            amounts.set_item(name, amount)?;
        }
        answer.set_item("jain", index)?;
        answer.set_item("owners", owners)?;
        answer.set_item("resources", amounts)?;
        answer.set_item("waiting", waiting)?;
        answer.set_item("held", held)?;
        Ok(answer)
    }

    fn explain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let waits = self.engine.state.lock().core.explain();
        let list = PyList::empty(py);
        for wait in waits {
            let shortages = PyList::empty(py);
            for (resource, missing, holders) in wait.shortages {
                let shortage = PyDict::new(py);
                shortage.set_item("resource", resource)?;
                shortage.set_item("missing", missing)?;
                shortage.set_item("held_by", holders)?;
                shortages.append(shortage)?;
            }
            let entry = PyDict::new(py);
            entry.set_item("owner", wait.owner)?;
            entry.set_item("shortages", shortages)?;
            entry.set_item("behind", wait.behind)?;
            list.append(entry)?;
        }
        Ok(list)
    }
}

fn amount_of(amount: &Bound<'_, PyAny>) -> PyResult<f64> {
    if amount.is_instance_of::<PyFloat>() || amount.is_instance_of::<PyInt>() {
        return amount.extract();
    }
    Err(bad_input("an amount is no number", ""))
}

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyGrant>()?;
    module.add_class::<PyArbitrationEngine>()
}
