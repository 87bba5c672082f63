//! Reading contents back: whole, into memory of the caller, or piece by piece.

use crate::body::{open_payload, prefix_bytes, read_payload, read_prefix, room};
use crate::chunks::{CHUNK_FROM, ChunkKey, Table, read_block, read_keys};
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::log::Place;
use crate::pack::unpack;
use crate::record::{CHUNKED, COMPRESSED, HEADER, Header, Kind, SEALED};
use crate::seal::OVERHEAD;
use crate::segment::Segment;
use crate::types::{ArtifactId, Digester};
use std::collections::VecDeque;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What was read, or what does not match.
pub(crate) type Checked<T> = std::result::Result<T, String>;

/// Unpacked blocks that are kept while one content is read.
const BLOCKS: usize = 4;

/// The blocks that were read last.
#[derive(Default)]
struct Blocks(VecDeque<Unpacked>);

/// A block's chunks and their bytes. What follows a chunk in a content mostly follows it in its block, so most
/// chunks are found here and need not be looked for in the index.
struct Unpacked {
    table: Table,
    plain: Vec<u8>,
    /// The chunk that is looked for first, and where its bytes begin.
    next: usize,
    at: usize,
}

impl Unpacked {
    /// The bytes of a chunk, if they are here.
    fn find(&mut self, key: &ChunkKey) -> Option<Range<usize>> {
        let count = self.table.len();
        for _ in 0..count {
            if self.next == count {
                (self.next, self.at) = (0, 0);
            }
            let (here, length) = self.table[self.next];
            let range = self.at..self.at + length as usize;
            (self.next, self.at) = (self.next + 1, range.end);
            if here == *key {
                return Some(range);
            }
        }
        None
    }
}

impl Blocks {
    fn find(&mut self, key: &ChunkKey) -> Option<(usize, Range<usize>)> {
        let mut blocks = self.0.iter_mut().enumerate();
        blocks.find_map(|(number, block)| Some((number, block.find(key)?)))
    }
}

/// A place in a content that is read piece by piece, see [`crate::Store::cursor`].
pub struct Cursor {
    id: ArtifactId,
    bytes: u64,
    at: u64,
    source: Source,
    /// Digests what is read in order from the beginning on.
    digester: Digester,
    digested: u64,
}

enum Source {
    Whole(Vec<u8>),
    Chunks {
        keys: Vec<ChunkKey>,
        /// Where each chunk ends in the content.
        ends: Vec<u64>,
        blocks: Blocks,
        /// The chunk whose key was checked last.
        checked: usize,
    },
}

impl Cursor {
    /// Bytes of the whole content.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the next read begins.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Moves to `at`; at or behind the end nothing is read.
    pub fn seek(&mut self, at: u64) {
        self.at = at;
    }
}

impl Core {
    /// The plain content, its digest checked.
    pub(crate) fn get(&self, id: &ArtifactId) -> Result<Vec<u8>> {
        let Some(mut content) = room(self.size(id)?) else {
            return Err(larger_than_memory(id));
        };
        self.get_into(id, &mut content)?;
        Ok(content)
    }

    /// Bytes of a content that is here.
    pub(crate) fn size(&self, id: &ArtifactId) -> Result<usize> {
        usize::try_from(self.locate(id)?.1).map_err(|_| larger_than_memory(id))
    }

    /// Writes the plain content into `out`, which must be as long as it is, and checks its digest.
    pub(crate) fn get_into(&self, id: &ArtifactId, out: &mut [u8]) -> Result<()> {
        self.with_record(id, |segment, place| {
            self.read_content(segment, place, id, out)
        })
    }

    fn locate(&self, id: &ArtifactId) -> Result<(Place, u64)> {
        let index = self.index.read();
        let content = index
            .content(id)?
            .ok_or_else(|| StoreError::NotFound(id.to_string()))?;
        if index.is_remote(id)? {
            drop(index);
            let tier = self.tier_of(id)?;
            return Err(StoreError::Remote { id: *id, tier });
        }
        Ok((content.place, content.bytes))
    }

