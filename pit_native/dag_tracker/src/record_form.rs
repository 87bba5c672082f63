//! How one record lies in a log: reads it, or says whether it was cut off or changed.

/// A record above this was never written by us.
const MAX_RECORD: u32 = 1 << 30;
/// What a power failure leaves of a write is whole sectors, or zeros in their place.
const SECTOR: usize = 512;
/// Bytes that may be hashed for each byte of a log in which whole records are looked for.
const EFFORT: usize = 64;

/// The form of a log's records; its digit follows the log's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `length`, checksum of length and payload.
    Plain,
    /// `length`, number, checksum of the payload, checksum of these.
    Numbered,
}

/// What is at a place.
pub(crate) enum Read<'a> {
    Record(&'a [u8]),
    /// Nothing, or what a crash leaves of a last record.
    Torn,
    /// No record as it was written, and why.
    Damaged(&'static str),
}

const CHANGED: &str = "does not match its checksum";

impl Form {
    pub(crate) const NEW: Self = Self::Numbered;

    pub(crate) fn of(digit: u8) -> Option<Self> {
        [Self::Plain, Self::Numbered]
            .into_iter()
            .find(|form| form.digit() == digit)
    }

    /// No bit changes one into the other.
    pub(crate) fn digit(self) -> u8 {
        match self {
            Self::Plain => b'1',
            Self::Numbered => b'2',
        }
    }

    /// Bytes before the payload.
    pub(crate) fn header(self) -> usize {
        match self {
            Self::Plain => 8,
            Self::Numbered => 16,
        }
    }

    /// Appends a record to `out`.
    pub(crate) fn write(self, out: &mut Vec<u8>, number: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_le_bytes();
        let from = out.len();
        out.extend_from_slice(&length);
        match self {
            Self::Plain => out.extend_from_slice(&crc(&[&length, payload]).to_le_bytes()),
            Self::Numbered => {
                out.extend_from_slice(&number.to_le_bytes());
                out.extend_from_slice(&crc(&[payload]).to_le_bytes());
                let head = crc(&[&out[from..]]);
                out.extend_from_slice(&head.to_le_bytes());
            }
        }
        out.extend_from_slice(payload);
    }

    /// Reads the record `number` of the log `bytes`, which is expected `at`.
    pub(crate) fn read(self, bytes: &[u8], at: usize, number: u32) -> Read<'_> {
        match self {
            Self::Plain => match plain(bytes, at) {
                Some(payload) => Read::Record(payload),
                None if follows_plain(bytes, at) => Read::Damaged(CHANGED),
                None => Read::Torn,
            },
            Self::Numbered => numbered(bytes, at, number),
        }
    }
}

fn numbered(bytes: &[u8], at: usize, number: u32) -> Read<'_> {
    let rest = &bytes[at..];
    let Some((head, body)) = rest.split_at_checked(Form::Numbered.header()) else {
        return Read::Torn;
    };
    if crc(&[&head[..12]]) != word(head, 12) {
        return match is_unwritten(bytes, at, at + head.len()) {
            true => Read::Torn,
            false => Read::Damaged(CHANGED),
        };
    }
    if word(head, 4) != number {
        return Read::Damaged("is missing, another is in its place");
    }
    let length = word(head, 0);
    let Some(payload) = body.get(..length as usize) else {
        return match length > MAX_RECORD {
            true => Read::Damaged("is longer than a record can be"),
            false => Read::Torn,
        };
    };
    if crc(&[payload]) == word(head, 8) {
        return Read::Record(payload);
    }
    let end = at + head.len() + payload.len();
    match is_unwritten(bytes, at, end) {
        true => Read::Torn,
        false => Read::Damaged(CHANGED),
    }
}

/// Whether a record that should lie from `start` to `end` was not written to its end when the power
/// failed: from its start, or from one of its sectors on, there is nothing but zeros to the end of the log.
fn is_unwritten(bytes: &[u8], start: usize, end: usize) -> bool {
    let written = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    let zeros = match written <= start {
        true => start,
        false => written.next_multiple_of(SECTOR),
    };
    zeros < end
}

fn plain(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = bytes.get(at..at + 8)?;
    let length = word(header, 0);
    if length > MAX_RECORD {
        return None;
    }
    let payload = bytes.get(at + 8..)?.get(..length as usize)?;
    (crc(&[&header[..4], payload]) == word(header, 4)).then_some(payload)
}

/// Whether a whole record lies anywhere behind `at`. What is too long to look through counts as one.
fn follows_plain(bytes: &[u8], at: usize) -> bool {
    let mut effort = bytes.len().saturating_mul(EFFORT);
    for at in at + 1..bytes.len() {
        let rest = &bytes[at..];
        if rest.len() < 8 {
            break;
        }
        let length = word(rest, 0) as usize;
        if length > rest.len() - 8 {
            continue;
        }
        let Some(left) = effort.checked_sub(length) else {
            return true;
        };
        effort = left;
        if plain(bytes, at).is_some() {
            return true;
        }
    }
    false
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}
