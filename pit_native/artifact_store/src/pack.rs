//! Compression. Contexts are kept for the next caller: making one costs more than packing a small content.

use parking_lot::Mutex;
use zstd::bulk::{Compressor, Decompressor};

/// For what a put waits for as a whole: zstd's fastest ordinary level.
pub(crate) const QUICK: i32 = 1;
/// For blocks of large contents, which are packed piece by piece while they come.
pub(crate) const TIGHT: i32 = 3;
/// Contexts of each sort that are kept, a few hundred kilobytes each.
const KEPT: usize = 4;
/// Bytes by which compressibility is judged.
const SAMPLE: usize = 2048;

static COMPRESSORS: Mutex<Vec<Compressor<'static>>> = Mutex::new(Vec::new());
static DECOMPRESSORS: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

/// `plain` compressed, or nothing when that would not save an eighth.
pub(crate) fn pack(plain: &[u8], level: i32) -> Option<Vec<u8>> {
    if !looks_compressible(plain) {
        return None;
    }
    let kept = COMPRESSORS.lock().pop();
    let mut compressor = match kept {
        Some(compressor) => compressor,
        None => Compressor::new(level).ok()?,
    };
    compressor.set_compression_level(level).ok()?;
    // A content that cannot be compressed is stored as it is.
    let packed = compressor.compress(plain).ok()?;
    keep(&COMPRESSORS, compressor);
    (packed.len() < plain.len() - plain.len() / 8).then_some(packed)
}

/// Fills `plain` with what was packed; false when it is not exactly that long or does not unpack.
pub(crate) fn unpack(packed: &[u8], plain: &mut [u8]) -> bool {
    let kept = DECOMPRESSORS.lock().pop();
    let Some(mut decompressor) = kept.or_else(|| Decompressor::new().ok()) else {
        return false;
    };
    let count = decompressor.decompress_to_buffer(packed, plain);
    keep(&DECOMPRESSORS, decompressor);
    count.is_ok_and(|count| count == plain.len())
}

fn keep<T>(pool: &Mutex<Vec<T>>, context: T) {
    let mut pool = pool.lock();
    if pool.len() < KEPT {
        pool.push(context);
    }
}

/// Whether the bytes in the middle are unequal enough in number to be worth trying. What is compressed
/// or encrypted already is not packed again.
fn looks_compressible(plain: &[u8]) -> bool {
    let size = plain.len().min(SAMPLE);
    let start = (plain.len() - size) / 2;
    let mut counts = [0u16; 256];
    for byte in &plain[start..start + size] {
        counts[usize::from(*byte)] += 1;
    }
    let entropy: f32 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f32::from(*count) / size as f32;
            -share * share.log2()
        })
        .sum();
    entropy < 7.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_unpacks(words in prop::collection::vec(0u8..4, 600..5000), level in 1..4) {
            let packed = pack(&words, level).expect("two bits of eight");
            prop_assert!(packed.len() < words.len() / 2);
            let mut plain = vec![9; words.len()];
            prop_assert!(unpack(&packed, &mut plain));
            prop_assert_eq!(&plain, &words);
            plain.pop();
            prop_assert!(!unpack(&packed, &mut plain));
            prop_assert!(!unpack(&packed[1..], &mut plain));
        }
    }

    #[test]
    fn what_is_compressed_already_is_left_alone() {
        let text: Vec<u8> = (0..40_000u32)
            .flat_map(|number| blake3::hash(&number.to_le_bytes()).as_bytes()[..2].to_vec())
            .collect();
        assert!(pack(&text, QUICK).is_none());
    }
}
