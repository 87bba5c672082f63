//! What the store knows without reading the log: contents, entries and the chains between them.
//!
//! Rows are numbered and refer to each other by number, strings are kept once, so that a million
//! artifacts fit in a hundred megabytes or so. Everything here follows from the log, in the order of the records'
//! sequences; what needs metadata reads the entry's record.

use crate::chunk_index::ChunkIndex;
use crate::log::Place;
use crate::types::{ArtifactId, Filter};
use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::hash::BuildHasher;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;
/// The place of a content whose record is damaged or lost.
pub(crate) const LOST: Place = Place {
    segment: u32::MAX,
    offset: 0,
};

/// One distinct content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) id: ArtifactId,
    pub(crate) place: Place,
    pub(crate) bytes: u64,
    /// Its newest entry.
    pub(crate) newest: u32,
}

/// What an entry counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is listed.
    Current = 0,
    /// The same name and version was put again by another run: listed for its own run only.
    Repeated = 1,
    /// Removed, or put again by the same run.
    Gone = 2,
}

impl Standing {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Current, Self::Repeated, Self::Gone]
            .into_iter()
            .find(|one| *one as u8 == byte)
    }
}

/// One entry, in the order of sequences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) content: u32,
    pub(crate) name: u32,
    pub(crate) kind: u32,
    pub(crate) run: u32,
    pub(crate) version: u32,
    pub(crate) quality: f32,
    pub(crate) created: f64,
    pub(crate) place: Place,
    /// The entry before with the same content.
    pub(crate) older_of_content: u32,
    /// The entry before with the same name.
    pub(crate) older_of_name: u32,
    pub(crate) standing: Standing,
}

/// What is needed of an entry's record to add its row.
pub(crate) struct NewEntry<'a> {
    pub(crate) id: ArtifactId,
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) run: &'a str,
    pub(crate) bytes: u64,
    pub(crate) version: u32,
    pub(crate) quality: f32,
    pub(crate) created: f64,
    pub(crate) place: Place,
}

/// Strings, each kept once.
#[derive(Default)]
pub(crate) struct Words {
    pub(crate) texts: Vec<Box<str>>,
    table: HashTable<u32>,
}

impl Words {
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        let hash = FxBuildHasher.hash_one(text);
        self.table
            .find(hash, |row| &*self.texts[*row as usize] == text)
            .copied()
    }

    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        if let Some(row) = self.find(text) {
            return row;
        }
        let row = self.texts.len() as u32;
        self.texts.push(text.into());
        let texts = &self.texts;
        self.table
            .insert_unique(FxBuildHasher.hash_one(text), row, |row| {
                FxBuildHasher.hash_one(&*texts[*row as usize])
            });
        row
    }

    pub(crate) fn text(&self, row: u32) -> &str {
        &self.texts[row as usize]
    }
}

/// The rows and the tables that find them.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) contents: Vec<Content>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) words: Words,
    by_id: HashTable<u32>,
    /// The newest entry of each name.
    pub(crate) newest_of_name: FxHashMap<u32, u32>,
    /// Contents whose stored bytes were found damaged; putting them again repairs them.
    damaged: FxHashSet<u32>,
    /// Contents whose bytes are kept elsewhere; their place is that of the note that says so.
    pub(crate) remote: FxHashSet<u32>,
    /// Contents that must not be removed.
    pub(crate) holds: FxHashMap<u32, Held>,
    /// The chunks of large contents.
    pub(crate) chunks: ChunkIndex,
}

/// Why a content must not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) place: Place,
    pub(crate) reason: Box<str>,
}

fn hash_of(id: &ArtifactId) -> u64 {
    // The digest is uniform already.
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.0[..8]);
    u64::from_le_bytes(bytes)
}

impl Index {
    /// The row of a content.
    pub(crate) fn content_row(&self, id: &ArtifactId) -> Option<u32> {
        self.by_id
            .find(hash_of(id), |row| self.contents[*row as usize].id == *id)
            .copied()
    }

