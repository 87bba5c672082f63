//! From items and a policy to the actions that are due.

use crate::{Item, Policy, Tier};
use rustc_hash::FxHashMap;

const DAY: f64 = 86_400.0;

/// What is to be done with an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Move it to the archive folder.
    Archive,
    /// Move it to the object store.
    Cloud,
    /// Remove it everywhere.
    Delete,
}

impl ActionKind {
    /// The lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Cloud => "cloud",
            Self::Delete => "delete",
        }
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What to do.
    pub kind: ActionKind,
    /// With which artifact.
    pub id: String,
    /// Why, in words for the user.
    pub reason: String,
}

/// The actions due at `now`, oldest artifact first, ties by id; then those that disk pressure adds.
pub(crate) fn plan(policy: &Policy, items: &FxHashMap<String, Item>, now: f64) -> Vec<Action> {
    let mut order: Vec<(&str, &Item)> =
        items.iter().map(|(id, item)| (id.as_str(), item)).collect();
    order.sort_by(|a, b| {
        a.1.created
            .total_cmp(&b.1.created)
            .then_with(|| a.0.cmp(b.0))
    });
    let mut actions = Vec::new();
    let mut staying: Vec<(&str, &Item)> = Vec::new();
    let mut active_bytes = 0u64;
    for (id, item) in order {
        let due = if item.is_pinned {
            None
        } else {
            due(policy, item, now)
        };
        match due {
            Some((kind, reason)) => actions.push(Action {
                kind,
                id: id.to_owned(),
                reason,
            }),
            None if item.tier == Tier::Active => {
                active_bytes = active_bytes.saturating_add(item.size);
                staying.push((id, item));
            }
            None => {}
        }
    }
    if let Some(budget) = policy.disk_budget {
        relieve(policy, budget, active_bytes, staying, &mut actions);
    }
    actions
}

/// What age alone asks for.
fn due(policy: &Policy, item: &Item, now: f64) -> Option<(ActionKind, String)> {
    let days = ((now - item.created) / DAY).max(0.0);
    if let Some(limit) = policy.delete_days
        && days >= limit
        && item.value < policy.keep_value
    {
        let reason = format!(
            "{days:.0} days old, deleted from {limit} days; its value {:.2} is below {:.2}",
            item.value, policy.keep_value
        );
        return Some((ActionKind::Delete, reason));
    }
    if days >= policy.archive_days && policy.cloud {
        return (item.tier < Tier::Cloud).then(|| {
            (
                ActionKind::Cloud,
                format!(
                    "{days:.0} days old, in the cloud from {} days",
                    policy.archive_days
                ),
            )
        });
    }
    (days >= policy.active_days && item.tier < Tier::Archive).then(|| {
        (
            ActionKind::Archive,
            format!(
                "{days:.0} days old, archived from {} days",
                policy.active_days
            ),
        )
    })
}

/// Archives the least valuable artifacts until the active tier fits its budget; equal values, oldest
/// first. `staying` comes oldest first, and the sort keeps that.
fn relieve(
    policy: &Policy,
    budget: u64,
    mut bytes: u64,
    mut staying: Vec<(&str, &Item)>,
    actions: &mut Vec<Action>,
) {
    staying.sort_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let kind = if policy.cloud {
        ActionKind::Cloud
    } else {
        ActionKind::Archive
    };
    for (id, item) in staying {
        if bytes <= budget {
            return;
        }
        if item.is_pinned || item.size == 0 {
            continue;
        }
        let reason = format!("the active tier holds {bytes} bytes, its budget is {budget}");
        actions.push(Action {
            kind,
            id: id.to_owned(),
            reason,
        });
        bytes -= item.size;
    }
}

#[cfg(test)]
mod tests {
    use crate::{ActionKind, Policy, StaleManager, Tier};
    use proptest::prelude::*;

    const DAY: f64 = 86_400.0;

    fn manager(policy: Policy) -> StaleManager {
        StaleManager::new(policy.checked().expect("a sound policy"))
    }

    fn kinds(manager: &StaleManager, days: f64) -> Vec<(ActionKind, String)> {
        manager
            .plan(days * DAY)
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
    fn without_a_cloud_old_artifacts_stay_archived() {
        let mut stale = manager(Policy::default());
        stale.register("a", 10, 0.0, 0.5);
        assert_eq!(kinds(&stale, 400.0), [(ActionKind::Archive, "a".into())]);
        stale.moved("a", Tier::Archive);
        assert_eq!(kinds(&stale, 400.0), []);
    }

    #[test]
    fn pinned_and_valuable_artifacts_are_not_deleted() {
        let mut stale = manager(Policy {
            delete_days: Some(60.0),
            ..Policy::default()
        });
        stale.register("pinned", 10, 0.0, 0.0);
        stale.register("valuable", 10, 0.0, 0.95);
        assert!(stale.pin("pinned"));
        assert_eq!(
            kinds(&stale, 100.0),
            [(ActionKind::Archive, "valuable".into())]
        );
        assert!(stale.unpin("pinned"));
        assert_eq!(kinds(&stale, 100.0).len(), 2);
        assert!(!stale.pin("unknown"));
    }

    #[test]
    fn registering_again_makes_an_artifact_young() {
        let mut stale = manager(Policy::default());
        stale.register("a", 10, 0.0, 0.5);
        stale.register("a", 10, 8.0 * DAY, 0.5);
        stale.register("a", 10, 0.0, 0.5);
        assert_eq!(kinds(&stale, 9.0), []);
    }

    #[test]
    fn policies_that_make_no_sense_are_refused() {
        for policy in [
            Policy {
                active_days: -1.0,
                ..Policy::default()
            },
            Policy {
                archive_days: 1.0,
                ..Policy::default()
            },
            Policy {
                delete_days: Some(1.0),
                ..Policy::default()
            },
            Policy {
                delete_days: Some(f64::NAN),
                ..Policy::default()
            },
            Policy {
                keep_value: 2.0,
                ..Policy::default()
            },
        ] {
            assert!(policy.clone().checked().is_err(), "{policy:?}");
        }
    }

    proptest! {
        #[test]
        fn pressure_is_relieved_with_the_least_valuable(
            sizes in prop::collection::vec((1u64..1000, 0.0f64..1.0, any::<bool>()), 1..40),
            budget in 0u64..20_000,
        ) {
            let mut stale = manager(Policy { disk_budget: Some(budget), ..Policy::default() });
            for (index, (size, value, is_pinned)) in sizes.iter().enumerate() {
                let id = format!("a{index}");
                stale.register(&id, *size, 0.0, *value);
                if *is_pinned {
                    stale.pin(&id);
                }
            }
            let plan = stale.plan(0.0);
            prop_assert_eq!(&plan, &stale.plan(0.0));
            for action in &plan {
                let item = stale.item(&action.id).expect("planned items are registered").clone();
                prop_assert!(!item.is_pinned);
                stale.moved(&action.id, Tier::Archive);
            }
            let left = |pinned: bool| -> u64 {
                (0..sizes.len())
                    .filter_map(|index| stale.item(&format!("a{index}")))
                    .filter(|item| item.tier == Tier::Active && (pinned || !item.is_pinned))
                    .map(|item| item.size)
                    .sum()
            };
            prop_assert!(left(true) <= budget || left(false) == 0);
            prop_assert!(stale.plan(0.0).is_empty());
        }
    }
}
