//! What the store knows without reading the log: contents, entries and the chains between them.
//!
//! Rows are numbered and refer to each other by number, strings are kept once. The first rows are those of
//! the checkpoint and stay in its file; in memory is what came since, and what has changed. Everything
//! here follows from the log, in the order of the records' sequences; what needs metadata reads the
//! entry's record. What fails is a read of the checkpoint.

use crate::base::Base;
use crate::chunk_index::ChunkIndex;
use crate::error::{Result, StoreError};
use crate::log::Place;
use crate::rows::{Content, Entry, Held, LOST, NONE, NewEntry, Standing};
use crate::types::{ArtifactId, Filter};
use crate::words::Words;
use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// The rows and the tables that find them.
#[derive(Default)]
pub(crate) struct Index {
    /// The checkpoint that the first rows lie in.
    pub(crate) base: Option<Arc<Base>>,
    /// Rows since.
    pub(crate) contents: Vec<Content>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) words: Words,
    by_id: HashTable<u32>,
    /// Rows of the checkpoint that are other ones now.
    changed_contents: FxHashMap<u32, Content>,
    changed_entries: FxHashMap<u32, Entry>,
    gone_contents: FxHashSet<u32>,
    /// The newest entry of each name that has one since the checkpoint.
    newest_of_name: FxHashMap<u32, u32>,
    live_entries: usize,
    bytes: u64,
    /// Contents whose stored bytes were found damaged; putting them again repairs them.
    damaged: FxHashSet<u32>,
    /// Contents whose bytes are kept elsewhere; their place is that of the note that says so.
    pub(crate) remote: FxHashSet<u32>,
    /// Contents that must not be removed.
    pub(crate) holds: FxHashMap<u32, Held>,
    /// The chunks of large contents.
    pub(crate) chunks: ChunkIndex,
}

fn hash_of(id: &ArtifactId) -> u64 {
    // The digest is uniform already.
    crate::base::content_key(id)
}

/// An entry of the chain of a name or content.
pub(crate) type Link = fn(&Entry) -> u32;
pub(crate) const OF_CONTENT: Link = |entry| entry.older_of_content;
pub(crate) const OF_NAME: Link = |entry| entry.older_of_name;

impl Index {
    /// Of a checkpoint as it is.
    pub(crate) fn of(base: Base) -> Self {
        let base = Arc::new(base);
        Self {
            live_entries: base.layout.entries.rows as usize,
            bytes: base.layout.bytes,
            words: Words::of(Some(Arc::clone(&base))),
            base: Some(base),
            ..Self::default()
        }
    }

    /// The index as it is now, but for the chunks, to be read while this one changes.
    pub(crate) fn snapshot(&self) -> Self {
        Self {
            base: self.base.clone(),
            contents: self.contents.clone(),
            entries: self.entries.clone(),
            words: self.words.clone(),
            by_id: self.by_id.clone(),
            changed_contents: self.changed_contents.clone(),
            changed_entries: self.changed_entries.clone(),
            gone_contents: self.gone_contents.clone(),
            newest_of_name: self.newest_of_name.clone(),
            live_entries: self.live_entries,
            bytes: self.bytes,
            damaged: FxHashSet::default(),
            remote: self.remote.clone(),
            holds: self.holds.clone(),
            chunks: ChunkIndex::default(),
        }
    }

    fn base_contents(&self) -> u32 {
        self.base
            .as_ref()
            .map_or(0, |base| base.layout.contents.rows)
    }

    fn base_entries(&self) -> u32 {
        self.base
            .as_ref()
            .map_or(0, |base| base.layout.entries.rows)
    }

    /// Rows of contents, with those that are gone.
    pub(crate) fn content_rows(&self) -> u32 {
        self.base_contents() + self.contents.len() as u32
    }

    /// Rows of entries, with those that are gone.
    pub(crate) fn entry_rows(&self) -> u32 {
        self.base_entries() + self.entries.len() as u32
    }

    /// The row of a content.
    pub(crate) fn content_row(&self, id: &ArtifactId) -> Result<Option<u32>> {
        let first = self.base_contents();
        let is_it = |row: &u32| self.contents[(*row - first) as usize].id == *id;
        if let Some(row) = self.by_id.find(hash_of(id), is_it) {
            return Ok(Some(*row));
        }
        let found = match &self.base {
            Some(base) => base.content_row(id)?,
            None => None,
        };
        Ok(found.filter(|row| !self.gone_contents.contains(row)))
    }

    /// The content of a row.
    pub(crate) fn content_at(&self, row: u32) -> Result<Content> {
        match (&self.base, row.checked_sub(self.base_contents())) {
            (_, Some(since)) => self
                .contents
                .get(since as usize)
                .copied()
                .ok_or_else(|| no_row("content", row)),
            (Some(base), None) => match self.changed_contents.get(&row) {
                Some(content) => Ok(*content),
                None => base.content(row),
            },
            (None, None) => Err(no_row("content", row)),
        }
    }

