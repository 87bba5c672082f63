//! The Python face of `arbitration_engine`, shared with the run loop.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arbitration_engine::{
    Arbiter, Ask, Grant, GrantId, Lock, Locks, Mode, Needs, Outcome, Reason, RequestError,
    Resources, Strategy, Wait,
};
use parking_lot::{Mutex, MutexGuard};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString};
use run_loop::ports::{Asked, Asking, NodeError, Waiter};
use rustc_hash::FxHashMap;

use crate::errors::{bad_input, raise_coded};

/// The arbiter with those who are told when a queued request is granted.
struct SharedArbiter {
    /// Read without the lock, for it never changes.
    resources: Arc<Resources>,
    state: Mutex<State>,
    /// When its clock began.
    began: Instant,
}

struct State {
    core: Arbiter,
    waiters: FxHashMap<GrantId, Arc<dyn Waiter>>,
    /// Grants of Python's requests that a release by the run loop made possible.
    unclaimed: Vec<Grant>,
    /// Wakes reservations; there is one while one is to begin or end.
    clock: Option<std::thread::Thread>,
}

impl SharedArbiter {
    fn new(core: Arbiter) -> Self {
        Self {
            resources: core.resources().clone(),
            state: Mutex::new(State {
                core,
                waiters: FxHashMap::default(),
                unclaimed: Vec::new(),
                clock: None,
            }),
            began: Instant::now(),
        }
    }

    /// Tells waiters of their grants, without the lock; the others are Python's to ask for.
    fn settle(&self, mut state: MutexGuard<'_, State>, granted: Vec<Grant>) {
        let mut told = Vec::new();
        for grant in granted {
            match state.waiters.remove(&grant.id) {
                Some(waiter) => told.push((grant, waiter)),
                None => state.unclaimed.push(grant),
            }
        }
        drop(state);
        for (grant, waiter) in told {
            waiter.granted(grant.tag, grant.id);
        }
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Keeps `needs` for an owner, who may say what for, from `wait` seconds on, for `lasts` seconds.
    fn reserve(
        self: &Arc<Self>,
        state: MutexGuard<'_, State>,
        owner: (&str, Option<Arc<str>>),
        needs: Needs,
        wait: f64,
        lasts: f64,
    ) -> Result<u64, RequestError> {
        let (mut state, mut granted) = (state, Vec::new());
        state.core.advance(self.now(), &mut granted);
        let (starts, (owner, label)) = (self.now() + wait, owner);
        let id = state
            .core
            .reserve(owner, label, needs, starts, starts + lasts);
        // It may begin at once.
        state.core.advance(self.now(), &mut granted);
        if state.core.next_change().is_some() {
            match &state.clock {
                Some(clock) => clock.unpark(),
                None => {
                    let engine = Arc::downgrade(self);
                    let clock = std::thread::Builder::new().name("arbitration clock".into());
                    let clock = clock.spawn(move || keep_time(&engine));
                    state.clock = clock.ok().map(|clock| clock.thread().clone());
                }
            }
        }
        self.settle(state, granted);
        id
    }
}

/// Moves the engine's time on whenever a reservation begins or ends, until none will.
fn keep_time(engine: &Weak<SharedArbiter>) {
    /// The engine is looked for so often: it may be gone long before its reservations end.
    const LONGEST: f64 = 1.0;
    while let Some(engine) = engine.upgrade() {
        let mut state = engine.state.lock();
        let mut granted = Vec::new();
        state.core.advance(engine.now(), &mut granted);
        let next = state.core.next_change();
        if next.is_none() {
            state.clock = None;
        }
        engine.settle(state, granted);
        let Some(next) = next else { return };
        let pause = (next - engine.now()).clamp(0.0, LONGEST);
        drop(engine);
        std::thread::park_timeout(Duration::from_secs_f64(pause));
    }
}

/// The run loop's arbiter. Apart from what Python and the loop share, for its clock holds on to that.
pub(crate) struct LoopArbiter(Arc<SharedArbiter>);

impl run_loop::ports::Arbiter for LoopArbiter {
    fn request(
        &self,
        asking: Asking<'_>,
        waiter: &Arc<dyn Waiter>,
        mark: u64,
    ) -> Result<Asked, NodeError> {
        let amounts = asking.needs.iter();
        let amounts = amounts.map(|(name, amount)| (&**name, *amount));
        let needs = self.0.resources.needs("the node", amounts);
        let locks = asking.locks.iter().map(|lock| {
            let mode = if lock.is_exclusive {
                Mode::Exclusive
            } else {
                Mode::Shared
            };
            Lock::new(&lock.path, mode)
        });
        let ask = Ask {
            label: Some(asking.label.clone()),
            locks: locks.collect(),
            priority: asking.priority,
            seconds: Some(asking.seconds),
            tag: mark,
            ..Ask::new(asking.owner, needs.map_err(|error| infeasible(&error))?)
        };
        let mut state = self.0.state.lock();
        let mut others = Vec::new();
        let asked = match state.core.request(ask, &mut others) {
            Outcome::Granted(grant) => Asked::Granted(grant.id),
            Outcome::Queued(id) => {
                state.waiters.insert(id, waiter.clone());
                Asked::Queued(id)
            }
        };
        self.0.settle(state, others);
        Ok(asked)
    }

