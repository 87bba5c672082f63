//! The arbiter: capacities, grants and the waiting list.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;
use thiserror::Error;

use crate::fairness::jain;

/// Amounts are kept in thousandths, so that sums of fractions of a core stay exact.
const UNIT: f64 = 1000.0;
/// A waiter that was overtaken this often holds back what it needs.
const PATIENCE: u32 = 16;
/// Grants to higher priorities that lift a waiter by one priority.
const AGEING: u32 = 4;

/// Resource (its place among the capacities) and amount in thousandths; no zero amounts.
pub type Needs = SmallVec<[(u16, u64); 4]>;

/// Names a grant; never used twice.
pub type GrantId = u64;

/// What was granted.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// Who holds it.
    pub owner: Arc<str>,
    /// What it holds.
    pub needs: Needs,
    /// The caller's own mark on the request.
    pub tag: u64,
}

/// The answer to a request.
#[derive(Debug)]
pub enum Outcome {
    /// It may begin.
    Granted(Grant),
    /// It waits; the id becomes the grant's, and withdraws the request until then.
    Queued(GrantId),
}

/// A request that can never be granted.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum RequestError {
    /// More than there is at all.
    #[error("{owner} asks for {asked} {resource}, but there are only {capacity}")]
    Infeasible {
        /// Who asks.
        owner: String,
        /// Of what.
        resource: String,
        /// How much.
        asked: f64,
        /// How much there is.
        capacity: f64,
    },
    /// A resource that has no capacity entry.
    #[error("{owner} asks for {resource}, which this machine does not manage")]
    UnknownResource {
        /// Who asks.
        owner: String,
        /// Of what.
        resource: String,
    },
    /// A negative amount, or none that is a number.
    #[error("{owner} asks for {asked} {resource}, which is no amount")]
    NoAmount {
        /// Who asks.
        owner: String,
        /// Of what.
        resource: String,
        /// The amount.
        asked: f64,
    },
    /// The grant was released before, or never was.
    #[error("grant {0} is not held: it was released before, or comes from another engine")]
    NotHeld(GrantId),
}

/// Why a request waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The waiting request.
    pub id: GrantId,
    /// Who waits.
    pub owner: String,
    /// The resource that is short, the amount that is missing and who holds it, most first.
    pub shortages: Vec<(String, f64, Vec<String>)>,
    /// Set when it would fit, but must not overtake this owner.
    pub behind: Option<String>,
}

#[derive(Debug, Default, Clone)]
struct Account {
    held: SmallVec<[u64; 4]>,
    /// Dominant shares of what it was granted while others competed.
    served: f64,
    competed: bool,
}

#[derive(Debug)]
struct Request {
    id: GrantId,
    owner: Arc<str>,
    account: usize,
    needs: Needs,
    priority: u8,
    /// Grants to others that came after it by rank, because it did not fit.
    overtaken: u32,
    /// Grants to others because of their priority.
    outranked: u32,
    tag: u64,
}

/// Keeps capacities, what is held of them, and who waits.
#[derive(Debug)]
pub struct Arbiter {
    names: Vec<String>,
    capacity: Vec<u64>,
    free: Vec<u64>,
    accounts: Slab<Account>,
    account_of: FxHashMap<Arc<str>, usize>,
    held: FxHashMap<GrantId, (usize, Grant)>,
    waiting: Vec<Request>,
    next: GrantId,
}

impl Arbiter {
    /// An arbiter over `capacities`, by resource name. Amounts are in the resource's own unit.
    pub fn new<S: Into<String>>(capacities: impl IntoIterator<Item = (S, f64)>) -> Self {
        let (names, capacity): (Vec<String>, Vec<u64>) = capacities
            .into_iter()
            .map(|(name, amount)| (name.into(), (amount.max(0.0) * UNIT).round() as u64))
            .unzip();
        Self {
            names,
            free: capacity.clone(),
            capacity,
            accounts: Slab::new(),
            account_of: FxHashMap::default(),
            held: FxHashMap::default(),
            waiting: Vec::new(),
            next: 1,
        }
    }

    /// Turns names and amounts into [`Needs`]. Zero of anything, known or not, is no need.
    pub fn needs<'a>(
        &self,
        owner: &str,
        amounts: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<Needs, RequestError> {
        let mut needs = Needs::new();
        for (resource, asked) in amounts {
            let named = || (owner.to_owned(), resource.to_owned());
            if !asked.is_finite() || asked < 0.0 {
                let (owner, resource) = named();
                return Err(RequestError::NoAmount {
                    owner,
                    resource,
                    asked,
                });
            }
            if asked == 0.0 {
                continue;
            }
            let Some(place) = self.names.iter().position(|name| name == resource) else {
                let (owner, resource) = named();
                return Err(RequestError::UnknownResource { owner, resource });
            };
            let amount = (asked * UNIT).ceil() as u64;
            if amount > self.capacity[place] {
                let (owner, resource) = named();
                let capacity = self.capacity[place] as f64 / UNIT;
                return Err(RequestError::Infeasible {
                    owner,
                    resource,
                    asked,
                    capacity,
                });
            }
            needs.push((place as u16, amount));
        }
        Ok(needs)
    }