    fn set_content(&mut self, row: u32, content: Content) {
        match row.checked_sub(self.base_contents()) {
            Some(since) => self.contents[since as usize] = content,
            None => _ = self.changed_contents.insert(row, content),
        }
    }

    /// The entry of a row.
    pub(crate) fn entry(&self, row: u32) -> Result<Entry> {
        match (&self.base, row.checked_sub(self.base_entries())) {
            (_, Some(since)) => self
                .entries
                .get(since as usize)
                .copied()
                .ok_or_else(|| no_row("entry", row)),
            (Some(base), None) => match self.changed_entries.get(&row) {
                Some(entry) => Ok(*entry),
                None => base.entry(row),
            },
            (None, None) => Err(no_row("entry", row)),
        }
    }

    fn set_entry(&mut self, row: u32, entry: Entry) {
        match row.checked_sub(self.base_entries()) {
            Some(since) => self.entries[since as usize] = entry,
            None => _ = self.changed_entries.insert(row, entry),
        }
    }

    fn set_standing(&mut self, row: u32, mut entry: Entry, standing: Standing) {
        let was = std::mem::replace(&mut entry.standing, standing);
        if was != Standing::Gone && standing == Standing::Gone {
            self.live_entries -= 1;
        }
        self.set_entry(row, entry);
    }

    /// Says where an entry's record is now.
    pub(crate) fn move_entry(&mut self, row: u32, place: Place) -> Result<()> {
        let mut entry = self.entry(row)?;
        entry.place = place;
        self.set_entry(row, entry);
        Ok(())
    }

    /// Says where a content's record is now.
    pub(crate) fn move_content(&mut self, row: u32, place: Place) -> Result<()> {
        let mut content = self.content_at(row)?;
        content.place = place;
        self.set_content(row, content);
        Ok(())
    }

    /// A content.
    pub(crate) fn content(&self, id: &ArtifactId) -> Result<Option<Content>> {
        let row = self.content_row(id)?;
        row.map(|row| self.content_at(row)).transpose()
    }

    /// The newest entry of a content, with its row.
    pub(crate) fn newest(&self, id: &ArtifactId) -> Result<Option<(u32, Entry)>> {
        match self.content(id)? {
            Some(content) => self.live_from(content.newest, OF_CONTENT),
            None => Ok(None),
        }
    }

    /// Whether the content is stored and nothing is known against it.
    pub(crate) fn has_sound(&self, id: &ArtifactId) -> Result<bool> {
        let Some(row) = self.content_row(id)? else {
            return Ok(false);
        };
        Ok(self.is_sound_at(row, &self.content_at(row)?))
    }

    /// The same of a content that was found.
    pub(crate) fn is_sound_at(&self, row: u32, content: &Content) -> bool {
        !self.damaged.contains(&row) && !self.remote.contains(&row) && content.place != LOST
    }

    /// Whether the bytes of a content are kept elsewhere.
    pub(crate) fn is_remote(&self, id: &ArtifactId) -> Result<bool> {
        let row = self.content_row(id)?;
        Ok(row.is_some_and(|row| self.remote.contains(&row)))
    }

    /// Notes that the bytes of a content are kept elsewhere; `place` is that of the note.
    pub(crate) fn mark_remote(&mut self, id: ArtifactId, bytes: u64, place: Place) -> Result<()> {
        let row = self.add_content(id, bytes, place)?;
        self.remote.insert(row);
        Ok(())
    }

    /// Why a content is held.
    pub(crate) fn hold(&self, id: &ArtifactId) -> Result<Option<&str>> {
        let held = match self.content_row(id)? {
            Some(row) => self.holds.get(&row),
            None => None,
        };
        Ok(held.map(|held| &*held.reason))
    }

    /// Holds a content, or lifts its hold.
    pub(crate) fn set_hold(
        &mut self,
        id: &ArtifactId,
        reason: Option<&str>,
        place: Place,
    ) -> Result<()> {
        let Some(row) = self.content_row(id)? else {
            return Ok(());
        };
        match reason {
            Some(reason) => {
                let reason = reason.into();
                self.holds.insert(row, Held { place, reason });
            }
            None => {
                self.holds.remove(&row);
            }
        }
        Ok(())
    }

    /// Notes that the stored bytes of a content do not check out.
    pub(crate) fn mark_damaged(&mut self, id: &ArtifactId) -> Result<()> {
        if let Some(row) = self.content_row(id)? {
            self.damaged.insert(row);
        }
        Ok(())
    }

