//! The append-only log of segments, and the group commit: one sync for all who wait.
//!
//! Behind its last record the newest segment holds zeros, which the next records overwrite: a sync of bytes that
//! the file has already writes them and nothing else, where one of a file that has grown waits for the
//! journal of the file system, with all that others have in it. At most times it is several times quicker.

use crate::body::SegmentBody;
use crate::commit::{Failed, GroupCommit, Mark, Parking};
use crate::error::{Result, StoreError};
use crate::index::Index;
use crate::ledger::{Change, Ledger};
use crate::record::{Header, Kind};
use crate::segment::Segment;
use crate::types::ArtifactId;
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Zeros that are written ahead, first and at most.
const AHEAD: (u64, u64) = (64 << 10, 4 << 20);
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// A record to be appended: its header without a sequence, and its body in parts.
pub(crate) struct Pending<'a> {
    pub(crate) header: Header,
    pub(crate) parts: Vec<&'a [u8]>,
    /// Whether the header's sequence is kept: a record that compaction moves.
    pub(crate) is_moved: bool,
}

/// The end of the log, behind the mutex that orders all writes.
pub(crate) struct Tail {
    segment: Arc<Segment>,
    end: u64,
    /// Where the zeros behind the last record end.
    filled: u64,
    /// Where the last record ended when zeros were written last, and how many.
    last_fill: (u64, u64),
    next_sequence: u64,
    /// Counts appended batches.
    written: u64,
    failure: Option<String>,
    /// What the puts that no sync has covered yet have appended, oldest first.
    pub(crate) unsynced: VecDeque<Unsynced>,
}

/// A put that is in the log and not yet in the index.
pub(crate) struct Unsynced {
    batch: u64,
    pub(crate) id: ArtifactId,
    pub(crate) name: String,
    pub(crate) version: u32,
    /// Whether it brought the content.
    pub(crate) has_content: bool,
}

impl Tail {
    fn mark(&self) -> Mark {
        Mark {
            batch: self.written,
            segment: self.segment.number,
            end: self.end,
        }
    }

    /// Notes what the batch that was appended last puts.
    pub(crate) fn note(&mut self, id: ArtifactId, name: &str, version: u32, has_content: bool) {
        self.unsynced.push_back(Unsynced {
            batch: self.written,
            id,
            name: name.to_owned(),
            version,
            has_content,
        });
    }

    /// The position behind the last record, and the sequence of the next one.
    pub(crate) fn position(&self) -> (u32, u64, u64) {
        (self.segment.number, self.end, self.next_sequence)
    }
}

/// The log.
pub(crate) struct Log {
    folder: PathBuf,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    pub(crate) tail: Mutex<Tail>,
    group: GroupCommit<Parking>,
    limit: u64,
    head: SegmentBody,
    syncs: AtomicU64,
    ledger: Arc<Ledger>,
}

/// A log as it was found.
pub(crate) struct FoundLog {
    pub(crate) segments: BTreeMap<u32, Arc<Segment>>,
    pub(crate) head: SegmentBody,
    /// Where the last segment's records end.
    pub(crate) end: u64,
    /// Whether the last segment must not be written any more.
    pub(crate) is_sealed: bool,
    pub(crate) next_sequence: u64,
}

