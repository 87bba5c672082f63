//! Writes the index as a file that the next opening looks things up in, see [`crate::base`].
//!
//! It stands under `index/` and is only ever a shortcut: when it is lost, torn, of another store or
//! ahead of the log, the log is read instead. Rows that are gone are left out, and with them their words.

use crate::base::{
    Base, CONTENT, ENTRY, Layout, MAGIC, Reach, Reader, WORD, Word, encode_content, encode_entry,
    word_key,
};
use crate::blocks::{BlockWriter, Section};
use crate::chunk_index::{Block, ChunkIndex, ChunkSnapshot, Spot};
use crate::chunk_rows::{CHUNK, chunk_fence, encode_chunk};
use crate::error::{Result, StoreError};
use crate::index::{Index, OF_CONTENT, OF_NAME};
use crate::log::{Place, sync_folder, write_error};
use crate::rows::{Content, Entry, Held, NONE, Standing};
use crate::seal::{Seal, random};
use crate::sieve::Sieve;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a checkpoint is made of: the index at one moment.
pub(crate) struct Snapshot {
    index: Index,
    chunks: ChunkSnapshot,
    reach: Reach,
}

impl Snapshot {
    pub(crate) fn of(index: &Index, reach: Reach) -> Self {
        Self {
            index: index.snapshot(),
            chunks: index.chunks.snapshot(),
            reach,
        }
    }

    /// Writes a checkpoint beside the old one, syncs it and puts it in its place.
    /// [`StoreError::Closed`] once `stop` is set.
    pub(crate) fn write(&self, path: &Path, seal: Option<&Seal>, stop: &AtomicBool) -> Result<()> {
        let beside = path.with_extension("new");
        let failed = |source| write_error(path.to_path_buf(), path, source);
        let write = || -> Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let file = options.open(&beside).map_err(failed)?;
            self.write_to(&file, seal, stop)?;
            rustix::fs::fdatasync(&file).map_err(|error| failed(error.into()))?;
            std::fs::rename(&beside, path).map_err(failed)?;
            path.parent().map_or(Ok(()), sync_folder)
        };
        write().map_err(|error| {
            // Half a file is of no use, and space may be short.
            let _ = std::fs::remove_file(&beside);
            match error {
                StoreError::Full { source, .. } | StoreError::Io { source, .. } => failed(source),
                other => other,
            }
        })
    }

    fn write_to(&self, file: &File, seal: Option<&Seal>, stop: &AtomicBool) -> Result<()> {
        // The keys may be changed while this is written.
        let seal = seal.map(Seal::frozen);
        let generation = u64::from_le_bytes(random()?);
        let mut writer = Writer {
            index: &self.index,
            chunks: &self.chunks,
            stop,
            out: BlockWriter::new(file, generation, seal.as_ref()),
            layout: Layout {
                generation,
                reach: self.reach,
                bytes: self.index.bytes(),
                ..Layout::default()
            },
            gone: Vec::new(),
            contents: vec![NONE; self.index.content_rows() as usize],
            words: vec![NONE; self.index.words.rows() as usize],
        };
        writer.survey()?;
        writer.write_contents()?;
        writer.write_words()?;
        writer.write_entries()?;
        writer.write_chunks()?;
        let Writer {
            out,
            layout,
            contents,
            ..
        } = writer;
        let mut footer = Vec::new();
        layout.encode(&mut footer);
        encode_marks(&self.index, &contents, &mut footer);
        encode_blocks(&self.chunks, &mut footer);
        if let Some(seal) = &seal {
            footer = seal.seal(&footer, MAGIC)?;
        }
        let length = (footer.len() as u64).to_le_bytes();
        let mut crc = crc32fast::Hasher::new();
        crc.update(&footer);
        crc.update(&length);
        out.finish(&[&footer, &length, &crc.finalize().to_le_bytes(), MAGIC])
    }
}

/// Writes section after section. Old rows are told from new ones by these tables, so that nothing but
/// them grows with the store.
struct Writer<'a> {
    index: &'a Index,
    chunks: &'a ChunkSnapshot,
    stop: &'a AtomicBool,
    out: BlockWriter<'a>,
    layout: Layout,
    /// Rows of entries that are left out, in their order.
    gone: Vec<u32>,
    /// New rows by old ones; [`NONE`] for what is left out.
    contents: Vec<u32>,
    words: Vec<u32>,
}

