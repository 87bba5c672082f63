//! What goes in and out of the store.

use crate::keys::{Cost, Key};
use crate::quality::Scorers;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// The SHA-256 of an artifact's plain content; as text `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactId(pub [u8; 32]);

impl ArtifactId {
    /// The id of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut digester = Digester::default();
        digester.update(content);
        digester.finish()
    }
}

/// Makes the id of a content that comes piece by piece.
#[derive(Clone)]
pub(crate) struct Digester(ring::digest::Context);

impl Default for Digester {
    fn default() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }
}

impl Digester {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> ArtifactId {
        let mut id = [0; 32];
        id.copy_from_slice(self.0.finish().as_ref());
        ArtifactId(id)
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"sha256:0000000000000000000000000000000000000000000000000000000000000000";
        for (index, byte) in self.0.iter().enumerate() {
            text[7 + 2 * index] = DIGITS[usize::from(byte >> 4)];
            text[8 + 2 * index] = DIGITS[usize::from(byte & 15)];
        }
        // All bytes are ASCII, so this is lossless and allocates nothing.
        formatter.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for ArtifactId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for ArtifactId {
    type Err = crate::StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            crate::StoreError::BadInput(format!(
                "{text:?} is no artifact id; an id is `sha256:` and 64 hexadecimal digits"
            ))
        };
        let digits = text.strip_prefix("sha256:").ok_or_else(wrong)?.as_bytes();
        let mut digest = [0u8; 32];
        if digits.len() != 64 {
            return Err(wrong());
        }
        for (byte, pair) in digest.iter_mut().zip(digits.as_chunks::<2>().0) {
            let value = |digit: u8| (digit as char).to_digit(16);
            let (high, low) = (
                value(pair[0]).ok_or_else(wrong)?,
                value(pair[1]).ok_or_else(wrong)?,
            );
            *byte = (high * 16 + low) as u8;
        }
        Ok(Self(digest))
    }
}

/// What is said about a content when it is put.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Put {
    /// The name under which versions are counted, such as `report.md`.
    pub name: String,
    /// The media type, such as `text/markdown`.
    pub kind: String,
    /// Free metadata; `run`, `node`, `port`, `player`, `project` and `prompt` are used by the host.
    pub meta: Map<String, Value>,
}

/// One version of a stored artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// `sha256:…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its media type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes of the plain content.
    pub bytes: u64,
    /// 0 to 1, see [`crate::quality`].
    pub quality: f32,
    /// Why the quality is what it is.
    pub reasons: Vec<String>,
    /// Seconds since the epoch.
    pub created: f64,
    /// The run that made it, or nothing.
    pub run: String,
    /// The node that made it, or nothing.
    pub node: String,
    /// 1 for the first content under this name.
    pub version: u32,
    /// All the metadata given with it.
    pub meta: Map<String, Value>,
}

/// Which artifacts to list. Every field that is given must match exactly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The media type.
    pub kind: Option<String>,
    /// The run.
    pub run: Option<String>,
    /// The name.
    pub name: Option<String>,
}

/// One result of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// `sha256:…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its media type.
    pub kind: String,
    /// Higher is better (BM25).
    pub score: f32,
    /// The passage that matches, as plain text; the beginning when only name or fields match.
    pub snippet: String,
}

/// What planning needs to know of a content; all of it stands in the index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlined {
    /// Which.
    pub id: ArtifactId,
    /// Bytes of the plain content.
    pub bytes: u64,
    /// When it was put last, in seconds since the epoch.
    pub created: f64,
    /// The greatest worth of its listed entries.
    pub worth: f64,
    /// Whether the bytes are here, and nothing is known against them.
    pub is_local: bool,
    /// Whether it is held.
    pub is_held: bool,
}

/// The store in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Distinct contents.
    pub artifacts: u64,
    /// Those whose bytes are kept elsewhere.
    pub remote: u64,
    /// Entries: versions and their repetitions by other runs.
    pub versions: u64,
    /// Plain bytes of the distinct contents.
    pub bytes: u64,
    /// Bytes of the log on disk.
    pub stored_bytes: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Syncs since the store was opened.
    pub syncs: u64,
    /// Puts acknowledged since the store was opened.
    pub puts: u64,
    /// Distinct chunks of large contents.
    pub chunks: u64,
    /// Entries that the search index does not hold yet.
    pub unindexed: u64,
}

/// Where the bytes of a content are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the store, and nothing is known against them.
    Here,
    /// In another tier, which can bring them back.
    Remote {
        /// As it was named when the bytes were evicted; empty when nobody said.
        tier: String,
    },
    /// The store has entries of them, but they were found damaged, or their record is lost.
    Damaged,
    /// Nothing is stored under this id.
    Unknown,
}

/// A stored bit that does not check out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word: `damaged_record`, `damaged_header`, `damaged_metadata`, `damaged_index`, `wrong_content`,
    /// `missing_content`, `missing_segment`, `unreadable`.
    pub code: &'static str,
    /// The segment's file, relative to the store.
    pub file: String,
    /// Byte offset in it.
    pub offset: u64,
    /// The artifact, when it is known.
    pub id: Option<String>,
    /// What is wrong and what it means, in a sentence.
    pub message: String,
}

/// What a garbage collection did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Contents removed.
    pub removed: u64,
    /// Plain bytes of them.
    pub bytes: u64,
    /// Bytes that the log shrank by.
    pub freed: u64,
    /// Segments that were rewritten or dropped.
    pub segments: u64,
}

/// How a store is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Encryption {
    /// Whether what is put is encrypted.
    pub is_on: bool,
    /// The data keys: one, and those that [`crate::Store::reencrypt`] has still to replace.
    pub data_keys: u64,
    /// Segments whose records are under older keys, or plain.
    pub segments_left: u64,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Turns on AES-256-GCM at rest. The same key must be given each time, see [`crate::Store::rotate_key`].
    pub key: Option<Key>,
    /// With a key: a store that holds plain contents becomes an encrypted one. What it holds is encrypted
    /// by [`crate::Store::reencrypt`]. Without this such a store is refused.
    pub encrypt: bool,
    /// What a passphrase costs whoever tries it, where it is set: in a new store and at a rotation.
    pub passphrase_cost: Cost,
    /// A segment is closed when it has grown beyond this many bytes.
    pub segment_bytes: u64,
    /// Records of the log that are known in memory before the index on the disk takes them in, at most.
    pub settle_after: u64,
    /// Whether contents are searchable by their text.
    pub search: bool,
    /// What scores a content when it is put.
    pub scorers: Scorers,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            key: None,
            encrypt: false,
            passphrase_cost: Cost::default(),
            segment_bytes: 256 << 20,
            settle_after: 250_000,
            search: true,
            scorers: Scorers::default(),
        }
    }
}
