//! Which chunks a collection drops, and what it keeps of a block that lost some.

use crate::chunk_index::{Marks, Unused};
use crate::chunks::{CHUNK_FROM, ChunkKey, Table, block_body, read_block};
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::record::{Header, Kind};
use crate::rows::LOST;
use crate::types::ArtifactId;

/// Chunks that are marked with one lock.
const AT_ONCE: usize = 256;

/// Drops the chunks that no content and no put under way uses.
///
/// What a put uses is either noted when the round begins, or looked for while it lasts, or in a content
/// that is in the index by then.
pub(crate) fn sweep(core: &Core) -> Result<()> {
    let (large, noted) = {
        let mut index = core.index.write();
        if index.chunks.len() == 0 {
            return Ok(());
        }
        index.chunks.begin_round();
        let noted = core.drafts.used();
        let mut large = Vec::new();
        let listed = index.visit_contents(|row, content| {
            let is_cut = content.bytes > CHUNK_FROM as u64 && content.place != LOST;
            if is_cut && !index.remote.contains(&row) {
                large.push(content.id);
            }
            Ok(())
        });
        if let Err(error) = listed {
            index.chunks.end_round();
            return Err(error);
        }
        (large, noted)
    };
    let found = unused(core, &large, &noted);
    let mut index = core.index.write();
    match found {
        Ok((marks, unused)) => index.chunks.sweep(&marks, unused),
        Err(error) => {
            index.chunks.end_round();
            Err(error)
        }
    }
}

/// The chunks that are used by these contents or were noted, and those of the checkpoint that are not.
fn unused(core: &Core, large: &[ArtifactId], noted: &[ChunkKey]) -> Result<(Marks, Unused)> {
    let mut marks = Marks::default();
    let mut mark = |keys: &[ChunkKey]| -> Result<()> {
        for some in keys.chunks(AT_ONCE) {
            let index = core.index.read();
            some.iter()
                .try_for_each(|key| index.chunks.mark(key, &mut marks))?;
        }
        Ok(())
    };
    mark(noted)?;
    for id in large {
        match core.keys(id) {
            Ok(keys) => mark(&keys.unwrap_or_default())?,
            // It went meanwhile, or nobody can say any more which chunks it had.
            Err(
                StoreError::NotFound(_) | StoreError::Remote { .. } | StoreError::Damaged { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    let checkpointed = core.index.read().chunks.checkpointed();
    let unused = checkpointed.unused(&marks)?;
    Ok((marks, unused))
}

/// Of a block of which some chunks are gone, a new one with the others; nothing when all are there.
pub(crate) fn slimmer(
    core: &Core,
    row: u32,
    header: &Header,
    body: &[u8],
) -> Result<Option<(Header, Vec<u8>, Table)>> {
    let block = core.index.read().chunks.blocks[row as usize];
    if block.alive >= block.bytes {
        return Ok(None);
    }
    let seal = core.seal.as_ref();
    let Some((table, plain)) = read_block(body, header.flags, seal) else {
        return Ok(None);
    };
    let mut kept = Table::new();
    let mut bytes = Vec::with_capacity(block.alive as usize);
    {
        let index = core.index.read();
        let mut offset = 0;
        for (key, length) in table {
            let spot = index.chunks.find(&key)?;
            if spot.is_some_and(|spot| spot.block == row && spot.offset == offset) {
                kept.push((key, length));
                bytes.extend_from_slice(&plain[offset as usize..(offset + length) as usize]);
            }
            offset += length;
        }
    }
    let body = block_body(&kept, &bytes, seal)?;
    let header = Header::of(Kind::Block, body.flags, &[&body.front, &body.payload]);
    Ok(Some((header, [&body.front, &*body.payload].concat(), kept)))
}