    /// Grants `needs` to `owner` at once when they are free and nobody is overtaken unfairly; else queues.
    ///
    /// `priority` is 0 to 9, 9 first; `tag` comes back with the grant.
    pub fn request(&mut self, owner: &str, needs: Needs, priority: u8, tag: u64) -> Outcome {
        let id = self.next;
        self.next += 1;
        let (owner, account) = self.account(owner);
        let request = Request {
            id,
            owner,
            account,
            needs,
            priority: priority.min(9),
            overtaken: 0,
            outranked: 0,
            tag,
        };
        if self.waiting.is_empty() && self.fits(&request.needs) {
            return Outcome::Granted(self.grant(request));
        }
        self.accounts[account].competed = true;
        if self.fits(&request.needs) && !self.must_stand_behind(&request) {
            self.pass_over(&request);
            return Outcome::Granted(self.grant(request));
        }
        self.waiting.push(request);
        Outcome::Queued(id)
    }

    /// Gives back what `grant` holds; adds to `granted` those that this made possible.
    pub fn release(
        &mut self,
        grant: GrantId,
        granted: &mut Vec<Grant>,
    ) -> Result<(), RequestError> {
        let (account, grant) = self
            .held
            .remove(&grant)
            .ok_or(RequestError::NotHeld(grant))?;
        for &(place, amount) in &grant.needs {
            self.free[place as usize] += amount;
            self.accounts[account].held[place as usize] -= amount;
        }
        self.serve(granted);
        Ok(())
    }

    /// Takes a waiting request back; adds to `granted` those that stood behind it. False when it does not wait.
    pub fn withdraw(&mut self, id: GrantId, granted: &mut Vec<Grant>) -> bool {
        let Some(at) = self.waiting.iter().position(|request| request.id == id) else {
            return false;
        };
        self.waiting.remove(at);
        self.serve(granted);
        true
    }

    /// Forgets what `owner` was granted in the past, once it holds nothing and waits for nothing.
    pub fn retire(&mut self, owner: &str) {
        let Some(&at) = self.account_of.get(owner) else {
            return;
        };
        let is_idle = self.accounts[at].held.iter().all(|&held| held == 0);
        if is_idle && self.waiting.iter().all(|request| request.account != at) {
            self.account_of.remove(owner);
            self.accounts.remove(at);
        }
    }

    /// Jain's index over what owners were granted while they competed; 1 when nobody had to.
    pub fn fairness(&self) -> f64 {
        jain(
            self.accounts
                .iter()
                .filter(|(_, a)| a.competed)
                .map(|(_, a)| a.served),
        )
    }

    /// Each owner and the dominant share that it holds now, 0 to 1.
    pub fn shares(&self) -> Vec<(Arc<str>, f64)> {
        self.account_of
            .iter()
            .map(|(owner, &at)| (owner.clone(), self.held_share(at)))
            .collect()
    }

    /// Resource, free amount and capacity.
    pub fn resources(&self) -> impl Iterator<Item = (&str, f64, f64)> {
        let amounts = self.free.iter().zip(&self.capacity);
        self.names
            .iter()
            .zip(amounts)
            .map(|(name, (&free, &all))| (name.as_str(), free as f64 / UNIT, all as f64 / UNIT))
    }

