//! Which chunks are stored, and in which block each lies.
//!
//! The chunks of the checkpoint stay in its file, sorted by their keys, with a sieve before them; in memory
//! are those since, the blocks, and one bit for each chunk of the checkpoint that counts no more.
//!
//! Nothing counts who uses a chunk. A collection marks what the contents and the puts under way use,
//! and drops the rest; whoever looks a chunk up while it marks leaves its key.

use crate::base::Base;
use crate::chunks::ChunkKey;
use crate::error::{Result, StoreError};
use crate::log::Place;
use crate::row_set::RowSet;
use crate::rows::LOST;
use crate::sieve::Sieve;
use hashbrown::HashTable;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

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

#[derive(Clone, Copy)]
struct Chunk {
    key: ChunkKey,
    spot: Spot,
}

/// The chunks of a store.
#[derive(Default)]
pub(crate) struct ChunkIndex {
    base: Option<Arc<Base>>,
    sieve: Arc<Sieve>,
    pub(crate) blocks: Vec<Block>,
    /// Chunks since the checkpoint.
    since: HashTable<Chunk>,
    /// Rows of the checkpoint that were dropped, or are looked for elsewhere since.
    gone: RowSet,
    count: usize,
    /// While a collection marks: what was looked for or added.
    taken: Option<Mutex<FxHashSet<ChunkKey>>>,
}

/// The chunks that a collection has found to be used.
#[derive(Default)]
pub(crate) struct Marks {
    rows: RowSet,
    since: FxHashSet<ChunkKey>,
}

/// The chunks of the checkpoint that nobody uses.
pub(crate) struct Unused {
    rows: RowSet,
    count: usize,
    /// Their bytes in each block.
    bytes: FxHashMap<u32, u32>,
}

fn hash_of(key: &ChunkKey) -> u64 {
    // A key is uniform already.
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&key.0[..8]);
    u64::from_le_bytes(bytes)
}

impl ChunkIndex {
    /// Of a checkpoint, which has its chunks in these blocks.
    pub(crate) fn of(base: Arc<Base>, blocks: Vec<Block>) -> Result<Self> {
        Ok(Self {
            sieve: Arc::new(base.sieve()?),
            count: base.layout.chunks.rows as usize,
            base: Some(base),
            blocks,
            ..Self::default()
        })
    }

    /// As it is now, to be read while this one changes.
    pub(crate) fn snapshot(&self) -> ChunkSnapshot {
        ChunkSnapshot {
            base: self.base.clone(),
            blocks: self.blocks.clone(),
            since: self.since.iter().copied().collect(),
            gone: self.gone.clone(),
            count: self.count,
        }
    }

    /// The number of chunks.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The number of those that are not in the checkpoint.
    pub(crate) fn in_memory(&self) -> usize {
        self.since.len()
    }

    fn since(&self, key: &ChunkKey) -> Option<Spot> {
        let found = self.since.find(hash_of(key), |chunk| chunk.key == *key);
        found.map(|chunk| chunk.spot)
    }

    /// The row of a chunk that is still looked for in the checkpoint.
    fn row(&self, key: &ChunkKey) -> Result<Option<(u32, Spot)>> {
        let Some(base) = self.base.as_ref().filter(|_| self.sieve.may_have(key)) else {
            return Ok(None);
        };
        let found = base.chunk(key)?;
        let found = found.filter(|(row, _)| !self.gone.has(*row));
        if let Some((_, spot)) = found
            && spot.block as usize >= self.blocks.len()
        {
            return Err(no_block(spot.block));
        }
        Ok(found)
    }

    /// Where a chunk lies.
    pub(crate) fn find(&self, key: &ChunkKey) -> Result<Option<Spot>> {
        match self.since(key) {
            Some(spot) => Ok(Some(spot)),
            None => Ok(self.row(key)?.map(|(_, spot)| spot)),
        }
    }

    /// Whether a chunk is stored and nothing is known against it; from then on a round of collection
    /// that has begun leaves it alone.
    pub(crate) fn take(&self, key: &ChunkKey) -> Result<bool> {
        let Some(spot) = self.find(key)? else {
            return Ok(false);
        };
        if let Some(taken) = &self.taken {
            taken.lock().insert(*key);
        }
        let block = &self.blocks[spot.block as usize];
        Ok(block.place != LOST && !block.is_damaged)
    }

