//! Garbage collection: removes what is not kept, then rewrites segments that hold much that is gone.
//!
//! Live records are copied to the end of the log as they are, synced, and only then is their old
//! segment deleted. A crash in between leaves both copies, which recovery takes for one. A removal is
//! kept as long as an older segment may hold what it removed.

use crate::chunks::Table;
use crate::core::{Core, now};
use crate::error::{Result, StoreError};
use crate::index::Index;
use crate::log::{Pending, Place, sync_folder};
use crate::record::{Header, Kind};
use crate::rotation::renewed;
use crate::rows::Standing;
use crate::segment::{Found, Segment};
use crate::sweep::{slimmer, sweep};
use crate::types::{ArtifactId, Collected};
use parking_lot::MutexGuard;
use rustc_hash::{FxHashMap, FxHashSet};

/// Removals that share one write.
const REMOVE_BATCH: usize = 1024;
/// Bytes that are moved with the log's end held.
const MOVE_BATCH: u64 = 4 << 20;
/// A segment is rewritten when less than this share of it is alive.
const ALIVE: f64 = 0.8;

/// Removes what is not in `keep` and was last put before `before`.
pub(crate) fn collect(core: &Core, keep: &[ArtifactId], before: Option<f64>) -> Result<Collected> {
    let _alone = core.rewriting.lock();
    let start = now();
    let before = before.unwrap_or(start).min(start);
    let mut collected = remove(core, &doomed(core, keep, before)?)?;
    sweep(core)?;
    let bytes_before = core.log.bytes()?;
    compact(core, &mut collected)?;
    collected.freed = bytes_before.saturating_sub(core.log.bytes()?);
    Ok(collected)
}

/// Contents that may go, with the newest entry that each has now.
fn doomed(core: &Core, keep: &[ArtifactId], before: f64) -> Result<FxHashMap<ArtifactId, u32>> {
    let keep: FxHashSet<ArtifactId> = keep.iter().copied().collect();
    let index = core.index.read();
    let mut young: FxHashSet<u32> = FxHashSet::default();
    index.visit_entries(|_, entry| {
        if entry.standing != Standing::Gone && entry.created >= before {
            young.insert(entry.content);
        }
        Ok(())
    })?;
    let mut doomed = FxHashMap::default();
    index.visit_contents(|row, content| {
        let stays =
            keep.contains(&content.id) || index.holds.contains_key(&row) || young.contains(&row);
        if !stays {
            doomed.insert(content.id, content.newest);
        }
        Ok(())
    })?;
    Ok(doomed)
}

/// Removes those that nobody has put again since.
fn remove(core: &Core, doomed: &FxHashMap<ArtifactId, u32>) -> Result<Collected> {
    let mut collected = Collected::default();
    for batch in doomed
        .keys()
        .copied()
        .collect::<Vec<_>>()
        .chunks(REMOVE_BATCH)
    {
        let removed = core.remove(batch, |content| {
            doomed.get(&content.id) == Some(&content.newest)
        })?;
        collected.removed += removed.len() as u64;
        collected.bytes += removed.iter().map(|content| content.bytes).sum::<u64>();
    }
    Ok(collected)
}

fn compact(core: &Core, collected: &mut Collected) -> Result<()> {
    let mut candidates = Vec::new();
    for segment in core.log.segments() {
        let survey = survey(core, &segment)?;
        let is_sparse = (survey.alive as f64) < ALIVE * survey.all as f64;
        if (is_sparse || survey.has_dead_damage) && !survey.has_live_damage {
            candidates.push((segment, survey));
        }
    }
    if candidates.is_empty() {
        return Ok(());
    }
    let moving = forget_checkpoint(core)?;
    for (segment, survey) in candidates {
        rewrite(core, &segment, survey)?;
        collected.segments += 1;
    }
    drop(moving);
    core.checkpoint()
}

/// Encrypts the oldest segment below `below` under the newest key, but for those in `kept`. False when
/// there is none; one that must stay, for something in it is damaged, is added to `kept`.
pub(crate) fn renew(core: &Core, below: u32, kept: &mut FxHashSet<u32>) -> Result<bool> {
    let _alone = core.rewriting.lock();
    let segments = core.log.segments();
    let mut old = segments.iter().filter(|one| one.number < below);
    let Some(segment) = old.find(|one| !kept.contains(&one.number)) else {
        return Ok(false);
    };
    let survey = survey(core, segment)?;
    if survey.has_live_damage {
        kept.insert(segment.number);
        return Ok(true);
    }
    let moving = forget_checkpoint(core)?;
    rewrite(core, segment, survey)?;
    drop(moving);
    core.checkpoint()?;
    Ok(true)
}

