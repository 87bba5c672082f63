//! The journal of a run: what is written, and how the run ends when that cannot be done.

use crate::event::{NodeNotes, RunEvent};
use crate::instructions::{Event, Fault, NodeState};
use crate::journal::Record;
use crate::trouble::Trouble;

use super::{Driver, Message};

const UNWRITTEN: &str = "its results are stored, but the journal could not note that it is done: \
                         it is played again when the run is resumed";

impl Driver {
    pub(super) fn record(&mut self, record: &Record) {
        if let Some(journal) = &mut self.journal {
            journal.push(record);
        }
    }

    pub(super) fn flush_journal(&mut self) {
        if let Some(cache) = self.cache.as_ref().filter(|_| self.has_remembered) {
            // A cache that cannot be written costs time, not results.
            let _ = cache.lock().flush();
            self.has_remembered = false;
        }
        let Some(journal) = &mut self.journal else {
            return;
        };
        match journal.flush() {
            Ok(false) => {}
            Ok(true) => self.sync_soon(),
            Err(error) => {
                // What was to be told together with these records.
                for event in &mut self.events {
                    if let RunEvent::Node(event) = event
                        && event.state == NodeState::Succeeded
                        && !event.is_kept
                    {
                        event.state = NodeState::Cancelled;
                        event.more = unwritten(event.more.take().map(|more| *more)).boxed();
                    }
                }
                self.break_down(&Trouble::from(&error));
            }
        }
    }

    /// Has the journal brought to the disk in the background, within the time that was promised.
    pub(super) fn sync_soon(&self) {
        if let Some(journal) = &self.journal {
            let inbox = self.inbox.clone();
            // A run that has ended has synced its journal itself.
            self.shared.syncer.soon(journal.file(), move |trouble| {
                drop(inbox.send(Message::JournalFailed(trouble)))
            });
        }
    }

    /// Without a journal nothing may start: the run stops, and what was done is kept.
    pub(super) fn break_down(&mut self, trouble: &Trouble) {
        if std::mem::replace(&mut self.is_broken, true) {
            return;
        }
        self.error = Some(trouble.error());
        self.journal = None;
        for (node, attempt) in std::mem::take(&mut self.starts) {
            self.queue.push_back(Event::Failed {
                node,
                attempt,
                fault: Fault::Passing,
            });
        }
        self.queue.push_front(Event::Cancel);
    }

    /// What is told of a node that has come to `state`: nothing is done that the next life will not know of.
    pub(super) fn told_state(&self, state: NodeState) -> NodeState {
        match state {
            NodeState::Succeeded if self.is_broken => NodeState::Cancelled,
            other => other,
        }
    }
}

/// With why the node is not told to have succeeded.
pub(super) fn unwritten(notes: Option<NodeNotes>) -> NodeNotes {
    NodeNotes {
        reason: Some(UNWRITTEN.to_owned()),
        ..notes.unwrap_or_default()
    }
}
