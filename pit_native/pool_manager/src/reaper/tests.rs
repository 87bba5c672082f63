//! What is idle leaves, and nothing else, at the times that are promised; at times that the test gives.

use super::*;
use crate::config::Config;
use crate::entry::{LoadError, Loader};
use crate::lease::Lease;
use crate::pool::PoolManager;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

const IDS: [&str; 3] = ["a", "b", "c"];
const COOLING: Duration = Duration::from_secs(20);
/// How long each may be idle; the last one for ever. Longer than a case takes: the pool's own thread looks too.
const IDLE: [Option<Duration>; 3] = [
    Some(Duration::from_secs(40)),
    Some(Duration::from_secs(90)),
    None,
];

/// Counts its loads.
struct Counted(Arc<AtomicU64>);

impl Loader<u64> for Counted {
    fn load(&self, _id: &str) -> Result<u64, LoadError> {
        Ok(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[derive(Clone, Debug)]
enum Act {
    Nothing,
    Use(usize),
    Hold(usize),
    Release(usize),
    /// It is loaded ahead of its use.
    Prewarm(usize),
}

fn acts() -> impl Strategy<Value = Vec<(u64, Act)>> {
    let entry = 0..IDS.len();
    let act = prop_oneof![
        30 => Just(Act::Nothing),
        1 => entry.clone().prop_map(Act::Use),
        1 => entry.clone().prop_map(Act::Hold),
        1 => entry.clone().prop_map(Act::Release),
        1 => entry.prop_map(Act::Prewarm),
    ];
    prop::collection::vec((1u64..=1000, act), 1..400)
}

struct World {
    pool: PoolManager<u64>,
    loads: [Arc<AtomicU64>; 3],
    held: [Vec<Lease<u64>>; 3],
    seen: FxHashMap<Box<str>, Seen>,
    now: Instant,
    pause: Duration,
    /// When each was held or asked for last.
    quiet_since: [Instant; 3],
    /// When each was first seen to cool.
    cools_since: [Option<Instant>; 3],
}

impl World {
    fn new() -> Self {
        let pool = PoolManager::new(Config {
            idle: None,
            cooling: COOLING,
            ..Config::default()
        });
        let loads: [Arc<AtomicU64>; 3] = Default::default();
        for ((id, idle), loads) in IDS.into_iter().zip(IDLE).zip(&loads) {
            pool.register(id, Arc::new(Counted(loads.clone())));
            pool.set_idle(id, idle);
        }
        let now = Instant::now();
        Self {
            pool,
            loads,
            held: Default::default(),
            seen: FxHashMap::default(),
            now,
            pause: Duration::from_secs(1),
            quiet_since: [now; 3],
            cools_since: [None; 3],
        }
    }

    fn state(&self, which: usize) -> State {
        self.pool.state(IDS[which]).expect("registered")
    }

    fn take(&mut self, which: usize) -> Lease<u64> {
        let (before, loads) = (self.state(which), self.loads[which].load(Ordering::SeqCst));
        let lease = self.pool.allocate(IDS[which], 5, None).expect("it loads");
        let loaded = self.loads[which].load(Ordering::SeqCst) - loads;
        let expected = u64::from(before == State::Unloaded);
        assert_eq!(loaded, expected, "asked for while {before:?}");
        assert_eq!(self.state(which), State::Active);
        lease
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Nothing => return,
            Act::Use(which) => drop(self.take(which)),
            Act::Hold(which) => {
                let lease = self.take(which);
                self.held[which].push(lease);
            }
            Act::Release(which) => match self.held[which].pop() {
                Some(lease) => drop(lease),
                None => return,
            },
            // That it will be used is no use.
            Act::Prewarm(which) if matches!(self.state(which), State::Ready | State::Active) => {
                assert_eq!(self.pool.prewarm(&[IDS[which]]).expect("registered"), 0);
                return;
            }
            Act::Prewarm(which) => {
                self.pool.prewarm(&[IDS[which]]).expect("registered");
                let limit = Instant::now() + Duration::from_secs(60);
                while matches!(self.state(which), State::Loading | State::Warming) {
                    assert!(Instant::now() < limit, "it never loaded");
                    std::thread::yield_now();
                }
            }
        }
        let (Act::Use(which) | Act::Hold(which) | Act::Release(which) | Act::Prewarm(which)) = *act
        else {
            return;
        };
        self.quiet_since[which] = self.now;
        self.cools_since[which] = None;
    }

    /// The reaper looks when it said that it would, or earlier.
    fn look(&mut self, share: u64) {
        let before = [0, 1, 2].map(|which| self.state(which));
        self.now += self.pause.mul_f64(share as f64 / 1000.0);
        let most = self.pause;
        self.pause = self.pool.shared.look(&mut self.seen, self.now);
        for which in 0..IDS.len() {
            let (was, is) = (before[which], self.state(which));
            let quiet = self.now - self.quiet_since[which];
            if !self.held[which].is_empty() {
                assert_eq!(is, State::Active, "{} is held", IDS[which]);
                continue;
            }
            let Some(idle) = IDLE[which] else {
                assert_eq!(is, was, "{} may be idle for ever", IDS[which]);
                continue;
            };
            match (was, is) {
                (State::Ready, State::Cooling) => {
                    assert!(quiet + most >= idle, "cools after {quiet:?}");
                    self.cools_since[which] = Some(self.now);
                }
                (State::Cooling, State::Unloaded) => {
                    let cooled = self.now - self.cools_since[which].expect("it was seen to cool");
                    assert!(cooled >= COOLING, "left after {cooled:?}");
                }
                _ => assert_eq!(was, is, "{}", IDS[which]),
            }
            let late = idle + COOLING + 3 * most;
            assert!(
                is == State::Unloaded || quiet <= late,
                "{} is {is:?} after {quiet:?}",
                IDS[which]
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    /// Whatever is used, held and loaded ahead: an entry leaves when nobody has held it for its idle time and then
    /// for the cooling time, not before and not much later, and who asks before that gets the same value.
    #[test]
    fn what_is_idle_leaves_and_nothing_else(acts in acts()) {
        let mut world = World::new();
        for (share, act) in &acts {
            world.act(act);
            world.look(*share);
        }
        let stats = world.pool.stats();
        let loads: u64 = world.loads.iter().map(|loads| loads.load(Ordering::SeqCst)).sum();
        prop_assert_eq!(stats.loads, loads);
        prop_assert_eq!(stats.loads - stats.idle_unloads, stats.loaded as u64);
    }
}