    /// Runs `step` on the record of a content. What does not check out is marked.
    fn with_record<T>(
        &self,
        id: &ArtifactId,
        mut step: impl FnMut(&Segment, Place) -> Result<Checked<T>>,
    ) -> Result<T> {
        loop {
            let (place, _) = self.locate(id)?;
            let Some(segment) = self.log.segment(place.segment) else {
                if self.locate(id)?.0 != place {
                    // Compaction moved it in this moment.
                    continue;
                }
                return self.damaged(id, "its record is lost".into());
            };
            return match step(&segment, place)? {
                Ok(read) => Ok(read),
                Err(detail) => {
                    let file = Segment::file_name(place.segment);
                    let detail = format!("{detail} (segments/{file}, byte {})", place.offset);
                    self.damaged(id, detail)
                }
            };
        }
    }

    fn damaged<T>(&self, id: &ArtifactId, detail: String) -> Result<T> {
        self.index.write().mark_damaged(id)?;
        Err(StoreError::Damaged { id: *id, detail })
    }

    /// Reads one content into `out` and checks it.
    pub(crate) fn read_content(
        &self,
        segment: &Segment,
        place: Place,
        id: &ArtifactId,
        out: &mut [u8],
    ) -> Result<Checked<()>> {
        let at = u64::from(place.offset);
        let seal = self.seal.as_ref();
        let flags = seal.map_or(0, |_| SEALED);
        let mut front = [0; HEADER + 40 + OVERHEAD];
        let front = &mut front[..HEADER + prefix_bytes(flags)];
        let mut sealed = vec![0; seal.map_or(0, |_| out.len().min(CHUNK_FROM) + OVERHEAD)];
        let first = out.len().min(CHUNK_FROM);
        // One read fetches front and payload together; a packed payload is shorter than the room.
        let room = if seal.is_some() {
            &mut sealed[..]
        } else {
            &mut out[..first]
        };
        let known = room.len();
        let count = read_both(segment, at, front, room)?;
        let Some(header) = Header::decode(front) else {
            return Ok(Err(
                "the header of its record does not match its checksum".into()
            ));
        };
        if header.kind == Kind::Content && header.flags & CHUNKED != 0 {
            return self.read_chunks(segment, place, id, out);
        }
        if header.flags & SEALED != flags {
            // It was put before the store was encrypted.
            let content = self.read_whole(segment, place, id, out.len() as u64)?;
            return Ok(content.map(|content| out.copy_from_slice(&content)));
        }
        let prefix = &front[HEADER..];
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if header.kind != Kind::Content || length < prefix.len() {
            return Ok(Err("its record is another one".into()));
        }
        if read_prefix(prefix, &header, seal) != Some((*id, out.len() as u64)) {
            return Ok(Err("the digest in its record is another one".into()));
        }
        let length = length - prefix.len();
        let most = out.len() + seal.map_or(0, |_| OVERHEAD);
        if length > most || length.min(known) > count.saturating_sub(front.len()) {
            return Ok(Err("its record is cut short".into()));
        }
        let payload_at = at + front.len() as u64;
        let is_read = if seal.is_some() {
            sealed.resize(length, 0);
            fill(segment, payload_at, &mut sealed, known)?
        } else {
            fill(segment, payload_at, &mut out[..length], known)?
        };
        let is_right = is_read
            && match (seal.is_some(), header.flags & COMPRESSED != 0) {
                (false, false) => length == out.len(),
                (false, true) => {
                    let packed = out[..length].to_vec();
                    unpack(&packed, out)
                }
                (true, is_packed) => {
                    let plain = open_payload(id, sealed, header.flags, seal);
                    plain.is_some_and(|plain| {
                        if is_packed {
                            return unpack(&plain, out);
                        }
                        let fits = plain.len() == out.len();
                        fits.then(|| out.copy_from_slice(&plain)).is_some()
                    })
                }
            };
        if is_right && ArtifactId::of(out) == *id {
            return Ok(Ok(()));
        }
        Ok(Err("its content does not match its SHA-256".into()))
    }

