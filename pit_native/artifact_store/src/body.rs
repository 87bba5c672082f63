//! What stands in the bodies of records, sealed or plain.

use crate::chunks::{ChunkKey, write_keys};
use crate::error::{Result, StoreError};
use crate::pack::{QUICK, pack, unpack};
use crate::record::{CHUNKED, COMPRESSED, Header, SEALED};
use crate::seal::{OVERHEAD, Seal};
use crate::types::ArtifactId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Bytes of a content for one byte of its record, at most: zstd's best, and that of the longest chunks.
const LARGEST_RATIO: u64 = 40_000;
/// As much memory is always there.
const SURE_ROOM: usize = 16 << 20;
/// Digest and length that precede a content's bytes.
pub(crate) const PREFIX: usize = 40;
/// Contents shorter than this are stored as they are: unpacking would cost more than reading.
const COMPRESS_FROM: usize = 512;

/// The body of a segment's first record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentBody {
    /// Of this format.
    pub(crate) format: u16,
    /// Tells one store from another.
    pub(crate) store: u64,
    /// A sealed constant, by which a wrong key is found; empty in a plain store.
    pub(crate) key_check: Vec<u8>,
}

/// The body of an entry, after the digest of its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntryBody {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) bytes: u64,
    pub(crate) version: u32,
    pub(crate) created: f64,
    pub(crate) quality: f32,
    pub(crate) reasons: Vec<String>,
    pub(crate) meta: Map<String, Value>,
}

impl EntryBody {
    /// A text of the metadata, or nothing.
    pub(crate) fn meta_text(&self, key: &str) -> &str {
        self.meta
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// The body of an eviction, after the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EvictionBody {
    pub(crate) bytes: u64,
    /// The beginning of a text, for the search.
    pub(crate) excerpt: String,
    /// The tier that keeps the bytes; empty when nobody said, as before format 3.
    #[serde(default)]
    pub(crate) tier: String,
}

/// The body of a hold, after the digest of its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HoldBody {
    /// Why it is held; nothing when the hold is lifted.
    pub(crate) reason: Option<String>,
    /// Seconds since the epoch.
    pub(crate) at: f64,
}

/// Bytes before a content's payload in a store that is sealed or not.
pub(crate) fn prefix_bytes(flags: u8) -> usize {
    if flags & SEALED != 0 {
        PREFIX + OVERHEAD
    } else {
        PREFIX
    }
}

/// A content's body, in the parts that are written one after the other.
pub(crate) struct ContentBody<'a> {
    pub(crate) flags: u8,
    pub(crate) prefix: Vec<u8>,
    pub(crate) payload: Cow<'a, [u8]>,
}

/// The body of `content`, compressed when that saves an eighth, sealed when there is a key.
pub(crate) fn content_body<'a>(
    id: &ArtifactId,
    content: &'a [u8],
    seal: Option<&Seal>,
) -> Result<ContentBody<'a>> {
    let mut prefix = Vec::with_capacity(PREFIX);
    prefix.extend_from_slice(&id.0);
    prefix.extend_from_slice(&(content.len() as u64).to_le_bytes());
    let mut flags = 0;
    let mut payload = Cow::Borrowed(content);
    if content.len() >= COMPRESS_FROM
        && let Some(packed) = pack(content, QUICK)
    {
        flags |= COMPRESSED;
        payload = packed.into();
    }
    sealed_content(id, flags, prefix, payload, seal)
}

/// The body of a content that stands in chunks of these keys.
pub(crate) fn recipe_body(
    id: &ArtifactId,
    bytes: u64,
    keys: &[ChunkKey],
    seal: Option<&Seal>,
) -> Result<ContentBody<'static>> {
    let mut prefix = Vec::with_capacity(PREFIX);
    prefix.extend_from_slice(&id.0);
    prefix.extend_from_slice(&bytes.to_le_bytes());
    sealed_content(id, CHUNKED, prefix, write_keys(keys).into(), seal)
}

