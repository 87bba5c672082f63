//! Compression. Contexts are kept for the next caller: making one costs more than packing a small content.

use parking_lot::Mutex;
use zstd::bulk::{Compressor, Decompressor};

/// For what a put waits for as a whole: zstd's fastest ordinary level.
pub(crate) const QUICK: i32 = 1;
/// For blocks of large contents, which are packed piece by piece while they come.
pub(crate) const TIGHT: i32 = 3;
/// Contexts of each sort that are kept, a few hundred kilobytes each.
const KEPT: usize = 4;
/// Bytes by which compressibility is judged, and the places from which they are taken: an archive of packed
/// files is only headers and padding to whom compression helps.
const SAMPLE: usize = 4096;
const PLACES: usize = 32;

static COMPRESSORS: Mutex<Vec<Compressor<'static>>> = Mutex::new(Vec::new());
static DECOMPRESSORS: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

/// `plain` compressed, or nothing when that would save too little: of what a put waits for as a whole an
/// eighth, of blocks a thirty-second.
pub(crate) fn pack(plain: &[u8], level: i32) -> Option<Vec<u8>> {
    let (entropy, share) = if level >= TIGHT { (7.9, 32) } else { (7.5, 8) };
    if entropy_of_sample(plain) >= entropy {
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
    (packed.len() < plain.len() - plain.len() / share).then_some(packed)
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

/// Bits in which a byte of a sample could be written if each stood alone: less than eight where some are more
/// frequent. What is compressed or encrypted already has nearly eight, and is not packed again.
fn entropy_of_sample(plain: &[u8]) -> f32 {
    let mut counts = [0u16; 256];
    let size = plain.len().min(SAMPLE);
    let count = |counts: &mut [u16; 256], piece: &[u8]| {
        for byte in piece {
            counts[usize::from(*byte)] += 1;
        }
    };
    if size < SAMPLE {
        count(&mut counts, plain);
    } else {
        let piece = SAMPLE / PLACES;
        for place in 0..PLACES {
            let from = (plain.len() - piece) / (PLACES - 1) * place;
            count(&mut counts, &plain[from..from + piece]);
        }
    }
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f32::from(*count) / size as f32;
            -share * share.log2()
        })
        .sum()
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
        assert!(pack(&text, QUICK).is_none() && pack(&text, TIGHT).is_none());
        // An archive of such files has headers.
        let header = [b"name".as_slice(), &[0; 508]].concat();
        let files = text.chunks(3500).flat_map(|file| [file, &header].concat());
        let archive: Vec<u8> = files.collect();
        let packed = pack(&archive, TIGHT).expect("headers are worth packing");
        assert!(packed.len() < archive.len() - archive.len() / 10);
    }
}
