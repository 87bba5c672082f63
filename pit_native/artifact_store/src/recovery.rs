//! Opening a store: finding its segments, reading the checkpoint, applying what came after it.

use crate::base::Reach;
use crate::body::{
    EvictionBody, HoldBody, SegmentBody, prefix_bytes, read_entry, read_message, read_prefix,
    read_tagged,
};
use crate::checkpoint::{self, Snapshot};
use crate::chunks::{Table, read_table};
use crate::error::{Result, StoreError};
use crate::index::Index;
use crate::log::{FoundLog, Place};
use crate::record::{Header, Kind};
use crate::rows::NewEntry;
use crate::seal::Seal;
use crate::segment::{End, Found, Segment};
use crate::settle::records_like;
use crate::types::ArtifactId;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The format that this version writes; it reads those before it too. Version 2 brought chunks,
/// version 3 notes of evictions that name the tier.
pub(crate) const FORMAT: u16 = 3;
/// In the place of a sealed constant, when a file of keys tells a wrong one.
const IN_KEY_FILE: &[u8] = b"keys";
/// What is sealed to find a wrong key.
const KEY_CHECK: &[u8] = b"symphony artifact store";

/// A store as it was found.
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) log: FoundLog,
    /// Records that were read because no checkpoint covered them.
    pub(crate) replayed: usize,
}

/// A record that recovery applies.
struct Change {
    sequence: u64,
    place: Place,
    what: What,
}

enum What {
    Content {
        id: ArtifactId,
        bytes: u64,
    },
    Entry {
        id: ArtifactId,
        body: Box<crate::body::EntryBody>,
    },
    Removal {
        id: ArtifactId,
    },
    Eviction {
        id: ArtifactId,
        bytes: u64,
    },
    Hold {
        id: ArtifactId,
        reason: Option<String>,
    },
    Block {
        table: Table,
    },
}

/// The number of the newest segment, and whether the newest with an intact head is of an encrypted store.
pub(crate) fn glance(folder: &Path) -> Result<Option<(u32, bool)>> {
    let numbers = segment_numbers(folder)?;
    for number in numbers.iter().rev() {
        let found = Segment::open(folder, *number, false)?.record_at(0)?;
        let head = found.and_then(|(_, body)| rmp_serde::from_slice::<SegmentBody>(&body).ok());
        if let Some(head) = head {
            return Ok(numbers
                .last()
                .map(|last| (*last, !head.key_check.is_empty())));
        }
    }
    // A first segment whose making was interrupted counts for nothing.
    Ok(None)
}

/// Where a store lies, and what may stay in memory of its chunks while it is found.
pub(crate) struct Places<'a> {
    /// The folder of the segments.
    pub(crate) segments: &'a Path,
    pub(crate) checkpoint: &'a Path,
    pub(crate) chunks_in_memory: usize,
}

