//! The checkpoint as it is read: rows in a file of blocks, found without loading them.
//!
//! ```text
//! contents: sorted by digest | words: sorted by hash | their texts | entries: in the order of sequences
//!     | chunks: sorted by key | their sieve
//! footer (sealed in an encrypted store): reach, sections, fences, marks, blocks of chunks
//! trailer: length of the footer 8 | CRC-32 of footer and length 4 | magic 8
//! ```
//!
//! A fence is the first key of a block: with eight bytes a block in memory any row is one read away.

use crate::blocks::{BLOCK, Blocks, ROOM, Section, rows_in_block};
use crate::chunk_rows::CHUNK;
use crate::error::Result;
use crate::log::Place;
use crate::rows::{Content, Entry, NONE, Standing};
use crate::seal::Seal;
use crate::types::ArtifactId;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Ends each checkpoint.
pub(crate) const MAGIC: &[u8; 8] = b"SyIndex\x05";
/// Bytes of the trailer.
pub(crate) const TRAILER: usize = 20;
/// Bytes of the rows.
pub(crate) const CONTENT: usize = 52;
pub(crate) const WORD: usize = 24;
pub(crate) const ENTRY: usize = 49;

/// Up to where of which store a checkpoint reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) store: u64,
    pub(crate) segment: u32,
    pub(crate) end: u64,
    pub(crate) next_sequence: u64,
}

/// What the footer says of the blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) generation: u64,
    pub(crate) reach: Reach,
    pub(crate) blocks: u32,
    pub(crate) contents: Section,
    pub(crate) words: Section,
    /// The first block of the texts, and their bytes.
    pub(crate) texts: (u32, u64),
    pub(crate) entries: Section,
    pub(crate) chunks: Section,
    /// The first block of the sieve of the chunks, and its bytes.
    pub(crate) sieve: (u32, u64),
    /// Plain bytes of all contents.
    pub(crate) bytes: u64,
    pub(crate) content_fences: Vec<u64>,
    pub(crate) word_fences: Vec<u64>,
    pub(crate) chunk_fences: Vec<u64>,
}