    /// Puts a chunked content together.
    fn read_chunks(
        &self,
        segment: &Segment,
        place: Place,
        id: &ArtifactId,
        out: &mut [u8],
    ) -> Result<Checked<()>> {
        let keys = match self.keys_at(segment, place, id)? {
            Ok(keys) => keys.unwrap_or_default(),
            Err(detail) => return Ok(Err(detail)),
        };
        let mut blocks = Blocks::default();
        let mut rest = &mut *out;
        for key in &keys {
            let chunk = match self.chunk(&mut blocks, key)? {
                Ok(chunk) => chunk,
                Err(detail) => return Ok(Err(detail)),
            };
            let Some((here, behind)) = rest.split_at_mut_checked(chunk.len()) else {
                return Ok(Err("its chunks are longer than it is".into()));
            };
            here.copy_from_slice(chunk);
            rest = behind;
        }
        if rest.is_empty() && ArtifactId::of(out) == *id {
            return Ok(Ok(()));
        }
        Ok(Err("its chunks do not match its SHA-256".into()))
    }

    /// See [`Self::keys_at`].
    pub(crate) fn keys(&self, id: &ArtifactId) -> Result<Option<Vec<ChunkKey>>> {
        self.with_record(id, |segment, place| self.keys_at(segment, place, id))
    }

    /// The keys of a content's chunks; nothing when it is stored in one piece.
    pub(crate) fn keys_at(
        &self,
        segment: &Segment,
        place: Place,
        id: &ArtifactId,
    ) -> Result<Checked<Option<Vec<ChunkKey>>>> {
        let at = u64::from(place.offset);
        match segment.header_at(at)? {
            Some(header) if header.kind == Kind::Content && header.flags & CHUNKED == 0 => {
                return Ok(Ok(None));
            }
            _ => {}
        }
        let seal = self.seal.as_ref();
        let keys = segment.record_at(at)?.and_then(|(header, body)| {
            let (prefix, payload) = body.split_at_checked(prefix_bytes(header.flags))?;
            let (read_id, _) = read_prefix(prefix, &header, seal)?;
            let payload = open_payload(id, payload.to_vec(), header.flags, seal)?;
            (header.kind == Kind::Content && read_id == *id).then(|| read_keys(&payload))?
        });
        Ok(keys
            .map(Some)
            .ok_or_else(|| "the record of its chunks does not check out".into()))
    }

