//! Every interleaving of the fast path with eviction, detaching and waiting, explored by loom.

use crate::doorbell::Doorbell;
use crate::slot::Slot;
use crate::state::{Given, State};
use crate::sync::Mutex;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// Explores every interleaving in which a thread is interrupted at most three times between its own steps:
/// three threads have too many others, and the defects of such code show with two (loom's own advice).
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A value that knows whether it was unloaded; a lease that sees it so has been betrayed.
struct Value {
    unloads: Arc<AtomicUsize>,
}

impl Value {
    fn unload(self) {
        assert_eq!(
            self.unloads.fetch_add(1, Ordering::Relaxed),
            0,
            "unloaded twice"
        );
    }
}

struct Pool {
    slot: Slot<Value>,
    bell: Doorbell,
    slow: Mutex<()>,
    unloads: Arc<AtomicUsize>,
}

fn ready() -> Arc<Pool> {
    let unloads = Arc::new(AtomicUsize::new(0));
    let pool = Pool {
        slot: Slot::new(),
        bell: Doorbell::new(),
        slow: Mutex::new(()),
        unloads: unloads.clone(),
    };
    assert!(pool.slot.begin());
    pool.slot.warm();
    pool.slot.fill(Value { unloads });
    Arc::new(pool)
}

impl Pool {
    /// What `try_allocate` and the drop of its lease do. Says whether there was a value.
    fn use_once(&self) -> bool {
        let Some(mut hold) = self.slot.hold() else {
            return false;
        };
        let value = self.slot.value(&hold);
        assert_eq!(
            value.unloads.load(Ordering::Relaxed),
            0,
            "used after its unload"
        );
        match self.slot.give_back(&mut hold) {
            Given::Held => {}
            Given::Idle => self.bell.ring(&self.slow),
            Given::Orphaned => {
                if let Some(value) = self.slot.take_orphaned() {
                    value.unload();
                }
            }
        }
        true
    }

    /// What making room and the reaper do, under the mutex.
    fn evict(&self) -> bool {
        let _slow = self.slow.lock();
        self.slot.cool();
        match self.slot.take_cooled() {
            Some(value) => {
                value.unload();
                true
            }
            None => false,
        }
    }

    fn unloads(&self) -> usize {
        self.unloads.load(Ordering::Relaxed)
    }
}

#[test]
fn an_eviction_never_takes_what_is_held_and_never_twice() {
    explore(|| {
        let pool = ready();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let pool = pool.clone();
                thread::spawn(move || pool.evict())
            })
            .collect();
        pool.use_once();
        let evictions = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .filter(|was_evicted| *was_evicted)
            .count();
        assert!(evictions <= 1);
        assert_eq!(pool.unloads(), evictions);
        assert_eq!(pool.slot.state() == State::Unloaded, evictions == 1);
    });
}

#[test]
fn two_users_and_an_eviction_agree_about_the_value() {
    explore(|| {
        let pool = ready();
        let other = pool.clone();
        let user = thread::spawn(move || other.use_once());
        let other = pool.clone();
        let evictor = thread::spawn(move || other.evict());
        pool.use_once();
        user.join().expect("no panic");
        let was_evicted = evictor.join().expect("no panic");
        assert_eq!(pool.unloads(), usize::from(was_evicted));
        assert_eq!(pool.slot.holders(), 0);
    });
}

#[test]
fn a_detached_value_is_unloaded_once_by_its_last_holder_or_by_who_detached_it() {
    explore(|| {
        let pool = ready();
        let other = pool.clone();
        let user = thread::spawn(move || other.use_once());
        let other = pool.clone();
        let evictor = thread::spawn(move || other.evict());
        let value = {
            let _slow = pool.slow.lock();
            pool.slot.detach()
        };
        if let Some(value) = value {
            value.unload();
        }
        user.join().expect("no panic");
        evictor.join().expect("no panic");
        assert_eq!(pool.unloads(), 1, "lost or unloaded twice");
        assert!(!pool.use_once(), "a detached entry was handed out");
    });
}

#[test]
fn who_waits_for_room_is_always_woken() {
    loom::model(|| {
        let pool = ready();
        let mut hold = pool.slot.hold().expect("ready");
        let other = pool.clone();
        // The waiter sleeps without a timeout: a lost signal would be a deadlock, which loom reports.
        let waiter = thread::spawn(move || {
            let mut slow = other.slow.lock();
            other.bell.join();
            while !matches!(other.slot.observe(), State::Ready | State::Cooling) {
                slow = other.bell.changed.wait(slow);
            }
            other.bell.leave();
            other.slot.cool();
            other.slot.take_cooled().expect("idle").unload();
        });
        assert_eq!(pool.slot.give_back(&mut hold), Given::Idle);
        pool.bell.ring(&pool.slow);
        waiter.join().expect("no panic");
        assert_eq!(pool.unloads(), 1);
    });
}

#[test]
fn a_value_that_is_put_in_is_seen_whole_by_who_gets_it() {
    loom::model(|| {
        let unloads = Arc::new(AtomicUsize::new(0));
        let slot = Arc::new(Slot::new());
        assert!(slot.begin());
        let other = slot.clone();
        let loader = thread::spawn(move || {
            other.warm();
            other.fill(Value { unloads });
        });
        if let Some(mut hold) = slot.hold() {
            assert_eq!(slot.value(&hold).unloads.load(Ordering::Relaxed), 0);
            slot.give_back(&mut hold);
        }
        loader.join().expect("no panic");
    });
}
