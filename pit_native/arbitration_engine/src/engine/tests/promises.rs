//! Any sequence of steps, against what must always hold.

use super::*;
use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;

#[derive(Debug, Clone)]
enum Step {
    Ask {
        owner: usize,
        cpu: u32,
        memory: u32,
        lock: Option<(usize, bool)>,
        priority: u8,
        seconds: Option<u32>,
    },
    Release(usize),
    Withdraw(usize),
    Switch(usize),
    Reserve {
        owner: usize,
        cpu: u32,
        after: u32,
        lasts: u32,
    },
    Unreserve(usize),
    Advance(u32),
}

const PATHS: [&str; 6] = ["", "a", "a/b", "a/c", "d", "d/e/f"];

fn step() -> impl Generator<Value = Step> {
    let lock = proptest::option::weighted(0.3, (0usize..PATHS.len(), any::<bool>()));
    let ask = (
        0usize..5,
        0u32..5,
        0u32..9,
        lock,
        0u8..10,
        proptest::option::of(0u32..9),
    );
    let ask = ask.prop_map(|(owner, cpu, memory, lock, priority, seconds)| Step::Ask {
        owner,
        cpu,
        memory,
        lock,
        priority,
        seconds,
    });
    let reserve = (0usize..5, 1u32..3, 0u32..20, 1u32..20);
    let reserve = reserve.prop_map(|(owner, cpu, after, lasts)| Step::Reserve {
        owner,
        cpu,
        after,
        lasts,
    });
    prop_oneof![
        10 => ask,
        8 => (0usize..100).prop_map(Step::Release),
        1 => (0usize..100).prop_map(Step::Withdraw),
        1 => (0usize..4).prop_map(Step::Switch),
        1 => reserve,
        1 => (0usize..10).prop_map(Step::Unreserve),
        1 => (0u32..10).prop_map(Step::Advance),
    ]
}

/// An arbiter beside a plain record of who holds and who waits.
struct Watched {
    arbiter: Arbiter,
    asks: HashMap<GrantId, (usize, Needs, Locks)>,
    held: Vec<GrantId>,
    waiting: Vec<GrantId>,
    reservations: Vec<ReservationId>,
    now: f64,
}

impl Watched {
    fn new() -> Self {
        Self {
            arbiter: Arbiter::new([("cpu", 4.0), ("memory", 8.0)]),
            asks: HashMap::new(),
            held: Vec::new(),
            waiting: Vec::new(),
            reservations: Vec::new(),
            now: 0.0,
        }
    }

    fn take(&mut self, granted: Vec<Grant>) {
        for grant in granted {
            self.waiting.retain(|id| *id != grant.id);
            self.held.push(grant.id);
        }
    }

    fn play(&mut self, step: Step) {
        let mut out = Vec::new();
        match step {
            Step::Ask {
                owner,
                cpu,
                memory,
                lock,
                priority,
                seconds,
            } => {
                let name = format!("owner {owner}");
                let amounts = [("cpu", f64::from(cpu)), ("memory", f64::from(memory))];
                let needs = self.arbiter.resources().needs(&name, amounts).unwrap();
                let mode = |writes| {
                    if writes {
                        Mode::Exclusive
                    } else {
                        Mode::Shared
                    }
                };
                let locks: Locks = lock
                    .map(|(path, writes)| Lock::new(PATHS[path], mode(writes)))
                    .into_iter()
                    .collect();
                let ask = Ask {
                    locks: locks.clone(),
                    priority,
                    seconds: seconds.map(f64::from),
                    ..Ask::new(&name, needs.clone())
                };
                let outcome = self.arbiter.request(ask, &mut out);
                let id = match outcome {
                    Outcome::Granted(grant) => {
                        let id = grant.id;
                        out.push(grant);
                        id
                    }
                    Outcome::Queued(id) => {
                        self.waiting.push(id);
                        id
                    }
                };
                self.asks.insert(id, (owner, needs, locks));
            }
            Step::Release(at) if !self.held.is_empty() => {
                let id = self.held.remove(at % self.held.len());
                self.arbiter.release(id, &mut out).unwrap();
            }
            Step::Withdraw(at) if !self.waiting.is_empty() => {
                let id = self.waiting.remove(at % self.waiting.len());
                assert!(self.arbiter.withdraw(id, &mut out));
            }
            Step::Switch(at) => {
                let word = Strategy::WORDS[at];
                let strategy = Strategy::named(word, at as u64).unwrap();
                self.arbiter.set_strategy(strategy, &mut out);
            }
            Step::Reserve {
                owner,
                cpu,
                after,
                lasts,
            } => {
                let name = format!("owner {owner}");
                let needs = self
                    .arbiter
                    .resources()
                    .needs(&name, [("cpu", f64::from(cpu))]);
                let starts = self.now + f64::from(after);
                let ends = starts + f64::from(lasts);
                let made = self
                    .arbiter
                    .reserve(&name, None, needs.unwrap(), starts, ends);
                self.reservations.extend(made);
                // As every caller does: it may begin at once, and its owner waits for it already.
                self.arbiter.advance(self.now, &mut out);
            }
            Step::Unreserve(at) if !self.reservations.is_empty() => {
                let id = self.reservations.remove(at % self.reservations.len());
                self.arbiter.unreserve(id, &mut out);
            }
            Step::Advance(seconds) => {
                self.now += f64::from(seconds);
                self.arbiter.advance(self.now, &mut out);
            }
            Step::Release(_) | Step::Withdraw(_) | Step::Unreserve(_) => {}
        }
        self.take(out);
    }