impl Log {
    /// The log in `folder`, whose last segment is good until `end`. Without segments, or when the last
    /// one must not be written (`is_sealed`), a new one is begun.
    pub(crate) fn open(
        folder: PathBuf,
        found: FoundLog,
        limit: u64,
        ledger: Arc<Ledger>,
    ) -> Result<Self> {
        let FoundLog {
            mut segments,
            head,
            end,
            is_sealed,
            next_sequence,
        } = found;
        let last = segments
            .last_key_value()
            .map(|(_, segment)| Arc::clone(segment));
        if let Some(last) = &last {
            // A writer that was killed may have left records that no sync has covered, and from here on
            // they count as stored.
            rustix::fs::fdatasync(&last.file).map_err(|error| last.read_failed(error.into()))?;
        }
        let (segment, end) = match last {
            Some(segment) if !is_sealed => (segment, end),
            last => begin_segment(&folder, last.map_or(1, |last| last.number + 1), &head)?,
        };
        segments.insert(segment.number, Arc::clone(&segment));
        let group = GroupCommit::new(Mark {
            batch: 0,
            segment: segment.number,
            end,
        });
        Ok(Self {
            folder,
            segments: RwLock::new(segments),
            tail: Mutex::new(Tail {
                segment,
                end,
                filled: end,
                last_fill: (end, 0),
                next_sequence,
                written: 0,
                failure: None,
                unsynced: VecDeque::new(),
            }),
            group,
            // Offsets are kept in 32 bits.
            limit: limit.clamp(4096, u64::from(u32::MAX)),
            head,
            syncs: AtomicU64::new(0),
            ledger,
        })
    }

