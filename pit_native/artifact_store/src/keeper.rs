//! The store's background thread: it keeps the full-text index and the checkpoint up to date.

use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::search::find;
use crate::text::{Document, INDEXED, TextIndex, text_of};
use crate::types::{ArtifactId, Hit};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tantivy::IndexWriter;
use tantivy::merge_policy::NoMergePolicy;

/// What was put is committed to the full-text index after at most this time.
const DELAY: Duration = Duration::from_millis(300);
/// Documents that one commit takes at most.
const BATCH: u64 = 5000;
/// The writer is given back after this long without work.
const IDLE: Duration = Duration::from_secs(10);
/// Bytes of texts that wait to be indexed; what comes when there are more is read again in its turn.
const WAITING: usize = 16 << 20;
/// Texts up to this size wait in memory.
const SMALL: usize = 64 << 10;
/// What has not been indexed so long after the store is closed is left to the next opening.
const GRACE: Duration = Duration::from_millis(300);
/// Records after which a checkpoint is written, at least.
const CHECKPOINT: u64 = 20_000;

enum Job {
    /// An entry, with the text of its content when it need not be read for that.
    Put(u32, Option<Box<str>>),
    Removed(Vec<ArtifactId>),
    /// Answered when all that was sent before is committed.
    Flush(Sender<Result<()>>),
    Rebuild,
    Stop,
}

/// The thread and what is shared with it.
pub(crate) struct Keeper {
    jobs: Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Absent while it is built anew, or when the store has no search.
    text: RwLock<Option<Arc<TextIndex>>>,
    has_search: bool,
    pending: AtomicU64,
    /// Bytes of the texts that wait.
    waiting: AtomicUsize,
    /// Why the last commit failed.
    failure: Mutex<Option<String>>,
    /// From when on nothing more is indexed, for the store is being closed.
    stop_at: OnceLock<Instant>,
}

impl Shared {
    fn is_late(&self) -> bool {
        self.stop_at.get().is_some_and(|at| Instant::now() >= *at)
    }
}

impl Keeper {
    /// Opens the full-text index and starts the thread, which adds what is missing in it.
    pub(crate) fn start(core: Arc<Core>, has_search: bool) -> Result<Self> {
        let (jobs, inbox) = unbounded();
        let shared = Arc::new(Shared {
            text: RwLock::new(None),
            has_search,
            pending: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            failure: Mutex::new(None),
            stop_at: OnceLock::new(),
        });
        let worker = Worker {
            core,
            shared: Arc::clone(&shared),
            inbox,
            writer: None,
            next: 0,
            committed: 0,
            reached: 0,
            ahead: BTreeSet::new(),
        };
        let thread = std::thread::Builder::new()
            .name("store-keeper".into())
            .spawn(move || worker.run())
            .map_err(|source| StoreError::Io {
                doing: "cannot start the background thread of",
                path: PathBuf::from("the artifact store"),
                source,
            })?;
        Ok(Self {
            jobs,
            thread: Mutex::new(Some(thread)),
            shared,
        })
    }

    /// Notes that an entry is to be indexed, with its content if that is at hand.
    pub(crate) fn note_put(&self, row: u32, content: Option<&[u8]>) {
        if !self.shared.has_search {
            return;
        }
        let waiting = &self.shared.waiting;
        let text = content
            .filter(|content| content.len() <= SMALL)
            .map(text_of)
            .filter(|text| waiting.load(Ordering::Relaxed) + text.len() <= WAITING)
            .map(Box::<str>::from);
        waiting.fetch_add(
            text.as_ref().map_or(0, |text| text.len()),
            Ordering::Relaxed,
        );
        self.shared.pending.fetch_add(1, Ordering::Relaxed);
        self.send(Job::Put(row, text));
    }

    /// Notes that contents are gone.
    pub(crate) fn note_removed(&self, ids: &[ArtifactId]) {
        if !ids.is_empty() {
            self.send(Job::Removed(ids.to_vec()));
        }
    }