    fn release(&self, grant: u64) {
        let mut state = self.0.state.lock();
        let mut granted = Vec::new();
        let released = state.core.release(grant, &mut granted);
        debug_assert!(
            released.is_ok(),
            "the run loop gives back what it holds, once"
        );
        self.0.settle(state, granted);
    }

    fn withdraw(&self, grant: u64) -> bool {
        let mut state = self.0.state.lock();
        let mut granted = Vec::new();
        let was_waiting = state.core.withdraw(grant, &mut granted);
        if was_waiting {
            state.waiters.remove(&grant);
        }
        self.0.settle(state, granted);
        was_waiting
    }

    fn relabel(&self, grant: u64, label: &Arc<str>) {
        self.0.state.lock().core.relabel(grant, label.clone());
    }

    fn retire(&self, owner: &str) {
        self.0.state.lock().core.retire(owner);
    }

    fn has_free(&self, resource: &str, amount: f64) -> bool {
        let state = self.0.state.lock();
        let mut amounts = state.core.amounts();
        // What nobody counts is never short.
        amounts
            .find(|(name, ..)| *name == resource)
            .is_none_or(|(_, free, _)| free >= amount)
    }

    fn reserve(&self, asking: Asking<'_>, lasts: f64) -> Option<u64> {
        let amounts = asking.needs.iter();
        let amounts = amounts.map(|(name, amount)| (&**name, *amount));
        let needs = self.0.resources.needs("the node", amounts).ok()?;
        let state = self.0.state.lock();
        if !state.core.is_spare(&needs) {
            return None;
        }
        let owner = (asking.owner, Some(asking.label.clone()));
        self.0.reserve(state, owner, needs, 0.0, lasts).ok()
    }

    fn unreserve(&self, reservation: u64) {
        let mut state = self.0.state.lock();
        let mut granted = Vec::new();
        state.core.unreserve(reservation, &mut granted);
        self.0.settle(state, granted);
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
        RequestError::Reserved { .. } => ("reserve less, or for another time", "infeasible"),
        RequestError::NotHeld(_) => ("release a grant once", "not_held"),
    };
    raise_coded("BadInput", &error.to_string(), remedy, code)
}

/// See `pit_native.pyi`.
#[pyclass(name = "Grant", module = "pit_native", frozen, freelist = 256)]
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
        for (name, amount) in self.engine.resources.amounts(&self.grant.needs) {
            dict.set_item(name, amount)?;
        }
        Ok(dict)
    }

    #[getter]
    fn locks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for lock in &self.grant.locks {
            dict.set_item(lock.path(), mode_word(lock.mode()))?;
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
    pub(crate) fn inner(&self) -> Arc<LoopArbiter> {
        Arc::new(LoopArbiter(self.engine.clone()))
    }

    fn wrap(&self, grant: Grant) -> PyGrant {
        let engine = self.engine.clone();
        PyGrant { grant, engine }
    }

    /// Those of Python's requests that were granted meanwhile.
    fn claim<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let grants = std::mem::take(&mut self.engine.state.lock().unclaimed);
        let grants = grants.into_iter();
        let grants = grants.map(|grant| Bound::new(py, self.wrap(grant)));
        PyList::new(py, grants.collect::<PyResult<Vec<_>>>()?)
    }

    fn needs(&self, owner: &str, needs: &Bound<'_, PyDict>) -> PyResult<Needs> {
        let mut amounts = Needs::new();
        for (name, amount) in needs.iter() {
            let (name, amount) = (name.cast::<PyString>()?.to_str()?, amount_of(&amount)?);
            let added = self.engine.resources.add(&mut amounts, owner, name, amount);
            added.map_err(|error| request_error(&error))?;
        }
        Ok(amounts)
    }
}

