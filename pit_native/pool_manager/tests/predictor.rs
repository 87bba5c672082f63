//! The predictor on traces of sessions: what it foresees, what that saves, and that its memory is safe.

use pool_manager::predictor::Predictor;
use proptest::prelude::*;
use std::collections::BTreeMap;

const DAY: f64 = 86_400.0;
/// What a prompt uses, one Player after the other.
const RECIPES: [&[&str]; 5] = [
    &["git", "data", "report"],
    &["files", "embed", "chart"],
    &["web", "notes"],
    &["shell", "tests", "report"],
    &["audio", "text"],
];

/// One prompt of a trace.
struct Prompt {
    at: f64,
    keys: &'static [&'static str],
}

/// A small generator, so that a trace is the same each time (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Work days: in the morning git, then files, then the web, again and again; after noon shell and audio in
/// turn. `noise` of a hundred prompts are any recipe. A prompt comes 25 to 34 minutes after the last.
fn trace(seed: u64, days: u64, noise: u64) -> Vec<Prompt> {
    let mut random = Random(seed);
    let mut prompts = Vec::new();
    for day in 0..days {
        for (hour, recipes) in [(9.0, &[0, 1, 2][..]), (14.0, &[3, 4])] {
            let mut at = day as f64 * DAY + hour * 3600.0 + random.below(600) as f64;
            for step in 0..6 {
                let any = RECIPES.len() as u64;
                let recipe = match random.below(100) < noise {
                    true => random.below(any) as usize,
                    false => recipes[step % recipes.len()],
                };
                prompts.push(Prompt {
                    at,
                    keys: RECIPES[recipe],
                });
                at += 60.0 * (25 + random.below(10)) as f64;
            }
        }
    }
    prompts
}

fn play(predictor: &mut Predictor, prompt: &Prompt) {
    predictor.began(prompt.at);
    for (step, key) in prompt.keys.iter().enumerate() {
        predictor.used(key, prompt.at + step as f64);
    }
    predictor.ended(prompt.keys.iter().copied(), prompt.at + 60.0);
}

#[test]
fn four_of_five_uses_are_foreseen_where_four_of_five_can_be() {
    for seed in 1..6 {
        let prompts = trace(seed, 30, 10);
        let (first, second) = prompts.split_at(prompts.len() / 3);
        let mut predictor = Predictor::default();
        first.iter().for_each(|prompt| play(&mut predictor, prompt));
        let before = predictor.accuracy();
        second
            .iter()
            .for_each(|prompt| play(&mut predictor, prompt));
        let after = predictor.accuracy();
        let (hits, misses, unused) = (
            after.hits - before.hits,
            after.misses - before.misses,
            after.unused - before.unused,
        );
        assert!(
            hits * 10 >= (hits + misses) * 8,
            "seed {seed}: {hits} of {}",
            hits + misses
        );
        assert!(
            unused * 3 <= hits,
            "seed {seed}: {unused} expected in vain beside {hits}"
        );
    }
}

/// Prompts whose first Player was cold, and the seconds that Players were warm without being used.
struct Outcome {
    cold: usize,
    warm_seconds: f64,
}

/// Steps through the trace minute by minute; `warm(now, last use of each)` says what is to be warm, at most
/// `room` Players. The later Players of a prompt are left to its plan.
fn simulate(
    prompts: &[Prompt],
    room: usize,
    mut policy: impl FnMut(f64, Option<&Prompt>) -> Vec<String>,
) -> Outcome {
    let (mut cold, mut warm_seconds, mut now) = (0, 0.0, prompts[0].at);
    let mut warm: Vec<String> = Vec::new();
    for prompt in prompts {
        while now + 60.0 <= prompt.at {
            now += 60.0;
            warm = policy(now, None);
            warm.truncate(room);
            warm_seconds += 60.0 * warm.len() as f64;
        }
        cold += usize::from(!warm.iter().any(|key| key == prompt.keys[0]));
        policy(prompt.at, Some(prompt));
    }
    Outcome { cold, warm_seconds }
}

#[test]
fn half_of_the_cold_starts_are_saved_at_no_more_warm_seconds_than_a_keep_alive() {
    let prompts = trace(7, 30, 15);
    let (first, second) = prompts.split_at(prompts.len() / 3);
    let mut predictor = Predictor::default();
    first.iter().for_each(|prompt| play(&mut predictor, prompt));
    let foreseen = simulate(second, 4, |now, prompt| {
        if let Some(prompt) = prompt {
            play(&mut predictor, prompt);
        }
        predictor
            .wanted(now)
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    });
    // The peer: what was used last stays warm for a time, in the same room.
    for minutes in [20.0, 60.0] {
        let mut last: BTreeMap<&str, f64> = BTreeMap::new();
        let kept = simulate(second, 4, |now, prompt| {
            for key in prompt.iter().flat_map(|prompt| prompt.keys) {
                last.insert(key, now);
            }
            let mut warm: Vec<_> = last
                .iter()
                .filter(|(_, at)| now - **at < 60.0 * minutes)
                .collect();
            warm.sort_by(|a, b| b.1.total_cmp(a.1));
            warm.into_iter().map(|(key, _)| (*key).to_owned()).collect()
        });
        assert!(
            foreseen.cold * 2 <= kept.cold,
            "{minutes} min: {} and {}",
            foreseen.cold,
            kept.cold
        );
        if minutes > 30.0 {
            assert!(
                foreseen.warm_seconds <= kept.warm_seconds,
                "{} and {}",
                foreseen.warm_seconds,
                kept.warm_seconds
            );
        }
    }
}

