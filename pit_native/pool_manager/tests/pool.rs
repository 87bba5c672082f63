//! The pool as its users see it: loading, sharing, eviction, priorities, failures, idleness.

use pool_manager::{
    Config, EntryOptions, LoadError, Loader, PoolError, PoolManager, Restarts, State,
};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::{Duration, Instant};

const LONG: Option<Duration> = Some(Duration::from_secs(20));

fn config(capacity: usize) -> Config {
    Config {
        capacity,
        idle: None,
        restarts: quick(1),
        ..Config::default()
    }
}

fn quick(milliseconds: u64) -> Restarts {
    Restarts {
        first: Duration::from_millis(milliseconds),
        ..Restarts::default()
    }
}

fn echo(id: &str) -> Result<Arc<str>, LoadError> {
    Ok(id.into())
}

fn pool_of(capacity: usize, ids: &[&str]) -> PoolManager<Arc<str>> {
    let pool = PoolManager::new(config(capacity));
    for id in ids {
        pool.register(id, Arc::new(echo));
    }
    pool
}

/// Waits for a state that another thread brings about.
fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < deadline, "it never came about");
        std::thread::yield_now();
    }
}

#[test]
fn an_entry_is_loaded_once_and_may_be_held_several_times() {
    let loads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&loads);
    let pool = PoolManager::new(config(4));
    pool.register(
        "a",
        Arc::new(move |id: &str| {
            counted.fetch_add(1, Ordering::SeqCst);
            echo(id)
        }),
    );
    assert!(pool.try_allocate("a", 5).is_none());
    assert_eq!(pool.state("a"), Some(State::Unloaded));
    let leases: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| pool.allocate("a", 5, LONG).expect("a lease")))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert!(leases.iter().all(|lease| &**lease.value() == "a"));
    assert_eq!(
        (pool.state("a"), pool.stats().held),
        (Some(State::Active), 8)
    );
    drop(leases);
    assert_eq!(
        (pool.state("a"), pool.stats().held),
        (Some(State::Ready), 0)
    );
    assert_eq!(
        (loads.load(Ordering::SeqCst), pool.stats().allocations),
        (1, 8)
    );
}

#[test]
fn unknown_ids_and_closed_pools_are_told() {
    let pool = pool_of(1, &[]);
    assert_eq!(
        pool.allocate("x", 5, LONG).err(),
        Some(PoolError::Unknown("x".into()))
    );
    assert_eq!(pool.prewarm(&["x"]), Err(PoolError::Unknown("x".into())));
    pool.close();
    assert_eq!(pool.allocate("x", 5, LONG).err(), Some(PoolError::Closed));
}

#[test]
fn the_entry_that_was_used_longest_ago_makes_room() {
    let unloaded = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&unloaded);
    let hook =
        Arc::new(move |id: &str, _: Arc<str>| seen.lock().expect("lock").push(id.to_owned()));
    let pool = PoolManager::with_unload(config(2), hook);
    for id in ["a", "b", "c"] {
        pool.register(id, Arc::new(echo));
    }
    for id in ["a", "b", "a"] {
        drop(pool.allocate(id, 5, LONG).expect("a lease"));
    }
    drop(pool.allocate("c", 5, LONG).expect("a lease"));
    assert_eq!(*unloaded.lock().expect("lock"), ["b"]);
    assert_eq!(pool.state("a"), Some(State::Ready));
    assert_eq!(pool.state("b"), Some(State::Unloaded));
    assert_eq!(pool.stats().evictions, 1);
}

#[test]
fn a_full_pool_of_held_entries_lets_wait_and_times_out() {
    let pool = pool_of(1, &["a", "b"]);
    let held = pool.allocate("a", 5, LONG).expect("a lease");
    let error = pool.allocate("b", 5, Some(Duration::from_millis(30))).err();
    assert!(
        matches!(error, Some(PoolError::Timeout { .. })),
        "{error:?}"
    );
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            pool.allocate("b", 5, LONG)
                .map(|lease| lease.id().to_owned())
        });
        until(|| pool.stats().waits >= 3);
        drop(held);
        assert_eq!(waiter.join().expect("no panic"), Ok("b".into()));
    });
    assert_eq!(pool.state("a"), Some(State::Unloaded));
}