    /// Takes over what was found damaged, from an index of the same contents.
    pub(crate) fn take_damage(&mut self, other: &Self) -> Result<()> {
        for row in &other.damaged {
            let id = other.content_at(*row)?.id;
            // It may have been removed since, and put again.
            if other.content_row(&id)? == Some(*row) {
                self.mark_damaged(&id)?;
            }
        }
        self.chunks.take_damage(&other.chunks);
        Ok(())
    }

    /// The entry of a content whose record is at `place`.
    pub(crate) fn entry_at(&self, id: &ArtifactId, place: Place) -> Result<Option<Entry>> {
        let mut next = self.newest(id)?;
        while let Some((_, entry)) = next {
            if entry.place == place {
                return Ok(Some(entry));
            }
            next = self.live_from(entry.older_of_content, OF_CONTENT)?;
        }
        Ok(None)
    }

    /// Adds a content, or says where it is now.
    pub(crate) fn add_content(&mut self, id: ArtifactId, bytes: u64, place: Place) -> Result<u32> {
        if let Some(row) = self.content_row(&id)? {
            let mut content = self.content_at(row)?;
            self.damaged.remove(&row);
            self.remote.remove(&row);
            self.bytes = self.bytes - content.bytes + bytes;
            content.place = place;
            content.bytes = bytes;
            self.set_content(row, content);
            return Ok(row);
        }
        let first = self.base_contents();
        let row = self.content_rows();
        self.contents.push(Content {
            id,
            place,
            bytes,
            newest: NONE,
        });
        self.bytes += bytes;
        let contents = &self.contents;
        self.by_id.insert_unique(hash_of(&id), row, |row| {
            hash_of(&contents[(*row - first) as usize].id)
        });
        Ok(row)
    }

    /// The newest row of a name, with those that are gone, or [`NONE`].
    pub(crate) fn newest_of_word(&self, word: u32) -> Result<u32> {
        match (self.newest_of_name.get(&word), &self.base) {
            (Some(row), _) => Ok(*row),
            (None, Some(base)) if word < base.layout.words.rows => base.newest_of_name(word),
            _ => Ok(NONE),
        }
    }

    /// The newest entry of a name.
    pub(crate) fn newest_of_name(&self, word: u32) -> Result<Option<(u32, Entry)>> {
        self.live_from(self.newest_of_word(word)?, OF_NAME)
    }

    /// The version that an entry of this name and content gets: counted from those that are there, so that it is
    /// the same whether those that are gone are still in memory or not.
    pub(crate) fn next_version(&self, name: &str, id: &ArtifactId) -> Result<u32> {
        let newest = match self.words.find(name)? {
            Some(word) => self.newest_of_name(word)?,
            None => None,
        };
        let Some((_, entry)) = newest else {
            return Ok(1);
        };
        let is_same = self.content_at(entry.content)?.id == *id;
        Ok(entry.version + u32::from(!is_same))
    }

    /// Adds an entry; those that it repeats step back.
    pub(crate) fn add_entry(&mut self, new: &NewEntry<'_>) -> Result<u32> {
        let content_row = match self.content_row(&new.id)? {
            Some(row) => row,
            None => self.add_content(new.id, new.bytes, LOST)?,
        };
        let name = self.words.intern(new.name)?;
        let kind = self.words.intern(new.kind)?;
        let run = self.words.intern(new.run)?;
        let row = self.entry_rows();
        let older_of_name = self.newest_of_word(name)?;
        let mut content = self.content_at(content_row)?;
        if let Some((repeated, before)) = self.live_from(older_of_name, OF_NAME)?
            && before.version == new.version
        {
            let standing = match before.run == run {
                true => Standing::Gone,
                false => Standing::Repeated,
            };
            self.set_standing(repeated, before, standing);
        }
        let older_of_content = std::mem::replace(&mut content.newest, row);
        self.set_content(content_row, content);
        self.newest_of_name.insert(name, row);
        self.entries.push(Entry {
            content: content_row,
            name,
            kind,
            run,
            version: new.version,
            quality: new.quality,
            created: new.created,
            place: new.place,
            older_of_content,
            older_of_name,
            standing: Standing::Current,
        });
        self.live_entries += 1;
        Ok(row)
    }

    /// Removes a content with all its entries. Their rows stay until the next checkpoint is read.
    pub(crate) fn remove(&mut self, id: &ArtifactId) -> Result<Option<Content>> {
        let Some(row) = self.content_row(id)? else {
            return Ok(None);
        };
        let content = self.content_at(row)?;
        let mut chain = Vec::new();
        let mut at = content.newest;
        while at != NONE {
            let entry = self.entry(at)?;
            chain.push((at, entry));
            at = entry.older_of_content;
        }
        for (row, entry) in chain {
            self.set_standing(row, entry, Standing::Gone);
        }
        let first = self.base_contents();
        if row < first {
            self.gone_contents.insert(row);
        } else {
            let is_it = |row: &u32| self.contents[(*row - first) as usize].id == *id;
            if let Ok(found) = self.by_id.find_entry(hash_of(id), is_it) {
                found.remove();
            }
        }
        self.set_content(
            row,
            Content {
                place: LOST,
                ..content
            },
        );
        self.bytes -= content.bytes;
        self.remote.remove(&row);
        self.holds.remove(&row);
        Ok(Some(content))
    }