    /// Adds a block; chunks that were elsewhere are looked for in it from now on. Returns its row.
    pub(crate) fn add_block(&mut self, place: Place, table: &[(ChunkKey, u32)]) -> Result<u32> {
        // What can fail comes first.
        let rows = table.iter().map(|(key, _)| self.row(key));
        let rows: Vec<Option<(u32, Spot)>> = rows.collect::<Result<_>>()?;
        let block = self.blocks.len() as u32;
        self.blocks.push(Block {
            place,
            bytes: table.iter().map(|(_, length)| length).sum(),
            alive: 0,
            is_damaged: false,
        });
        let mut offset = 0;
        for ((key, length), row) in table.iter().zip(rows) {
            let spot = Spot {
                block,
                offset,
                length: *length,
            };
            self.add_chunk(*key, spot, row);
            offset += length;
        }
        Ok(block)
    }

    fn add_chunk(&mut self, key: ChunkKey, spot: Spot, row: Option<(u32, Spot)>) {
        self.blocks[spot.block as usize].alive += spot.length;
        if let Some(taken) = &mut self.taken {
            taken.get_mut().insert(key);
        }
        let hash = hash_of(&key);
        let before = match self.since.find_mut(hash, |chunk| chunk.key == key) {
            Some(chunk) => Some(std::mem::replace(&mut chunk.spot, spot)),
            None => {
                let rehash = |chunk: &Chunk| hash_of(&chunk.key);
                self.since.insert_unique(hash, Chunk { key, spot }, rehash);
                row.map(|(row, before)| {
                    self.gone.insert(row);
                    before
                })
            }
        };
        match before {
            Some(before) => self.bury(before.block, before.length),
            None => self.count += 1,
        }
    }

    /// Notes that so many bytes of a block are not looked for any more.
    fn bury(&mut self, block: u32, bytes: u32) {
        if let Some(block) = self.blocks.get_mut(block as usize) {
            block.alive = block.alive.saturating_sub(bytes);
        }
    }

    /// Notes that the record at `place`, if there is one, does not check out.
    pub(crate) fn mark_damaged(&mut self, key: &ChunkKey, place: Place) -> Result<()> {
        if let Some(spot) = self.find(key)? {
            let block = &mut self.blocks[spot.block as usize];
            block.is_damaged |= block.place == place;
        }
        Ok(())
    }

    /// Takes over what was found damaged, from an index of the same records.
    pub(crate) fn take_damage(&mut self, other: &Self) {
        let damaged = other.blocks.iter().filter(|block| block.is_damaged);
        let damaged: FxHashSet<Place> = damaged.map(|block| block.place).collect();
        if damaged.is_empty() {
            return;
        }
        for block in &mut self.blocks {
            block.is_damaged |= damaged.contains(&block.place);
        }
    }

    /// Begins a round of collection.
    pub(crate) fn begin_round(&mut self) {
        self.taken = Some(Mutex::default());
    }

    /// Gives the round up.
    pub(crate) fn end_round(&mut self) {
        self.taken = None;
    }

    /// Marks a chunk as used.
    pub(crate) fn mark(&self, key: &ChunkKey, marks: &mut Marks) -> Result<()> {
        if self.since(key).is_some() {
            marks.since.insert(*key);
        } else if let Some((row, _)) = self.row(key)? {
            marks.rows.insert(row);
        }
        Ok(())
    }

    /// What is to be looked through for chunks that are not marked, which takes a while, without this index.
    pub(crate) fn checkpointed(&self) -> Checkpointed {
        Checkpointed {
            base: self.base.clone(),
            gone: self.gone.clone(),
        }
    }

    /// Ends the round: drops the chunks that are not marked and were not looked for since it began.
    pub(crate) fn sweep(&mut self, marks: &Marks, mut unused: Unused) -> Result<()> {
        let taken = self.taken.take().map(Mutex::into_inner).unwrap_or_default();
        for key in &taken {
            let Some(base) = self.base.as_ref().filter(|_| self.sieve.may_have(key)) else {
                continue;
            };
            // One that was written anew meanwhile is gone from its row already, with its bytes.
            if let Some((row, spot)) = base.chunk(key)?
                && unused.rows.has(row)
            {
                unused.rows.remove(row);
                unused.count -= 1;
                if let Some(bytes) = unused.bytes.get_mut(&spot.block) {
                    *bytes -= spot.length;
                }
            }
        }
        self.gone.extend(&unused.rows);
        self.count -= unused.count;
        for (block, bytes) in unused.bytes {
            self.bury(block, bytes);
        }
        let mut dropped = Vec::new();
        self.since.retain(|chunk| {
            let stays = marks.since.contains(&chunk.key) || taken.contains(&chunk.key);
            if !stays {
                dropped.push(chunk.spot);
            }
            stays
        });
        self.count -= dropped.len();
        for spot in dropped {
            self.bury(spot.block, spot.length);
        }
        Ok(())
    }

    /// The blocks in which something is looked for, with their rows.
    pub(crate) fn live_blocks(&self) -> impl Iterator<Item = (u32, &Block)> {
        live(&self.blocks)
    }
}

