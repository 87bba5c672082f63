//! The arbiter: what is held, who waits, and who goes first.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;

use crate::fairness::jain;
use crate::locks::{LockTable, Locks};
use crate::request::{Ask, Grant, GrantId, Outcome, RequestError};
use crate::reservations::{Reservation, ReservationId, Reservations};
use crate::resources::{Needs, Resources, UNIT};
use crate::strategy::{Standing, Strategy, choose};

/// So often may a request be overtaken, that is, go after one that it precedes because there was no room
/// for it; then it holds back what it needs. An owner's oldest one may be passed over, for whatever
/// reason, so often for each owner that waited when it came.
const PATIENCE: u32 = 16;
/// Grants to higher priorities that lift a waiter by one priority.
const AGEING: u32 = 4;
/// Bits of a grant's id that say where its entry is; the others count requests.
const PLACE_BITS: u32 = 24;

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: Arc<str>,
    pub(crate) held: SmallVec<[u64; 4]>,
    /// Dominant shares of what it was granted while others competed.
    served: f64,
    competed: bool,
    waiting: u32,
    /// The last count of heads that met it.
    met: u64,
}

/// A request, waiting or granted.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: GrantId,
    pub(crate) account: usize,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) needs: Needs,
    pub(crate) locks: Locks,
    pub(crate) is_held: bool,
    priority: u8,
    seconds: f64,
    /// Grants to others that kept it from what it needs, while it was its owner's oldest.
    pub(crate) passed_over: u32,
    /// How many of them there may be.
    patience: u32,
    /// Grants to others that kept it from what it needs, although it precedes them.
    overtaken: u32,
    /// Grants to others because of their priority.
    outranked: u32,
    tag: u64,
}

impl Entry {
    fn aged_priority(&self) -> u32 {
        u32::from(self.priority) + self.outranked / AGEING
    }

    fn is_impatient(&self) -> bool {
        self.overtaken >= PATIENCE || self.is_aged()
    }

    /// Whether it was passed over too often, whatever the reasons.
    fn is_aged(&self) -> bool {
        self.passed_over >= self.patience
    }
}

/// Keeps capacities, what is held of them, and who waits.
#[derive(Debug)]
pub struct Arbiter {
    pub(crate) resources: Arc<Resources>,
    pub(crate) free: Vec<u64>,
    pub(crate) accounts: Slab<Account>,
    account_of: FxHashMap<Arc<str>, usize>,
    pub(crate) entries: Slab<Entry>,
    /// Places of the waiting entries, by arrival.
    pub(crate) waiting: Vec<usize>,
    held: usize,
    pub(crate) locks: LockTable,
    pub(crate) reservations: Reservations,
    strategy: Strategy,
    dice: u64,
    requests: u64,
    counts: u64,
}

impl Arbiter {
    /// An arbiter over `capacities`, by resource name. Amounts are in the resource's own unit.
    pub fn new<S: Into<String>>(capacities: impl IntoIterator<Item = (S, f64)>) -> Self {
        let resources = Arc::new(Resources::new(capacities));
        Self {
            free: resources.capacity().to_vec(),
            resources,
            accounts: Slab::new(),
            account_of: FxHashMap::default(),
            entries: Slab::new(),
            waiting: Vec::new(),
            held: 0,
            locks: LockTable::default(),
            reservations: Reservations::default(),
            strategy: Strategy::Fair,
            dice: 0,
            requests: 0,
            counts: 0,
        }
    }

    /// What there is; it never changes.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// How the engine chooses now; fair at first.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Chooses otherwise from now on; adds to `granted` who may begin by that. Who waits keeps its place and
    /// its age.
    pub fn set_strategy(&mut self, strategy: Strategy, granted: &mut Vec<Grant>) {
        self.strategy = strategy;
        if let Strategy::Lottery { seed } = strategy {
            self.dice = seed;
        }
        self.serve(granted);
    }