fn sealed_content<'a>(
    id: &ArtifactId,
    mut flags: u8,
    mut prefix: Vec<u8>,
    mut payload: Cow<'a, [u8]>,
    seal: Option<&Seal>,
) -> Result<ContentBody<'a>> {
    if let Some(seal) = seal {
        flags |= SEALED;
        prefix = seal.seal(&prefix, b"prefix")?;
        payload = seal.seal(&payload, &id.0)?.into();
    }
    Ok(ContentBody {
        flags,
        prefix,
        payload,
    })
}

/// Digest and length from a content's prefix; nothing when its record cannot hold as much.
pub(crate) fn read_prefix(
    prefix: &[u8],
    header: &Header,
    seal: Option<&Seal>,
) -> Option<(ArtifactId, u64)> {
    let opened;
    let plain = if header.flags & SEALED != 0 {
        opened = seal?.open(prefix, b"prefix")?;
        opened.as_slice()
    } else {
        prefix
    };
    let (digest, rest) = plain.split_first_chunk::<32>()?;
    let (length, _) = rest.split_first_chunk::<8>()?;
    let length = u64::from_le_bytes(*length);
    let is_possible = length <= header.length.saturating_mul(LARGEST_RATIO);
    is_possible.then_some((ArtifactId(*digest), length))
}

/// The payload of a content as it was before it was sealed.
pub(crate) fn open_payload(
    id: &ArtifactId,
    payload: Vec<u8>,
    flags: u8,
    seal: Option<&Seal>,
) -> Option<Vec<u8>> {
    if flags & SEALED != 0 {
        seal?.open(&payload, &id.0)
    } else {
        Some(payload)
    }
}

/// The plain content from its payload; nothing when it does not open, unpack or have its length.
pub(crate) fn read_payload(
    id: &ArtifactId,
    payload: Vec<u8>,
    bytes: u64,
    flags: u8,
    seal: Option<&Seal>,
) -> Option<Vec<u8>> {
    let payload = open_payload(id, payload, flags, seal)?;
    let size = usize::try_from(bytes).ok()?;
    if flags & COMPRESSED == 0 {
        return (payload.len() == size).then_some(payload);
    }
    let mut plain = room(size)?;
    unpack(&payload, &mut plain).then_some(plain)
}

/// So many zeros, or nothing when there is no memory for them: a record that lies about its length must
/// not end the process.
pub(crate) fn room(size: usize) -> Option<Vec<u8>> {
    if size > SURE_ROOM {
        Vec::<u8>::new().try_reserve_exact(size).ok()?;
    }
    Some(vec![0; size])
}

/// A body that is a digest and a message: an entry, or with nothing after it a removal.
pub(crate) fn tagged_body<T: Serialize>(
    id: &ArtifactId,
    message: Option<&T>,
    seal: Option<&Seal>,
) -> Result<(u8, Vec<u8>)> {
    let mut body = id.0.to_vec();
    if let Some(message) = message {
        rmp_serde::encode::write(&mut body, message).map_err(|error| {
            StoreError::BadInput(format!("the metadata cannot be stored: {error}"))
        })?;
    }
    match seal {
        Some(seal) => Ok((SEALED, seal.seal(&body, b"tagged")?)),
        None => Ok((0, body)),
    }
}

/// The digest and the bytes after it.
pub(crate) fn read_tagged(
    body: Vec<u8>,
    flags: u8,
    seal: Option<&Seal>,
) -> Option<(ArtifactId, Vec<u8>)> {
    let mut plain = if flags & SEALED != 0 {
        seal?.open(&body, b"tagged")?
    } else {
        body
    };
    let digest = *plain.first_chunk::<32>()?;
    plain.drain(..32);
    Some((ArtifactId(digest), plain))
}

/// An entry's body.
pub(crate) fn read_entry(
    body: Vec<u8>,
    flags: u8,
    seal: Option<&Seal>,
) -> Option<(ArtifactId, EntryBody)> {
    read_message(body, flags, seal)
}

/// The digest and the message after it.
pub(crate) fn read_message<T: DeserializeOwned>(
    body: Vec<u8>,
    flags: u8,
    seal: Option<&Seal>,
) -> Option<(ArtifactId, T)> {
    let (id, message) = read_tagged(body, flags, seal)?;
    Some((id, rmp_serde::from_slice(&message).ok()?))
}
