//! The pool: its registry, its fast path, and what changes it from outside.

use crate::config::{Config, Description, PoolError, Stats, UnloadHook};
use crate::doorbell::Doorbell;
use crate::entry::{Entry, EntryOptions, LoadError, Loader, milliseconds};
use crate::gpu::gpu_memory;
use crate::lease::Lease;
use crate::ledger::{Ledger, Room};
use crate::loading::Job;
use crate::state::State;
use crate::waiting::Queue;
use crate::{health, reaper};
use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub(crate) type Registry<T> = FxHashMap<Box<str>, Arc<Entry<T>>>;

/// All that lies behind the mutex.
pub(crate) struct Slow<T: Clone + Send + Sync + 'static> {
    /// What is booked for entries that hold or are getting a value, orphans included.
    pub(crate) ledger: Ledger,
    /// Threads that wait for room.
    pub(crate) queue: Queue,
    /// Loads that wait for a worker.
    pub(crate) to_load: VecDeque<Job<T>>,
    /// Workers that run.
    pub(crate) workers: usize,
    /// Entries that are loaded again at some moment, because they died while they were warm.
    pub(crate) comebacks: Vec<(Instant, Arc<Entry<T>>)>,
    pub(crate) counts: Stats,
    pub(crate) is_closed: bool,
}

