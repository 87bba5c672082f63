//! The pool: its registry, its fast path, and what changes it from outside.

use crate::entry::{Entry, EntryOptions, Loader};
use crate::lease::Lease;
use crate::reaper;
use crate::state::State;
use crate::waiting::Queue;
use crate::{Config, PoolError, Stats, UnloadHook};
use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) type Registry<T> = FxHashMap<Box<str>, Arc<Entry<T>>>;

/// All that lies behind the mutex.
pub(crate) struct Slow<T: Clone + Send + Sync + 'static> {
    /// Entries that hold or are getting a value, orphans included.
    pub(crate) loaded: usize,
    /// Threads that wait for room.
    pub(crate) queue: Queue,
    /// Entries whose load waits for a worker, with its priority.
    pub(crate) to_load: VecDeque<(u8, Arc<Entry<T>>)>,
    /// Workers that run.
    pub(crate) workers: usize,
    pub(crate) counts: Stats,
    pub(crate) is_closed: bool,
}

/// What the pool, its entries and its threads share.
pub(crate) struct Shared<T: Clone + Send + Sync + 'static> {
    pub(crate) config: Config,
    pub(crate) entries: ArcSwap<Registry<T>>,
    pub(crate) slow: Mutex<Slow<T>>,
    /// Signalled when an entry got loaded, failed, idle or unloaded.
    pub(crate) changed: Condvar,
    /// Wakes the reaper when the pool closes.
    pub(crate) closing: Condvar,
    /// Threads waiting for room; while there are none, giving back a lease signals nobody.
    pub(crate) waiting: AtomicUsize,
    /// Counts uses, for the order of eviction.
    clock: AtomicU64,
    /// The address of the entry that was used last, whose stamp therefore need not change.
    recent: AtomicUsize,
    unload: Option<UnloadHook<T>>,
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// Becomes a holder of `entry` if it is loaded. Takes no lock.
    #[inline]
    pub(crate) fn hold(&self, entry: &Arc<Entry<T>>) -> Option<Lease<T>> {
        if !entry.word.hold() {
            return None;
        }
        let address = Arc::as_ptr(entry).addr();
        if self.recent.load(Ordering::Relaxed) != address {
            self.recent.store(address, Ordering::Relaxed);
            entry.stamp.store(
                self.clock.fetch_add(1, Ordering::Relaxed) + 1,
                Ordering::Relaxed,
            );
        }
        Some(Lease::new(Arc::clone(entry)))
    }

    /// Wakes who waits for room, now that an entry may be evicted.
    #[inline]
    pub(crate) fn notice_idle(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let _slow = self.slow.lock();
            self.changed.notify_all();
        }
    }

    /// Unloads the value of an entry that the pool has forgotten and nobody holds.
    #[cold]
    pub(crate) fn unload_orphan(&self, entry: &Entry<T>) {
        let mut slow = self.slow.lock();
        // SAFETY: the mutex is held, the entry is detached and its last holder has gone.
        let value = unsafe { entry.replace(None) };
        if value.is_some() {
            slow.loaded -= 1;
        }
        drop(slow);
        self.changed.notify_all();
        self.finish_unload(&entry.id, value);
    }

    /// Takes the value of a Ready or Cooling entry out. `None` when it is in use after all.
    pub(crate) fn take_value(&self, slow: &mut Slow<T>, entry: &Entry<T>) -> Option<T> {
        entry.word.change(State::Ready, State::Cooling);
        self.take_cooled(slow, entry)
    }

    /// Takes the value of a Cooling entry out. `None` when somebody has asked for it meanwhile.
    pub(crate) fn take_cooled(&self, slow: &mut Slow<T>, entry: &Entry<T>) -> Option<T> {
        if entry.word.is_detached() || !entry.word.change(State::Cooling, State::Unloaded) {
            return None;
        }
        slow.loaded -= 1;
        // SAFETY: the mutex is held and the entry has just become Unloaded.
        unsafe { entry.replace(None) }
    }

    /// Hands a value that left the pool to the hook; never called with the mutex held.
    pub(crate) fn finish_unload(&self, id: &str, value: Option<T>) {
        if let (Some(value), Some(hook)) = (value, &self.unload) {
            hook(id, value);
        }
    }

    /// Cuts `entry` off. Its value, if nobody holds it, is returned and must be unloaded.
    fn detach(&self, slow: &mut Slow<T>, entry: &Entry<T>) -> Option<T> {
        let is_held = entry.word.detach();
        let is_idle = matches!(entry.state(), State::Ready | State::Cooling);
        if is_held || !is_idle {
            return None;
        }
        // SAFETY: the mutex is held; the entry is detached and has no holders.
        let value = unsafe { entry.replace(None) };
        if value.is_some() {
            slow.loaded -= 1;
        }
        value
    }
}

