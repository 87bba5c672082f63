//! SHA-256 of small things that come in pieces. `ring` is the quickest where the processor has no instructions for it.

use ring::digest::{Context, SHA256};
use rmpv::Value;

/// What was fed so far.
pub(crate) struct Digester(Context);

impl Digester {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// Adds `value` in its MessagePack form.
    pub(crate) fn value(&mut self, value: &Value) {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail.
        let _ = rmpv::encode::write_value(&mut bytes, value);
        self.update((bytes.len() as u64).to_le_bytes());
        self.update(&bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        digest
    }

    /// The first eight bytes as a number.
    pub(crate) fn short(self) -> u64 {
        u64::from_le_bytes(self.finish()[..8].try_into().unwrap_or_default())
    }
}
