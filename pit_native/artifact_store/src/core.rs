//! Log and index together: everything but the search and the life of an opened store.

use crate::body::{ContentBody, EntryBody, read_entry, tagged_body};
use crate::chunks::Keyer;
use crate::error::{Result, StoreError};
use crate::index::Index;
use crate::ledger::Ledger;
use crate::log::{Log, Pending, Place, Tail};
use crate::outbox::{Fresh, Outbox};
use crate::quality::{Quality, Scorers};
use crate::record::{Header, Kind};
use crate::rows::{Content, Entry, NewEntry};
use crate::seal::Seal;
use crate::segment::Segment;
use crate::settle::Bell;
use crate::types::{ArtifactId, Filter, Info, Put};
use crate::write::{Draft, Drafts};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// The index settles when there are so many, see [`crate::settle`], and at the latest after `settle_after`.
    pub(crate) due: AtomicU64,
    pub(crate) settle_after: u64,
    pub(crate) bell: Bell,
    /// Tells the background thread what has come and gone.
    pub(crate) outbox: Arc<Outbox>,
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
    /// Appends content, unless it is there, and entry; returns once both are on the disk.
    pub(crate) fn put(&self, content: &[u8], put: &Put) -> Result<ArtifactId> {
        let (id, mut draft) = self.digest_and_cut(content)?;
        let quality = self.scorers.score(&put.kind, content, false);
        let prepare = || match draft.take() {
            Some(draft) => self.recipe(&id, draft),
            None => self.prepare(&id, content),
        };
        let known = Known {
            id,
            bytes: content.len() as u64,
            quality,
            text: self.outbox.text(Some(content)),
        };
        self.put_known(known, put, prepare)
    }

    /// Puts a content of this digest and length; `prepare` makes its record when it is not there.
    pub(crate) fn put_known<'a>(
        &self,
        known: Known,
        put: &Put,
        mut prepare: impl FnMut() -> Result<Prepared<'a>>,
    ) -> Result<ArtifactId> {
        if put.name.is_empty() {
            return Err(StoreError::BadInput("an artifact needs a name".into()));
        }
        let Known {
            id,
            bytes,
            quality,
            text,
        } = known;
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
            self.note_put(&mut tail, id, entry, &places, text);
            drop(tail);
            self.note_records(records);
            self.log.commit(number)?;
            self.puts.fetch_add(1, Ordering::Relaxed);
            return Ok(id);
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
    fn note_put(
        &self,
        tail: &mut Tail,
        id: ArtifactId,
        entry: EntryBody,
        places: &[Place],
        text: Option<Box<str>>,
    ) {
        let (content_place, entry_place) = match places {
            [content, entry] => (Some(*content), *entry),
            [entry] => (None, *entry),
            _ => unreachable!("a put appends one or two records"),
        };
        tail.note(id, &entry.name, entry.version, content_place.is_some());
        // The entry was appended last.
        let sequence = tail.position().2 - 1;
        let outbox = Arc::clone(&self.outbox);
        self.log.after_sync(tail, move |index| {
            if let Some(place) = content_place {
                index.add_content(id, entry.bytes, place)?;
            }
            index.add_entry(&NewEntry {
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
            outbox.put(Fresh {
                sequence,
                id,
                run: entry.meta_text("run").to_owned(),
                node: entry.meta_text("node").to_owned(),
                name: entry.name,
                kind: entry.kind,
                text,
            });
            Ok(())
        });
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
        let outbox = Arc::clone(&self.outbox);
        self.log.after_sync(&tail, move |index| {
            ids.iter().try_for_each(|id| index.remove(id).map(|_| ()))?;
            outbox.removed(&ids);
            Ok(())
        });
        // With the log's end held: a put that came now would count on what is going.
        self.log.sync_tail(&mut tail)?;
        self.note_records(batch.len() as u64);
        Ok(going)
    }

    /// Whose record an entry is, and its segment: found with the index held, for its rows mean nothing afterwards,
    /// and for a collection deletes no segment that the index still names.
    pub(crate) fn record_of(&self, index: &Index, entry: &Entry) -> Result<EntryRecord> {
        Ok(EntryRecord {
            id: index.content_at(entry.content)?.id,
            place: entry.place,
            segment: self.log.segment(entry.place.segment),
        })
    }

    /// What is known of one entry; the metadata come from its record.
    fn info_of(&self, record: &EntryRecord) -> Result<Info> {
        if let Some((_, body)) = self.read_entry(record)? {
            return Ok(info(&record.id, body));
        }
        let detail = format!(
            "the record of its metadata does not check out (segments/{}, byte {})",
            Segment::file_name(record.place.segment),
            record.place.offset
        );
        Err(StoreError::Damaged {
            id: record.id,
            detail,
        })
    }

    /// The body of an entry's record with its sequence; nothing when it does not check out.
    pub(crate) fn read_entry(&self, record: &EntryRecord) -> Result<Option<(u64, EntryBody)>> {
        let Some(segment) = &record.segment else {
            return Ok(None);
        };
        let found = segment.record_at(u64::from(record.place.offset))?;
        Ok(found.and_then(|(header, body)| {
            let (id, body) = read_entry(body, header.flags, self.seal.as_ref())?;
            (id == record.id).then_some((header.sequence, body))
        }))
    }

    /// The sequence of an entry's record; nothing when its header does not check out, or it is lost.
    pub(crate) fn sequence_of(&self, index: &Index, row: u32) -> Result<Option<u64>> {
        let place = index.entry(row)?.place;
        sequence_at(self.log.segment(place.segment).as_deref(), place)
    }

    /// The newest entry of a content.
    pub(crate) fn info(&self, id: &ArtifactId) -> Result<Info> {
        let record = {
            let index = self.index.read();
            let (_, entry) = index
                .newest(id)?
                .ok_or_else(|| StoreError::NotFound(id.to_string()))?;
            self.record_of(&index, &entry)?
        };
        self.info_of(&record)
    }

    /// The entries that `filter` lets through, newest first. One whose metadata are damaged is listed
    /// with what the index knows.
    pub(crate) fn list(&self, limit: usize, offset: usize, filter: &Filter) -> Result<Vec<Info>> {
        let records = {
            let index = self.index.read();
            let entries = index.select(limit, offset, filter)?;
            self.records_of(&index, &entries)?
        };
        self.infos_or_known(&records)
    }

    /// The versions of a name, oldest first.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<Info>> {
        let records = {
            let index = self.index.read();
            let mut entries = index.chain_of_name(name)?;
            // The newest entry of each version stands for it.
            entries.dedup_by_key(|(_, entry)| entry.version);
            entries.reverse();
            self.records_of(&index, &entries)?
        };
        self.infos_or_known(&records)
    }

    fn records_of(&self, index: &Index, entries: &[(u32, Entry)]) -> Result<Vec<EntryRecord>> {
        let records = entries.iter();
        records
            .map(|(_, entry)| self.record_of(index, entry))
            .collect()
    }

    fn infos_or_known(&self, records: &[EntryRecord]) -> Result<Vec<Info>> {
        let mut infos = Vec::with_capacity(records.len());
        for record in records {
            match self.info_of(record) {
                Err(StoreError::Damaged { detail, .. }) => {
                    // Nothing, when it was removed meanwhile.
                    infos.extend(self.known_of(record, detail)?);
                }
                other => infos.push(other?),
            }
        }
        Ok(infos)
    }

    /// What the index alone knows of an entry.
    fn known_of(&self, record: &EntryRecord, detail: String) -> Result<Option<Info>> {
        let index = self.index.read();
        let Some(entry) = index.entry_at(&record.id, record.place)? else {
            return Ok(None);
        };
        Ok(Some(Info {
            id: record.id.to_string(),
            name: index.words.text(entry.name)?,
            kind: index.words.text(entry.kind)?,
            bytes: index.content_at(entry.content)?.bytes,
            quality: entry.quality,
            reasons: vec![detail],
            created: entry.created,
            run: index.words.text(entry.run)?,
            node: String::new(),
            version: entry.version,
            meta: serde_json::Map::new(),
        }))
    }
}

/// Where an entry's record is. The segment is kept open by this, also when a collection deletes it.
pub(crate) struct EntryRecord {
    pub(crate) id: ArtifactId,
    pub(crate) place: Place,
    /// Absent when it is lost.
    pub(crate) segment: Option<Arc<Segment>>,
}

impl EntryRecord {
    /// As [`Core::sequence_of`].
    pub(crate) fn sequence(&self) -> Result<Option<u64>> {
        sequence_at(self.segment.as_deref(), self.place)
    }
}

fn sequence_at(segment: Option<&Segment>, place: Place) -> Result<Option<u64>> {
    let Some(segment) = segment else {
        return Ok(None);
    };
    let header = segment.header_at(u64::from(place.offset))?;
    Ok(header.map(|header| header.sequence))
}

/// What is known of a content before it is put.
pub(crate) struct Known {
    pub(crate) id: ArtifactId,
    pub(crate) bytes: u64,
    pub(crate) quality: Quality,
    /// As in [`Fresh`].
    pub(crate) text: Option<Box<str>>,
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
