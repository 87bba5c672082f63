//! Writing large contents: cut while they come, what is new of them in blocks, at last their record.

use crate::body::{content_body, recipe_body};
use crate::chunks::{BLOCK, CHUNK_FROM, ChunkKey, Table, block_body, cut, window};
use crate::core::{Core, Known, Prepared};
use crate::error::{Result, StoreError};
use crate::log::Pending;
use crate::marks::other_digest;
use crate::record::{Header, Kind};
use crate::settle::records_like;
use crate::types::{ArtifactId, Digester, Put};
use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use std::sync::{Arc, Weak};

/// Bytes of a stream that are looked at for its quality.
const HEAD: usize = (256 << 10) + 1;
/// Bytes that a stream digests and cuts at once: they are still in the core's cache when they are cut.
const PIECE: usize = 128 << 10;
/// From so many bytes on a second thread digests what the first one cuts: it costs less than it saves.
const APART: usize = 1 << 20;
/// Chunks that are looked up with one lock.
const AT_ONCE: usize = 64;

/// The keys that one put has taken or written.
type Uses = Mutex<Vec<ChunkKey>>;

/// The puts under way, each with the chunks that it uses: no collection may drop them.
#[derive(Default)]
pub(crate) struct Drafts(Mutex<Vec<Weak<Uses>>>);

impl Drafts {
    fn begin(&self) -> Arc<Uses> {
        let uses = Arc::new(Uses::default());
        let mut all = self.0.lock();
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&uses));
        uses
    }

    /// All chunks that are used by puts under way.
    pub(crate) fn used(&self) -> Vec<ChunkKey> {
        let mut used = Vec::new();
        for uses in self.0.lock().iter().filter_map(Weak::upgrade) {
            used.extend_from_slice(&uses.lock());
        }
        used
    }
}

/// A content that is being cut.
pub(crate) struct Draft {
    uses: Arc<Uses>,
    /// Bytes that have been cut.
    at: u64,
    /// The next block: its chunks, where each is known, and their bytes.
    table: Table,
    fresh: FxHashSet<ChunkKey>,
    plain: Vec<u8>,
}

impl Core {
    fn draft(&self) -> Draft {
        Draft {
            uses: self.drafts.begin(),
            at: 0,
            table: Vec::new(),
            fresh: FxHashSet::default(),
            plain: Vec::new(),
        }
    }

    /// Cuts `data` as far as it is certain where the cuts are, if it `is_last` to its end, and writes
    /// what is new. Returns the bytes that were cut.
    fn cut(&self, draft: &mut Draft, data: &[u8], is_last: bool) -> Result<usize> {
        let mut done = 0;
        let mut chunks: Table = Vec::with_capacity(AT_ONCE);
        loop {
            let first = done;
            while chunks.len() < AT_ONCE
                && done < data.len()
                && (is_last || data.len() - done >= window(draft.at))
            {
                let length = cut(&data[done..], draft.at);
                let chunk = &data[done..done + length];
                chunks.push((self.keyer.key(chunk), length as u32));
                done += length;
                draft.at += length as u64;
            }
            if chunks.is_empty() {
                break;
            }
            self.add_chunks(draft, &chunks, &data[first..done])?;
            chunks.clear();
        }
        if is_last {
            self.write_block(draft)?;
        }
        Ok(done)
    }