#[test]
fn the_hour_decides_where_the_sequence_does_not() {
    let mut predictor = Predictor::default();
    for day in 0..20 {
        for (hour, key) in [(8.0, "mail"), (20.0, "music")] {
            let at = f64::from(day) * DAY + hour * 3600.0;
            predictor.began(at);
            predictor.used("desk", at);
            predictor.ended(["desk"], at);
            predictor.began(at + 60.0);
            predictor.used(key, at + 60.0);
            predictor.ended([key], at + 90.0);
            // The same end each time, so that what follows it is open.
            predictor.began(at + 120.0);
            predictor.used("end", at + 120.0);
        }
    }
    predictor.began(20.0 * DAY);
    predictor.used("desk", 20.0 * DAY);
    for (hour, expected) in [(8.0, "mail"), (20.0, "music")] {
        let likely = predictor.likely(20.0 * DAY + hour * 3600.0);
        assert_eq!(
            likely.first().map(|(key, _)| key.as_str()),
            Some(expected),
            "{likely:?}"
        );
    }
}

#[test]
fn durations_and_loads_are_remembered_with_their_spread() {
    let mut predictor = Predictor::default();
    assert_eq!(
        (predictor.usual_seconds("p"), predictor.load_seconds("k")),
        (None, None)
    );
    for seconds in [
        2.0,
        f64::NAN,
        -1.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
    ] {
        predictor.took("p", seconds);
        predictor.loaded("k", seconds);
    }
    let usual = predictor.usual_seconds("p").expect("known");
    let load = predictor.load_seconds("k").expect("known");
    assert!(usual > 1.9 && usual <= 2.0, "{usual}");
    assert!((2.0..2.1).contains(&load), "{load}");
}

#[test]
fn what_it_learned_survives_and_damage_is_found() {
    let mut predictor = Predictor::default();
    trace(3, 5, 10)
        .iter()
        .for_each(|prompt| play(&mut predictor, prompt));
    predictor.took("git#log", 0.25);
    let bytes = predictor.to_bytes();
    assert_eq!(Predictor::from_bytes(&bytes).as_ref(), Ok(&predictor));
    assert_eq!(
        Predictor::from_bytes(&Predictor::default().to_bytes()),
        Ok(Predictor::default())
    );
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        assert!(Predictor::from_bytes(&damaged).is_err(), "byte {at}");
        assert!(Predictor::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
}

proptest! {
    #[test]
    fn any_history_gives_probabilities(
        steps in prop::collection::vec((0u8..3, 0usize..6, 0.0f64..1e7), 0..120),
    ) {
        let names = ["a", "b", "c", "d", "e", "^"];
        let mut predictor = Predictor::default();
        let mut now = 1e9;
        for (step, which, later) in steps {
            now += later;
            match step {
                0 => predictor.began(now),
                1 => predictor.used(names[which], now),
                _ => predictor.ended([names[which]], now),
            }
            for (_, p) in predictor.likely(now).into_iter().chain(predictor.wanted(now)) {
                prop_assert!((0.0..=1.0).contains(&p));
            }
        }
        prop_assert_eq!(Predictor::from_bytes(&predictor.to_bytes()), Ok(predictor));
    }
}

#[test]
fn a_model_is_expected_when_its_pauses_have_a_pattern_and_is_no_part_of_prompts() {
    let mut predictor = Predictor::default();
    let hour = 3600.0;
    for day in 0..8 {
        // Many uses at once are one; then nothing for an hour.
        for second in 0..20 {
            predictor.touched("model", f64::from(day) * hour + f64::from(second));
        }
    }
    let last = 7.0 * hour + 19.0;
    let is_wanted = |now: f64| predictor.wanted(now).iter().any(|(key, _)| key == "model");
    assert!(!is_wanted(last + 600.0));
    assert!(is_wanted(last + hour - 60.0));
    assert!(predictor.likely(last).is_empty());
    assert_eq!(predictor.accuracy().misses, 0);
}

#[test]
fn how_soon_a_session_s_first_prompt_comes_is_learned() {
    let mut predictor = Predictor::default();
    let start = 100.0 * DAY + 9.0 * 3600.0;
    // Without a pattern it is expected for ten minutes; it comes within two.
    for number in 0..8 {
        let opened = start + f64::from(number) * DAY;
        predictor.opened(opened);
        if number > 0 {
            assert_eq!(predictor.wanted(opened + 1.0).len(), 1, "session {number}");
        }
        if (1..5).contains(&number) {
            assert_eq!(
                predictor.wanted(opened + 590.0).len(),
                1,
                "session {number}"
            );
        }
        let at = opened + 30.0 + 10.0 * f64::from(number);
        play(&mut predictor, &Prompt { at, keys: &["git"] });
    }
    let opened = start + 8.0 * DAY;
    predictor.opened(opened);
    assert_eq!(predictor.wanted(opened + 60.0).len(), 1);
    assert_eq!(predictor.wanted(opened + 300.0), [], "nobody has asked");
    // What was learned survives, and a session whose first prompt has come follows the pauses.
    let mut again = Predictor::from_bytes(&predictor.to_bytes()).expect("sound");
    again.opened(opened + DAY);
    assert_eq!(again.wanted(opened + DAY + 300.0), []);
    play(
        &mut again,
        &Prompt {
            at: opened + DAY + 400.0,
            keys: &["git"],
        },
    );
    assert_eq!(again.wanted(opened + DAY + 500.0).len(), 1);
}
