//! All playing runs, and the door through which the host reaches them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rmpv::Value;
use rustc_hash::{FxHashMap, FxHashSet};
use thiserror::Error;
use tokio::sync::mpsc::unbounded_channel;

use crate::cache::ResultCache;
use crate::decisions::Decisions;
use crate::driver::{Beginning, Driver, Inbox, Kept, Message};
use crate::event::{RunEvent, Values};
use crate::instructions::Event;
use crate::journal::{History, Journal, JournalError};
use crate::plan::Plan;
use crate::ports::{Arbiter, Artifacts, NodeError, Presence, Sink, Stage, Stored};
use crate::resume::keepable;
use crate::syncer::Syncer;
use crate::view::RunView;

/// Ended runs whose outputs can still be asked for.
const REMEMBERED: usize = 256;

/// A run that cannot be started, or that is not there.
#[derive(Debug, Error)]
pub enum RunError {
    /// Its folder or journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its folder cannot be made.
    #[error("the run's folder {path} cannot be made: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It plays already.
    #[error("the run {0} is playing")]
    Playing(String),
    /// Nothing is known of it, or of its node.
    #[error("there is no {0}")]
    Unknown(String),
    /// A resumed run needs a folder.
    #[error("the plan of the run {0} names no folder, so there is no journal to resume from")]
    NoFolder(String),
    /// An output could not be read.
    #[error("{}", .0.message)]
    Output(NodeError),
}

/// The world as traits.
pub struct World {
    /// Where Players are.
    pub stage: Arc<dyn Stage>,
    /// Where outputs go.
    pub artifacts: Arc<dyn Artifacts>,
    /// Who hands out resources.
    pub arbiter: Arc<dyn Arbiter>,
    /// Where events go.
    pub sink: Arc<dyn Sink>,
}

struct Playing {
    inbox: Inbox,
    view: Arc<RunView>,
}

/// What all runs share.
pub(crate) struct Shared {
    pub(crate) handle: tokio::runtime::Handle,
    pub(crate) stage: Arc<dyn Stage>,
    pub(crate) artifacts: Arc<dyn Artifacts>,
    pub(crate) arbiter: Arc<dyn Arbiter>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) decisions: Decisions,
    pub(crate) syncer: Syncer,
    tags: AtomicU64,
    playing: Mutex<FxHashMap<Arc<str>, Playing>>,
    quiet: Condvar,
    ended: Mutex<VecDeque<(Arc<str>, Arc<RunView>)>>,
    caches: Mutex<FxHashMap<PathBuf, Arc<Mutex<ResultCache>>>>,
}

impl Shared {
    /// A name for a call.
    pub(crate) fn next_tag(&self) -> u64 {
        self.tags.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes an ended run off the list.
    pub(crate) fn retire(&self, run: &str) {
        self.decisions.forget(run);
        let mut playing = self.playing.lock();
        if let Some((id, Playing { view, .. })) = playing.remove_entry(run) {
            let mut ended = self.ended.lock();
            ended.push_back((id, view));
            if ended.len() > REMEMBERED {
                ended.pop_front();
            }
        }
        if playing.is_empty() {
            self.quiet.notify_all();
        }
    }
}

/// What a resumed run brought along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// Nodes that are done and do not run again.
    pub kept: Vec<Arc<str>>,
    /// How many nodes are left.
    pub left: usize,
    /// Bytes of the journal that a crash had torn.
    pub torn: u64,
}

/// Numbers about the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Runs that play.
    pub playing: usize,
    /// Questions to the host that are open.
    pub questions: usize,
    /// Calls of Players so far.
    pub calls: u64,
}

/// Plays melodies. All methods return at once; what happens is told through the sink.
pub struct RunLoop {
    shared: Arc<Shared>,
}

