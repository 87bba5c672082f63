//! A Player that runs: its sandboxed process, its session, and how a call of it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipc_bus::{CallError, CallOptions, Closed, Session};
use parking_lot::Mutex;
use rmpv::Value;
use run_loop::Fault;
use run_loop::ports::NodeError;
use sandbox::{Cause, Child, Exit};
use tokio::runtime::Handle;

use crate::runtime_gpu::WatchedPlayer;
use crate::runtime_meter::Meter;

/// How long to wait for the exit status of a Player that has closed its session.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The deadline of a call without a limit.
const ENDLESS: Duration = Duration::from_secs(365 * 86_400);
/// How long a Player may take to end by itself when it is told to.
const SHUTDOWN: Duration = Duration::from_millis(500);

/// One running Player.
pub(crate) struct PlayerSession {
    pub(crate) key: Arc<str>,
    pub(crate) extension: Arc<str>,
    pub(crate) session: Session,
    pub(crate) child: Arc<Child>,
    /// Seconds since the epoch.
    pub(crate) since: f64,
    pub(crate) calls: AtomicU64,
    pub(crate) meter: Meter,
    /// What the last ping took, in microseconds; 0 before the first.
    ping: AtomicU64,
    /// Why the host ended it, if it did.
    killed: Mutex<Option<String>>,
}

impl PlayerSession {
    pub(crate) fn new(
        key: Arc<str>,
        extension: Arc<str>,
        session: Session,
        child: Arc<Child>,
        since: f64,
        gpus: Option<WatchedPlayer>,
    ) -> Self {
        let meter = Meter::new(child.player_pid(), gpus);
        Self {
            key,
            extension,
            session,
            child,
            since,
            calls: AtomicU64::new(0),
            meter,
            ping: AtomicU64::new(0),
            killed: Mutex::new(None),
        }
    }

    /// Notes how long a ping took.
    pub(crate) fn note_ping(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.ping.store(micros.max(1), Ordering::Relaxed);
    }

    /// Seconds that the last ping took.
    pub(crate) fn ping(&self) -> Option<f64> {
        let micros = self.ping.load(Ordering::Relaxed);
        (micros > 0).then(|| micros as f64 / 1e6)
    }

    /// Sends a message that wants an answer.
    pub(crate) async fn call(
        &self,
        method: &str,
        body: Value,
        what: &str,
        tag: u64,
        limit: Option<Duration>,
    ) -> Result<Value, NodeError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // Who calls has a clock of its own; this bound only keeps a lost call from waiting for ever.
        let deadline = limit.map_or(ENDLESS, |limit| limit + Duration::from_secs(10));
        match self
            .session
            .call(method, body, CallOptions { deadline, tag })
            .await
        {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.failure(what, error).await),
        }
    }

    /// As [`PlayerSession::call`], without waiting and given up at the limit itself; `then` gets the answer
    /// as [`Session::call_then`] says.
    pub(crate) fn call_then(
        &self,
        method: &str,
        body: &Value,
        tag: u64,
        limit: Option<Duration>,
        then: impl FnOnce(Result<Value, CallError>) + Send + 'static,
    ) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let deadline = limit.unwrap_or(ENDLESS);
        let options = CallOptions { deadline, tag };
        self.session.call_then(method, body, options, then);
    }

    /// What a call that failed tells its caller.
    pub(crate) async fn failure(&self, what: &str, error: CallError) -> NodeError {
        match error {
            CallError::Closed(reason) => self.describe_end(what, reason).await,
            error => self.describe(what, error),
        }
    }

    fn describe(&self, what: &str, error: CallError) -> NodeError {
        match error {
            CallError::Remote {
                code,
                message,
                remedy,
                traceback,
            } => {
                let code = if code.is_empty() { "failed" } else { &code };
                NodeError {
                    traceback,
                    ..NodeError::new(code, message, &remedy)
                }
            }
            CallError::Timeout(limit) => {
                let message = format!("{what} was not done within {} seconds", limit.as_secs_f64());
                NodeError::new(
                    "timeout",
                    message,
                    "raise the timeout or give it less to do",
                )
            }
            CallError::Cancelled => {
                NodeError::new("cancelled", format!("{what} was cancelled"), "")
            }
            CallError::Protocol(problem) => NodeError {
                fault: Fault::Permanent,
                ..NodeError::new(
                    "too_large",
                    format!("{what}: {problem}"),
                    "give it less at once",
                )
            },
            CallError::Closed(reason) => NodeError::new("crashed", format!("{what}: {reason}"), ""),
        }
    }

    /// The error of a call whose session ended under it.
    async fn describe_end(&self, what: &str, reason: Closed) -> NodeError {
        let killed = self.killed.lock().clone();
        let how = match (&reason, killed) {
            (_, Some(why)) => format!("the host ended it, for {why}"),
            (Closed::ByPeer | Closed::Failed(_), None) => self.last_words().await,
            (reason, None) => reason.to_string(),
        };
        let message = format!(
            "The Player {} ended while running {what} ({how})",
            self.extension
        );
        match reason {
            // It would do so again.
            Closed::Protocol(_) | Closed::Flood(_) => {
                NodeError::new("protocol", message, "report it to the extension's author")
            }
            _ => {
                let remedy = "play it again; if it ends each time, see `symphony logs`";
                NodeError {
                    fault: Fault::Crash,
                    ..NodeError::new("crashed", message, remedy)
                }
            }
        }
    }

    async fn last_words(&self) -> String {
        let child = self.child.clone();
        let exit = tokio::task::spawn_blocking(move || child.wait(Some(LAST_WORDS))).await;
        match exit {
            Ok(Ok(Some(exit))) => describe_exit(exit),
            _ => "it closed its connection".to_owned(),
        }
    }

    /// Ends the process at once.
    pub(crate) fn kill(&self, reason: &str) {
        self.killed.lock().get_or_insert_with(|| reason.to_owned());
        self.session.close();
        // It cannot fail on a child that is ours and not collected; and a dead one is what is wanted.
        let _ = self.child.kill();
    }

    /// Tells the Player to end, and ends it when it does not. Blocks for about half a second at most,
    /// and not on a thread of the runtime.
    pub(crate) fn shut_down(&self, handle: &Handle) {
        if !self.session.is_closed() {
            let options = CallOptions {
                deadline: SHUTDOWN,
                tag: 0,
            };
            // A Player that hears nothing any more is killed below.
            let _ = handle.block_on(
                self.session
                    .call("shutdown", Value::Map(Vec::new()), options),
            );
            let _ = self.child.wait(Some(SHUTDOWN));
        }
        self.session.close();
        let _ = self.child.kill();
        let _ = self.child.wait(Some(LAST_WORDS));
    }
}

/// An exit in a few words.
pub(crate) fn describe_exit(exit: Exit) -> String {
    match (exit.cause, exit.code) {
        (Some(Cause::Memory), _) => "it used more memory than it may".to_owned(),
        (None, code) if code > 128 => format!("signal {}", code - 128),
        (None, code) => format!("exit status {code}"),
    }
}
