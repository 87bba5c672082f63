//! Which Players will be needed next, learned from what was used before, in this session and in earlier ones.
//!
//! Three sources: what follows what (a Markov chain of second order over Players, which backs off to lower
//! orders; a prompt begins with a start mark), at which hour of the day a Player is used, and how long it stays
//! unused (a hybrid histogram). It knows no clock, no pool and no file: times are given, in seconds
//! since the epoch, and its memory goes out and in as bytes.

mod idle_times;
mod memory;
mod sequence;

use idle_times::IdleTimes;
use sequence::{START, Sequence};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use idle_times::Window;

/// A Player is expected when it is at least so likely.
const EXPECTED: f64 = 0.3;
/// How many steps of a prompt are looked ahead.
const STEPS: usize = 6;
/// Players that are remembered; beyond, those that were used longest ago are forgotten.
const KEYS: usize = 1_000;
/// For how long a prompt is expected at any moment, in seconds.
const SOON: f64 = 600.0;
const HOURS: usize = 24;
/// Uses of a model with less than so many seconds between them are one.
const ONE_USE: f64 = 60.0;
/// Calls of which the usual duration is remembered.
const DURATIONS: usize = 4_000;

/// What is known of one Player.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    /// Prompts that used it, by hour of the day.
    hours: BTreeMap<u8, f64>,
    /// When it was last used.
    last: f64,
    idle: IdleTimes,
}

/// A mean and the mean deviation from it, smoothed as round trips are in TCP (V. Jacobson, "Congestion Avoidance and
/// Control", SIGCOMM 1988).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Usual {
    mean: f64,
    deviation: f64,
}

impl Usual {
    fn note(known: Option<Self>, seconds: f64) -> Self {
        match known {
            None => Self {
                mean: seconds,
                deviation: seconds / 2.0,
            },
            Some(Self { mean, deviation }) => Self {
                mean: mean + (seconds - mean) / 8.0,
                deviation: deviation + ((seconds - mean).abs() - deviation) / 4.0,
            },
        }
    }
}

/// How well it has predicted, since it began to learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Players that a prompt used and that were expected when it began.
    pub hits: u64,
    /// Players that a prompt used and that were not expected.
    pub misses: u64,
    /// Players that were expected and not used.
    pub unused: u64,
}

/// The predictor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Predictor {
    records: BTreeMap<String, Record>,
    sequence: Sequence,
    /// Times between the end of one prompt and the beginning of the next.
    pauses: IdleTimes,
    /// When the last prompt ended.
    ended: f64,
    /// When this session began, while its first prompt is still to come.
    #[serde(default)]
    awaited: Option<f64>,
    /// Times between the beginning of a session and its first prompt.
    #[serde(default)]
    openings: IdleTimes,
    /// What was expected when the prompt that runs began, and is still to come.
    outlook: Vec<String>,
    accuracy: Accuracy,
    /// How long calls take, by Player and function.
    durations: BTreeMap<String, Usual>,
    /// How long Players take to load.
    loads: BTreeMap<String, Usual>,
}

impl Predictor {
    /// A session begins.
    pub fn opened(&mut self, now: f64) {
        self.awaited = Some(now);
    }

    /// A prompt begins to run.
    pub fn began(&mut self, now: f64) {
        match self.awaited.take() {
            Some(opened) => self.openings.note(now - opened),
            None if self.ended > 0.0 => self.pauses.note(now - self.ended),
            None => {}
        }
        self.accuracy.unused += self.outlook.len() as u64;
        let likely = self.likely(now);
        self.outlook = likely.into_iter().map(|(key, _)| key).collect();
        self.sequence.begin();
    }

    /// The prompt that runs uses a Player, for the first time.
    pub fn used(&mut self, key: &str, now: f64) {
        match self.outlook.iter().position(|expected| expected == key) {
            Some(at) => {
                self.outlook.swap_remove(at);
                self.accuracy.hits += 1;
            }
            None => self.accuracy.misses += 1,
        }
        self.sequence.note(key);
        self.note_use(key, now);
    }

    /// A model is used, at any time and perhaps many times in a row: only when it comes back after a pause is
    /// learned, and it is no part of what prompts use.
    pub fn touched(&mut self, key: &str, now: f64) {
        match self.records.get_mut(key) {
            Some(record) if now - record.last < ONE_USE => record.last = now,
            _ => self.note_use(key, now),
        }
    }

    fn note_use(&mut self, key: &str, now: f64) {
        let record = self.records.entry(key.to_owned()).or_default();
        if record.last > 0.0 {
            record.idle.note(now - record.last);
        }
        record.last = now;
        *record.hours.entry(hour_of(now)).or_insert(0.0) += 1.0;
        if self.records.len() > KEYS {
            self.forget_oldest();
        }
    }

