//! All contents at a glance, from the index alone: a plan over a million of them must not read a million records.

use crate::error::Result;
use crate::index::Index;
use crate::rows::{NONE, Standing};
use crate::store::Store;
use crate::types::{ArtifactId, Outlined};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry as Slot;

impl Store {
    /// Every content that has a listed entry, in no order; `worth` says what an entry of a run (empty for none) and of a
    /// quality is worth.
    pub fn outline(&self, worth: impl FnMut(&str, f32) -> f64) -> Result<Vec<Outlined>> {
        self.using().open()?.core.index.read().outline(worth)
    }

    /// The ids behind `after` in their order, `limit` at most: for those that go through all, page by page.
    pub fn ids(&self, after: Option<&ArtifactId>, limit: usize) -> Result<Vec<ArtifactId>> {
        let mut ids = Vec::new();
        {
            let using = self.using();
            let index = using.open()?.core.index.read();
            index.visit_contents(|_, content| {
                if after.is_none_or(|after| content.id > *after) {
                    ids.push(content.id);
                }
                Ok(())
            })?;
        }
        if limit < ids.len() {
            ids.select_nth_unstable(limit);
            ids.truncate(limit);
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

impl Index {
    fn outline(&self, mut worth: impl FnMut(&str, f32) -> f64) -> Result<Vec<Outlined>> {
        let mut outlined = Vec::with_capacity(self.content_count());
        let mut places = vec![NONE; self.content_rows() as usize];
        self.visit_contents(|row, content| {
            places[row as usize] = outlined.len() as u32;
            outlined.push(Outlined {
                id: content.id,
                bytes: content.bytes,
                created: f64::NEG_INFINITY,
                worth: 0.0,
                is_local: self.is_sound_at(row, content),
                is_held: self.holds.contains_key(&row),
            });
            Ok(())
        })?;
        let mut runs: FxHashMap<u32, String> = FxHashMap::default();
        self.visit_entries(|_, entry| {
            let place = places[entry.content as usize];
            if entry.standing != Standing::Current || place == NONE {
                return Ok(());
            }
            let run = match runs.entry(entry.run) {
                Slot::Occupied(known) => known.into_mut(),
                Slot::Vacant(new) => new.insert(self.words.text(entry.run)?),
            };
            let one = &mut outlined[place as usize];
            one.created = one.created.max(entry.created);
            one.worth = one.worth.max(worth(run, entry.quality));
            Ok(())
        })?;
        outlined.retain(|one| one.created.is_finite());
        Ok(outlined)
    }
}
