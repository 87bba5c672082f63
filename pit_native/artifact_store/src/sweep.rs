//! Which chunks a collection drops, and what it keeps of a block that lost some.

use crate::chunks::{CHUNK_FROM, Table, block_body, read_block};
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::record::{Header, Kind};
use crate::rows::LOST;
use crate::types::ArtifactId;
use rustc_hash::FxHashSet;

/// Drops the chunks that no content and no put under way uses.
///
/// What a put uses is either noted when the round begins, or looked for while it lasts, or in a content
/// that is in the index by then.
pub(crate) fn sweep(core: &Core) -> Result<()> {
    let mut marked = FxHashSet::default();
    let large: Vec<ArtifactId> = {
        let mut index = core.index.write();
        if index.chunks.len() == 0 {
            return Ok(());
        }
        index.chunks.begin_round();
        core.drafts.mark(&mut marked);
        let mut large = Vec::new();
        index.visit_contents(|row, content| {
            let is_cut = content.bytes > CHUNK_FROM as u64 && content.place != LOST;
            if is_cut && !index.remote.contains(&row) {
                large.push(content.id);
            }
            Ok(())
        })?;
        large
    };
    for id in large {
        match core.keys(&id) {
            Ok(keys) => marked.extend(keys.unwrap_or_default()),
            // It went meanwhile, or nobody can say any more which chunks it had.
            Err(
                StoreError::NotFound(_) | StoreError::Remote { .. } | StoreError::Damaged { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    core.index.write().chunks.sweep(&marked);
    Ok(())
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
            let spot = index.chunks.find(&key);
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
