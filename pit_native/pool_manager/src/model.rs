//! Any sequence of events against a simple model of the pool: states, room, values, waiters.
//!
//! Loaders stop at a gate that the test opens, and the reaper looks when the test says so, at a time that the test
//! gives. Which state may follow which is asserted where states change.

use crate::config::Config;
use crate::entry::{EntryOptions, Kind, LoadError, Loader};
use crate::lease::Lease;
use crate::ledger::Size;
use crate::pool::PoolManager;
use crate::restarts::Restarts;
use crate::state::State;
use parking_lot::{Condvar, Mutex};
use proptest::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const IDS: [&str; 4] = ["a", "b", "c", "d"];
/// MiB of each.
const SIZES: [u64; 4] = [1, 2, 3, 4];
const CAPACITY: usize = 3;
const MEMORY: u64 = 6;
const IDLE: Duration = Duration::from_secs(1000);

/// A value that knows whether it was unloaded.
struct Value {
    number: u64,
    is_gone: AtomicBool,
}

/// What the loaders of an entry are told to do.
#[derive(Default)]
struct Gate {
    /// Loads that wait at the gate, and the answers for them.
    waiting: BTreeMap<String, usize>,
    answers: BTreeMap<String, Vec<bool>>,
    is_open: bool,
}

#[derive(Default)]
struct Gates {
    gate: Mutex<Gate>,
    moved: Condvar,
    numbers: AtomicU64,
}

struct GatedLoader(Arc<Gates>);

impl Loader<Arc<Value>> for GatedLoader {
    fn load(&self, id: &str) -> Result<Arc<Value>, LoadError> {
        let gates = &self.0;
        let mut gate = gates.gate.lock();
        *gate.waiting.entry(id.to_owned()).or_default() += 1;
        gates.moved.notify_all();
        let is_good = loop {
            if gate.is_open {
                break true;
            }
            if let Some(answer) = gate.answers.get_mut(id).and_then(Vec::pop) {
                break answer;
            }
            gates.moved.wait(&mut gate);
        };
        *gate.waiting.get_mut(id).expect("counted above") -= 1;
        drop(gate);
        match is_good {
            true => Ok(Arc::new(Value {
                number: gates.numbers.fetch_add(1, Ordering::SeqCst),
                is_gone: AtomicBool::new(false),
            })),
            false => Err(LoadError::new("no luck")),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize),
    GiveBack(usize),
    Prewarm(usize),
    PrewarmIfWorth(usize, u8),
    /// The load of an entry ends, well or not.
    Finish(usize, bool),
    Discard(usize),
    Die(usize),
    Register(usize),
    /// The reaper looks, after the idle time and again after the cooling time.
    Cool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let entry = 0..IDS.len();
    let step = prop_oneof![
        4 => entry.clone().prop_map(Step::Take),
        3 => (0..8usize).prop_map(Step::GiveBack),
        2 => entry.clone().prop_map(Step::Prewarm),
        1 => (entry.clone(), 0..4u8).prop_map(|(id, uses)| Step::PrewarmIfWorth(id, uses)),
        5 => (entry.clone(), prop::bool::weighted(0.8)).prop_map(|(id, well)| Step::Finish(id, well)),
        1 => entry.clone().prop_map(Step::Discard),
        1 => entry.clone().prop_map(Step::Die),
        1 => entry.prop_map(Step::Register),
        1 => Just(Step::Cool),
    ];
    prop::collection::vec(step, 1..50)
}

struct World {
    pool: PoolManager<Arc<Value>>,
    gates: Arc<Gates>,
    unloaded: Arc<Mutex<Vec<u64>>>,
    leases: Vec<Lease<Arc<Value>>>,
}

impl World {
    fn new() -> Self {
        let unloaded: Arc<Mutex<Vec<u64>>> = Arc::default();
        let list = Arc::clone(&unloaded);
        let hook = Arc::new(move |_: &str, value: Arc<Value>| {
            assert!(
                !value.is_gone.swap(true, Ordering::SeqCst),
                "unloaded twice"
            );
            list.lock().push(value.number);
        });
        let config = Config {
            capacity: CAPACITY,
            memory: Some(MEMORY << 20),
            idle: Some(IDLE),
            restarts: Restarts {
                first: Duration::ZERO,
                attempts: u32::MAX,
                ..Restarts::default()
            },
            ..Config::default()
        };
        let world = Self {
            pool: PoolManager::with_unload(config, hook),
            gates: Arc::default(),
            unloaded,
            leases: Vec::new(),
        };
        (0..IDS.len()).for_each(|which| world.register(which));
        world
    }

    fn register(&self, which: usize) {
        let options = EntryOptions {
            kind: Kind::Model,
            size: Size {
                memory: SIZES[which] << 20,
                gpu: 0,
            },
            ..EntryOptions::default()
        };
        let loader = Arc::new(GatedLoader(Arc::clone(&self.gates)));
        self.pool.register_with(IDS[which], loader, options);
    }

