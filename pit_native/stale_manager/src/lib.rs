//! Plans which artifacts stay, move to a colder tier or go, and says what runs are worth.
//!
//! Everything here is pure: time and free space are arguments, nothing is read or written. The plan is
//! computed from the registered items alone, so registering the store's list again after a restart
//! gives the same plan; whoever executes an action reports it with [`StaleManager::moved`] or
//! [`StaleManager::forget`].

mod item;
mod plan;
mod policy;
mod pressure;
mod training;

pub use item::{Item, Tier};
pub use plan::{Action, ActionKind};
pub use policy::{Policy, PolicyError};
pub use training::{Assessment, Outcome, RunFacts, assess};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// The register of artifacts and the policy that plans their tiers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StaleManager {
    policy: Policy,
    items: FxHashMap<String, Item>,
    #[serde(skip)]
    round: u32,
}

impl StaleManager {
    /// An empty register under `policy`.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            items: FxHashMap::default(),
            round: 0,
        }
    }

    /// The policy that plans.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Adds an artifact, or refreshes what is known of it; tier, pin, hold and last use of a known one
    /// stay.
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
                item.round = self.round;
            }
            None => {
                let item = Item {
                    size,
                    created,
                    used: created,
                    value,
                    tier: Tier::Active,
                    is_pinned: false,
                    is_held: false,
                    round: self.round,
                };
                self.items.insert(id.to_owned(), item);
            }
        }
    }

    /// From here on it is noted what is registered, for [`Self::end_round`].
    pub fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Drops what was not registered since the round began: it is gone.
    pub fn end_round(&mut self) {
        self.items.retain(|_, item| item.round == self.round);
    }

    /// Keeps an artifact where it is, or lets the policy decide again. False when it is not registered.
    pub fn set_pin(&mut self, id: &str, is_pinned: bool) -> bool {
        self.change(id, |item| item.is_pinned = is_pinned)
    }

    /// Forbids to delete an artifact, or lifts that. False when it is not registered.
    pub fn set_hold(&mut self, id: &str, is_held: bool) -> bool {
        self.change(id, |item| item.is_held = is_held)
    }

    /// Notes that an artifact was read at `at` (seconds since the epoch). False when it is not
    /// registered.
    pub fn used(&mut self, id: &str, at: f64) -> bool {
        self.change(id, |item| {
            if at.is_finite() {
                item.used = item.used.max(at);
            }
        })
    }

    /// Notes that an artifact now is in `tier`. False when it is not registered.
    pub fn moved(&mut self, id: &str, tier: Tier) -> bool {
        self.change(id, |item| item.tier = tier)
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Item)) -> bool {
        self.items.get_mut(id).map(change).is_some()
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
    /// epoch): those that age asks for, oldest first, then those of disk pressure, least worth per byte
    /// first. `free` are the bytes free on the store's disk, when they are known. The same register,
    /// time and space give the same plan, and there is nothing left to plan after it was executed.
    pub fn plan(&self, now: f64, free: Option<u64>) -> Vec<Action> {
        plan::plan(&self.policy, &self.items, now, free)
    }

    /// Why an artifact stays where it is as far as age goes, or what is due with it; nothing when it is
    /// not registered.
    pub fn explain(&self, id: &str, now: f64) -> Option<String> {
        Some(plan::explain(&self.policy, self.items.get(id)?, now))
    }
}