    /// One chunk, from the blocks at hand or from the log. Only its block's checksum is checked.
    fn chunk<'a>(&self, blocks: &'a mut Blocks, key: &ChunkKey) -> Result<Checked<&'a [u8]>> {
        let found = match blocks.find(key) {
            Some(found) => Some(found),
            None => {
                if let Err(detail) = self.fetch_block(blocks, key)? {
                    return Ok(Err(detail));
                }
                blocks.find(key)
            }
        };
        let chunk = found.and_then(|(number, range)| blocks.0[number].plain.get(range));
        Ok(chunk.ok_or_else(|| "the block of one of its chunks is another one".into()))
    }

    /// Reads the block that a chunk lies in.
    fn fetch_block(&self, blocks: &mut Blocks, key: &ChunkKey) -> Result<Checked<()>> {
        let place_of = || -> Result<Option<Place>> {
            let index = self.index.read();
            let spot = index.chunks.find(key)?;
            Ok(spot.map(|spot| index.chunks.blocks[spot.block as usize].place))
        };
        let (place, segment) = loop {
            let Some(place) = place_of()? else {
                return Ok(Err("one of its chunks is lost".into()));
            };
            if let Some(segment) = self.log.segment(place.segment) {
                break (place, segment);
            }
            if place_of()? == Some(place) {
                return Ok(Err("the segment of one of its chunks is lost".into()));
            }
            // Compaction moved it in this moment.
        };
        let record = segment.record_at(u64::from(place.offset))?;
        let read = record
            .filter(|(header, _)| header.kind == Kind::Block)
            .and_then(|(header, body)| read_block(&body, header.flags, self.seal.as_ref()));
        let Some((table, plain)) = read else {
            self.index.write().chunks.mark_damaged(key, place)?;
            return Ok(Err(format!(
                "its chunks in segments/{}, byte {}, do not check out",
                Segment::file_name(place.segment),
                place.offset
            )));
        };
        if blocks.0.len() == BLOCKS {
            blocks.0.pop_front();
        }
        blocks.0.push_back(Unpacked {
            table,
            plain,
            next: 0,
            at: 0,
        });
        Ok(Ok(()))
    }

    /// A cursor at the beginning of a content.
    pub(crate) fn cursor(&self, id: &ArtifactId) -> Result<Cursor> {
        let keys = self.keys(id)?;
        let bytes = self.locate(id)?.1;
        let source = match keys {
            None => Source::Whole(self.get(id)?),
            Some(keys) => {
                let ends = {
                    let index = self.index.read();
                    let mut end = 0;
                    let step = |key| -> Result<Option<u64>> {
                        let Some(spot) = index.chunks.find(key)? else {
                            return Ok(None);
                        };
                        end += u64::from(spot.length);
                        Ok(Some(end))
                    };
                    keys.iter()
                        .map(step)
                        .collect::<Result<Option<Vec<u64>>>>()?
                };
                match ends {
                    Some(ends) if ends.last() == Some(&bytes) => Source::Chunks {
                        keys,
                        ends,
                        blocks: Blocks::default(),
                        checked: usize::MAX,
                    },
                    _ => return self.damaged(id, "some of its chunks are lost".into()),
                }
            }
        };
        Ok(Cursor {
            id: *id,
            bytes,
            at: 0,
            source,
            digester: Digester::default(),
            digested: 0,
        })
    }

    /// Reads on; returns the number of bytes, 0 at the end. Each chunk is checked against its key, and
    /// what is read in order from the beginning to the end against the digest.
    pub(crate) fn read(&self, cursor: &mut Cursor, out: &mut [u8]) -> Result<usize> {
        let rest = usize::try_from(cursor.bytes.saturating_sub(cursor.at)).unwrap_or(usize::MAX);
        let wanted = rest.min(out.len());
        let out = &mut out[..wanted];
        if wanted == 0 {
            return Ok(0);
        }
        if let Err(detail) = self.read_pieces(cursor, out)? {
            // It may have been removed since the cursor was made.
            self.locate(&cursor.id)?;
            return self.damaged(&cursor.id, detail);
        }
        if cursor.at == cursor.digested {
            cursor.digester.update(out);
            cursor.digested += wanted as u64;
            if cursor.digested == cursor.bytes && cursor.digester.clone().finish() != cursor.id {
                return self.damaged(&cursor.id, "its content does not match its SHA-256".into());
            }
        }
        cursor.at += wanted as u64;
        Ok(wanted)
    }

    fn read_pieces(&self, cursor: &mut Cursor, out: &mut [u8]) -> Result<Checked<()>> {
        let (keys, ends, blocks, checked) = match &mut cursor.source {
            Source::Whole(content) => {
                let from = cursor.at as usize;
                out.copy_from_slice(&content[from..from + out.len()]);
                return Ok(Ok(()));
            }
            Source::Chunks {
                keys,
                ends,
                blocks,
                checked,
            } => (keys, ends, blocks, checked),
        };
        let mut done = 0;
        while done < out.len() {
            let at = cursor.at + done as u64;
            let number = ends.partition_point(|end| *end <= at);
            let chunk = match self.chunk(blocks, &keys[number])? {
                Ok(chunk) => chunk,
                Err(detail) => return Ok(Err(detail)),
            };
            let left = (ends[number] - at) as usize;
            if *checked != number && self.keyer.key(chunk) != keys[number] || left > chunk.len() {
                return Ok(Err("one of its chunks is another one".into()));
            }
            *checked = number;
            let count = left.min(out.len() - done);
            let from = chunk.len() - left;
            out[done..done + count].copy_from_slice(&chunk[from..from + count]);
            done += count;
        }
        Ok(Ok(()))
    }

    /// The first bytes of a content, `limit` of them at most, to be searched and shown. They are checked
    /// against the checksums of the log, not against the digest of the whole, as which they are not given.
    pub(crate) fn head(&self, id: &ArtifactId, limit: usize) -> Result<Vec<u8>> {
        let whole = self.with_record(id, |segment, place| self.whole_at(segment, place, id))?;
        if let Some(mut content) = whole {
            content.truncate(limit);
            return Ok(content);
        }
        let mut cursor = self.cursor(id)?;
        let size = usize::try_from(cursor.bytes).unwrap_or(usize::MAX);
        let mut head = vec![0; size.min(limit)];
        if size > limit {
            // What is not read to its end needs no digest.
            cursor.digested = u64::MAX;
        }
        self.read(&mut cursor, &mut head)?;
        Ok(head)
    }

    /// A content that is stored in one piece; nothing when it is one of chunks.
    fn whole_at(
        &self,
        segment: &Segment,
        place: Place,
        id: &ArtifactId,
    ) -> Result<Checked<Option<Vec<u8>>>> {
        let Some((header, mut body)) = segment.record_at(u64::from(place.offset))? else {
            return Ok(Err("its record does not match its checksum".into()));
        };
        if header.kind == Kind::Content && header.flags & CHUNKED != 0 {
            return Ok(Ok(None));
        }
        let seal = self.seal.as_ref();
        let front = prefix_bytes(header.flags);
        let prefix = body.get(..front);
        let bytes = match prefix.and_then(|prefix| read_prefix(prefix, &header, seal)) {
            Some((found, bytes)) if header.kind == Kind::Content && found == *id => bytes,
            _ => return Ok(Err("the digest in its record is another one".into())),
        };
        let content = read_payload(id, body.split_off(front), bytes, header.flags, seal);
        Ok(content
            .map(Some)
            .ok_or_else(|| "its content does not unpack".into()))
    }

    /// Reads a content to its end and keeps nothing of it; returns its length.
    pub(crate) fn check(&self, id: &ArtifactId) -> Result<u64> {
        let mut cursor = self.cursor(id)?;
        let mut piece = vec![0; 256 << 10];
        while self.read(&mut cursor, &mut piece)? > 0 {}
        Ok(cursor.bytes)
    }
}

