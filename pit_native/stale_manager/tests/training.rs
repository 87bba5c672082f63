//! What runs are worth to learn from.

use proptest::prelude::*;
use stale_manager::{Assessment, Outcome, RunFacts, assess};

fn run(id: &str, task: &str, status: Outcome, created: f64) -> RunFacts {
    RunFacts {
        run: id.into(),
        task: task.into(),
        status,
        created,
        players: vec!["symphony/git#log".into()],
        reward: None,
        corrections: 0,
        feedback: 0,
        retries: 0,
    }
}

fn value<'a>(all: &'a [Assessment], id: &str) -> &'a Assessment {
    all.iter().find(|one| one.run == id).expect("assessed")
}

#[test]
fn a_failure_with_a_later_success_is_worth_more_than_one_without() {
    let runs = [
        run("lost", "hopeless", Outcome::Failed, 1.0),
        run("failed", "task", Outcome::Failed, 1.0),
        run("fixed", "task", Outcome::Succeeded, 2.0),
        run("again", "task", Outcome::Succeeded, 3.0),
        run("plain", "easy", Outcome::Succeeded, 2.0),
    ];
    let all = assess(&runs);
    assert!(value(&all, "failed").value > value(&all, "lost").value);
    assert!(value(&all, "fixed").value > value(&all, "plain").value / 2f64.sqrt());
    assert!(value(&all, "failed").reasons[0].contains("a later run of its task succeeded"));
    assert!(value(&all, "fixed").reasons[0].contains("had failed"));
    // The second success after the failure shows nothing new.
    assert!(
        !value(&all, "again")
            .reasons
            .iter()
            .any(|words| words.contains("had failed"))
    );
}

#[test]
fn every_signal_counts_and_is_named() {
    let plain = run("plain", "t", Outcome::Succeeded, 1.0);
    let marked: [(&str, RunFacts, &str); 5] = [
        (
            "judged",
            RunFacts {
                feedback: -1,
                ..plain.clone()
            },
            "judged",
        ),
        (
            "corrected",
            RunFacts {
                corrections: 2,
                ..plain.clone()
            },
            "corrected it (2 times)",
        ),
        (
            "rewarded",
            RunFacts {
                reward: Some(0.9),
                ..plain.clone()
            },
            "reward is 0.90",
        ),
        (
            "retried",
            RunFacts {
                retries: 3,
                ..plain.clone()
            },
            "3 times more",
        ),
        (
            "rare",
            RunFacts {
                players: vec!["local/odd#one".into()],
                ..plain.clone()
            },
            "local/odd#one took part in 1",
        ),
    ];
    for (name, facts, words) in marked {
        let others = (0..8).map(|n| RunFacts {
            run: format!("o{n}"),
            task: format!("o{n}"),
            ..plain.clone()
        });
        let runs: Vec<RunFacts> = others
            .chain([RunFacts {
                run: name.into(),
                task: name.into(),
                ..facts
            }])
            .collect();
        let all = assess(&runs);
        let found = value(&all, name);
        assert!(found.value > value(&all, "o0").value, "{name}: {found:?}");
        assert!(
            found.reasons.iter().any(|said| said.contains(words)),
            "{found:?}"
        );
    }
}

#[test]
fn a_reward_unlike_the_others_of_its_task_is_worth_a_look() {
    let reward = |id: &str, reward| RunFacts {
        reward: Some(reward),
        ..run(id, "t", Outcome::Succeeded, 1.0)
    };
    let all = assess(&[reward("a", 0.8), reward("b", 0.8), reward("c", 0.1)]);
    let said = &value(&all, "c").reasons;
    assert!(
        said.iter()
            .any(|words| words.starts_with("0.35") && words.contains("0.80")),
        "{said:?}"
    );
}

#[test]
fn a_run_that_plays_is_worth_all() {
    assert_eq!(
        assess(&[run("a", "t", Outcome::Running, 1.0)])[0].value,
        1.0
    );
}

fn facts() -> impl Strategy<Value = Vec<RunFacts>> {
    let status = prop::sample::select(vec![
        Outcome::Running,
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::Cancelled,
        Outcome::Interrupted,
    ]);
    let one = (
        0u8..4,
        status,
        0u16..50,
        prop::collection::btree_set(0u8..5, 0..3),
        prop::option::of(prop::num::f64::ANY),
        (0u32..3, -1i8..2, 0u32..3),
    );
    prop::collection::vec(one, 0..30).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(
                |(number, (task, status, created, players, reward, counts))| RunFacts {
                    run: format!("r{number}"),
                    task: format!("t{task}"),
                    status,
                    created: f64::from(created),
                    players: players
                        .into_iter()
                        .map(|player| format!("p{player}"))
                        .collect(),
                    reward,
                    corrections: counts.0,
                    feedback: counts.1,
                    retries: counts.2,
                },
            )
            .collect()
    })
}

proptest! {
    #[test]
    fn values_lie_between_0_and_1_and_the_order_of_runs_is_nothing(runs in facts()) {
        let mut all = assess(&runs);
        for one in &all {
            prop_assert!((0.0..=1.0).contains(&one.value), "{one:?}");
        }
        let mut turned: Vec<RunFacts> = runs;
        turned.reverse();
        let mut again = assess(&turned);
        again.reverse();
        for (one, other) in all.iter_mut().zip(&mut again) {
            // Sums of rewards differ in their last bits.
            prop_assert!((one.value - other.value).abs() < 1e-9);
            prop_assert_eq!(&one.reasons, &other.reasons);
        }
    }

    #[test]
    fn a_correction_or_a_judgement_never_makes_a_run_worth_less(runs in facts(), which in any::<prop::sample::Index>()) {
        prop_assume!(!runs.is_empty());
        let row = which.index(runs.len());
        let mut marked = runs.clone();
        marked[row].corrections += 1;
        marked[row].feedback = 1;
        prop_assert!(assess(&marked)[row].value >= assess(&runs)[row].value - 1e-12);
    }
}