/// All chunks of an index at one moment.
pub(crate) struct ChunkSnapshot {
    base: Option<Arc<Base>>,
    pub(crate) blocks: Vec<Block>,
    since: Vec<Chunk>,
    gone: RowSet,
    count: usize,
}

impl ChunkSnapshot {
    /// The number of chunks.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The blocks in which something is looked for, with their rows.
    pub(crate) fn live_blocks(&self) -> impl Iterator<Item = (u32, &Block)> {
        live(&self.blocks)
    }

    /// Visits all chunks in the order of their keys.
    pub(crate) fn visit_sorted(
        &self,
        mut visit: impl FnMut(ChunkKey, Spot) -> Result<()>,
    ) -> Result<()> {
        let mut order: Vec<u32> = (0..self.since.len() as u32).collect();
        order.sort_unstable_by_key(|at| self.since[*at as usize].key);
        let since = order.iter().map(|at| &self.since[*at as usize]);
        let mut since = since.peekable();
        if let Some(base) = &self.base {
            base.visit_chunks(|row, key, spot| {
                if self.gone.has(row) {
                    return Ok(());
                }
                while let Some(chunk) = since.next_if(|chunk| chunk.key < key) {
                    visit(chunk.key, chunk.spot)?;
                }
                visit(key, spot)
            })?;
        }
        since.try_for_each(|chunk| visit(chunk.key, chunk.spot))
    }
}

fn live(blocks: &[Block]) -> impl Iterator<Item = (u32, &Block)> {
    let blocks = blocks.iter().enumerate();
    blocks
        .filter(|(_, block)| block.alive > 0)
        .map(|(row, block)| (row as u32, block))
}

/// The chunks of a checkpoint at the time when a round looks through them.
pub(crate) struct Checkpointed {
    base: Option<Arc<Base>>,
    gone: RowSet,
}

impl Checkpointed {
    /// Those that are not marked.
    pub(crate) fn unused(&self, marks: &Marks) -> Result<Unused> {
        let mut unused = Unused {
            rows: RowSet::default(),
            count: 0,
            bytes: FxHashMap::default(),
        };
        if let Some(base) = &self.base {
            base.visit_chunks(|row, _, spot| {
                if !marks.rows.has(row) && !self.gone.has(row) {
                    unused.rows.insert(row);
                    unused.count += 1;
                    *unused.bytes.entry(spot.block).or_default() += spot.length;
                }
                Ok(())
            })?;
        }
        Ok(unused)
    }
}

/// Only a checkpoint that lies leads here.
fn no_block(block: u32) -> StoreError {
    StoreError::Io {
        doing: "cannot use",
        path: "index/checkpoint".into(),
        source: std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("it has no block {block}"),
        ),
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

    fn spot(index: &ChunkIndex, number: u8) -> Option<Spot> {
        index.find(&key(number)).expect("looked for")
    }

    fn sweep(index: &mut ChunkIndex, used: &[u8]) {
        let mut marks = Marks::default();
        for number in used {
            index.mark(&key(*number), &mut marks).expect("marked");
        }
        let unused = index.checkpointed().unused(&marks).expect("looked through");
        index.sweep(&marks, unused).expect("swept");
    }

    #[test]
    fn only_what_nobody_uses_is_swept() {
        let mut index = ChunkIndex::default();
        let first = [(key(1), 10), (key(2), 20), (key(3), 30)];
        index.add_block(place(0), &first).expect("added");
        index.begin_round();
        assert!(index.take(&key(3)).expect("looked for"));
        assert!(!index.take(&key(4)).expect("looked for"));
        index.add_block(place(9), &[(key(4), 40)]).expect("added");
        sweep(&mut index, &[1]);
        assert_eq!(spot(&index, 2), None);
        assert_eq!(spot(&index, 3).map(|spot| spot.offset), Some(30));
        assert_eq!((index.len(), index.blocks[0].alive), (3, 40));
        index.begin_round();
        sweep(&mut index, &[]);
        assert_eq!((index.len(), index.live_blocks().count()), (0, 0));
    }

    #[test]
    fn a_chunk_is_looked_for_where_it_was_written_last() {
        let mut index = ChunkIndex::default();
        let first = index.add_block(place(0), &[(key(1), 10), (key(2), 20)]);
        index.blocks[first.expect("added") as usize].is_damaged = true;
        assert!(!index.take(&key(1)).expect("looked for"));
        index.add_block(place(50), &[(key(1), 10)]).expect("added");
        assert!(index.take(&key(1)).expect("looked for"));
        assert!(!index.take(&key(2)).expect("looked for"));
        assert_eq!(index.blocks[0].alive, 20);
    }
}
