//! Carries out the machine's instructions for one run: requests, attempts, journal, events.

mod grants;
mod memory;
mod prewarming;
mod questions;
mod recall;
mod reserving;
mod telling;
mod writing;

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::attempt::{Attempt, LOST, Made, Report};
use crate::cache::{CacheKey, ResultCache};
use crate::event::{RunEvent, Values};
use crate::instructions::{Event, Fault, Instruction, NodeState, RunState};
use crate::journal::{Journal, Record};
use crate::lineage::Parts;
use crate::machine::{Machine, Rank};
use crate::plan::{NodeKind, Plan};
use crate::ports::{NodeError, Stored, Usage, Waiter};
use crate::run_loop::Shared;
use crate::trouble::Trouble;
use crate::view::RunView;
use prewarming::Prewarming;
use reserving::Reserving;

/// Events of the machine between two flushes.
const BATCH: usize = 512;

/// Where a run's messages go.
pub(crate) type Inbox = UnboundedSender<Message>;

/// What reaches a run from outside.
#[derive(Debug)]
pub(crate) enum Message {
    /// An event that needs nothing more.
    Machine(Event),
    /// A queued request was granted.
    Granted { grant: u64 },
    /// An attempt has ended.
    Done {
        node: u32,
        attempt: u32,
        seconds: f64,
        usage: Option<Usage>,
        result: Result<Made, NodeError>,
    },
    /// A content was brought back, or could not be.
    Recalled {
        id: Arc<str>,
        failure: Option<String>,
    },
    /// The journal could not be brought to the disk.
    JournalFailed(Trouble),
}

/// Passes grants on to the inbox.
struct GrantWaiter(Inbox);

impl Waiter for GrantWaiter {
    fn granted(&self, _mark: u64, grant: u64) {
        // A run withdraws its requests, or waits for them, before it ends.
        let _ = self.0.send(Message::Granted { grant });
    }
}

/// What the driver knows of a node beside the machine's state.
#[derive(Debug, Clone, Copy)]
struct Live {
    /// The grant it holds or waits for; 0 for none.
    grant: u64,
    is_queued: bool,
    told: NodeState,
    ready_at: f64,
    started_at: f64,
    queue: f64,
}

/// Said with a node's next state.
#[derive(Debug, Default)]
struct Detail {
    seconds: Option<f64>,
    usage: Option<Usage>,
    artifacts: Arc<[Stored]>,
    is_cached: bool,
    error: Option<NodeError>,
}

/// One playing run.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    view: Arc<RunView>,
    machine: Machine,
    inbox: Inbox,
    waiter: Arc<dyn Waiter>,
    journal: Option<Journal>,
    cache: Option<Arc<Mutex<ResultCache>>>,
    began: Instant,
    prewarming: Prewarming,
    live: Vec<Live>,
    details: FxHashMap<u32, Detail>,
    keys: FxHashMap<u32, CacheKey>,
    /// Why nodes run whose results could not be brought back.
    lost: FxHashMap<u32, String>,
    reserving: Reserving,
    /// What nodes that run are made of, and why they run.
    parts: FxHashMap<u32, Parts>,
    because: FxHashMap<u32, Arc<str>>,
    /// Whose requests wait, by the request's name, and in which order each class is served.
    waiting: FxHashMap<u64, u32>,
    lines: FxHashMap<u32, BinaryHeap<Rank>>,
    kept: Kept,
    attempts: Vec<(u32, u32)>,
    stops: FxHashMap<u32, oneshot::Sender<()>>,
    starts: Vec<(u32, u32)>,
    ready: Vec<u32>,
    /// Nodes that have begun to run since the last flush, and where among the events that is told.
    begun: Vec<(usize, u32)>,
    /// Grants that come although their request was given up.
    owed: usize,
    queue: VecDeque<Event>,
    instructions: Vec<Instruction>,
    events: Vec<RunEvent>,
    error: Option<NodeError>,
    ended: Option<RunState>,
    is_broken: bool,
    /// Whether the cache has something to write.
    has_remembered: bool,
}

/// Nodes of a resumed run that do not run again, and what they made.
pub(crate) type Kept = FxHashMap<u32, Arc<[Stored]>>;

/// What a new driver begins with.
pub(crate) struct Beginning {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: Arc<RunView>,
    pub(crate) inbox: Inbox,
    pub(crate) journal: Option<Journal>,
    pub(crate) cache: Option<Arc<Mutex<ResultCache>>>,
    pub(crate) kept: Kept,
    /// Attempts made in earlier lives.
    pub(crate) attempts: Vec<(u32, u32)>,
}

