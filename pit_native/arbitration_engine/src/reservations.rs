//! Capacity that is kept free for an owner, from a time on, until it is claimed.

use std::sync::Arc;

use crate::request::RequestError;
use crate::resources::{Needs, Resources, UNIT};

/// Names a reservation.
pub type ReservationId = u64;

/// What is kept for an owner.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub(crate) id: ReservationId,
    pub(crate) account: usize,
    /// What it is for, if not for all that the owner does.
    pub(crate) label: Option<Arc<str>>,
    /// What was not claimed yet.
    pub(crate) open: Needs,
    pub(crate) starts: f64,
    pub(crate) ends: f64,
}

/// All reservations, and the time.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    all: Vec<Reservation>,
    now: f64,
    next: ReservationId,
}

fn amount_of(needs: &Needs, place: u16) -> u64 {
    needs
        .iter()
        .find(|need| need.0 == place)
        .map_or(0, |need| need.1)
}

impl Reservations {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn active(&self) -> impl Iterator<Item = &Reservation> {
        let is_active = |held: &&Reservation| held.starts <= self.now;
        self.all.iter().filter(is_active)
    }

    /// Adds a reservation; refused when all that are kept at one time would be more than there is.
    pub(crate) fn add(
        &mut self,
        resources: &Resources,
        owner: &str,
        new: Reservation,
    ) -> Result<ReservationId, RequestError> {
        for &(place, amount) in &new.open {
            let meanwhile = self
                .all
                .iter()
                .filter(|held| held.starts < new.ends && new.starts < held.ends);
            let reserved: u64 = meanwhile.map(|held| amount_of(&held.open, place)).sum();
            let capacity = resources.capacity()[place as usize];
            if reserved + amount > capacity {
                return Err(RequestError::Reserved {
                    owner: owner.to_owned(),
                    resource: resources.name(place).to_owned(),
                    asked: amount as f64 / UNIT,
                    reserved: reserved as f64 / UNIT,
                    capacity: capacity as f64 / UNIT,
                });
            }
        }
        self.next += 1;
        let id = self.next;
        self.all.push(Reservation { id, ..new });
        Ok(id)
    }

    pub(crate) fn remove(&mut self, id: ReservationId) -> bool {
        let before = self.all.len();
        self.all.retain(|held| held.id != id);
        self.all.len() < before
    }

    /// Sets the time; those that ended are gone.
    pub(crate) fn advance(&mut self, now: f64) {
        self.now = self.now.max(now);
        let now = self.now;
        self.all.retain(|held| held.ends > now);
    }

    /// When the next one begins or ends.
    pub(crate) fn next_change(&self) -> Option<f64> {
        let times = self.all.iter().flat_map(|held| [held.starts, held.ends]);
        let later = times.filter(|&time| time > self.now && time.is_finite());
        later.reduce(f64::min)
    }

    /// How much of a resource is kept from `account` for others now.
    pub(crate) fn kept_from(&self, account: usize, place: u16) -> u64 {
        let others = self.active().filter(|held| held.account != account);
        others.map(|held| amount_of(&held.open, place)).sum()
    }

    /// How much of a resource is kept for `account` now.
    pub(crate) fn kept_for(&self, account: usize, place: u16) -> u64 {
        let own = self.active().filter(|held| held.account == account);
        own.map(|held| amount_of(&held.open, place)).sum()
    }

    /// Whether anything is kept for `account`, now or later.
    pub(crate) fn has(&self, account: usize) -> bool {
        self.all.iter().any(|held| held.account == account)
    }

    /// What keeps a resource from `account` now.
    pub(crate) fn in_the_way(
        &self,
        account: usize,
        place: u16,
    ) -> impl Iterator<Item = &Reservation> {
        let others = self.active().filter(move |held| held.account != account);
        others.filter(move |held| amount_of(&held.open, place) > 0)
    }

    /// Takes what `account` was granted out of what is kept for it; what is claimed whole is gone.
    pub(crate) fn claim(&mut self, account: usize, granted: &Needs) {
        let now = self.now;
        for &(place, mut amount) in granted {
            for held in &mut self.all {
                if held.account != account || held.starts > now {
                    continue;
                }
                for need in held.open.iter_mut().filter(|need| need.0 == place) {
                    let part = need.1.min(amount);
                    need.1 -= part;
                    amount -= part;
                }
            }
        }
        for held in &mut self.all {
            held.open.retain(|need| need.1 > 0);
        }
        self.all.retain(|held| !held.open.is_empty());
    }
}
