//! Plans: what age, value, pins, holds and a short disk ask for.

use proptest::prelude::*;
use stale_manager::{ActionKind, Policy, StaleManager, Tier};

const DAY: f64 = 86_400.0;

fn manager(policy: Policy) -> StaleManager {
    StaleManager::new(policy.checked().expect("a sound policy"))
}

fn kinds(manager: &StaleManager, days: f64) -> Vec<(ActionKind, String)> {
    manager
        .plan(days * DAY, None)
        .into_iter()
        .map(|action| (action.kind, action.id))
        .collect()
}

#[test]
fn age_moves_an_artifact_through_the_tiers() {
    let policy = Policy {
        cloud: true,
        delete_days: Some(365.0),
        ..Policy::default()
    };
    let mut stale = manager(policy);
    stale.register("a", 10, 0.0, 0.5);
    for (days, expected) in [
        (6.9, None),
        (7.0, Some(ActionKind::Archive)),
        (29.9, Some(ActionKind::Archive)),
        (30.0, Some(ActionKind::Cloud)),
        (365.0, Some(ActionKind::Delete)),
    ] {
        let found = kinds(&stale, days).first().map(|(kind, _)| *kind);
        assert_eq!(found, expected, "at {days} days");
    }
    assert!(stale.moved("a", Tier::Cloud));
    assert_eq!(kinds(&stale, 40.0), []);
}

#[test]
fn a_tier_that_is_not_there_is_not_planned() {
    let mut stale = manager(Policy::default());
    stale.register("a", 10, 0.0, 0.5);
    assert_eq!(kinds(&stale, 400.0), [(ActionKind::Archive, "a".into())]);
    stale.moved("a", Tier::Archive);
    assert_eq!(kinds(&stale, 400.0), []);
    let mut stale = manager(Policy {
        archive: false,
        cloud: true,
        ..Policy::default()
    });
    stale.register("a", 10, 0.0, 0.5);
    assert_eq!(kinds(&stale, 20.0), []);
    assert_eq!(kinds(&stale, 30.0), [(ActionKind::Cloud, "a".into())]);
}

#[test]
fn pinned_held_and_valuable_artifacts_are_not_deleted_and_it_is_said_why() {
    let mut stale = manager(Policy {
        delete_days: Some(60.0),
        ..Policy::default()
    });
    for (id, value) in [("held", 0.0), ("pinned", 0.0), ("valuable", 0.95)] {
        stale.register(id, 10, 0.0, value);
    }
    assert!(stale.set_pin("pinned", true) && stale.set_hold("held", true));
    let archived = |id: &str| (ActionKind::Archive, id.to_owned());
    assert_eq!(
        kinds(&stale, 100.0),
        [archived("held"), archived("valuable")]
    );
    for id in ["held", "valuable"] {
        stale.moved(id, Tier::Archive);
    }
    assert_eq!(kinds(&stale, 100.0), []);
    for (id, words) in [
        ("held", "it is held"),
        ("pinned", "it is pinned"),
        ("valuable", "0.95"),
    ] {
        let said = stale.explain(id, 100.0 * DAY).expect("known");
        assert!(said.contains(words), "{said}");
    }
    assert!(stale.set_pin("pinned", false) && stale.set_hold("held", false));
    assert_eq!(kinds(&stale, 100.0).len(), 2);
    assert!(!stale.set_pin("unknown", true));
    assert_eq!(stale.explain("unknown", 0.0), None);
}

#[test]
fn what_is_used_or_made_again_is_young() {
    let mut stale = manager(Policy::default());
    stale.register("made", 10, 0.0, 0.5);
    stale.register("made", 10, 8.0 * DAY, 0.5);
    stale.register("made", 10, 0.0, 0.5);
    stale.register("used", 10, 0.0, 0.5);
    stale.used("used", 8.0 * DAY);
    stale.used("used", 2.0 * DAY);
    assert_eq!(kinds(&stale, 9.0), []);
    let plan = stale.plan(16.0 * DAY, None);
    assert!(
        plan[0].reason.starts_with("unused for 8 days")
            || plan[1].reason.starts_with("unused for 8 days")
    );
}

#[test]
fn pressure_takes_first_what_is_worth_least_for_each_byte() {
    let policy = Policy {
        disk_budget: Some(0),
        ..Policy::default()
    };
    let mut stale = manager(policy);
    stale.register("small", 10, 0.0, 0.5);
    stale.register("large", 1000, 0.0, 0.5);
    stale.register("dear", 1000, 0.0, 0.9);
    stale.register("old", 10, -6.0 * DAY, 0.5);
    stale.register("read", 10, -6.0 * DAY, 0.5);
    stale.used("read", 0.0);
    let order: Vec<String> = kinds(&stale, 0.0).into_iter().map(|(_, id)| id).collect();
    assert_eq!(order, ["large", "dear", "old", "read", "small"]);
}

