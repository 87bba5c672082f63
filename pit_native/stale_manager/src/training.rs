//! What a run is worth to learn from, as a number with its reasons.
//!
//! Each signal gives a strength s between 0 and 1; the value is 1 − Π(1 − s), so that signals add up
//! and none needs to know of the others. Runs that say the same as later ones are worth less: the value
//! is divided by √k for the k-th newest of them.
//!
//! | signal | strength |
//! |---|---|
//! | the user judged it | 0.8 |
//! | the user corrected it | 0.7 |
//! | it failed and a later run of its task succeeded, or it is the first such success | 0.6 |
//! | its reward | 0.5 × reward |
//! | its reward is not that of its task's other runs | 0.5 × distance from their mean |
//! | its rarest Player was in n runs | 0.4 ÷ √n |
//! | nodes were tried again | 0.2 |

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

const JUDGED: f64 = 0.8;
const CORRECTED: f64 = 0.7;
const RECOVERED: f64 = 0.6;
const REWARD: f64 = 0.5;
const SURPRISE: f64 = 0.5;
const RARE: f64 = 0.4;
const RETRIED: f64 = 0.2;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has not.
    Running,
    /// All that was wanted is there.
    Succeeded,
    /// Something could not be done.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// Its host ended under it.
    Interrupted,
}

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// Its id.
    pub run: String,
    /// What was wanted: the prompt, or the melody's name. Runs of one task are compared.
    pub task: String,
    /// How it ended.
    pub status: Outcome,
    /// Seconds since the epoch.
    pub created: f64,
    /// The Players that took part, each once.
    pub players: Vec<String>,
    /// Success × (1 − normalised latency) × quality, 0 to 1, when it is known.
    #[serde(default)]
    pub reward: Option<f64>,
    /// How often the user changed what was composed, or answered no.
    #[serde(default)]
    pub corrections: u32,
    /// The user's judgement: below, at or above 0.
    #[serde(default)]
    pub feedback: i8,
    /// Attempts beyond the first of each node.
    #[serde(default)]
    pub retries: u32,
}

/// What a run is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// Its id.
    pub run: String,
    /// 0 to 1.
    pub value: f64,
    /// Why, the strongest reason first.
    pub reasons: Vec<String>,
}

/// What the runs say together.
struct Context<'a> {
    /// In how many runs each Player took part.
    players: FxHashMap<&'a str, u32>,
    /// Number of rewards and their sum, by task.
    rewards: FxHashMap<&'a str, (u32, f64)>,
    /// The times of each task's successes and failures, in order.
    successes: FxHashMap<&'a str, Vec<f64>>,
    failures: FxHashMap<&'a str, Vec<f64>>,
}

impl<'a> Context<'a> {
    fn of(runs: &'a [RunFacts]) -> Self {
        let mut context = Self {
            players: FxHashMap::default(),
            rewards: FxHashMap::default(),
            successes: FxHashMap::default(),
            failures: FxHashMap::default(),
        };
        for run in runs {
            for player in &run.players {
                *context.players.entry(player).or_default() += 1;
            }
            if let Some(reward) = sound(run.reward) {
                let (count, sum) = context.rewards.entry(&run.task).or_default();
                *count += 1;
                *sum += reward;
            }
            let times = match run.status {
                Outcome::Succeeded => &mut context.successes,
                Outcome::Failed => &mut context.failures,
                _ => continue,
            };
            times.entry(&run.task).or_default().push(run.created);
        }
        for times in context
            .successes
            .values_mut()
            .chain(context.failures.values_mut())
        {
            times.sort_by(f64::total_cmp);
        }
        context
    }