    /// The segment with this number, if it still exists.
    pub(crate) fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        self.segments.read().get(&number).cloned()
    }

    /// All segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().values().cloned().collect()
    }

    /// Syncs since the log was opened.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Appends a batch in one write; the caller holds the tail and afterwards calls [`Self::commit`]
    /// with the returned number. On an error the log ends where it did before.
    pub(crate) fn append(
        &self,
        tail: &mut Tail,
        batch: &[Pending<'_>],
    ) -> Result<(Vec<Place>, u64)> {
        if let Some(failure) = &tail.failure {
            return Err(StoreError::Poisoned(failure.clone()));
        }
        if tail.end >= self.limit {
            self.roll(tail)?;
        }
        let mut places = Vec::with_capacity(batch.len());
        let mut headers = Vec::with_capacity(batch.len());
        let mut at = tail.end;
        let mut sequence = tail.next_sequence;
        for pending in batch {
            let mut header = pending.header;
            if !pending.is_moved {
                header.sequence = sequence;
                sequence += 1;
            }
            let Ok(offset) = u32::try_from(at) else {
                return Err(StoreError::BadInput(
                    "the batch is too large for one segment".into(),
                ));
            };
            places.push(Place {
                segment: tail.segment.number,
                offset,
            });
            headers.push(header.encode());
            at += header.record_bytes();
        }
        let mut slices: Vec<IoSlice<'_>> = Vec::new();
        for (header, pending) in headers.iter().zip(batch) {
            slices.push(IoSlice::new(header));
            slices.extend(pending.parts.iter().map(|part| IoSlice::new(part)));
        }
        if let Err(source) = write_all(&tail.segment.file, &mut slices, tail.end) {
            self.take_back(tail);
            return Err(self.write_failed(&tail.segment.path, source));
        }
        tail.end = at;
        tail.filled = tail.filled.max(at);
        tail.next_sequence = sequence;
        tail.written += 1;
        Ok((places, tail.written))
    }

    /// Leaves a change of the index to the sync that covers the batch that was appended last; the caller
    /// still holds the tail.
    pub(crate) fn after_sync(
        &self,
        tail: &Tail,
        change: impl FnOnce(&mut Index) -> Result<()> + Send + 'static,
    ) {
        let change: Change = Box::new(change);
        self.ledger.later(tail.written, change);
    }

    /// The puts that no sync has covered yet, newest last; the caller holds the tail.
    pub(crate) fn unsynced<'a>(&self, tail: &'a mut Tail) -> &'a VecDeque<Unsynced> {
        let synced = self.group.synced().batch;
        while tail.unsynced.front().is_some_and(|one| one.batch <= synced) {
            tail.unsynced.pop_front();
        }
        &tail.unsynced
    }

    /// The end of the log, with all that was appended synced and in the index.
    pub(crate) fn settled(&self) -> Result<MutexGuard<'_, Tail>> {
        let mut tail = self.tail.lock();
        self.sync_tail(&mut tail)?;
        Ok(tail)
    }

    /// Waits until the batch with this number, and with it all before, is on the disk and in the index.
    /// The first to come syncs for all that have been written by then.
    pub(crate) fn commit(&self, batch: u64) -> Result<()> {
        let written = || {
            let mut tail = self.tail.lock();
            self.fill_ahead(&mut tail);
            (tail.mark(), Arc::clone(&tail.segment))
        };
        let sync = |segment: &Arc<Segment>| self.sync(&segment.file);
        let publish = |mark: Mark| self.publish(mark);
        let outcome = self.group.commit(batch, written, sync, publish);
        outcome.map_err(|failed| {
            let mut tail = self.tail.lock();
            self.sync_failed(&mut tail, failed)
        })
    }

    /// Syncs all that has been written, with the tail held, so that nothing comes after it.
    pub(crate) fn sync_tail(&self, tail: &mut Tail) -> Result<()> {
        if let Some(failure) = &tail.failure {
            return Err(StoreError::Poisoned(failure.clone()));
        }
        let sync = || self.sync(&tail.segment.file);
        let publish = |mark: Mark| self.publish(mark);
        let outcome = self.group.sync(tail.mark(), sync, publish);
        outcome.map_err(|failed| self.sync_failed(tail, failed))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(rustix::fs::fdatasync(file)?)
    }

    fn publish(&self, mark: Mark) -> io::Result<()> {
        self.ledger.publish(mark.batch).map_err(io::Error::other)
    }

    /// Nothing is written any more. What no sync has covered is cut off: the system may have dropped it
    /// and still show it, and a put of the same content must not build on it after the next opening.
    fn sync_failed(&self, tail: &mut Tail, failed: Failed<io::Error>) -> StoreError {
        let path = tail.segment.path.clone();
        let why = match &failed {
            Failed::Now(source) => source.to_string(),
            Failed::Before(why) => why.clone(),
        };
        if tail.failure.is_none() {
            tail.failure = Some(why.clone());
            let synced = self.group.synced();
            if synced.segment == tail.segment.number {
                // If even that fails, the next opening takes what it finds; nobody was told that it is there.
                let _ = tail.segment.file.set_len(synced.end);
            }
        }
        match failed {
            Failed::Now(source) => self.write_failed(&path, source),
            Failed::Before(why) => StoreError::Poisoned(why),
        }
    }

    /// Writes zeros behind the last record when there are none left, so that this sync is the last for a while
    /// that makes the file longer. The more of them the more small records come.
    fn fill_ahead(&self, tail: &mut Tail) {
        if tail.filled > tail.end {
            return;
        }
        let (from, before) = tail.last_fill;
        let is_used_up_by_little = tail.end - from <= 2 * before;
        let most = self.limit.saturating_sub(tail.end).min(AHEAD.1);
        let count = if is_used_up_by_little { 2 * before } else { 0 };
        let count = count.max(AHEAD.0).min(most);
        let pieces = count.div_ceil(ZEROS.len() as u64);
        let mut slices = vec![IoSlice::new(&ZEROS); pieces as usize];
        tail.last_fill = (tail.end, count);
        match write_all(&tail.segment.file, &mut slices, tail.end) {
            Ok(()) => tail.filled = tail.end + pieces * ZEROS.len() as u64,
            // It would only have been quicker; but what follows must not begin behind half of it.
            Err(_) => self.take_back(tail),
        }
    }

    /// Cuts off what is behind the last record.
    pub(crate) fn trim(&self, tail: &mut Tail) -> Result<()> {
        if tail.failure.is_none() && tail.filled > tail.end {
            let cut = tail.segment.file.set_len(tail.end);
            cut.map_err(|source| self.write_failed(&tail.segment.path, source))?;
            tail.filled = tail.end;
        }
        Ok(())
    }

    /// Bytes of all records.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let (newest, end, _) = self.tail.lock().position();
        self.segments().iter().try_fold(0, |sum, segment| {
            let is_newest = segment.number == newest;
            Ok(sum + if is_newest { end } else { segment.length()? })
        })
    }

    /// Ends the current segment, synced, and begins the next.
    pub(crate) fn roll(&self, tail: &mut Tail) -> Result<()> {
        self.trim(tail)?;
        self.sync_tail(tail)?;
        let begun = begin_segment(&self.folder, tail.segment.number + 1, &self.head);
        if let Err(error @ StoreError::Io { .. }) = &begun {
            // Whether the new file is there for good is not known, and trying again would not tell.
            tail.failure = Some(error.to_string());
        }
        let (segment, end) = begun?;
        self.segments
            .write()
            .insert(segment.number, Arc::clone(&segment));
        tail.segment = segment;
        tail.end = end;
        tail.filled = end;
        tail.last_fill = (end, 0);
        self.group.moved(tail.mark());
        Ok(())
    }

    /// Deletes a segment that holds nothing alive. Its readers keep their open file.
    pub(crate) fn drop_segment(&self, number: u32) -> Result<()> {
        let Some(segment) = self.segments.write().remove(&number) else {
            return Ok(());
        };
        std::fs::remove_file(&segment.path).map_err(|source| StoreError::Io {
            doing: "cannot delete",
            path: segment.path.clone(),
            source,
        })?;
        sync_folder(&self.folder)
    }

    /// Cuts a half-written batch off again. If even that fails, nothing more is written.
    fn take_back(&self, tail: &mut Tail) {
        match tail.segment.file.set_len(tail.end) {
            Ok(()) => tail.filled = tail.end,
            Err(error) => {
                tail.failure = Some(format!("a failed write could not be taken back: {error}"));
            }
        }
    }

    fn write_failed(&self, path: &Path, source: io::Error) -> StoreError {
        let store = self.folder.parent().unwrap_or(&self.folder).to_path_buf();
        write_error(store, path, source)
    }
}

