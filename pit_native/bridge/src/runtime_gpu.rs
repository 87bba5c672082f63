//! What Players use of GPUs: those that were granted them are watched while they answer calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pool_manager::{GpuTime, Owner, gpu_memory_by_process, look_at_gpus, owner_of};
use rustc_hash::FxHashSet;
use tokio::runtime::Handle;

/// How often the driver is asked while calls are open: it keeps what was for some seconds only.
const EVERY: Duration = Duration::from_millis(500);
/// Looks that follow each other faster see the same.
const SAME: Duration = Duration::from_millis(5);

/// The GPU time of all Players that were granted GPUs.
#[derive(Debug)]
pub(crate) struct GpuWatch {
    handle: Handle,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    time: GpuTime,
    /// The sandboxes of the Players that are watched, by their first process.
    roots: FxHashSet<u32>,
    /// Calls that are open.
    calls: usize,
    is_looking: bool,
    /// When it was last looked, and whether that told anything.
    looked: Option<(Instant, bool)>,
}

/// A Player as it was last seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Seconds that it has kept GPUs busy.
    pub(crate) seconds: f64,
    /// Processes seen so far of which nobody can tell whose they are.
    pub(crate) strangers: u64,
}

/// A Player that is watched until this is dropped.
#[derive(Debug)]
pub(crate) struct WatchedPlayer {
    watch: Arc<GpuWatch>,
    root: u32,
}

impl GpuWatch {
    pub(crate) fn new(handle: Handle) -> Arc<Self> {
        Arc::new(Self {
            handle,
            state: Mutex::default(),
        })
    }

    /// Watches the Player whose sandbox has this first process. Loads the driver's library the first time, which
    /// takes a while.
    pub(crate) fn player(self: &Arc<Self>, root: i32) -> Option<WatchedPlayer> {
        let root = u32::try_from(root).ok()?;
        let mut state = self.state.lock();
        state.roots.insert(root);
        state.look();
        drop(state);
        Some(WatchedPlayer {
            watch: self.clone(),
            root,
        })
    }

    /// Looks from time to time for as long as calls are open.
    async fn keep_looking(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let watch = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let mut state = watch.state.lock();
                state.look();
                state.is_looking = state.calls > 0;
                state.is_looking
            });
            if !looked.await.unwrap_or(false) {
                return;
            }
        }
    }
}

impl State {
    /// Asks the driver, unless it has just been asked; whether it tells anything.
    fn look(&mut self) -> bool {
        let now = Instant::now();
        if let Some((at, told)) = self.looked
            && now - at < SAME
        {
            return told;
        }
        let roots = &self.roots;
        let told = look_at_gpus(&mut self.time, |pid| owner_of(pid, roots)).is_ok();
        self.looked = Some((now, told));
        told
    }
}

impl WatchedPlayer {
    /// A call begins.
    pub(crate) fn begin(&self) {
        let mut state = self.watch.state.lock();
        state.calls += 1;
        if state.calls == 1 {
            state.time.begin();
        }
        if !std::mem::replace(&mut state.is_looking, true) {
            let watch = self.watch.clone();
            self.watch.handle.spawn(watch.keep_looking());
        }
    }

    /// A call has ended.
    pub(crate) fn end(&self) {
        self.watch.state.lock().calls -= 1;
    }

    /// What it has used so far; none where nothing tells it.
    pub(crate) fn look(&self) -> Option<Seen> {
        let mut state = self.watch.state.lock();
        state.look().then(|| Seen {
            seconds: state.time.seconds(self.root),
            strangers: state.time.strangers(),
        })
    }

    /// Bytes of GPU memory that it holds, as far as the driver tells them.
    pub(crate) fn memory(&self) -> u64 {
        let held = gpu_memory_by_process().unwrap_or_default();
        let roots = FxHashSet::from_iter([self.root]);
        let mine = held
            .into_iter()
            .filter(|(pid, _)| owner_of(*pid, &roots) == Owner::Watched(self.root));
        mine.map(|(_, bytes)| bytes).sum()
    }
}

impl Drop for WatchedPlayer {
    fn drop(&mut self) {
        let mut state = self.watch.state.lock();
        state.roots.remove(&self.root);
        state.time.forget(self.root);
    }
}