impl Driver {
    pub(crate) fn new(beginning: Beginning) -> Self {
        let Beginning {
            shared,
            view,
            inbox,
            journal,
            cache,
            kept,
            attempts,
        } = beginning;
        let plan = view.plan.clone();
        let nodes: Vec<u32> = kept.keys().copied().collect();
        let machine = Machine::new(plan.clone(), &nodes, &attempts);
        let began = Instant::now();
        let prewarming = Prewarming::start(&plan, &shared, began, &nodes);
        let fresh = Live {
            grant: 0,
            is_queued: false,
            told: NodeState::Pending,
            ready_at: 0.0,
            started_at: 0.0,
            queue: 0.0,
        };
        Self {
            machine,
            reserving: Reserving::of(&plan),
            waiter: Arc::new(GrantWaiter(inbox.clone())),
            live: vec![fresh; plan.nodes.len()],
            shared,
            plan,
            view,
            inbox,
            journal,
            cache,
            began,
            prewarming,
            details: FxHashMap::default(),
            keys: FxHashMap::default(),
            lost: FxHashMap::default(),
            parts: FxHashMap::default(),
            because: FxHashMap::default(),
            waiting: FxHashMap::default(),
            lines: FxHashMap::default(),
            kept,
            attempts,
            stops: FxHashMap::default(),
            starts: Vec::new(),
            ready: Vec::new(),
            begun: Vec::new(),
            owed: 0,
            queue: VecDeque::from([Event::Begin]),
            instructions: Vec::new(),
            events: Vec::new(),
            error: None,
            ended: None,
            is_broken: false,
            has_remembered: false,
        }
    }

    /// Plays the run to its end.
    pub(crate) async fn run(mut self, mut messages: UnboundedReceiver<Message>) {
        self.events.push(RunEvent::Run {
            run: self.plan.run.clone(),
            state: RunState::Running,
            seconds: 0.0,
            error: None,
        });
        // Its first record is written already.
        self.sync_soon();
        self.bring_back_what_is_read(&mut messages).await;
        self.tell_kept();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            self.pump();
            self.flush();
            if self.ended.is_some() && self.queue.is_empty() {
                break;
            }
            if self.queue.is_empty() {
                if messages.recv_many(&mut batch, BATCH).await == 0 {
                    return;
                }
            } else {
                tokio::task::yield_now().await;
                batch.extend(std::iter::from_fn(|| messages.try_recv().ok()).take(BATCH));
            }
            for message in batch.drain(..) {
                self.apply(message);
            }
        }
        while self.owed > 0 {
            let Some(message) = messages.recv().await else {
                break;
            };
            if let Message::Granted { grant } = message {
                self.owed -= 1;
                self.shared.arbiter.release(grant);
            }
        }
        self.end().await;
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn apply(&mut self, message: Message) {
        match message {
            Message::Machine(event) => self.queue.push_back(event),
            Message::Granted { grant } => self.take_grant(grant),
            Message::Done {
                node,
                attempt,
                seconds,
                usage,
                result,
            } => {
                let detail = self.details.entry(node).or_default();
                detail.seconds = Some(seconds);
                detail.usage = usage;
                self.done(node, attempt, result);
            }
            // Nobody waits for it any more.
            Message::Recalled { .. } => {}
            Message::JournalFailed(trouble) => self.break_down(&trouble),
        }
    }

    fn done(&mut self, node: u32, attempt: u32, result: Result<Made, NodeError>) {
        self.stops.remove(&node);
        let detail = self.details.entry(node).or_default();
        match result {
            Ok(Made { values, stored }) => {
                detail.artifacts = stored.clone();
                detail.error = None;
                self.remember(node, &stored);
                self.record(&Record::Finished {
                    node,
                    attempt,
                    is_cached: false,
                    stored: stored.clone(),
                });
                self.view.keep(node, values, stored);
                self.queue.push_back(Event::Finished { node, attempt });
            }
            Err(error) => {
                let (code, message) = (error.code.clone(), error.message.clone());
                self.queue.push_back(Event::Failed {
                    node,
                    attempt,
                    fault: error.fault,
                });
                let is_lost = code == LOST;
                detail.error = Some(error);
                if is_lost {
                    self.forget_sources(node);
                }
                self.record(&Record::Failed {
                    node,
                    attempt,
                    code,
                    message,
                });
            }
        }
    }