impl Layout {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Reach {
            store,
            segment,
            end,
            next_sequence,
        } = self.reach;
        for number in [self.generation, store, end, next_sequence, self.bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.texts.1, self.sieve.1] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [segment, self.blocks, self.texts.0, self.sieve.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for section in [self.contents, self.words, self.entries, self.chunks] {
            out.extend_from_slice(&section.first.to_le_bytes());
            out.extend_from_slice(&section.rows.to_le_bytes());
        }
        for fences in [&self.content_fences, &self.word_fences, &self.chunk_fences] {
            out.extend_from_slice(&(fences.len() as u64).to_le_bytes());
            for fence in fences {
                out.extend_from_slice(&fence.to_le_bytes());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let [generation, store, end, next_sequence, bytes] = reader.u64s()?;
        let [text_bytes, sieve_bytes] = reader.u64s()?;
        let [segment, blocks, text_block, sieve_block] = reader.u32s()?;
        let mut sections = [Section::default(); 4];
        for section in &mut sections {
            let [first, rows] = reader.u32s()?;
            *section = Section { first, rows };
        }
        let [contents, words, entries, chunks] = sections;
        let mut fences = [Vec::new(), Vec::new(), Vec::new()];
        for fences in &mut fences {
            let count = reader.count(8)?;
            *fences = (0..count).map(|_| reader.u64()).collect::<Option<_>>()?;
        }
        let [content_fences, word_fences, chunk_fences] = fences;
        let layout = Self {
            generation,
            reach: Reach {
                store,
                segment,
                end,
                next_sequence,
            },
            blocks,
            contents,
            words,
            texts: (text_block, text_bytes),
            entries,
            chunks,
            sieve: (sieve_block, sieve_bytes),
            bytes,
            content_fences,
            word_fences,
            chunk_fences,
        };
        layout.is_sound().then_some(layout)
    }

    /// Whether the sections follow each other, and each block of a sorted one has its fence.
    fn is_sound(&self) -> bool {
        let blocks = |rows: u32, size: usize| rows.div_ceil(rows_in_block(size)) as usize;
        let stream_end = |(first, bytes): (u32, u64)| {
            let blocks = u32::try_from(bytes.div_ceil(ROOM as u64)).ok()?;
            first.checked_add(blocks)
        };
        self.contents.first == 0
            && self.contents.end(CONTENT) == Some(self.words.first)
            && self.words.end(WORD) == Some(self.texts.0)
            && stream_end(self.texts) == Some(self.entries.first)
            && self.entries.end(ENTRY) == Some(self.chunks.first)
            && self.chunks.end(CHUNK) == Some(self.sieve.0)
            && stream_end(self.sieve) == Some(self.blocks)
            && self.content_fences.len() == blocks(self.contents.rows, CONTENT)
            && self.word_fences.len() == blocks(self.words.rows, WORD)
            && self.chunk_fences.len() == blocks(self.chunks.rows, CHUNK)
    }
}

/// A checkpoint that is looked things up in.
pub(crate) struct Base {
    pub(crate) blocks: Blocks,
    pub(crate) layout: Layout,
}

/// The key by which contents are sorted; more than one may have the same.
pub(crate) fn content_key(id: &ArtifactId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.0[..8]);
    u64::from_be_bytes(bytes)
}

/// The key by which words are sorted.
pub(crate) fn word_key(text: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// A word's row.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    pub(crate) key: u64,
    pub(crate) at: u64,
    pub(crate) length: u32,
    /// The newest entry of this name.
    pub(crate) newest: u32,
}

impl Word {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = self.key.to_le_bytes().to_vec();
        row.extend_from_slice(&self.at.to_le_bytes());
        row.extend_from_slice(&self.length.to_le_bytes());
        row.extend_from_slice(&self.newest.to_le_bytes());
        row
    }

    fn decode(row: &[u8; WORD]) -> Option<Self> {
        let mut reader = Reader(row);
        let [key, at] = reader.u64s()?;
        let [length, newest] = reader.u32s()?;
        Some(Self {
            key,
            at,
            length,
            newest,
        })
    }
}

pub(crate) fn encode_content(content: &Content) -> Vec<u8> {
    let mut row = content.id.0.to_vec();
    row.extend_from_slice(&content.place.segment.to_le_bytes());
    row.extend_from_slice(&content.place.offset.to_le_bytes());
    row.extend_from_slice(&content.bytes.to_le_bytes());
    row.extend_from_slice(&content.newest.to_le_bytes());
    row
}

pub(crate) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let mut row = Vec::with_capacity(ENTRY);
    for number in [
        entry.content,
        entry.name,
        entry.kind,
        entry.run,
        entry.version,
        entry.quality.to_bits(),
        entry.older_of_content,
        entry.older_of_name,
        entry.place.segment,
        entry.place.offset,
    ] {
        row.extend_from_slice(&number.to_le_bytes());
    }
    row.extend_from_slice(&entry.created.to_le_bytes());
    row.push(entry.standing as u8);
    row
}

impl Base {
    /// The checkpoint in `path` with what else its footer says; nothing when there is none that can be
    /// used: each block of it is read once.
    pub(crate) fn open(path: &Path, seal: Option<&Seal>) -> Option<(Self, Vec<u8>)> {
        let (base, marks) = Self::open_unchecked(path, seal)?;
        base.blocks.check().ok()?;
        Some((base, marks))
    }

