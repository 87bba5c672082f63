//! Memory, worth, deaths and health through the pool's own interface.

use pool_manager::{
    Config, EntryOptions, Kind, LoadError, Loader, PoolError, PoolManager, Restarts, Size, State,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LONG: Option<Duration> = Some(Duration::from_secs(20));
const MIB: u64 = 1 << 20;

fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < deadline, "it never came about");
        std::thread::yield_now();
    }
}

fn of_size(memory: u64, gpu: u64) -> EntryOptions {
    EntryOptions {
        size: Size {
            memory: memory * MIB,
            gpu: gpu * MIB,
        },
        ..EntryOptions::default()
    }
}

fn echo(id: &str) -> Result<Arc<str>, LoadError> {
    Ok(id.into())
}

fn pool(config: Config, entries: &[(&str, u64, u64)]) -> PoolManager<Arc<str>> {
    let pool = PoolManager::new(Config {
        idle: None,
        ..config
    });
    for (id, memory, gpu) in entries {
        pool.register_with(id, Arc::new(echo), of_size(*memory, *gpu));
    }
    pool
}

fn touch(pool: &PoolManager<Arc<str>>, id: &str) {
    drop(pool.allocate(id, 5, LONG).expect("a lease"));
}

fn loaded(pool: &PoolManager<Arc<str>>, ids: &[&'static str]) -> Vec<&'static str> {
    let is_loaded = |id: &&&str| pool.state(id) == Some(State::Ready);
    ids.iter().filter(is_loaded).copied().collect()
}

#[test]
fn memory_is_a_limit_beside_the_count() {
    let limits = Config {
        memory: Some(100 * MIB),
        ..Config::default()
    };
    let pool = pool(
        limits,
        &[("a", 60, 0), ("b", 30, 0), ("c", 40, 0), ("huge", 101, 0)],
    );
    touch(&pool, "a");
    touch(&pool, "b");
    assert_eq!(pool.stats().used.memory, 90 * MIB);
    touch(&pool, "c");
    assert_eq!(
        loaded(&pool, &["a", "b", "c"]),
        ["b", "c"],
        "the largest is worth least"
    );
    let error = pool.allocate("huge", 5, LONG).err();
    assert!(
        matches!(error, Some(PoolError::TooLarge { .. })),
        "{error:?}"
    );
    assert_eq!(
        loaded(&pool, &["b", "c"]),
        ["b", "c"],
        "nothing went for what never fits"
    );
    let (_b, _c) = (pool.allocate("b", 5, LONG), pool.allocate("c", 5, LONG));
    let error = pool.allocate("a", 5, Some(Duration::from_millis(20))).err();
    assert!(
        matches!(error, Some(PoolError::Timeout { .. })),
        "held entries stay: {error:?}"
    );
}

#[test]
fn gpu_memory_is_a_limit_of_its_own() {
    let limits = Config {
        gpu_memory: Some(10 * MIB),
        ..Config::default()
    };
    let pool = pool(limits, &[("cpu", 50, 0), ("x", 1, 6), ("y", 1, 6)]);
    for id in ["cpu", "x", "y"] {
        touch(&pool, id);
    }
    assert_eq!(
        loaded(&pool, &["cpu", "x", "y"]),
        ["cpu", "y"],
        "what frees no GPU memory stays"
    );
    assert_eq!(pool.stats().gpu, Some(Ok(10 * MIB)));
}

#[test]
fn without_a_gpu_what_needs_one_is_refused_and_says_why() {
    let pool = pool(Config::default(), &[("model", 1, 1 << 40)]);
    // A machine with GPUs has less than this, one without has none.
    let error = pool.allocate("model", 5, LONG).err();
    assert!(
        matches!(&error, Some(PoolError::TooLarge { why, .. }) if why.contains("GPU")),
        "{error:?}"
    );
    if let Some(Err(reason)) = pool.stats().gpu {
        assert!(!reason.is_empty());
    }
}

/// Values that grow, die, and are counted.
#[derive(Default)]
struct Ward {
    memory: AtomicU64,
    is_ill: AtomicBool,
    loads: AtomicUsize,
    /// Loads fail while this is set.
    is_hopeless: AtomicBool,
}

struct WardLoader(Arc<Ward>);

impl Loader<usize> for WardLoader {
    fn load(&self, _id: &str) -> Result<usize, LoadError> {
        if self.0.is_hopeless.load(Ordering::SeqCst) {
            return Err(LoadError::new("hopeless"));
        }
        Ok(self.0.loads.fetch_add(1, Ordering::SeqCst))
    }

    fn measure(&self, _id: &str, _value: &usize) -> Option<Size> {
        let memory = self.0.memory.load(Ordering::SeqCst);
        Some(Size { memory, gpu: 0 })
    }

    fn check(&self, _id: &str, _value: &usize) -> Result<(), String> {
        match self.0.is_ill.swap(false, Ordering::SeqCst) {
            true => Err("it is ill".to_owned()),
            false => Ok(()),
        }
    }
}

fn ward(config: Config, ids: &[&str]) -> (PoolManager<usize>, Vec<Arc<Ward>>) {
    let pool = PoolManager::new(Config {
        idle: None,
        check: Some(Duration::from_millis(5)),
        restarts: Restarts {
            first: Duration::from_millis(1),
            attempts: 4,
            ..Restarts::default()
        },
        ..config
    });
    let wards: Vec<Arc<Ward>> = ids.iter().map(|_| Arc::default()).collect();
    for (id, ward) in ids.iter().zip(&wards) {
        let options = EntryOptions {
            kind: Kind::Player,
            ..of_size(7, 0)
        };
        pool.register_with(id, Arc::new(WardLoader(Arc::clone(ward))), options);
    }
    (pool, wards)
}

#[test]
fn what_was_declared_is_replaced_by_what_is_measured_and_growth_makes_others_go() {
    let limits = Config {
        memory: Some(100 * MIB),
        ..Config::default()
    };
    let (pool, wards) = ward(limits, &["a", "b"]);
    wards[0].memory.store(20 * MIB, Ordering::SeqCst);
    wards[1].memory.store(30 * MIB, Ordering::SeqCst);
    assert_eq!(pool.describe("a").expect("known").size.memory, 7 * MIB);
    let held = pool.allocate("a", 5, LONG).expect("a lease");
    drop(pool.allocate("b", 5, LONG).expect("a lease"));
    let described = pool.describe("a").expect("known");
    assert!(described.is_measured && described.load_seconds.is_some());
    assert_eq!(
        (described.size.memory, described.kind),
        (20 * MIB, Kind::Player)
    );
    assert_eq!(pool.stats().used.memory, 50 * MIB);
    wards[0].memory.store(90 * MIB, Ordering::SeqCst);
    until(|| pool.state("b") == Some(State::Unloaded));
    assert_eq!(
        pool.state("a"),
        Some(State::Active),
        "what is held stays, even when it has grown"
    );
    // Grown beyond all room, it can still be loaded again, alone.
    wards[0].memory.store(200 * MIB, Ordering::SeqCst);
    until(|| pool.stats().used.memory == 200 * MIB);
    drop(held);
    until(|| pool.state("a") == Some(State::Unloaded));
    assert!(pool.allocate("a", 5, LONG).is_ok());
}

#[test]
fn an_ill_value_is_replaced_by_itself_and_one_that_nobody_had_loaded_is_not() {
    let (pool, wards) = ward(Config::default(), &["a", "idle"]);
    drop(pool.allocate("a", 5, LONG).expect("a lease"));
    wards[0].is_ill.store(true, Ordering::SeqCst);
    until(|| wards[0].loads.load(Ordering::SeqCst) == 2 && pool.state("a") == Some(State::Ready));
    let stats = pool.stats();
    assert_eq!((stats.deaths, stats.restarts, stats.waits), (1, 1, 1));
    assert_eq!(
        pool.describe("a").expect("known").reason.as_deref(),
        Some("it is ill")
    );
    assert_eq!(pool.state("idle"), Some(State::Unloaded));
}

#[test]
fn a_hopeless_value_is_given_up_and_who_asks_is_told_at_once() {
    let (pool, wards) = ward(Config::default(), &["a"]);
    let lease = pool.allocate("a", 5, LONG).expect("a lease");
    wards[0].is_hopeless.store(true, Ordering::SeqCst);
    assert!(pool.report_dead(&lease, "it crashed"));
    assert!(
        !pool.report_dead(&lease, "it crashed"),
        "once however many say so"
    );
    until(|| pool.describe("a").expect("known").is_given_up);
    let described = pool.describe("a").expect("known");
    assert_eq!((described.failures, described.state), (4, State::Unloaded));
    assert!(described.pause.expect("a pause") > Duration::from_secs(5));
    let error = pool.allocate("a", 5, LONG).err();
    assert!(
        matches!(error, Some(PoolError::GivenUp { failures: 4, .. })),
        "{error:?}"
    );
    assert_eq!(pool.prewarm(&["a"]), Ok(0));
    assert_eq!((pool.stats().given_up, pool.stats().failures), (1, 3));
    assert_eq!(*lease.value(), 0, "who held it still sees the dead value");
}

#[test]
fn what_is_loaded_ahead_counts_as_a_hit_when_used_and_as_a_miss_when_not() {
    let pool = pool(
        Config {
            capacity: 2,
            ..Config::default()
        },
        &[("a", 1, 0), ("b", 1, 0), ("c", 1, 0)],
    );
    assert_eq!(pool.prewarm(&["a", "b"]), Ok(2));
    until(|| loaded(&pool, &["a", "b"]).len() == 2);
    touch(&pool, "a");
    touch(&pool, "a");
    touch(&pool, "c");
    let stats = pool.stats();
    assert_eq!(loaded(&pool, &["a", "b", "c"]), ["a", "c"]);
    assert_eq!(
        (stats.prewarmed, stats.prewarm_hits, stats.prewarm_misses),
        (2, 1, 1)
    );
}

#[test]
fn a_guess_evicts_nothing_that_is_worth_more() {
    let pool = pool(
        Config {
            capacity: 1,
            ..Config::default()
        },
        &[("often", 1, 0), ("guess", 1, 0)],
    );
    (0..5).for_each(|_| touch(&pool, "often"));
    assert_eq!(pool.prewarm_if_worth("guess", 0.0), Ok(false));
    assert_eq!(pool.prewarm_if_worth("guess", 1.0), Ok(false));
    assert_eq!(loaded(&pool, &["often", "guess"]), ["often"]);
    assert!(pool.expect("often", 50.0));
    assert_eq!(pool.prewarm_if_worth("guess", 40.0), Ok(false));
    assert!(pool.expect("often", 0.0));
    assert_eq!(pool.prewarm_if_worth("guess", 40.0), Ok(true));
    until(|| loaded(&pool, &["often", "guess"]) == ["guess"]);
}
