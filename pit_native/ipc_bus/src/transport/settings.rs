//! What every transport can be told: how much it buffers, how long it waits, how often it tries.

use std::future::Future;
use std::io;
use std::time::Duration;

/// How the waits between tries grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// No wait.
    None,
    /// Always the first wait.
    Fixed,
    /// Each wait is twice the one before.
    #[default]
    Exponential,
}

/// What is done when a connection is not there yet, or any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all; at least one is made.
    pub attempts: u32,
    /// The wait before the second.
    pub delay: Duration,
    /// How it grows.
    pub backoff: Backoff,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 3,
            delay: Duration::from_millis(200),
            backoff: Backoff::Exponential,
        }
    }
}

/// No wait is longer, however many tries there are.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl RetryPolicy {
    /// How long to wait after `tries` tries have failed; `None` when no more is to be made.
    pub fn wait_after(&self, tries: u32) -> Option<Duration> {
        if tries >= self.attempts {
            return None;
        }
        let wait = match self.backoff {
            Backoff::None => Duration::ZERO,
            Backoff::Fixed => self.delay,
            Backoff::Exponential => self.delay.saturating_mul(
                1u32.checked_shl(tries.saturating_sub(1))
                    .unwrap_or(u32::MAX),
            ),
        };
        Some(wait.min(LONGEST_WAIT))
    }
}

/// The settings of one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportSettings {
    /// Bytes that are on their way in each direction before the writer waits: of the socket's or pipe's buffer
    /// in the kernel, or of the ring. 0 leaves a socket and a pipe as the system makes them.
    pub buffer_size: usize,
    /// How long one try to connect may take.
    pub timeout: Duration,
    /// How often it is tried.
    pub retry: RetryPolicy,
}

impl Default for TransportSettings {
    fn default() -> Self {
        TransportSettings {
            buffer_size: 0,
            timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
        }
    }
}

/// Calls `try_once` until it connects, as `settings` say.
///
/// # Errors
/// The last try's; `TimedOut` when that one took too long.
pub async fn connect<T, F: Future<Output = io::Result<T>>>(
    settings: &TransportSettings,
    mut try_once: impl FnMut() -> F,
) -> io::Result<T> {
    let mut tries = 0;
    loop {
        let tried = tokio::time::timeout(settings.timeout, try_once()).await;
        let error = match tried {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        tries += 1;
        match settings.retry.wait_after(tries) {
            None => return Err(error),
            Some(wait) => tokio::time::sleep(wait).await,
        }
    }
}