    fn open_unchecked(path: &Path, seal: Option<&Seal>) -> Option<(Self, Vec<u8>)> {
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut trailer = [0; TRAILER];
        let behind = length.checked_sub(TRAILER as u64)?;
        file.read_exact_at(&mut trailer, behind).ok()?;
        let mut reader = Reader(&trailer);
        let footer_length = reader.u64()?;
        let crc = reader.u32()?;
        let blocks_end = behind.checked_sub(footer_length)?;
        if &trailer[12..] != MAGIC || !blocks_end.is_multiple_of(BLOCK as u64) {
            return None;
        }
        let mut footer = vec![0; usize::try_from(footer_length).ok()?];
        file.read_exact_at(&mut footer, blocks_end).ok()?;
        let mut is = crc32fast::Hasher::new();
        is.update(&footer);
        is.update(&trailer[..8]);
        if is.finalize() != crc {
            return None;
        }
        let seal = seal.map(Seal::frozen);
        let plain = match &seal {
            Some(seal) => seal.open(&footer, MAGIC)?,
            None => footer,
        };
        let mut reader = Reader(&plain);
        let layout = Layout::decode(&mut reader)?;
        if u64::from(layout.blocks) * BLOCK as u64 != blocks_end {
            return None;
        }
        let marks = reader.0.to_vec();
        let blocks = Blocks::new(file, path, layout.generation, layout.blocks, seal);
        Some((Self { blocks, layout }, marks))
    }

    /// Reads all of it once more.
    pub(crate) fn check(&self) -> Result<()> {
        self.blocks.check()
    }

