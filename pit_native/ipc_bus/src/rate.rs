//! A token bucket: so many messages a second, and a burst after a quiet time.

use std::time::Instant;

/// Counts what a peer may still send. Pure: time is given.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens that gains `rate` a second.
    pub fn new(rate: f64, burst: f64, now: Instant) -> Self {
        TokenBucket {
            rate,
            burst,
            tokens: burst,
            filled: now,
        }
    }

    /// Takes one token; false when there is none.
    ///
    /// The clock is asked for only when the bucket looks empty, so that a peer within its rate costs
    /// one subtraction a message.
    pub fn take(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.tokens < 1.0 {
            let now = now();
            let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate;
            self.tokens = (self.tokens + gained).min(self.burst);
            self.filled = now;
        }
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10.0, 3.0, start);
        assert_eq!((0..5).filter(|_| bucket.take(|| start)).count(), 3);
        let later = start + Duration::from_millis(200);
        assert_eq!((0..5).filter(|_| bucket.take(|| later)).count(), 2);
        let much_later = start + Duration::from_secs(100);
        assert_eq!(
            (0..9).filter(|_| bucket.take(|| much_later)).count(),
            3,
            "never more than the burst"
        );
    }
}
