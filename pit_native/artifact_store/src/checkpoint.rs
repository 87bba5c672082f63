//! The index as a file, so that a large store opens without reading its log.
//!
//! It stands under `index/` and is only ever a shortcut: when it is lost, torn, of another store or
//! ahead of the log, the log is read instead. Rows that are gone are left out.

use crate::chunks::ChunkKey;
use crate::error::{Result, StoreError};
use crate::index::{Content, Entry, Held, Index, NONE, Standing};
use crate::log::Place;
use crate::seal::Seal;
use crate::types::ArtifactId;
use std::fs::File;
use std::io::Write;
use std::path::Path;

const MAGIC: &[u8; 8] = b"SyIndex\x03";
/// Bytes of one content and of one entry.
const CONTENT: usize = 32 + 4 * 3 + 8;
const ENTRY: usize = 4 * 10 + 8 + 1;

/// Up to where of which store the checkpoint reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) store: u64,
    pub(crate) segment: u32,
    pub(crate) end: u64,
    pub(crate) next_sequence: u64,
}

/// Writes what [`encode`] made beside the old checkpoint and puts it in its place.
pub(crate) fn write(path: &Path, plain: Vec<u8>, seal: Option<&Seal>) -> Result<()> {
    let body = match seal {
        Some(seal) => seal.seal(&plain, MAGIC)?,
        None => plain,
    };
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(MAGIC)?;
        file.write_all(&body)?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
        drop(file);
        std::fs::rename(&beside, path)
    };
    write().map_err(|source| {
        // Half a file is of no use, and space may be short.
        let _ = std::fs::remove_file(&beside);
        StoreError::Io {
            doing: "cannot write",
            path: path.to_path_buf(),
            source,
        }
    })
}

/// The index in `path`, or nothing when it cannot be used.
pub(crate) fn read(path: &Path, store: u64, seal: Option<&Seal>) -> Option<(Index, Reach)> {
    let bytes = std::fs::read(path).ok()?;
    let (body, crc) = bytes.strip_prefix(MAGIC)?.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let opened;
    let plain = match seal {
        Some(seal) => {
            opened = seal.open(body, MAGIC)?;
            opened.as_slice()
        }
        None => body,
    };
    let (index, reach) = decode(plain)?;
    (reach.store == store).then_some((index, reach))
}

/// The bytes of a checkpoint.
pub(crate) fn encode(index: &Index, reach: Reach) -> Vec<u8> {
    let entries: Vec<(usize, &Entry)> = index
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.standing != Standing::Gone)
        .collect();
    let mut contents: Vec<u32> = index.live_contents().map(|(row, _)| row).collect();
    contents.sort_unstable();
    let entry_rows = renumber(index.entries.len(), entries.iter().map(|(row, _)| *row));
    let content_rows = renumber(
        index.contents.len(),
        contents.iter().map(|row| *row as usize),
    );
    let mut out = Vec::with_capacity(entries.len() * (ENTRY + CONTENT) + 1024);
    out.extend_from_slice(&reach.store.to_le_bytes());
    out.extend_from_slice(&reach.segment.to_le_bytes());
    out.extend_from_slice(&reach.end.to_le_bytes());
    out.extend_from_slice(&reach.next_sequence.to_le_bytes());
    out.extend_from_slice(&(index.words.texts.len() as u64).to_le_bytes());
    for text in &index.words.texts {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&(contents.len() as u64).to_le_bytes());
    for row in &contents {
        let content = &index.contents[*row as usize];
        let newest = index
            .chain_of_content(content.newest)
            .next()
            .map_or(NONE, |(row, _)| row);
        out.extend_from_slice(&content.id.0);
        out.extend_from_slice(&content.place.segment.to_le_bytes());
        out.extend_from_slice(&content.place.offset.to_le_bytes());
        out.extend_from_slice(&content.bytes.to_le_bytes());
        out.extend_from_slice(&moved(&entry_rows, newest).to_le_bytes());
    }
    out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    for (_, entry) in &entries {
        let older = |chain: &mut dyn Iterator<Item = (u32, &Entry)>| {
            moved(&entry_rows, chain.next().map_or(NONE, |(row, _)| row))
        };
        for number in [
            moved(&content_rows, entry.content),
            entry.name,
            entry.kind,
            entry.run,
            entry.version,
            entry.quality.to_bits(),
            older(&mut index.chain_of_content(entry.older_of_content)),
            older(&mut index.chain_from(entry.older_of_name)),
            entry.place.segment,
            entry.place.offset,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&entry.created.to_le_bytes());
        out.push(entry.standing as u8);
    }
    encode_marks(index, &content_rows, &mut out);
    index.chunks.encode(&mut out);
    out
}