/// Reads the segments and the checkpoint. Only torn tails are cut off.
pub(crate) fn recover(
    places: &Places<'_>,
    seal: Option<&Seal>,
    has_key_file: bool,
) -> Result<Recovered> {
    let (folder, checkpoint_path) = (places.segments, places.checkpoint);
    let mut segments = find_segments(folder)?;
    let mut head = read_head(folder, &mut segments, seal, has_key_file)?;
    // A version that does not know what comes now must not take it for damage.
    let is_older = std::mem::replace(&mut head.format, FORMAT) != FORMAT;
    let covered = checkpoint::read(checkpoint_path, head.store, seal).filter(|(_, reach)| {
        let segment = segments.get(&reach.segment);
        segment.is_some_and(|segment| segment.length().is_ok_and(|length| length >= reach.end))
    });
    let (index, from, next_sequence) = match covered {
        Some((index, reach)) => (index, (reach.segment, reach.end), reach.next_sequence),
        None => {
            // One that cannot be used now never can.
            let _ = std::fs::remove_file(checkpoint_path);
            (Index::default(), (0, 0), 1)
        }
    };
    let log = LogEnd {
        segments: &segments,
        from,
        next_sequence,
        is_older,
        seal,
    };
    let mut spill = Spill {
        path: checkpoint_path.with_extension("chunks"),
        seal,
        store: head.store,
        most: places.chunks_in_memory,
    };
    // One that was killed while it spilt has left its file.
    let _ = std::fs::remove_file(&spill.path);
    let mut replay = Replay::new(index);
    // Records come by sequence, but for those that compaction has moved.
    let mut reached = next_sequence - 1;
    let mut is_ordered = true;
    let mut found = log.read(&mut |change| {
        is_ordered &= change.sequence > reached;
        reached = change.sequence;
        if is_ordered {
            replay.apply(change)?;
            spill.relieve(&mut replay.index);
        }
        Ok(())
    })?;
    if !is_ordered {
        let again = checkpoint::read(checkpoint_path, head.store, seal);
        let index = again.filter(|_| from.0 > 0).map(|(index, _)| index);
        replay = Replay::new(index.unwrap_or_default());
        let mut changes = Vec::new();
        found = log.read(&mut |change| {
            if let What::Block { .. } = change.what {
                // Of two copies of a chunk either will do, so their order is all one.
                replay.apply(change)?;
                spill.relieve(&mut replay.index);
                return Ok(());
            }
            changes.push(change);
            Ok(())
        })?;
        // Of a record that compaction was copying, both copies may be there.
        changes.sort_by_key(|change| change.sequence);
        changes.dedup_by_key(|change| change.sequence);
        for change in changes {
            replay.apply(change)?;
        }
    }
    let Replay { index, count, .. } = replay;
    Ok(Recovered {
        index,
        log: FoundLog {
            end: found.end,
            is_sealed: found.is_sealed,
            next_sequence: found.next_sequence,
            segments,
            head,
        },
        replayed: count,
    })
}

/// Keeps the chunks of a log that is read from its beginning from filling the memory: they go to a file, as in a
/// checkpoint, which nobody else finds.
struct Spill<'a> {
    path: PathBuf,
    seal: Option<&'a Seal>,
    store: u64,
    /// Chunks that may be in memory.
    most: usize,
}

impl Spill<'_> {
    fn relieve(&mut self, index: &mut Index) {
        if index.chunks.in_memory() < self.most {
            return;
        }
        let reach = Reach {
            store: self.store,
            ..Reach::default()
        };
        let written =
            Snapshot::of(index, reach).write(&self.path, self.seal, &AtomicBool::new(false));
        let read = written
            .ok()
            .and_then(|()| checkpoint::read(&self.path, self.store, self.seal));
        // What is open stays readable.
        let _ = std::fs::remove_file(&self.path);
        match read {
            Some((spilt, _)) => *index = spilt,
            // A disk that is full is no reason not to open: it takes memory.
            None => self.most = usize::MAX,
        }
    }
}

/// The log behind what a checkpoint covers.
struct LogEnd<'a> {
    segments: &'a BTreeMap<u32, Arc<Segment>>,
    /// Segment and offset.
    from: (u32, u64),
    next_sequence: u64,
    /// Whether an earlier version has written the last segment.
    is_older: bool,
    seal: Option<&'a Seal>,
}

/// How the log ends.
#[derive(Default)]
struct Ending {
    end: u64,
    is_sealed: bool,
    next_sequence: u64,
}

impl LogEnd<'_> {
    /// Hands out each change in the order of the log, and cuts off a torn end.
    fn read(&self, take: &mut dyn FnMut(Change) -> Result<()>) -> Result<Ending> {
        let mut ending = Ending {
            next_sequence: self.next_sequence,
            ..Ending::default()
        };
        let last = self.segments.keys().next_back().copied();
        for (number, segment) in self.segments.range(self.from.0..) {
            let start = if *number == self.from.0 {
                self.from.1
            } else {
                0
            };
            let scanned = segment.scan(start, None, &mut |found| {
                if let Found::Record {
                    header,
                    offset,
                    body,
                } = found
                {
                    ending.next_sequence = ending.next_sequence.max(header.sequence + 1);
                    if let Some(change) = read_change(*number, &header, offset, body, self.seal) {
                        take(change)?;
                    }
                }
                Ok(())
            })?;
            if Some(*number) != last {
                continue;
            }
            ending.end = scanned.good_until;
            ending.is_sealed = self.is_older || scanned.end == End::Damaged;
            if scanned.end == End::Torn {
                let cut = segment.file.set_len(ending.end);
                cut.map_err(|source| StoreError::Io {
                    doing: "cannot cut the torn end of",
                    path: segment.path.clone(),
                    source,
                })?;
            }
        }
        Ok(ending)
    }
}