    fn send(&self, job: Job) -> bool {
        // The thread ends only by `stop`, after which nothing is sent.
        self.jobs.send(job).is_ok()
    }

    /// Entries that are not indexed yet.
    pub(crate) fn pending(&self) -> u64 {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// Waits until all that was put before can be found.
    pub(crate) fn flush(&self) -> Result<()> {
        let (answer, answered) = bounded(1);
        if !self.send(Job::Flush(answer)) {
            return Err(StoreError::Closed);
        }
        answered.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// See [`crate::Store::search`].
    pub(crate) fn search(&self, core: &Core, query: &str, limit: usize) -> Result<Vec<Hit>> {
        if !self.shared.has_search {
            return Err(StoreError::Search(
                "this store was opened without search".into(),
            ));
        }
        // Not in the match itself, which would hold the lock that the thread needs.
        let opened = self.shared.text.read().clone();
        let text = match opened {
            Some(text) => text,
            None => {
                // It is just being opened or built anew.
                self.flush()?;
                let text = self.shared.text.read().clone();
                text.ok_or_else(|| {
                    let failure = self.shared.failure.lock().clone();
                    StoreError::Search(failure.unwrap_or_else(|| "it could not be opened".into()))
                })?
            }
        };
        let found = catch_unwind(AssertUnwindSafe(|| find(core, &text, query, limit)))
            .unwrap_or_else(|_| Err(StoreError::Search("its files are damaged".into())));
        if matches!(found, Err(StoreError::Search(_))) {
            self.send(Job::Rebuild);
        }
        found
    }

    /// Commits what is indexed by then and ends the thread. A long queue is not worked off: what is missing is
    /// known by its place in the log, and the next opening adds it.
    pub(crate) fn stop(&self) {
        let _ = self.shared.stop_at.set(Instant::now() + GRACE);
        self.send(Job::Stop);
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread costs only the search, which the next opening repairs.
            let _ = thread.join();
        }
    }
}

struct Worker {
    core: Arc<Core>,
    shared: Arc<Shared>,
    inbox: Receiver<Job>,
    writer: Option<IndexWriter>,
    /// All rows of entries before it are in the index, once committed.
    next: u32,
    /// As it was at the last commit.
    committed: u32,
    /// The sequence of the last of them.
    reached: u64,
    /// Those behind it that are too: jobs come a little out of order.
    ahead: BTreeSet<u32>,
}

impl Worker {
    fn run(mut self) {
        if self.shared.has_search {
            self.guarded(Self::open_text);
        }
        let mut due: Option<Instant> = None;
        let mut uncommitted = 0;
        let mut last_work = Instant::now();
        loop {
            let wait = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            match self.inbox.recv_timeout(wait) {
                Ok(Job::Put(row, text)) => {
                    uncommitted += 1;
                    last_work = Instant::now();
                    due.get_or_insert(last_work + DELAY);
                    let size = text.as_ref().map_or(0, |text| text.len());
                    self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
                    if !self.shared.is_late() {
                        self.guarded(|worker| worker.add(row, text));
                    }
                }
                Ok(Job::Removed(ids)) => {
                    last_work = Instant::now();
                    due.get_or_insert(last_work + DELAY);
                    self.guarded(|worker| worker.remove(&ids));
                }
                Ok(Job::Flush(answer)) => {
                    self.commit(&mut uncommitted);
                    due = None;
                    let failure = self.shared.failure.lock().clone();
                    // Who asked may have given up.
                    let _ = answer.send(failure.map_or(Ok(()), |why| Err(StoreError::Search(why))));
                }
                Ok(Job::Rebuild) => self.guarded(Self::rebuild),
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let is_due = due.is_some_and(|due| Instant::now() >= due) || uncommitted >= BATCH;
            if is_due {
                self.commit(&mut uncommitted);
                due = None;
            }
            if self.writer.is_some() && due.is_none() && last_work.elapsed() >= IDLE {
                self.writer = None;
            }
            self.checkpoint_if_due();
        }
        self.commit(&mut uncommitted);
        if let Some(writer) = self.writer.take() {
            // Threads that still merged would write into a folder that nobody holds any more. What they
            // could not end is merged another time.
            let _ = writer.wait_merging_threads();
        }
    }

    /// Runs a step on the full-text index; an error or a panic in it is noted and never ends the thread.
    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) {
        let result = catch_unwind(AssertUnwindSafe(|| step(self)))
            .unwrap_or_else(|_| Err(StoreError::Search("its files are damaged".into())));
        if let Err(error) = result {
            tracing::warn!(component = "artifact_store", %error, "the search index failed");
            self.writer = None;
            // What it had not committed is gone with it.
            self.next = self.committed;
            self.ahead.clear();
            *self.shared.failure.lock() = Some(error.to_string());
        }
    }