/// Which contents are elsewhere, and which are held.
fn encode_marks(index: &Index, rows: &[u32], out: &mut Vec<u8>) {
    let mut remote: Vec<u32> = index.remote.iter().map(|row| moved(rows, *row)).collect();
    remote.sort_unstable();
    out.extend_from_slice(&(remote.len() as u64).to_le_bytes());
    for row in remote {
        out.extend_from_slice(&row.to_le_bytes());
    }
    let mut holds: Vec<(u32, &Held)> = index
        .holds
        .iter()
        .map(|(row, held)| (moved(rows, *row), held))
        .collect();
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

fn decode_marks(reader: &mut Reader<'_>, index: &mut Index) -> Option<()> {
    let contents = index.contents.len();
    let known = |row: u32| ((row as usize) < contents).then_some(row);
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

/// The counterpart of [`crate::chunk_index::ChunkIndex::encode`].
fn decode_chunks(reader: &mut Reader<'_>, index: &mut Index) -> Option<()> {
    for _ in 0..reader.count(16)? {
        let place = reader.place()?;
        let bytes = reader.u32()?;
        let mut rows = Vec::new();
        for _ in 0..reader.u32()? {
            let key = ChunkKey(reader.bytes()?);
            let (offset, length) = (reader.u32()?, reader.u32()?);
            (offset.checked_add(length)? <= bytes).then_some(())?;
            rows.push((key, offset, length));
        }
        index.chunks.add_rows(place, bytes, rows);
    }
    Some(())
}

/// From old to new row numbers; `NONE` for rows that are left out.
fn renumber(len: usize, kept: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut rows = vec![NONE; len];
    for (new, old) in kept.enumerate() {
        rows[old] = new as u32;
    }
    rows
}

fn moved(rows: &[u32], row: u32) -> u32 {
    rows.get(row as usize).copied().unwrap_or(NONE)
}

/// Reads little-endian numbers off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place {
            segment: self.u32()?,
            offset: self.u32()?,
        })
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// A number of rows of `size` bytes that are really there.
    fn count(&mut self, size: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count.checked_mul(size)? <= self.0.len()).then_some(count)
    }
}

