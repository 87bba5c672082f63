//! Large contents are cut where their bytes say so, and what is known already is not stored again.
//!
//! A chunk is known by a key; what is new of a content is stored in blocks of many chunks, which
//! compress far better together than one by one. The content's own record then holds only keys.
//!
//! ```text
//! block:  length of the table 4 | table: (key 16, length 4) for each chunk | the chunks, packed
//! content: digest 32 | length 8 | key 16 for each chunk
//! ```

use crate::error::Result;
use crate::pack::{TIGHT, pack, unpack};
use crate::record::{COMPRESSED, SEALED};
use crate::seal::Seal;
use fastcdc::v2020::FastCDC;
use std::borrow::Cow;

/// Contents that are longer are cut.
pub(crate) const CHUNK_FROM: usize = 16 << 10;
/// A block is written when it holds this much.
pub(crate) const BLOCK: usize = 128 << 10;
const KEY: usize = 16;
const ROW: usize = KEY + 4;
/// Average lengths of chunks, each with the place in the content from which on it holds: short chunks
/// find more that is known, but a huge content must not be known by too many of them.
const AVERAGES: [(u64, usize); 3] = [(256 << 20, 64 << 10), (16 << 20, 16 << 10), (0, 4 << 10)];
/// The longest chunk is so many times the average.
const SPREAD: usize = 8;

/// Tells one chunk from another: a keyed BLAKE3, so that nobody who does not have the store can prepare
/// two chunks of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkKey(pub(crate) [u8; KEY]);

/// Chunks that follow each other, each with its length.
pub(crate) type Table = Vec<(ChunkKey, u32)>;

/// Makes the keys of one store.
pub(crate) struct Keyer([u8; 32]);

impl Keyer {
    pub(crate) fn of(store: u64) -> Self {
        let context = "Symphony artifact store 2026 chunk keys";
        Self(blake3::derive_key(context, &store.to_le_bytes()))
    }

    pub(crate) fn key(&self, chunk: &[u8]) -> ChunkKey {
        let mut key = [0; KEY];
        key.copy_from_slice(&blake3::keyed_hash(&self.0, chunk).as_bytes()[..KEY]);
        ChunkKey(key)
    }
}

fn average(at: u64) -> usize {
    let fits = AVERAGES.iter().find(|(from, _)| at >= *from);
    fits.map_or(CHUNK_FROM, |(_, average)| *average)
}

/// Bytes that [`cut`] has to see at this place of a content, unless it ends before.
pub(crate) fn window(at: u64) -> usize {
    average(at) * SPREAD
}

/// The length of the chunk at the beginning of `data`, which lies at `at` in its content.
pub(crate) fn cut(data: &[u8], at: u64) -> usize {
    let average = average(at);
    let largest = average * SPREAD;
    let seen = &data[..data.len().min(largest)];
    let first = FastCDC::new(seen, average / 4, average, largest).next();
    first.map_or(seen.len(), |chunk| chunk.length)
}

/// The parts of a block's body.
pub(crate) struct BlockBody<'a> {
    pub(crate) flags: u8,
    pub(crate) front: Vec<u8>,
    pub(crate) payload: Cow<'a, [u8]>,
}

/// The body of a block with these chunks, whose bytes follow each other in `plain`.
pub(crate) fn block_body<'a>(
    chunks: &[(ChunkKey, u32)],
    plain: &'a [u8],
    seal: Option<&Seal>,
) -> Result<BlockBody<'a>> {
    let mut table = Vec::with_capacity(chunks.len() * ROW);
    for (key, length) in chunks {
        table.extend_from_slice(&key.0);
        table.extend_from_slice(&length.to_le_bytes());
    }
    let (mut flags, mut payload) = match pack(plain, TIGHT) {
        Some(packed) => (COMPRESSED, Cow::Owned(packed)),
        None => (0, Cow::Borrowed(plain)),
    };
    if let Some(seal) = seal {
        flags |= SEALED;
        payload = seal.seal(&payload, &table)?.into();
        table = seal.seal(&table, b"block")?;
    }
    let mut front = (table.len() as u32).to_le_bytes().to_vec();
    front.append(&mut table);
    Ok(BlockBody {
        flags,
        front,
        payload,
    })
}

/// The table of a block, as it was before it was sealed, and where its payload begins.
fn open_table(body: &[u8], flags: u8, seal: Option<&Seal>) -> Option<(Vec<u8>, usize)> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let table = rest.get(..length)?;
    let table = if flags & SEALED != 0 {
        seal?.open(table, b"block")?
    } else {
        table.to_vec()
    };
    Some((table, 4 + length))
}

fn rows(table: &[u8]) -> Option<Table> {
    let (rows, rest) = table.as_chunks::<ROW>();
    let row = |row: &[u8; ROW]| {
        let (key, length) = row.split_first_chunk::<KEY>()?;
        Some((ChunkKey(*key), u32::from_le_bytes(*length.first_chunk()?)))
    };
    let rows: Table = rows.iter().map(row).collect::<Option<_>>()?;
    let size: usize = rows.iter().map(|(_, length)| *length as usize).sum();
    // A table that lies about lengths must not make us ask for more memory than a block can need.
    let is_possible = rest.is_empty() && size <= BLOCK + window(u64::MAX);
    is_possible.then_some(rows)
}