impl RunLoop {
    /// A loop whose tasks run on `handle`.
    pub fn new(handle: tokio::runtime::Handle, world: World) -> std::io::Result<Self> {
        let World {
            stage,
            artifacts,
            arbiter,
            sink,
        } = world;
        let shared = Shared {
            handle,
            stage,
            artifacts,
            arbiter,
            sink,
            decisions: Decisions::default(),
            syncer: Syncer::start()?,
            tags: AtomicU64::new(0),
            playing: Mutex::new(FxHashMap::default()),
            quiet: Condvar::new(),
            ended: Mutex::new(VecDeque::new()),
            caches: Mutex::new(FxHashMap::default()),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Starts a new run.
    pub fn start(&self, plan: Plan) -> Result<(), RunError> {
        let folder = plan.folder.clone();
        self.expect_idle(&plan.run)?;
        let journal = match &folder {
            Some(folder) => {
                make_folder(folder)?;
                Some(Journal::create(&plan, folder)?)
            }
            None => None,
        };
        self.launch(plan, journal, History::default()).map(|_| ())
    }

    /// Goes on with a run from the journal in its folder. Nodes that were finished, whose plan and whose
    /// sources are the same, and whose outputs are in the store, do not run again.
    pub fn resume(&self, plan: Plan) -> Result<Resumed, RunError> {
        let folder = plan
            .folder
            .clone()
            .ok_or_else(|| RunError::NoFolder(plan.run.to_string()))?;
        self.expect_idle(&plan.run)?;
        make_folder(&folder)?;
        let (journal, history) = Journal::resume(&plan, &folder)?;
        self.launch(plan, Some(journal), history)
    }

    fn expect_idle(&self, run: &str) -> Result<(), RunError> {
        match self.shared.playing.lock().contains_key(run) {
            true => Err(RunError::Playing(run.to_owned())),
            false => Ok(()),
        }
    }

    fn launch(
        &self,
        plan: Plan,
        journal: Option<Journal>,
        history: History,
    ) -> Result<Resumed, RunError> {
        let is_cached = plan.nodes.iter().any(|node| node.cache_key.is_some());
        let cache = plan
            .folder
            .as_deref()
            .filter(|_| is_cached || plan.melody.is_some())
            .and_then(|folder| self.cache_for(folder));
        let view = Arc::new(RunView::new(Arc::new(plan)));
        let kept = self.kept(&view.plan, &history);
        let nodes = 0..view.plan.nodes.len() as u32;
        let attempts = nodes.clone().filter_map(|node| {
            let past = history.nodes.get(&*view.plan.nodes[node as usize].id);
            past.map(|past| (node, past.attempts))
        });
        let attempts = attempts.collect();
        let resumed = Resumed {
            kept: nodes
                .filter(|node| kept.contains_key(node))
                .map(|node| view.plan.nodes[node as usize].id.clone())
                .collect(),
            left: view.plan.nodes.len() - kept.len(),
            torn: history.torn,
        };
        let (inbox, messages) = unbounded_channel();
        let run = view.plan.run.clone();
        let mut playing = self.shared.playing.lock();
        if playing.contains_key(&run) {
            return Err(RunError::Playing(run.to_string()));
        }
        playing.insert(
            run.clone(),
            Playing {
                inbox: inbox.clone(),
                view: view.clone(),
            },
        );
        drop(playing);
        self.shared.ended.lock().retain(|(ended, _)| *ended != run);
        let shared = self.shared.clone();
        let driver = Driver::new(Beginning {
            shared,
            view,
            inbox,
            journal,
            cache,
            kept,
            attempts,
        });
        self.shared.handle.spawn(driver.run(messages));
        Ok(resumed)
    }

    /// The nodes that were finished in an earlier life and need not run again, and what they made.
    fn kept(&self, plan: &Plan, history: &History) -> Kept {
        let mut finished = Kept::default();
        if history.nodes.is_empty() {
            return finished;
        }
        for (node, own) in plan.nodes.iter().enumerate() {
            let past = history.nodes.get(&*own.id);
            let past = past.and_then(|past| past.finished.as_ref());
            let can_be_had =
                |one: &Stored| self.shared.artifacts.presence(&one.id) != Presence::Gone;
            if let Some((print, stored)) = past
                && *print == plan.fingerprint(node as u32)
                && stored.iter().all(can_be_had)
            {
                finished.insert(node as u32, stored.clone());
            }
        }
        let kept = keepable(plan, |node| finished.contains_key(&node));
        let kept: FxHashSet<u32> = kept.into_iter().collect();
        finished.retain(|node, _| kept.contains(node));
        finished
    }

    /// The cache of the runs that lie beside `folder`.
    fn cache_for(&self, folder: &Path) -> Option<Arc<Mutex<ResultCache>>> {
        let path = folder.parent()?.join("cache");
        let mut caches = self.shared.caches.lock();
        if let Some(cache) = caches.get(&path) {
            return Some(cache.clone());
        }
        // A cache that cannot be opened is no reason not to play; one that is damaged begins anew.
        let cache = ResultCache::open(&path).or_else(|_| {
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_file(path.with_extension("lineage"));
            ResultCache::open(&path)
        });
        let cache = Arc::new(Mutex::new(cache.ok()?));
        caches.insert(path, cache.clone());
        Some(cache)
    }

    /// Stops a run in order; false when it does not play.
    pub fn cancel(&self, run: &str) -> bool {
        let playing = self.shared.playing.lock();
        playing
            .get(run)
            .is_some_and(|playing| playing.inbox.send(Message::Machine(Event::Cancel)).is_ok())
    }

    /// Answers a question; false when nobody asks (any more).
    pub fn decide(&self, token: u64, answer: Value) -> bool {
        self.shared.decisions.answer(token, answer)
    }

    /// A name for a call that belongs to no run, from the same sequence.
    pub fn next_tag(&self) -> u64 {
        self.shared.next_tag()
    }

    /// The outputs of a node that is done. Blocks when they have to be read from the store.
    pub fn outputs(&self, run: &str, node: &str) -> Result<Values, RunError> {
        let playing = self
            .shared
            .playing
            .lock()
            .get(run)
            .map(|playing| playing.view.clone());
        let view = playing.or_else(|| {
            let ended = self.shared.ended.lock();
            ended
                .iter()
                .find(|(id, _)| &**id == run)
                .map(|(_, view)| view.clone())
        });
        let view = view.ok_or_else(|| RunError::Unknown(format!("run {run} of this host")))?;
        let index = view.plan.index_of(node);
        let index =
            index.ok_or_else(|| RunError::Unknown(format!("node {node} in the run {run}")))?;
        view.load(index, &*self.shared.artifacts)
            .map_err(RunError::Output)
    }

    /// The ids of the runs that play.
    pub fn playing(&self) -> Vec<Arc<str>> {
        self.shared.playing.lock().keys().cloned().collect()
    }

    /// Numbers about the loop.
    pub fn stats(&self) -> Stats {
        Stats {
            playing: self.shared.playing.lock().len(),
            questions: self.shared.decisions.open(),
            calls: self.shared.tags.load(Ordering::Relaxed),
        }
    }

    /// Cancels all runs and waits for their end; false when some are left after `timeout`.
    pub fn stop(&self, timeout: Duration) -> bool {
        for run in self.playing() {
            self.cancel(&run);
        }
        let until = Instant::now() + timeout;
        let mut playing = self.shared.playing.lock();
        while !playing.is_empty() {
            if self
                .shared
                .quiet
                .wait_until(&mut playing, until)
                .timed_out()
            {
                return playing.is_empty();
            }
        }
        true
    }
}

fn make_folder(folder: &Path) -> Result<(), RunError> {
    std::fs::create_dir_all(folder).map_err(|source| RunError::Folder {
        path: folder.to_owned(),
        source,
    })
}

/// Drops events; for a loop whose runs nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl Sink for NoSink {
    fn emit(&self, events: &mut Vec<RunEvent>) {
        events.clear();
    }
}

#[cfg(test)]
mod tests;
