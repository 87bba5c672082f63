//! The form of one record of the log: a header of 32 bytes, then the body, both under CRC-32.
//!
//! ```text
//! magic 4 | kind 1 | flags 1 | zero 2 | sequence 8 | length 8 | crc of body 4 | crc of header 4 | body
//! ```
//!
//! Numbers are little-endian. The sequence orders records across segments: compaction moves a record
//! as it is, and recovery applies all records by sequence.

/// Bytes of a header.
pub(crate) const HEADER: usize = 32;
/// The first bytes of every record.
pub(crate) const MAGIC: [u8; 4] = *b"SyA\x01";
/// No log is so long; what claims more was not written by us.
const LAST_SEQUENCE: u64 = 1 << 62;
/// The body's payload is compressed with zstd.
pub(crate) const COMPRESSED: u8 = 1;
/// The body is under AES-256-GCM.
pub(crate) const SEALED: u8 = 2;
/// A content's payload is the keys of its chunks.
pub(crate) const CHUNKED: u8 = 4;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first record of a segment: format, store and key check.
    Segment = 1,
    /// A content: digest, length, bytes.
    Content = 2,
    /// One entry: a name's version that has that content.
    Entry = 3,
    /// The removal of a content with all its entries.
    Removal = 4,
    /// The bytes of a content were dropped here, for they are kept elsewhere.
    Eviction = 5,
    /// A content is held, or its hold is lifted.
    Hold = 6,
    /// Chunks of contents.
    Block = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Segment,
            Self::Content,
            Self::Entry,
            Self::Removal,
            Self::Eviction,
            Self::Hold,
            Self::Block,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }

    /// Whether a record of this kind may undo what an older segment says, so that it must be kept
    /// although nothing refers to it.
    pub(crate) fn undoes(self) -> bool {
        matches!(self, Self::Removal | Self::Hold)
    }
}

/// A header, read or to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) sequence: u64,
    pub(crate) length: u64,
    pub(crate) body_crc: u32,
}

impl Header {
    /// The header of a body given in parts.
    pub(crate) fn of(kind: Kind, flags: u8, parts: &[&[u8]]) -> Self {
        let mut crc = crc32fast::Hasher::new();
        let mut length = 0;
        for part in parts {
            crc.update(part);
            length += part.len() as u64;
        }
        Self {
            kind,
            flags,
            sequence: 0,
            length,
            body_crc: crc.finalize(),
        }
    }

    /// Bytes of the whole record.
    pub(crate) fn record_bytes(&self) -> u64 {
        HEADER as u64 + self.length
    }

    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4] = self.kind as u8;
        bytes[5] = self.flags;
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.length.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, if magic, checksum and kind are right.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let u64_at = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let u32_at = |at: usize| (u64_at(at - 4) >> 32) as u32;
        if bytes[0..4] != MAGIC || crc32fast::hash(&bytes[..28]) != u32_at(28) {
            return None;
        }
        let sequence = u64_at(8);
        if sequence > LAST_SEQUENCE {
            return None;
        }
        Some(Self {
            kind: Kind::from_byte(bytes[4])?,
            flags: bytes[5],
            sequence,
            length: u64_at(16),
            body_crc: u32_at(24),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_survives_and_no_flipped_bit_does(
            sequence in 0..=LAST_SEQUENCE, length in any::<u64>(), body_crc in any::<u32>(),
            flags in 0u8..8, bit in 0usize..HEADER * 8,
        ) {
            let header = Header { kind: Kind::Entry, flags, sequence, length, body_crc };
            let mut bytes = header.encode();
            prop_assert_eq!(Header::decode(&bytes), Some(header));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(&bytes), None);
        }
    }
}
