//! Log and index together: everything but the search and the life of an opened store.

use crate::base::Reach;
use crate::body::{ContentBody, EntryBody, read_entry, tagged_body};
use crate::checkpoint::{self, Snapshot};
use crate::chunks::Keyer;
use crate::error::{Result, StoreError};
use crate::ledger::Ledger;
use crate::log::{Log, Pending, Place, Tail};
use crate::quality::{Quality, Scorers};
use crate::record::{Header, Kind};
use crate::rows::{Content, Entry, NONE, NewEntry};
use crate::seal::Seal;
use crate::segment::Segment;
use crate::types::{ArtifactId, Filter, Info, Put};
use crate::write::{Draft, Drafts};
use parking_lot::{Mutex, MutexGuard};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Closing writes a checkpoint when one entry in so many is newer than the last one.
const WORTH: u64 = 64;

/// Records that are not kept in memory when an opening has read so many.
const MANY: u64 = 20_000;

/// What the operations of a store work on.
pub(crate) struct Core {
    pub(crate) path: PathBuf,
    pub(crate) store: u64,
    pub(crate) log: Log,
    pub(crate) index: Arc<Ledger>,
    pub(crate) seal: Option<Seal>,
    /// Makes the keys of chunks.
    pub(crate) keyer: Keyer,
    pub(crate) drafts: Drafts,
    pub(crate) scorers: Scorers,
    pub(crate) puts: AtomicU64,
    /// Held by whoever rewrites segments.
    pub(crate) rewriting: Mutex<()>,
    /// Held by whoever writes a checkpoint.
    pub(crate) checkpointing: Mutex<()>,
    /// Records since the last checkpoint.
    pub(crate) since_checkpoint: AtomicU64,
}

/// Seconds since the epoch.
pub(crate) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |age| age.as_secs_f64())
}

/// A content's record, ready to be appended.
pub(crate) struct Prepared<'a> {
    header: Header,
    body: ContentBody<'a>,
    /// Keeps its chunks until the record is in the index.
    _draft: Option<Draft>,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(body: ContentBody<'a>, draft: Option<Draft>) -> Self {
        let header = Header::of(Kind::Content, body.flags, &[&body.prefix, &body.payload]);
        Self {
            header,
            body,
            _draft: draft,
        }
    }

    pub(crate) fn pending(&self) -> Pending<'_> {
        Pending {
            header: self.header,
            parts: vec![&self.body.prefix, &self.body.payload],
            is_moved: false,
        }
    }
}

impl Core {
    /// Appends content, unless it is there, and entry; returns once both are on the disk, with the row
    /// of the entry.
    pub(crate) fn put(&self, content: &[u8], put: &Put) -> Result<(ArtifactId, u32)> {
        let (id, mut draft) = self.digest_and_cut(content)?;
        let quality = self.scorers.score(&put.kind, content, false);
        let prepare = || match draft.take() {
            Some(draft) => self.recipe(&id, draft),
            None => self.prepare(&id, content),
        };
        self.put_known(id, content.len() as u64, quality, put, prepare)
    }