    /// Feeds the machine until it is quiet, or a batch is full.
    fn pump(&mut self) {
        let mut instructions = std::mem::take(&mut self.instructions);
        for _ in 0..BATCH {
            let Some(event) = self.queue.pop_front() else {
                break;
            };
            self.machine.handle(event, &mut instructions);
            for instruction in instructions.drain(..) {
                self.carry_out(instruction);
            }
        }
        self.instructions = instructions;
    }

    fn carry_out(&mut self, instruction: Instruction) {
        match instruction {
            Instruction::Request(node) => self.request(node),
            Instruction::Withdraw(node) => self.withdraw(node),
            Instruction::Start { node, attempt } => self.start(node, attempt),
            Instruction::Stop(node) => self.stop(node),
            Instruction::Release(node) => self.release(node),
            Instruction::Decide {
                node,
                attempt,
                default,
            } => self.decide(node, attempt, default),
            Instruction::Delay {
                node,
                attempt,
                delay,
            } => self.delay(node, attempt, delay),
            Instruction::Evaluate(edge) => self.evaluate(edge),
            Instruction::State { node, state, cause } => self.tell(node, state, cause),
            Instruction::End(state) => self.ended = Some(state),
        }
    }

    fn start(&mut self, node: u32, attempt: u32) {
        let plan = &self.plan.nodes[node as usize];
        if plan.kind == NodeKind::Pass && plan.outputs.is_empty() {
            self.record(&Record::Finished {
                node,
                attempt,
                is_cached: false,
                stored: Arc::default(),
            });
            self.view.keep(node, Values::new(), Arc::default());
            self.queue.push_back(Event::Finished { node, attempt });
            return;
        }
        self.record(&Record::Started { node, attempt });
        self.reserve_for_next(node);
        self.starts.push((node, attempt));
    }

    fn stop(&mut self, node: u32) {
        if let Some(stop) = self.stops.remove(&node) {
            // An attempt that has just ended hears nothing any more, and its report is on the way.
            let _ = stop.send(());
        } else if let Some(at) = self.starts.iter().position(|&(waiting, _)| waiting == node) {
            let (node, attempt) = self.starts.remove(at);
            self.queue.push_back(Event::Failed {
                node,
                attempt,
                fault: Fault::Passing,
            });
        }
    }

    /// Writes the journal, tells what has changed, then starts what may start.
    fn flush(&mut self) {
        self.flush_journal();
        self.drop_what_is_over();
        self.tell_ready();
        if !self.events.is_empty() {
            self.shared.sink.emit(&mut self.events);
        }
        for (node, attempt) in std::mem::take(&mut self.starts) {
            self.spawn(node, attempt);
        }
    }

    fn spawn(&mut self, node: u32, number: u32) {
        let (sender, stop) = oneshot::channel();
        self.stops.insert(node, sender);
        let has_effects = self.plan.nodes[node as usize].has_effects;
        let sync_first = self
            .journal
            .as_ref()
            .filter(|_| has_effects)
            .map(|journal| journal.file().clone());
        let report = Report {
            inbox: self.inbox.clone(),
            node,
            attempt: number,
            began: Instant::now(),
            usage: None,
            is_sent: false,
        };
        let attempt = Attempt {
            shared: self.shared.clone(),
            view: self.view.clone(),
            node,
            number,
            is_fallback: self.machine.has_fallen(node),
            stop,
            sync_first,
            report,
        };
        self.shared.handle.spawn(attempt.run());
    }

    async fn end(mut self) {
        let seconds = self.seconds();
        let mut state = self.ended.unwrap_or(RunState::Failed);
        self.record(&Record::Ended {
            state: state.word().to_owned(),
            seconds,
        });
        self.flush_journal();
        if let Some(journal) = &self.journal
            && let Err(trouble) = self.shared.syncer.now(journal.file()).await
        {
            self.break_down(&trouble);
        }
        if self.is_broken {
            state = RunState::Failed;
        }
        let error = self.error.take().filter(|_| state == RunState::Failed);
        self.unreserve_all();
        self.shared.arbiter.retire(&self.plan.run);
        self.shared.retire(&self.plan.run);
        let run = self.plan.run.clone();
        self.shared.sink.emit(&mut vec![RunEvent::Run {
            run,
            state,
            seconds,
            error,
        }]);
    }
}