/// The checkpoint names old places; without it the log is read, whatever happens from here on. Until the
/// guard is dropped none is written: what is moved behind its reach would be read as if it were new.
fn forget_checkpoint(core: &Core) -> Result<MutexGuard<'_, ()>> {
    let moving = core.checkpointing.lock();
    match std::fs::remove_file(core.checkpoint_path()) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(StoreError::Io {
            doing: "cannot delete",
            path: core.checkpoint_path(),
            source,
        }),
        // Nor may it come back when the power fails.
        _ => sync_folder(&core.path.join("index")).map(|()| moving),
    }
}

/// Moves what counts of a segment to the end of the log, and deletes it.
fn rewrite(core: &Core, segment: &Segment, survey: Survey) -> Result<()> {
    {
        let mut tail = core.log.tail.lock();
        if tail.position().0 == segment.number {
            core.log.roll(&mut tail)?;
        }
    }
    // What was written between survey and roll is not in the survey.
    let survey = if segment.length()? == survey.until {
        survey
    } else {
        self::survey(core, segment)?
    };
    let is_oldest = core
        .log
        .segments()
        .first()
        .is_some_and(|first| first.number == segment.number);
    move_all(core, segment, survey, is_oldest)?;
    core.log.drop_segment(segment.number)
}

/// What a segment holds.
struct Survey {
    /// Bytes of all records but the segment's head.
    all: u64,
    /// Bytes of those that count.
    alive: u64,
    /// How far it was read.
    until: u64,
    /// Something that counts does not check out, so that the segment must stay.
    has_live_damage: bool,
    /// Something that no longer counts does not check out.
    has_dead_damage: bool,
    /// Live records, and those that may undo what an older segment says.
    records: Vec<(u32, Header)>,
}

/// What a record belongs to.
#[derive(Clone, Copy)]
enum Row {
    Content(u32),
    Entry(u32),
    Hold(u32),
    Block(u32),
}

/// The rows whose records lie in a segment, by offset.
fn rows_in(core: &Core, segment: u32) -> Result<FxHashMap<u32, Row>> {
    let index = core.index.read();
    let mut rows = FxHashMap::default();
    index.visit_entries(|row, entry| {
        if entry.place.segment == segment && entry.standing != Standing::Gone {
            rows.insert(entry.place.offset, Row::Entry(row));
        }
        Ok(())
    })?;
    index.visit_contents(|row, content| {
        if content.place.segment == segment {
            rows.insert(content.place.offset, Row::Content(row));
        }
        Ok(())
    })?;
    let holds = index
        .holds
        .iter()
        .filter(|(_, held)| held.place.segment == segment)
        .map(|(row, held)| (held.place.offset, Row::Hold(*row)));
    rows.extend(holds);
    let blocks = index
        .chunks
        .live_blocks()
        .filter(|(_, block)| block.place.segment == segment)
        .map(|(row, block)| (block.place.offset, Row::Block(row)));
    rows.extend(blocks);
    Ok(rows)
}

fn survey(core: &Core, segment: &Segment) -> Result<Survey> {
    // Of what no sync has covered yet, the index does not say that it counts.
    let (last, end, _) = core.log.settled()?.position();
    let until = if last == segment.number {
        end
    } else {
        segment.length()?
    };
    let rows = rows_in(core, segment.number)?;
    let mut survey = Survey {
        all: 0,
        alive: 0,
        until,
        has_live_damage: false,
        has_dead_damage: false,
        records: Vec::new(),
    };
    segment.scan(0, Some(until), &mut |found| {
        match found {
            Found::DamagedHeader { .. } => survey.has_live_damage = true,
            Found::DamagedBody { header, offset } => {
                survey.all += header.record_bytes();
                let is_live = u32::try_from(offset).is_ok_and(|offset| rows.contains_key(&offset));
                let is_needed = is_live || header.kind.undoes();
                survey.has_live_damage |= is_needed;
                survey.has_dead_damage |= !is_needed;
            }
            Found::Record { header, .. } if header.kind == Kind::Segment => {}
            Found::Record { header, offset, .. } => {
                survey.all += header.record_bytes();
                let Ok(offset) = u32::try_from(offset) else {
                    return Ok(());
                };
                let is_live = rows.contains_key(&offset);
                survey.alive += match rows.get(&offset) {
                    None => 0,
                    Some(Row::Block(row)) => alive_of(core, *row, header.record_bytes()),
                    Some(_) => header.record_bytes(),
                };
                if is_live || header.kind.undoes() {
                    survey.records.push((offset, header));
                }
            }
        }
        Ok(())
    })?;
    Ok(survey)
}

/// The share of a block's record that its live chunks are.
fn alive_of(core: &Core, row: u32, bytes: u64) -> u64 {
    let block = core.index.read().chunks.blocks[row as usize];
    bytes * u64::from(block.alive) / u64::from(block.bytes.max(1))
}

/// A record on its way to the end of the log.
struct Moving {
    /// Where it was.
    offset: u32,
    header: Header,
    body: Vec<u8>,
    /// Of a block that was written anew: the chunks that it still holds.
    table: Option<Table>,
}

