//! What a retention policy says, and which policies make no sense.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How long artifacts stay in each tier. Days are periods of 86,400 seconds since creation or last use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Younger than this, an artifact stays in the store.
    pub active_days: f64,
    /// From `active_days` until this age it is in the archive, then in the cloud.
    pub archive_days: f64,
    /// Whether there is an archive; without one, artifacts stay in the store until the cloud's age.
    pub archive: bool,
    /// Whether there is a cloud tier; without one, old artifacts stay in the archive.
    pub cloud: bool,
    /// Older than this it is deleted; never, when absent.
    pub delete_days: Option<f64>,
    /// Bytes that the active tier may hold; above it, what is least worth leaves early.
    pub disk_budget: Option<u64>,
    /// Bytes that should stay free on the store's disk; below it, what is least worth leaves early.
    pub min_free: Option<u64>,
    /// Whether disk pressure may delete when there is no colder tier to move to.
    pub pressure_delete: bool,
    /// Days without use after which a byte is worth half as much to stay near.
    pub half_life_days: f64,
    /// An artifact worth at least this is never deleted, only moved.
    pub keep_value: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            active_days: 7.0,
            archive_days: 30.0,
            archive: true,
            cloud: false,
            delete_days: None,
            disk_budget: None,
            min_free: None,
            pressure_delete: false,
            half_life_days: 7.0,
            keep_value: 0.9,
        }
    }
}

/// Why a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(pub String);

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// The policy itself, when its ages are numbers in rising order.
    pub fn checked(self) -> Result<Self, PolicyError> {
        let delete = self.delete_days.unwrap_or(f64::MAX);
        for (name, days) in [
            ("active_days", self.active_days),
            ("archive_days", self.archive_days),
            ("delete_days", delete),
        ] {
            if !days.is_finite() || days < 0.0 {
                return Err(PolicyError(format!(
                    "{name} is {days}; give a number of days from 0 up"
                )));
            }
        }
        if self.archive_days < self.active_days {
            return Err(PolicyError(format!(
                "archive_days ({}) is below active_days ({}); tiers follow each other",
                self.archive_days, self.active_days
            )));
        }
        if delete < self.active_days {
            return Err(PolicyError(format!(
                "delete_days ({delete}) is below active_days ({}); an active artifact is not deleted",
                self.active_days
            )));
        }
        if !(0.0..=1.0).contains(&self.keep_value) {
            return Err(PolicyError(format!(
                "keep_value is {}; give 0 to 1",
                self.keep_value
            )));
        }
        if !self.half_life_days.is_finite() || self.half_life_days <= 0.0 {
            return Err(PolicyError(format!(
                "half_life_days is {}; give a number of days above 0",
                self.half_life_days
            )));
        }
        Ok(self)
    }
}