    fn commit(&mut self, uncommitted: &mut u64) {
        let done = std::mem::take(uncommitted);
        self.guarded(|worker| worker.commit_text());
        self.shared.pending.fetch_sub(done, Ordering::Relaxed);
    }

    fn commit_text(&mut self) -> Result<()> {
        if !self.shared.is_late() {
            self.close_gaps()?;
        }
        if let Some(row) = self.next.checked_sub(1)
            && let Some(sequence) = self.sequence_of(row)?
        {
            self.reached = sequence;
        }
        let payload = format!("{:016x} {}", self.core.store, self.reached);
        let text = self.shared.text.read().clone();
        if let (Some(text), Some(writer)) = (text, &mut self.writer) {
            if self.shared.stop_at.get().is_some() {
                // What is merged now would be waited for.
                writer.set_merge_policy(Box::new(NoMergePolicy));
            }
            text.commit(writer, &payload)?;
            self.committed = self.next;
        }
        Ok(())
    }

    /// Indexes what is missing before what is indexed: entries that no put has noted, or not yet.
    fn close_gaps(&mut self) -> Result<()> {
        while !self.ahead.is_empty() {
            self.add(self.next, None)?;
        }
        Ok(())
    }

    /// Notes that a row is in the index, or never will be.
    fn note_done(&mut self, row: u32) {
        if row >= self.next {
            self.ahead.insert(row);
        }
        while self.ahead.remove(&self.next) {
            self.next += 1;
        }
    }

    fn folder(&self) -> Option<PathBuf> {
        let is_plain = self.core.seal.is_none();
        is_plain.then(|| self.core.path.join("index").join("text"))
    }

    /// Opens the index, or an empty one in its place, and adds what it lacks.
    fn open_text(&mut self) -> Result<()> {
        let folder = self.folder();
        let opened = catch_unwind(AssertUnwindSafe(|| TextIndex::open(folder.as_deref())));
        let text = match opened {
            Ok(Ok(text)) => text,
            _ => return self.rebuild(),
        };
        let reached = match text.payload() {
            None => 0,
            Some(payload) => {
                let (store, reached) = payload.split_once(' ').unwrap_or_default();
                let is_ours = store == format!("{:016x}", self.core.store);
                let next = self.core.log.tail.lock().position().2;
                match reached.parse::<u64>() {
                    Ok(reached) if is_ours && reached < next => reached,
                    _ => return self.rebuild(),
                }
            }
        };
        *self.shared.text.write() = Some(Arc::new(text));
        self.add_missing(reached)
    }