/// What the pool, its entries and its threads share.
pub(crate) struct Shared<T: Clone + Send + Sync + 'static> {
    pub(crate) config: Config,
    pub(crate) entries: ArcSwap<Registry<T>>,
    pub(crate) slow: Mutex<Slow<T>>,
    /// Wakes who waits, when an entry got loaded, failed, idle or unloaded.
    pub(crate) bell: Doorbell,
    /// Wakes the pool's own threads when it closes or something comes due.
    pub(crate) closing: Condvar,
    /// Bytes of GPU memory, or why there is none; found out when it is first needed.
    gpu: OnceLock<Result<u64, String>>,
    /// The worth of what was evicted last (the bits of an f64): see [`crate::eviction`].
    pub(crate) floor: AtomicU64,
    /// Counts uses, for the order of eviction.
    clock: AtomicU64,
    /// The address of the entry that was used last, whose stamp therefore need not change.
    recent: AtomicUsize,
    /// Entries loaded ahead that were used, and that were not.
    ahead_used: AtomicU64,
    ahead_unused: AtomicU64,
    /// The state of a small random generator.
    random: AtomicU64,
    unload: Option<UnloadHook<T>>,
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// Becomes a holder of `entry` if it is loaded. Takes no lock.
    #[inline]
    pub(crate) fn hold(&self, entry: &Arc<Entry<T>>) -> Option<Lease<T>> {
        let hold = entry.slot.hold()?;
        if self.recent.load(Ordering::Relaxed) != Arc::as_ptr(entry).addr() {
            self.note_use(entry);
        }
        Some(Lease::new(Arc::clone(entry), hold))
    }

    /// As [`Self::hold`], to look at the value: it counts as no use.
    pub(crate) fn hold_quietly(&self, entry: &Arc<Entry<T>>) -> Option<Lease<T>> {
        let hold = entry.slot.hold_quietly()?;
        Some(Lease::new(Arc::clone(entry), hold))
    }

    /// Notes that another entry than before was used.
    fn note_use(&self, entry: &Arc<Entry<T>>) {
        self.recent
            .store(Arc::as_ptr(entry).addr(), Ordering::Relaxed);
        let stamp = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
        entry.stamp.store(stamp, Ordering::Relaxed);
        let floor = self.floor.load(Ordering::Relaxed);
        entry.floor.store(floor, Ordering::Relaxed);
        if entry.is_ahead.load(Ordering::Relaxed) && entry.is_ahead.swap(false, Ordering::Relaxed) {
            self.ahead_used.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes the next use of `entry` go through [`Self::note_use`].
    pub(crate) fn forget_recent(&self, entry: &Arc<Entry<T>>) {
        let address = Arc::as_ptr(entry).addr();
        // When another has been used meanwhile there is nothing to forget.
        let _ = self
            .recent
            .compare_exchange(address, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A random number in [0, 1), for jitter (splitmix64).
    pub(crate) fn chance(&self) -> f64 {
        let state = self
            .random
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The limit of GPU memory.
    pub(crate) fn gpu_limit(&self) -> &Result<u64, String> {
        self.gpu.get_or_init(|| match self.config.gpu_memory {
            Some(limit) => Ok(limit),
            None => gpu_memory().map(|memory| memory.free),
        })
    }

    /// The limits, as far as they are known.
    pub(crate) fn room(&self) -> Room {
        Room {
            entries: self.config.capacity,
            memory: self.config.memory,
            gpu: self
                .gpu
                .get()
                .and_then(|limit| limit.as_ref().ok().copied()),
        }
    }

    /// Gives back what was booked for an entry whose value is gone.
    pub(crate) fn free(&self, slow: &mut Slow<T>, entry: &Entry<T>) {
        if let Some(size) = entry.booked.lock().take() {
            slow.ledger.remove(size);
        }
        if entry.is_ahead.swap(false, Ordering::Relaxed) {
            self.ahead_unused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Unloads the value of an entry that the pool has forgotten and nobody holds.
    #[cold]
    pub(crate) fn unload_orphan(&self, entry: &Entry<T>) {
        let mut slow = self.slow.lock();
        let value = entry.slot.take_orphaned();
        self.free(&mut slow, entry);
        drop(slow);
        self.bell.changed.notify_all();
        self.finish_unload(&entry.id, value);
    }

    /// Takes the value of a Ready or Cooling entry out. `None` when it is in use after all.
    pub(crate) fn take_value(&self, slow: &mut Slow<T>, entry: &Entry<T>) -> Option<T> {
        entry.slot.cool();
        self.take_cooled(slow, entry)
    }

    /// Takes the value of a Cooling entry out. `None` when somebody has asked for it meanwhile.
    pub(crate) fn take_cooled(&self, slow: &mut Slow<T>, entry: &Entry<T>) -> Option<T> {
        let value = entry.slot.take_cooled()?;
        self.free(slow, entry);
        Some(value)
    }

    /// Hands a value that left the pool to the hook; never called with the mutex held.
    pub(crate) fn finish_unload(&self, id: &str, value: Option<T>) {
        if let (Some(value), Some(hook)) = (value, &self.unload) {
            hook(id, value);
        }
    }

    /// Cuts `entry` off. Its value, if nobody holds it, is returned and must be unloaded.
    pub(crate) fn detach(&self, slow: &mut Slow<T>, entry: &Entry<T>) -> Option<T> {
        let value = entry.slot.detach()?;
        self.free(slow, entry);
        Some(value)
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
                ledger: Ledger::default(),
                queue: Queue::default(),
                to_load: VecDeque::new(),
                workers: 0,
                comebacks: Vec::new(),
                counts: Stats::default(),
                is_closed: false,
            }),
            bell: Doorbell::new(),
            closing: Condvar::new(),
            gpu: OnceLock::new(),
            floor: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            recent: AtomicUsize::new(0),
            ahead_used: AtomicU64::new(0),
            ahead_unused: AtomicU64::new(0),
            random: AtomicU64::new(RandomState::new().hash_one(0)),
            unload,
        });
        if shared.config.gpu_memory.is_some() {
            let _ = shared.gpu_limit();
        }
        reaper::start(&shared);
        if let Some(every) = shared.config.check {
            health::start(&shared, every);
        }
        Self { shared }
    }

    /// Makes `id` known; `loader` is called when it is first asked for. A known id gets the new loader
    /// and what it had loaded is unloaded as soon as nobody holds it.
    pub fn register(&self, id: &str, loader: Arc<dyn Loader<T>>) {
        self.register_with(id, loader, EntryOptions::default());
    }

    /// As [`Self::register`], with options of its own.
    pub fn register_with(&self, id: &str, loader: Arc<dyn Loader<T>>, options: EntryOptions) {
        if options.size.gpu > 0 {
            self.find_gpus();
        }
        let entry = Arc::new(Entry::new(id, Arc::clone(&self.shared), loader, options));
        self.exchange(id, Some(entry));
    }

    /// Asks how much memory of GPUs is free, unless it was asked before. The driver may take a while: not for a
    /// thread that others wait for.
    pub fn find_gpus(&self) {
        // What it says is kept, also that there are none.
        let _ = self.shared.gpu_limit();
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
        let fresh = entry.successor();
        self.shared.slow.lock().counts.discards += 1;
        self.exchange(id, Some(Arc::new(fresh)))
    }

    /// As [`Self::discard`], but only if `lease` holds what is loaded now.
    pub fn discard_leased(&self, lease: &Lease<T>) -> bool {
        self.is_current(lease.entry()) && self.discard(lease.id())
    }

    /// Drops what `lease` holds because it died, once however many say so. It was warm, so it is loaded
    /// again by itself: at once the first time, after growing pauses if it dies again and again, and not any
    /// more once it is given up. False when something else is loaded by now.
    pub fn report_dead(&self, lease: &Lease<T>, reason: &str) -> bool {
        self.shared.bury(lease.entry(), LoadError::new(reason))
    }

    /// As [`Self::report_dead`], for who holds no lease: what `id` has loaded is dropped if it is the one
    /// that died.
    pub fn report_dead_if(&self, id: &str, is_it: impl FnOnce(&T) -> bool, reason: &str) -> bool {
        let Some(entry) = self.resolve(id) else {
            return false;
        };
        self.shared.peek(&entry, is_it) == Some(true)
            && self.shared.bury(&entry, LoadError::new(reason))
    }

    fn is_current(&self, entry: &Arc<Entry<T>>) -> bool {
        self.resolve(entry.id())
            .is_some_and(|known| Arc::ptr_eq(&known, entry))
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
        self.shared.bell.changed.notify_all();
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

    /// As [`Self::prewarm`] for an entry that is expected to be used `uses` times soon: idle entries make
    /// room only if they are worth less than that, none when `uses` is 0. Says whether a load was started.
    pub fn prewarm_if_worth(&self, id: &str, uses: f64) -> Result<bool, PoolError> {
        self.shared.prewarm_if_worth(id, uses)
    }

    /// Says how often `id` is expected to be used soon; weighs in its eviction. False when it is not known.
    pub fn expect(&self, id: &str, uses: f64) -> bool {
        self.resolve(id).is_some_and(|entry| {
            entry
                .expected
                .store(uses.max(0.0).to_bits(), Ordering::Relaxed);
            true
        })
    }

    /// Gives `id` another idle time; `None` for the pool's. False when it is not known.
    pub fn set_idle(&self, id: &str, idle: Option<Duration>) -> bool {
        self.resolve(id).is_some_and(|entry| {
            let idle = idle.map_or(0, milliseconds);
            entry.idle.store(idle, Ordering::Relaxed);
            true
        })
    }

    /// Looks at what `id` has loaded without using it.
    pub fn peek<R>(&self, id: &str, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.shared.peek(&self.resolve(id)?, look)
    }

    /// What is known of `id`.
    pub fn describe(&self, id: &str) -> Option<Description> {
        let entry = self.resolve(id)?;
        let (history, now) = (entry.history.lock(), Instant::now());
        let pause = history.pause_until(now);
        Some(Description {
            state: entry.state(),
            kind: entry.options.kind,
            size: history.measured.unwrap_or(entry.options.size),
            is_measured: history.measured.is_some(),
            load_seconds: history.load_seconds,
            failures: history.failures,
            is_given_up: history.is_given_up(&self.shared.config.restarts),
            reason: history.error.as_ref().map(|error| error.message.clone()),
            pause: pause.map(|moment| moment.saturating_duration_since(now)),
        })
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
        let shared = &self.shared;
        let gpu = shared.gpu_limit().clone();
        let slow = shared.slow.lock();
        let entries = shared.entries.load();
        let mut stats = Stats {
            capacity: shared.config.capacity,
            entries: entries.len(),
            loaded: slow.ledger.entries,
            used: slow.ledger.used,
            memory: shared.config.memory,
            gpu: Some(gpu),
            prewarm_hits: shared.ahead_used.load(Ordering::Relaxed),
            prewarm_misses: shared.ahead_unused.load(Ordering::Relaxed),
            ..slow.counts.clone()
        };
        for entry in entries.values() {
            stats.states[entry.state() as usize] += 1;
            stats.held += entry.slot.holders();
            stats.allocations += entry.slot.allocations();
            let history = entry.history.lock();
            stats.given_up += usize::from(history.is_given_up(&shared.config.restarts));
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
        slow.comebacks.clear();
        let jobs = std::mem::take(&mut slow.to_load);
        let entries = self.shared.entries.swap(Arc::default());
        let values: Vec<_> = entries
            .values()
            .map(|entry| (Arc::clone(entry), self.shared.detach(&mut slow, entry)))
            .collect();
        drop(slow);
        self.shared.bell.changed.notify_all();
        self.shared.closing.notify_all();
        for (entry, value) in jobs.into_iter().flat_map(Job::into_victims) {
            self.shared.finish_unload(&entry.id, Some(value));
        }
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
