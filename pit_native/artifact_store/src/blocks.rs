//! A file of blocks that are checked, and opened when they are sealed, each time that they are read.
//!
//! A block is [`BLOCK`] bytes on the disk, so that a bit that has flipped is told from one that has not
//! wherever and whenever it is read, and its purpose names file and number, so that no block stands for
//! another one:
//!
//! ```text
//! plain:  payload | zeros | CRC-32 of all before and of the purpose 4
//! sealed: nonce 12 | payload under AES-256-GCM with the purpose as its associated data | tag 16
//! ```

use crate::error::{Result, StoreError};
use crate::seal::{OVERHEAD, Seal};
use parking_lot::Mutex;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 4096;
/// Bytes of its payload.
pub(crate) const ROOM: usize = BLOCK - OVERHEAD;
/// Blocks that are kept in memory, at most.
const KEPT: usize = 1024;
/// Blocks that are read at once where many follow each other.
const RUN: u32 = 64;

/// Which block of which file.
fn purpose(generation: u64, number: u32) -> [u8; 20] {
    let mut purpose = *b"SyBlock\x01............";
    purpose[8..16].copy_from_slice(&generation.to_le_bytes());
    purpose[16..].copy_from_slice(&number.to_le_bytes());
    purpose
}

fn crc_of(body: &[u8], purpose: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(body);
    crc.update(purpose);
    crc.finalize().to_le_bytes()
}

/// Writes a file of blocks from its beginning to its end.
pub(crate) struct BlockWriter<'a> {
    file: BufWriter<&'a File>,
    seal: Option<&'a Seal>,
    generation: u64,
    number: u32,
    payload: Vec<u8>,
}

impl<'a> BlockWriter<'a> {
    pub(crate) fn new(file: &'a File, generation: u64, seal: Option<&'a Seal>) -> Self {
        Self {
            file: BufWriter::with_capacity(64 * BLOCK, file),
            seal,
            generation,
            number: 0,
            payload: Vec::with_capacity(ROOM),
        }
    }

    /// The block that the next row goes to, if it fits, and the bytes that are in it.
    pub(crate) fn position(&self) -> (u32, usize) {
        (self.number, self.payload.len())
    }

    /// Adds a row, which lies in one block.
    pub(crate) fn row(&mut self, row: &[u8]) -> Result<()> {
        if self.payload.len() + row.len() > ROOM {
            self.end_block()?;
        }
        self.payload.extend_from_slice(row);
        Ok(())
    }

    /// Adds bytes, which may go on in the next block.
    pub(crate) fn stream(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.payload.len() == ROOM {
                self.end_block()?;
            }
            let count = bytes.len().min(ROOM - self.payload.len());
            self.payload.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// What comes next begins in a block of its own.
    pub(crate) fn end_block(&mut self) -> Result<()> {
        if self.payload.is_empty() {
            return Ok(());
        }
        self.payload.resize(ROOM, 0);
        let purpose = purpose(self.generation, self.number);
        let sealed;
        let block = match self.seal {
            Some(seal) => {
                sealed = seal.seal(&self.payload, &purpose)?;
                &sealed
            }
            None => {
                self.payload.resize(BLOCK - 4, 0);
                let crc = crc_of(&self.payload, &purpose);
                self.payload.extend_from_slice(&crc);
                &self.payload
            }
        };
        self.file.write_all(block).map_err(write_failed)?;
        self.payload.clear();
        self.number += 1;
        Ok(())
    }

    /// Ends the last block, then writes what is no block.
    pub(crate) fn finish(mut self, rest: &[&[u8]]) -> Result<()> {
        self.end_block()?;
        for part in rest {
            self.file.write_all(part).map_err(write_failed)?;
        }
        self.file.flush().map_err(write_failed)
    }
}

/// The path is added by whoever knows it.
fn write_failed(source: std::io::Error) -> StoreError {
    crate::log::write_error(PathBuf::new(), Path::new(""), source)
}

/// Rows of one size that follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) first: u32,
    pub(crate) rows: u32,
}

/// Rows of `size` bytes in a block.
pub(crate) const fn rows_in_block(size: usize) -> u32 {
    (ROOM / size) as u32
}

impl Section {
    /// The block after its last.
    pub(crate) fn end(self, size: usize) -> Option<u32> {
        self.first
            .checked_add(self.rows.div_ceil(rows_in_block(size)))
    }
}

/// A number and the payload that was read last in its slot.
type Slot = Mutex<Option<(u32, Box<[u8]>)>>;

/// A file of blocks, opened.
pub(crate) struct Blocks {
    file: File,
    path: PathBuf,
    generation: u64,
    count: u32,
    seal: Option<Seal>,
    slots: Box<[Slot]>,
}