    /// Grants what is asked for at once when it is free and nobody holds it back; else queues the request.
    /// Adds to `granted` others that may begin, for the larger share of this owner puts them first.
    pub fn request(&mut self, ask: Ask<'_>, granted: &mut Vec<Grant>) -> Outcome {
        let account = self.account(ask.owner);
        let place = self.entries.vacant_key();
        assert!(place < 1 << PLACE_BITS, "16 million requests are open");
        self.requests += 1;
        let id = self.requests << PLACE_BITS | place as u64;
        let patience = PATIENCE * (1 + self.owners_waiting_beside(account));
        self.entries.insert(Entry {
            id,
            account,
            label: ask.label,
            needs: ask.needs,
            locks: ask.locks,
            is_held: false,
            priority: ask.priority.min(9),
            seconds: ask
                .seconds
                .filter(|s| s.is_finite())
                .unwrap_or(f64::INFINITY),
            passed_over: 0,
            patience,
            overtaken: 0,
            outranked: 0,
            tag: ask.tag,
        });
        if self.waiting.is_empty() {
            if self.fits(place) {
                return Outcome::Granted(self.grant(place));
            }
        } else {
            self.accounts[account].competed = true;
            if self.fits(place) && !self.is_held_off(place, &self.impatient()) {
                self.pass_over(place);
                let grant = self.grant(place);
                self.serve(granted);
                return Outcome::Granted(grant);
            }
        }
        self.accounts[account].competed = true;
        self.accounts[account].waiting += 1;
        self.waiting.push(place);
        Outcome::Queued(id)
    }

    /// Gives back what `grant` holds; adds to `granted` those that this made possible.
    pub fn release(
        &mut self,
        grant: GrantId,
        granted: &mut Vec<Grant>,
    ) -> Result<(), RequestError> {
        let place = self
            .place_of(grant, true)
            .ok_or(RequestError::NotHeld(grant))?;
        let entry = self.entries.remove(place);
        self.held -= 1;
        let account = &mut self.accounts[entry.account];
        for &(place, amount) in &entry.needs {
            self.free[place as usize] += amount;
            account.held[place as usize] -= amount;
        }
        if !entry.locks.is_empty() {
            self.locks.release(grant, &entry.locks);
        }
        self.serve(granted);
        Ok(())
    }

    /// Takes a waiting request back; adds to `granted` those that it held off. False when it does not wait.
    pub fn withdraw(&mut self, id: GrantId, granted: &mut Vec<Grant>) -> bool {
        let Some(place) = self.place_of(id, false) else {
            return false;
        };
        self.waiting.retain(|&other| other != place);
        let entry = self.entries.remove(place);
        self.accounts[entry.account].waiting -= 1;
        self.serve(granted);
        true
    }

    /// Calls a request or grant otherwise in explanations.
    pub fn relabel(&mut self, id: GrantId, label: Arc<str>) {
        let place = self.place_of(id, true).or(self.place_of(id, false));
        if let Some(place) = place {
            self.entries[place].label = Some(label);
        }
    }

    /// Keeps `needs` free for `owner` from `starts` to `ends`, in seconds of the clock that
    /// [`Arbiter::advance`] is told; what the owner is granted meanwhile is taken out of it, and when all
    /// is claimed the reservation is gone. Explanations call it by its `label`, else by the owner. Call
    /// [`Arbiter::advance`] then: it may begin at once, and its owner may wait for it already.
    pub fn reserve(
        &mut self,
        owner: &str,
        label: Option<Arc<str>>,
        needs: Needs,
        starts: f64,
        ends: f64,
    ) -> Result<ReservationId, RequestError> {
        let account = self.account(owner);
        let new = Reservation {
            id: 0,
            account,
            label,
            open: needs,
            starts,
            ends,
        };
        self.reservations.add(&self.resources, owner, new)
    }

    /// Whether so much is held by nobody, kept for nobody, and nobody waits for any of it.
    pub fn is_spare(&self, needs: &Needs) -> bool {
        let nobody = usize::MAX;
        let mut needs = needs.iter();
        needs.all(|&(place, amount)| {
            let wants = |&waiting: &usize| {
                let mut wanted = self.entries[waiting].needs.iter();
                wanted.any(|&(other, amount)| other == place && amount > 0)
            };
            self.available(nobody, place) >= amount && !self.waiting.iter().any(wants)
        })
    }

    /// Gives a reservation up; adds to `granted` who waited for it. False when there is none.
    pub fn unreserve(&mut self, id: ReservationId, granted: &mut Vec<Grant>) -> bool {
        let is_gone = self.reservations.remove(id);
        self.serve(granted);
        is_gone
    }

    /// Says what time it is: reservations begin and end by it. The time never goes back.
    pub fn advance(&mut self, now: f64, granted: &mut Vec<Grant>) {
        if !self.reservations.is_empty() {
            self.reservations.advance(now);
            self.serve(granted);
        }
    }

    /// When a reservation next begins or ends, if the time matters at all.
    pub fn next_change(&self) -> Option<f64> {
        self.reservations.next_change()
    }