    /// Puts a content of this digest and length; `prepare` makes its record when it is not there.
    pub(crate) fn put_known<'a>(
        &self,
        id: ArtifactId,
        bytes: u64,
        quality: Quality,
        put: &Put,
        mut prepare: impl FnMut() -> Result<Prepared<'a>>,
    ) -> Result<(ArtifactId, u32)> {
        if put.name.is_empty() {
            return Err(StoreError::BadInput("an artifact needs a name".into()));
        }
        let mut entry = EntryBody {
            name: put.name.clone(),
            kind: put.kind.clone(),
            bytes,
            version: 1,
            created: 0.0,
            quality: quality.score,
            reasons: quality.reasons,
            meta: put.meta.clone(),
        };
        let mut prepared: Option<Prepared<'_>> = None;
        loop {
            if prepared.is_none() && !self.index.read().has_sound(&id)? {
                prepared = Some(prepare()?);
            }
            let mut tail = self.log.tail.lock();
            let (is_stored, version) = self.outlook(&mut tail, &id, &put.name)?;
            if !is_stored && prepared.is_none() {
                // It was removed since: prepare it, with the tail free.
                continue;
            }
            entry.version = version;
            // Taken here, so that times have the order of the log.
            entry.created = now();
            let (flags, body) = tagged_body(&id, Some(&entry), self.seal.as_ref())?;
            let header = Header::of(Kind::Entry, flags, &[&body]);
            let content = prepared.as_ref().filter(|_| !is_stored);
            let mut batch: Vec<Pending<'_>> = content.map(Prepared::pending).into_iter().collect();
            batch.push(Pending {
                header,
                parts: vec![&body],
                is_moved: false,
            });
            let records = batch.len() as u64;
            let (places, number) = self.log.append(&mut tail, &batch)?;
            let row = self.note_put(&mut tail, id, entry, &places);
            drop(tail);
            self.since_checkpoint.fetch_add(records, Ordering::Relaxed);
            self.log.commit(number)?;
            self.puts.fetch_add(1, Ordering::Relaxed);
            return Ok((id, row.load(Ordering::Acquire)));
        }
    }

    /// Whether a content is stored, and the version that it gets under a name, once all that is in the log
    /// by now is in the index.
    fn outlook(&self, tail: &mut Tail, id: &ArtifactId, name: &str) -> Result<(bool, u32)> {
        // Looked at before the index: what is synced in between is in both.
        let unsynced = self.log.unsynced(tail);
        let is_coming = unsynced.iter().any(|one| one.has_content && one.id == *id);
        let before = unsynced.iter().rev().find(|one| one.name == name);
        let index = self.index.read();
        let version = match before {
            Some(before) if before.id == *id => before.version,
            Some(before) => before.version + 1,
            None => index.next_version(name, id)?,
        };
        Ok((is_coming || index.has_sound(id)?, version))
    }

    /// Leaves to the sync to add to the index what [`Self::put`] has appended; called with the tail held.
    /// The row of the entry is told once it is there.
    fn note_put(
        &self,
        tail: &mut Tail,
        id: ArtifactId,
        entry: EntryBody,
        places: &[Place],
    ) -> Arc<AtomicU32> {
        let (content_place, entry_place) = match places {
            [content, entry] => (Some(*content), *entry),
            [entry] => (None, *entry),
            _ => unreachable!("a put appends one or two records"),
        };
        tail.note(id, &entry.name, entry.version, content_place.is_some());
        let told = Arc::new(AtomicU32::new(NONE));
        let row = Arc::clone(&told);
        self.log.after_sync(tail, move |index| {
            if let Some(place) = content_place {
                index.add_content(id, entry.bytes, place)?;
            }
            let added = index.add_entry(&NewEntry {
                id,
                name: &entry.name,
                kind: &entry.kind,
                run: entry.meta_text("run"),
                bytes: entry.bytes,
                version: entry.version,
                quality: entry.quality,
                created: entry.created,
                place: entry_place,
            })?;
            row.store(added, Ordering::Release);
            Ok(())
        });
        told
    }

    /// Removes contents with all their entries, in one batch; of those that are there and not held, the
    /// ones that `is_wanted` says. Returns them.
    pub(crate) fn remove(
        &self,
        ids: &[ArtifactId],
        is_wanted: impl Fn(&Content) -> bool,
    ) -> Result<Vec<Content>> {
        let mut bodies = Vec::with_capacity(ids.len());
        for id in ids {
            bodies.push(tagged_body::<()>(id, None, self.seal.as_ref())?);
        }
        let mut tail = self.log.settled()?;
        let mut batch = Vec::with_capacity(ids.len());
        let mut going = Vec::with_capacity(ids.len());
        let index = self.index.read();
        for (id, (flags, body)) in ids.iter().zip(&bodies) {
            if let Some(content) = index.content(id)?.filter(&is_wanted)
                && index.hold(id)?.is_none()
            {
                let header = Header::of(Kind::Removal, *flags, &[body]);
                batch.push(Pending {
                    header,
                    parts: vec![body.as_slice()],
                    is_moved: false,
                });
                going.push(content);
            }
        }
        drop(index);
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.log.append(&mut tail, &batch)?;
        let ids: Vec<ArtifactId> = going.iter().map(|content| content.id).collect();
        self.log.after_sync(&tail, move |index| {
            ids.iter().try_for_each(|id| index.remove(id).map(|_| ()))
        });
        // With the log's end held: a put that came now would count on what is going.
        self.log.sync_tail(&mut tail)?;
        self.since_checkpoint
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(going)
    }

    /// What is known of one entry; the metadata come from its record.
    pub(crate) fn info_of(&self, row: u32, entry: &Entry) -> Result<Info> {
        let id = self.index.read().content_at(entry.content)?.id;
        let mut place = entry.place;
        for _ in 0..2 {
            let Some(segment) = self.log.segment(place.segment) else {
                // Compaction moved it in this moment.
                place = self.index.read().entry(row)?.place;
                continue;
            };
            let record = segment.record_at(u64::from(place.offset))?;
            let read = record
                .and_then(|(header, body)| read_entry(body, header.flags, self.seal.as_ref()));
            if let Some((read_id, body)) = read
                && read_id == id
            {
                return Ok(info(&id, body));
            }
            break;
        }
        let detail = format!(
            "the record of its metadata does not check out (segments/{}, byte {})",
            Segment::file_name(place.segment),
            place.offset
        );
        Err(StoreError::Damaged { id, detail })
    }

    /// The newest entry of a content.
    pub(crate) fn info(&self, id: &ArtifactId) -> Result<Info> {
        let newest = self.index.read().newest(id)?;
        let (row, entry) = newest.ok_or_else(|| StoreError::NotFound(id.to_string()))?;
        self.info_of(row, &entry)
    }

    /// The entries that `filter` lets through, newest first. One whose metadata are damaged is listed
    /// with what the index knows.
    pub(crate) fn list(&self, limit: usize, offset: usize, filter: &Filter) -> Result<Vec<Info>> {
        let entries = self.index.read().select(limit, offset, filter)?;
        entries
            .iter()
            .map(|(row, entry)| self.info_or_known(*row, entry))
            .collect()
    }

    /// The versions of a name, oldest first.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<Info>> {
        let mut entries = self.index.read().chain_of_name(name)?;
        // The newest entry of each version stands for it.
        entries.dedup_by_key(|(_, entry)| entry.version);
        entries
            .iter()
            .rev()
            .map(|(row, entry)| self.info_or_known(*row, entry))
            .collect()
    }

    fn info_or_known(&self, row: u32, entry: &Entry) -> Result<Info> {
        match self.info_of(row, entry) {
            Err(StoreError::Damaged { detail, .. }) => {
                let index = self.index.read();
                let content = index.content_at(entry.content)?;
                Ok(Info {
                    id: content.id.to_string(),
                    name: index.words.text(entry.name)?,
                    kind: index.words.text(entry.kind)?,
                    bytes: content.bytes,
                    quality: entry.quality,
                    reasons: vec![detail],
                    created: entry.created,
                    run: index.words.text(entry.run)?,
                    node: String::new(),
                    version: entry.version,
                    meta: serde_json::Map::new(),
                })
            }
            other => other,
        }
    }

    /// Writes the index beside the log, once all that it holds is on the disk. Puts go on meanwhile.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.checkpoint_alone(&self.checkpointing.lock())
    }

    /// As [`Self::checkpoint`], unless somebody writes one, or moves what it would name.
    pub(crate) fn checkpoint_if_free(&self) -> Result<()> {
        match self.checkpointing.try_lock() {
            Some(alone) => self.checkpoint_alone(&alone),
            None => Ok(()),
        }
    }

    fn checkpoint_alone(&self, _alone: &MutexGuard<'_, ()>) -> Result<()> {
        let snapshot = {
            let tail = self.log.settled()?;
            let (segment, end, next_sequence) = tail.position();
            let reach = Reach {
                store: self.store,
                segment,
                end,
                next_sequence,
            };
            self.since_checkpoint.store(0, Ordering::Relaxed);
            Snapshot::of(&self.index.read(), reach)
        };
        snapshot.write(&self.checkpoint_path(), self.seal.as_ref())
    }

    /// Right after opening, when much was read from the log: puts it into a checkpoint and looks it up there
    /// from now on. What fails costs memory and the next opening time, and no more.
    pub(crate) fn settle_down(&self) {
        if self.since_checkpoint.load(Ordering::Relaxed) < MANY {
            return;
        }
        let written = self.checkpoint();
        let path = self.checkpoint_path();
        let read = match &written {
            Ok(()) => checkpoint::read(&path, self.store, self.seal.as_ref()),
            Err(_) => None,
        };
        match (read, written) {
            (Some((index, _)), _) => *self.index.write() = index,
            (None, written) => {
                let error = written.err().map(|error| error.to_string());
                tracing::warn!(
                    component = "artifact_store",
                    error,
                    "no checkpoint at opening"
                );
            }
        }
    }

    /// As [`Self::checkpoint`], unless what was written since the last one is soon read again.
    pub(crate) fn checkpoint_at_end(&self) -> Result<()> {
        let since = self.since_checkpoint.load(Ordering::Relaxed);
        let known = u64::from(self.index.read().entry_rows());
        let is_small = since.saturating_mul(WORTH) < known || since == 0;
        if is_small && self.checkpoint_path().exists() {
            return Ok(());
        }
        self.checkpoint()
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.path.join("index").join("checkpoint")
    }

    /// The segment with a row's record, for those that read records themselves.
    pub(crate) fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        self.log.segment(number)
    }
}

fn info(id: &ArtifactId, body: EntryBody) -> Info {
    Info {
        id: id.to_string(),
        run: body.meta_text("run").to_owned(),
        node: body.meta_text("node").to_owned(),
        name: body.name,
        kind: body.kind,
        bytes: body.bytes,
        quality: body.quality,
        reasons: body.reasons,
        created: body.created,
        version: body.version,
        meta: body.meta,
    }
}
