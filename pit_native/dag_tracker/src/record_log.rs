//! An append-only file of numbered records, each under checksums: a torn tail is cut, damage is told.
//!
//! Layout: seven bytes of name and the form's digit, then records, all numbers little-endian. In the
//! form `2` a record is `length: u32`, `number: u32` from zero, `crc32: u32` of the payload, `crc32: u32`
//! of these twelve bytes, and the payload. The second checksum tells a record that was cut off, whose
//! length is to be believed, from one whose length is not; the number tells that none before is missing.
//! Logs in the form `1` (`length`, `crc32` of length and payload, payload) are read and gone on with.
//!
//! A process that dies leaves the beginning of what it wrote, a machine that loses power zeros in place
//! of its end. Only that is a torn tail; all else that does not verify was changed after it was written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::record_form::{Form, Read as Found};

/// What a log begins with, without the digit of its form.
pub type LogName = [u8; 7];

const MAGIC: u64 = 8;

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
    /// Bytes were changed or lost after they were written.
    #[error("{path} is damaged at byte {offset}: record {number} {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first record begins that is not as it was written.
        offset: u64,
        /// Which record that is, from zero.
        number: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Whether the system said that there is no room, rather than that it failed.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The records of a log, and where the good part ends.
#[derive(Debug, Default)]
pub struct Records {
    /// The payloads in order.
    pub payloads: Vec<Vec<u8>>,
    /// Bytes up to the end of the last good record; 0 when not even the name is whole.
    pub good: u64,
    /// Bytes after that, which a crash left behind.
    pub torn: u64,
}

/// Reads the records of the log at `path`. Raises [`LogError::Damaged`] rather than leave one out.
pub fn read_records(path: &Path, name: &LogName) -> Result<Records, LogError> {
    read_form(path, name).map(|(records, _)| records)
}

fn read_form(path: &Path, name: &LogName) -> Result<(Records, Form), LogError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|source| io_error(path, source))?;
    parse(path, &bytes, name)
}

/// Reads `bytes`, which lie at `path`.
fn parse(path: &Path, bytes: &[u8], name: &LogName) -> Result<(Records, Form), LogError> {
    let head = &bytes[..bytes.len().min(name.len())];
    if !name.starts_with(head) {
        return Err(not_a_log(path, name));
    }
    let mut records = Records::default();
    let Some(&digit) = bytes.get(name.len()) else {
        records.torn = bytes.len() as u64;
        return Ok((records, Form::NEW));
    };
    let form = Form::of(digit).ok_or_else(|| not_a_log(path, name))?;
    records.good = MAGIC;
    loop {
        let number = records.payloads.len() as u32;
        match form.read(bytes, records.good as usize, number) {
            Found::Record(payload) => {
                records.good += (form.header() + payload.len()) as u64;
                records.payloads.push(payload.to_vec());
            }
            Found::Torn => break,
            Found::Damaged(reason) => {
                return Err(LogError::Damaged {
                    path: path.to_owned(),
                    offset: records.good,
                    number,
                    reason,
                });
            }
        }
    }
    records.torn = bytes.len() as u64 - records.good;
    Ok((records, form))
}

fn not_a_log(path: &Path, name: &LogName) -> LogError {
    LogError::NotALog {
        path: path.to_owned(),
        expected: String::from_utf8_lossy(name).into_owned(),
    }
}

fn io_error(path: &Path, source: io::Error) -> LogError {
    LogError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The writing end. Records are collected by [`RecordLog::push`] and written by [`RecordLog::flush`]
/// in one system call.
#[derive(Debug)]
pub struct RecordLog {
    path: PathBuf,
    file: File,
    form: Form,
    buffer: Vec<u8>,
    /// Bytes and records in the file.
    length: u64,
    count: u32,
    /// Records in the buffer.
    waiting: u32,
    /// Whether part of a record may be behind `length`.
    is_torn: bool,
}

impl RecordLog {
    /// Begins a log; what was at `path` is replaced.
    pub fn create(path: &Path, name: &LogName) -> Result<Self, LogError> {
        let mut file = OpenOptions::new()
            .write(true)
            .read(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|source| io_error(path, source))?;
        file.write_all(&[name.as_slice(), &[Form::NEW.digit()]].concat())
            .map_err(|source| io_error(path, source))?;
        Ok(Self::around(path, file, Form::NEW, MAGIC, 0))
    }

    /// Goes on with the log at `path` after its last record, cutting a torn tail; begins one when there
    /// is none. Leaves a damaged one as it is and raises [`LogError::Damaged`].
    pub fn open(path: &Path, name: &LogName) -> Result<(Self, Records), LogError> {
        if !path.exists() {
            return Ok((Self::create(path, name)?, Records::default()));
        }
        let (records, form) = read_form(path, name)?;
        if records.good == 0 {
            return Ok((Self::create(path, name)?, records));
        }
        let mut file = OpenOptions::new()
            .write(true)
            .read(true)
            .open(path)
            .map_err(|source| io_error(path, source))?;
        file.set_len(records.good)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(|source| io_error(path, source))?;
        let count = records.payloads.len() as u32;
        Ok((Self::around(path, file, form, records.good, count), records))
    }

    fn around(path: &Path, file: File, form: Form, length: u64, count: u32) -> Self {
        Self {
            path: path.to_owned(),
            file,
            form,
            buffer: Vec::new(),
            length,
            count,
            waiting: 0,
            is_torn: false,
        }
    }

    /// Adds a record to what the next flush writes.
    pub fn push(&mut self, payload: &[u8]) {
        let number = self.count.wrapping_add(self.waiting);
        self.form.write(&mut self.buffer, number, payload);
        self.waiting += 1;
    }

    /// Whether records wait for a flush.
    pub fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Hands all records to the kernel: from then on they survive this process.
    ///
    /// On an error the file is cut back to its last whole record, so that a full disk tears nothing;
    /// the records that waited are gone.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.cut().and_then(|()| {
            self.is_torn = true;
            self.file.write_all(&self.buffer)
        });
        let (bytes, records) = (self.buffer.len() as u64, self.waiting);
        self.buffer.clear();
        self.waiting = 0;
        if let Err(source) = written {
            // When even this fails, the next flush tries it again before it writes.
            let _ = self.cut();
            return Err(io_error(&self.path, source));
        }
        self.is_torn = false;
        self.length += bytes;
        self.count = self.count.wrapping_add(records);
        Ok(())
    }

    /// Removes what a failed write left.
    fn cut(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::End(0))?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Writes what the file holds once more in its place. After a sync that failed a system may count pages as
    /// written that are not; those that are written anew are covered by the next sync.
    pub fn renew(&mut self) -> Result<(), LogError> {
        let mut written = Vec::new();
        self.file
            .rewind()
            .and_then(|()| self.file.read_to_end(&mut written))
            .and_then(|_| self.file.rewind())
            .and_then(|()| self.file.write_all(&written))
            .and_then(|()| self.file.seek(SeekFrom::Start(self.length)).map(drop))
            .map_err(|source| io_error(&self.path, source))
    }

    /// Waits until everything flushed so far is on the disk.
    pub fn sync(&self) -> Result<(), LogError> {
        self.file
            .sync_data()
            .map_err(|source| io_error(&self.path, source))
    }

    /// A second handle on the file, for a thread that syncs it.
    pub fn handle(&self) -> Result<File, LogError> {
        self.file
            .try_clone()
            .map_err(|source| io_error(&self.path, source))
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
mod tests;
