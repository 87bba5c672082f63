//! One thread that brings journals to the disk: soon after they were written, at once when someone waits.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::journal::JournalFile;
use crate::trouble::Trouble;

/// Records are on the disk at most about twice this after they were written.
const PERIOD: Duration = Duration::from_millis(5);

/// The result of a sync.
pub type Synced = Result<(), Trouble>;

struct Request {
    file: Arc<JournalFile>,
    done: Option<oneshot::Sender<Synced>>,
    failed: Option<Box<dyn Fn(Trouble) + Send>>,
}

/// Syncs journals in the background.
#[derive(Debug)]
pub struct Syncer {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let (requests, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("journal-sync".into())
            .spawn(move || serve(&inbox))?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
        })
    }

    /// Syncs `file` soon; `failed` is told when that does not work.
    pub fn soon(&self, file: &Arc<JournalFile>, failed: impl Fn(Trouble) + Send + 'static) {
        self.send(Request {
            file: file.clone(),
            done: None,
            failed: Some(Box::new(failed)),
        });
    }

    /// Syncs `file` now; answers when all that was written before is on the disk.
    pub async fn now(&self, file: &Arc<JournalFile>) -> Synced {
        let (done, answer) = oneshot::channel();
        self.send(Request {
            file: file.clone(),
            done: Some(done),
            failed: None,
        });
        answer
            .await
            .unwrap_or_else(|_| Err(Trouble::thread_ended()))
    }

    fn send(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // When the thread is gone the request is dropped, and who waits is told so.
            let _ = requests.send(request);
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told to those that waited.
            let _ = thread.join();
        }
    }
}

fn serve(inbox: &Receiver<Request>) {
    while let Ok(first) = inbox.recv() {
        let until = Instant::now() + PERIOD;
        let mut batch = vec![first];
        // One sync serves all that was written up to it, so a moment's patience saves many.
        while batch.iter().all(|request| request.done.is_none()) {
            match inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(request) => batch.push(request),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        batch.extend(inbox.try_iter());
        let mut results: Vec<(Arc<JournalFile>, Synced)> = Vec::new();
        for request in batch {
            let known = results
                .iter()
                .find(|(file, _)| Arc::ptr_eq(file, &request.file));
            let result = match known {
                Some((_, result)) => result.clone(),
                None => {
                    let result = request.file.sync();
                    results.push((request.file.clone(), result.clone()));
                    result
                }
            };
            if let (Err(trouble), Some(failed)) = (&result, &request.failed) {
                failed(trouble.clone());
            }
            if let Some(done) = request.done {
                // Who asked may have been cancelled meanwhile.
                let _ = done.send(result);
            }
        }
    }
}