fn larger_than_memory(id: &ArtifactId) -> StoreError {
    StoreError::BadInput(format!("{id} is larger than memory; read it in pieces"))
}

/// Reads the rest of a payload of which `known` bytes are there. False when the file ends before.
fn fill(segment: &Segment, at: u64, payload: &mut [u8], known: usize) -> Result<bool> {
    if payload.len() <= known {
        return Ok(true);
    }
    match segment
        .file
        .read_exact_at(&mut payload[known..], at + known as u64)
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(segment.read_failed(error)),
    }
}

/// Fills `front`, then as much of `back` as the file holds. Returns the bytes read.
fn read_both(segment: &Segment, at: u64, front: &mut [u8], back: &mut [u8]) -> Result<usize> {
    let wanted = front.len() + back.len();
    let mut slices = [
        std::io::IoSliceMut::new(front),
        std::io::IoSliceMut::new(back),
    ];
    let mut count = match rustix::io::preadv(&segment.file, &mut slices, at) {
        Ok(count) => count,
        Err(rustix::io::Errno::INTR) => 0,
        Err(error) => return Err(segment.read_failed(error.into())),
    };
    // A short read is the end of the file, or an interrupted one of a large content.
    while count < wanted {
        let piece = match count.checked_sub(front.len()) {
            Some(done) => &mut back[done..],
            None => &mut front[count..],
        };
        match segment.file.read_at(piece, at + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(segment.read_failed(error)),
        }
    }
    Ok(count)
}
