//! Deterministic mutations of a corpus, for `cargo test`; the fuzzer brings better ones.

use std::path::Path;

/// Calls `target` with every file of a corpus folder, as it is and `each` times changed.
pub fn over_corpus(folder: &Path, each: u64, target: fn(&[u8])) {
    let files = std::fs::read_dir(folder).expect("a corpus");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for (number, file) in files.iter().enumerate() {
        let bytes = std::fs::read(file).expect("bytes");
        for first in [0, 1, 2, 3] {
            target(&[&[first], bytes.as_slice()].concat());
        }
        for seed in 0..each {
            target(&mutated(&bytes, seed << 8 | number as u64));
        }
    }
}

/// `bytes` after a few random changes, behind a random first byte.
fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % sides.max(1)
    };
    let mut out = vec![if roll(8) == 0 { 1 } else { 0 }];
    out.extend_from_slice(bytes);
    for _ in 0..=roll(4) {
        let at = 1 + roll(out.len() - 1);
        let end = (at + 1 + roll(40)).min(out.len());
        match roll(7) {
            0 => out[at] ^= 1 << roll(8),
            1 => out[at] = roll(256) as u8,
            2 => out.truncate(at),
            3 => {
                let piece = out[at..end].to_vec();
                let to = 1 + roll(out.len() - 1);
                out.splice(to..to, piece);
            }
            4 => _ = out.splice(at..end, []),
            5 => out[at..end].fill(0xff),
            _ => {
                let numbers = [
                    0,
                    1,
                    0x7f,
                    0xff,
                    0x7fff_ffff,
                    u32::MAX as usize,
                    1 << 40,
                    usize::MAX,
                ];
                let number = numbers[roll(numbers.len())].to_le_bytes();
                let count = (out.len() - at).min([4, 8][roll(2)]);
                out[at..at + count].copy_from_slice(&number[..count]);
            }
        }
        if out.len() < 3 {
            break;
        }
    }
    out
}