    /// The number of contents that are there.
    pub(crate) fn content_count(&self) -> usize {
        self.base_contents() as usize - self.gone_contents.len() + self.by_id.len()
    }

    /// The number of entries that are not gone.
    pub(crate) fn live_entries(&self) -> usize {
        self.live_entries
    }

    /// Plain bytes of the contents that are there.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Visits the contents that are there, with their rows: those of the checkpoint by digest, then the others.
    pub(crate) fn visit_contents(
        &self,
        mut visit: impl FnMut(u32, &Content) -> Result<()>,
    ) -> Result<()> {
        if let Some(base) = &self.base {
            base.visit_contents(|row, content| {
                if self.gone_contents.contains(&row) {
                    return Ok(());
                }
                visit(row, self.changed_contents.get(&row).unwrap_or(&content))
            })?;
        }
        let first = self.base_contents();
        for row in &self.by_id {
            visit(*row, &self.contents[(*row - first) as usize])?;
        }
        Ok(())
    }

    /// Visits all entries with their rows, in the order of their sequences, with those that are gone.
    pub(crate) fn visit_entries(
        &self,
        mut visit: impl FnMut(u32, &Entry) -> Result<()>,
    ) -> Result<()> {
        if let Some(base) = &self.base {
            base.visit_entries(|row, entry| {
                visit(row, self.changed_entries.get(&row).unwrap_or(&entry))
            })?;
        }
        for (row, entry) in (self.base_entries()..).zip(&self.entries) {
            visit(row, entry)?;
        }
        Ok(())
    }

    /// The first entry from row `at` on along a chain that is not gone.
    pub(crate) fn live_from(&self, mut at: u32, older: Link) -> Result<Option<(u32, Entry)>> {
        while at != NONE {
            let entry = self.entry(at)?;
            if entry.standing != Standing::Gone {
                return Ok(Some((at, entry)));
            }
            at = older(&entry);
        }
        Ok(None)
    }

    /// The entries of a name that are not gone, newest first.
    pub(crate) fn chain_of_name(&self, name: &str) -> Result<Vec<(u32, Entry)>> {
        let mut chain = Vec::new();
        let Some(word) = self.words.find(name)? else {
            return Ok(chain);
        };
        let mut next = self.newest_of_name(word)?;
        while let Some((row, entry)) = next {
            chain.push((row, entry));
            next = self.live_from(entry.older_of_name, OF_NAME)?;
        }
        Ok(chain)
    }

    /// The entries that `filter` lets through, newest first; no more are read than have to be.
    pub(crate) fn select(
        &self,
        limit: usize,
        offset: usize,
        filter: &Filter,
    ) -> Result<Vec<(u32, Entry)>> {
        let find = |text: &Option<String>| text.as_ref().map(|text| self.words.find(text));
        let (kind, run, name) = (find(&filter.kind), find(&filter.run), find(&filter.name));
        let (kind, run, name) = (kind.transpose()?, run.transpose()?, name.transpose()?);
        let fits = |wanted: Option<Option<u32>>, is: u32| wanted.is_none_or(|one| one == Some(is));
        if [kind, run, name].contains(&Some(None)) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut skipped = 0;
        let mut at = match name.flatten() {
            Some(word) => self.newest_of_word(word)?,
            None => self.entry_rows().checked_sub(1).unwrap_or(NONE),
        };
        while at != NONE && found.len() < limit {
            let row = at;
            let entry = self.entry(row)?;
            at = match name {
                Some(_) => entry.older_of_name,
                None => row.checked_sub(1).unwrap_or(NONE),
            };
            let is_listed = match entry.standing {
                Standing::Current => true,
                Standing::Repeated => run.is_some(),
                Standing::Gone => false,
            };
            if !is_listed || !fits(kind, entry.kind) || !fits(run, entry.run) {
                continue;
            }
            if skipped < offset {
                skipped += 1;
            } else {
                found.push((row, entry));
            }
        }
        Ok(found)
    }
}

/// The numbers of rows are the index's own; only a checkpoint that lies leads here.
fn no_row(what: &str, row: u32) -> StoreError {
    StoreError::Io {
        doing: "cannot use",
        path: "index/checkpoint".into(),
        source: std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("it has no {what} {row}"),
        ),
    }
}