    /// Names and amounts of `needs`.
    pub fn amounts<'a>(&'a self, needs: &'a Needs) -> impl Iterator<Item = (&'a str, f64)> {
        needs
            .iter()
            .map(|&(place, amount)| (self.names[place as usize].as_str(), amount as f64 / UNIT))
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many grants are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Why each waiting request waits.
    pub fn explain(&self) -> Vec<Wait> {
        self.waiting
            .iter()
            .map(|request| self.explain_one(request))
            .collect()
    }

    fn explain_one(&self, request: &Request) -> Wait {
        let mut shortages = Vec::new();
        for &(place, amount) in &request.needs {
            let free = self.free[place as usize];
            if amount <= free {
                continue;
            }
            let mut holders: Vec<(u64, &Arc<str>)> = self
                .account_of
                .iter()
                .map(|(owner, &at)| (self.accounts[at].held[place as usize], owner))
                .filter(|(held, _)| *held > 0)
                .collect();
            holders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
            let names = holders
                .into_iter()
                .map(|(_, owner)| owner.to_string())
                .collect();
            shortages.push((
                self.names[place as usize].clone(),
                (amount - free) as f64 / UNIT,
                names,
            ));
        }
        let impatient = self.impatient();
        let is_held_back = shortages.is_empty() && self.is_blocked(request, impatient);
        let behind = impatient
            .filter(|_| is_held_back)
            .map(|other| other.owner.to_string());
        Wait {
            id: request.id,
            owner: request.owner.to_string(),
            shortages,
            behind,
        }
    }

    fn account(&mut self, owner: &str) -> (Arc<str>, usize) {
        if let Some((name, &at)) = self.account_of.get_key_value(owner) {
            return (name.clone(), at);
        }
        let name: Arc<str> = owner.into();
        let held = SmallVec::from_elem(0, self.capacity.len());
        let at = self.accounts.insert(Account {
            held,
            ..Account::default()
        });
        self.account_of.insert(name.clone(), at);
        (name, at)
    }

    fn fits(&self, needs: &Needs) -> bool {
        needs
            .iter()
            .all(|&(place, amount)| self.free[place as usize] >= amount)
    }

    fn share(&self, needs: &Needs) -> f64 {
        let part = |&(place, amount): &(u16, u64)| {
            amount as f64 / self.capacity[place as usize].max(1) as f64
        };
        needs.iter().map(part).fold(0.0, f64::max)
    }

    fn held_share(&self, account: usize) -> f64 {
        let held = self.accounts[account].held.iter().zip(&self.capacity);
        held.map(|(&held, &all)| held as f64 / all.max(1) as f64)
            .fold(0.0, f64::max)
    }

    fn grant(&mut self, request: Request) -> Grant {
        let contended = !self.waiting.is_empty() || self.accounts[request.account].competed;
        let share = if contended {
            self.share(&request.needs)
        } else {
            0.0
        };
        let account = &mut self.accounts[request.account];
        account.served += share;
        for &(place, amount) in &request.needs {
            self.free[place as usize] -= amount;
            account.held[place as usize] += amount;
        }
        let grant = Grant {
            id: request.id,
            owner: request.owner,
            needs: request.needs,
            tag: request.tag,
        };
        self.held.insert(grant.id, (request.account, grant.clone()));
        grant
    }

    /// Smaller is served first: aged priority, then what the owner holds, then what it was served, then arrival.
    fn rank(&self, request: &Request) -> (u32, f64, f64, GrantId) {
        let aged = u32::from(request.priority) + request.outranked / AGEING;
        let account = &self.accounts[request.account];
        (
            u32::MAX - aged,
            self.held_share(request.account),
            account.served,
            request.id,
        )
    }

    fn before(&self, a: &Request, b: &Request) -> bool {
        self.rank(a).partial_cmp(&self.rank(b)) == Some(std::cmp::Ordering::Less)
    }

    /// The waiter that is out of patience, the first by rank if there are several.
    fn impatient(&self) -> Option<&Request> {
        let impatient = self
            .waiting
            .iter()
            .filter(|request| request.overtaken >= PATIENCE);
        impatient.reduce(|best, request| {
            if self.before(request, best) {
                request
            } else {
                best
            }
        })
    }

    /// Whether an impatient waiter that still lacks something wants some of what `request` would take.
    fn is_blocked(&self, request: &Request, impatient: Option<&Request>) -> bool {
        impatient.is_some_and(|other| {
            other.id != request.id && self.conflicts(other, request) && !self.fits(&other.needs)
        })
    }

    fn conflicts(&self, other: &Request, request: &Request) -> bool {
        let wants = |place| request.needs.iter().any(|&(mine, _)| mine == place);
        other.needs.iter().any(|&(place, _)| wants(place))
    }

    fn must_stand_behind(&self, request: &Request) -> bool {
        let goes_first = |other: &Request| self.fits(&other.needs) && self.before(other, request);
        self.is_blocked(request, self.impatient()) || self.waiting.iter().any(goes_first)
    }

    /// Counts what the grant of `request` does to those that wait: who comes before it by rank but does
    /// not fit is overtaken; who has a lower priority is outranked.
    fn pass_over(&mut self, request: &Request) {
        for at in 0..self.waiting.len() {
            let other = &self.waiting[at];
            if !self.conflicts(other, request) {
                continue;
            }
            let is_overtaken = self.before(other, request);
            let is_outranked = other.priority < request.priority;
            let other = &mut self.waiting[at];
            other.overtaken += u32::from(is_overtaken);
            other.outranked += u32::from(is_outranked);
        }
    }

    /// Grants waiting requests, best first, for as long as one fits.
    fn serve(&mut self, granted: &mut Vec<Grant>) {
        loop {
            let impatient = self.impatient();
            let mut best: Option<usize> = None;
            for (at, candidate) in self.waiting.iter().enumerate() {
                if !self.fits(&candidate.needs) || self.is_blocked(candidate, impatient) {
                    continue;
                }
                if best.is_none_or(|best| self.before(candidate, &self.waiting[best])) {
                    best = Some(at);
                }
            }
            let Some(at) = best else { return };
            let request = self.waiting.remove(at);
            self.pass_over(&request);
            granted.push(self.grant(request));
        }
    }
}

#[cfg(test)]
mod tests;