    /// Forgets what `owner` was granted in the past, once it holds nothing and waits for nothing.
    pub fn retire(&mut self, owner: &str) {
        let Some(&at) = self.account_of.get(owner) else {
            return;
        };
        let is_open = |(_, entry): (usize, &Entry)| entry.account == at;
        if !self.reservations.has(at) && !self.entries.iter().any(is_open) {
            self.account_of.remove(owner);
            self.accounts.remove(at);
        }
    }

    /// Jain's index over what owners were granted while they competed; 1 when nobody had to.
    pub fn fairness(&self) -> f64 {
        let rivals = self.accounts.iter().filter(|(_, a)| a.competed);
        jain(rivals.map(|(_, a)| a.served))
    }

    /// Each owner and the dominant share that it holds now, 0 to 1.
    pub fn shares(&self) -> Vec<(Arc<str>, f64)> {
        let accounts = self.accounts.iter();
        accounts
            .map(|(at, account)| (account.name.clone(), self.held_share(at)))
            .collect()
    }

    /// Resource, free amount and capacity.
    pub fn amounts(&self) -> impl Iterator<Item = (&str, f64, f64)> {
        let amounts = self.free.iter().zip(self.resources.capacity());
        let names = self.resources.names().iter();
        names
            .zip(amounts)
            .map(|(name, (&free, &all))| (name.as_str(), free as f64 / UNIT, all as f64 / UNIT))
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many grants are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Waiting requests of `owner`, by arrival.
    pub fn waiting_of(&self, owner: &str) -> Vec<GrantId> {
        let waiting = self.waiting.iter().map(|&place| &self.entries[place]);
        waiting
            .filter(|entry| &*self.accounts[entry.account].name == owner)
            .map(|entry| entry.id)
            .collect()
    }

    fn place_of(&self, id: GrantId, is_held: bool) -> Option<usize> {
        let place = (id & ((1 << PLACE_BITS) - 1)) as usize;
        let entry = self.entries.get(place)?;
        (entry.id == id && entry.is_held == is_held).then_some(place)
    }

    fn account(&mut self, owner: &str) -> usize {
        if let Some(&at) = self.account_of.get(owner) {
            return at;
        }
        let name: Arc<str> = owner.into();
        let at = self.accounts.insert(Account {
            name: name.clone(),
            held: SmallVec::from_elem(0, self.free.len()),
            served: 0.0,
            competed: false,
            waiting: 0,
            met: 0,
        });
        self.account_of.insert(name, at);
        at
    }

    fn owners_waiting_beside(&self, account: usize) -> u32 {
        if self.waiting.is_empty() {
            return 0;
        }
        let waits = |(at, other): (usize, &Account)| at != account && other.waiting > 0;
        self.accounts
            .iter()
            .filter(|&account| waits(account))
            .count() as u32
    }

    /// How much of a resource `account` may take.
    pub(crate) fn available(&self, account: usize, place: u16) -> u64 {
        let free = self.free[place as usize];
        if self.reservations.is_empty() {
            return free;
        }
        free.saturating_sub(self.reservations.kept_from(account, place))
    }

    fn fits(&self, place: usize) -> bool {
        let entry = &self.entries[place];
        let has_room =
            |&(resource, amount): &(u16, u64)| self.available(entry.account, resource) >= amount;
        entry.needs.iter().all(has_room) && self.locks.is_free(&entry.locks)
    }

    fn held_share(&self, account: usize) -> f64 {
        let held = self.accounts[account]
            .held
            .iter()
            .zip(self.resources.capacity());
        held.map(|(&held, &all)| held as f64 / all.max(1) as f64)
            .fold(0.0, f64::max)
    }

    /// Whether the grant of `entry` would leave `other` without something that it needs.
    fn hinders(&self, entry: &Entry, other: &Entry) -> bool {
        let bars = |lock| other.locks.iter().any(|own| own.conflicts_with(lock));
        if entry.locks.iter().any(bars) {
            return true;
        }
        entry.needs.iter().any(|&(resource, amount)| {
            let Some(&(_, wanted)) = other.needs.iter().find(|need| need.0 == resource) else {
                return false;
            };
            // What is kept for an owner is not there for others anyway.
            let kept = if self.reservations.is_empty() {
                0
            } else {
                self.reservations.kept_for(entry.account, resource)
            };
            let taken = amount.saturating_sub(kept);
            taken > 0 && self.available(other.account, resource) < wanted.saturating_add(taken)
        })
    }

    /// The waiting entries that are out of patience.
    pub(crate) fn impatient(&self) -> SmallVec<[usize; 4]> {
        let waiting = self.waiting.iter().copied();
        waiting
            .filter(|&place| self.entries[place].is_impatient())
            .collect()
    }

    /// Whether the entry must leave what it would take to one that is out of patience.
    fn is_held_off(&self, place: usize, impatient: &[usize]) -> bool {
        self.held_off_by(place, impatient).is_some()
    }

    pub(crate) fn held_off_by(&self, place: usize, impatient: &[usize]) -> Option<&Entry> {
        let entry = &self.entries[place];
        let others = impatient.iter().filter(|&&other| other != place);
        let mut others = others.filter(|&&other| self.holds_off(other, place));
        let found = others.find(|&&other| self.hinders(entry, &self.entries[other]));
        found.map(|&other| &self.entries[other])
    }

    /// Whether an impatient entry is before another. All entries are in one line, so that two never
    /// hold off each other: the aged ones, most passed over first, then the others as the strategy has it.
    fn holds_off(&self, impatient: usize, other: usize) -> bool {
        let (one, two) = (&self.entries[impatient], &self.entries[other]);
        match (one.is_aged(), two.is_aged()) {
            (true, true) => (two.passed_over, one.id) < (one.passed_over, two.id),
            (true, false) => true,
            (false, true) => false,
            (false, false) => self
                .standing(impatient)
                .precedes(&self.standing(other), self.strategy),
        }
    }

    /// Counts what the grant of the entry does to those that wait.
    fn pass_over(&mut self, place: usize) {
        self.counts += 1;
        let winner = self.standing(place);
        for at in 0..self.waiting.len() {
            let other = self.waiting[at];
            if other == place {
                continue;
            }
            let account = &mut self.accounts[self.entries[other].account];
            let is_oldest = account.met != self.counts;
            account.met = self.counts;
            if self.hinders(&self.entries[place], &self.entries[other]) {
                let priority = self.entries[place].priority;
                let had_precedence = match self.strategy {
                    // Who could have begun has merely drawn a blank.
                    Strategy::Lottery { .. } => !self.fits(other),
                    strategy => self.standing(other).precedes(&winner, strategy),
                };
                let other = &mut self.entries[other];
                other.passed_over += u32::from(is_oldest);
                other.overtaken += u32::from(had_precedence);
                other.outranked += u32::from(other.priority < priority);
            }
        }
    }

    fn grant(&mut self, place: usize) -> Grant {
        let entry = &mut self.entries[place];
        let account = &mut self.accounts[entry.account];
        if account.competed || !self.waiting.is_empty() {
            account.served += self.resources.dominant_share(&entry.needs);
        }
        for &(place, amount) in &entry.needs {
            self.free[place as usize] -= amount;
            account.held[place as usize] += amount;
        }
        entry.is_held = true;
        self.held += 1;
        if !entry.locks.is_empty() {
            self.locks.hold(entry.id, &entry.locks);
        }
        if !self.reservations.is_empty() {
            self.reservations.claim(entry.account, &entry.needs);
        }
        Grant {
            id: entry.id,
            owner: account.name.clone(),
            needs: entry.needs.clone(),
            locks: entry.locks.clone(),
            tag: entry.tag,
        }
    }

    fn standing(&self, place: usize) -> Standing {
        let entry = &self.entries[place];
        Standing {
            account: entry.account,
            priority: entry.aged_priority(),
            tickets: 1 + u64::from(entry.priority),
            held_share: self.held_share(entry.account),
            served: self.accounts[entry.account].served,
            seconds: entry.seconds,
            arrival: entry.id,
        }
    }

    /// Grants waiting requests, one after the other, for as long as one can be.
    fn serve(&mut self, granted: &mut Vec<Grant>) {
        while !self.waiting.is_empty() {
            let impatient = self.impatient();
            let may_go = |&(_, place): &(usize, usize)| {
                self.fits(place) && !self.is_held_off(place, &impatient)
            };
            let waiting = self.waiting.iter().copied().enumerate();
            let able: SmallVec<[(usize, usize); 8]> = waiting.filter(may_go).collect();
            let standings: SmallVec<[Standing; 8]> = able
                .iter()
                .map(|&(_, place)| self.standing(place))
                .collect();
            let Some(chosen) = choose(self.strategy, &standings, &mut self.dice) else {
                return;
            };
            let (at, place) = able[chosen];
            self.waiting.remove(at);
            self.accounts[self.entries[place].account].waiting -= 1;
            self.pass_over(place);
            granted.push(self.grant(place));
        }
    }
}

#[cfg(test)]
mod tests;
