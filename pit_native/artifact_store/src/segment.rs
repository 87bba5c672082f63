//! One file of the log, and how its records are found again.

use crate::error::{Result, StoreError};
use crate::record::{HEADER, Header, Kind, MAGIC};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A segment's file.
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

/// What a scan meets.
pub(crate) enum Found<'a> {
    /// An intact record. Of a content only the first bytes of the body are kept.
    Record {
        header: Header,
        offset: u64,
        body: &'a [u8],
    },
    /// A record whose body does not match its checksum.
    DamagedBody { header: Header, offset: u64 },
    /// Bytes that are no record.
    DamagedHeader { offset: u64, length: u64 },
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a record.
    Clean,
    /// With the beginning of a record that was never acknowledged.
    Torn,
    /// With bytes that do not check out.
    Damaged,
}

/// The result of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Where the last record ends, and with it what counts of the file.
    pub(crate) good_until: u64,
    /// What comes after it.
    pub(crate) end: End,
}

/// Bytes of a content's body that a scan hands out: enough for a sealed prefix.
pub(crate) const KEPT: usize = 128;
const CHUNK: usize = 1 << 20;
/// The system takes a write page by page, at least.
const PAGE: u64 = 4096;

impl Segment {
    /// The name of a segment's file.
    pub(crate) fn file_name(number: u32) -> String {
        format!("{number:08}.log")
    }

    /// Opens a segment, or makes an empty one.
    pub(crate) fn open(folder: &Path, number: u32, is_new: bool) -> Result<Self> {
        let path = folder.join(Self::file_name(number));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(is_new)
            .mode(0o600)
            .open(&path)
            .map_err(|source| StoreError::Io {
                doing: "cannot open",
                path: path.clone(),
                source,
            })?;
        Ok(Self { number, path, file })
    }

    pub(crate) fn read_failed(&self, source: std::io::Error) -> StoreError {
        StoreError::Io {
            doing: "cannot read",
            path: self.path.clone(),
            source,
        }
    }

    pub(crate) fn length(&self) -> Result<u64> {
        Ok(self
            .file
            .metadata()
            .map_err(|error| self.read_failed(error))?
            .len())
    }