    /// Adds chunks whose bytes follow each other in `data`.
    fn add_chunks(&self, draft: &mut Draft, chunks: &[(ChunkKey, u32)], data: &[u8]) -> Result<()> {
        // First noted, then looked for: so a collection either sees the note or its round is seen.
        draft.uses.lock().extend(chunks.iter().map(|(key, _)| *key));
        let mut is_known = [false; AT_ONCE];
        {
            let index = self.index.read();
            for (is_known, (key, _)) in is_known.iter_mut().zip(chunks) {
                *is_known = index.chunks.take(key)?;
            }
        }
        let mut rest = data;
        let mut has_written = false;
        for (is_known, (key, length)) in is_known.into_iter().zip(chunks) {
            let (chunk, behind) = rest.split_at(*length as usize);
            rest = behind;
            let is_known = is_known
                || draft.fresh.contains(key)
                || has_written && self.index.read().chunks.take(key)?;
            if is_known {
                continue;
            }
            draft.fresh.insert(*key);
            draft.table.push((*key, *length));
            draft.plain.extend_from_slice(chunk);
            if draft.plain.len() >= BLOCK {
                self.write_block(draft)?;
                has_written = true;
            }
        }
        Ok(())
    }

    /// Cuts the next piece of a stream behind what `left` still has of those before, and leaves there what is
    /// not cut yet. Little of it is copied: what lies around the border.
    fn feed(&self, draft: &mut Draft, left: &mut Vec<u8>, piece: &[u8]) -> Result<()> {
        let mut taken = 0;
        while !left.is_empty() {
            let before = left.len();
            let more = window(draft.at).min(piece.len() - taken);
            left.extend_from_slice(&piece[taken..taken + more]);
            let done = self.cut(draft, left, false)?;
            match done.checked_sub(before) {
                Some(behind) => {
                    taken += behind;
                    left.clear();
                }
                None => {
                    taken += more;
                    left.drain(..done);
                    if taken == piece.len() {
                        return Ok(());
                    }
                }
            }
        }
        let rest = &piece[taken..];
        let done = self.cut(draft, rest, false)?;
        left.extend_from_slice(&rest[done..]);
        Ok(())
    }

    fn write_block(&self, draft: &mut Draft) -> Result<()> {
        if draft.table.is_empty() {
            return Ok(());
        }
        let body = block_body(&draft.table, &draft.plain, self.seal.as_ref())?;
        let parts = vec![body.front.as_slice(), &body.payload];
        let header = Header::of(Kind::Block, body.flags, &parts);
        let mut tail = self.log.tail.lock();
        let batch = [Pending {
            header,
            parts,
            is_moved: false,
        }];
        let (places, _) = self.log.append(&mut tail, &batch)?;
        let mut index = self.index.write();
        index.chunks.add_block(places[0], &draft.table)?;
        drop(index);
        drop(tail);
        self.note_records(records_like(draft.table.len()));
        draft.table.clear();
        draft.fresh.clear();
        draft.plain.clear();
        Ok(())
    }

