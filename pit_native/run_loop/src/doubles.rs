//! A world in memory for tests: a stage with scripted Players, a store, an arbiter, a list of events.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rmpv::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::event::RunEvent;
use crate::instructions::{Fault, NodeState, RunState};
use crate::ports::{
    Arbiter, Artifacts, Asked, Asking, Call, NewArtifact, NodeError, Presence, Promise, Seat, Sink,
    Stage, Waiter,
};

/// What a scripted Player does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Answers with its inputs.
    Echo,
    /// Fails in passing.
    Fail,
    /// Fails for good.
    Refuse,
    /// Its process ends.
    Crash,
    /// Answers after this many milliseconds, or an error when cancelled before.
    Sleep(u64),
    /// Never answers, not even a cancel.
    Hang,
    /// Answers without outputs.
    Mute,
    /// The host's own code panics.
    Panic,
}

#[derive(Default)]
pub(crate) struct ScriptedStage {
    /// Node id → acts of its attempts in order; the last is repeated.
    pub(crate) script: Mutex<HashMap<String, Vec<Act>>>,
    pub(crate) calls: Mutex<Vec<(String, u32, Vec<String>)>>,
    pub(crate) inputs: Mutex<HashMap<String, Value>>,
    pub(crate) kills: Mutex<Vec<String>>,
    pub(crate) running: AtomicUsize,
    pub(crate) most: AtomicUsize,
    cancels: Mutex<HashMap<u64, Arc<Notify>>>,
}

impl ScriptedStage {
    pub(crate) fn script(&self, node: &str, acts: &[Act]) {
        self.script.lock().insert(node.to_owned(), acts.to_vec());
    }

    pub(crate) fn called(&self, node: &str) -> usize {
        self.calls
            .lock()
            .iter()
            .filter(|(id, ..)| id == node)
            .count()
    }
}

struct ScriptedSeat(Arc<ScriptedStage>);

/// So that the trait can be implemented for a shared stage.
pub(crate) struct SharedStage(pub(crate) Arc<ScriptedStage>);

impl Stage for SharedStage {
    fn seat(&self, _key: &Arc<str>, _priority: u8) -> Promise<Result<Box<dyn Seat>, NodeError>> {
        let stage = self.0.clone();
        Box::pin(async move { Ok(Box::new(ScriptedSeat(stage)) as Box<dyn Seat>) })
    }
}

impl Seat for ScriptedSeat {
    fn call(&self, call: Call) -> Promise<Result<Value, NodeError>> {
        let stage = self.0.clone();
        let cancelled = Arc::new(Notify::new());
        stage.cancels.lock().insert(call.tag, cancelled.clone());
        Box::pin(async move {
            let ports = call
                .inputs
                .iter()
                .map(|(port, _)| port.to_string())
                .collect();
            stage
                .calls
                .lock()
                .push((call.node.to_string(), call.attempt, ports));
            let inputs: Vec<_> = call
                .inputs
                .iter()
                .map(|(k, v)| (Value::from(&**k), (**v).clone()))
                .collect();
            stage
                .inputs
                .lock()
                .insert(call.node.to_string(), Value::Map(inputs.clone()));
            let now = stage.running.fetch_add(1, Ordering::SeqCst) + 1;
            stage.most.fetch_max(now, Ordering::SeqCst);
            let act = {
                let script = stage.script.lock();
                let acts = script
                    .get(&*call.node)
                    .map_or(&[Act::Echo][..], Vec::as_slice);
                acts[(call.attempt as usize - 1).min(acts.len() - 1)]
            };
            let result = perform(act, &call, inputs, &cancelled).await;
            stage.running.fetch_sub(1, Ordering::SeqCst);
            result
        })
    }

    fn cancel(&self, tag: u64) {
        if let Some(call) = self.0.cancels.lock().get(&tag) {
            call.notify_one();
        }
    }

    fn kill(&self, reason: &str) {
        self.0.kills.lock().push(reason.to_owned());
    }
}

