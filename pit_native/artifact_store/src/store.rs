//! The store as its users see it: opened once, used from many threads, closed.

use crate::chunks::Keyer;
use crate::collect;
use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::keeper::Keeper;
use crate::keys::{Keys, Wanted};
use crate::ledger::Ledger;
use crate::log::{Log, sync_folder};
use crate::outbox::Outbox;
use crate::read::Cursor;
use crate::recovery::{Places, glance, recover};
use crate::settle::{Bell, Settler, chunks_like};
use crate::types::{
    ArtifactId, Collected, Filter, Finding, Hit, Info, Options, Put, Stats, Whereabouts,
};
use crate::verify;
use crate::write::{Drafts, Writer};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rustix::fs::FlockOperation;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An artifact store. All operations may be called from many threads at once.
pub struct Store {
    /// Operations hold it for reading, closing takes it: so the lock on the folder outlives every
    /// operation.
    pub(crate) open: RwLock<Option<Open>>,
}

pub(crate) struct Open {
    pub(crate) core: Arc<Core>,
    pub(crate) keys: Option<Keys>,
    keeper: Keeper,
    settler: Settler,
    lock: File,
}

/// What an operation works on while it runs.
pub(crate) struct Using<'a>(RwLockReadGuard<'a, Option<Open>>);

impl Using<'_> {
    pub(crate) fn open(&self) -> Result<&Open> {
        self.0.as_ref().ok_or(StoreError::Closed)
    }
}

impl Store {
    /// Opens the store in the folder `path`, which is made if need be.
    ///
    /// Fails with [`StoreError::InUse`] while another writer has it, [`StoreError::Key`] when the key
    /// is not the one that it was made with, [`StoreError::Format`] when another version wrote it.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let segments = path.join("segments");
        make_folder(path)?;
        let lock = lock(path)?;
        make_folder(&segments)?;
        make_folder(&path.join("index"))?;
        sync_folder(path)?;
        let newest = glance(&segments)?;
        let wanted = Wanted {
            key: options.key.as_ref(),
            cost: options.passphrase_cost,
            encrypts: options.encrypt,
            newest_segment: newest.map(|(number, _)| number),
            is_sealed: newest.is_some_and(|(_, is_sealed)| is_sealed),
        };
        let keys = Keys::unlock(path, &wanted)?;
        let seal = keys.as_ref().map(Keys::seal);
        if seal.is_some() {
            remove_plain_words(&path.join("index"))?;
        }
        let has_key_file = keys.as_ref().is_some_and(Keys::has_file);
        let checkpoint = path.join("index").join("checkpoint");
        let places = Places {
            segments: &segments,
            checkpoint: &checkpoint,
            chunks_in_memory: chunks_like(options.settle_after),
        };
        let found = recover(&places, seal.as_ref(), has_key_file)?;
        let store = found.log.head.store;
        let ledger = Arc::new(Ledger::new(found.index));
        let log = Log::open(
            segments,
            found.log,
            options.segment_bytes,
            Arc::clone(&ledger),
        )?;
        let (outbox, inbox) = Outbox::new(options.search);
        let (bell, rung) = Bell::new();
        let core = Arc::new(Core {
            path: path.to_path_buf(),
            store,
            log,
            index: ledger,
            seal,
            keyer: Keyer::of(store),
            drafts: Drafts::default(),
            scorers: options.scorers,
            puts: AtomicU64::new(0),
            rewriting: Mutex::new(()),
            checkpointing: Mutex::new(()),
            since_checkpoint: AtomicU64::new(found.replayed as u64),
            due: AtomicU64::new(u64::MAX),
            settle_after: options.settle_after,
            outbox: Arc::new(outbox),
            bell,
        });
        core.settle_soon();
        let settler = Settler::start(Arc::clone(&core), rung)?;
        let keeper = match Keeper::start(Arc::clone(&core), inbox) {
            Ok(keeper) => keeper,
            Err(error) => {
                settler.stop();
                return Err(error);
            }
        };
        Ok(Self {
            open: RwLock::new(Some(Open {
                core,
                keys,
                keeper,
                settler,
                lock,
            })),
        })
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> Arc<Core> {
        Arc::clone(&self.using().open().expect("an open store").core)
    }

