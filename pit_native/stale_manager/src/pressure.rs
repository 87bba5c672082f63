//! What leaves early when the disk or the budget of the store runs short.

use crate::item::{Item, Tier};
use crate::plan::{Action, ActionKind};
use crate::policy::Policy;

/// What is missing: how far the active tier is above its budget or the disk below its reserve.
pub(crate) struct Shortage {
    bytes: u64,
    words: String,
}

impl Shortage {
    /// The larger of the two shortages; `active` are the bytes of the active tier and `free` those of
    /// the disk once the actions that age asks for have been executed.
    pub(crate) fn of(policy: &Policy, active: u64, free: Option<u64>) -> Option<Self> {
        let over = policy.disk_budget.map(|budget| Self {
            bytes: active.saturating_sub(budget),
            words: format!("the store holds {active} bytes, its budget is {budget}"),
        });
        let under = policy.min_free.zip(free).map(|(reserve, free)| Self {
            bytes: reserve.saturating_sub(free),
            words: format!("{free} bytes are free on the disk, {reserve} should be"),
        });
        over.into_iter()
            .chain(under)
            .filter(|shortage| shortage.bytes > 0)
            .max_by_key(|shortage| shortage.bytes)
    }

    /// Sends away what is worth least for each byte until the shortage is over. `staying` are the items
    /// of the active tier that age leaves there.
    pub(crate) fn relieve(
        &self,
        policy: &Policy,
        staying: &[(&str, &Item)],
        now: f64,
        actions: &mut Vec<Action>,
    ) {
        let mut order: Vec<(f64, &str, &Item)> = staying
            .iter()
            .filter(|(_, item)| !item.is_pinned && item.size > 0)
            .map(|(id, item)| (item.worth_per_byte(now, policy.half_life_days), *id, *item))
            .collect();
        order.sort_by(|a, b| {
            a.0.total_cmp(&b.0)
                .then_with(|| a.2.created.total_cmp(&b.2.created))
                .then_with(|| a.1.cmp(b.1))
        });
        let mut missing = self.bytes;
        for (_, id, item) in order {
            if missing == 0 {
                return;
            }
            let Some(kind) = way_out(policy, item) else {
                continue;
            };
            actions.push(Action {
                kind,
                id: id.to_owned(),
                from: Tier::Active,
                bytes: item.size,
                reason: format!(
                    "{}; it is worth {:.2}, {}, {} bytes: the least worth for each byte goes first",
                    self.words,
                    item.value,
                    item.age_words(now),
                    item.size
                ),
            });
            missing = missing.saturating_sub(item.size);
        }
    }
}

/// The nearest colder tier; deletion when there is none and both policy and item allow it.
fn way_out(policy: &Policy, item: &Item) -> Option<ActionKind> {
    if policy.archive {
        Some(ActionKind::Archive)
    } else if policy.cloud {
        Some(ActionKind::Cloud)
    } else {
        let is_free = policy.pressure_delete && !item.is_held && item.value < policy.keep_value;
        is_free.then_some(ActionKind::Delete)
    }
}
