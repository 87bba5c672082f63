//! From items and a policy to the actions that are due.

use crate::item::{Item, Tier};
use crate::policy::Policy;
use crate::pressure::Shortage;
use rustc_hash::FxHashMap;

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

    /// Where the artifact is afterwards; nothing when it is gone.
    pub fn target(self) -> Option<Tier> {
        match self {
            Self::Archive => Some(Tier::Archive),
            Self::Cloud => Some(Tier::Cloud),
            Self::Delete => None,
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
    /// Where it is now.
    pub from: Tier,
    /// Bytes of its content.
    pub bytes: u64,
    /// Why, in words for the user.
    pub reason: String,
}

/// The actions due at `now`, oldest artifact first, ties by id; then those that disk pressure adds.
pub(crate) fn plan(
    policy: &Policy,
    items: &FxHashMap<String, Item>,
    now: f64,
    free: Option<u64>,
) -> Vec<Action> {
    let mut order: Vec<(&str, &Item)> =
        items.iter().map(|(id, item)| (id.as_str(), item)).collect();
    order.sort_by(|a, b| {
        a.1.created
            .total_cmp(&b.1.created)
            .then_with(|| a.0.cmp(b.0))
    });
    let mut actions = Vec::new();
    let mut staying: Vec<(&str, &Item)> = Vec::new();
    let (mut active, mut freed) = (0u64, 0u64);
    for (id, item) in order {
        match due(policy, item, now) {
            Some((kind, reason)) => {
                if item.tier == Tier::Active {
                    freed = freed.saturating_add(item.size);
                }
                actions.push(Action {
                    kind,
                    id: id.to_owned(),
                    from: item.tier,
                    bytes: item.size,
                    reason,
                });
            }
            None if item.tier == Tier::Active => {
                active = active.saturating_add(item.size);
                staying.push((id, item));
            }
            None => {}
        }
    }
    let free = free.map(|free| free.saturating_add(freed));
    if let Some(shortage) = Shortage::of(policy, active, free) {
        shortage.relieve(policy, &staying, now, &mut actions);
    }
    actions
}

/// What age alone asks for.
fn due(policy: &Policy, item: &Item, now: f64) -> Option<(ActionKind, String)> {
    if item.is_pinned {
        return None;
    }
    let days = item.idle_days(now);
    let age = item.age_words(now);
    if let Some(limit) = policy.delete_days
        && days >= limit
        && item.value < policy.keep_value
        && !item.is_held
    {
        let reason = format!(
            "{age}, deleted from {limit} days; its value {:.2} is below {:.2}",
            item.value, policy.keep_value
        );
        return Some((ActionKind::Delete, reason));
    }
    if days >= policy.archive_days && policy.cloud {
        return (item.tier < Tier::Cloud).then(|| {
            let reason = format!("{age}, in the cloud from {} days", policy.archive_days);
            (ActionKind::Cloud, reason)
        });
    }
    (policy.archive && days >= policy.active_days && item.tier < Tier::Archive).then(|| {
        let reason = format!("{age}, archived from {} days", policy.active_days);
        (ActionKind::Archive, reason)
    })
}

/// What is due with an item, or why nothing is.
pub(crate) fn explain(policy: &Policy, item: &Item, now: f64) -> String {
    if let Some((kind, reason)) = due(policy, item, now) {
        return format!("{}: {reason}", kind.word());
    }
    let place = item.tier.word();
    if item.is_pinned {
        return format!("it is pinned, so it stays in {place}");
    }
    let age = item.age_words(now);
    let is_old = policy
        .delete_days
        .is_some_and(|limit| item.idle_days(now) >= limit);
    if is_old && item.is_held {
        format!("{age}, and kept in {place} because it is held")
    } else if is_old {
        let (value, keep) = (item.value, policy.keep_value);
        format!("{age}, and kept in {place}: its value {value:.2} is at least {keep:.2}")
    } else {
        format!("{age}, which the policy keeps in {place}")
    }
}
