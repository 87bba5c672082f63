//! Other keys for a store: quickly, by wrapping its data keys anew, and thoroughly, by encrypting all
//! that it holds under a new one.

use crate::body::{prefix_bytes, read_payload, read_prefix};
use crate::chunks::reseal_block;
use crate::collect;
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::keys::{Key, Keys, new_key};
use crate::log::Place;
use crate::record::{Header, Kind, SEALED};
use crate::seal::Seal;
use crate::segment::Segment;
use crate::store::{Open, Store};
use crate::types::{ArtifactId, Encryption};
use rustc_hash::FxHashSet;

impl Store {
    /// Makes `key` the one that opens this store, durably: a crash leaves it with the old or the new one,
    /// never without. Waits for running operations.
    ///
    /// With `renews` what is put from now on is under a new data key, and [`Self::reencrypt`] brings the
    /// rest under it; without, somebody who has read the old data keys can still use them. A store whose
    /// user's key was its data key always gets a new one.
    ///
    /// Fails with [`StoreError::BadInput`] for a store that is not encrypted.
    pub fn rotate_key(&self, key: &Key, renews: bool) -> Result<()> {
        self.change_keys(|open, keys| {
            let mut from = keys.renewed_from();
            let fresh = if renews || !keys.has_file() {
                let mut tail = open.core.log.tail.lock();
                open.core.log.roll(&mut tail)?;
                from = tail.position().0;
                Some(new_key()?)
            } else {
                None
            };
            keys.changed(&open.core.path, Some(key), |data| {
                if let Some(fresh) = fresh {
                    data.insert(0, fresh);
                }
                from
            })
        })
    }

    /// Encrypts what is plain or under an older data key, segment by segment, while the store is used,
    /// and then drops the older keys. Goes on where an interrupted one ended. Segments with damage stay
    /// as they are, and with them the older keys.
    pub fn reencrypt(&self) -> Result<Encryption> {
        let mut kept = FxHashSet::default();
        loop {
            // The store may be closed between two segments.
            let using = self.using();
            let open = using.open()?;
            let below = open.keys.as_ref().map_or(0, Keys::renewed_from);
            if below == 0 || !collect::renew(&open.core, below, &mut kept)? {
                break;
            }
        }
        let is_due = |one: &Encryption| one.is_on && one.segments_left == 0;
        if is_due(&self.encryption()?) {
            self.change_keys(|open, keys| {
                keys.changed(&open.core.path, None, |data| {
                    data.truncate(1);
                    0
                })
            })?;
        }
        self.encryption()
    }

    /// How this store is encrypted.
    pub fn encryption(&self) -> Result<Encryption> {
        let using = self.using();
        let open = using.open()?;
        let Some(keys) = &open.keys else {
            return Ok(Encryption::default());
        };
        let segments = open.core.log.segments();
        let below = keys.renewed_from();
        let old = segments.iter().filter(|one| one.number < below);
        Ok(Encryption {
            is_on: true,
            data_keys: keys.count() as u64,
            segments_left: old.count() as u64,
        })
    }

    /// Changes the keys while nothing else uses the store, so that nothing is sealed under the old ones
    /// and appended under the new.
    fn change_keys(&self, change: impl FnOnce(&Open, &Keys) -> Result<Keys>) -> Result<()> {
        let mut guard = self.open.write();
        let open = guard.as_mut().ok_or(StoreError::Closed)?;
        let (Some(keys), Some(seal)) = (&open.keys, &open.core.seal) else {
            return Err(StoreError::BadInput(
                "the store is not encrypted; open it with a key that is to encrypt it".into(),
            ));
        };
        let keys = change(open, keys)?;
        keys.fill(seal);
        open.keys = Some(keys);
        Ok(())
    }
}

impl Core {
    /// As [`Self::read_content`], for a record that is not sealed as the store is.
    pub(crate) fn read_whole(
        &self,
        segment: &Segment,
        place: Place,
        id: &ArtifactId,
        bytes: u64,
    ) -> Result<std::result::Result<Vec<u8>, String>> {
        let Some((header, mut body)) = segment.record_at(u64::from(place.offset))? else {
            return Ok(Err("its record does not match its checksum".into()));
        };
        let front = prefix_bytes(header.flags);
        let seal = self.seal.as_ref();
        let prefix = body.get(..front);
        let found = prefix.and_then(|prefix| read_prefix(prefix, &header, seal));
        if header.kind != Kind::Content || found != Some((*id, bytes)) {
            return Ok(Err("the digest in its record is another one".into()));
        }
        let payload = body.split_off(front);
        let content = read_payload(id, payload, bytes, header.flags, seal);
        Ok(match content {
            Some(content) if ArtifactId::of(&content) == *id => Ok(content),
            _ => Err("its content does not match its SHA-256".into()),
        })
    }
}

/// A record that is being moved, under the newest key; as it is when it is under that, or when it does
/// not open, which `verify` reports.
pub(crate) fn renewed(
    seal: Option<&Seal>,
    header: Header,
    body: Vec<u8>,
) -> Result<(Header, Vec<u8>)> {
    let Some(seal) = seal else {
        return Ok((header, body));
    };
    if header.flags & SEALED != 0 && !seal.has_older() {
        return Ok((header, body));
    }
    if header.kind == Kind::Block {
        let Some((flags, sealed)) = reseal_block(&body, header.flags, seal)? else {
            return Ok((header, body));
        };
        let mut new = Header::of(header.kind, flags, &[&sealed]);
        new.sequence = header.sequence;
        return Ok((new, sealed));
    }
    let Some(boxes) = boxes(seal, &header, &body) else {
        return Ok((header, body));
    };
    let mut sealed = Vec::with_capacity(body.len() + 2 * crate::seal::OVERHEAD);
    for (plain, purpose) in boxes {
        sealed.extend_from_slice(&seal.seal(&plain, &purpose)?);
    }
    let mut new = Header::of(header.kind, header.flags | SEALED, &[&sealed]);
    new.sequence = header.sequence;
    Ok((new, sealed))
}

/// The plain parts of a record's body that are sealed one by one, each with its purpose.
fn boxes(seal: &Seal, header: &Header, body: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let is_sealed = header.flags & SEALED != 0;
    let open = |part: &[u8], purpose: &[u8]| match is_sealed {
        true => seal.open(part, purpose),
        false => Some(part.to_vec()),
    };
    match header.kind {
        Kind::Segment | Kind::Block => None,
        Kind::Content => {
            let (prefix, payload) = body.split_at_checked(prefix_bytes(header.flags))?;
            let prefix = open(prefix, b"prefix")?;
            let id = prefix.first_chunk::<32>()?.to_vec();
            let payload = open(payload, &id)?;
            Some(vec![(prefix, b"prefix".to_vec()), (payload, id)])
        }
        Kind::Entry | Kind::Removal | Kind::Eviction | Kind::Hold => {
            Some(vec![(open(body, b"tagged")?, b"tagged".to_vec())])
        }
    }
}
