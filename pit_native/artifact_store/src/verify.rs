//! Reads every stored byte and says what does not check out.

use crate::base::Base;
use crate::body::{
    EvictionBody, HoldBody, prefix_bytes, read_entry, read_message, read_prefix, read_tagged, room,
};
use crate::chunks::read_block;
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::index::OF_CONTENT;
use crate::log::Place;
use crate::record::{CHUNKED, Header, Kind};
use crate::rows::LOST;
use crate::segment::{End, Found, Segment};
use crate::types::{ArtifactId, Finding};
use rustc_hash::{FxHashMap, FxHashSet};
use std::io::ErrorKind;

/// All findings, in the order of the log, then those of the index. Contents found damaged are marked,
/// so that putting them again stores them anew.
pub(crate) fn verify(core: &Core) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    // Without the index it is not known what belongs to whom, but all bytes of the log can still be checked.
    let base = core.index.read().base.clone();
    let is_index_sound = match base.map_or(Ok(()), |base| base.check()) {
        Ok(()) => true,
        Err(StoreError::Io { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            false
        }
        Err(error) => return Err(error),
    };
    for segment in core.log.segments() {
        let last = {
            let tail = core.log.tail.lock();
            tail.position()
        };
        let until = (segment.number == last.0).then_some(last.1);
        let owners = match is_index_sound {
            true => owners_in(core, segment.number)?,
            false => FxHashMap::default(),
        };
        let mut report = Report {
            core,
            segment: &segment,
            owners,
            findings: &mut findings,
        };
        let scanned = segment.scan(0, until, &mut |found| report.look(found))?;
        if scanned.end == End::Torn {
            report.add(
                "damaged_header",
                scanned.good_until,
                None,
                "the segment ends in the middle of a record; its end is lost".into(),
            );
        }
    }
    let damaged: FxHashSet<String> = findings.iter().filter_map(|one| one.id.clone()).collect();
    if is_index_sound {
        missing(core, &damaged, &mut findings)?;
    }
    findings.extend(checkpoint_finding(core, is_index_sound)?);
    for id in findings
        .iter()
        .filter(|one| one.code != "damaged_metadata")
        .filter_map(|one| one.id.as_ref())
    {
        if is_index_sound && let Ok(id) = id.parse::<ArtifactId>() {
            core.index.write().mark_damaged(&id)?;
        }
    }
    Ok(findings)
}

/// What is wrong with the checkpoint: the one that this opening looks things up in, or the one that the
/// next opening would read.
fn checkpoint_finding(core: &Core, is_index_sound: bool) -> Result<Option<Finding>> {
    let path = core.checkpoint_path();
    // Nothing takes its place meanwhile.
    let _alone = core.checkpointing.lock();
    let is_there = path.try_exists().map_err(|source| StoreError::Io {
        doing: "cannot read",
        path: path.clone(),
        source,
    })?;
    if is_index_sound && (!is_there || Base::open(&path, core.seal.as_ref()).is_some()) {
        return Ok(None);
    }
    Ok(Some(Finding {
        code: "damaged_index",
        file: "index/checkpoint".into(),
        offset: 0,
        id: None,
        message: "the checkpoint of the index does not check out; the next opening builds it anew \
                  from the log, nothing is lost"
            .into(),
    }))
}

/// Which artifact each record of a segment belongs to, by offset.
fn owners_in(core: &Core, segment: u32) -> Result<FxHashMap<u32, ArtifactId>> {
    let index = core.index.read();
    let mut owners = FxHashMap::default();
    index.visit_contents(|_, content| {
        if content.place.segment == segment {
            owners.insert(content.place.offset, content.id);
        }
        Ok(())
    })?;
    index.visit_entries(|_, entry| {
        if entry.place.segment == segment {
            owners.insert(entry.place.offset, index.content_at(entry.content)?.id);
        }
        Ok(())
    })?;
    for (row, held) in &index.holds {
        if held.place.segment == segment {
            owners.insert(held.place.offset, index.content_at(*row)?.id);
        }
    }
    Ok(owners)
}

/// Contents that have entries and no record, or whose segment is gone.
fn missing(core: &Core, damaged: &FxHashSet<String>, findings: &mut Vec<Finding>) -> Result<()> {
    let index = core.index.read();
    let segments: FxHashSet<u32> = core.log.segments().iter().map(|one| one.number).collect();
    index.visit_contents(|_, content| {
        let is_lost = content.place == LOST;
        if !is_lost && segments.contains(&content.place.segment) {
            return Ok(());
        }
        let id = content.id.to_string();
        if damaged.contains(&id) {
            return Ok(());
        }
        let name = match index.live_from(content.newest, OF_CONTENT)? {
            Some((_, entry)) => index.words.text(entry.name)?,
            None => String::new(),
        };
        findings.push(Finding {
            code: if is_lost {
                "missing_content"
            } else {
                "missing_segment"
            },
            file: if is_lost {
                String::new()
            } else {
                file_of(content.place.segment)
            },
            offset: if is_lost {
                0
            } else {
                u64::from(content.place.offset)
            },
            message: format!("the content of {name:?} is lost; play its run again to make it anew"),
            id: Some(id),
        });
        Ok(())
    })
}