#[test]
fn a_disk_that_runs_full_is_relieved_and_deletes_only_when_told_to() {
    let short = Policy {
        archive: false,
        min_free: Some(100),
        ..Policy::default()
    };
    let register = |policy: Policy| {
        let mut stale = manager(policy);
        for (id, value) in [
            ("worthless", 0.0),
            ("poor", 0.1),
            ("held", 0.0),
            ("dear", 0.95),
        ] {
            stale.register(id, 60, 0.0, value);
        }
        stale.set_hold("held", true);
        stale
    };
    assert_eq!(register(short.clone()).plan(0.0, Some(0)), []);
    let deleting = register(Policy {
        pressure_delete: true,
        ..short.clone()
    });
    assert_eq!(deleting.plan(0.0, Some(100)), []);
    assert_eq!(deleting.plan(0.0, None), []);
    let gone: Vec<String> = deleting
        .plan(0.0, Some(0))
        .into_iter()
        .map(|action| action.id)
        .collect();
    assert_eq!(gone, ["worthless", "poor"]);
    let moving = register(Policy {
        cloud: true,
        ..short
    });
    assert_eq!(moving.plan(0.0, Some(50)).len(), 1);
    assert_eq!(moving.plan(0.0, Some(0))[0].kind, ActionKind::Cloud);
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let good = Policy::default;
    for policy in [
        Policy {
            active_days: -1.0,
            ..good()
        },
        Policy {
            archive_days: 1.0,
            ..good()
        },
        Policy {
            delete_days: Some(1.0),
            ..good()
        },
        Policy {
            delete_days: Some(f64::NAN),
            ..good()
        },
        Policy {
            keep_value: 2.0,
            ..good()
        },
        Policy {
            half_life_days: 0.0,
            ..good()
        },
    ] {
        assert!(policy.clone().checked().is_err(), "{policy:?}");
    }
}

#[derive(Clone, Debug)]
struct Made {
    size: u64,
    age: f64,
    used: Option<f64>,
    value: f64,
    tier: Tier,
    is_pinned: bool,
    is_held: bool,
}

fn items() -> impl Strategy<Value = Vec<Made>> {
    let tier = prop::sample::select(vec![Tier::Active, Tier::Archive, Tier::Cloud]);
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let one = (
        0u64..1000,
        0.0f64..500.0,
        prop::option::of(0.0f64..500.0),
        0.0f64..=1.0,
        tier,
        flags,
    );
    let one = one.prop_map(
        |(size, age, used, value, tier, (is_pinned, is_held))| Made {
            size,
            age,
            used,
            value,
            tier,
            is_pinned,
            is_held,
        },
    );
    prop::collection::vec(one, 0..40)
}

fn policies() -> impl Strategy<Value = Policy> {
    let days = (0.0f64..60.0, 0.0f64..60.0, prop::option::of(0.0f64..400.0));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let limits = (
        prop::option::of(0u64..20_000),
        prop::option::of(0u64..20_000),
        0.0f64..=1.0,
    );
    (days, flags, limits).prop_map(|(days, (archive, cloud, pressure_delete), limits)| Policy {
        active_days: days.0,
        archive_days: days.0 + days.1,
        archive,
        cloud,
        delete_days: days.2.map(|more| days.0 + more),
        disk_budget: limits.0,
        min_free: limits.1,
        pressure_delete,
        keep_value: limits.2,
        ..Policy::default()
    })
}

fn registered<'a>(policy: &Policy, items: impl Iterator<Item = (usize, &'a Made)>) -> StaleManager {
    let mut stale = manager(policy.clone());
    for (number, made) in items {
        let id = format!("a{number}");
        stale.register(&id, made.size, -made.age * DAY, made.value);
        stale.moved(&id, made.tier);
        stale.set_pin(&id, made.is_pinned);
        stale.set_hold(&id, made.is_held);
        if let Some(used) = made.used {
            stale.used(&id, -used * DAY);
        }
    }
    stale
}

proptest! {
    #[test]
    fn a_plan_is_safe_deterministic_and_leaves_nothing_to_plan(
        items in items(), policy in policies(), free in prop::option::of(0u64..20_000),
    ) {
        let mut stale = registered(&policy, items.iter().enumerate());
        let plan = stale.plan(0.0, free);
        let backwards = registered(&policy, items.iter().enumerate().rev());
        prop_assert_eq!(&plan, &backwards.plan(0.0, free), "the order of registration matters");
        let mut freed = 0;
        for action in &plan {
            let item = stale.item(&action.id).expect("planned items are registered").clone();
            prop_assert!(!item.is_pinned);
            prop_assert!(!action.reason.is_empty());
            prop_assert_eq!((action.from, action.bytes), (item.tier, item.size));
            if item.tier == Tier::Active {
                freed += item.size;
            }
            match action.kind.target() {
                Some(target) => {
                    prop_assert!(target > item.tier, "it only gets colder");
                    let is_there = if target == Tier::Archive { policy.archive } else { policy.cloud };
                    prop_assert!(is_there);
                    stale.moved(&action.id, target);
                }
                None => {
                    prop_assert!(!item.is_held && item.value < policy.keep_value);
                    prop_assert!(policy.delete_days.is_some() || policy.pressure_delete);
                    stale.forget(&action.id);
                }
            }
        }
        let free = free.map(|free| free + freed);
        prop_assert_eq!(stale.plan(0.0, free), [], "executing a plan leaves nothing to plan");
        // Whatever still stays above the budget has nowhere to go.
        let stays = |movable: bool| -> u64 {
            (0..items.len()).filter_map(|number| stale.item(&format!("a{number}")))
                .filter(|item| item.tier == Tier::Active && (!movable || !item.is_pinned))
                .map(|item| item.size).sum()
        };
        if policy.archive || policy.cloud {
            prop_assert!(policy.disk_budget.is_none_or(|budget| stays(false) <= budget) || stays(true) == 0);
        }
    }
}