    pub(crate) fn using(&self) -> Using<'_> {
        Using(self.open.read())
    }

    /// Stores `content` under a name. When this returns, both are on the disk.
    ///
    /// The same content is stored once. Under one name the same content again keeps its version, other
    /// content makes the next.
    pub fn put(&self, content: &[u8], put: &Put) -> Result<ArtifactId> {
        let using = self.using();
        let open = using.open()?;
        open.core.put(content, put)
    }

    /// The content, checked against its digest.
    pub fn get(&self, id: &ArtifactId) -> Result<Vec<u8>> {
        self.using().open()?.core.get(id)
    }

    /// Writes the content into `out`, which must have its length, see [`Self::size`]; else as [`Self::get`].
    pub fn get_into(&self, id: &ArtifactId, out: &mut [u8]) -> Result<()> {
        self.using().open()?.core.get_into(id, out)
    }

    /// Bytes of a content that is here.
    pub fn size(&self, id: &ArtifactId) -> Result<usize> {
        self.using().open()?.core.size(id)
    }

    /// Begins a content that comes piece by piece, see [`Self::write`] and [`Self::finish`].
    pub fn writer(&self, put: Put) -> Result<Writer> {
        self.using().open()?.core.writer(put)
    }

    /// Takes the next piece. Of a large content little more than this is held in memory.
    pub fn write(&self, writer: &mut Writer, piece: &[u8]) -> Result<()> {
        self.using().open()?.core.write(writer, piece)
    }

    /// Stores what was written, as [`Self::put`] or [`Self::restore`] does.
    pub fn finish(&self, writer: Writer) -> Result<ArtifactId> {
        let using = self.using();
        let open = using.open()?;
        open.core.finish(writer)
    }

    /// A cursor at the beginning of a content, for [`Self::read`].
    pub fn cursor(&self, id: &ArtifactId) -> Result<Cursor> {
        self.using().open()?.core.cursor(id)
    }

    /// Reads on into `out`; returns the number of bytes, 0 at the end.
    ///
    /// Each chunk is checked when it is read, and the digest of the whole at the end of what was read in
    /// order from the beginning. A content that is removed meanwhile may end with
    /// [`StoreError::NotFound`].
    pub fn read(&self, cursor: &mut Cursor, out: &mut [u8]) -> Result<usize> {
        self.using().open()?.core.read(cursor, out)
    }

    /// What is known of the newest entry of a content.
    pub fn info(&self, id: &ArtifactId) -> Result<Info> {
        self.using().open()?.core.info(id)
    }

    /// The entries that `filter` lets through, newest first, `limit` of them after `offset`.
    ///
    /// An entry that another run has repeated is listed only for its own run.
    pub fn list(&self, limit: usize, offset: usize, filter: &Filter) -> Result<Vec<Info>> {
        self.using().open()?.core.list(limit, offset, filter)
    }

    /// The versions of a name, oldest first.
    pub fn versions(&self, name: &str) -> Result<Vec<Info>> {
        self.using().open()?.core.versions(name)
    }

    /// The artifacts that match best. Words match contents and names, `"…"` a phrase, `-word` excludes,
    /// `type:`, `name:`, `run:` and `node:` must match. A put is found within a second.
    pub fn search(&self, query: &str, limit: usize) -> Result<Vec<Hit>> {
        let using = self.using();
        let open = using.open()?;
        open.keeper.search(query, limit)
    }

    /// Waits until all that was put before can be found by [`Self::search`].
    pub fn flush_search(&self) -> Result<()> {
        self.using().open()?.keeper.flush()
    }

    /// Drops the bytes of a content that `tier` keeps; its entries stay, and it is still found. False when
    /// they had been dropped before; another tier's name is noted all the same. The space comes back with the
    /// next [`Self::gc`].
    pub fn evict(&self, id: &ArtifactId, tier: &str) -> Result<bool> {
        self.using().open()?.core.evict(id, tier)
    }

    /// Puts the bytes of an evicted, damaged or lost content back. False when they are here.
    pub fn restore(&self, id: &ArtifactId, content: &[u8]) -> Result<bool> {
        self.using().open()?.core.restore(id, content)
    }

    /// As [`Self::restore`], of a content that comes piece by piece, see [`Self::write`]. Before
    /// [`Self::finish`] has found its digest right nothing of it can be read.
    pub fn restorer(&self, id: &ArtifactId) -> Result<Writer> {
        self.using().open()?.core.restorer(*id)
    }

    /// Where the bytes of a content are. Reads the note of an eviction, and nothing else from the disk.
    pub fn whereabouts(&self, id: &ArtifactId) -> Result<Whereabouts> {
        self.using().open()?.core.whereabouts(id)
    }

    /// Whether the bytes of a content are here, and nothing is known against them.
    pub fn is_local(&self, id: &ArtifactId) -> Result<bool> {
        self.using().open()?.core.index.read().has_sound(id)
    }

    /// The contents whose bytes are kept elsewhere, in the order of their ids.
    pub fn remote(&self) -> Result<Vec<ArtifactId>> {
        let using = self.using();
        let index = using.open()?.core.index.read();
        let rows = index.remote.iter();
        let mut ids: Vec<ArtifactId> = rows
            .map(|row| index.content_at(*row).map(|content| content.id))
            .collect::<Result<_>>()?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Holds a content for a reason: until [`Self::lift_hold`] nobody can remove it, and no collection
    /// does. False when it is held for that reason already.
    pub fn hold(&self, id: &ArtifactId, reason: &str) -> Result<bool> {
        self.using().open()?.core.set_hold(id, Some(reason))
    }

    /// Lifts a hold. False when there is none.
    pub fn lift_hold(&self, id: &ArtifactId) -> Result<bool> {
        self.using().open()?.core.set_hold(id, None)
    }

    /// The contents that are held, with the reasons, in the order of their ids.
    pub fn held(&self) -> Result<Vec<(ArtifactId, String)>> {
        let using = self.using();
        let index = using.open()?.core.index.read();
        let mut held: Vec<(ArtifactId, String)> = index
            .holds
            .iter()
            .map(|(row, held)| Ok((index.content_at(*row)?.id, held.reason.to_string())))
            .collect::<Result<_>>()?;
        held.sort_unstable();
        Ok(held)
    }

    /// Removes a content with all its entries. False when it is not there; [`StoreError::Held`] when it
    /// is held.
    pub fn remove(&self, id: &ArtifactId) -> Result<bool> {
        let using = self.using();
        let open = using.open()?;
        let removed = open.core.remove(&[*id], |_| true)?;
        if removed.is_empty()
            && let Some(reason) = open.core.index.read().hold(id)?
        {
            return Err(StoreError::Held {
                id: *id,
                reason: reason.to_owned(),
            });
        }
        Ok(!removed.is_empty())
    }

    /// Removes every content that is not in `keep`, is not held and was last put before `before` (seconds since the
    /// epoch; what is put from the call on is never removed), then gives the space back.
    pub fn gc(&self, keep: &[ArtifactId], before: Option<f64>) -> Result<Collected> {
        let using = self.using();
        let open = using.open()?;
        collect::collect(&open.core, keep, before)
    }

    /// Reads every stored byte and returns what does not check out.
    pub fn verify(&self) -> Result<Vec<Finding>> {
        let using = self.using();
        let open = using.open()?;
        let mut findings = verify::verify(&open.core)?;
        if let Some(keys) = &open.keys {
            findings.extend(keys.verify(&open.core.path)?);
        }
        Ok(findings)
    }

    /// The store in numbers.
    pub fn stats(&self) -> Result<Stats> {
        let using = self.using();
        let open = using.open()?;
        let stored_bytes = open.core.log.bytes()?;
        let segments = open.core.log.segments();
        let index = open.core.index.read();
        Ok(Stats {
            artifacts: index.content_count() as u64,
            remote: index.remote.len() as u64,
            versions: index.live_entries() as u64,
            bytes: index.bytes(),
            stored_bytes,
            segments: segments.len() as u64,
            syncs: open.core.log.syncs(),
            puts: open.core.puts.load(Ordering::Relaxed),
            chunks: index.chunks.len() as u64,
            unindexed: open.core.outbox.pending(),
        })
    }

    /// Waits for running operations, saves the indexes and gives the folder free. Later operations
    /// fail with [`StoreError::Closed`]. What cannot be saved is built anew at the next opening.
    pub fn close(&self) -> Result<()> {
        let Some(open) = self.open.write().take() else {
            return Ok(());
        };
        open.settler.stop();
        open.keeper.stop();
        let saved = open.core.checkpoint_at_end();
        let trimmed = open.core.log.trim(&mut open.core.log.tail.lock());
        let unlocked = rustix::fs::flock(&open.lock, FlockOperation::Unlock);
        unlocked.map_err(|error| StoreError::Io {
            doing: "cannot unlock",
            path: open.core.path.join("lock"),
            source: error.into(),
        })?;
        match saved.and(trimmed) {
            // The log is whole; only the next opening takes longer.
            Err(StoreError::Io { .. } | StoreError::Full { .. } | StoreError::Poisoned(_)) => {
                Ok(())
            }
            other => other,
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // There is nobody left to tell; the next opening reads the log.
        let _ = self.close();
    }
}

fn make_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| crate::log::write_error(path.to_path_buf(), path, source))
}

/// Deletes what a store has left that was not encrypted before: the words of its contents.
fn remove_plain_words(index: &Path) -> Result<()> {
    let folder = index.join("text");
    match std::fs::remove_dir_all(&folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(StoreError::Io {
            doing: "cannot delete",
            path: folder,
            source,
        }),
        _ => Ok(()),
    }
}

/// Takes the kernel's lock; the descriptor is close-on-exec, as all of std's are.
fn lock(path: &Path) -> Result<File> {
    let file = path.join("lock");
    let opened = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&file);
    let lock = opened.map_err(|source| StoreError::Io {
        doing: "cannot open",
        path: file.clone(),
        source,
    })?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse {
            path: path.to_path_buf(),
        }),
        Err(error) => Err(StoreError::Io {
            doing: "cannot lock",
            path: file,
            source: error.into(),
        }),
    }
}
