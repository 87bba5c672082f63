//! What the run loop and the Players tell Python: a queue behind one eventfd, drained in batches.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rmpv::Value;
use run_loop::ports::NodeError;
use run_loop::{PlayerLog, RunEvent, Sink, Speaker};
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;

use crate::runtime_backlog::{Backlog, weight};
use crate::runtime_bell::Bell;

/// Changes within this time are told together: waking Python costs more than a node does.
const MOMENT: Duration = Duration::from_millis(1);
/// So many events are told without waiting for more.
const MANY: usize = 128;
/// With so many events waiting, what a Player only says in passing is dropped.
const MOST_WAITING: usize = 100_000;

/// The most values in a tree that a Player shows; 64 bytes of text count as one.
const LARGEST_TREE: usize = 20_000;

/// Where in a run something happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) run: Arc<str>,
    pub(crate) node: Arc<str>,
}

impl Place {
    pub(crate) fn of(run: &str, node: &str) -> Self {
        Self {
            run: run.into(),
            node: node.into(),
        }
    }
}

/// One thing to tell.
#[derive(Debug)]
pub(crate) enum Note {
    Run(RunEvent),
    /// `progress`, `log`, `output` or `ui` of a Player.
    Said {
        method: String,
        place: Place,
        extension: Arc<str>,
        body: Value,
        weight: Weight,
    },
    /// The newest `progress` or `ui` of a call, which waits in [`Waiting::newest`].
    Newest {
        method: &'static str,
        place: Place,
        extension: Arc<str>,
    },
    /// A capability request.
    Request {
        id: u64,
        place: Place,
        extension: Arc<str>,
        key: Arc<str>,
        method: String,
        body: Value,
        weight: Weight,
    },
    /// Nobody waits for the answer to a request any more.
    Withdrawn {
        id: u64,
    },
    /// A Player's process has changed its state.
    Player {
        key: Arc<str>,
        extension: Arc<str>,
        state: &'static str,
        pid: i32,
        reason: String,
    },
    /// A call outside of runs has ended.
    CallDone {
        token: u64,
        result: Result<Value, NodeError>,
    },
}

/// Whose backlog a note counts in, and how much.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weight {
    session: u64,
    bytes: usize,
}

/// What has not been drained.
#[derive(Default)]
struct Waiting {
    notes: VecDeque<Note>,
    /// Only the newest progress and the newest tree of a call are worth telling; they stand at the place of
    /// the first.
    newest: FxHashMap<(&'static str, Place), Value>,
    /// Whether the descriptor is readable.
    is_rung: bool,
    /// Whether it will be in a moment.
    is_due: bool,
    /// When it was last made readable for what a Player says in passing.
    rung: Option<Instant>,
}

impl Waiting {
    /// Whether the bell is to be rung, which is best done without the lock: who hears it comes for the lock at once.
    #[must_use]
    fn wants_ring(&mut self) -> bool {
        !std::mem::replace(&mut self.is_rung, true)
    }
}

/// The queue. Rust threads push; one Python thread drains.
pub(crate) struct EventQueue {
    waiting: Arc<Mutex<Waiting>>,
    bell: Arc<Bell>,
    handle: Handle,
    dropped: AtomicU64,
    log: Option<PlayerLog>,
    backlog: Arc<Backlog>,
}

impl EventQueue {
    /// With a log, what Players log goes there and is no event.
    pub(crate) fn new(log: Option<PlayerLog>, handle: Handle) -> io::Result<Self> {
        Ok(Self {
            waiting: Arc::default(),
            bell: Arc::new(Bell::new()?),
            handle,
            dropped: AtomicU64::new(0),
            log,
            backlog: Arc::default(),
        })
    }

    /// Readable while there is something to drain.
    pub(crate) fn fileno(&self) -> RawFd {
        self.bell.fileno()
    }

    /// How many were dropped because nobody drained.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().notes.len()
    }

    /// Where Players' logs are written, if not into events.
    pub(crate) fn log(&self) -> Option<&PlayerLog> {
        self.log.as_ref()
    }