    /// A content.
    pub(crate) fn content(&self, id: &ArtifactId) -> Option<&Content> {
        self.content_row(id).map(|row| &self.contents[row as usize])
    }

    /// The newest entry of a content.
    pub(crate) fn newest(&self, id: &ArtifactId) -> Option<&Entry> {
        let content = self.content(id)?;
        self.chain_of_content(content.newest)
            .next()
            .map(|(_, entry)| entry)
    }

    /// Whether the content is stored and nothing is known against it.
    pub(crate) fn has_sound(&self, id: &ArtifactId) -> bool {
        let row = self.content_row(id);
        row.is_some_and(|row| {
            self.contents[row as usize].place != LOST
                && !self.damaged.contains(&row)
                && !self.remote.contains(&row)
        })
    }

    /// Whether the bytes of a content are kept elsewhere.
    pub(crate) fn is_remote(&self, id: &ArtifactId) -> bool {
        self.content_row(id)
            .is_some_and(|row| self.remote.contains(&row))
    }

    /// Notes that the bytes of a content are kept elsewhere; `place` is that of the note.
    pub(crate) fn mark_remote(&mut self, id: ArtifactId, bytes: u64, place: Place) {
        let row = self.add_content(id, bytes, place);
        self.remote.insert(row);
    }

    /// Why a content is held.
    pub(crate) fn hold(&self, id: &ArtifactId) -> Option<&str> {
        let row = self.content_row(id)?;
        self.holds.get(&row).map(|held| &*held.reason)
    }

