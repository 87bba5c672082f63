//! AES-256-GCM at rest. Every sealed box is nonce (12 random bytes), ciphertext, tag (16).
//!
//! While a store is encrypted anew it has several data keys: what is sealed is under the newest, what
//! is opened may be under any of them.

use crate::error::{Result, StoreError};
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// Bytes that sealing adds.
pub(crate) const OVERHEAD: usize = 28;

/// Seals and opens bodies under the data keys of a store.
pub(crate) struct Seal {
    /// Newest first, never empty.
    ciphers: ArcSwap<Vec<Aes256Gcm>>,
}

impl Seal {
    /// Of one key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self {
            ciphers: ArcSwap::from_pointee(vec![Aes256Gcm::new(key.into())]),
        }
    }

    /// Takes these keys instead, newest first.
    pub(crate) fn replace<'a>(&self, keys: impl Iterator<Item = &'a [u8; 32]>) {
        let ciphers = keys.map(|key| Aes256Gcm::new(key.into())).collect();
        self.ciphers.store(Arc::new(ciphers));
    }

    /// With the keys of this moment, whatever becomes of them.
    pub(crate) fn frozen(&self) -> Self {
        Self {
            ciphers: ArcSwap::new(self.ciphers.load_full()),
        }
    }

    /// Whether something may be sealed under another key than the newest.
    pub(crate) fn has_older(&self) -> bool {
        self.ciphers.load().len() > 1
    }

    /// `plain` in a box that opens only with the same key and `purpose`.
    pub(crate) fn seal(&self, plain: &[u8], purpose: &[u8]) -> Result<Vec<u8>> {
        let nonce = random::<12>()?;
        let payload = Payload {
            msg: plain,
            aad: purpose,
        };
        let sealed = self.ciphers.load()[0]
            .encrypt(&nonce.into(), payload)
            .map_err(|_| StoreError::BadInput("the content is too large to encrypt".into()))?;
        let mut out = Vec::with_capacity(nonce.len() + sealed.len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// What was sealed, or nothing if the key, the purpose or a bit is another.
    pub(crate) fn open(&self, sealed: &[u8], purpose: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>()?;
        self.ciphers.load().iter().find_map(|cipher| {
            let payload = Payload {
                msg: sealed,
                aad: purpose,
            };
            cipher.decrypt(&(*nonce).into(), payload).ok()
        })
    }
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut bytes[filled..], flags) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(StoreError::Io {
                    doing: "cannot read",
                    path: "random numbers".into(),
                    source: error.into(),
                });
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_opens_only_with_its_key_and_purpose() {
        let seal = Seal::new(&[1; 32]);
        let sealed = seal.seal(b"words", b"entry").expect("sealed");
        assert_eq!(sealed.len(), 5 + OVERHEAD);
        assert_eq!(seal.open(&sealed, b"entry").as_deref(), Some(&b"words"[..]));
        assert_eq!(seal.open(&sealed, b"content"), None);
        assert_eq!(Seal::new(&[2; 32]).open(&sealed, b"entry"), None);
        assert_eq!(seal.open(&sealed[..10], b"entry"), None);
    }

    #[test]
    fn with_several_keys_the_newest_seals_and_all_open() {
        let seal = Seal::new(&[1; 32]);
        let old = seal.seal(b"old", b"").expect("sealed");
        seal.replace([[2; 32], [1; 32]].iter());
        let new = seal.seal(b"new", b"").expect("sealed");
        assert_eq!(seal.open(&old, b"").as_deref(), Some(&b"old"[..]));
        assert_eq!(Seal::new(&[1; 32]).open(&new, b""), None);
        seal.replace([[2; 32]].iter());
        assert_eq!(seal.open(&old, b""), None);
        assert_eq!(seal.open(&new, b"").as_deref(), Some(&b"new"[..]));
    }
}
