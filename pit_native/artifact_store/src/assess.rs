//! A quality that is known only after the put: of a scorer that takes longer, or is not written in Rust.

use crate::body::tagged_body;
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::log::Pending;
use crate::quality::Quality;
use crate::record::{Header, Kind};
use crate::rows::NewEntry;
use crate::store::Store;
use crate::types::ArtifactId;

impl Store {
    /// Gives the newest entry of a content another quality, durably; all else of it stays. False when a
    /// later content has taken its name: then nobody asks any more.
    pub fn set_quality(&self, id: &ArtifactId, quality: &Quality) -> Result<bool> {
        self.using().open()?.core.set_quality(id, quality)
    }
}

impl Core {
    fn set_quality(&self, id: &ArtifactId, quality: &Quality) -> Result<bool> {
        if !(0.0..=1.0).contains(&quality.score) {
            return Err(StoreError::BadInput(format!(
                "a quality is between 0 and 1, not {}",
                quality.score
            )));
        }
        loop {
            let (newest, record) = {
                let index = self.index.read();
                let newest = index
                    .newest(id)?
                    .ok_or_else(|| StoreError::NotFound(id.to_string()))?;
                (newest, self.record_of(&index, &newest.1)?)
            };
            let (_, entry) = newest;
            // Read with the log's end free; if the entry has moved or is another by then, once more.
            let body = self.read_entry(&record)?;
            let mut tail = self.log.settled()?;
            {
                let index = self.index.read();
                if index.newest(id)? != Some(newest) {
                    continue;
                }
                if index.newest_of_name(entry.name)? != Some(newest) {
                    return Ok(false);
                }
            }
            let Some((_, mut body)) = body else {
                return Err(StoreError::Damaged {
                    id: *id,
                    detail: "the record of its metadata does not check out".into(),
                });
            };
            body.quality = quality.score;
            body.reasons.clone_from(&quality.reasons);
            let (flags, bytes) = tagged_body(id, Some(&body), self.seal.as_ref())?;
            let batch = [Pending {
                header: Header::of(Kind::Entry, flags, &[&bytes]),
                parts: vec![&bytes],
                is_moved: false,
            }];
            let (places, number) = self.log.append(&mut tail, &batch)?;
            let (id, place) = (*id, places[0]);
            self.log.after_sync(&tail, move |index| {
                index.add_entry(&NewEntry {
                    id,
                    name: &body.name,
                    kind: &body.kind,
                    run: body.meta_text("run"),
                    bytes: body.bytes,
                    version: body.version,
                    quality: body.quality,
                    created: body.created,
                    place,
                })?;
                Ok(())
            });
            drop(tail);
            self.note_records(1);
            self.log.commit(number)?;
            return Ok(true);
        }
    }
}
