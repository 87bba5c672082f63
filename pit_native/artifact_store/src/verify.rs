//! Reads every stored byte and says what does not check out.

use crate::body::{
    EvictionBody, HoldBody, prefix_bytes, read_entry, read_message, read_prefix, read_tagged, room,
};
use crate::chunks::read_block;
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::index::LOST;
use crate::log::Place;
use crate::record::{CHUNKED, Header, Kind};
use crate::segment::{End, Found, Segment};
use crate::types::{ArtifactId, Finding};
use rustc_hash::{FxHashMap, FxHashSet};

/// All findings, in the order of the log, then those of the index. Contents found damaged are marked,
/// so that putting them again stores them anew.
pub(crate) fn verify(core: &Core) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for segment in core.log.segments() {
        let last = {
            let tail = core.log.tail.lock();
            tail.position()
        };
        let until = (segment.number == last.0).then_some(last.1);
        let owners = owners_in(core, segment.number);
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
    missing(core, &damaged, &mut findings);
    for id in findings
        .iter()
        .filter(|one| one.code != "damaged_metadata")
        .filter_map(|one| one.id.as_ref())
    {
        if let Ok(id) = id.parse::<ArtifactId>() {
            core.index.write().mark_damaged(&id);
        }
    }
    Ok(findings)
}

/// Which artifact each record of a segment belongs to, by offset.
fn owners_in(core: &Core, segment: u32) -> FxHashMap<u32, ArtifactId> {
    let index = core.index.read();
    let contents = index
        .live_contents()
        .map(|(_, content)| (content.place, content.id));
    let entries = index
        .entries
        .iter()
        .map(|entry| (entry.place, index.contents[entry.content as usize].id));
    let holds = index
        .holds
        .iter()
        .map(|(row, held)| (held.place, index.contents[*row as usize].id));
    contents
        .chain(entries)
        .chain(holds)
        .filter(|(place, _)| place.segment == segment)
        .map(|(place, id)| (place.offset, id))
        .collect()
}

/// Contents that have entries and no record, or whose segment is gone.
fn missing(core: &Core, damaged: &FxHashSet<String>, findings: &mut Vec<Finding>) {
    let index = core.index.read();
    for (_, content) in index.live_contents() {
        let id = content.id.to_string();
        if damaged.contains(&id) {
            continue;
        }
        let is_lost = content.place == LOST;
        if !is_lost && core.segment(content.place.segment).is_some() {
            continue;
        }
        let name = index
            .newest(&content.id)
            .map_or("", |entry| index.words.text(entry.name));
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
    }
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
            Ok(_) | Err(StoreError::NotFound(_) | StoreError::Remote(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
