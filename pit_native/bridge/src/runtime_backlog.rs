//! How much of what each Player said waits for Python: who has said more than may wait is not read until half
//! of it is told. So one that writes faster than the page reads waits itself, and costs no memory.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use rmpv::Value;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

/// Bytes that may wait of one Player, as [`weight`] counts them. One message may go beyond it.
pub(crate) const MOST: usize = 1 << 20;

/// What a message costs beside its texts and bytes.
const MESSAGE: usize = 256;

/// What waits, by session.
#[derive(Default)]
pub(crate) struct Backlog(Mutex<FxHashMap<u64, Speaker>>);

#[derive(Default)]
struct Speaker {
    bytes: usize,
    /// Told when there is room again.
    room: Arc<Notify>,
}

impl Backlog {
    /// Counts what a session said.
    pub(crate) fn add(&self, session: u64, bytes: usize) {
        self.0.lock().entry(session).or_default().bytes += bytes;
    }

    /// Counts what was told.
    pub(crate) fn remove(&self, session: u64, bytes: usize) {
        let mut speakers = self.0.lock();
        let Entry::Occupied(mut speaker) = speakers.entry(session) else {
            return;
        };
        let waits = speaker.get_mut();
        let was_full = waits.bytes > MOST / 2;
        waits.bytes = waits.bytes.saturating_sub(bytes);
        if was_full && waits.bytes <= MOST / 2 {
            waits.room.notify_waiters();
        }
        if waits.bytes == 0 {
            speaker.remove();
        }
    }

    /// Waits until at most half of what may wait does, if more than that does now.
    pub(crate) fn room(self: &Arc<Self>, session: u64) -> Option<impl Future<Output = ()> + use<>> {
        self.full(session, MOST)?;
        let backlog = self.clone();
        Some(async move {
            while let Some(room) = backlog.full(session, MOST / 2) {
                let told = room.notified();
                tokio::pin!(told);
                told.as_mut().enable();
                if backlog.full(session, MOST / 2).is_none() {
                    return;
                }
                told.await;
            }
        })
    }

    fn full(&self, session: u64, most: usize) -> Option<Arc<Notify>> {
        let speakers = self.0.lock();
        let speaker = speakers.get(&session)?;
        (speaker.bytes > most).then(|| speaker.room.clone())
    }
}

/// About how much memory a message takes. It is at most as deep as frames may be.
pub(crate) fn weight(body: &Value) -> usize {
    fn of(value: &Value) -> usize {
        let own = size_of::<Value>();
        own + match value {
            Value::String(text) => text.as_bytes().len(),
            Value::Binary(bytes) => bytes.len(),
            Value::Array(items) => items.iter().map(of).sum(),
            Value::Map(entries) => entries.iter().map(|(key, item)| of(key) + of(item)).sum(),
            _ => 0,
        }
    }
    MESSAGE + of(body)
}
