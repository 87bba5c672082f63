//! The keys of an encrypted store: random data keys, wrapped under the user's key, in a small file.
//!
//! ```text
//! magic 8 | MessagePack of KeyFile | crc 4
//! ```
//!
//! It is kept twice, as `keys` and `keys.copy`, for without it all is lost. The rename of `keys` is the
//! moment at which a change holds; of two intact files the later generation counts. A store of the time
//! before this file has none: the user's key is its data key.

use crate::error::{Result, StoreError};
use crate::log::{sync_folder, write_error};
use crate::seal::{Seal, random};
use crate::types::Finding;
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"SyKeys\x01\n";
/// The two places, relative to the store.
const FILES: [&str; 2] = ["keys", "keys.copy"];
/// More than any key file needs: what is larger is none.
const LARGEST: u64 = 64 << 10;
/// Memory that a key file may ask for, in KiB, and its passes and lanes: a damaged or foreign one must
/// not stop the machine.
const MOST: Cost = Cost {
    memory_kib: 1 << 20,
    passes: 64,
    lanes: 64,
};

/// What a user opens an encrypted store with.
#[derive(Clone, PartialEq, Eq)]
pub enum Key {
    /// 32 random bytes.
    Bytes(Zeroizing<[u8; 32]>),
    /// Words, from which Argon2id derives a key.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bytes(_) => "Key::Bytes(…)",
            Self::Passphrase(_) => "Key::Passphrase(…)",
        })
    }
}

impl From<[u8; 32]> for Key {
    fn from(key: [u8; 32]) -> Self {
        Self::Bytes(Zeroizing::new(key))
    }
}

impl From<&str> for Key {
    fn from(words: &str) -> Self {
        Self::Passphrase(Zeroizing::new(words.to_owned()))
    }
}

/// What deriving a key from a passphrase costs, see RFC 9106.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes that could be worked on side by side.
    pub lanes: u32,
}

impl Default for Cost {
    /// The second recommendation of RFC 9106, for machines that cannot spare 2 GiB.
    fn default() -> Self {
        Self {
            memory_kib: 64 << 10,
            passes: 3,
            lanes: 4,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Derivation {
    salt: [u8; 16],
    cost: Cost,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeyFile {
    generation: u64,
    store: [u8; 16],
    /// Nothing when the user's key is 32 bytes.
    derivation: Option<Derivation>,
    /// The data keys under the user's key, newest first.
    wrapped: Vec<Vec<u8>>,
    /// What older keys have sealed, or nobody has, is in segments below this one.
    renewed_from: u32,
}

impl KeyFile {
    /// What a wrapped key is bound to, so that no field can be changed without the user's key.
    fn binding(&self) -> Vec<u8> {
        let mut binding = b"symphony store key".to_vec();
        binding.extend_from_slice(&self.generation.to_le_bytes());
        binding.extend_from_slice(&self.store);
        binding.extend_from_slice(&self.renewed_from.to_le_bytes());
        if let Some(Derivation { salt, cost }) = &self.derivation {
            binding.extend_from_slice(salt);
            for number in [cost.memory_kib, cost.passes, cost.lanes] {
                binding.extend_from_slice(&number.to_le_bytes());
            }
        }
        binding
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        rmp_serde::encode::write(&mut bytes, self).map_err(|error| {
            StoreError::BadInput(format!("the keys cannot be written: {error}"))
        })?;
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }

    /// The file in `bytes`, if it is intact.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (front, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(front) != u32::from_le_bytes(*crc) {
            return None;
        }
        let file: Self = rmp_serde::from_slice(front.strip_prefix(MAGIC)?).ok()?;
        let is_sound = !file.wrapped.is_empty() && file.encode().is_ok_and(|again| again == bytes);
        is_sound.then_some(file)
    }

    /// The intact file at `path`.
    fn read(path: &Path) -> Result<Option<Self>> {
        let failed = |source| StoreError::Io {
            doing: "cannot read",
            path: path.to_path_buf(),
            source,
        };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if found.len() > LARGEST => return Ok(None),
            Ok(_) => {}
        }
        Ok(Self::decode(&std::fs::read(path).map_err(failed)?))
    }
}

/// The unlocked keys of a store.
pub(crate) struct Keys {
    file: KeyFile,
    /// Newest first.
    data: Vec<Zeroizing<[u8; 32]>>,
    /// The user's key, derived; nothing when there is no file and the user's key is the data key.
    user: Option<Zeroizing<[u8; 32]>>,
    cost: Cost,
}

/// How an opening treats keys.
pub(crate) struct Wanted<'a> {
    pub(crate) key: Option<&'a Key>,
    pub(crate) cost: Cost,
    /// Whether a store that is not encrypted becomes so.
    pub(crate) encrypts: bool,
    /// The number of the newest segment, if there is one.
    pub(crate) newest_segment: Option<u32>,
    /// Whether that segment is of an encrypted store.
    pub(crate) is_sealed: bool,
}