    /// What waits of each Player.
    pub(crate) fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }

    /// Counts what a session says until it is told.
    pub(crate) fn weigh(&self, session: u64, body: &Value) -> Weight {
        let bytes = weight(body);
        self.backlog.add(session, bytes);
        Weight { session, bytes }
    }

    pub(crate) fn push(&self, note: Note) {
        let mut waiting = self.waiting.lock();
        if let Note::Said { weight, .. } = &note
            && waiting.notes.len() >= MOST_WAITING
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.backlog.remove(weight.session, weight.bytes);
            return;
        }
        let is_said = matches!(note, Note::Said { .. });
        waiting.notes.push_back(note);
        match is_said {
            true => self.ring_at_leisure(waiting),
            false => self.ring(waiting),
        }
    }

    /// Rings for what a Player says beside its answers: at once after a quiet moment, and then once a moment. One
    /// that says much wakes Python no more often, and what others wait for comes between.
    fn ring_at_leisure(&self, mut waiting: MutexGuard<'_, Waiting>) {
        if waiting.is_rung || waiting.is_due {
            return;
        }
        let now = Instant::now();
        let is_quiet = waiting.rung.is_none_or(|rung| now - rung >= MOMENT);
        if is_quiet {
            waiting.rung = Some(now);
            self.ring(waiting);
        } else {
            self.ring_soon(&mut waiting);
        }
    }

    fn ring(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let wants_ring = waiting.wants_ring();
        drop(waiting);
        if wants_ring {
            self.bell.ring();
        }
    }

    /// Passes on what a Player says beside its answer.
    pub(crate) fn say(
        &self,
        session: u64,
        method: &str,
        place: Place,
        extension: Arc<str>,
        body: Value,
    ) {
        match (method, &self.log) {
            ("log", Some(log)) => {
                let Place { run, node } = place;
                log.write(
                    &Speaker {
                        run,
                        node,
                        extension,
                    },
                    &body,
                );
            }
            ("progress", _) => self.newest("progress", place, extension, body),
            ("ui", _) => self.newest("ui", place, extension, small_enough(body)),
            _ => self.push(Note::Said {
                weight: self.weigh(session, &body),
                method: method.to_owned(),
                place,
                extension,
                body,
            }),
        }
    }

    fn newest(&self, method: &'static str, place: Place, extension: Arc<str>, body: Value) {
        let mut waiting = self.waiting.lock();
        match waiting.newest.entry((method, place)) {
            Entry::Occupied(mut older) => {
                older.insert(body);
            }
            Entry::Vacant(first) => {
                let (_, place) = first.key().clone();
                first.insert(body);
                waiting.notes.push_back(Note::Newest {
                    method,
                    place,
                    extension,
                });
                self.ring_at_leisure(waiting);
            }
        }
    }

    fn ring_soon(&self, waiting: &mut Waiting) {
        if waiting.is_rung || std::mem::replace(&mut waiting.is_due, true) {
            return;
        }
        let (waiting, bell) = (self.waiting.clone(), self.bell.clone());
        self.handle.spawn(async move {
            tokio::time::sleep(MOMENT).await;
            let mut waiting = waiting.lock();
            waiting.is_due = false;
            waiting.rung = Some(Instant::now());
            let wants_ring = !waiting.notes.is_empty() && waiting.wants_ring();
            drop(waiting);
            if wants_ring {
                bell.ring();
            }
        });
    }

    /// Takes up to `limit` events; the descriptor stays readable when there are more.
    pub(crate) fn take(&self, limit: usize) -> Vec<Note> {
        let mut waiting = self.waiting.lock();
        let Waiting {
            notes,
            newest,
            is_rung,
            ..
        } = &mut *waiting;
        let taken = notes.len().min(limit);
        if taken == notes.len() {
            *is_rung = false;
            self.bell.rest();
        } else if !std::mem::replace(is_rung, true) {
            self.bell.ring();
        }
        let resolve = |note: Note| match note {
            Note::Newest {
                method,
                place,
                extension,
            } => {
                let key = (method, place);
                Note::Said {
                    body: newest.remove(&key).unwrap_or(Value::Nil),
                    method: method.to_owned(),
                    place: key.1,
                    extension,
                    weight: Weight::default(),
                }
            }
            Note::Said { weight, .. } | Note::Request { weight, .. } => {
                self.backlog.remove(weight.session, weight.bytes);
                note
            }
            note => note,
        };
        notes.drain(..taken).map(resolve).collect()
    }
}

impl Sink for EventQueue {
    fn emit(&self, events: &mut Vec<RunEvent>) {
        if events.is_empty() {
            return;
        }
        // A question or a run's end is awaited; that a node has another state may be told with the next.
        let is_awaited = |event: &RunEvent| !matches!(event, RunEvent::Node(_));
        let is_urgent = events.iter().any(is_awaited);
        let mut waiting = self.waiting.lock();
        waiting.notes.extend(events.drain(..).map(Note::Run));
        if is_urgent || waiting.notes.len() >= MANY {
            self.ring(waiting);
        } else {
            self.ring_soon(&mut waiting);
        }
    }
}

/// What a Player shows, unless it is more than a page could draw.
fn small_enough(body: Value) -> Value {
    fn count(value: &Value, left: usize) -> usize {
        match value {
            _ if left == 0 => 0,
            Value::Array(items) => items.iter().fold(left - 1, |left, item| count(item, left)),
            Value::Map(entries) => entries
                .iter()
                .fold(left - 1, |left, (_, item)| count(item, left)),
            Value::String(text) => left.saturating_sub(1 + text.as_bytes().len() / 64),
            Value::Binary(bytes) => left.saturating_sub(1 + bytes.len() / 64),
            _ => left - 1,
        }
    }
    if count(&body, LARGEST_TREE) > 0 {
        return body;
    }
    let message = format!("it shows more than {LARGEST_TREE} values at once");
    Value::Map(vec![("refused".into(), message.into())])
}
