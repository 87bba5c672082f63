//! When a load that failed, or a value that died, is tried again: exponential pauses with jitter, and an end.

use crate::entry::LoadError;
use crate::ledger::Size;
use std::time::{Duration, Instant};

/// How an entry that fails or dies is loaded again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restarts {
    /// The pause after the first failed load; it doubles with each further one.
    pub first: Duration,
    /// The longest pause.
    pub limit: Duration,
    /// Each pause is longer by up to this share of it, at random, so that many entries do not start at once.
    pub jitter: f64,
    /// A value that lived for so long was healthy: what happened before is forgotten.
    pub healthy: Duration,
    /// After so many failures and early deaths in a row the pool gives the entry up: it is not loaded again by
    /// itself, and who asks for it is told so at once, but for one try after each pause of `limit`.
    pub attempts: u32,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(50),
            limit: Duration::from_secs(10),
            jitter: 0.25,
            healthy: Duration::from_secs(30),
            attempts: 6,
        }
    }
}

impl Restarts {
    /// The pause after so many failures in a row; `chance` is in [0, 1).
    pub(crate) fn pause(&self, failures: u32, chance: f64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let pause = if failures >= self.attempts {
            self.limit
        } else {
            self.first.saturating_mul(factor).min(self.limit)
        };
        pause + pause.mul_f64(self.jitter.clamp(0.0, 1.0) * chance)
    }
}

/// What happened with the loads of an entry; outlives the values.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Failed loads and early deaths in a row.
    pub(crate) failures: u32,
    /// Rises with each failure, so that a waiter sees its own.
    pub(crate) failure_count: u64,
    /// The last failure or death.
    pub(crate) error: Option<LoadError>,
    /// Not before this moment is it loaded again.
    pub(crate) retry_at: Option<Instant>,
    /// When its value became Ready, while it has one.
    pub(crate) ready_at: Option<Instant>,
    /// It was warm when it died, so the pool brings it back by itself.
    pub(crate) is_wanted: bool,
    /// Seconds that a load takes, smoothed.
    pub(crate) load_seconds: Option<f64>,
    /// What its value occupied when it was last measured.
    pub(crate) measured: Option<Size>,
}

impl History {
    /// A load has succeeded after `seconds`.
    pub(crate) fn succeed(&mut self, seconds: f64, now: Instant) {
        self.retry_at = None;
        self.ready_at = Some(now);
        self.is_wanted = false;
        self.load_seconds = Some(match self.load_seconds {
            Some(known) => 0.7 * known + 0.3 * seconds,
            None => seconds,
        });
    }

    /// What happened before a healthy life is forgotten.
    fn forgive(&mut self, restarts: &Restarts, now: Instant) {
        let ready_at = self.ready_at.take();
        if ready_at.is_some_and(|since| now.saturating_duration_since(since) >= restarts.healthy) {
            self.failures = 0;
        }
    }

    /// A load has failed.
    pub(crate) fn fail(
        &mut self,
        error: LoadError,
        restarts: &Restarts,
        now: Instant,
        chance: f64,
    ) {
        self.forgive(restarts, now);
        self.failures = self.failures.saturating_add(1);
        self.failure_count += 1;
        self.is_wanted &= error.may_pass && self.failures < restarts.attempts;
        self.error = Some(error);
        self.retry_at = now.checked_add(restarts.pause(self.failures, chance));
    }

    /// A value has died. The first time it comes back at once.
    pub(crate) fn die(&mut self, error: LoadError, restarts: &Restarts, now: Instant, chance: f64) {
        self.forgive(restarts, now);
        self.failures = self.failures.saturating_add(1);
        let pauses = match self.failures >= restarts.attempts {
            true => self.failures,
            false => self.failures - 1,
        };
        self.error = Some(error);
        self.is_wanted = self.failures < restarts.attempts;
        self.retry_at = now.checked_add(restarts.pause(pauses, chance));
    }

    /// Whether the pool has given the entry up.
    pub(crate) fn is_given_up(&self, restarts: &Restarts) -> bool {
        self.failures >= restarts.attempts && self.ready_at.is_none()
    }

    /// The moment before which it is not loaded.
    pub(crate) fn pause_until(&self, now: Instant) -> Option<Instant> {
        self.retry_at.filter(|moment| *moment > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy() -> Restarts {
        Restarts::default()
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_jitter_only_lengthens_them() {
        let pauses: Vec<u128> = (0..6).map(|n| policy().pause(n, 0.0).as_millis()).collect();
        assert_eq!(pauses, [0, 50, 100, 200, 400, 800]);
        assert_eq!(policy().pause(6, 0.0), policy().limit, "given up");
        assert_eq!(policy().pause(1, 0.999).as_millis(), 62);
    }

    #[test]
    fn a_healthy_life_forgives() {
        let (mut history, now) = (History::default(), Instant::now());
        for _ in 0..4 {
            history.succeed(0.1, now);
            history.die(LoadError::new("crash"), &policy(), now, 0.0);
        }
        assert_eq!(history.failures, 4);
        history.succeed(0.1, now);
        history.die(
            LoadError::new("crash"),
            &policy(),
            now + policy().healthy,
            0.0,
        );
        assert_eq!((history.failures, history.is_wanted), (1, true));
        assert_eq!(
            history.pause_until(now + policy().healthy),
            None,
            "back at once"
        );
    }

    proptest! {
        #[test]
        fn a_crash_loop_ends_and_never_hurries(
            deaths in prop::collection::vec((any::<bool>(), 0.0f64..1.0), 1..40),
        ) {
            let (mut history, mut now) = (History::default(), Instant::now());
            let mut restarts = 0;
            let mut last = Duration::ZERO;
            for (dies, chance) in deaths {
                if dies {
                    history.succeed(0.1, now);
                    history.die(LoadError::new("x"), &policy(), now, chance);
                } else {
                    history.fail(LoadError::new("x"), &policy(), now, chance);
                }
                let pause = history.pause_until(now).map_or(Duration::ZERO, |moment| moment - now);
                prop_assert!(pause <= policy().limit.mul_f64(1.25));
                prop_assert!(pause >= last.div_f64(1.25 * 2.0), "{last:?} then {pause:?}");
                restarts += u32::from(history.is_wanted);
                prop_assert!(!(history.is_wanted && history.is_given_up(&policy())));
                now += pause;
                last = pause;
            }
            prop_assert!(restarts < policy().attempts);
            prop_assert_eq!(history.is_given_up(&policy()), history.failures >= policy().attempts);
        }
    }
}