impl Writer<'_> {
    fn go_on(&self) -> Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(StoreError::Closed),
            false => Ok(()),
        }
    }

    /// Finds out what is left out.
    fn survey(&mut self) -> Result<()> {
        let Self {
            index, gone, words, ..
        } = self;
        index.visit_entries(|row, entry| {
            if entry.standing == Standing::Gone {
                gone.push(row);
                return Ok(());
            }
            for word in [entry.name, entry.kind, entry.run] {
                // Any number for now: it is used.
                words[word as usize] = 0;
            }
            Ok(())
        })
    }

    /// The new row of an entry that stays.
    fn moved(&self, row: u32) -> u32 {
        row - self.gone.partition_point(|gone| *gone < row) as u32
    }

    /// The new row of the first entry from `row` on along a chain that stays.
    fn moved_link(&self, row: u32, older: fn(&Entry) -> u32) -> Result<u32> {
        if row == NONE {
            return Ok(NONE);
        }
        if self.gone.binary_search(&row).is_err() {
            return Ok(self.moved(row));
        }
        let live = self.index.live_from(row, older)?;
        Ok(live.map_or(NONE, |(row, _)| self.moved(row)))
    }

    fn write_contents(&mut self) -> Result<()> {
        let index = self.index;
        let first = index
            .base
            .as_ref()
            .map_or(0, |base| base.layout.contents.rows);
        let mut since: Vec<(u32, Content)> = Vec::with_capacity(index.contents.len());
        // Those of the checkpoint come first and sorted, so the others are merged in between them.
        let mut ordered: Vec<u32> = Vec::new();
        index.visit_contents(|row, content| {
            if row < first {
                ordered.push(row);
            } else {
                since.push((row, *content));
            }
            Ok(())
        })?;
        since.sort_unstable_by_key(|(_, content)| content.id);
        let mut since = since.into_iter().peekable();
        for row in ordered {
            let content = index.content_at(row)?;
            while let Some((row, other)) = since.next_if(|(_, other)| other.id < content.id) {
                self.write_content(row, other)?;
            }
            self.write_content(row, content)?;
        }
        for (row, content) in since {
            self.write_content(row, content)?;
        }
        self.out.end_block()
    }

    fn write_content(&mut self, row: u32, mut content: Content) -> Result<()> {
        self.go_on()?;
        content.newest = self.moved_link(content.newest, OF_CONTENT)?;
        let number = self.layout.contents.rows;
        if number.is_multiple_of(crate::blocks::rows_in_block(CONTENT)) {
            let fence = crate::base::content_key(&content.id);
            self.layout.content_fences.push(fence);
        }
        self.contents[row as usize] = number;
        self.layout.contents.rows += 1;
        self.out.row(&encode_content(&content))
    }

    /// The words that are used, sorted by their keys.
    fn used_words(&self) -> Result<Vec<(u64, u32)>> {
        let is_used = |row: u32| self.words[row as usize] != NONE;
        let mut used = Vec::new();
        if let Some(base) = &self.index.base {
            base.visit_words(|row, word| {
                if is_used(row) {
                    used.push((word.key, row));
                }
                Ok(())
            })?;
        }
        let since = self.index.words.since();
        let since = since.filter(|(row, _)| is_used(*row));
        used.extend(since.map(|(row, text)| (word_key(text), row)));
        used.sort_unstable();
        Ok(used)
    }

    fn write_words(&mut self) -> Result<()> {
        let used = self.used_words()?;
        self.layout.words = self.section(used.len());
        let mut at = 0;
        for (number, (key, row)) in used.iter().enumerate() {
            self.go_on()?;
            if (number as u32).is_multiple_of(crate::blocks::rows_in_block(WORD)) {
                self.layout.word_fences.push(*key);
            }
            let length = self.index.words.text(*row)?.len() as u32;
            let newest = self.index.newest_of_word(*row)?;
            let word = Word {
                key: *key,
                at,
                length,
                newest: self.moved_link(newest, OF_NAME)?,
            };
            self.out.row(&word.encode())?;
            self.words[*row as usize] = number as u32;
            at += u64::from(length);
        }
        self.out.end_block()?;
        self.layout.texts = (self.out.position().0, at);
        for (_, row) in &used {
            let text = self.index.words.text(*row)?;
            self.out.stream(text.as_bytes())?;
        }
        self.out.end_block()
    }

    fn write_entries(&mut self) -> Result<()> {
        let index = self.index;
        self.layout.entries = self.section(index.live_entries());
        index.visit_entries(|_, entry| {
            self.go_on()?;
            if entry.standing == Standing::Gone {
                return Ok(());
            }
            let moved = Entry {
                content: self.contents[entry.content as usize],
                name: self.words[entry.name as usize],
                kind: self.words[entry.kind as usize],
                run: self.words[entry.run as usize],
                older_of_content: self.moved_link(entry.older_of_content, OF_CONTENT)?,
                older_of_name: self.moved_link(entry.older_of_name, OF_NAME)?,
                ..*entry
            };
            self.out.row(&encode_entry(&moved))
        })?;
        self.out.end_block()?;
        debug_assert_eq!(self.layout.entries.end(ENTRY), Some(self.out.position().0));
        Ok(())
    }

    fn write_chunks(&mut self) -> Result<()> {
        let chunks = self.chunks;
        self.layout.chunks = self.section(chunks.len());
        // Blocks that nothing is looked for in are left out.
        let mut numbers = vec![NONE; chunks.blocks.len()];
        for (number, (row, _)) in chunks.live_blocks().enumerate() {
            numbers[row as usize] = number as u32;
        }
        let mut sieve = Sieve::of(chunks.len() as u64);
        let mut row = 0u32;
        chunks.visit_sorted(|key, spot| {
            self.go_on()?;
            if row.is_multiple_of(crate::blocks::rows_in_block(CHUNK)) {
                self.layout.chunk_fences.push(chunk_fence(&key));
            }
            row += 1;
            sieve.add(&key);
            let block = numbers[spot.block as usize];
            self.out.row(&encode_chunk(&key, Spot { block, ..spot }))
        })?;
        self.out.end_block()?;
        debug_assert_eq!(self.layout.chunks.rows, row);
        let mut bytes = 0;
        self.layout.sieve.0 = self.out.position().0;
        for word in sieve.bytes() {
            bytes += word.len() as u64;
            self.out.stream(&word)?;
        }
        self.layout.sieve.1 = bytes;
        self.out.end_block()?;
        self.layout.blocks = self.out.position().0;
        Ok(())
    }

    fn section(&self, rows: usize) -> Section {
        Section {
            first: self.out.position().0,
            rows: rows as u32,
        }
    }
}