    /// Answers the load of an entry that stands at the gate, and waits until the pool has taken it in.
    fn finish(&self, which: usize, is_good: bool) {
        let id = IDS[which];
        let mut gate = self.gates.gate.lock();
        // The entry may be Loading while its worker is still on the way to the gate.
        while self.is_on_the_way(id, &gate) {
            self.gates
                .moved
                .wait_for(&mut gate, Duration::from_millis(1));
        }
        if gate.waiting.get(id).copied().unwrap_or(0) == 0 {
            return;
        }
        let before = self.ended();
        gate.answers.entry(id.to_owned()).or_default().push(is_good);
        self.gates.moved.notify_all();
        drop(gate);
        until(|| self.ended() != before);
    }

    fn ended(&self) -> (u64, u64) {
        let stats = self.pool.stats();
        (stats.loads, stats.failures)
    }

    fn is_on_the_way(&self, id: &str, gate: &Gate) -> bool {
        self.pool.state(id) == Some(State::Loading)
            && gate.waiting.get(id).copied().unwrap_or(0) == 0
            && gate.answers.get(id).is_none_or(Vec::is_empty)
    }

    fn act(&mut self, step: &Step) {
        match *step {
            Step::Take(which) => {
                let before = self.pool.state(IDS[which]).expect("registered");
                let lease = self.pool.try_allocate(IDS[which], 5);
                let is_loaded = matches!(before, State::Ready | State::Active | State::Cooling);
                assert!(
                    lease.is_some() || !is_loaded,
                    "{before:?} was not handed out"
                );
                // Its load may have ended between the two looks.
                self.leases.extend(lease);
            }
            Step::GiveBack(at) if !self.leases.is_empty() => {
                drop(self.leases.swap_remove(at % self.leases.len()));
            }
            Step::GiveBack(_) => {}
            Step::Prewarm(which) => {
                self.pool.prewarm(&[IDS[which]]).expect("registered");
            }
            Step::PrewarmIfWorth(which, uses) => {
                let uses = f64::from(uses);
                self.pool
                    .prewarm_if_worth(IDS[which], uses)
                    .expect("registered");
            }
            Step::Finish(which, is_good) => self.finish(which, is_good),
            Step::Discard(which) => {
                self.pool.discard(IDS[which]);
            }
            Step::Die(which) => {
                self.pool.report_dead_if(IDS[which], |_| true, "died");
            }
            Step::Register(which) => self.register(which),
            Step::Cool => {
                let (mut seen, now) = (FxHashMap::default(), Instant::now());
                for times in 0..3 {
                    self.pool.shared.look(&mut seen, now + IDLE * times);
                }
            }
        }
    }

    fn check(&self) {
        let stats = self.pool.stats();
        assert!(stats.loaded <= CAPACITY, "{stats:?}");
        assert!(stats.used.memory <= MEMORY << 20, "{stats:?}");
        let mut held: BTreeMap<&str, u64> = BTreeMap::new();
        for lease in &self.leases {
            assert!(
                !lease.value().is_gone.load(Ordering::SeqCst),
                "unloaded while held"
            );
        }
        for id in IDS {
            let entry = self.pool.resolve(id).expect("registered");
            let of_it = self
                .leases
                .iter()
                .filter(|lease| Arc::ptr_eq(lease.entry(), &entry));
            *held.entry(id).or_default() = of_it.count() as u64;
            assert_eq!(entry.slot.holders(), held[id], "{id}");
            let state = entry.state();
            assert_eq!(state == State::Active, held[id] > 0, "{id} is {state:?}");
        }
        let unloaded = self.unloaded.lock();
        let distinct: BTreeSet<u64> = unloaded.iter().copied().collect();
        assert_eq!(distinct.len(), unloaded.len(), "unloaded twice");
    }

    /// Opens all gates; whoever waits must get what it asked for, and in the end nothing is left.
    fn end(mut self) {
        self.leases.clear();
        std::thread::scope(|scope| {
            let waiters: Vec<_> = IDS
                .into_iter()
                .flat_map(|id| [(id, 1), (id, 9)])
                .map(|(id, priority)| {
                    let pool = &self.pool;
                    let patience = Some(Duration::from_secs(5));
                    scope.spawn(move || pool.allocate(id, priority, patience).map(drop))
                })
                .collect();
            self.gates.gate.lock().is_open = true;
            self.gates.moved.notify_all();
            for waiter in waiters {
                let got = waiter.join().expect("no panic");
                assert!(got.is_ok(), "a waiter was lost: {got:?}");
            }
        });
        self.check();
        let made = |world: &Self| world.gates.numbers.load(Ordering::SeqCst) as usize;
        self.pool.close();
        until(|| self.pool.stats().loaded == 0 && self.unloaded.lock().len() == made(&self));
    }
}

fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !what() {
        assert!(Instant::now() < deadline, "it never came about");
        std::thread::yield_now();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_events_keeps_what_the_pool_promises(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.act(step);
            world.check();
        }
        world.end();
    }
}