/// Applies changes to an index, by sequence.
pub(crate) struct Replay {
    pub(crate) index: Index,
    count: usize,
    /// Holds of contents whose first records are gone, for a later put brought them again.
    early: FxHashMap<ArtifactId, (Option<String>, Place)>,
}

impl Replay {
    pub(crate) fn new(index: Index) -> Self {
        Self {
            index,
            count: 0,
            early: FxHashMap::default(),
        }
    }

    /// Applies what the log of an opened store says between two places, each a segment and an offset. Nothing moves in
    /// it meanwhile. False when some of it does not check out.
    pub(crate) fn apply_between(
        &mut self,
        segments: &[Arc<Segment>],
        from: (u32, u64),
        until: (u32, u64),
        seal: Option<&Seal>,
    ) -> Result<bool> {
        let mut is_whole = true;
        let between = |segment: &&Arc<Segment>| (from.0..=until.0).contains(&segment.number);
        for segment in segments.iter().filter(between) {
            let start = if segment.number == from.0 { from.1 } else { 0 };
            let end = (segment.number == until.0).then_some(until.1);
            let scanned = segment.scan(start, end, &mut |found| {
                match found {
                    Found::Record { header, .. } if header.kind == Kind::Segment => {}
                    Found::Record {
                        header,
                        offset,
                        body,
                    } => match read_change(segment.number, &header, offset, body, seal) {
                        Some(change) => self.apply(change)?,
                        None => is_whole = false,
                    },
                    _ => is_whole = false,
                }
                Ok(())
            })?;
            is_whole &= scanned.end == End::Clean;
        }
        Ok(is_whole)
    }

    fn apply(&mut self, change: Change) -> Result<()> {
        let Self {
            index,
            count,
            early,
        } = self;
        *count += 1;
        let known = match &change.what {
            What::Content { id, .. } | What::Eviction { id, .. } | What::Entry { id, .. } => {
                Some(*id)
            }
            _ => None,
        };
        match change.what {
            What::Content { id, bytes } => _ = index.add_content(id, bytes, change.place)?,
            What::Removal { id } => {
                early.remove(&id);
                index.remove(&id)?;
            }
            What::Hold { id, reason } if index.content_row(&id)?.is_none() => {
                early.insert(id, (reason, change.place));
            }
            What::Eviction { id, bytes } => index.mark_remote(id, bytes, change.place)?,
            What::Block { table } => {
                *count += records_like(table.len()) as usize - 1;
                index.chunks.add_block(change.place, &table)?;
            }
            What::Hold { id, reason } => index.set_hold(&id, reason.as_deref(), change.place)?,
            What::Entry { id, body } => {
                index.add_entry(&NewEntry {
                    id,
                    name: &body.name,
                    kind: &body.kind,
                    run: body.meta_text("run"),
                    bytes: body.bytes,
                    version: body.version,
                    quality: body.quality,
                    created: body.created,
                    place: change.place,
                })?;
            }
        }
        if let Some(id) = known
            && let Some((reason, place)) = early.remove(&id)
        {
            index.set_hold(&id, reason.as_deref(), place)?;
        }
        Ok(())
    }
}

/// What an intact record changes; nothing for a segment's head, or when it does not open with the key,
/// which `verify` reports.
fn read_change(
    segment: u32,
    header: &Header,
    offset: u64,
    body: &[u8],
    seal: Option<&Seal>,
) -> Option<Change> {
    let place = Place {
        segment,
        offset: u32::try_from(offset).ok()?,
    };
    let what = match header.kind {
        Kind::Segment => return None,
        Kind::Content => {
            let prefix = body.get(..prefix_bytes(header.flags))?;
            let (id, bytes) = read_prefix(prefix, header, seal)?;
            What::Content { id, bytes }
        }
        Kind::Entry => {
            let (id, mut body) = read_entry(body.to_vec(), header.flags, seal)?;
            // Nothing else of the metadata is looked at, and a million of them may have to wait.
            body.reasons = Vec::new();
            body.meta.retain(|key, _| key == "run");
            What::Entry {
                id,
                body: Box::new(body),
            }
        }
        Kind::Removal => What::Removal {
            id: read_tagged(body.to_vec(), header.flags, seal)?.0,
        },
        Kind::Eviction => {
            let (id, note) = read_message::<EvictionBody>(body.to_vec(), header.flags, seal)?;
            What::Eviction {
                id,
                bytes: note.bytes,
            }
        }
        Kind::Block => What::Block {
            table: read_table(body, header.flags, seal)?,
        },
        Kind::Hold => {
            let (id, note) = read_message::<HoldBody>(body.to_vec(), header.flags, seal)?;
            What::Hold {
                id,
                reason: note.reason,
            }
        }
    };
    Some(Change {
        sequence: header.sequence,
        place,
        what,
    })
}

