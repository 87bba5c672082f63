//! Which chunks are stored, and in which block each lies.
//!
//! Nothing counts who uses a chunk. A collection marks what the contents and the puts under way use,
//! and drops the rest; whoever looks a chunk up while it marks is seen by the number of the round.

use crate::chunks::ChunkKey;
use crate::log::Place;
use crate::rows::LOST;
use hashbrown::HashTable;
use rustc_hash::FxHashSet;
use std::sync::atomic::{AtomicU32, Ordering};

/// A record that holds chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) place: Place,
    /// Bytes of all its chunks.
    pub(crate) bytes: u32,
    /// Bytes of those that are still looked for here.
    pub(crate) alive: u32,
    /// It was read and does not check out.
    pub(crate) is_damaged: bool,
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) block: u32,
    /// In the block's plain bytes.
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

struct Chunk {
    key: ChunkKey,
    spot: Spot,
    /// The round of collection in which a put looked for it last.
    used: AtomicU32,
}

/// The chunks of a store.
#[derive(Default)]
pub(crate) struct ChunkIndex {
    pub(crate) blocks: Vec<Block>,
    chunks: Vec<Chunk>,
    /// Rows of `chunks` to be used again.
    free: Vec<u32>,
    by_key: HashTable<u32>,
    round: u32,
}

fn hash_of(key: &ChunkKey) -> u64 {
    // A key is uniform already.
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&key.0[..8]);
    u64::from_le_bytes(bytes)
}