fn file_of(segment: u32) -> String {
    format!("segments/{}", Segment::file_name(segment))
}

struct Report<'a> {
    core: &'a Core,
    segment: &'a Segment,
    owners: FxHashMap<u32, ArtifactId>,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn add(&mut self, code: &'static str, offset: u64, id: Option<ArtifactId>, message: String) {
        let file = file_of(self.segment.number);
        self.findings.push(Finding {
            code,
            file,
            offset,
            id: id.map(|id| id.to_string()),
            message,
        });
    }

    fn owner(&self, offset: u64) -> Option<ArtifactId> {
        u32::try_from(offset)
            .ok()
            .and_then(|offset| self.owners.get(&offset).copied())
    }

    fn look(&mut self, found: Found<'_>) -> Result<()> {
        match found {
            Found::DamagedHeader { offset, length } => {
                let id = self.owner(offset);
                self.add(
                    "damaged_header",
                    offset,
                    id,
                    format!("{length} bytes are no record; what they held is lost"),
                );
            }
            Found::DamagedBody { header, offset } => {
                let id = self.owner(offset);
                let what = match header.kind {
                    Kind::Content => "a content",
                    Kind::Entry => "an artifact's metadata",
                    Kind::Removal => "a removal",
                    Kind::Segment => "the segment's head",
                    Kind::Eviction => "a content that is kept elsewhere",
                    Kind::Hold => "a hold",
                    Kind::Block => "chunks of contents",
                };
                let code = if header.kind == Kind::Entry {
                    "damaged_metadata"
                } else {
                    "damaged_record"
                };
                self.add(
                    code,
                    offset,
                    id,
                    format!("the record of {what} does not match its checksum"),
                );
            }
            Found::Record {
                header,
                offset,
                body,
            } => self.look_inside(&header, offset, body)?,
        }
        Ok(())
    }

    /// The checksum is right; is what it covers?
    fn look_inside(&mut self, header: &Header, offset: u64, body: &[u8]) -> Result<()> {
        let seal = self.core.seal.as_ref();
        let flags = header.flags;
        let is_sound = match header.kind {
            Kind::Segment => rmp_serde::from_slice::<crate::body::SegmentBody>(body).is_ok(),
            Kind::Entry => read_entry(body.to_vec(), flags, seal).is_some(),
            Kind::Removal => read_tagged(body.to_vec(), flags, seal).is_some(),
            Kind::Eviction => read_message::<EvictionBody>(body.to_vec(), flags, seal).is_some(),
            Kind::Hold => read_message::<HoldBody>(body.to_vec(), flags, seal).is_some(),
            Kind::Block => self.is_block(flags, body),
            Kind::Content => {
                let prefix = body
                    .get(..prefix_bytes(flags))
                    .and_then(|prefix| read_prefix(prefix, header, seal));
                match (prefix, u32::try_from(offset)) {
                    (Some((id, bytes)), Ok(offset)) => {
                        let place = Place {
                            segment: self.segment.number,
                            offset,
                        };
                        self.is_sound(flags, place, &id, bytes)?
                    }
                    _ => false,
                }
            }
        };
        if !is_sound {
            let id = self.owner(offset);
            self.add(
                "wrong_content",
                offset,
                id,
                "the record's checksum is right, what it holds is not".into(),
            );
        }
        Ok(())
    }

    /// Whether a block's chunks have the keys of its table.
    fn is_block(&self, flags: u8, body: &[u8]) -> bool {
        let Some((table, plain)) = read_block(body, flags, self.core.seal.as_ref()) else {
            return false;
        };
        let mut at = 0;
        table.iter().all(|(key, length)| {
            at += *length as usize;
            self.core.keyer.key(&plain[at - *length as usize..at]) == *key
        })
    }

    fn is_sound(&self, flags: u8, place: Place, id: &ArtifactId, bytes: u64) -> Result<bool> {
        if flags & CHUNKED == 0 {
            let Some(mut content) = usize::try_from(bytes).ok().and_then(room) else {
                return Ok(false);
            };
            let read = self
                .core
                .read_content(self.segment, place, id, &mut content)?;
            return Ok(read.is_ok());
        }
        if self.owner(u64::from(place.offset)).is_none() {
            // Nobody looks for it here, and its chunks may be gone.
            return Ok(self.core.keys_at(self.segment, place, id)?.is_ok());
        }
        match self.core.check(id) {
            Err(StoreError::Damaged { .. }) => Ok(false),
            // It was removed or dropped since.
            Ok(_) | Err(StoreError::NotFound(_) | StoreError::Remote { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