/// Copies what counts to the end of the log and waits until it is on the disk.
fn move_all(core: &Core, segment: &Segment, survey: Survey, is_oldest: bool) -> Result<()> {
    let rows = rows_in(core, segment.number)?;
    let mut batch = Vec::new();
    let mut size = 0;
    let mut last = None;
    let mut records = survey.records.into_iter().peekable();
    while let Some((offset, _)) = records.next() {
        if !is_oldest || rows.contains_key(&offset) {
            let Some((header, body)) = segment.record_at(u64::from(offset))? else {
                return Err(StoreError::Io {
                    doing: "cannot read back a record of",
                    path: segment.path.clone(),
                    source: std::io::ErrorKind::InvalidData.into(),
                });
            };
            let (header, body) = renewed(core.seal.as_ref(), header, body)?;
            let slimmer = match rows.get(&offset) {
                Some(Row::Block(row)) => slimmer(core, *row, &header, &body)?,
                _ => None,
            };
            let (header, body, table) = match slimmer {
                Some((header, body, table)) => (header, body, Some(table)),
                None => (header, body, None),
            };
            size += header.record_bytes();
            batch.push(Moving {
                offset,
                header,
                body,
                table,
            });
        }
        if size >= MOVE_BATCH || (records.peek().is_none() && !batch.is_empty()) {
            last = Some(move_batch(core, segment.number, &batch, &rows)?);
            batch.clear();
            size = 0;
        }
    }
    last.map_or(Ok(()), |number| core.log.commit(number))
}

/// Appends those records of a batch that still count, and notes where they are now.
fn move_batch(
    core: &Core,
    segment: u32,
    batch: &[Moving],
    rows: &FxHashMap<u32, Row>,
) -> Result<u64> {
    let mut tail = core.log.settled()?;
    let mut counts: Vec<&Moving> = Vec::with_capacity(batch.len());
    {
        let index = core.index.read();
        let is_here = |place: Place, offset: u32| place == Place { segment, offset };
        for moving in batch {
            let Moving { offset, header, .. } = moving;
            let is_alive = match rows.get(offset) {
                Some(Row::Entry(row)) => index.entry(*row)?.standing != Standing::Gone,
                Some(Row::Content(row)) => is_here(index.content_at(*row)?.place, *offset),
                Some(Row::Hold(row)) => {
                    let held = index.holds.get(row);
                    held.is_some_and(|held| is_here(held.place, *offset))
                }
                Some(Row::Block(row)) => is_here(index.chunks.blocks[*row as usize].place, *offset),
                None => header.kind.undoes(),
            };
            if is_alive {
                counts.push(moving);
            }
        }
    }
    let pending: Vec<Pending<'_>> = counts
        .iter()
        .map(|moving| Pending {
            header: moving.header,
            parts: vec![&moving.body],
            is_moved: moving.table.is_none(),
        })
        .collect();
    let (places, number) = core.log.append(&mut tail, &pending)?;
    let moved = counts.iter().zip(places);
    let moved: Vec<(Row, Place, Option<Table>)> = moved
        .filter_map(|(moving, place)| {
            let row = rows.get(&moving.offset)?;
            Some((*row, place, moving.table.clone()))
        })
        .collect();
    core.log.after_sync(&tail, move |index| {
        moved
            .into_iter()
            .try_for_each(|(row, place, table)| note_moved(index, row, place, table))
    });
    Ok(number)
}

/// Notes where a record is now.
fn note_moved(index: &mut Index, row: Row, place: Place, table: Option<Table>) -> Result<()> {
    match row {
        Row::Entry(row) => index.move_entry(row, place)?,
        Row::Content(row) => index.move_content(row, place)?,
        Row::Hold(row) => {
            if let Some(held) = index.holds.get_mut(&row) {
                held.place = place;
            }
        }
        Row::Block(row) => match table {
            Some(table) => _ = index.chunks.add_block(place, &table)?,
            None => index.chunks.blocks[row as usize].place = place,
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Put, Store};

    #[test]
    fn what_is_put_again_while_a_collection_runs_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            search: false,
            ..Options::default()
        };
        let store = Store::open(folder.path(), options).expect("opened");
        let put = |run: &str| {
            let meta = [("run".to_owned(), run.into())].into_iter().collect();
            let put = Put {
                name: "a".into(),
                kind: "text/plain".into(),
                meta,
            };
            store.put(b"wanted again", &put).expect("put")
        };
        let id = put("r1");
        let core = store.core();
        let doomed = doomed(&core, &[], now() + 1.0).expect("doomed");
        assert_eq!(doomed.len(), 1);
        put("r2");
        let collected = remove(&core, &doomed).expect("removed");
        assert_eq!(collected.removed, 0);
        assert_eq!(store.get(&id).expect("kept"), b"wanted again");
    }
}