    /// Holds a content, or lifts its hold.
    pub(crate) fn set_hold(&mut self, id: &ArtifactId, reason: Option<&str>, place: Place) {
        let Some(row) = self.content_row(id) else {
            return;
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
    }

    /// Notes that the stored bytes of a content do not check out.
    pub(crate) fn mark_damaged(&mut self, id: &ArtifactId) {
        if let Some(row) = self.content_row(id) {
            self.damaged.insert(row);
        }
    }

    /// Adds a content, or says where it is now.
    pub(crate) fn add_content(&mut self, id: ArtifactId, bytes: u64, place: Place) -> u32 {
        if let Some(row) = self.content_row(&id) {
            self.damaged.remove(&row);
            self.remote.remove(&row);
            let content = &mut self.contents[row as usize];
            content.place = place;
            content.bytes = bytes;
            return row;
        }
        self.push_content(Content {
            id,
            place,
            bytes,
            newest: NONE,
        })
    }

    /// Adds a row as it is, for the checkpoint.
    pub(crate) fn push_content(&mut self, content: Content) -> u32 {
        let row = self.contents.len() as u32;
        self.contents.push(content);
        let contents = &self.contents;
        self.by_id.insert_unique(hash_of(&content.id), row, |row| {
            hash_of(&contents[*row as usize].id)
        });
        row
    }

    /// The version that an entry of this name and content gets, and the entry before it.
    pub(crate) fn next_version(&self, name: &str, id: &ArtifactId) -> u32 {
        let newest = self
            .words
            .find(name)
            .and_then(|word| self.newest_of_name.get(&word));
        let Some(entry) = newest.map(|row| &self.entries[*row as usize]) else {
            return 1;
        };
        let is_same = self.contents[entry.content as usize].id == *id;
        if is_same && entry.standing != Standing::Gone {
            entry.version
        } else {
            entry.version + 1
        }
    }

    /// Adds an entry; those that it repeats step back.
    pub(crate) fn add_entry(&mut self, new: &NewEntry<'_>) -> u32 {
        let content = match self.content_row(&new.id) {
            Some(row) => row,
            None => self.add_content(new.id, new.bytes, LOST),
        };
        let name = self.words.intern(new.name);
        let kind = self.words.intern(new.kind);
        let run = self.words.intern(new.run);
        let row = self.entries.len() as u32;
        let older_of_name = self.newest_of_name.insert(name, row).unwrap_or(NONE);
        if let Some(before) = self.entries.get_mut(older_of_name as usize)
            && before.version == new.version
            && before.standing != Standing::Gone
        {
            before.standing = if before.run == run {
                Standing::Gone
            } else {
                Standing::Repeated
            };
        }
        let older_of_content = std::mem::replace(&mut self.contents[content as usize].newest, row);
        self.entries.push(Entry {
            content,
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
        row
    }

    /// Removes a content with all its entries. Their rows stay until the next checkpoint is read.
    pub(crate) fn remove(&mut self, id: &ArtifactId) -> Option<Content> {
        let found = self
            .by_id
            .find_entry(hash_of(id), |row| self.contents[*row as usize].id == *id);
        let (row, _) = found.ok()?.remove();
        let content = self.contents[row as usize];
        self.contents[row as usize].place = LOST;
        self.remote.remove(&row);
        self.holds.remove(&row);
        let mut at = content.newest;
        while let Some(entry) = self.entries.get_mut(at as usize) {
            entry.standing = Standing::Gone;
            at = entry.older_of_content;
        }
        Some(content)
    }

    /// The number of contents that are there.
    pub(crate) fn content_count(&self) -> usize {
        self.by_id.len()
    }

    /// The number of entries that are not gone.
    pub(crate) fn live_entries(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.standing != Standing::Gone)
            .count()
    }

    /// The contents that are there, with their rows.
    pub(crate) fn live_contents(&self) -> impl Iterator<Item = (u32, &Content)> {
        self.by_id
            .iter()
            .map(|row| (*row, &self.contents[*row as usize]))
    }

    /// Entries that are not gone, from `newest` to the oldest, over the chain of a content.
    pub(crate) fn chain_of_content(&self, newest: u32) -> impl Iterator<Item = (u32, &Entry)> {
        self.chain(newest, |entry| entry.older_of_content)
    }

    /// Entries that are not gone, from `newest` to the oldest, over the chain of a name.
    pub(crate) fn chain_of_name(&self, name: &str) -> impl Iterator<Item = (u32, &Entry)> {
        let word = self.words.find(name);
        let newest = word
            .and_then(|word| self.newest_of_name.get(&word))
            .copied()
            .unwrap_or(NONE);
        self.chain_from(newest)
    }

    /// Entries that are not gone, from the row `newest` to the oldest of the same name.
    pub(crate) fn chain_from(&self, newest: u32) -> impl Iterator<Item = (u32, &Entry)> {
        self.chain(newest, |entry| entry.older_of_name)
    }

    /// Makes place for so many contents at once.
    pub(crate) fn reserve(&mut self, contents: usize) {
        self.contents.reserve_exact(contents);
        self.by_id.reserve(contents, |_| 0);
    }

    fn chain(&self, newest: u32, older: fn(&Entry) -> u32) -> impl Iterator<Item = (u32, &Entry)> {
        let mut at = newest;
        std::iter::from_fn(move || {
            while let Some(entry) = self.entries.get(at as usize) {
                let row = std::mem::replace(&mut at, older(entry));
                if entry.standing != Standing::Gone {
                    return Some((row, entry));
                }
            }
            None
        })
    }

    /// The rows that `filter` lets through, newest first.
    pub(crate) fn select(&self, limit: usize, offset: usize, filter: &Filter) -> Vec<u32> {
        let word = |text: &Option<String>| text.as_ref().map(|text| self.words.find(text));
        let (kind, run, name) = (word(&filter.kind), word(&filter.run), word(&filter.name));
        let fits = |wanted: Option<Option<u32>>, is: u32| wanted.is_none_or(|one| one == Some(is));
        let rows = self.entries.iter().enumerate().rev();
        rows.filter(|(_, entry)| match entry.standing {
            Standing::Current => true,
            Standing::Repeated => run.is_some(),
            Standing::Gone => false,
        })
        .filter(|(_, entry)| {
            fits(kind, entry.kind) && fits(run, entry.run) && fits(name, entry.name)
        })
        .skip(offset)
        .take(limit)
        .map(|(row, _)| row as u32)
        .collect()
    }
}