impl Keys {
    /// The keys of the store in `folder`, made if it is new; nothing when it has none.
    pub(crate) fn unlock(folder: &Path, wanted: &Wanted<'_>) -> Result<Option<Self>> {
        let wrong = |detail| StoreError::Key {
            path: folder.to_path_buf(),
            detail,
        };
        let mut found = Vec::new();
        let mut is_there = false;
        for name in FILES {
            let path = folder.join(name);
            is_there |= path.exists();
            found.extend(KeyFile::read(&path)?);
        }
        let newest = found.iter().max_by_key(|file| file.generation).cloned();
        match (newest, wanted.key) {
            (Some(_), None) => Err(wrong("it is encrypted, and no key was given")),
            (Some(file), Some(key)) => {
                let keys = Self::open(file, key, wanted.cost)
                    .ok_or_else(|| wrong("it was encrypted with another key"))?;
                if found.len() == 2 && found[0] != found[1] {
                    // A change was interrupted between the two.
                    keys.write(folder)?;
                }
                Ok(Some(keys))
            }
            (None, _) if is_there => Err(wrong("both copies of its keys are damaged")),
            (None, None) => Ok(None),
            (None, Some(Key::Bytes(key))) if wanted.is_sealed => {
                Ok(Some(Self::direct(key.clone())?))
            }
            (None, Some(Key::Passphrase(_))) if wanted.is_sealed => {
                Err(wrong("it was encrypted with a key, not with a passphrase"))
            }
            (None, Some(_)) if wanted.newest_segment.is_some() && !wanted.encrypts => {
                Err(wrong("it is not encrypted, and a key was given"))
            }
            (None, Some(key)) => {
                let mut keys = Self::direct(new_key()?)?;
                keys.cost = wanted.cost;
                let from = wanted.newest_segment.map_or(0, |number| number + 1);
                Ok(Some(keys.changed(folder, Some(key), |_| from)?))
            }
        }
    }

    fn direct(key: Zeroizing<[u8; 32]>) -> Result<Self> {
        let file = KeyFile {
            generation: 0,
            store: random()?,
            derivation: None,
            wrapped: Vec::new(),
            renewed_from: 0,
        };
        Ok(Self {
            file,
            data: vec![key],
            user: None,
            cost: Cost::default(),
        })
    }

    fn open(file: KeyFile, key: &Key, cost: Cost) -> Option<Self> {
        let user = derive(key, file.derivation.as_ref())?;
        let seal = Seal::new(&user);
        let binding = file.binding();
        let mut data = Vec::with_capacity(file.wrapped.len());
        for wrapped in &file.wrapped {
            let plain = Zeroizing::new(seal.open(wrapped, &binding)?);
            data.push(Zeroizing::new(plain.as_slice().try_into().ok()?));
        }
        Some(Self {
            file,
            data,
            user: Some(user),
            cost,
        })
    }

    /// These keys after `change`, which returns the first segment of the newest, wrapped under `key` or
    /// under the one they are wrapped under now; durable in `folder` as the next generation.
    pub(crate) fn changed(
        &self,
        folder: &Path,
        key: Option<&Key>,
        change: impl FnOnce(&mut Vec<Zeroizing<[u8; 32]>>) -> u32,
    ) -> Result<Self> {
        let mut data = self.data.clone();
        let mut file = self.file.clone();
        file.renewed_from = change(&mut data);
        file.generation += 1;
        let user = match (key, &self.user) {
            (None, Some(user)) => user.clone(),
            (None, None) => return Err(StoreError::BadInput("a key is needed".into())),
            (Some(key), _) => {
                file.derivation = derivation(key, self.cost)?;
                derive(key, file.derivation.as_ref()).ok_or_else(|| {
                    StoreError::BadInput("the passphrase's cost cannot be used".into())
                })?
            }
        };
        let seal = Seal::new(&user);
        let binding = file.binding();
        file.wrapped = data
            .iter()
            .map(|key| seal.seal(&key[..], &binding))
            .collect::<Result<_>>()?;
        let keys = Self {
            file,
            data,
            user: Some(user),
            cost: self.cost,
        };
        keys.write(folder)?;
        Ok(keys)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let bytes = self.file.encode()?;
        for name in FILES {
            write(folder, name, &bytes)?;
        }
        Ok(())
    }

    /// The seal of these keys.
    pub(crate) fn seal(&self) -> Seal {
        let seal = Seal::new(&self.data[0]);
        self.fill(&seal);
        seal
    }

    /// Gives these keys to a seal.
    pub(crate) fn fill(&self, seal: &Seal) {
        seal.replace(self.data.iter().map(|key| &**key));
    }

    /// Whether a key file holds them; if not, heads of segments say whether the user's key is right.
    pub(crate) fn has_file(&self) -> bool {
        self.user.is_some()
    }

    /// The number of data keys.
    pub(crate) fn count(&self) -> usize {
        self.data.len()
    }

    /// What older keys have sealed, or nobody has, is in segments below this one; 0 when nothing is.
    pub(crate) fn renewed_from(&self) -> u32 {
        self.file.renewed_from
    }

