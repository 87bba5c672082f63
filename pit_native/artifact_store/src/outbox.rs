//! What the store's background thread is told: each entry and each removal, in the order of the log.
//!
//! It is told when a change becomes visible, so nothing that a failed sync has lost is ever indexed. When more waits
//! than memory is granted for, the rest is not sent: the thread finds it in the log, by the sequence up to which it
//! has indexed.

use crate::error::Result;
use crate::text::text_of;
use crate::types::ArtifactId;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of what waits to be indexed.
const WAITING: usize = 16 << 20;
/// Texts up to this size wait in memory.
const SMALL: usize = 64 << 10;

/// An entry that is to be indexed.
pub(crate) struct Fresh {
    pub(crate) sequence: u64,
    pub(crate) id: ArtifactId,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) run: String,
    pub(crate) node: String,
    /// The text of its content, when it need not be read for that.
    pub(crate) text: Option<Box<str>>,
}

impl Fresh {
    /// Bytes that it takes while it waits.
    pub(crate) fn size(&self) -> usize {
        let texts = [&self.name, &self.kind, &self.run, &self.node];
        let text = self.text.as_ref().map_or(0, |text| text.len());
        size_of::<Self>() + texts.map(String::len).iter().sum::<usize>() + text
    }
}

pub(crate) enum Job {
    Put(Fresh),
    /// Entries were not sent, for too many waited.
    Behind,
    Removed(Vec<ArtifactId>),
    /// Answered when all that was sent before is committed.
    Flush(Sender<Result<()>>),
    Rebuild,
    Stop,
}

/// The way to the thread.
pub(crate) struct Outbox {
    jobs: Sender<Job>,
    pub(crate) has_search: bool,
    /// Bytes of what waits.
    waiting: AtomicUsize,
    /// Entries that are not indexed yet.
    pending: AtomicU64,
    /// Those of them that were not sent.
    unsent: AtomicU64,
}

impl Outbox {
    pub(crate) fn new(has_search: bool) -> (Self, Receiver<Job>) {
        let (jobs, inbox) = unbounded();
        let outbox = Self {
            jobs,
            has_search,
            waiting: AtomicUsize::new(0),
            pending: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
        };
        (outbox, inbox)
    }

    /// False when the thread has ended.
    pub(crate) fn send(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// The text of a content, to be sent with its entry if there is room for it.
    pub(crate) fn text(&self, content: Option<&[u8]>) -> Option<Box<str>> {
        let small = content.filter(|content| self.has_search && content.len() <= SMALL)?;
        let waiting = self.waiting.load(Ordering::Relaxed);
        (waiting + small.len() <= WAITING).then(|| text_of(small).into())
    }

    /// Tells of an entry that has just become visible; called by one thread at a time, in the order of the log.
    pub(crate) fn put(&self, fresh: Fresh) {
        if !self.has_search {
            return;
        }
        self.pending.fetch_add(1, Ordering::Relaxed);
        let size = fresh.size();
        let is_full = self.waiting.load(Ordering::Relaxed) + size > WAITING;
        // Once one was not sent none is, until the thread has asked for them: so they stay in order.
        if is_full || self.unsent.load(Ordering::SeqCst) > 0 {
            if self.unsent.fetch_add(1, Ordering::SeqCst) == 0 {
                self.send(Job::Behind);
            }
            return;
        }
        self.waiting.fetch_add(size, Ordering::Relaxed);
        self.send(Job::Put(fresh));
    }

    /// Tells of contents that are gone; as [`Self::put`].
    pub(crate) fn removed(&self, ids: &[ArtifactId]) {
        if self.has_search && !ids.is_empty() {
            self.send(Job::Removed(ids.to_vec()));
        }
    }

    /// Notes that the thread has taken an entry that was sent.
    pub(crate) fn taken(&self, size: usize) {
        self.waiting.fetch_sub(size, Ordering::Relaxed);
    }

    /// From now on entries are sent again. Returns how many were not; whoever calls this looks for them afterwards.
    pub(crate) fn unsent(&self) -> u64 {
        self.unsent.swap(0, Ordering::SeqCst)
    }

    /// Entries that are not indexed yet.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Notes entries of which nobody has told.
    pub(crate) fn found(&self, entries: u64) {
        self.pending.fetch_add(entries, Ordering::Relaxed);
    }

    /// Notes that entries are indexed, or never will be.
    pub(crate) fn done(&self, entries: u64) {
        self.pending.fetch_sub(entries, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Put, Store};

    fn named(name: &str) -> Put {
        Put {
            name: name.into(),
            kind: "text/plain".into(),
            ..Put::default()
        }
    }

    fn found(store: &Store, words: &str) -> usize {
        store.flush_search().expect("flushed");
        store.search(words, 100).expect("searched").len()
    }

    #[test]
    fn what_does_not_fit_is_found_in_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), Options::default()).expect("opened");
        assert_eq!(found(&store, "zebra"), 0);
        let core = store.core();
        // As if so much waited already.
        core.outbox.waiting.fetch_add(WAITING, Ordering::Relaxed);
        let put = |number: u32, name: &str| {
            let text = format!("zebra number{number}");
            store.put(text.as_bytes(), &named(name)).expect("put")
        };
        let ids: Vec<ArtifactId> = (0..40).map(|number| put(number, "first")).collect();
        assert_eq!(found(&store, "zebra"), 40);
        // Removed and put again, both before the thread looks.
        for id in &ids[..2] {
            assert!(store.remove(id).expect("removed"));
        }
        put(0, "second");
        assert_eq!(found(&store, "zebra"), 39);
        assert_eq!(found(&store, "name:second"), 1);
        assert_eq!(found(&store, "name:first number0"), 0);
        core.outbox.waiting.fetch_sub(WAITING, Ordering::Relaxed);
        put(1, "third");
        assert_eq!(found(&store, "zebra"), 40);
        assert_eq!(found(&store, "name:third"), 1);
        assert_eq!((core.outbox.pending(), core.outbox.unsent()), (0, 0));
        assert_eq!(core.outbox.waiting.load(Ordering::Relaxed), 0);
    }
}
