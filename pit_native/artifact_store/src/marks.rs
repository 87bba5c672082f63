//! What is noted about a content beside its bytes: that they are kept elsewhere, and that it is held.
//!
//! An evicted content keeps its entries, versions and words; its place in the log becomes that of the
//! note. Putting or restoring the content makes it local again. A held content cannot be removed by
//! anybody until the hold is lifted.

use crate::body::{EvictionBody, HoldBody, read_message, tagged_body};
use crate::core::{Core, Prepared, now};
use crate::error::{Result, StoreError};
use crate::log::Pending;
use crate::record::{Header, Kind};
use crate::text::{INDEXED, text_of};
use crate::types::{ArtifactId, Whereabouts};

/// Bytes of a text that the note of its eviction keeps, so that it can be searched when the search
/// index has to be built anew.
const EXCERPT: usize = 4096;

impl Core {
    /// Drops the bytes of a content and keeps its entries. False when they are elsewhere already.
    ///
    /// The caller has made sure that somebody else has the bytes. They are read once more: what is
    /// damaged here is not declared to be elsewhere.
    pub(crate) fn evict(&self, id: &ArtifactId, tier: &str) -> Result<bool> {
        let bytes = match self.check(id) {
            Ok(bytes) => bytes,
            Err(StoreError::Remote { tier: noted, .. }) if noted == tier => return Ok(false),
            Err(StoreError::Remote { .. }) => return self.move_on(id, tier).map(|()| false),
            Err(error) => return Err(error),
        };
        let note = EvictionBody {
            bytes,
            excerpt: excerpt(&self.head(id, INDEXED)?).to_owned(),
            tier: tier.to_owned(),
        };
        let (flags, body) = tagged_body(id, Some(&note), self.seal.as_ref())?;
        let header = Header::of(Kind::Eviction, flags, &[&body]);
        let mut tail = self.log.settled()?;
        if !self.index.read().has_sound(id)? {
            // Somebody was quicker.
            return Ok(false);
        }
        let batch = [Pending {
            header,
            parts: vec![&body],
            is_moved: false,
        }];
        let (places, _) = self.log.append(&mut tail, &batch)?;
        let (id, place) = (*id, places[0]);
        self.log
            .after_sync(&tail, move |index| index.mark_remote(id, note.bytes, place));
        // With the log's end held: a put that came now would count on the bytes that are going.
        self.log.sync_tail(&mut tail)?;
        self.note_records(1);
        Ok(true)
    }

    /// Notes that the bytes of an evicted content are in another tier now.
    fn move_on(&self, id: &ArtifactId, tier: &str) -> Result<()> {
        let Some(note) = self.note_of(id)? else {
            // Somebody has brought it back, or its note is damaged: the bytes are still where they are.
            return Ok(());
        };
        let tier = tier.to_owned();
        let note = EvictionBody { tier, ..note };
        let (flags, body) = tagged_body(id, Some(&note), self.seal.as_ref())?;
        let header = Header::of(Kind::Eviction, flags, &[&body]);
        let mut tail = self.log.settled()?;
        if !self.index.read().is_remote(id)? {
            return Ok(());
        }
        let batch = [Pending {
            header,
            parts: vec![&body],
            is_moved: false,
        }];
        let (places, number) = self.log.append(&mut tail, &batch)?;
        let (id, place) = (*id, places[0]);
        self.log.after_sync(&tail, move |index| {
            match index.is_remote(&id)? {
                true => index.mark_remote(id, note.bytes, place),
                // It came back, or went for good, in between.
                false => Ok(()),
            }
        });
        drop(tail);
        self.note_records(1);
        self.log.commit(number)
    }

    /// See [`crate::Store::whereabouts`].
    pub(crate) fn whereabouts(&self, id: &ArtifactId) -> Result<Whereabouts> {
        let index = self.index.read();
        if index.content_row(id)?.is_none() {
            return Ok(Whereabouts::Unknown);
        }
        if index.has_sound(id)? {
            return Ok(Whereabouts::Here);
        }
        if !index.is_remote(id)? {
            return Ok(Whereabouts::Damaged);
        }
        drop(index);
        Ok(Whereabouts::Remote {
            tier: self.tier_of(id)?,
        })
    }