    /// Says which of the two files is not as it was written, and writes that one anew.
    pub(crate) fn verify(&self, folder: &Path) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        if !self.has_file() {
            return Ok(findings);
        }
        let bytes = self.file.encode()?;
        for name in FILES {
            if std::fs::read(folder.join(name)).is_ok_and(|found| found == bytes) {
                continue;
            }
            write(folder, name, &bytes)?;
            findings.push(Finding {
                code: "damaged_keys",
                file: name.to_owned(),
                offset: 0,
                id: None,
                message: "this copy of the keys was lost or damaged, and has been written anew"
                    .into(),
            });
        }
        Ok(findings)
    }
}

/// A data key.
pub(crate) fn new_key() -> Result<Zeroizing<[u8; 32]>> {
    Ok(Zeroizing::new(random()?))
}

/// How `key` will be derived, with a salt of its own.
fn derivation(key: &Key, cost: Cost) -> Result<Option<Derivation>> {
    match key {
        Key::Bytes(_) => Ok(None),
        Key::Passphrase(words) if words.is_empty() => Err(StoreError::BadInput(
            "a passphrase must not be empty".into(),
        )),
        Key::Passphrase(_) => Ok(Some(Derivation {
            salt: random()?,
            cost,
        })),
    }
}

/// The user's key, derived if it is a passphrase; nothing if that does not fit the file.
fn derive(key: &Key, derivation: Option<&Derivation>) -> Option<Zeroizing<[u8; 32]>> {
    match (key, derivation) {
        (Key::Bytes(key), None) => Some(key.clone()),
        (Key::Passphrase(words), Some(Derivation { salt, cost })) => {
            let is_bounded = cost.memory_kib <= MOST.memory_kib
                && cost.passes <= MOST.passes
                && cost.lanes <= MOST.lanes;
            if !is_bounded {
                return None;
            }
            let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok()?;
            let mut out = Zeroizing::new([0; 32]);
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(words.as_bytes(), salt, &mut *out)
                .ok()?;
            Some(out)
        }
        _ => None,
    }
}

/// Puts a file in its place, durably.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    };
    written().map_err(|source| {
        // Half a file is of no use.
        let _ = std::fs::remove_file(&beside);
        write_error(folder.to_path_buf(), &path, source)
    })?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(folder: &Path, key: &Key) -> Keys {
        let wanted = Wanted {
            key: Some(key),
            cost: Cost {
                memory_kib: 8,
                passes: 1,
                lanes: 1,
            },
            encrypts: false,
            newest_segment: None,
            is_sealed: false,
        };
        Keys::unlock(folder, &wanted)
            .expect("unlocked")
            .expect("keys")
    }

    #[test]
    fn no_field_of_the_file_can_be_changed_without_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = Key::from("words");
        let file = made(folder.path(), &key).file;
        let changes: [fn(&mut KeyFile); 4] = [
            |file| file.generation += 1,
            |file| file.store[0] ^= 1,
            |file| file.renewed_from += 1,
            |file| {
                file.derivation
                    .as_mut()
                    .expect("of a passphrase")
                    .cost
                    .passes += 1
            },
        ];
        for change in changes {
            let mut changed = file.clone();
            change(&mut changed);
            let again = KeyFile::decode(&changed.encode().expect("bytes")).expect("intact");
            assert!(Keys::open(again, &key, Cost::default()).is_none());
        }
        assert!(Keys::open(file, &key, Cost::default()).is_some());
    }

    #[test]
    fn a_file_cannot_ask_for_any_amount_of_memory() {
        for cost in [
            Cost {
                memory_kib: u32::MAX,
                ..Cost::default()
            },
            Cost {
                passes: u32::MAX,
                ..Cost::default()
            },
            Cost {
                lanes: u32::MAX,
                ..Cost::default()
            },
        ] {
            let derivation = Derivation {
                salt: [0; 16],
                cost,
            };
            assert!(derive(&"words".into(), Some(&derivation)).is_none());
        }
    }

    #[test]
    fn a_passphrase_is_derived_as_others_derive_it() {
        // argon2id, version 0x13, as the reference implementation computes it.
        let derivation = Derivation {
            salt: *b"saltsaltsaltsalt",
            cost: Cost {
                memory_kib: 64,
                passes: 2,
                lanes: 1,
            },
        };
        let key = derive(&"password".into(), Some(&derivation)).expect("derived");
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "8ba3fa702bd2c08fc6a7830ede5f30be3a1751ed492f31cd7d76a0a480725b5a"
        );
    }

    proptest! {
        #[test]
        fn no_flipped_bit_and_no_cut_is_taken_for_a_key_file(bit in any::<u16>(), cut in any::<u16>()) {
            let folder = tempfile::tempdir().expect("a folder");
            let bytes = made(folder.path(), &[5; 32].into()).file.encode().expect("bytes");
            let mut bad = bytes.clone();
            let bit = usize::from(bit) % (bad.len() * 8);
            bad[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(KeyFile::decode(&bad).is_none());
            prop_assert!(KeyFile::decode(&bytes[..usize::from(cut) % bytes.len()]).is_none());
        }
    }
}