    /// Runs `look` on the rows of a sorted section whose key is `key`, until it finds something.
    pub(crate) fn find<const N: usize, T>(
        &self,
        (section, fences): (Section, &[u64]),
        key: u64,
        key_of: impl Fn(&[u8; N]) -> u64,
        mut look: impl FnMut(u32, &[u8; N]) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        // Rows of one key may begin in the block before the first fence that is as large.
        let first = fences.partition_point(|fence| *fence < key);
        let per_block = rows_in_block(N);
        let fences = fences.iter().enumerate().skip(first.saturating_sub(1));
        for (block, _) in fences.take_while(|(_, fence)| **fence <= key) {
            let before = block as u32 * per_block;
            let count = (section.rows - before).min(per_block) as usize;
            let candidates = self.blocks.with(section.first + block as u32, |payload| {
                let rows = &payload.as_chunks::<N>().0[..count];
                let from = rows.partition_point(|row| key_of(row) < key);
                let same = rows[from..].iter().take_while(|row| key_of(row) == key);
                (from, same.copied().collect::<Vec<_>>())
            })?;
            for (at, row) in candidates.1.iter().enumerate() {
                let number = before + (candidates.0 + at) as u32;
                if let Some(found) = look(number, row)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The row of a content.
    pub(crate) fn content_row(&self, id: &ArtifactId) -> Result<Option<u32>> {
        let sorted = (self.layout.contents, self.layout.content_fences.as_slice());
        let key_of = |row: &[u8; CONTENT]| {
            let mut key = [0; 8];
            key.copy_from_slice(&row[..8]);
            u64::from_be_bytes(key)
        };
        self.find(sorted, content_key(id), key_of, |number, row| {
            Ok((row[..32] == id.0).then_some(number))
        })
    }

    /// The row of a text.
    pub(crate) fn word_row(&self, text: &str) -> Result<Option<u32>> {
        let sorted = (self.layout.words, self.layout.word_fences.as_slice());
        let key_of = |row: &[u8; WORD]| {
            let mut key = [0; 8];
            key.copy_from_slice(&row[..8]);
            u64::from_le_bytes(key)
        };
        self.find(sorted, word_key(text), key_of, |number, row| {
            let word = self.decoded(Word::decode(row))?;
            let is_same = word.length as usize == text.len() && self.text_of(&word)? == text;
            Ok(is_same.then_some(number))
        })
    }

    pub(crate) fn decoded<T>(&self, row: Option<T>) -> Result<T> {
        row.ok_or_else(|| self.blocks.damaged("a row makes no sense"))
    }

    fn decode_content(&self, row: &[u8; CONTENT]) -> Option<Content> {
        let mut reader = Reader(row);
        let content = Content {
            id: ArtifactId(reader.bytes()?),
            place: reader.place()?,
            bytes: reader.u64()?,
            newest: reader.u32()?,
        };
        self.is_entry(content.newest).then_some(content)
    }

    fn is_entry(&self, row: u32) -> bool {
        row == NONE || row < self.layout.entries.rows
    }

    fn decode_entry(&self, number: u32, row: &[u8; ENTRY]) -> Option<Entry> {
        let mut reader = Reader(row);
        let [content, name, kind, run, version, quality] = reader.u32s()?;
        let [older_of_content, older_of_name] = reader.u32s()?;
        let entry = Entry {
            content,
            name,
            kind,
            run,
            version,
            quality: f32::from_bits(quality),
            older_of_content,
            older_of_name,
            place: reader.place()?,
            created: f64::from_le_bytes(reader.bytes()?),
            standing: Standing::from_byte(reader.bytes::<1>()?[0])?,
        };
        // A chain that does not go back would never end.
        let is_older = |older: u32| older == NONE || older < number;
        let is_sound = is_older(older_of_content)
            && is_older(older_of_name)
            && content < self.layout.contents.rows
            && name.max(kind).max(run) < self.layout.words.rows;
        is_sound.then_some(entry)
    }

    pub(crate) fn content(&self, row: u32) -> Result<Content> {
        let bytes = self.blocks.row(self.layout.contents, row)?;
        self.decoded(self.decode_content(&bytes))
    }

    pub(crate) fn entry(&self, row: u32) -> Result<Entry> {
        let bytes = self.blocks.row(self.layout.entries, row)?;
        self.decoded(self.decode_entry(row, &bytes))
    }

    fn word(&self, row: u32) -> Result<Word> {
        let bytes = self.blocks.row(self.layout.words, row)?;
        self.decoded(Word::decode(&bytes).filter(|word| self.is_entry(word.newest)))
    }

    pub(crate) fn text(&self, row: u32) -> Result<String> {
        self.text_of(&self.word(row)?)
    }

    fn text_of(&self, word: &Word) -> Result<String> {
        let (first, all) = self.layout.texts;
        let end = word.at.checked_add(u64::from(word.length));
        self.decoded(end.filter(|end| *end <= all))?;
        let bytes = self.blocks.stream(first, word.at, word.length as usize)?;
        self.decoded(String::from_utf8(bytes).ok())
    }

    /// The newest entry of a name, or [`NONE`].
    pub(crate) fn newest_of_name(&self, row: u32) -> Result<u32> {
        Ok(self.word(row)?.newest)
    }

    /// Visits all contents in the order of their digests.
    pub(crate) fn visit_contents(
        &self,
        mut visit: impl FnMut(u32, Content) -> Result<()>,
    ) -> Result<()> {
        self.blocks.visit_rows(self.layout.contents, |row, bytes| {
            visit(row, self.decoded(self.decode_content(bytes))?)
        })
    }

    /// Visits all entries in the order of their sequences.
    pub(crate) fn visit_entries(
        &self,
        mut visit: impl FnMut(u32, Entry) -> Result<()>,
    ) -> Result<()> {
        self.blocks.visit_rows(self.layout.entries, |row, bytes| {
            visit(row, self.decoded(self.decode_entry(row, bytes))?)
        })
    }

    /// Visits all words in the order of their hashes.
    pub(crate) fn visit_words(&self, mut visit: impl FnMut(u32, Word) -> Result<()>) -> Result<()> {
        self.blocks.visit_rows(self.layout.words, |row, bytes| {
            visit(row, self.decoded(Word::decode(bytes))?)
        })
    }
}

/// Reads little-endian numbers off the front of a slice.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u32s<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.u32()?;
        }
        Some(numbers)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn u64s<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.u64()?;
        }
        Some(numbers)
    }

    pub(crate) fn place(&mut self) -> Option<Place> {
        Some(Place {
            segment: self.u32()?,
            offset: self.u32()?,
        })
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// A number of rows of `size` bytes that are really there.
    pub(crate) fn count(&mut self, size: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count.checked_mul(size)? <= self.0.len()).then_some(count)
    }
}