/// Which contents are elsewhere, and which are held.
fn encode_marks(index: &Index, rows: &[u32], out: &mut Vec<u8>) {
    let moved = |row: &u32| rows[*row as usize];
    let mut remote: Vec<u32> = index.remote.iter().map(moved).collect();
    remote.sort_unstable();
    out.extend_from_slice(&(remote.len() as u64).to_le_bytes());
    for row in remote {
        out.extend_from_slice(&row.to_le_bytes());
    }
    let holds = index.holds.iter().map(|(row, held)| (moved(row), held));
    let mut holds: Vec<(u32, &Held)> = holds.collect();
    holds.sort_unstable_by_key(|(row, _)| *row);
    out.extend_from_slice(&(holds.len() as u64).to_le_bytes());
    for (row, held) in holds {
        for number in [row, held.place.segment, held.place.offset] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(held.reason.len() as u32).to_le_bytes());
        out.extend_from_slice(held.reason.as_bytes());
    }
}

/// The index in `path`, with how far it reaches; nothing when it cannot be used.
pub(crate) fn read(path: &Path, store: u64, seal: Option<&Seal>) -> Option<(Index, Reach)> {
    let (base, marks) = Base::open(path, seal)?;
    let reach = base.layout.reach;
    if reach.store != store {
        return None;
    }
    let mut index = Index::of(base);
    let mut reader = Reader(&marks);
    decode_marks(&mut reader, &mut index)?;
    let blocks = decode_blocks(&mut reader)?;
    index.chunks = ChunkIndex::of(Arc::clone(index.base.as_ref()?), blocks).ok()?;
    reader.0.is_empty().then_some((index, reach))
}

fn decode_marks(reader: &mut Reader<'_>, index: &mut Index) -> Option<()> {
    let contents = index.content_rows();
    let known = |row: u32| (row < contents).then_some(row);
    for _ in 0..reader.count(4)? {
        index.remote.insert(known(reader.u32()?)?);
    }
    for _ in 0..reader.count(16)? {
        let row = known(reader.u32()?)?;
        let place = reader.place()?;
        let reason = reader.text()?.into();
        index.holds.insert(row, Held { place, reason });
    }
    Some(())
}

/// The blocks that chunks lie in.
fn encode_blocks(chunks: &ChunkSnapshot, out: &mut Vec<u8>) {
    out.extend_from_slice(&(chunks.live_blocks().count() as u64).to_le_bytes());
    for (_, block) in chunks.live_blocks() {
        let Place { segment, offset } = block.place;
        for number in [segment, offset, block.bytes, block.alive] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn decode_blocks(reader: &mut Reader<'_>) -> Option<Vec<Block>> {
    let count = reader.count(16)?;
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        blocks.push(Block {
            place: reader.place()?,
            bytes: reader.u32()?,
            alive: reader.u32()?,
            is_damaged: false,
        });
    }
    Some(blocks)
}

#[cfg(test)]
#[path = "checkpoint/tests.rs"]
mod tests;