async fn perform(
    act: Act,
    call: &Call,
    inputs: Vec<(Value, Value)>,
    cancelled: &Notify,
) -> Result<Value, NodeError> {
    let out = Value::Map(vec![
        ("node".into(), (&*call.node).into()),
        ("inputs".into(), Value::Map(inputs)),
    ]);
    let answer = Value::Map(vec![(
        "outputs".into(),
        Value::Map(vec![("out".into(), out)]),
    )]);
    match act {
        Act::Echo => Ok(answer),
        Act::Fail => Err(NodeError::new("failed", "It failed", "")),
        Act::Refuse => Err(NodeError::new("bad_input", "It will not have that", "")),
        Act::Crash => Err(NodeError {
            fault: Fault::Crash,
            ..NodeError::new("crashed", "It ended", "")
        }),
        Act::Mute => Ok(Value::Map(vec![("outputs".into(), Value::Map(Vec::new()))])),
        Act::Panic => panic!("a defect of the host"),
        Act::Hang => std::future::pending().await,
        Act::Sleep(milliseconds) => {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(milliseconds)) => Ok(answer),
                () = cancelled.notified() => Err(NodeError::new("cancelled", "It was cancelled", "")),
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct MemoryArtifacts {
    pub(crate) content: Mutex<HashMap<String, Vec<u8>>>,
    /// What another tier holds.
    pub(crate) away: Mutex<HashMap<String, Vec<u8>>>,
    pub(crate) is_full: std::sync::atomic::AtomicBool,
    pub(crate) reads: AtomicUsize,
}

pub(crate) struct SharedArtifacts(pub(crate) Arc<MemoryArtifacts>);

impl Artifacts for SharedArtifacts {
    fn put(&self, artifact: NewArtifact<'_>) -> Result<(Arc<str>, f64), NodeError> {
        if self.0.is_full.load(Ordering::SeqCst) {
            return Err(NodeError::new(
                "storage_full",
                "No space is left",
                "free some",
            ));
        }
        let id: String = Sha256::digest(artifact.content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.0
            .content
            .lock()
            .insert(id.clone(), artifact.content.to_vec());
        Ok((id.into(), 1.0))
    }

    fn get(&self, id: &str) -> Result<Vec<u8>, NodeError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.0
            .content
            .lock()
            .get(id)
            .cloned()
            .ok_or_else(|| NodeError::new("not_found", "gone", ""))
    }

    fn are_some_away(&self) -> bool {
        !self.0.away.lock().is_empty()
    }

    fn presence(&self, id: &str) -> Presence {
        match self.0.content.lock().contains_key(id) {
            true => Presence::Here,
            false if self.0.away.lock().contains_key(id) => Presence::Away,
            false => Presence::Gone,
        }
    }
}

/// Hands out whole units of `cpu`, first come, first served.
pub(crate) struct CountingArbiter {
    pub(crate) capacity: f64,
    state: Mutex<CountingState>,
    next: AtomicU64,
    /// For whom what was kept for how long, and what of it was given up.
    pub(crate) reserved: Mutex<Vec<(String, String, f64)>>,
    pub(crate) unreserved: Mutex<Vec<u64>>,
}

#[derive(Default)]
struct CountingState {
    held: HashMap<u64, f64>,
    waiting: Vec<(u64, f64, Arc<dyn Waiter>, u64)>,
}

impl CountingArbiter {
    pub(crate) fn new(capacity: f64) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            next: AtomicU64::new(1),
            reserved: Mutex::default(),
            unreserved: Mutex::default(),
        }
    }

    pub(crate) fn held(&self) -> usize {
        self.state.lock().held.len()
    }
}

pub(crate) struct SharedArbiter(pub(crate) Arc<CountingArbiter>);

impl Arbiter for SharedArbiter {
    fn request(
        &self,
        asking: Asking<'_>,
        waiter: &Arc<dyn Waiter>,
        mark: u64,
    ) -> Result<Asked, NodeError> {
        let amount = asking.needs[0].1;
        if amount > self.0.capacity {
            return Err(NodeError::new("infeasible", "there is not so much", ""));
        }
        let id = self.0.next.fetch_add(1, Ordering::SeqCst);
        let mut state = self.0.state.lock();
        if state.held.values().sum::<f64>() + amount <= self.0.capacity {
            state.held.insert(id, amount);
            return Ok(Asked::Granted(id));
        }
        state.waiting.push((id, amount, waiter.clone(), mark));
        Ok(Asked::Queued(id))
    }

    fn release(&self, grant: u64) {
        let mut state = self.0.state.lock();
        assert!(state.held.remove(&grant).is_some(), "released twice");
        while !state.waiting.is_empty() {
            if state.held.values().sum::<f64>() + state.waiting[0].1 > self.0.capacity {
                return;
            }
            let (id, amount, waiter, mark) = state.waiting.remove(0);
            state.held.insert(id, amount);
            waiter.granted(mark, id);
        }
    }

    fn withdraw(&self, grant: u64) -> bool {
        let mut state = self.0.state.lock();
        let before = state.waiting.len();
        state.waiting.retain(|(id, ..)| *id != grant);
        state.waiting.len() < before
    }

    fn relabel(&self, _grant: u64, _label: &Arc<str>) {}

    fn retire(&self, _owner: &str) {}

    fn reserve(&self, asking: Asking<'_>, lasts: f64) -> Option<u64> {
        let needs: Vec<String> = asking
            .needs
            .iter()
            .map(|(n, a)| format!("{a} {n}"))
            .collect();
        let mut reserved = self.0.reserved.lock();
        reserved.push((asking.label.to_string(), needs.join(", "), lasts));
        Some(reserved.len() as u64)
    }

    fn unreserve(&self, reservation: u64) {
        self.0.unreserved.lock().push(reservation);
    }

    fn has_free(&self, _resource: &str, amount: f64) -> bool {
        self.0.capacity - self.0.state.lock().held.values().sum::<f64>() >= amount
    }
}

/// Keeps all events; tests wait on it.
#[derive(Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<RunEvent>>,
    changed: Condvar,
}

pub(crate) struct SharedRecorder(pub(crate) Arc<Recorder>);

impl Sink for SharedRecorder {
    fn emit(&self, events: &mut Vec<RunEvent>) {
        self.0.events.lock().append(events);
        self.0.changed.notify_all();
    }
}

impl Recorder {
    pub(crate) fn events(&self) -> Vec<RunEvent> {
        self.events.lock().clone()
    }

    /// Waits until `pick` finds something in the events, from the `from`th on.
    pub(crate) fn wait<T>(&self, from: usize, pick: impl Fn(&RunEvent) -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(20);
        let mut events = self.events.lock();
        loop {
            if let Some(found) = events.iter().skip(from).find_map(&pick) {
                return found;
            }
            assert!(
                !self.changed.wait_until(&mut events, until).timed_out(),
                "waited in vain: {events:#?}"
            );
        }
    }

    pub(crate) fn wait_end(&self, from: usize) -> (RunState, Option<NodeError>) {
        self.wait(from, |event| match event {
            RunEvent::Run { state, error, .. } if *state != RunState::Running => {
                Some((*state, error.clone()))
            }
            _ => None,
        })
    }

    /// The last state of each node.
    pub(crate) fn states(&self) -> HashMap<String, NodeState> {
        let node = |event: RunEvent| {
            if let RunEvent::Node(node) = event {
                Some((node.node.to_string(), node.state))
            } else {
                None
            }
        };
        self.events().into_iter().filter_map(node).collect()
    }
}
