//! An append-only file of records, each under a checksum, that tolerates a torn tail.
//!
//! Layout: an eight-byte magic, then records of `length: u32`, `crc32: u32` (of length and payload,
//! little-endian) and the payload. A record that is cut off or does not match ends the log: it was
//! being written when the process or the machine died.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

const HEADER: usize = 8;
/// A record above this was never written by us.
const MAX_RECORD: u32 = 1 << 30;

/// Why a log cannot be used.
#[derive(Debug, Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file begins with something else.
    #[error("{path} is not a {expected} log")]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What it should have been.
        expected: String,
    },
}

/// The records of a log, and where the good part ends.
#[derive(Debug, Default)]
pub struct Records {
    /// The payloads in order.
    pub payloads: Vec<Vec<u8>>,
    /// Bytes up to the end of the last good record; 0 when not even the magic is whole.
    pub good: u64,
    /// Bytes after that, which a crash left behind.
    pub torn: u64,
}

/// Reads the good records of the log at `path`.
pub fn read_records(path: &Path, magic: &[u8; 8]) -> Result<Records, LogError> {
    let fail = |source| LogError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(fail)?;
    if bytes.len() < magic.len() {
        if !magic.starts_with(&bytes) {
            return Err(not_a_log(path, magic));
        }
        return Ok(Records {
            torn: bytes.len() as u64,
            ..Records::default()
        });
    }
    if &bytes[..magic.len()] != magic {
        return Err(not_a_log(path, magic));
    }
    let mut records = Records {
        good: magic.len() as u64,
        ..Records::default()
    };
    let mut at = magic.len();
    while let Some(payload) = record_at(&bytes, at) {
        at += HEADER + payload.len();
        records.payloads.push(payload.to_vec());
        records.good = at as u64;
    }
    records.torn = bytes.len() as u64 - records.good;
    Ok(records)
}

fn not_a_log(path: &Path, magic: &[u8; 8]) -> LogError {
    let expected = String::from_utf8_lossy(magic).trim_end().to_owned();
    LogError::NotALog {
        path: path.to_owned(),
        expected,
    }
}

fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = bytes.get(at..at + HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().ok()?);
    let checksum = u32::from_le_bytes(header[4..].try_into().ok()?);
    if length > MAX_RECORD {
        return None;
    }
    let payload = bytes.get(at + HEADER..at + HEADER + length as usize)?;
    (checksum_of(length, payload) == checksum).then_some(payload)
}

fn checksum_of(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The writing end. Records are collected by [`RecordLog::push`] and written by [`RecordLog::flush`]
/// in one system call.
#[derive(Debug)]
pub struct RecordLog {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    length: u64,
}

impl RecordLog {
    /// Begins a log; what was at `path` is replaced.
    pub fn create(path: &Path, magic: &[u8; 8]) -> Result<Self, LogError> {
        let fail = |source| LogError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .read(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(fail)?;
        file.write_all(magic).map_err(fail)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            buffer: Vec::new(),
            length: magic.len() as u64,
        })
    }

    /// Goes on with the log at `path` after its last good record; begins one when there is none.
    pub fn open(path: &Path, magic: &[u8; 8]) -> Result<(Self, Records), LogError> {
        if !path.exists() {
            return Ok((Self::create(path, magic)?, Records::default()));
        }
        let records = read_records(path, magic)?;
        if records.good == 0 {
            return Ok((Self::create(path, magic)?, records));
        }
        let fail = |source| LogError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .read(true)
            .open(path)
            .map_err(fail)?;
        file.set_len(records.good).map_err(fail)?;
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        let length = records.good;
        Ok((
            Self {
                path: path.to_owned(),
                file,
                buffer: Vec::new(),
                length,
            },
            records,
        ))
    }

    /// Adds a record to what the next flush writes.
    pub fn push(&mut self, payload: &[u8]) {
        let length = payload.len() as u32;
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer
            .extend_from_slice(&checksum_of(length, payload).to_le_bytes());
        self.buffer.extend_from_slice(payload);
    }

    /// Whether records wait for a flush.
    pub fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Hands all records to the kernel: from then on they survive this process.
    ///
    /// On an error the file is cut back to its last whole record, so that a full disk tears nothing.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(&self.buffer) {
            self.buffer.clear();
            // When even this fails, readers stop at the torn record.
            let _ = self
                .file
                .set_len(self.length)
                .and_then(|()| self.file.seek(SeekFrom::End(0)));
            return Err(LogError::Io {
                path: self.path.clone(),
                source,
            });
        }
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Waits until everything flushed so far is on the disk.
    pub fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|source| LogError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// A second handle on the file, for a thread that syncs it.
    pub fn handle(&self) -> Result<File, LogError> {
        self.file.try_clone().map_err(|source| LogError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// Bytes written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the log lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: &[u8; 8] = b"SYMTEST1";

    fn written(folder: &Path) -> (PathBuf, Vec<Vec<u8>>, Vec<u64>) {
        let path = folder.join("log");
        let mut log = RecordLog::create(&path, MAGIC).unwrap();
        let payloads: Vec<Vec<u8>> = (0..6u8).map(|i| vec![i; i as usize * 7]).collect();
        let mut ends = vec![log.length()];
        for payload in &payloads {
            log.push(payload);
            log.flush().unwrap();
            ends.push(log.length());
        }
        (path, payloads, ends)
    }

    #[test]
    fn a_log_cut_anywhere_keeps_its_whole_records_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (path, payloads, ends) = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            let torn = folder.path().join(format!("cut-{cut}"));
            std::fs::write(&torn, &whole[..cut]).unwrap();
            let (mut log, records) = RecordLog::open(&torn, MAGIC).unwrap();
            let kept = ends
                .iter()
                .filter(|&&end| end <= cut as u64)
                .count()
                .saturating_sub(1);
            assert_eq!(records.payloads, payloads[..kept], "cut at {cut}");
            log.push(b"after");
            log.flush().unwrap();
            let again = read_records(&torn, MAGIC).unwrap();
            assert_eq!((again.payloads.len(), again.torn), (kept + 1, 0));
            assert_eq!(again.payloads[kept], b"after");
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_log_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, payloads, ends) = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for byte in MAGIC.len()..whole.len() {
            let mut bytes = whole.clone();
            bytes[byte] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let intact = ends.iter().filter(|&&end| end <= byte as u64).count() - 1;
            assert_eq!(
                read_records(&path, MAGIC).unwrap().payloads,
                payloads[..intact]
            );
        }
    }

    #[test]
    fn another_file_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, "hello, world").unwrap();
        assert!(matches!(
            read_records(&path, MAGIC),
            Err(LogError::NotALog { .. })
        ));
    }
}