fn find_segments(folder: &Path) -> Result<BTreeMap<u32, Arc<Segment>>> {
    let mut segments = BTreeMap::new();
    for number in segment_numbers(folder)? {
        segments.insert(number, Arc::new(Segment::open(folder, number, false)?));
    }
    Ok(segments)
}

/// The segments in a folder, oldest first.
fn segment_numbers(folder: &Path) -> Result<Vec<u32>> {
    let failed = |source| StoreError::Io {
        doing: "cannot read",
        path: folder.into(),
        source,
    };
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(folder).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".log"));
        numbers.extend(name.and_then(|name| name.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What the segments' first records say; a new store's when there are none. A last segment whose
/// making was interrupted is deleted: nothing was ever put in it.
fn read_head(
    folder: &Path,
    segments: &mut BTreeMap<u32, Arc<Segment>>,
    seal: Option<&Seal>,
    has_key_file: bool,
) -> Result<SegmentBody> {
    let mut found = None;
    let numbers: Vec<u32> = segments.keys().copied().collect();
    for number in &numbers {
        let segment = &segments[number];
        match segment.record_at(0)? {
            Some((header, body)) if header.kind == Kind::Segment => {
                let head: SegmentBody =
                    rmp_serde::from_slice(&body).map_err(|error| StoreError::Format {
                        path: segment.path.clone(),
                        detail: error.to_string(),
                    })?;
                if !(1..=FORMAT).contains(&head.format) {
                    return Err(StoreError::Format {
                        path: segment.path.clone(),
                        detail: format!(
                            "its format is {}, this version reads up to {FORMAT}",
                            head.format
                        ),
                    });
                }
                found = Some(head);
            }
            _ => {
                let scanned = segment.scan(0, None, &mut |_| Ok(()))?;
                let is_last = Some(number) == numbers.last();
                if is_last && scanned.good_until == 0 && scanned.end != End::Damaged {
                    std::fs::remove_file(&segment.path).map_err(|source| StoreError::Io {
                        doing: "cannot delete",
                        path: segment.path.clone(),
                        source,
                    })?;
                    segments.remove(number);
                }
            }
        }
    }
    let store = folder.parent().unwrap_or(folder);
    let wrong = |detail| {
        Err(StoreError::Key {
            path: store.to_path_buf(),
            detail,
        })
    };
    match (found, seal) {
        (Some(head), Some(_)) if has_key_file => Ok(SegmentBody {
            key_check: IN_KEY_FILE.to_vec(),
            ..head
        }),
        (None, Some(_)) if has_key_file => Ok(SegmentBody {
            key_check: IN_KEY_FILE.to_vec(),
            ..new_head(None)?
        }),
        (Some(head), None) if head.key_check.is_empty() => Ok(head),
        (Some(_), None) => wrong("it is encrypted, and no key was given"),
        (Some(head), Some(_)) if head.key_check.is_empty() => {
            wrong("it is not encrypted, and a key was given")
        }
        (Some(head), Some(seal)) => match seal.open(&head.key_check, KEY_CHECK) {
            Some(_) => Ok(head),
            None => wrong("it was encrypted with another key, or its files of keys are lost"),
        },
        (None, seal) => new_head(seal),
    }
}

fn new_head(seal: Option<&Seal>) -> Result<SegmentBody> {
    let key_check = match seal {
        Some(seal) => seal.seal(KEY_CHECK, KEY_CHECK)?,
        None => Vec::new(),
    };
    // The number need not be secret, only another one for another store.
    let number = std::collections::hash_map::RandomState::new();
    let store = std::hash::BuildHasher::hash_one(&number, std::process::id());
    Ok(SegmentBody {
        format: FORMAT,
        store,
        key_check,
    })
}
