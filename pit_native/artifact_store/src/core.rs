//! Log and index together: everything but the search and the life of an opened store.

use crate::body::{ContentBody, EntryBody, read_entry, tagged_body};
use crate::checkpoint::{self, Reach};
use crate::chunks::Keyer;
use crate::error::{Result, StoreError};
use crate::index::{Content, Entry, Index, LOST, NewEntry};
use crate::log::{Log, Pending, Place};
use crate::quality::{Quality, Scorers};
use crate::record::{Header, Kind};
use crate::seal::Seal;
use crate::segment::Segment;
use crate::types::{ArtifactId, Filter, Info, Put};
use crate::write::{Draft, Drafts};
use parking_lot::{Mutex, RwLock};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the operations of a store work on.
pub(crate) struct Core {
    pub(crate) path: PathBuf,
    pub(crate) store: u64,
    pub(crate) log: Log,
    pub(crate) index: RwLock<Index>,
    pub(crate) seal: Option<Seal>,
    /// Makes the keys of chunks.
    pub(crate) keyer: Keyer,
    pub(crate) drafts: Drafts,
    pub(crate) scorers: Scorers,
    pub(crate) puts: AtomicU64,
    /// Held by whoever rewrites segments.
    pub(crate) rewriting: Mutex<()>,
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
        let id = ArtifactId::of(content);
        let quality = self.scorers.score(&put.kind, content, false);
        let prepare = || self.prepare(&id, content);
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
            if prepared.is_none() && !self.index.read().has_sound(&id) {
                prepared = Some(prepare()?);
            }
            let mut tail = self.log.tail.lock();
            let index = self.index.read();
            let is_stored = index.has_sound(&id);
            if !is_stored && prepared.is_none() {
                // It was removed since: prepare it, with the tail free.
                continue;
            }
            entry.version = index.next_version(&put.name, &id);
            // Taken here, so that times have the order of the log.
            entry.created = now();
            drop(index);
            let (flags, body) = tagged_body(&id, Some(&entry), self.seal.as_ref())?;
            let header = Header::of(Kind::Entry, flags, &[&body]);
            let content = prepared.as_ref().filter(|_| !is_stored);
            let mut batch: Vec<Pending<'_>> = content.map(Prepared::pending).into_iter().collect();
            batch.push(Pending {
                header,
                parts: vec![&body],
                is_moved: false,
            });
            let (places, number) = self.log.append(&mut tail, &batch)?;
            let row = self.note_put(&id, &entry, &places);
            drop(tail);
            self.since_checkpoint
                .fetch_add(batch.len() as u64, Ordering::Relaxed);
            self.log.commit(number)?;
            self.puts.fetch_add(1, Ordering::Relaxed);
            return Ok((id, row));
        }
    }

    /// Adds to the index what [`Self::put`] has appended; called with the tail held.
    fn note_put(&self, id: &ArtifactId, entry: &EntryBody, places: &[Place]) -> u32 {
        let mut index = self.index.write();
        let (content_place, entry_place) = match places {
            [content, entry] => (Some(*content), *entry),
            [entry] => (None, *entry),
            _ => unreachable!("a put appends one or two records"),
        };
        if let Some(place) = content_place {
            index.add_content(*id, entry.bytes, place);
        }
        index.add_entry(&NewEntry {
            id: *id,
            name: &entry.name,
            kind: &entry.kind,
            run: entry.meta_text("run"),
            bytes: entry.bytes,
            version: entry.version,
            quality: entry.quality,
            created: entry.created,
            place: entry_place,
        })
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
        let mut tail = self.log.tail.lock();
        let mut batch = Vec::with_capacity(ids.len());
        let mut going = Vec::with_capacity(ids.len());
        let index = self.index.read();
        for (id, (flags, body)) in ids.iter().zip(&bodies) {
            if index.content(id).is_some_and(&is_wanted) && index.hold(id).is_none() {
                let header = Header::of(Kind::Removal, *flags, &[body]);
                batch.push(Pending {
                    header,
                    parts: vec![body.as_slice()],
                    is_moved: false,
                });
                going.push(*id);
            }
        }
        drop(index);
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (_, number) = self.log.append(&mut tail, &batch)?;
        let mut index = self.index.write();
        let removed = going.iter().filter_map(|id| index.remove(id)).collect();
        drop(index);
        drop(tail);
        self.since_checkpoint
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.log.commit(number)?;
        Ok(removed)
    }

    /// What is known of one entry; the metadata come from its record.
    pub(crate) fn info_of(&self, entry: &Entry) -> Result<Info> {
        let (id, mut place) = {
            let index = self.index.read();
            (index.contents[entry.content as usize].id, entry.place)
        };
        for _ in 0..2 {
            let Some(segment) = self.log.segment(place.segment) else {
                place = self
                    .index
                    .read()
                    .entries
                    .iter()
                    .rev()
                    .find_map(|one| {
                        (one.content == entry.content && one.created == entry.created)
                            .then_some(one.place)
                    })
                    .unwrap_or(LOST);
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
        let entry = self.index.read().newest(id).copied();
        self.info_of(&entry.ok_or_else(|| StoreError::NotFound(id.to_string()))?)
    }

    /// The entries that `filter` lets through, newest first. One whose metadata are damaged is listed
    /// with what the index knows.
    pub(crate) fn list(&self, limit: usize, offset: usize, filter: &Filter) -> Result<Vec<Info>> {
        let entries: Vec<Entry> = {
            let index = self.index.read();
            let rows = index.select(limit, offset, filter);
            rows.into_iter()
                .map(|row| index.entries[row as usize])
                .collect()
        };
        entries
            .iter()
            .map(|entry| self.info_or_known(entry))
            .collect()
    }

    /// The versions of a name, oldest first.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<Info>> {
        let mut entries: Vec<Entry> = {
            let index = self.index.read();
            index.chain_of_name(name).map(|(_, entry)| *entry).collect()
        };
        // The newest entry of each version stands for it.
        entries.dedup_by_key(|entry| entry.version);
        entries
            .iter()
            .rev()
            .map(|entry| self.info_or_known(entry))
            .collect()
    }

    fn info_or_known(&self, entry: &Entry) -> Result<Info> {
        match self.info_of(entry) {
            Err(StoreError::Damaged { detail, .. }) => {
                let index = self.index.read();
                let content = &index.contents[entry.content as usize];
                Ok(Info {
                    id: content.id.to_string(),
                    name: index.words.text(entry.name).to_owned(),
                    kind: index.words.text(entry.kind).to_owned(),
                    bytes: content.bytes,
                    quality: entry.quality,
                    reasons: vec![detail],
                    created: entry.created,
                    run: index.words.text(entry.run).to_owned(),
                    node: String::new(),
                    version: entry.version,
                    meta: serde_json::Map::new(),
                })
            }
            other => other,
        }
    }

    /// Writes the index beside the log, once all that it holds is on the disk.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let mut tail = self.log.tail.lock();
        self.log.sync_tail(&mut tail)?;
        let (segment, end, next_sequence) = tail.position();
        let reach = Reach {
            store: self.store,
            segment,
            end,
            next_sequence,
        };
        let index = self.index.read();
        let plain = checkpoint::encode(&index, reach);
        self.since_checkpoint.store(0, Ordering::Relaxed);
        drop(index);
        drop(tail);
        checkpoint::write(&self.checkpoint_path(), plain, self.seal.as_ref())
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