    /// The record of a content; the chunks of a large one are written by then.
    pub(crate) fn prepare<'a>(&self, id: &ArtifactId, content: &'a [u8]) -> Result<Prepared<'a>> {
        if content.len() <= CHUNK_FROM {
            let body = content_body(id, content, self.seal.as_ref())?;
            return Ok(Prepared::new(body, None));
        }
        let mut draft = self.draft();
        self.cut(&mut draft, content, true)?;
        self.recipe(id, draft)
    }

    /// The digest of a huge content, which another thread makes, and what [`Self::cut`] has made of it meanwhile.
    pub(crate) fn digest_and_cut(&self, content: &[u8]) -> Result<(ArtifactId, Option<Draft>)> {
        if content.len() < APART {
            return Ok((ArtifactId::of(content), None));
        }
        let mut draft = self.draft();
        let mut digester = Digester::default();
        let cut = beside(
            || digester.update(content),
            || self.cut(&mut draft, content, true),
        );
        cut?;
        Ok((digester.finish(), Some(draft)))
    }

    pub(crate) fn recipe(&self, id: &ArtifactId, draft: Draft) -> Result<Prepared<'static>> {
        let body = recipe_body(id, draft.at, &draft.uses.lock(), self.seal.as_ref())?;
        Ok(Prepared::new(body, Some(draft)))
    }

    /// Begins a content that comes piece by piece.
    pub(crate) fn writer(&self, put: Put) -> Result<Writer> {
        if put.name.is_empty() {
            return Err(StoreError::BadInput("an artifact needs a name".into()));
        }
        Ok(self.begin(Purpose::Put(put)))
    }

    /// Begins to put a known content back.
    pub(crate) fn restorer(&self, id: ArtifactId) -> Result<Writer> {
        self.info(&id)?;
        Ok(self.begin(Purpose::Restore(id)))
    }

    fn begin(&self, purpose: Purpose) -> Writer {
        Writer {
            purpose,
            bytes: 0,
            digester: Digester::default(),
            head: Vec::new(),
            buffer: Vec::new(),
            draft: self.draft(),
        }
    }

    /// Takes the next piece.
    pub(crate) fn write(&self, writer: &mut Writer, data: &[u8]) -> Result<()> {
        writer.bytes += data.len() as u64;
        let wanted = HEAD - writer.head.len();
        writer
            .head
            .extend_from_slice(&data[..data.len().min(wanted)]);
        let Writer {
            digester,
            buffer,
            draft,
            ..
        } = writer;
        if data.len() >= APART {
            return beside(|| digester.update(data), || self.feed(draft, buffer, data));
        }
        data.chunks(PIECE).try_for_each(|piece| {
            digester.update(piece);
            self.feed(draft, buffer, piece)
        })
    }

    /// Stores what was written, durably; see [`Self::put`] and [`Self::restore`].
    pub(crate) fn finish(&self, writer: Writer) -> Result<ArtifactId> {
        let Writer {
            purpose,
            bytes,
            digester,
            head,
            buffer,
            mut draft,
        } = writer;
        let id = digester.finish();
        let put = match purpose {
            Purpose::Put(put) => put,
            Purpose::Restore(wanted) => {
                if id != wanted {
                    return Err(other_digest(&wanted));
                }
                let prepared = if draft.at == 0 && buffer.len() <= CHUNK_FROM {
                    self.prepare(&id, &buffer)?
                } else {
                    self.cut(&mut draft, &buffer, true)?;
                    self.recipe(&id, draft)?
                };
                self.restore_prepared(&id, bytes, &prepared)?;
                return Ok(id);
            }
        };
        let quality = self
            .scorers
            .score(&put.kind, &head, bytes > head.len() as u64);
        let known = Known {
            id,
            bytes,
            quality,
            text: None,
        };
        if draft.at == 0 && buffer.len() <= CHUNK_FROM {
            return self.put_known(known, &put, || {
                let body = content_body(&id, &buffer, self.seal.as_ref())?;
                Ok(Prepared::new(body, None))
            });
        }
        self.cut(&mut draft, &buffer, true)?;
        let mut draft = Some(draft);
        self.put_known(known, &put, || match draft.take() {
            Some(draft) => self.recipe(&id, draft),
            None => unreachable!("a content is prepared once"),
        })
    }
}

/// Runs `here`, and `there` on another thread meanwhile; where there is none to be had, one after the other.
fn beside<T>(there: impl FnOnce() + Send, here: impl FnOnce() -> T) -> T {
    let there = Mutex::new(Some(there));
    let run = || {
        let there = there.lock().take();
        if let Some(there) = there {
            there();
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("store-digest".into());
        let spawned = thread.spawn_scoped(scope, run);
        let done = here();
        if spawned.is_err() {
            run();
        }
        done
    })
}

/// What becomes of what is written.
enum Purpose {
    Put(Put),
    /// It is what this entry's bytes were.
    Restore(ArtifactId),
}

/// A content that is put piece by piece, see [`crate::Store::writer`] and [`crate::Store::restorer`]. Dropped
/// before it is finished, it leaves nothing but space that the next collection gives back.
pub struct Writer {
    purpose: Purpose,
    bytes: u64,
    digester: Digester,
    head: Vec<u8>,
    /// What is not cut yet.
    buffer: Vec<u8>,
    draft: Draft,
}

impl Writer {
    /// Bytes that were written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