    /// The header at `offset`, or nothing when none is there.
    pub(crate) fn header_at(&self, offset: u64) -> Result<Option<Header>> {
        let mut bytes = [0; HEADER];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(Header::decode(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(self.read_failed(error)),
        }
    }

    /// Header and body at `offset`, or nothing when they do not check out.
    pub(crate) fn record_at(&self, offset: u64) -> Result<Option<(Header, Vec<u8>)>> {
        let Some(header) = self.header_at(offset)? else {
            return Ok(None);
        };
        if header.length > self.length()?.saturating_sub(offset + HEADER as u64) {
            return Ok(None);
        }
        let mut body = vec![0; header.length as usize];
        self.file
            .read_exact_at(&mut body, offset + HEADER as u64)
            .map_err(|error| self.read_failed(error))?;
        Ok((crc32fast::hash(&body) == header.body_crc).then_some((header, body)))
    }

    /// Reads every record from `from` on, at most to `until`, and checks each checksum.
    pub(crate) fn scan(
        &self,
        from: u64,
        until: Option<u64>,
        visit: &mut dyn FnMut(Found<'_>) -> Result<()>,
    ) -> Result<Scanned> {
        let length = until.map_or_else(|| self.length(), Ok)?;
        let mut offset = from;
        let mut body = Vec::new();
        while offset < length {
            let Some(header) = self.header_at(offset)? else {
                if self.is_cut_short(offset, HEADER as u64, length)? {
                    return Ok(Scanned {
                        good_until: offset,
                        end: End::Torn,
                    });
                }
                match self.next_record(offset + 1, length)? {
                    Some(next) => {
                        visit(Found::DamagedHeader {
                            offset,
                            length: next - offset,
                        })?;
                        offset = next;
                        continue;
                    }
                    None => return self.judge_tail(offset, length, visit),
                }
            };
            let end = offset.saturating_add(header.record_bytes());
            if end > length {
                return Ok(Scanned {
                    good_until: offset,
                    end: End::Torn,
                });
            }
            if self.read_body(&header, offset, &mut body)? {
                visit(Found::Record {
                    header,
                    offset,
                    body: &body,
                })?;
            } else if self.is_cut_short(offset + HEADER as u64, header.length, length)? {
                return Ok(Scanned {
                    good_until: offset,
                    end: End::Torn,
                });
            } else {
                visit(Found::DamagedBody { header, offset })?;
                if end == length {
                    return Ok(Scanned {
                        good_until: offset,
                        end: End::Damaged,
                    });
                }
            }
            offset = end;
        }
        Ok(Scanned {
            good_until: offset,
            end: End::Clean,
        })
    }

    /// Reads a body, keeps what the caller may see, and says whether its checksum is right.
    fn read_body(&self, header: &Header, offset: u64, body: &mut Vec<u8>) -> Result<bool> {
        let is_whole = header.kind != Kind::Content;
        let mut crc = crc32fast::Hasher::new();
        let mut chunk = vec![0; CHUNK.min(header.length as usize)];
        let mut at = 0;
        body.clear();
        while at < header.length {
            let count = CHUNK.min((header.length - at) as usize);
            let piece = &mut chunk[..count];
            self.file
                .read_exact_at(piece, offset + HEADER as u64 + at)
                .map_err(|error| self.read_failed(error))?;
            crc.update(piece);
            let kept = if is_whole {
                count
            } else {
                KEPT.saturating_sub(body.len()).min(count)
            };
            body.extend_from_slice(&piece[..kept]);
            at += count as u64;
        }
        Ok(crc.finalize() == header.body_crc)
    }

    /// Whether `size` bytes at `offset` are the beginning of what was to be written there, with nothing but the
    /// zeros that were there before from the end of some page on, up to `length`.
    fn is_cut_short(&self, offset: u64, size: u64, length: u64) -> Result<bool> {
        let last_page = (offset + size.max(1) - 1) / PAGE * PAGE;
        self.is_zero(last_page.max(offset).min(length), length)
    }

    /// What follows the last record and is none: the remains of an interrupted write, which are a part
    /// of a header, or damage.
    fn judge_tail(
        &self,
        offset: u64,
        length: u64,
        visit: &mut dyn FnMut(Found<'_>) -> Result<()>,
    ) -> Result<Scanned> {
        let rest = length - offset;
        if rest < HEADER as u64 {
            return Ok(Scanned {
                good_until: offset,
                end: End::Torn,
            });
        }
        visit(Found::DamagedHeader {
            offset,
            length: rest,
        })?;
        Ok(Scanned {
            good_until: offset,
            end: End::Damaged,
        })
    }

    fn is_zero(&self, from: u64, to: u64) -> Result<bool> {
        let mut at = from;
        let mut chunk = vec![0; CHUNK.min((to - from) as usize)];
        while at < to {
            let count = CHUNK.min((to - at) as usize);
            self.file
                .read_exact_at(&mut chunk[..count], at)
                .map_err(|error| self.read_failed(error))?;
            if chunk[..count].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += count as u64;
        }
        Ok(true)
    }

    /// Where the next valid header after a damaged one begins.
    fn next_record(&self, from: u64, length: u64) -> Result<Option<u64>> {
        let mut chunk = vec![0; CHUNK];
        let mut at = from;
        while at + HEADER as u64 <= length {
            let count = CHUNK.min((length - at) as usize);
            self.file
                .read_exact_at(&mut chunk[..count], at)
                .map_err(|error| self.read_failed(error))?;
            for index in 0..=count.saturating_sub(HEADER) {
                if chunk[index..].starts_with(&MAGIC)
                    && Header::decode(&chunk[index..count]).is_some()
                {
                    return Ok(Some(at + index as u64));
                }
            }
            // The next piece overlaps, for a header may lie across the border.
            at += (count - HEADER + 1) as u64;
        }
        Ok(None)
    }
}
