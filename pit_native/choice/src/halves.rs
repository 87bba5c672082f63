//! Weights as 16-bit numbers, on processors that read these as fast: half the memory to go through at each choice.

use std::arch::x86_64::{
    __m256, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_ps, _mm256_cvtph_ps, _mm256_cvtps_ph,
    _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps,
};

use crate::network::{LANES, Lanes};

/// Numbers that the processor reads at once.
const WIDE: usize = 8;

/// Columns of weights; it exists only where the processor has what its functions use.
#[derive(Debug)]
pub(crate) struct Halves(Vec<[u16; LANES]>);

impl Halves {
    /// None where a weight is not the same with 16 bits, or the processor is none of those.
    pub(crate) fn of(columns: &[Lanes]) -> Option<Self> {
        if !(is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c")) {
            return None;
        }
        // SAFETY: the processor has both features.
        let halves: Option<Vec<_>> = columns
            .iter()
            .map(|lanes| unsafe { halve(lanes) })
            .collect();
        halves.map(Self)
    }

    /// A column as it was given.
    pub(crate) fn column(&self, place: usize) -> Lanes {
        let mut sums = [0.0; LANES];
        self.add(place, &[(0, 1.0)], &mut sums);
        sums
    }

    /// Adds to each sum what the inputs give to it, by the columns from `first` on.
    pub(crate) fn add(&self, first: usize, told: &[(usize, f32)], sums: &mut Lanes) {
        // SAFETY: `of` has seen that the processor has both features.
        unsafe { add(&self.0[first..], told, sums) }
    }
}

/// None where a number is not the same with 16 bits.
#[target_feature(enable = "avx,f16c")]
fn halve(lanes: &Lanes) -> Option<[u16; LANES]> {
    let mut halves = [0; LANES];
    for (wide, half) in lanes
        .as_chunks::<WIDE>()
        .0
        .iter()
        .zip(halves.as_chunks_mut::<WIDE>().0)
    {
        let mut back = [0.0_f32; WIDE];
        // SAFETY: each array has room for the eight numbers.
        unsafe {
            let small = _mm256_cvtps_ph::<0>(_mm256_loadu_ps(wide.as_ptr()));
            _mm_storeu_si128(half.as_mut_ptr().cast(), small);
            _mm256_storeu_ps(back.as_mut_ptr(), _mm256_cvtph_ps(small));
        }
        if back != *wide {
            return None;
        }
    }
    Some(halves)
}

#[target_feature(enable = "avx,f16c")]
fn add(columns: &[[u16; LANES]], told: &[(usize, f32)], sums: &mut Lanes) {
    let (wide, _) = sums.as_chunks_mut::<WIDE>();
    // SAFETY: each array has the eight numbers that are read.
    let load = |k: usize, sums: &[[f32; WIDE]]| unsafe { _mm256_loadu_ps(sums[k].as_ptr()) };
    let mut found: [__m256; LANES / WIDE] = std::array::from_fn(|k| load(k, wide));
    for &(input, value) in told {
        let value = _mm256_set1_ps(value);
        let (column, _) = columns[input].as_chunks::<WIDE>();
        for (sum, half) in found.iter_mut().zip(column) {
            // SAFETY: the array has the eight numbers that are read.
            let weight = _mm256_cvtph_ps(unsafe { _mm_loadu_si128(half.as_ptr().cast()) });
            *sum = _mm256_add_ps(*sum, _mm256_mul_ps(value, weight));
        }
    }
    for (sum, found) in wide.iter_mut().zip(found) {
        // SAFETY: the array has room for the eight numbers.
        unsafe { _mm256_storeu_ps(sum.as_mut_ptr(), found) };
    }
}
