//! AES-256-GCM at rest. Every sealed box is nonce (12 random bytes), ciphertext, tag (16).

use crate::error::{Result, StoreError};
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};

/// Bytes that sealing adds.
pub(crate) const OVERHEAD: usize = 28;

/// Seals and opens bodies under one key.
pub(crate) struct Seal(Aes256Gcm);

impl Seal {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// `plain` in a box that opens only with the same key and `purpose`.
    pub(crate) fn seal(&self, plain: &[u8], purpose: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0u8; 12];
        let mut filled = 0;
        while filled < nonce.len() {
            filled += rustix::rand::getrandom(
                &mut nonce[filled..],
                rustix::rand::GetRandomFlags::empty(),
            )
            .map_err(|error| StoreError::Io {
                doing: "cannot read",
                path: "random numbers".into(),
                source: error.into(),
            })?;
        }
        let sealed = self
            .0
            .encrypt(
                &nonce.into(),
                Payload {
                    msg: plain,
                    aad: purpose,
                },
            )
            .map_err(|_| StoreError::BadInput("the content is too large to encrypt".into()))?;
        let mut out = Vec::with_capacity(nonce.len() + sealed.len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// What was sealed, or nothing if the key, the purpose or a bit is another.
    pub(crate) fn open(&self, sealed: &[u8], purpose: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>()?;
        self.0
            .decrypt(
                &(*nonce).into(),
                Payload {
                    msg: sealed,
                    aad: purpose,
                },
            )
            .ok()
    }
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
}
