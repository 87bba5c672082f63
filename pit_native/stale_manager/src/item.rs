//! What is known of one artifact, and what it is worth to keep it near.

use serde::{Deserialize, Serialize};

pub(crate) const DAY: f64 = 86_400.0;
/// What even a worthless artifact counts, so that among worthless ones size and use decide.
const FLOOR: f64 = 0.05;

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
    /// When it was last read or made, in seconds since the epoch.
    pub used: f64,
    /// What it is worth keeping, 0 to 1.
    pub value: f64,
    /// Where it is now.
    pub tier: Tier,
    /// A pinned item is never moved nor deleted.
    pub is_pinned: bool,
    /// A held item is never deleted.
    pub is_held: bool,
    /// When it was registered last, see [`crate::StaleManager::begin_round`].
    #[serde(skip)]
    pub(crate) round: u32,
}

impl Item {
    /// Days since it was last used or made.
    pub(crate) fn idle_days(&self, now: f64) -> f64 {
        ((now - self.used.max(self.created)) / DAY).max(0.0)
    }

    /// Since when, in words: `10 days old`, or `unused for 10 days` when it was read later.
    pub(crate) fn age_words(&self, now: f64) -> String {
        let days = self.idle_days(now);
        if self.used > self.created {
            format!("unused for {days:.0} days")
        } else {
            format!("{days:.0} days old")
        }
    }

    /// What each byte is worth to stay near: value, halved for every `half_life` days without use, by
    /// size.
    pub(crate) fn worth_per_byte(&self, now: f64, half_life: f64) -> f64 {
        let recency = (-self.idle_days(now) / half_life).exp2();
        (self.value + FLOOR) * recency / self.size.max(1) as f64
    }
}