impl Blocks {
    /// The first `count` blocks of `file`. Nothing is read.
    pub(crate) fn new(
        file: File,
        path: &Path,
        generation: u64,
        count: u32,
        seal: Option<Seal>,
    ) -> Self {
        let slots = KEPT.min(count as usize).max(1);
        Self {
            file,
            path: path.to_path_buf(),
            generation,
            count,
            seal,
            slots: (0..slots).map(|_| Slot::default()).collect(),
        }
    }

    /// What is told of a file that does not say what it said when it was opened.
    pub(crate) fn damaged(&self, detail: &'static str) -> StoreError {
        StoreError::Io {
            doing: "cannot use, until the store is opened again and builds it anew,",
            path: self.path.clone(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, detail),
        }
    }

    fn read(&self, number: u32, bytes: &mut [u8]) -> Result<()> {
        let at = u64::from(number) * BLOCK as u64;
        self.file
            .read_exact_at(bytes, at)
            .map_err(|source| StoreError::Io {
                doing: "cannot read",
                path: self.path.clone(),
                source,
            })
    }

    /// Runs `look` on the payload of a block that was read from the disk.
    fn checked<T>(&self, number: u32, block: &[u8], look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let purpose = purpose(self.generation, number);
        match &self.seal {
            Some(seal) => match seal.open(block, &purpose) {
                Some(payload) => Ok(look(&payload)),
                None => Err(self.damaged("a block does not open with its key")),
            },
            None => {
                let (body, crc) = block.split_at(BLOCK - 4);
                if crc_of(body, &purpose) != crc {
                    return Err(self.damaged("a block does not match its checksum"));
                }
                Ok(look(&body[..ROOM]))
            }
        }
    }

    /// Runs `look` on the payload of a block, from memory or from the disk.
    pub(crate) fn with<T>(&self, number: u32, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        if number >= self.count {
            return Err(self.damaged("a row lies behind the end"));
        }
        let mut slot = self.slots[number as usize % self.slots.len()].lock();
        if let Some((kept, payload)) = &*slot
            && *kept == number
        {
            return Ok(look(payload));
        }
        let mut block = [0; BLOCK];
        self.read(number, &mut block)?;
        let payload: Box<[u8]> = self.checked(number, &block, |payload| payload.into())?;
        let result = look(&payload);
        *slot = Some((number, payload));
        Ok(result)
    }

    /// A row of a section.
    pub(crate) fn row<const N: usize>(&self, section: Section, row: u32) -> Result<[u8; N]> {
        if row >= section.rows {
            return Err(self.damaged("there is no such row"));
        }
        let per_block = rows_in_block(N);
        let at = (row % per_block) as usize * N;
        let found = self.with(section.first + row / per_block, |payload| {
            payload[at..].first_chunk::<N>().copied()
        })?;
        found.ok_or_else(|| self.damaged("there is no such row"))
    }

    /// Bytes of what was written as a stream from block `first` on.
    pub(crate) fn stream(&self, first: u32, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut at = at;
        while bytes.len() < length {
            let number = u32::try_from(u64::from(first) + at / ROOM as u64)
                .map_err(|_| self.damaged("a text lies behind the end"))?;
            let from = (at % ROOM as u64) as usize;
            let count = (length - bytes.len()).min(ROOM - from);
            self.with(number, |payload| {
                bytes.extend_from_slice(&payload[from..from + count]);
            })?;
            at += count as u64;
        }
        Ok(bytes)
    }

    /// Visits the payloads of the blocks from `first` to before `end`, without keeping them.
    pub(crate) fn visit(
        &self,
        first: u32,
        end: u32,
        mut visit: impl FnMut(u32, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if end > self.count {
            return Err(self.damaged("a section ends behind the end"));
        }
        let mut run = vec![0; RUN as usize * BLOCK];
        let mut number = first;
        while number < end {
            let count = RUN.min(end - number);
            let run = &mut run[..count as usize * BLOCK];
            self.read(number, run)?;
            for block in run.chunks_exact(BLOCK) {
                self.checked(number, block, |payload| visit(number, payload))??;
                number += 1;
            }
        }
        Ok(())
    }

    /// Visits the rows of a section in their order.
    pub(crate) fn visit_rows<const N: usize>(
        &self,
        section: Section,
        mut visit: impl FnMut(u32, &[u8; N]) -> Result<()>,
    ) -> Result<()> {
        let end = section
            .end(N)
            .ok_or_else(|| self.damaged("a section ends behind the end"))?;
        let per_block = rows_in_block(N);
        self.visit(section.first, end, |number, payload| {
            let first = (number - section.first) * per_block;
            let rows = payload.as_chunks::<N>().0.iter();
            for (row, bytes) in (first..section.rows.min(first + per_block)).zip(rows) {
                visit(row, bytes)?;
            }
            Ok(())
        })
    }

    /// Reads every block; an error when one does not check out.
    pub(crate) fn check(&self) -> Result<()> {
        self.visit(0, self.count, |_, _| Ok(()))
    }
}
