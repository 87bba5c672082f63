//! Running loaders on worker threads, and making room for what they load.

use crate::entry::{Entry, LoadError};
use crate::eviction::{Candidate, choose};
use crate::ledger::Size;
use crate::pool::{Shared, Slow};
use crate::state::State;
use parking_lot::MutexGuard;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Values that were taken out to make room, with the entries that they were taken from.
pub(crate) type Victims<T> = Vec<(Arc<Entry<T>>, T)>;

/// One load that waits for a worker.
pub(crate) struct Job<T: Clone + Send + Sync + 'static> {
    priority: u8,
    entry: Arc<Entry<T>>,
    /// Unloaded before the load begins: the room is theirs until then.
    victims: Victims<T>,
}

impl<T: Clone + Send + Sync + 'static> Job<T> {
    pub(crate) fn into_victims(self) -> Victims<T> {
        self.victims
    }
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// Why an entry can never be loaded here, if so.
    pub(crate) fn why_never(&self, entry: &Entry<T>) -> Option<String> {
        let size = entry.options.size;
        if size.gpu > 0
            && let Err(reason) = self.gpu_limit()
        {
            return Some(format!(
                "it needs {} bytes of GPU memory: {reason}",
                size.gpu
            ));
        }
        let room = self.room();
        if room.can_ever_take(size) {
            return None;
        }
        Some(match room.memory {
            Some(limit) if size.memory > limit => {
                format!(
                    "it needs {} bytes of memory, and the pool has {limit}",
                    size.memory
                )
            }
            _ => format!(
                "it needs {} bytes of GPU memory, and the pool has {}",
                size.gpu,
                room.gpu.unwrap_or(0)
            ),
        })
    }

    /// What is booked for a load: never more than there is, so that what has grown can be loaded again.
    fn booking(&self, entry: &Entry<T>) -> Size {
        let (size, room) = (entry.size(), self.room());
        Size {
            memory: size.memory.min(room.memory.unwrap_or(u64::MAX)),
            gpu: size.gpu.min(room.gpu.unwrap_or(u64::MAX)),
        }
    }

    /// The entries that may be evicted now, and what they are worth.
    fn candidates(&self, spared: &[&str]) -> (Vec<Arc<Entry<T>>>, Vec<Candidate>) {
        let entries = self.entries.load_full();
        entries
            .values()
            .filter(|entry| matches!(entry.slot.observe(), State::Ready | State::Cooling))
            .filter(|entry| entry.waiters.load(Ordering::SeqCst) == 0)
            .filter(|entry| !spared.contains(&&*entry.id))
            .map(|entry| {
                let earlier = entry.earlier.load(Ordering::Relaxed);
                let uses = entry.slot.allocations().wrapping_sub(earlier).max(1) as f64;
                let candidate = Candidate {
                    size: entry.booked.lock().unwrap_or_default(),
                    cost: entry.history.lock().load_seconds.unwrap_or(0.0),
                    uses: uses + f64::from_bits(entry.expected.load(Ordering::Relaxed)),
                    floor: f64::from_bits(entry.floor.load(Ordering::Relaxed)),
                    stamp: entry.stamp.load(Ordering::Relaxed),
                };
                (Arc::clone(entry), candidate)
            })
            .unzip()
    }

    /// Whether one more entry may be loaded, if need be after the eviction of idle ones that are not among
    /// `spared` and are worth less than `below`: their values, which the load that follows unloads.
    pub(crate) fn make_room(
        &self,
        slow: &mut MutexGuard<'_, Slow<T>>,
        entry: &Entry<T>,
        spared: &[&str],
        below: f64,
    ) -> Option<Victims<T>> {
        let (size, room) = (self.booking(entry), self.room());
        let mut victims = Vec::new();
        while !slow.ledger.fits(&room, size) {
            let (entries, candidates) = self.candidates(spared);
            let Some((chosen, floor)) = choose(&candidates, &room, &slow.ledger, size, below)
            else {
                // Somebody has taken one of those that would have had to go.
                self.unload_victims(slow, victims);
                return None;
            };
            for index in chosen {
                if let Some(value) = self.take_value(slow, &entries[index]) {
                    slow.counts.evictions += 1;
                    victims.push((Arc::clone(&entries[index]), value));
                }
            }
            self.floor.store(floor.to_bits(), Ordering::Relaxed);
        }
        Some(victims)
    }

    fn unload_victims(&self, slow: &mut MutexGuard<'_, Slow<T>>, victims: Victims<T>) {
        if victims.is_empty() {
            return;
        }
        MutexGuard::unlocked(slow, || {
            for (entry, value) in victims {
                self.finish_unload(&entry.id, Some(value));
            }
        });
    }

    /// Evicts idle entries while more is booked than there is room, because some have grown.
    pub(crate) fn trim(&self, spared: Option<&str>) {
        let room = self.room();
        let mut slow = self.slow.lock();
        while slow.ledger.is_over(&room) {
            let (entries, candidates) = self.candidates(spared.as_slice());
            let least = (0..entries.len())
                .filter(|&at| candidates[at].size != Size::default())
                .min_by(|&a, &b| {
                    candidates[a]
                        .worth(&room)
                        .total_cmp(&candidates[b].worth(&room))
                });
            let Some(value) = least.and_then(|at| self.take_value(&mut slow, &entries[at])) else {
                return;
            };
            slow.counts.evictions += 1;
            let victims = least.map(|at| (Arc::clone(&entries[at]), value));
            self.unload_victims(&mut slow, victims.into_iter().collect());
            self.bell.changed.notify_all();
        }
    }

    /// Sends an Unloaded entry to the workers. False when it is not Unloaded.
    pub(crate) fn start_load(
        self: &Arc<Self>,
        slow: &mut MutexGuard<'_, Slow<T>>,
        entry: &Arc<Entry<T>>,
        priority: u8,
        victims: Victims<T>,
    ) -> bool {
        if !entry.slot.begin() {
            self.unload_victims(slow, victims);
            return false;
        }
        let size = self.booking(entry);
        slow.ledger.add(size);
        *entry.booked.lock() = Some(size);
        let place = slow.to_load.partition_point(|job| job.priority >= priority);
        slow.to_load.insert(
            place,
            Job {
                priority,
                entry: Arc::clone(entry),
                victims,
            },
        );
        if slow.workers < self.config.loaders {
            slow.workers += 1;
            let shared = Arc::clone(self);
            let started = std::thread::Builder::new()
                .name("pool-load".into())
                .spawn(move || shared.work());
            if let Err(error) = started {
                slow.workers -= 1;
                if slow.workers == 0 {
                    let error = LoadError::new(format!("no thread for the loader: {error}"));
                    for job in std::mem::take(&mut slow.to_load) {
                        self.note_failure(slow, &job.entry, error.clone());
                        self.unload_victims(slow, job.victims);
                    }
                }
            }
        }
        true
    }

    /// Loads what waits for a worker, until nothing does.
    fn work(self: &Arc<Self>) {
        let mut slow = self.slow.lock();
        while let Some(job) = slow.to_load.pop_front() {
            let Job { entry, victims, .. } = job;
            self.unload_victims(&mut slow, victims);
            let began = Instant::now();
            let result = MutexGuard::unlocked(&mut slow, || self.load(&entry));
            let orphan = match result {
                Ok((value, size)) => self.note_success(
                    &mut slow,
                    &entry,
                    value,
                    size,
                    began.elapsed().as_secs_f64(),
                ),
                Err(error) => {
                    self.note_failure(&mut slow, &entry, error);
                    None
                }
            };
            let is_over = slow.ledger.is_over(&self.room());
            self.bell.changed.notify_all();
            MutexGuard::unlocked(&mut slow, || {
                self.finish_unload(&entry.id, orphan);
                if is_over {
                    self.trim(Some(&entry.id));
                }
            });
        }
        slow.workers -= 1;
    }

    /// Calls the loader; a panic in it is a failed load.
    fn load(&self, entry: &Entry<T>) -> Result<(T, Option<Size>), LoadError> {
        let call = || {
            let value = entry.loader.load(&entry.id)?;
            entry.slot.warm();
            match entry.loader.warm(&entry.id, &value) {
                Ok(()) => {
                    let size = entry.loader.measure(&entry.id, &value);
                    Ok((value, size))
                }
                Err(error) => {
                    self.finish_unload(&entry.id, Some(value));
                    Err(error)
                }
            }
        };
        catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
            Err(LoadError::new(
                "the loader panicked; this is a defect, please report it",
            ))
        })
    }

    /// Puts a loaded value in. Gives it back when the pool has forgotten the entry meanwhile.
    fn note_success(
        &self,
        slow: &mut Slow<T>,
        entry: &Arc<Entry<T>>,
        value: T,
        size: Option<Size>,
        seconds: f64,
    ) -> Option<T> {
        slow.counts.loads += 1;
        if entry.slot.is_detached() {
            self.free(slow, entry);
            return Some(value);
        }
        entry.history.lock().succeed(seconds, Instant::now());
        if let Some(size) = size {
            self.book(slow, entry, size);
        }
        entry
            .earlier
            .store(entry.slot.allocations(), Ordering::Relaxed);
        entry
            .floor
            .store(self.floor.load(Ordering::Relaxed), Ordering::Relaxed);
        // Its next use must be noticed, even if it was the last to be used.
        self.forget_recent(entry);
        entry.slot.fill(value);
        None
    }

    /// Notes what an entry was found to occupy.
    pub(crate) fn note_size(&self, entry: &Entry<T>, size: Size) {
        let mut slow = self.slow.lock();
        self.book(&mut slow, entry, size);
    }

    fn book(&self, slow: &mut Slow<T>, entry: &Entry<T>, size: Size) {
        entry.history.lock().measured = Some(size);
        let mut booked = entry.booked.lock();
        if let Some(old) = *booked {
            slow.ledger.resize(old, size);
            *booked = Some(size);
        }
    }

    fn note_failure(
        self: &Arc<Self>,
        slow: &mut MutexGuard<'_, Slow<T>>,
        entry: &Arc<Entry<T>>,
        error: LoadError,
    ) {
        slow.counts.failures += 1;
        self.free(slow, entry);
        entry.slot.fail();
        let now = Instant::now();
        let retry_at = {
            let mut history = entry.history.lock();
            history.fail(error, &self.config.restarts, now, self.chance());
            history.retry_at.filter(|_| history.is_wanted)
        };
        if let Some(retry_at) = retry_at {
            self.bring_back_at(slow, entry, retry_at);
        }
    }
}