#[test]
fn room_goes_to_the_highest_priority_and_then_to_the_first() {
    let pool = pool_of(1, &["held", "low", "first", "second", "high"]);
    let held = pool.allocate("held", 5, LONG).expect("a lease");
    let (done, order) = mpsc::channel();
    std::thread::scope(|scope| {
        for (number, (id, priority)) in [("low", 1), ("first", 5), ("second", 5), ("high", 9)]
            .into_iter()
            .enumerate()
        {
            let (pool, done) = (&pool, done.clone());
            scope.spawn(move || {
                let lease = pool.allocate(id, priority, LONG).expect("a lease");
                done.send(lease.id().to_owned()).expect("a listener");
            });
            // Each joins the queue before the next comes.
            until(|| pool.stats().waits as usize >= number + 2);
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(held);
    });
    drop(done);
    assert_eq!(
        order.iter().collect::<Vec<_>>(),
        ["high", "first", "second", "low"]
    );
}

/// Fails as often as it is told to.
struct Flaky {
    failures: AtomicUsize,
    attempts: AtomicUsize,
}

impl Loader<Arc<str>> for Flaky {
    fn load(&self, id: &str) -> Result<Arc<str>, LoadError> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let left = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if left.is_ok() {
            Err(LoadError::new("no luck"))
        } else {
            echo(id)
        }
    }
}

#[test]
fn a_failed_load_is_reported_and_tried_again_after_a_pause() {
    let loader = Arc::new(Flaky {
        failures: AtomicUsize::new(2),
        attempts: AtomicUsize::new(0),
    });
    let pool: PoolManager<Arc<str>> = PoolManager::new(Config {
        restarts: quick(40),
        ..config(2)
    });
    pool.register("a", Arc::clone(&loader) as Arc<dyn Loader<_>>);
    let start = Instant::now();
    for _ in 0..2 {
        let error = pool.allocate("a", 5, LONG).err();
        assert!(
            matches!(&error, Some(PoolError::Load { error, .. }) if error.message == "no luck"),
            "{error:?}"
        );
        assert_eq!(pool.state("a"), Some(State::Unloaded));
    }
    assert_eq!(
        &**pool.allocate("a", 5, LONG).expect("a lease").value(),
        "a"
    );
    assert!(
        start.elapsed() >= Duration::from_millis(40 + 80),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        (
            loader.attempts.load(Ordering::SeqCst),
            pool.stats().failures
        ),
        (3, 2)
    );
}

#[test]
fn a_panicking_loader_fails_only_its_own_entry() {
    let pool = pool_of(2, &["good"]);
    pool.register(
        "bad",
        Arc::new(|_: &str| -> Result<Arc<str>, LoadError> { panic!("a defect") }),
    );
    assert!(matches!(
        pool.allocate("bad", 5, LONG),
        Err(PoolError::Load { .. })
    ));
    assert!(pool.allocate("good", 5, LONG).is_ok());
}