#[pymethods]
impl PyArbitrationEngine {
    #[new]
    #[pyo3(signature = (capacities, strategy="fair", seed=0))]
    fn new(capacities: &Bound<'_, PyDict>, strategy: &str, seed: u64) -> PyResult<Self> {
        let mut all = Vec::new();
        for (name, amount) in capacities.iter() {
            let (name, amount) = (name.extract::<String>()?, amount_of(&amount)?);
            if !amount.is_finite() || amount < 0.0 {
                let message = format!("the capacity of {name} is {amount}, which is no amount");
                return Err(bad_input(&message, "give a number that is not negative"));
            }
            all.push((name, amount));
        }
        let mut core = Arbiter::new(all);
        core.set_strategy(strategy_named(strategy, seed)?, &mut Vec::new());
        let engine = Arc::new(SharedArbiter::new(core));
        Ok(Self { engine })
    }

    #[getter]
    fn strategy(&self) -> &'static str {
        self.engine.state.lock().core.strategy().word()
    }

    #[pyo3(signature = (strategy, seed=0))]
    fn set_strategy(&self, strategy: &str, seed: u64) -> PyResult<()> {
        let strategy = strategy_named(strategy, seed)?;
        let mut state = self.engine.state.lock();
        let mut granted = Vec::new();
        state.core.set_strategy(strategy, &mut granted);
        self.engine.settle(state, granted);
        Ok(())
    }

    #[pyo3(signature = (owner, needs, priority=5, *, locks=None, seconds=None, label=None))]
    fn request(
        &self,
        owner: &str,
        needs: &Bound<'_, PyDict>,
        priority: i64,
        locks: Option<&Bound<'_, PyDict>>,
        seconds: Option<f64>,
        label: Option<&str>,
    ) -> PyResult<Option<PyGrant>> {
        let priority = u8::try_from(priority).ok().filter(|&given| given <= 9);
        let priority = priority
            .ok_or_else(|| bad_input("the priority is not between 0 and 9", "9 goes first"))?;
        let ask = Ask {
            owner,
            label: label.map(Arc::from),
            needs: self.needs(owner, needs)?,
            locks: locks.map_or_else(|| Ok(Locks::new()), locks_of)?,
            priority,
            seconds,
            tag: 0,
        };
        let mut others = Vec::new();
        let mut state = self.engine.state.lock();
        let outcome = state.core.request(ask, &mut others);
        self.engine.settle(state, others);
        Ok(match outcome {
            Outcome::Granted(grant) => Some(self.wrap(grant)),
            Outcome::Queued(_) => None,
        })
    }

    fn release<'py>(&self, py: Python<'py>, grant: &PyGrant) -> PyResult<Bound<'py, PyList>> {
        let id = grant.grant.id;
        if !Arc::ptr_eq(&grant.engine, &self.engine) {
            return Err(request_error(&RequestError::NotHeld(id)));
        }
        let mut granted = Vec::new();
        let mut state = self.engine.state.lock();
        if let Err(error) = state.core.release(id, &mut granted) {
            drop(state);
            return Err(request_error(&error));
        }
        if granted.is_empty() && state.unclaimed.is_empty() {
            drop(state);
            return Ok(PyList::empty(py));
        }
        self.engine.settle(state, granted);
        self.claim(py)
    }

    fn granted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.claim(py)
    }

    fn withdraw(&self, owner: &str) -> usize {
        let mut state = self.engine.state.lock();
        let mut own = state.core.waiting_of(owner);
        // Requests of the run loop are its own to withdraw.
        own.retain(|id| !state.waiters.contains_key(id));
        let mut granted = Vec::new();
        for id in &own {
            state.core.withdraw(*id, &mut granted);
        }
        self.engine.settle(state, granted);
        own.len()
    }

    #[pyo3(signature = (owner, needs, *, starts_in=0.0, lasts=None))]
    fn reserve(
        &self,
        owner: &str,
        needs: &Bound<'_, PyDict>,
        starts_in: f64,
        lasts: Option<f64>,
    ) -> PyResult<u64> {
        let lasts = lasts.unwrap_or(f64::INFINITY);
        if !starts_in.is_finite() || starts_in < 0.0 || lasts.is_nan() || lasts <= 0.0 {
            return Err(bad_input(
                "a reservation begins in 0 or more seconds and lasts longer than 0",
                "",
            ));
        }
        let needs = self.needs(owner, needs)?;
        let state = self.engine.state.lock();
        let made = self
            .engine
            .reserve(state, (owner, None), needs, starts_in, lasts);
        made.map_err(|error| request_error(&error))
    }

    fn unreserve(&self, reservation: u64) -> bool {
        let mut state = self.engine.state.lock();
        let mut granted = Vec::new();
        let was_there = state.core.unreserve(reservation, &mut granted);
        self.engine.settle(state, granted);
        was_there
    }

    fn fairness<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (index, shares, resources, waiting, held) = {
            let core = &self.engine.state.lock().core;
            let resources = core
                .amounts()
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

    #[pyo3(signature = (limit=None))]
    fn explain<'py>(&self, py: Python<'py>, limit: Option<usize>) -> PyResult<Bound<'py, PyList>> {
        let limit = limit.unwrap_or(usize::MAX);
        let waits = self.engine.state.lock().core.explain_first(limit);
        let waits = waits.iter().map(|wait| wait_dict(py, wait));
        PyList::new(py, waits.collect::<PyResult<Vec<_>>>()?)
    }
}

