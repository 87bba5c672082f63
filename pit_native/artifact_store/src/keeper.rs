//! The store's background thread, which keeps the full-text index up to date.

use crate::core::{Core, EntryRecord};
use crate::error::{Result, StoreError};
use crate::index::{Index, OF_CONTENT};
use crate::outbox::{Fresh, Job};
use crate::rows::Standing;
use crate::search::find;
use crate::text::{Document, INDEXED, TextIndex, text_of};
use crate::types::{ArtifactId, Hit};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use parking_lot::{Mutex, RwLock};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tantivy::IndexWriter;
use tantivy::merge_policy::NoMergePolicy;

/// What was put is committed to the full-text index after at most this time.
const DELAY: Duration = Duration::from_millis(300);
/// Documents that one commit takes at most.
const BATCH: u64 = 5000;
/// Entries that are looked up at once when they are read from the log, and those that one commit then takes.
const READ: (usize, u64) = (256, 50_000);
/// The writer is given back after this long without work.
const IDLE: Duration = Duration::from_secs(10);
/// What has not been indexed so long after the store is closed is left to the next opening.
const GRACE: Duration = Duration::from_millis(300);

/// The thread and what is shared with it.
pub(crate) struct Keeper {
    core: Arc<Core>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Absent while it is built anew, or when the store has no search.
    text: RwLock<Option<Arc<TextIndex>>>,
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
    pub(crate) fn start(core: Arc<Core>, inbox: Receiver<Job>) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            core: Arc::clone(&core),
            shared: Arc::clone(&shared),
            inbox,
            writer: None,
            reached: 0,
            committed: 0,
            has_gap: false,
            uncommitted: 0,
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
            core,
            thread: Mutex::new(Some(thread)),
            shared,
        })
    }

    /// Waits until all that was put before can be found.
    pub(crate) fn flush(&self) -> Result<()> {
        let (answer, answered) = bounded(1);
        if !self.core.outbox.send(Job::Flush(answer)) {
            return Err(StoreError::Closed);
        }
        answered.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// See [`crate::Store::search`].
    pub(crate) fn search(&self, query: &str, limit: usize) -> Result<Vec<Hit>> {
        if !self.core.outbox.has_search {
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
        let found = catch_unwind(AssertUnwindSafe(|| find(&self.core, &text, query, limit)))
            .unwrap_or_else(|_| Err(StoreError::Search("its files are damaged".into())));
        if matches!(found, Err(StoreError::Search(_))) {
            self.core.outbox.send(Job::Rebuild);
        }
        found
    }

    /// Commits what is indexed by then and ends the thread. A long queue is not worked off: what is missing is
    /// known by its place in the log, and the next opening adds it.
    pub(crate) fn stop(&self) {
        let _ = self.shared.stop_at.set(Instant::now() + GRACE);
        self.core.outbox.send(Job::Stop);
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
    /// All entries up to this sequence are in the full-text index, once committed.
    reached: u64,
    /// As it was at the last commit.
    committed: u64,
    /// Entries behind that were passed over: the next commit finds them in the log.
    has_gap: bool,
    /// Entries that have come since the last commit.
    uncommitted: u64,
}

impl Worker {
    fn run(mut self) {
        if self.core.outbox.has_search {
            self.guarded(Self::open_text);
        }
        let mut due: Option<Instant> = None;
        let mut last_work = Instant::now();
        loop {
            let wait = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            let job = match self.inbox.recv_timeout(wait) {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
            };
            if matches!(job, Some(Job::Put(_) | Job::Behind | Job::Removed(_))) {
                last_work = Instant::now();
                due.get_or_insert(last_work + DELAY);
            }
            let is_flush = matches!(job, Some(Job::Flush(_)));
            if let Some(job) = job {
                self.work(job);
            }
            let is_due = due.is_some_and(|due| Instant::now() >= due);
            if is_due || self.uncommitted >= BATCH {
                self.commit();
            }
            if is_due || is_flush {
                due = None;
            }
            if self.writer.is_some() && due.is_none() && last_work.elapsed() >= IDLE {
                self.writer = None;
            }
        }
        self.commit();
        if let Some(writer) = self.writer.take() {
            // Threads that still merged would write into a folder that nobody holds any more. What they
            // could not end is merged another time.
            let _ = writer.wait_merging_threads();
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Put(fresh) => {
                self.core.outbox.taken(fresh.size());
                self.uncommitted += 1;
                if self.shared.is_late() {
                    self.has_gap = true;
                } else if !self.has_gap {
                    self.guarded(|worker| worker.add(fresh));
                }
            }
            Job::Behind if self.shared.is_late() => self.has_gap = true,
            Job::Behind => {
                // From here on entries are sent again, and those that were not are visible.
                self.uncommitted += self.core.outbox.unsent();
                self.has_gap = true;
                self.commit();
            }
            Job::Removed(ids) => self.guarded(|worker| worker.remove(&ids)),
            Job::Flush(answer) => {
                self.commit();
                let failure = self.shared.failure.lock().clone();
                // Who asked may have given up.
                let _ = answer.send(failure.map_or(Ok(()), |why| Err(StoreError::Search(why))));
            }
            Job::Rebuild => self.guarded(Self::rebuild),
            Job::Stop => {}
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
            self.reached = self.committed;
            self.has_gap = true;
            *self.shared.failure.lock() = Some(error.to_string());
        }
    }

    fn commit(&mut self) {
        let done = std::mem::take(&mut self.uncommitted);
        self.guarded(|worker| {
            if worker.has_gap && !worker.shared.is_late() {
                worker.catch_up()?;
            }
            worker.commit_text()
        });
        self.core.outbox.done(done);
    }

    fn commit_text(&mut self) -> Result<()> {
        let payload = format!("{:016x} {}", self.core.store, self.reached);
        let text = self.shared.text.read().clone();
        if let (Some(text), Some(writer)) = (text, &mut self.writer) {
            if self.shared.stop_at.get().is_some() {
                // What is merged now would be waited for.
                writer.set_merge_policy(Box::new(NoMergePolicy));
            }
            text.commit(writer, &payload)?;
            self.committed = self.reached;
        }
        Ok(())
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
        self.begin_at(text, reached)
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
        *self.shared.failure.lock() = None;
        self.begin_at(text, 0)
    }

    /// Goes on with an index that has all entries up to the sequence `reached`.
    fn begin_at(&mut self, text: TextIndex, reached: u64) -> Result<()> {
        *self.shared.text.write() = Some(Arc::new(text));
        (self.reached, self.committed) = (reached, reached);
        let missing = {
            let index = self.core.index.read();
            index.entry_rows() - self.first_behind(&index)?
        };
        if missing == 0 {
            return Ok(());
        }
        self.core.outbox.found(u64::from(missing));
        let caught_up = self.catch_up().and_then(|()| self.commit_text());
        self.core.outbox.done(u64::from(missing));
        caught_up
    }

    /// Indexes what the store has behind what is indexed.
    fn catch_up(&mut self) -> Result<()> {
        self.has_gap = false;
        let mut since_commit = 0;
        loop {
            let records = self.behind()?;
            if records.is_empty() {
                return Ok(());
            }
            for (sequence, record) in &records {
                if self.shared.is_late() {
                    self.has_gap = true;
                    return Ok(());
                }
                self.add_record(record)?;
                self.reached = *sequence;
            }
            since_commit += records.len() as u64;
            if since_commit >= READ.1 {
                self.commit_text()?;
                since_commit = 0;
            }
        }
    }

    /// The next entries behind what is indexed, with their sequences.
    fn behind(&self) -> Result<Vec<(u64, EntryRecord)>> {
        let index = self.core.index.read();
        let mut records = Vec::new();
        for row in self.first_behind(&index)?..index.entry_rows() {
            let entry = index.entry(row)?;
            if entry.standing == Standing::Gone {
                continue;
            }
            let record = self.core.record_of(&index, &entry)?;
            // What cannot be read cannot be indexed; verify reports it.
            if let Some(sequence) = record.sequence()? {
                records.push((sequence, record));
            }
            if records.len() == READ.0 {
                break;
            }
        }
        Ok(records)
    }

    /// The first row whose entry may be behind what is indexed: rows are in the order of sequences.
    fn first_behind(&self, index: &Index) -> Result<u32> {
        let (mut low, mut high) = (0, index.entry_rows());
        while low < high {
            let middle = low + (high - low) / 2;
            // Of what is gone the record may be, too.
            let mut at = middle;
            let sequence = loop {
                let found = self.core.sequence_of(index, at)?;
                if found.is_some() || at == low {
                    break found;
                }
                at -= 1;
            };
            match sequence {
                Some(sequence) if sequence > self.reached => high = at,
                _ => low = middle + 1,
            }
        }
        Ok(low)
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

    fn add(&mut self, fresh: Fresh) -> Result<()> {
        self.add_document(&fresh)?;
        self.reached = self.reached.max(fresh.sequence);
        Ok(())
    }

    /// Indexes an entry with what its record says.
    fn add_record(&mut self, record: &EntryRecord) -> Result<()> {
        let Some((sequence, body)) = self.core.read_entry(record)? else {
            return Ok(());
        };
        self.add_document(&Fresh {
            sequence,
            id: record.id,
            run: body.meta_text("run").to_owned(),
            node: body.meta_text("node").to_owned(),
            name: body.name,
            kind: body.kind,
            text: None,
        })
    }

    fn add_document(&mut self, fresh: &Fresh) -> Result<()> {
        let content = match &fresh.text {
            Some(_) => Vec::new(),
            // What is damaged or gone cannot be indexed; verify reports it.
            None => self.core.searchable(&fresh.id, INDEXED).unwrap_or_default(),
        };
        let Some((index, writer)) = self.text_and_writer()? else {
            return Ok(());
        };
        index.add(
            writer,
            &Document {
                id: fresh.id,
                name: &fresh.name,
                kind: &fresh.kind,
                run: &fresh.run,
                node: &fresh.node,
                text: fresh.text.as_deref().unwrap_or_else(|| text_of(&content)),
            },
        )
    }

    fn remove(&mut self, ids: &[ArtifactId]) -> Result<()> {
        for id in ids {
            let Some((text, writer)) = self.text_and_writer()? else {
                return Ok(());
            };
            text.remove(writer, id);
            // It may have been put again, and its new entries read from the log already.
            for record in self.entries_of(id)? {
                self.add_record(&record)?;
            }
        }
        Ok(())
    }

    fn entries_of(&self, id: &ArtifactId) -> Result<Vec<EntryRecord>> {
        let index = self.core.index.read();
        let mut records = Vec::new();
        let mut next = index.newest(id)?;
        while let Some((_, entry)) = next {
            records.push(self.core.record_of(&index, &entry)?);
            next = index.live_from(entry.older_of_content, OF_CONTENT)?;
        }
        Ok(records)
    }
}
