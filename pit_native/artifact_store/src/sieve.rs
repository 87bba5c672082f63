//! Says of most keys that are not stored that they are not, without a look at the disk.
//!
//! A Bloom filter in lines of a processor's cache, as of Putze, Sanders and Singler, "Cache-, hash- and
//! space-efficient Bloom filters" (2007): all bits of a key lie in one line. Keys are uniform already.

use crate::chunks::ChunkKey;

/// Bits for each key: one in a hundred that are not stored is looked for in vain.
const BITS: u64 = 10;
/// Bytes at most, whatever there is to know: with more keys it lets more through.
const MOST: u64 = 64 << 20;
const LINE: usize = 8;
/// Bits that a probe takes of a key, for one bit of a line.
const PROBE: u32 = (LINE as u32 * 64).ilog2();

/// A set of keys that errs to one side.
#[derive(Default)]
pub(crate) struct Sieve {
    words: Vec<u64>,
    probes: u32,
}

/// The line and the probes of a key.
fn parts(key: &ChunkKey) -> (u64, u64) {
    let (probes, line) = key.0.split_at(8);
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte))
    };
    (number(line), number(probes))
}

impl Sieve {
    /// With room for so many keys.
    pub(crate) fn of(keys: u64) -> Self {
        let bytes = (keys * BITS / 8).min(MOST);
        let lines = bytes.div_ceil(LINE as u64 * 8) as usize;
        Self::around(vec![0; lines * LINE], keys)
    }

    fn around(words: Vec<u64>, keys: u64) -> Self {
        let bits = words.len() as u64 * 64;
        // As many probes as leave half of the bits set: the share of the bits times ln 2.
        let probes = bits * 69 / 100 / keys.max(1);
        Self {
            words,
            probes: probes.clamp(1, 6) as u32,
        }
    }

    /// As it was written, of so many keys; nothing when it is not as large as theirs.
    pub(crate) fn read(bytes: &[u8], keys: u64) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let is_whole = rest.is_empty() && words.len() == Self::of(keys).words.len();
        is_whole.then(|| Self::around(words, keys))
    }

    /// What is written of it.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = [u8; 8]> {
        self.words.iter().map(|word| word.to_le_bytes())
    }

    fn bits(&self, key: &ChunkKey) -> impl Iterator<Item = (usize, u64)> + use<> {
        let (line, probes) = parts(key);
        let lines = (self.words.len() / LINE) as u128;
        let first = ((u128::from(line) * lines) >> 64) as usize * LINE;
        (0..self.probes).map(move |number| {
            let bit = (probes >> (number * PROBE)) as usize % (LINE * 64);
            (first + bit / 64, 1 << (bit % 64))
        })
    }

    pub(crate) fn add(&mut self, key: &ChunkKey) {
        for (word, bit) in self.bits(key) {
            self.words[word] |= bit;
        }
    }

    /// False only of a key that was not added.
    pub(crate) fn may_have(&self, key: &ChunkKey) -> bool {
        !self.words.is_empty()
            && self
                .bits(key)
                .all(|(word, bit)| self.words[word] & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> ChunkKey {
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..16]);
        ChunkKey(key)
    }

    #[test]
    fn what_was_added_passes_and_little_else() {
        const KEYS: u64 = 20_000;
        let mut sieve = Sieve::of(KEYS);
        (0..KEYS).for_each(|number| sieve.add(&key(number)));
        let bytes: Vec<u8> = sieve.bytes().flatten().collect();
        assert!(bytes.len() as u64 <= KEYS * 3 / 2);
        assert!(Sieve::read(&bytes[8..], KEYS).is_none());
        let read = Sieve::read(&bytes, KEYS).expect("as it was written");
        for sieve in [sieve, read] {
            assert!((0..KEYS).all(|number| sieve.may_have(&key(number))));
            let others = (KEYS..2 * KEYS).filter(|number| sieve.may_have(&key(*number)));
            assert!(others.count() < KEYS as usize / 40);
        }
        assert!(!Sieve::of(0).may_have(&key(1)));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let sieve = Sieve::of(1 << 32);
        assert_eq!((sieve.words.len() as u64 * 8, sieve.probes), (MOST, 1));
    }
}
