//! The index goes to the disk: as a checkpoint for the next opening, and while the store is used, so that its
//! memory has a bound however long a session lasts.
//!
//! Settling writes a checkpoint, reads it as an opening would, applies what the log says since, and puts the
//! result in the place of the index. Rows change their numbers by that: so a row means something only while
//! the index is held, and whatever outlasts that names ids, places or sequences. Collections, which do keep
//! rows, exclude it.

use crate::base::Reach;
use crate::checkpoint::{self, Snapshot};
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::index::Index;
use crate::recovery::Replay;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::MutexGuard;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Closing writes a checkpoint when one entry in so many is newer than the last one.
const WORTH: u64 = 64;
/// Records after which the index settles, at least.
const LEAST: u64 = 20_000;
/// Nobody can put while the last of the log is applied, so what takes longer is applied before.
const PAUSE: Duration = Duration::from_millis(2);
/// So often what has come meanwhile is applied before it is the last.
const ROUNDS: usize = 20;

/// Chunks that count as one record. In memory they take more than one does, 120 MiB when the index settles; but a
/// store of large contents has so many that its index, which is written whole each time, should not settle more often.
const CHUNKS: usize = 14;

/// The records that a block of so many chunks counts for.
pub(crate) fn records_like(chunks: usize) -> u64 {
    1 + (chunks / CHUNKS) as u64
}

/// The chunks that count for so many records.
pub(crate) fn chunks_like(records: u64) -> usize {
    usize::try_from(records).map_or(usize::MAX, |records| records.saturating_mul(CHUNKS))
}

/// What an index holds, in records.
fn weight(index: &Index) -> u64 {
    u64::from(index.entry_rows()) + (index.chunks.len() / CHUNKS) as u64
}

impl Core {
    /// Counts records of the log; rings when the index is to settle.
    pub(crate) fn note_records(&self, count: u64) {
        let before = self.since_checkpoint.fetch_add(count, Ordering::Relaxed);
        let due = self.due.load(Ordering::Relaxed);
        if before < due && before + count >= due {
            self.bell.ring();
        }
    }

    /// Often enough that opening is quick and memory has a bound, seldom enough that writing it costs little.
    fn set_due(&self, index: &Index) {
        let part = weight(index) / 4;
        let due = part.clamp(LEAST.min(self.settle_after), self.settle_after);
        self.due.store(due, Ordering::Relaxed);
    }

    /// Right after opening: what had to be read from the log in great number is settled in the background.
    pub(crate) fn settle_soon(&self) {
        self.set_due(&self.index.read());
        let most = self.due.load(Ordering::Relaxed).min(LEAST);
        if self.since_checkpoint.load(Ordering::Relaxed) >= most {
            self.bell.ring();
        }
    }