    /// The prompt has ended, and with it the use of these Players.
    pub fn ended<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>, now: f64) {
        for key in keys {
            if let Some(record) = self.records.get_mut(key) {
                record.last = now;
            }
        }
        self.ended = now;
    }

    /// The Players that the next prompt is expected to use, each with its probability, the likeliest first.
    pub fn likely(&self, now: f64) -> Vec<(String, f64)> {
        let hour = hour_of(now);
        let first = self.sequence.after_start();
        let weights: Vec<f64> = first
            .iter()
            .map(|(key, p)| p * self.hour_share(key, hour))
            .collect();
        let sum: f64 = weights.iter().sum();
        let mut all: BTreeMap<&str, f64> = BTreeMap::new();
        for ((key, _), weight) in first.iter().zip(&weights) {
            self.walk(&mut all, &[START, key], key, weight / sum, STEPS);
        }
        let mut likely: Vec<(String, f64)> = all
            .into_iter()
            .filter(|(_, p)| *p >= EXPECTED)
            .map(|(key, p)| (key.to_owned(), p.min(1.0)))
            .collect();
        likely.sort_by(|a, b| b.1.total_cmp(&a.1));
        likely
    }

    /// Adds `key`, which comes with probability `p` after `before`, and what follows it.
    fn walk<'a>(
        &'a self,
        all: &mut BTreeMap<&'a str, f64>,
        context: &[&'a str],
        key: &'a str,
        p: f64,
        steps: usize,
    ) {
        // What is unlikely has only less likely followers.
        if steps == 0 || p < EXPECTED / 4.0 {
            return;
        }
        *all.entry(key).or_insert(0.0) += p;
        for (next, share) in self.sequence.after(context) {
            self.walk(all, &[key, next], next, p * share, steps - 1);
        }
    }

    /// The Players that should be warm now, with how likely they are needed: those whose own idle times
    /// say so, and those that the next prompt is expected to use, in the time in which prompts come.
    pub fn wanted(&self, now: f64) -> Vec<(String, f64)> {
        let mut wanted: BTreeMap<String, f64> = BTreeMap::new();
        for (key, record) in &self.records {
            if let Some(window) = record.idle.window()
                && window.is_narrow()
                && window.contains(now - record.last)
            {
                wanted.insert(key.clone(), window.share);
            }
        }
        // A session that has just begun was begun for something. Without a pattern of its own a prompt may
        // come at any moment for a while.
        let (pattern, since) = match self.awaited {
            Some(opened) => (self.openings.window(), now - opened),
            None => (self.pauses.window(), now - self.ended),
        };
        let is_due = match pattern {
            Some(window) => window.contains(since),
            None => (0.0..SOON).contains(&since),
        };
        if is_due {
            for (key, p) in self.likely(now) {
                let known = wanted.entry(key).or_insert(0.0);
                *known = known.max(p);
            }
        }
        let mut wanted: Vec<_> = wanted.into_iter().collect();
        wanted.sort_by(|a, b| b.1.total_cmp(&a.1));
        wanted
    }

    /// When `key` is used again after it was used last, if its idle times have a pattern.
    pub fn window(&self, key: &str) -> Option<Window> {
        self.records.get(key)?.idle.window()
    }

    /// How well it has predicted.
    pub fn accuracy(&self) -> Accuracy {
        self.accuracy
    }

    /// A call of `player` took so long.
    pub fn took(&mut self, player: &str, seconds: f64) {
        note(&mut self.durations, player, seconds);
    }

    /// A load of `key` took so long.
    pub fn loaded(&mut self, key: &str, seconds: f64) {
        note(&mut self.loads, key, seconds);
    }

    /// How long a call of `player` takes at least, usually: the mean less the mean deviation, seconds.
    pub fn usual_seconds(&self, player: &str) -> Option<f64> {
        let usual = self.durations.get(player)?;
        Some((usual.mean - usual.deviation).max(usual.mean / 4.0))
    }

    /// How long a load of `key` takes at most, usually: the mean and two mean deviations, seconds.
    pub fn load_seconds(&self, key: &str) -> Option<f64> {
        let usual = self.loads.get(key)?;
        Some(usual.mean + 2.0 * usual.deviation)
    }

    /// The share of a Player's uses that fall into an hour of the day, or the hours beside it.
    fn hour_share(&self, key: &str, hour: u8) -> f64 {
        let Some(record) = self.records.get(key) else {
            return 1.0 / HOURS as f64;
        };
        let hours = HOURS as u8;
        let at = |hour: u8| record.hours.get(&(hour % hours)).copied().unwrap_or(0.0);
        let near = at(hour) / 2.0 + at(hour + 1) / 4.0 + at(hour + hours - 1) / 4.0;
        let all: f64 = record.hours.values().sum();
        // One more use, spread over the day: few uses say little.
        (near + 1.0 / HOURS as f64) / (all + 1.0)
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .records
            .iter()
            .min_by(|a, b| a.1.last.total_cmp(&b.1.last))
            .map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.records.remove(&key);
            self.loads.remove(&key);
            self.sequence.forget(&key);
        }
    }
}

fn note(known: &mut BTreeMap<String, Usual>, name: &str, seconds: f64) {
    if !seconds.is_finite() || seconds < 0.0 {
        return;
    }
    if let Some(usual) = known.get_mut(name) {
        *usual = Usual::note(Some(*usual), seconds);
    } else if known.len() < DURATIONS {
        known.insert(name.to_owned(), Usual::note(None, seconds));
    }
}

/// The hour of the day in UTC; the zone does not matter as long as it stays the same.
fn hour_of(now: f64) -> u8 {
    ((now / 3600.0).floor().rem_euclid(HOURS as f64)) as u8
}