/// A pool of entries that are loaded on demand and kept while they are used.
pub struct PoolManager<T: Clone + Send + Sync + 'static> {
    pub(crate) shared: Arc<Shared<T>>,
}

impl<T: Clone + Send + Sync + 'static> PoolManager<T> {
    /// An empty pool whose values need no unloading beyond their drop.
    pub fn new(config: Config) -> Self {
        Self::build(config, None)
    }

    /// An empty pool that gives each value that leaves it to `unload`.
    pub fn with_unload(config: Config, unload: UnloadHook<T>) -> Self {
        Self::build(config, Some(unload))
    }

    fn build(config: Config, unload: Option<UnloadHook<T>>) -> Self {
        let config = Config {
            capacity: config.capacity.max(1),
            loaders: config.loaders.max(1),
            ..config
        };
        let shared = Arc::new(Shared {
            config,
            entries: ArcSwap::default(),
            slow: Mutex::new(Slow {
                loaded: 0,
                queue: Queue::default(),
                to_load: VecDeque::new(),
                workers: 0,
                counts: Stats::default(),
                is_closed: false,
            }),
            changed: Condvar::new(),
            closing: Condvar::new(),
            waiting: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
            recent: AtomicUsize::new(0),
            unload,
        });
        reaper::start(&shared);
        Self { shared }
    }

    /// Makes `id` known; `loader` is called when it is first asked for. A known id gets the new loader
    /// and what it had loaded is unloaded as soon as nobody holds it.
    pub fn register(&self, id: &str, loader: Arc<dyn Loader<T>>) {
        self.register_with(id, loader, EntryOptions::default());
    }

    /// As [`Self::register`], with options of its own.
    pub fn register_with(&self, id: &str, loader: Arc<dyn Loader<T>>, options: EntryOptions) {
        let entry = Arc::new(Entry::new(id, Arc::clone(&self.shared), loader, options));
        self.exchange(id, Some(entry));
    }

    /// Forgets `id`. Leases that are out stay good. False when it was not known.
    pub fn unregister(&self, id: &str) -> bool {
        self.exchange(id, None)
    }

    /// Drops what `id` has loaded because it was found dead: the next allocation loads it anew, and
    /// leases that are out keep the dead value. False when nothing was loaded or known.
    pub fn discard(&self, id: &str) -> bool {
        let Some(entry) = self.resolve(id) else {
            return false;
        };
        if matches!(entry.state(), State::Unloaded | State::Loading) {
            return false;
        }
        let fresh = Entry::new(
            id,
            Arc::clone(&self.shared),
            Arc::clone(&entry.loader),
            entry.options,
        );
        self.shared.slow.lock().counts.discards += 1;
        self.exchange(id, Some(Arc::new(fresh)))
    }

    /// As [`Self::discard`], but only if `lease` holds what is loaded now: a Player found dead by
    /// several callers is discarded once.
    pub fn discard_leased(&self, lease: &Lease<T>) -> bool {
        match self.resolve(lease.id()) {
            Some(entry) if lease.is_of(&entry) => self.discard(lease.id()),
            _ => false,
        }
    }

    /// Puts another entry, or none, in the place of `id`'s. Returns whether there was one.
    fn exchange(&self, id: &str, entry: Option<Arc<Entry<T>>>) -> bool {
        let mut slow = self.shared.slow.lock();
        if slow.is_closed {
            return false;
        }
        let mut entries = Registry::clone(&self.shared.entries.load());
        let old = match entry {
            Some(entry) => entries.insert(id.into(), entry),
            None => entries.remove(id),
        };
        self.shared.entries.store(Arc::new(entries));
        let value = old
            .as_ref()
            .and_then(|old| self.shared.detach(&mut slow, old));
        drop(slow);
        self.shared.changed.notify_all();
        self.shared.finish_unload(id, value);
        old.is_some()
    }

    /// The entry of `id`: a key that skips the lookup as long as [`Self::try_allocate_entry`] takes it.
    pub fn resolve(&self, id: &str) -> Option<Arc<Entry<T>>> {
        self.shared.entries.load().get(id).cloned()
    }

    /// A lease of `id` if it is loaded: no lock, no wait. `_priority` matters only where one waits.
    #[inline]
    pub fn try_allocate(&self, id: &str, _priority: u8) -> Option<Lease<T>> {
        let entries = self.shared.entries.load();
        self.shared.hold(entries.get(id)?)
    }

    /// As [`Self::try_allocate`] for an entry that was resolved before. `None` also when the pool has
    /// forgotten that entry since.
    #[inline]
    pub fn try_allocate_entry(&self, entry: &Arc<Entry<T>>) -> Option<Lease<T>> {
        self.shared.hold(entry)
    }

    /// A lease of `id`, loaded if need be. Blocks the thread until it is Ready, at most for `timeout`.
    ///
    /// Room goes to waiters of higher `priority` (0 to 9) first, among equals to the one that came
    /// first.
    pub fn allocate(
        &self,
        id: &str,
        priority: u8,
        timeout: Option<Duration>,
    ) -> Result<Lease<T>, PoolError> {
        self.allocate_unless(id, priority, timeout, &mut || false)
    }

    /// As [`Self::allocate`]; `is_interrupted` is asked about every 50 ms of waiting, with no lock
    /// held, and ends the wait when it answers true.
    pub fn allocate_unless(
        &self,
        id: &str,
        priority: u8,
        timeout: Option<Duration>,
        is_interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Lease<T>, PoolError> {
        match self.try_allocate(id, priority) {
            Some(lease) => Ok(lease),
            None => self
                .shared
                .wait_for(id, priority.min(9), timeout, is_interrupted),
        }
    }

    /// Starts to load those of `ids` that are not loaded, as far as there is room; idle entries that
    /// are not among `ids` make room. Returns how many loads were started.
    pub fn prewarm(&self, ids: &[&str]) -> Result<usize, PoolError> {
        self.shared.prewarm(ids)
    }

    /// The state of `id`.
    pub fn state(&self, id: &str) -> Option<State> {
        self.shared
            .entries
            .load()
            .get(id)
            .map(|entry| entry.state())
    }

    /// The pool in numbers.
    pub fn stats(&self) -> Stats {
        let slow = self.shared.slow.lock();
        let entries = self.shared.entries.load();
        let mut stats = slow.counts.clone();
        stats.capacity = self.shared.config.capacity;
        stats.entries = entries.len();
        stats.loaded = slow.loaded;
        for entry in entries.values() {
            stats.states[entry.state() as usize] += 1;
            stats.held += entry.word.holders();
            stats.allocations += entry.word.allocations();
        }
        stats
    }

    /// Unloads everything and refuses further allocations. Leases that are out stay good and unload
    /// with their end.
    pub fn close(&self) {
        let mut slow = self.shared.slow.lock();
        if slow.is_closed {
            return;
        }
        slow.is_closed = true;
        slow.to_load.clear();
        let entries = self.shared.entries.swap(Arc::default());
        let values: Vec<_> = entries
            .values()
            .map(|entry| (Arc::clone(entry), self.shared.detach(&mut slow, entry)))
            .collect();
        drop(slow);
        self.shared.changed.notify_all();
        self.shared.closing.notify_all();
        for (entry, value) in values {
            self.shared.finish_unload(&entry.id, value);
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Drop for PoolManager<T> {
    fn drop(&mut self) {
        self.close();
    }
}
