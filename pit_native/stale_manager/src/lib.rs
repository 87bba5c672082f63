//! Plans which artifacts stay, move to a colder tier or go.
//!
//! Everything here is pure: time is an argument, nothing is read or written. The plan is computed
//! from the registered items alone, so registering the store's list again after a restart gives the
//! same plan; whoever executes an action reports it with [`StaleManager::moved`] or
//! [`StaleManager::forget`].

mod plan;
mod policy;

pub use plan::{Action, ActionKind};
pub use policy::{Policy, PolicyError};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Where an artifact's bytes are. Order is from warm to cold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// In the store.
    Active,
    /// In the archive folder.
    Archive,
    /// In the object store.
    Cloud,
}

impl Tier {
    /// The lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archive => "archive",
            Self::Cloud => "cloud",
        }
    }
}

/// What is known of one artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Bytes of the content.
    pub size: u64,
    /// Seconds since the epoch.
    pub created: f64,
    /// What it is worth keeping, 0 to 1.
    pub value: f64,
    /// Where it is now.
    pub tier: Tier,
    /// A pinned item is never moved nor deleted.
    pub is_pinned: bool,
}

/// The register of artifacts and the policy that plans their tiers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StaleManager {
    policy: Policy,
    items: FxHashMap<String, Item>,
}

impl StaleManager {
    /// An empty register under `policy`.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            items: FxHashMap::default(),
        }
    }

    /// The policy that plans.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Adds an artifact, or refreshes what is known of it; tier and pin of a known one stay.
    ///
    /// `created` is in seconds since the epoch; of two registrations the later time counts, for the
    /// content was produced again. `value` is clamped to 0..=1, a value that is no number counts 0.
    pub fn register(&mut self, id: &str, size: u64, created: f64, value: f64) {
        let value = if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0)
        };
        let created = if created.is_finite() { created } else { 0.0 };
        match self.items.get_mut(id) {
            Some(item) => {
                item.size = size;
                item.created = item.created.max(created);
                item.value = value;
            }
            None => {
                let item = Item {
                    size,
                    created,
                    value,
                    tier: Tier::Active,
                    is_pinned: false,
                };
                self.items.insert(id.to_owned(), item);
            }
        }
    }

    /// Keeps an artifact where it is. False when it is not registered.
    pub fn pin(&mut self, id: &str) -> bool {
        self.set_pin(id, true)
    }

    /// Lets the policy decide again. False when it is not registered.
    pub fn unpin(&mut self, id: &str) -> bool {
        self.set_pin(id, false)
    }

    fn set_pin(&mut self, id: &str, is_pinned: bool) -> bool {
        self.items
            .get_mut(id)
            .map(|item| item.is_pinned = is_pinned)
            .is_some()
    }

    /// Notes that an artifact now is in `tier`. False when it is not registered.
    pub fn moved(&mut self, id: &str, tier: Tier) -> bool {
        self.items
            .get_mut(id)
            .map(|item| item.tier = tier)
            .is_some()
    }

    /// Drops an artifact that is gone. False when it is not registered.
    pub fn forget(&mut self, id: &str) -> bool {
        self.items.remove(id).is_some()
    }

    /// What is known of an artifact.
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.get(id)
    }

    /// The number of registered artifacts.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The actions that bring every artifact to where the policy wants it at `now` (seconds since the
    /// epoch), oldest first. The same register and time give the same plan.
    pub fn plan(&self, now: f64) -> Vec<Action> {
        plan::plan(&self.policy, &self.items, now)
    }
}
