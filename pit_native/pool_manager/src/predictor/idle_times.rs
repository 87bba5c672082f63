//! How long something stays unused: a histogram, and the window in which it is used again.
//!
//! After M. Shahrad et al., "Serverless in the Wild: Characterizing and Optimizing the Serverless Workload at a Large
//! Cloud Provider", USENIX ATC 2020, section 4: bins of a minute over four hours; the head (5th percentile) says
//! when to warm, the tail (99th) until when to keep, each with a margin of a tenth; a histogram that has few
//! times, that is flat, or whose times lie mostly outside, says nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BIN: f64 = 60.0;
const BINS: u16 = 240;
/// The time that the histogram covers, in seconds.
const RANGE: f64 = BIN * BINS as f64;
/// Fewer times say nothing.
const FEWEST: u32 = 5;
/// The coefficient of variation of the bins' counts from which on they have a shape.
const SHAPE: f64 = 2.0;
const MARGIN: f64 = 0.1;
/// Counts are halved when a histogram holds so many, so that it follows changed habits.
const MOST: u32 = 512;

/// When something is used again, in seconds since its last use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Not before; 0 when it may be at once.
    pub head: f64,
    /// Hardly after.
    pub tail: f64,
    /// The share of times that lie inside of the histogram.
    pub share: f64,
}

impl Window {
    /// Whether it says more than "some time later": to be warm all the time would not be worth it.
    pub(super) fn is_narrow(&self) -> bool {
        self.tail <= self.head * 2.0 + 10.0 * BIN
    }

    pub(super) fn contains(&self, idle: f64) -> bool {
        (self.head..=self.tail).contains(&idle)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct IdleTimes {
    bins: BTreeMap<u16, u32>,
    outside: u32,
}

impl IdleTimes {
    pub(super) fn note(&mut self, seconds: f64) {
        if !seconds.is_finite() || seconds < 0.0 {
            return;
        }
        if seconds < RANGE {
            *self.bins.entry((seconds / BIN) as u16).or_insert(0) += 1;
        } else {
            self.outside += 1;
        }
        if self.inside() + self.outside > MOST {
            self.outside /= 2;
            self.bins.retain(|_, count| {
                *count /= 2;
                *count > 0
            });
        }
    }

    fn inside(&self) -> u32 {
        self.bins.values().sum()
    }

    pub(super) fn window(&self) -> Option<Window> {
        let inside = self.inside();
        if inside < FEWEST || self.outside > inside || self.variation(inside) < SHAPE {
            return None;
        }
        let head = f64::from(self.percentile(inside, 0.05)) * BIN * (1.0 - MARGIN);
        let tail = f64::from(self.percentile(inside, 0.99) + 1) * BIN * (1.0 + MARGIN);
        Some(Window {
            head,
            tail,
            share: f64::from(inside) / f64::from(inside + self.outside),
        })
    }

    /// Standard deviation of the counts of all bins, over their mean.
    fn variation(&self, inside: u32) -> f64 {
        let bins = f64::from(BINS);
        let mean = f64::from(inside) / bins;
        let squares: f64 = self
            .bins
            .values()
            .map(|&count| f64::from(count).powi(2))
            .sum();
        (squares / bins - mean * mean).max(0.0).sqrt() / mean
    }

    fn percentile(&self, inside: u32, share: f64) -> u16 {
        let wanted = (f64::from(inside) * share).ceil().max(1.0) as u32;
        let mut seen = 0;
        for (&bin, &count) in &self.bins {
            seen += count;
            if seen >= wanted {
                return bin;
            }
        }
        BINS - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = f64>) -> IdleTimes {
        let mut idle = IdleTimes::default();
        for seconds in times {
            idle.note(seconds);
        }
        idle
    }

    #[test]
    fn a_rhythm_gives_a_window_around_it() {
        let window = of((0..20).map(|n| 1800.0 + f64::from(n % 3) * 60.0))
            .window()
            .expect("a shape");
        assert!((window.head - 1620.0).abs() < 1e-6, "{window:?}");
        assert!((window.tail - 33.0 * 66.0).abs() < 1e-6, "{window:?}");
        assert!(window.contains(1800.0) && !window.contains(600.0) && !window.contains(9000.0));
    }

    #[test]
    fn few_flat_or_distant_times_give_none() {
        assert_eq!(of([60.0; 4]).window(), None);
        assert_eq!(of((0..240).map(|n| f64::from(n) * 60.0)).window(), None);
        assert_eq!(of([60.0; 5].into_iter().chain([1e6; 6])).window(), None);
        assert_eq!(of([f64::NAN, -1.0]), IdleTimes::default());
    }

    #[test]
    fn it_follows_changed_habits() {
        let times = std::iter::repeat_n(600.0, 500).chain(std::iter::repeat_n(6000.0, 5000));
        assert!(of(times).window().expect("a shape").head > 5000.0);
    }
}