/// Which chunks a block holds, one after the other.
pub(crate) fn read_table(body: &[u8], flags: u8, seal: Option<&Seal>) -> Option<Table> {
    rows(&open_table(body, flags, seal)?.0)
}

/// The chunks of a block and their bytes.
pub(crate) fn read_block(body: &[u8], flags: u8, seal: Option<&Seal>) -> Option<(Table, Vec<u8>)> {
    let (table, payload_at) = open_table(body, flags, seal)?;
    let chunks = rows(&table)?;
    let size = chunks.iter().map(|(_, length)| *length as usize).sum();
    let opened;
    let mut payload = &body[payload_at..];
    if flags & SEALED != 0 {
        opened = seal?.open(payload, &table)?;
        payload = &opened;
    }
    if flags & COMPRESSED == 0 {
        return (payload.len() == size).then(|| (chunks, payload.to_vec()));
    }
    let mut plain = vec![0; size];
    unpack(payload, &mut plain).then_some((chunks, plain))
}

/// The body of a block under the newest key, with its flags; nothing when it does not open.
pub(crate) fn reseal_block(body: &[u8], flags: u8, seal: &Seal) -> Result<Option<(u8, Vec<u8>)>> {
    let Some((table, payload_at)) = open_table(body, flags, Some(seal)) else {
        return Ok(None);
    };
    let payload = &body[payload_at..];
    let opened = if flags & SEALED != 0 {
        seal.open(payload, &table)
    } else {
        Some(payload.to_vec())
    };
    let Some(payload) = opened else {
        return Ok(None);
    };
    let payload = seal.seal(&payload, &table)?;
    let table = seal.seal(&table, b"block")?;
    let front = (table.len() as u32).to_le_bytes();
    Ok(Some((
        flags | SEALED,
        [&front[..], &table, &payload].concat(),
    )))
}

/// The keys as they stand in a content's record.
pub(crate) fn write_keys(keys: &[ChunkKey]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.0).collect()
}

/// The keys from a content's record.
pub(crate) fn read_keys(payload: &[u8]) -> Option<Vec<ChunkKey>> {
    let (keys, rest) = payload.as_chunks::<KEY>();
    rest.is_empty()
        .then(|| keys.iter().map(|key| ChunkKey(*key)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(size: usize) -> Vec<u8> {
        (0..size as u32 / 32 + 1)
            .flat_map(|number| *blake3::hash(&number.to_le_bytes()).as_bytes())
            .take(size)
            .collect()
    }

    fn lengths(data: &[u8], from: u64) -> Vec<usize> {
        let mut at = 0;
        let mut lengths = Vec::new();
        while at < data.len() {
            let length = cut(&data[at..], from + at as u64);
            lengths.push(length);
            at += length;
        }
        lengths
    }

    #[test]
    fn cuts_follow_the_bytes_and_not_their_place() {
        let data = noise(400_000);
        let whole = lengths(&data, 0);
        let moved = lengths(&[&b"inserted"[..], &data].concat(), 0);
        let shared = whole.iter().rev().zip(moved.iter().rev());
        let same = shared.take_while(|(a, b)| a == b).count();
        assert!(same + 5 > whole.len(), "{same} of {}", whole.len());
        assert!(whole.iter().all(|length| *length <= window(0)));
        assert!(lengths(&data, 300 << 20).len() < whole.len() / 4);
    }

    proptest! {
        #[test]
        fn a_cut_needs_no_more_than_its_window(size in 1usize..100_000, at in 0u64..40 << 20) {
            let data = noise(size);
            let whole = cut(&data, at);
            prop_assert!(whole >= 1 && whole <= size);
            prop_assert_eq!(cut(&data[..size.min(window(at))], at), whole);
        }

        #[test]
        fn a_block_reads_back(
            sizes in prop::collection::vec(0usize..3000, 1..20), is_sealed in any::<bool>(),
            is_noise in any::<bool>(), flip in any::<u32>(),
        ) {
            let seal = is_sealed.then(|| Seal::new(&[3; 32]));
            let keyer = Keyer::of(1);
            let total = sizes.iter().sum();
            let plain = if is_noise { noise(total) } else { vec![7; total] };
            let mut at = 0;
            let chunks: Vec<(ChunkKey, u32)> = sizes
                .iter()
                .map(|size| {
                    at += size;
                    (keyer.key(&plain[at - size..at]), *size as u32)
                })
                .collect();
            let body = block_body(&chunks, &plain, seal.as_ref()).expect("a body");
            let flags = body.flags;
            let mut bytes = [&body.front, &*body.payload].concat();
            prop_assert_eq!(read_table(&bytes, flags, seal.as_ref()), Some(chunks.clone()));
            let read = read_block(&bytes, flags, seal.as_ref());
            prop_assert_eq!(read, Some((chunks, plain)));
            // Whatever is made of it, reading it does not panic.
            let bit = flip as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = read_block(&bytes, flags, seal.as_ref());
            prop_assert!(!is_sealed || read.is_none());
        }
    }
}