fn wait_dict<'py>(py: Python<'py>, wait: &Wait) -> PyResult<Bound<'py, PyDict>> {
    let (shortages, reserved, locks) = (PyList::empty(py), PyList::empty(py), PyList::empty(py));
    let mut behind = None;
    for reason in &wait.reasons {
        let told = PyDict::new(py);
        match reason {
            Reason::Short {
                resource,
                missing,
                holders,
            } => {
                told.set_item("resource", resource)?;
                told.set_item("missing", missing)?;
                let names: Vec<&str> = holders.iter().map(|(name, _)| &**name).collect();
                told.set_item("held_by", names)?;
                shortages.append(told)?;
            }
            Reason::Reserved {
                resource,
                missing,
                owners,
            } => {
                told.set_item("resource", resource)?;
                told.set_item("missing", missing)?;
                told.set_item("reserved_for", owners)?;
                reserved.append(told)?;
            }
            Reason::Locked {
                path,
                mode,
                held,
                holder,
            } => {
                told.set_item("path", path)?;
                told.set_item("mode", mode_word(*mode))?;
                told.set_item("held", held)?;
                told.set_item("held_by", holder)?;
                locks.append(told)?;
            }
            Reason::Behind { other, .. } => behind = Some(other),
        }
    }
    let entry = PyDict::new(py);
    entry.set_item("owner", &wait.owner)?;
    entry.set_item("label", &wait.label)?;
    entry.set_item("text", wait.words())?;
    entry.set_item("passed_over", wait.passed_over)?;
    entry.set_item("shortages", shortages)?;
    entry.set_item("reserved", reserved)?;
    entry.set_item("locks", locks)?;
    entry.set_item("behind", behind)?;
    Ok(entry)
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Shared => "read",
        Mode::Exclusive => "write",
    }
}

fn locks_of(given: &Bound<'_, PyDict>) -> PyResult<Locks> {
    let lock = |(path, mode): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        let (path, mode) = (path.extract::<String>()?, mode.extract::<String>()?);
        match &*mode {
            "read" => Ok(Lock::new(&path, Mode::Shared)),
            "write" => Ok(Lock::new(&path, Mode::Exclusive)),
            _ => Err(bad_input(
                &format!("the lock on {path} is neither for read nor for write, but for {mode}"),
                "say \"read\" or \"write\"",
            )),
        }
    };
    given.iter().map(lock).collect()
}

fn strategy_named(word: &str, seed: u64) -> PyResult<Strategy> {
    Strategy::named(word, seed).ok_or_else(|| {
        let words = Strategy::WORDS.join(", ");
        bad_input(
            &format!("there is no strategy {word}"),
            &format!("choose one of {words}"),
        )
    })
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