fn decode(plain: &[u8]) -> Option<(Index, Reach)> {
    let mut reader = Reader(plain);
    let reach = Reach {
        store: reader.u64()?,
        segment: reader.u32()?,
        end: reader.u64()?,
        next_sequence: reader.u64()?,
    };
    let mut index = Index::default();
    for _ in 0..reader.count(4)? {
        index.words.intern(reader.text()?);
    }
    let contents = reader.count(CONTENT)?;
    index.reserve(contents);
    for _ in 0..contents {
        let id = ArtifactId(reader.bytes()?);
        let place = reader.place()?;
        let bytes = reader.u64()?;
        let newest = reader.u32()?;
        index.push_content(Content {
            id,
            place,
            bytes,
            newest,
        });
    }
    let entries = reader.count(ENTRY)?;
    index.entries.reserve_exact(entries);
    for row in 0..entries {
        let entry = Entry {
            content: reader.u32()?,
            name: reader.u32()?,
            kind: reader.u32()?,
            run: reader.u32()?,
            version: reader.u32()?,
            quality: f32::from_bits(reader.u32()?),
            older_of_content: reader.u32()?,
            older_of_name: reader.u32()?,
            place: reader.place()?,
            created: f64::from_le_bytes(reader.bytes()?),
            standing: Standing::from_byte(reader.bytes::<1>()?[0])?,
        };
        let words = index.words.texts.len() as u32;
        // A chain that does not go back would never end.
        let is_older = |older: u32| older == NONE || (older as usize) < row;
        let is_chained = is_older(entry.older_of_content) && is_older(entry.older_of_name);
        let last_word = entry.name.max(entry.kind).max(entry.run);
        if entry.content as usize >= contents || last_word >= words || !is_chained {
            return None;
        }
        index.newest_of_name.insert(entry.name, row as u32);
        index.entries.push(entry);
    }
    decode_marks(&mut reader, &mut index)?;
    decode_chunks(&mut reader, &mut index)?;
    reader.0.is_empty().then_some((index, reach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::NewEntry;
    use crate::types::Filter;
    use proptest::prelude::*;

    fn sample(steps: &[(u8, u8, u8)]) -> Index {
        let mut index = Index::default();
        for (number, (content, name, run)) in steps.iter().enumerate() {
            let id = ArtifactId::of(&[*content]);
            let name = format!("n{name}");
            if *run == 9 {
                index.remove(&id);
                continue;
            }
            let place = Place {
                segment: 1,
                offset: number as u32,
            };
            if index.content(&id).is_none() {
                index.add_content(id, 1, place);
            }
            let version = index.next_version(&name, &id);
            index.add_entry(&NewEntry {
                id,
                name: &name,
                kind: "text/plain",
                run: &format!("r{run}"),
                bytes: 1,
                version,
                quality: 0.5,
                created: number as f64,
                place,
            });
        }
        index
    }

    fn seen(index: &Index) -> Vec<(ArtifactId, u32, f64, Place)> {
        let rows = index.select(usize::MAX, 0, &Filter::default());
        rows.into_iter()
            .map(|row| {
                let entry = &index.entries[row as usize];
                (
                    index.contents[entry.content as usize].id,
                    entry.version,
                    entry.created,
                    entry.place,
                )
            })
            .collect()
    }

    proptest! {
        #[test]
        fn a_checkpoint_reads_back_as_what_was_written(
            steps in prop::collection::vec((0u8..6, 0u8..4, 0u8..10), 0..80), flip in any::<u16>(),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("checkpoint");
            let mut index = sample(&steps);
            let place = Place { segment: 1, offset: 7 };
            if index.content(&ArtifactId::of(&[0])).is_some() {
                index.mark_remote(ArtifactId::of(&[0]), 1, place);
            }
            index.set_hold(&ArtifactId::of(&[1]), Some("a lawsuit"), place);
            let key = |number| ChunkKey([number; 16]);
            index.chunks.add_block(place, &[(key(1), 10), (key(2), 20)]);
            index.chunks.add_block(place, &[(key(1), 10), (key(3), 30)]);
            let reach = Reach { store: 7, segment: 1, end: 100, next_sequence: 50 };
            write(&path, encode(&index, reach), None).expect("written");
            let (again, reached) = read(&path, 7, None).expect("read");
            prop_assert_eq!(reached, reach);
            let mut chunks = [Vec::new(), Vec::new()];
            index.chunks.encode(&mut chunks[0]);
            again.chunks.encode(&mut chunks[1]);
            prop_assert_eq!(&chunks[0], &chunks[1]);
            prop_assert_eq!(again.chunks.len(), 3);
            prop_assert_eq!(seen(&again), seen(&index));
            for content in 0..6 {
                let id = ArtifactId::of(&[content]);
                prop_assert_eq!(again.is_remote(&id), index.is_remote(&id));
                prop_assert_eq!(again.hold(&id), index.hold(&id));
            }
            for name in 0..4 {
                let name = format!("n{name}");
                let versions = |index: &Index| -> Vec<u32> {
                    index.chain_of_name(&name).map(|(_, entry)| entry.version).collect()
                };
                prop_assert_eq!(versions(&again), versions(&index));
            }
            for content in 0..6 {
                let id = ArtifactId::of(&[content]);
                let created = |index: &Index| index.newest(&id).map(|entry| entry.created);
                prop_assert_eq!(created(&again), created(&index));
            }
            prop_assert!(read(&path, 8, None).is_none());
            let mut bytes = std::fs::read(&path).expect("bytes");
            let bit = usize::from(flip) % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).expect("flipped");
            prop_assert!(read(&path, 7, None).is_none());
        }
    }
}