    /// The tier that an evicted content's note names; empty when nobody said, or the note is damaged.
    pub(crate) fn tier_of(&self, id: &ArtifactId) -> Result<String> {
        Ok(self.note_of(id)?.map(|note| note.tier).unwrap_or_default())
    }

    /// Puts the bytes of a known content back, whether they were evicted, damaged or lost. False when
    /// they are here.
    pub(crate) fn restore(&self, id: &ArtifactId, content: &[u8]) -> Result<bool> {
        if ArtifactId::of(content) != *id {
            return Err(other_digest(id));
        }
        let prepared = self.prepare(id, content)?;
        self.restore_prepared(id, content.len() as u64, &prepared)
    }

    /// The same with a record whose digest was checked.
    pub(crate) fn restore_prepared(
        &self,
        id: &ArtifactId,
        bytes: u64,
        prepared: &Prepared<'_>,
    ) -> Result<bool> {
        let mut tail = self.log.settled()?;
        {
            let index = self.index.read();
            if index.content_row(id)?.is_none() {
                return Err(StoreError::NotFound(id.to_string()));
            }
            if index.has_sound(id)? {
                return Ok(false);
            }
        }
        let batch = [prepared.pending()];
        let (places, number) = self.log.append(&mut tail, &batch)?;
        let (id, place) = (*id, places[0]);
        self.log.after_sync(&tail, move |index| {
            index.add_content(id, bytes, place).map(|_| ())
        });
        drop(tail);
        self.note_records(1);
        self.log.commit(number)?;
        Ok(true)
    }

    /// Holds a content (a reason is given) or lifts its hold. False when nothing changes.
    pub(crate) fn set_hold(&self, id: &ArtifactId, reason: Option<&str>) -> Result<bool> {
        let note = HoldBody {
            reason: reason.map(str::to_owned),
            at: now(),
        };
        let (flags, body) = tagged_body(id, Some(&note), self.seal.as_ref())?;
        let header = Header::of(Kind::Hold, flags, &[&body]);
        let mut tail = self.log.settled()?;
        {
            let index = self.index.read();
            if index.content_row(id)?.is_none() {
                return Err(StoreError::NotFound(id.to_string()));
            }
            if index.hold(id)? == reason {
                return Ok(false);
            }
        }
        let batch = [Pending {
            header,
            parts: vec![&body],
            is_moved: false,
        }];
        let (places, number) = self.log.append(&mut tail, &batch)?;
        let (id, reason, place) = (*id, note.reason, places[0]);
        self.log.after_sync(&tail, move |index| {
            index.set_hold(&id, reason.as_deref(), place)
        });
        drop(tail);
        self.note_records(1);
        self.log.commit(number)?;
        Ok(true)
    }

    /// The text by which a content is found, `limit` bytes at most: its own, or what the note of its eviction
    /// keeps.
    pub(crate) fn searchable(&self, id: &ArtifactId, limit: usize) -> Result<Vec<u8>> {
        match self.head(id, limit) {
            Err(StoreError::Remote { .. }) => {
                let note = self.note_of(id)?;
                Ok(note
                    .map(|note| note.excerpt.into_bytes())
                    .unwrap_or_default())
            }
            other => other,
        }
    }

    /// The note of an evicted content; nothing when it is here, gone, or the note does not check out.
    fn note_of(&self, id: &ArtifactId) -> Result<Option<EvictionBody>> {
        for _ in 0..2 {
            let place = self.index.read().content(id)?.map(|content| content.place);
            let Some(place) = place else {
                return Ok(None);
            };
            let Some(segment) = self.log.segment(place.segment) else {
                // Compaction moved it in this moment.
                continue;
            };
            let record = segment.record_at(u64::from(place.offset))?;
            return Ok(record
                .filter(|(header, _)| header.kind == Kind::Eviction)
                .and_then(|(header, body)| read_message(body, header.flags, self.seal.as_ref()))
                .map(|(_, note)| note));
        }
        Ok(None)
    }
}

/// The error for bytes that were given as another content.
pub(crate) fn other_digest(id: &ArtifactId) -> StoreError {
    StoreError::BadInput(format!("what was given as {id} has another SHA-256"))
}

/// The beginning of a text, cut between two characters.
fn excerpt(content: &[u8]) -> &str {
    let text = text_of(content);
    &text[..text.floor_char_boundary(EXCERPT)]
}