    fn check(&self) {
        let capacity = self.arbiter.resources().capacity();
        for (place, &all) in capacity.iter().enumerate() {
            let needs = self.held.iter().map(|id| &self.asks[id].1);
            let held: u64 = needs
                .flat_map(|needs| needs.iter().filter(|need| need.0 as usize == place))
                .map(|need| need.1)
                .sum();
            assert!(held <= all, "more than there is");
            assert_eq!(self.arbiter.free[place], all - held);
        }
        let locks = self.held.iter().flat_map(|id| {
            let locks = &self.asks[id].2;
            locks.iter().map(move |lock| (id, lock))
        });
        let locks: Vec<_> = locks.collect();
        for (at, (id, lock)) in locks.iter().enumerate() {
            for (other, rival) in &locks[..at] {
                assert!(
                    id == other || !lock.conflicts_with(rival),
                    "two hold one lock"
                );
            }
        }
        assert_eq!(self.arbiter.waiting(), self.waiting.len());
        assert_eq!(self.arbiter.held(), self.held.len());
        for wait in self.arbiter.explain() {
            assert!(!wait.reasons.is_empty(), "{wait:?} waits for nothing");
            assert!(self.waiting.contains(&wait.id));
            let waiting = &self.arbiter.entries[(wait.id & ((1 << PLACE_BITS) - 1)) as usize];
            // While it is out of patience only those before it may go, each at most once.
            assert!(wait.passed_over <= waiting.patience + 5 * 2, "{wait:?}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_given_twice_and_all_are_served_in_the_end(
        steps in proptest::collection::vec(step(), 1..250)
    ) {
        let mut watched = Watched::new();
        for step in steps {
            watched.play(step);
            watched.check();
        }
        watched.play(Step::Advance(1000));
        watched.check();
        while !watched.held.is_empty() {
            watched.play(Step::Release(0));
            watched.check();
        }
        prop_assert!(watched.waiting.is_empty(), "{:?}", watched.arbiter.explain());
        for (_, free, capacity) in watched.arbiter.amounts() { prop_assert_eq!(free, capacity); }
    }

    /// Others ask without end, each with what it likes; a request still gets its turn.
    #[test]
    fn nobody_is_passed_over_for_ever(
        strategy in 0usize..4, seed in any::<u64>(), large in 1u32..5, priority in 0u8..10,
        rivals in proptest::collection::vec((1u32..5, 0u8..10, 0u32..9), 1..6),
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 1..20),
    ) {
        let strategy = Strategy::named(Strategy::WORDS[strategy], seed).unwrap();
        let mut market = Market::new(strategy, rivals);
        let needs = market.arbiter.resources().needs("it", [("cpu", f64::from(large))]).unwrap();
        let ask = Ask { priority, ..Ask::new("it", needs) };
        let mut out = Vec::new();
        if let Outcome::Queued(it) = market.arbiter.request(ask, &mut out) {
            let most = PATIENCE as usize * (market.rivals.len() + 1) + 2 * market.rivals.len();
            for pick in (0..).map(|turn| &picks[turn % picks.len()]) {
                market.take(out);
                let waits = market.arbiter.explain();
                let Some(wait) = waits.iter().find(|wait| wait.id == it) else { break; };
                prop_assert!(wait.passed_over as usize <= most, "{wait:?}");
                market.turns += 1;
                prop_assert!(market.turns < 5000);
                out = market.end(pick);
            }
        }
    }
}

/// Rivals that always have two requests open.
struct Market {
    arbiter: Arbiter,
    /// Cores, priority and seconds of each one's requests.
    rivals: Vec<(u32, u8, u32)>,
    running: VecDeque<GrantId>,
    asked: HashMap<GrantId, usize>,
    turns: usize,
}

impl Market {
    fn new(strategy: Strategy, rivals: Vec<(u32, u8, u32)>) -> Self {
        let mut market = Self {
            arbiter: Arbiter::new([("cpu", 4.0)]),
            rivals,
            running: VecDeque::new(),
            asked: HashMap::new(),
            turns: 0,
        };
        market.arbiter.set_strategy(strategy, &mut Vec::new());
        for who in (0..market.rivals.len()).chain(0..market.rivals.len()) {
            let out = market.ask(who);
            market.take(out);
        }
        market
    }

    /// One more request of a rival; all grants that follow.
    fn ask(&mut self, who: usize) -> Vec<Grant> {
        let (cpu, priority, seconds) = self.rivals[who];
        let name = format!("rival {who}");
        let needs = self
            .arbiter
            .resources()
            .needs(&name, [("cpu", f64::from(cpu))]);
        let ask = Ask {
            priority,
            seconds: Some(f64::from(seconds)),
            ..Ask::new(&name, needs.unwrap())
        };
        let mut out = Vec::new();
        match self.arbiter.request(ask, &mut out) {
            Outcome::Queued(id) => {
                self.asked.insert(id, who);
            }
            Outcome::Granted(grant) => {
                self.asked.insert(grant.id, who);
                out.push(grant);
            }
        }
        out
    }

    fn take(&mut self, granted: Vec<Grant>) {
        self.running.extend(granted.iter().map(|grant| grant.id));
    }

    /// Ends the longest-running one or, every other time, any; its rival asks again.
    fn end(&mut self, pick: &proptest::sample::Index) -> Vec<Grant> {
        let at = (self.turns % 2) * pick.index(self.running.len());
        let ended = self.running.remove(at).unwrap();
        let mut out = Vec::new();
        self.arbiter.release(ended, &mut out).unwrap();
        let who = self.asked.remove(&ended).unwrap();
        out.extend(self.ask(who));
        out
    }
}