#[test]
fn a_dead_entry_is_discarded_once_and_loaded_anew() {
    let number = AtomicUsize::new(0);
    let unloaded = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&unloaded);
    let hook = Arc::new(move |_: &str, _: usize| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let pool: PoolManager<usize> = PoolManager::with_unload(config(2), hook);
    pool.register(
        "a",
        Arc::new(move |_: &str| Ok(number.fetch_add(1, Ordering::SeqCst))),
    );
    let first = pool.allocate("a", 5, LONG).expect("a lease");
    let second = pool.allocate("a", 5, LONG).expect("a lease");
    assert!(pool.discard_leased(&first));
    assert!(
        !pool.discard_leased(&second),
        "its value is not what is loaded now"
    );
    assert_eq!(pool.state("a"), Some(State::Unloaded));
    let fresh = pool.allocate("a", 5, LONG).expect("a lease");
    assert_eq!((*first.value(), *fresh.value()), (0, 1));
    assert!(!pool.discard_leased(&second));
    drop(first);
    assert_eq!(
        unloaded.load(Ordering::SeqCst),
        0,
        "another still holds the dead value"
    );
    drop(second);
    assert_eq!(unloaded.load(Ordering::SeqCst), 1);
    assert_eq!(pool.stats().loaded, 1);
    drop(fresh);
    pool.close();
    assert_eq!(unloaded.load(Ordering::SeqCst), 2);
}

#[test]
fn unregistering_keeps_leases_good_and_unloads_with_the_last() {
    let pool = pool_of(2, &["a"]);
    let lease = pool.allocate("a", 5, LONG).expect("a lease");
    assert!(pool.unregister("a"));
    assert!(!pool.unregister("a"));
    assert_eq!(&**lease.value(), "a");
    assert_eq!(
        pool.allocate("a", 5, LONG).err(),
        Some(PoolError::Unknown("a".into()))
    );
    assert_eq!(pool.stats().loaded, 1);
    drop(lease);
    assert_eq!(pool.stats().loaded, 0);
}

#[test]
fn a_resolved_entry_is_refused_once_the_pool_has_another() {
    let pool = pool_of(2, &["a"]);
    drop(pool.allocate("a", 5, LONG).expect("a lease"));
    let entry = pool.resolve("a").expect("an entry");
    assert!(pool.try_allocate_entry(&entry).is_some());
    pool.discard("a");
    assert!(pool.try_allocate_entry(&entry).is_none());
}

#[test]
fn prewarming_loads_ahead_and_spares_what_it_was_asked_for() {
    let pool = pool_of(2, &["a", "b", "c"]);
    drop(pool.allocate("c", 5, LONG).expect("a lease"));
    assert_eq!(pool.prewarm(&["a", "b", "c"]), Ok(1));
    until(|| pool.state("a") == Some(State::Ready));
    assert_eq!(
        pool.state("b"),
        Some(State::Unloaded),
        "there is no room for three"
    );
    assert_eq!(pool.prewarm(&["a", "b"]), Ok(1));
    until(|| pool.state("b") == Some(State::Ready));
    assert_eq!(pool.state("c"), Some(State::Unloaded));
    assert!(pool.try_allocate("a", 5).is_some());
}

#[test]
fn an_idle_entry_cools_down_and_comes_back_when_asked() {
    let pool: PoolManager<Arc<str>> = PoolManager::new(Config {
        idle: Some(Duration::from_millis(20)),
        cooling: Duration::from_secs(3600),
        ..config(2)
    });
    pool.register("a", Arc::new(echo));
    let options = EntryOptions {
        idle: Some(Duration::from_secs(3600)),
        ..EntryOptions::default()
    };
    pool.register_with("patient", Arc::new(echo), options);
    for id in ["a", "patient"] {
        drop(pool.allocate(id, 5, LONG).expect("a lease"));
    }
    until(|| pool.state("a") == Some(State::Cooling));
    assert_eq!(pool.state("patient"), Some(State::Ready));
    assert!(pool.try_allocate("a", 5).is_some());
    assert_eq!(pool.state("a"), Some(State::Ready));
}

#[test]
fn what_nobody_asks_back_is_unloaded_and_held_entries_are_not() {
    let pool: PoolManager<Arc<str>> = PoolManager::new(Config {
        idle: Some(Duration::from_millis(10)),
        cooling: Duration::from_millis(10),
        ..config(2)
    });
    for id in ["a", "held"] {
        pool.register(id, Arc::new(echo));
    }
    let held = pool.allocate("held", 5, LONG).expect("a lease");
    drop(pool.allocate("a", 5, LONG).expect("a lease"));
    until(|| pool.state("a") == Some(State::Unloaded));
    assert_eq!(pool.state("held"), Some(State::Active));
    until(|| pool.stats().idle_unloads == 1);
    drop(held);
}

