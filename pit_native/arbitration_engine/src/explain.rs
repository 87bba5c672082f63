//! Why a request waits, as data and in words.

use std::fmt::Write;

use crate::engine::{Arbiter, Entry};
use crate::locks::Mode;
use crate::request::GrantId;
use crate::reservations::Reservation;
use crate::resources::UNIT;

/// One thing that a request waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// Others hold too much of a resource.
    Short {
        /// Of what.
        resource: String,
        /// How much is missing.
        missing: f64,
        /// Who holds it, and how much, most first.
        holders: Vec<(String, f64)>,
    },
    /// A resource is free, but kept for others.
    Reserved {
        /// Of what.
        resource: String,
        /// How much is missing.
        missing: f64,
        /// For whom it is kept.
        owners: Vec<String>,
    },
    /// Another holds a lock that this one cannot be held beside.
    Locked {
        /// What it would lock.
        path: String,
        /// How.
        mode: Mode,
        /// What the other holds: the path, one above it or one below it.
        held: String,
        /// Who holds it.
        holder: String,
    },
    /// There is room, but it is kept for one that was passed over too often.
    Behind {
        /// For whom.
        other: String,
        /// How often that one was passed over.
        passed_over: u32,
    },
}

/// Why a request waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The waiting request.
    pub id: GrantId,
    /// Who waits.
    pub owner: String,
    /// What it is called.
    pub label: String,
    /// How often others were granted what it needs, while it was its owner's oldest.
    pub passed_over: u32,
    /// All that stands in its way.
    pub reasons: Vec<Reason>,
}

impl Wait {
    /// One sentence without its subject, such as "waits for 1.2 GiB of memory held by x".
    pub fn words(&self) -> String {
        let mut text = String::new();
        for reason in &self.reasons {
            text.push_str(if text.is_empty() {
                "waits for "
            } else {
                ", and for "
            });
            // Writing into a String cannot fail.
            let _ = match reason {
                Reason::Short {
                    resource,
                    missing,
                    holders,
                } => {
                    let names: Vec<&str> = holders.iter().map(|(name, _)| &**name).collect();
                    let amount = amount(resource, *missing);
                    write!(text, "{amount} held by {}", listed(&names))
                }
                Reason::Reserved {
                    resource,
                    missing,
                    owners,
                } => {
                    let names: Vec<&str> = owners.iter().map(String::as_str).collect();
                    let amount = amount(resource, *missing);
                    write!(text, "{amount} reserved for {}", listed(&names))
                }
                Reason::Locked {
                    path, held, holder, ..
                } if path == held => write!(text, "the lock on {} held by {holder}", place(path)),
                Reason::Locked {
                    path, held, holder, ..
                } => {
                    let (path, held) = (place(path), place(held));
                    write!(text, "the lock on {path}, for {holder} holds {held}")
                }
                Reason::Behind { other, passed_over } => {
                    write!(text, "{other}, which was passed over {passed_over} times")
                }
            };
        }
        if text.is_empty() {
            text.push_str("waits for its turn");
        }
        text
    }
}

fn place(path: &str) -> &str {
    if path.is_empty() { "everything" } else { path }
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "others".to_owned(),
        [one] => (*one).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first, second, rest @ ..] => format!("{first}, {second} and {} more", rest.len()),
    }
}

/// An amount as people say it: memory in binary units, cores and GPUs by name.
fn amount(resource: &str, amount: f64) -> String {
    let rounded = |number: f64| format!("{}", (number * 100.0).round() / 100.0);
    if resource == "memory" || resource.ends_with("_memory") {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        let mut size = amount;
        let mut unit = 0;
        while size >= 1024.0 && unit + 1 < units.len() {
            size /= 1024.0;
            unit += 1;
        }
        let size = (size * 10.0).round() / 10.0;
        let what = resource.replace('_', " ");
        return format!("{size} {} of {what}", units[unit]);
    }
    let one = if amount == 1.0 { "" } else { "s" };
    match resource {
        "cpu" => format!("{} core{one}", rounded(amount)),
        "gpu" => format!("{} GPU{one}", rounded(amount)),
        "model_slots" => format!("{} model slot{one}", rounded(amount)),
        other => format!("{} of {other}", rounded(amount)),
    }
}

impl Arbiter {
    /// Why each waiting request waits, by arrival.
    pub fn explain(&self) -> Vec<Wait> {
        self.explain_first(usize::MAX)
    }

    /// Why the `limit` oldest of them wait.
    pub fn explain_first(&self, limit: usize) -> Vec<Wait> {
        let impatient = self.impatient();
        let waiting = self.waiting.iter().take(limit);
        waiting
            .map(|&place| self.explain_one(place, &impatient))
            .collect()
    }

    fn explain_one(&self, place: usize, impatient: &[usize]) -> Wait {
        let entry = &self.entries[place];
        let mut reasons = Vec::new();
        for &(resource, amount) in &entry.needs {
            let free = self.free[resource as usize];
            let name = || self.resources.name(resource).to_owned();
            let missing = amount.saturating_sub(free);
            if missing > 0 {
                reasons.push(Reason::Short {
                    resource: name(),
                    missing: missing as f64 / UNIT,
                    holders: self.holders(resource),
                });
            }
            let kept = amount - missing - amount.min(self.available(entry.account, resource));
            if kept > 0 {
                let others = self.reservations.in_the_way(entry.account, resource);
                let owner = |other: &Reservation| {
                    let label = other.label.as_ref();
                    label
                        .unwrap_or(&self.accounts[other.account].name)
                        .to_string()
                };
                let mut owners: Vec<String> = others.map(owner).collect();
                owners.sort_unstable();
                owners.dedup();
                reasons.push(Reason::Reserved {
                    resource: name(),
                    missing: kept as f64 / UNIT,
                    owners,
                });
            }
        }
        for lock in &entry.locks {
            if let Some((grant, held)) = self.locks.in_the_way(lock) {
                let holder = self.entries.iter().find(|(_, other)| other.id == grant);
                reasons.push(Reason::Locked {
                    path: lock.path().to_owned(),
                    mode: lock.mode(),
                    held: held.to_owned(),
                    holder: holder.map_or_else(String::new, |(_, other)| self.label(other)),
                });
            }
        }
        if reasons.is_empty()
            && let Some(other) = self.held_off_by(place, impatient)
        {
            reasons.push(Reason::Behind {
                other: self.label(other),
                passed_over: other.passed_over,
            });
        }
        Wait {
            id: entry.id,
            owner: self.accounts[entry.account].name.to_string(),
            label: self.label(entry),
            passed_over: entry.passed_over,
            reasons,
        }
    }

    fn label(&self, entry: &Entry) -> String {
        let label = entry.label.as_ref();
        label
            .unwrap_or(&self.accounts[entry.account].name)
            .to_string()
    }

    /// Who holds a resource, most first.
    fn holders(&self, resource: u16) -> Vec<(String, f64)> {
        let mut holders: Vec<(String, u64)> = Vec::new();
        for (_, entry) in self.entries.iter().filter(|(_, entry)| entry.is_held) {
            let Some(&(_, amount)) = entry.needs.iter().find(|need| need.0 == resource) else {
                continue;
            };
            let label = self.label(entry);
            match holders.iter_mut().find(|(known, _)| *known == label) {
                Some((_, held)) => *held += amount,
                None => holders.push((label, amount)),
            }
        }
        holders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let told = holders.into_iter();
        told.map(|(label, amount)| (label, amount as f64 / UNIT))
            .collect()
    }
}