    /// Writes the index beside the log, once all that it holds is on the disk. Puts go on meanwhile.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let alone = self.checkpointing.lock();
        self.checkpoint_alone(&alone, &AtomicBool::new(false))?;
        Ok(())
    }

    fn checkpoint_alone(&self, _alone: &MutexGuard<'_, ()>, stop: &AtomicBool) -> Result<Reach> {
        let (snapshot, reach) = {
            let tail = self.log.settled()?;
            let (segment, end, next_sequence) = tail.position();
            let reach = Reach {
                store: self.store,
                segment,
                end,
                next_sequence,
            };
            self.since_checkpoint.store(0, Ordering::Relaxed);
            let index = self.index.read();
            self.set_due(&index);
            (Snapshot::of(&index, reach), reach)
        };
        snapshot.write(&self.checkpoint_path(), self.seal.as_ref(), stop)?;
        Ok(reach)
    }

    /// Puts what is in memory of the index to the disk, and looks it up there from then on. What fails costs memory and
    /// the next opening time, and no more. Ends early once `stop` is set.
    pub(crate) fn settle(&self, stop: &AtomicBool) -> Result<()> {
        // Nothing moves in the log, and nobody keeps rows.
        let _still = self.rewriting.lock();
        let alone = self.checkpointing.lock();
        let reach = self.checkpoint_alone(&alone, stop)?;
        let path = self.checkpoint_path();
        let Some((index, read)) = checkpoint::read(&path, self.store, self.seal.as_ref()) else {
            return Err(unusable(path, "it does not check out"));
        };
        debug_assert_eq!(read, reach);
        let mut replay = Replay::new(index);
        let mut from = (reach.segment, reach.end);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let until = {
                let tail = self.log.settled()?;
                let (segment, end, _) = tail.position();
                (segment, end)
            };
            self.apply(&mut replay, from, until)?;
            from = until;
            if stop.load(Ordering::Relaxed) {
                return Err(StoreError::Closed);
            }
            if begun.elapsed() < PAUSE {
                break;
            }
        }
        let tail = self.log.settled()?;
        let (segment, end, _) = tail.position();
        self.apply(&mut replay, from, (segment, end))?;
        let mut fresh = replay.index;
        let old = {
            let mut index = self.index.write();
            fresh.take_damage(&index)?;
            std::mem::replace(&mut *index, fresh)
        };
        drop(tail);
        // To give back that much memory takes a moment, so nobody waits for it.
        drop(old);
        Ok(())
    }

    fn apply(&self, replay: &mut Replay, from: (u32, u64), until: (u32, u64)) -> Result<()> {
        let segments = self.log.segments();
        let is_whole = replay.apply_between(&segments, from, until, self.seal.as_ref())?;
        match is_whole {
            true => Ok(()),
            false => Err(unusable(
                self.path.join("segments"),
                "what was just written does not check out",
            )),
        }
    }

    /// As [`Self::checkpoint`], unless what was written since the last one is soon read again.
    pub(crate) fn checkpoint_at_end(&self) -> Result<()> {
        let since = self.since_checkpoint.load(Ordering::Relaxed);
        let known = weight(&self.index.read());
        let is_small = since.saturating_mul(WORTH) < known || since == 0;
        if is_small && self.checkpoint_path().exists() {
            return Ok(());
        }
        self.checkpoint()
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.path.join("index").join("checkpoint")
    }
}

/// Wakes the thread that lets the index settle.
pub(crate) struct Bell(Sender<()>);

impl Bell {
    pub(crate) fn new() -> (Self, Receiver<()>) {
        let (bell, rung) = bounded(1);
        (Self(bell), rung)
    }

    fn ring(&self) {
        // One that has not been heard yet is enough.
        let _ = self.0.try_send(());
    }
}

/// The thread that lets the index settle, so that nobody waits for it.
pub(crate) struct Settler {
    core: Arc<Core>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Settler {
    pub(crate) fn start(core: Arc<Core>, rung: Receiver<()>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (settling, stopped) = (Arc::clone(&core), Arc::clone(&stop));
        let work = move || {
            while rung.recv().is_ok() && !stopped.load(Ordering::Relaxed) {
                match settling.settle(&stopped) {
                    Ok(()) | Err(StoreError::Closed) => {}
                    // The next opening may read more of the log, and memory grows; the store itself is whole.
                    Err(error) => {
                        tracing::warn!(component = "artifact_store", %error, "the index does not settle");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("store-settle".into())
            .spawn(work);
        let thread = thread.map_err(|source| StoreError::Io {
            doing: "cannot start the background thread of",
            path: PathBuf::from("the artifact store"),
            source,
        })?;
        Ok(Self { core, stop, thread })
    }

    /// Ends the thread; what it was about is left: closing writes a checkpoint.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.core.bell.ring();
        // A panic of it has changed nothing.
        let _ = self.thread.join();
    }
}

fn unusable(path: PathBuf, detail: &'static str) -> StoreError {
    StoreError::Io {
        doing: "cannot settle the index by",
        path,
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, detail),
    }
}

#[cfg(test)]
#[path = "settle/tests.rs"]
mod tests;
