//! The chunks of a checkpoint: rows in the order of their keys, and a sieve that keeps most keys from being
//! looked for.

use crate::base::{Base, Reader};
use crate::blocks::ROOM;
use crate::chunk_index::Spot;
use crate::chunks::ChunkKey;
use crate::error::Result;
use crate::sieve::Sieve;

/// Bytes of a row.
pub(crate) const CHUNK: usize = 28;

/// The key by which chunks are sorted; more than one may have the same.
pub(crate) fn chunk_fence(key: &ChunkKey) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&key.0[..8]);
    u64::from_be_bytes(bytes)
}

pub(crate) fn encode_chunk(key: &ChunkKey, spot: Spot) -> [u8; CHUNK] {
    let mut row = [0; CHUNK];
    row[..16].copy_from_slice(&key.0);
    row[16..20].copy_from_slice(&spot.block.to_le_bytes());
    row[20..24].copy_from_slice(&spot.offset.to_le_bytes());
    row[24..].copy_from_slice(&spot.length.to_le_bytes());
    row
}

fn decode_chunk(row: &[u8; CHUNK]) -> Option<(ChunkKey, Spot)> {
    let mut reader = Reader(row);
    let key = ChunkKey(reader.bytes()?);
    let spot = Spot {
        block: reader.u32()?,
        offset: reader.u32()?,
        length: reader.u32()?,
    };
    spot.offset.checked_add(spot.length)?;
    Some((key, spot))
}

impl Base {
    /// The row of a chunk and where it lies.
    pub(crate) fn chunk(&self, key: &ChunkKey) -> Result<Option<(u32, Spot)>> {
        let sorted = (self.layout.chunks, self.layout.chunk_fences.as_slice());
        let key_of = |row: &[u8; CHUNK]| {
            let mut key = [0; 8];
            key.copy_from_slice(&row[..8]);
            u64::from_be_bytes(key)
        };
        self.find(sorted, chunk_fence(key), key_of, |number, row| {
            if row[..16] != key.0 {
                return Ok(None);
            }
            let (_, spot) = self.decoded(decode_chunk(row))?;
            Ok(Some((number, spot)))
        })
    }

    /// Visits all chunks in the order of their keys.
    pub(crate) fn visit_chunks(
        &self,
        mut visit: impl FnMut(u32, ChunkKey, Spot) -> Result<()>,
    ) -> Result<()> {
        self.blocks.visit_rows(self.layout.chunks, |row, bytes| {
            let (key, spot) = self.decoded(decode_chunk(bytes))?;
            visit(row, key, spot)
        })
    }

    /// The sieve of the chunks.
    pub(crate) fn sieve(&self) -> Result<Sieve> {
        let (first, bytes) = self.layout.sieve;
        let mut read = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        let end = first + bytes.div_ceil(ROOM as u64) as u32;
        self.blocks.visit(first, end, |_, payload| {
            let left = usize::try_from(bytes).unwrap_or_default() - read.len();
            read.extend_from_slice(&payload[..left.min(ROOM)]);
            Ok(())
        })?;
        self.decoded(Sieve::read(&read, u64::from(self.layout.chunks.rows)))
    }
}