    /// The strengths of a run's signals, each with its words.
    fn signals(&self, run: &RunFacts) -> Vec<(f64, String)> {
        let mut signals = Vec::new();
        if run.feedback != 0 {
            signals.push((JUDGED, "the user judged it".to_owned()));
        }
        if run.corrections > 0 {
            let words = format!("the user corrected it ({} times)", run.corrections);
            signals.push((CORRECTED, words));
        }
        if let Some(words) = self.recovery(run) {
            signals.push((RECOVERED, words.to_owned()));
        }
        if let Some(reward) = sound(run.reward) {
            signals.push((REWARD * reward, format!("its reward is {reward:.2}")));
            if let Some((count, sum)) = self.rewards.get(run.task.as_str())
                && *count > 1
            {
                let others = (sum - reward) / f64::from(count - 1);
                let words = format!("others of its task had a reward of {others:.2}");
                signals.push((SURPRISE * (reward - others).abs(), words));
            }
        }
        let rarest = run
            .players
            .iter()
            .min_by_key(|player| (self.players.get(player.as_str()), *player));
        if let Some(player) = rarest {
            let count = self.players.get(player.as_str()).copied().unwrap_or(1);
            let words = format!("{player} took part in {count} runs");
            signals.push((RARE / f64::from(count).sqrt(), words));
        }
        if run.retries > 0 {
            let words = format!("nodes were tried {} times more", run.retries);
            signals.push((RETRIED, words));
        }
        signals
    }

    fn recovery(&self, run: &RunFacts) -> Option<&'static str> {
        let task = run.task.as_str();
        match run.status {
            Outcome::Failed => {
                let last = self.successes.get(task)?.last()?;
                (*last > run.created).then_some("it failed, and a later run of its task succeeded")
            }
            Outcome::Succeeded => {
                let failures = self.failures.get(task)?;
                let before = failures.partition_point(|time| *time < run.created);
                let failure = *failures.get(before.checked_sub(1)?)?;
                let successes = &self.successes[task];
                let first = successes.partition_point(|time| *time <= failure);
                (successes.get(first) == Some(&run.created))
                    .then_some("it succeeded where an earlier run of its task had failed")
            }
            _ => None,
        }
    }
}

/// A reward that is a number, between 0 and 1.
fn sound(reward: Option<f64>) -> Option<f64> {
    reward
        .filter(|reward| !reward.is_nan())
        .map(|reward| reward.clamp(0.0, 1.0))
}

/// What each run is worth, in the order given. The same runs give the same values in any order.
pub fn assess(runs: &[RunFacts]) -> Vec<Assessment> {
    let context = Context::of(runs);
    let repeats = repeats(runs);
    runs.iter()
        .zip(repeats)
        .map(|(run, later)| {
            if run.status == Outcome::Running {
                return Assessment {
                    run: run.run.clone(),
                    value: 1.0,
                    reasons: vec!["it plays".into()],
                };
            }
            let mut signals = context.signals(run);
            signals.retain(|(strength, _)| *strength > 0.0);
            signals.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            let missed: f64 = signals.iter().map(|(strength, _)| 1.0 - strength).product();
            let share = 1.0 / f64::from(later + 1).sqrt();
            let mut reasons: Vec<String> = signals
                .iter()
                .map(|(strength, words)| format!("{strength:.2}: {words}"))
                .collect();
            if later > 0 {
                reasons.push(format!("× {share:.2}: {later} later runs say the same"));
            }
            Assessment {
                run: run.run.clone(),
                value: (1.0 - missed) * share,
                reasons,
            }
        })
        .collect()
}

/// For each run how many later ones had the same task, outcome and Players.
fn repeats(runs: &[RunFacts]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&runs[*a], &runs[*b]);
        b.created
            .total_cmp(&a.created)
            .then_with(|| b.run.cmp(&a.run))
    });
    let mut seen: FxHashMap<(&str, Outcome, Vec<&str>), u32> = FxHashMap::default();
    let mut later = vec![0; runs.len()];
    for row in order {
        let run = &runs[row];
        let mut players: Vec<&str> = run.players.iter().map(String::as_str).collect();
        players.sort_unstable();
        let count = seen.entry((&run.task, run.status, players)).or_default();
        later[row] = *count;
        *count += 1;
    }
    later
}