#[test]
fn an_interrupted_wait_ends() {
    let pool = pool_of(1, &["a", "b"]);
    let _held = pool.allocate("a", 5, LONG).expect("a lease");
    assert_eq!(
        pool.allocate_unless("b", 5, None, &mut || true).err(),
        Some(PoolError::Interrupted)
    );
}

#[test]
fn a_hundred_entries_are_active_at_once() {
    let ids: Vec<String> = (0..128).map(|number| format!("p{number}")).collect();
    let refs: Vec<&str> = ids.iter().map(String::as_str).collect();
    let pool = pool_of(128, &refs);
    let leases: Vec<_> = ids
        .iter()
        .map(|id| pool.allocate(id, 5, LONG).expect("a lease"))
        .collect();
    assert_eq!(pool.stats().states[State::Active as usize], 128);
    drop(leases);
}

#[test]
fn many_threads_never_see_a_value_that_was_unloaded() {
    /// Knows whether it was unloaded.
    type Flag = Arc<AtomicUsize>;
    let hook = Arc::new(|_: &str, flag: Flag| flag.store(1, Ordering::SeqCst));
    let pool: PoolManager<Flag> = PoolManager::with_unload(config(3), hook);
    let ids = ["a", "b", "c", "d", "e"];
    for id in ids {
        pool.register(id, Arc::new(|_: &str| Ok(Flag::default())));
    }
    let barrier = Barrier::new(6);
    std::thread::scope(|scope| {
        for seed in 0..5usize {
            let (pool, barrier) = (&pool, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for step in 0..400 {
                    let id = ids[(seed * 7 + step * 3 + step / 5) % ids.len()];
                    let lease = pool.allocate(id, (step % 10) as u8, LONG).expect("a lease");
                    assert_eq!(
                        lease.value().load(Ordering::SeqCst),
                        0,
                        "{id} is gone while held"
                    );
                }
            });
        }
        let (pool, barrier) = (&pool, &barrier);
        scope.spawn(move || {
            barrier.wait();
            for step in 0..200 {
                pool.discard(ids[step % ids.len()]);
                std::thread::yield_now();
            }
        });
    });
    let stats = pool.stats();
    assert_eq!(stats.held, 0);
    assert_eq!(stats.loaded, stats.states[State::Ready as usize]);
    assert!(stats.loaded <= 3);
}

proptest! {
    #[test]
    fn any_sequence_keeps_the_books(steps in prop::collection::vec((0usize..4, 0usize..4), 1..60)) {
        let ids = ["a", "b", "c", "d"];
        let pool = pool_of(2, &ids);
        let mut leases = Vec::new();
        for (step, which) in steps {
            match step {
                0 | 1 => {
                    let held: std::collections::BTreeSet<String> =
                        leases.iter().map(|lease: &pool_manager::Lease<_>| lease.id().to_owned()).collect();
                    let wait = if held.len() < 2 || held.contains(ids[which]) { LONG } else { Some(Duration::ZERO) };
                    match pool.allocate(ids[which], 5, wait) {
                        Ok(lease) => leases.push(lease),
                        Err(error) => {
                            let is_timeout = matches!(error, PoolError::Timeout { .. });
                            prop_assert!(is_timeout && wait == Some(Duration::ZERO), "{error:?}");
                        }
                    }
                }
                2 if !leases.is_empty() => drop(leases.swap_remove(which % leases.len())),
                _ => { pool.prewarm(&[ids[which]]).expect("known"); }
            }
            let stats = pool.stats();
            prop_assert_eq!(stats.held, leases.len() as u64);
            prop_assert!(stats.loaded <= 2);
        }
    }
}