    /// Throws the index away and builds it from the store.
    fn rebuild(&mut self) -> Result<()> {
        self.writer = None;
        *self.shared.text.write() = None;
        let folder = self.folder();
        if let Some(folder) = &folder {
            match std::fs::remove_dir_all(folder) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::Io {
                        doing: "cannot delete",
                        path: folder.clone(),
                        source,
                    });
                }
                _ => {}
            }
        }
        let text = TextIndex::open(folder.as_deref())?;
        *self.shared.text.write() = Some(Arc::new(text));
        *self.shared.failure.lock() = None;
        self.add_missing(0)
    }

    /// Indexes the entries behind the sequence `reached`; rows are in the order of sequences.
    fn add_missing(&mut self, reached: u64) -> Result<()> {
        let rows = self.core.index.read().entry_rows();
        let mut first = rows;
        while first > 0 && reached > 0 {
            match self.sequence_of(first - 1)? {
                Some(sequence) if sequence <= reached => break,
                _ => first -= 1,
            }
        }
        if reached == 0 {
            first = 0;
        }
        (self.next, self.committed, self.reached) = (first, first, reached);
        self.ahead.clear();
        self.shared
            .pending
            .fetch_add(u64::from(rows - first), Ordering::Relaxed);
        for row in first..rows {
            if self.shared.is_late() {
                break;
            }
            self.add(row, None)?;
        }
        if first < rows {
            self.commit_text()?;
        }
        self.shared
            .pending
            .fetch_sub(u64::from(rows - first), Ordering::Relaxed);
        Ok(())
    }

    fn sequence_of(&self, row: u32) -> Result<Option<u64>> {
        let place = self.core.index.read().entry(row)?.place;
        let Some(segment) = self.core.segment(place.segment) else {
            return Ok(None);
        };
        Ok(segment
            .header_at(u64::from(place.offset))?
            .map(|header| header.sequence))
    }

    fn text_and_writer(&mut self) -> Result<Option<(Arc<TextIndex>, &IndexWriter)>> {
        let Some(text) = self.shared.text.read().clone() else {
            return Ok(None);
        };
        if self.writer.is_none() {
            self.writer = Some(text.writer()?);
        }
        Ok(self.writer.as_ref().map(|writer| (text, writer)))
    }

    fn add(&mut self, row: u32, text: Option<Box<str>>) -> Result<()> {
        self.note_done(row);
        let core = Arc::clone(&self.core);
        let entry = core.index.read().entry(row)?;
        if entry.standing == crate::rows::Standing::Gone {
            return Ok(());
        }
        let info = match core.info_of(row, &entry) {
            Ok(info) => info,
            // What is damaged or gone cannot be indexed; verify reports it.
            Err(StoreError::Damaged { .. } | StoreError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let id: ArtifactId = info.id.parse()?;
        let content = match &text {
            Some(_) => Vec::new(),
            None => core.searchable(&id, INDEXED).unwrap_or_default(),
        };
        let Some((index, writer)) = self.text_and_writer()? else {
            return Ok(());
        };
        index.add(
            writer,
            &Document {
                id,
                name: &info.name,
                kind: &info.kind,
                run: &info.run,
                node: &info.node,
                text: text.as_deref().unwrap_or_else(|| text_of(&content)),
            },
        )
    }

    fn remove(&mut self, ids: &[ArtifactId]) -> Result<()> {
        let Some((text, writer)) = self.text_and_writer()? else {
            return Ok(());
        };
        for id in ids {
            text.remove(writer, id);
        }
        Ok(())
    }

    /// Often enough that opening is quick, seldom enough that writing it costs little.
    fn checkpoint_if_due(&self) {
        let records = self.core.since_checkpoint.load(Ordering::Relaxed);
        if records < CHECKPOINT {
            return;
        }
        let known = u64::from(self.core.index.read().entry_rows());
        if records < known / 4 {
            return;
        }
        if let Err(error) = self.core.checkpoint_if_free() {
            // Without a checkpoint the next opening reads the log; the store itself is whole.
            tracing::warn!(component = "artifact_store", %error, "the checkpoint failed");
            self.core.since_checkpoint.store(0, Ordering::Relaxed);
        }
    }
}