/// The typed error of a write that the system refused.
pub(crate) fn write_error(store: PathBuf, path: &Path, source: io::Error) -> StoreError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match source.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => StoreError::Full {
            path: store,
            source,
        },
        _ => StoreError::Io {
            doing: "cannot write",
            path: path.to_path_buf(),
            source,
        },
    }
}

/// A new segment with its first record, both on the disk.
fn begin_segment(folder: &Path, number: u32, head: &SegmentBody) -> Result<(Arc<Segment>, u64)> {
    let store = folder.parent().unwrap_or(folder).to_path_buf();
    let body = rmp_serde::to_vec(head).map_err(|error| {
        StoreError::BadInput(format!("the segment's head cannot be written: {error}"))
    })?;
    let header = Header::of(Kind::Segment, 0, &[&body]);
    let path = folder.join(Segment::file_name(number));
    let segment = Segment::open(folder, number, true).map_err(|error| match error {
        StoreError::Io { source, .. } => write_error(store.clone(), &path, source),
        other => other,
    })?;
    let front = header.encode();
    let mut slices = [IoSlice::new(&front), IoSlice::new(&body)];
    let written = write_all(&segment.file, &mut slices, 0)
        .and_then(|()| Ok(rustix::fs::fdatasync(&segment.file)?));
    if let Err(source) = written {
        // The half-made file would stand in the way of the next try.
        let _ = std::fs::remove_file(&path);
        return Err(write_error(store, &path, source));
    }
    sync_folder(folder)?;
    Ok((Arc::new(segment), header.record_bytes()))
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| StoreError::Io {
            doing: "cannot sync",
            path: folder.to_path_buf(),
            source,
        })
}

/// Writes all slices at `offset`, also when the system takes them in several goes.
fn write_all(file: &File, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
    let mut slices = slices;
    let mut at = offset;
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        // The system takes at most 1024 slices at once.
        let count = slices.len().min(1024);
        match rustix::io::pwritev(file, &slices[..count], at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut slices, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
