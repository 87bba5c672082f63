//! Requests that were asked before, weighed by kernel ridge regression: how likely each outcome is for a new text.

use std::collections::HashMap;

/// Parts of a dot product that are summed side by side: the sums stay in registers.
const LANES: usize = 16;

/// What was learnt of past requests; outcomes are the Players that served them, and that nobody does.
#[derive(Debug)]
pub struct Recall {
    width: usize,
    outcomes: usize,
    sharpness: f32,
    /// The requests' vectors, row by row, in steps of `scales`.
    vectors: Vec<i8>,
    scales: Vec<f32>,
    /// What each request says of each outcome.
    weights: Vec<f32>,
    /// Where a word stands, and how rare it is.
    words: HashMap<Box<str>, (u32, f32)>,
    by_word: Vec<f32>,
    usual: Vec<f32>,
}

/// The parts of a [`Recall`], as they were fitted.
#[derive(Debug, Default)]
pub struct Fitted {
    /// `[requests, width]`.
    pub vectors: Vec<i8>,
    /// `[requests]`: what a step of a vector's numbers is.
    pub scales: Vec<f32>,
    /// `[requests, outcomes]`.
    pub weights: Vec<f32>,
    /// Each different.
    pub words: Vec<String>,
    /// `[words]`.
    pub rarity: Vec<f32>,
    /// `[words, outcomes]`.
    pub by_word: Vec<f32>,
    /// `[outcomes]`: how likely each is of a text that nothing is known of.
    pub usual: Vec<f32>,
    /// How fast likeness falls with the cosine.
    pub sharpness: f32,
}

impl Recall {
    /// None where the parts do not fit together.
    #[must_use]
    pub fn new(fitted: Fitted) -> Option<Self> {
        let (requests, outcomes) = (fitted.scales.len(), fitted.usual.len());
        let width = fitted.vectors.len().checked_div(requests)?;
        let fits = width > 0
            && outcomes > 0
            && fitted.vectors.len() == requests * width
            && fitted.weights.len() == requests * outcomes
            && fitted.rarity.len() == fitted.words.len()
            && fitted.by_word.len() == fitted.words.len() * outcomes;
        if !fits {
            return None;
        }
        let places = (0_u32..).zip(fitted.rarity);
        let words = fitted.words.into_iter().map(String::into_boxed_str);
        let words = words.zip(places).collect();
        Some(Self {
            width,
            outcomes,
            sharpness: fitted.sharpness,
            vectors: fitted.vectors,
            scales: fitted.scales,
            weights: fitted.weights,
            words,
            by_word: fitted.by_word,
            usual: fitted.usual,
        })
    }

    /// Numbers of a text's vector.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many outcomes there are.
    #[must_use]
    pub fn outcomes(&self) -> usize {
        self.outcomes
    }

    /// For each text how likely each outcome is, row by row, and the cosine of the nearest request.
    ///
    /// `queries` are the texts' unit vectors, row by row; `words` those of each text, each once.
    #[must_use]
    pub fn about(&self, queries: &[f32], words: &[Vec<String>]) -> (Vec<f32>, Vec<f32>) {
        let mut likely: Vec<f32> = self.usual.repeat(words.len());
        let mut nearest = vec![-1.0_f32; words.len()];
        for (row, said) in likely.chunks_exact_mut(self.outcomes).zip(words) {
            self.add_words(said, row);
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has both features.
            unsafe { self.add_requests_wide(queries, &mut likely, &mut nearest) };
            return (likely, nearest);
        }
        self.add_requests(queries, &mut likely, &mut nearest);
        (likely, nearest)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn add_requests_wide(&self, queries: &[f32], likely: &mut [f32], nearest: &mut [f32]) {
        self.add_requests(queries, likely, nearest);
    }

    /// What each request says of each text, and how near it is. Inlined, so that it is made of what the processor has.
    #[inline(always)]
    fn add_requests(&self, queries: &[f32], likely: &mut [f32], nearest: &mut [f32]) {
        let mut wide = vec![0.0; self.width];
        let requests = self.vectors.chunks_exact(self.width).zip(&self.scales);
        for ((vector, scale), weights) in requests.zip(self.weights.chunks_exact(self.outcomes)) {
            for (to, &from) in wide.iter_mut().zip(vector) {
                *to = f32::from(from);
            }
            let rows = likely
                .chunks_exact_mut(self.outcomes)
                .zip(nearest.iter_mut());
            for (query, (row, near)) in queries.chunks_exact(self.width).zip(rows) {
                let cosine = scale * dot(query, &wide);
                *near = near.max(cosine);
                let alike = (self.sharpness * (cosine - 1.0)).exp();
                for (sum, weight) in row.iter_mut().zip(weights) {
                    *sum += alike * weight;
                }
            }
        }
    }

    /// What the words of a text say of each outcome: its known words have length 1 together.
    fn add_words(&self, said: &[String], row: &mut [f32]) {
        let known: Vec<(usize, f32)> = said
            .iter()
            .filter_map(|word| self.words.get(word.as_str()))
            .map(|&(place, rarity)| (place as usize, rarity))
            .collect();
        let length = known
            .iter()
            .map(|(_, rarity)| rarity * rarity)
            .sum::<f32>()
            .sqrt();
        for (place, rarity) in known {
            let weights = &self.by_word[place * self.outcomes..][..self.outcomes];
            for (sum, weight) in row.iter_mut().zip(weights) {
                *sum += rarity / length * weight;
            }
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (a_wide, a_rest) = a.as_chunks::<LANES>();
    let (b_wide, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_wide.iter().zip(b_wide) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::{Fitted, Recall};

    fn fitted() -> Fitted {
        Fitted {
            vectors: vec![100, 0, 0, 50],
            scales: vec![0.01, 0.02],
            weights: vec![1.0, 0.0, 0.0, 2.0],
            words: vec!["loaf".into(), "oven".into()],
            rarity: vec![3.0, 4.0],
            by_word: vec![0.5, 0.0, 0.0, 1.0],
            usual: vec![0.1, 0.2],
            sharpness: 2.0,
        }
    }

    #[test]
    fn likeness_and_words_add_to_what_is_usual() {
        let recall = Recall::new(fitted()).expect("the parts fit");
        let words = [
            vec!["loaf".to_owned(), "oven".to_owned(), "moon".to_owned()],
            vec![],
        ];
        let (likely, nearest) = recall.about(&[1.0, 0.0, 0.6, 0.8], &words);
        let far = (-2.0_f32).exp();
        let expected = [
            0.1 + 1.0 + 0.6 * 0.5,
            0.2 + 2.0 * far + 0.8,
            0.1 + (2.0_f32 * (0.6 - 1.0)).exp(),
            0.2 + 2.0 * (2.0_f32 * (0.8 - 1.0)).exp(),
        ];
        for (found, expected) in likely.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{likely:?}");
        }
        assert!((nearest[0] - 1.0).abs() < 1e-5 && (nearest[1] - 0.8).abs() < 1e-5);
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused() {
        let wrong: [fn(&mut Fitted); 5] = [
            |f| f.vectors.truncate(3),
            |f| f.weights.truncate(3),
            |f| f.rarity.truncate(1),
            |f| f.by_word.truncate(2),
            |f| f.usual.clear(),
        ];
        for spoil in wrong {
            let mut parts = fitted();
            spoil(&mut parts);
            assert!(Recall::new(parts).is_none());
        }
        assert!(Recall::new(Fitted::default()).is_none());
    }
}