impl ChunkIndex {
    /// The number of chunks.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    fn row(&self, key: &ChunkKey) -> Option<u32> {
        self.by_key
            .find(hash_of(key), |row| self.chunks[*row as usize].key == *key)
            .copied()
    }

    /// Where a chunk lies.
    pub(crate) fn find(&self, key: &ChunkKey) -> Option<Spot> {
        self.row(key).map(|row| self.chunks[row as usize].spot)
    }

    /// Whether a chunk is stored and nothing is known against it; from then on a round of collection
    /// that has begun leaves it alone.
    pub(crate) fn take(&self, key: &ChunkKey) -> bool {
        let Some(row) = self.row(key) else {
            return false;
        };
        let chunk = &self.chunks[row as usize];
        chunk.used.store(self.round, Ordering::Relaxed);
        let block = &self.blocks[chunk.spot.block as usize];
        block.place != LOST && !block.is_damaged
    }

    /// Adds a block; chunks that were elsewhere are looked for in it from now on. Returns its row.
    pub(crate) fn add_block(&mut self, place: Place, table: &[(ChunkKey, u32)]) -> u32 {
        let mut offset = 0;
        let rows = table.iter().map(|(key, length)| {
            let row = (*key, offset, *length);
            offset += length;
            row
        });
        let rows: Vec<_> = rows.collect();
        self.add_rows(place, offset, rows)
    }

    /// Adds a block of which only these chunks are to be looked for: key, offset and length.
    pub(crate) fn add_rows(
        &mut self,
        place: Place,
        bytes: u32,
        rows: impl IntoIterator<Item = (ChunkKey, u32, u32)>,
    ) -> u32 {
        let block = self.blocks.len() as u32;
        self.blocks.push(Block {
            place,
            bytes,
            alive: 0,
            is_damaged: false,
        });
        for (key, offset, length) in rows {
            let spot = Spot {
                block,
                offset,
                length,
            };
            self.add_chunk(key, spot);
        }
        block
    }

    fn add_chunk(&mut self, key: ChunkKey, spot: Spot) {
        self.blocks[spot.block as usize].alive += spot.length;
        if let Some(row) = self.row(&key) {
            let chunk = &mut self.chunks[row as usize];
            let before = std::mem::replace(&mut chunk.spot, spot);
            chunk.used = AtomicU32::new(self.round);
            self.blocks[before.block as usize].alive -= before.length;
            return;
        }
        let chunk = Chunk {
            key,
            spot,
            used: AtomicU32::new(self.round),
        };
        let row = match self.free.pop() {
            Some(row) => {
                self.chunks[row as usize] = chunk;
                row
            }
            None => {
                self.chunks.push(chunk);
                self.chunks.len() as u32 - 1
            }
        };
        let chunks = &self.chunks;
        self.by_key.insert_unique(hash_of(&key), row, |row| {
            hash_of(&chunks[*row as usize].key)
        });
    }

    /// Notes that the record at `place`, if there is one, does not check out.
    pub(crate) fn mark_damaged(&mut self, key: &ChunkKey, place: Place) {
        if let Some(spot) = self.find(key) {
            let block = &mut self.blocks[spot.block as usize];
            block.is_damaged |= block.place == place;
        }
    }

    /// Takes over what was found damaged, from an index of the same records.
    pub(crate) fn take_damage(&mut self, other: &Self) {
        let damaged = other.blocks.iter().filter(|block| block.is_damaged);
        let damaged: FxHashSet<Place> = damaged.map(|block| block.place).collect();
        for block in &mut self.blocks {
            block.is_damaged |= damaged.contains(&block.place);
        }
    }

    /// Begins a round of collection.
    pub(crate) fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Drops the chunks that are not in `marked` and were not looked for since the round began.
    pub(crate) fn sweep(&mut self, marked: &FxHashSet<ChunkKey>) {
        let Self {
            blocks,
            chunks,
            free,
            by_key,
            round,
        } = self;
        by_key.retain(|row| {
            let chunk = &chunks[*row as usize];
            let stays = marked.contains(&chunk.key) || chunk.used.load(Ordering::Relaxed) == *round;
            if !stays {
                blocks[chunk.spot.block as usize].alive -= chunk.spot.length;
                free.push(*row);
            }
            stays
        });
    }

    /// The blocks in which something is looked for, with their rows.
    pub(crate) fn live_blocks(&self) -> impl Iterator<Item = (u32, &Block)> {
        let blocks = self.blocks.iter().enumerate();
        blocks
            .filter(|(_, block)| block.alive > 0)
            .map(|(row, block)| (row as u32, block))
    }

    /// The live chunks of each block, in the order of rows and offsets.
    fn by_block(&self) -> Vec<(Spot, ChunkKey)> {
        let rows = self.by_key.iter().map(|row| &self.chunks[*row as usize]);
        let mut rows: Vec<_> = rows.map(|chunk| (chunk.spot, chunk.key)).collect();
        rows.sort_unstable_by_key(|(spot, _)| (spot.block, spot.offset));
        rows
    }

    /// Appends all that is to be known after the next opening.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let chunks = self.by_block();
        let blocks = chunks.chunk_by(|(a, _), (b, _)| a.block == b.block);
        out.extend_from_slice(&(blocks.clone().count() as u64).to_le_bytes());
        for rows in blocks {
            let block = self.blocks[rows[0].0.block as usize];
            for number in [
                block.place.segment,
                block.place.offset,
                block.bytes,
                rows.len() as u32,
            ] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            for (spot, key) in rows {
                out.extend_from_slice(&key.0);
                out.extend_from_slice(&spot.offset.to_le_bytes());
                out.extend_from_slice(&spot.length.to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> ChunkKey {
        ChunkKey([number; 16])
    }

    fn place(offset: u32) -> Place {
        Place { segment: 1, offset }
    }

    #[test]
    fn only_what_nobody_uses_is_swept() {
        let mut index = ChunkIndex::default();
        index.add_block(place(0), &[(key(1), 10), (key(2), 20), (key(3), 30)]);
        index.begin_round();
        assert!(index.take(&key(3)));
        assert!(!index.take(&key(4)));
        index.add_block(place(9), &[(key(4), 40)]);
        index.sweep(&[key(1)].into_iter().collect());
        assert_eq!(index.find(&key(2)), None);
        assert_eq!(index.find(&key(3)).map(|spot| spot.offset), Some(30));
        assert_eq!((index.len(), index.blocks[0].alive), (3, 40));
        index.begin_round();
        index.sweep(&FxHashSet::default());
        assert_eq!((index.len(), index.live_blocks().count()), (0, 0));
    }

    #[test]
    fn a_chunk_is_looked_for_where_it_was_written_last() {
        let mut index = ChunkIndex::default();
        let first = index.add_block(place(0), &[(key(1), 10), (key(2), 20)]);
        index.blocks[first as usize].is_damaged = true;
        assert!(!index.take(&key(1)));
        index.add_block(place(50), &[(key(1), 10)]);
        assert!(index.take(&key(1)) && !index.take(&key(2)));
        assert_eq!(index.blocks[0].alive, 20);
    }
}
