//! How much of the bus's time one session may take while others want it.
//!
//! The limit on messages bounds what a Player says in a second, and leaves it to say all of that in one go. A session
//! whose messages take more than its share of a thread while another session is at work is not read for a while: what
//! it writes stays in the socket, and it sleeps in its own `send`. Nothing is refused for that, and nothing is lost.
//! A session that has the bus to itself is not held up.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Of a thread's time, what all sessions together get that want more than that, while another one is at work. To wake
/// for them, and to look for others between, costs about as much again: together a tenth.
const SHARE: f64 = 0.05;
/// What a session works off while it is read, of a thread's time. Less than its share: several that are read in turn
/// see each other's time go by.
const PAID: f64 = SHARE / 2.0;
/// Work that a session may owe before it is left alone, and half of what it owes afterwards.
const CREDIT: Duration = Duration::from_millis(1);
/// A session is at work when its last message is not older.
const LATELY: u32 = 100;
/// A message takes no longer than this and [`A_BYTE`] for each of its bytes. What seems to is another thread's time.
const A_MESSAGE: Duration = Duration::from_micros(20);
/// The smallest values, one byte each, take about this long.
const A_BYTE: Duration = Duration::from_nanos(25);
/// To be woken for bytes that end no message.
const A_WAKE: Duration = Duration::from_micros(5);

/// Which sessions of a bus were at work lately. Sessions note it in passing, and a note that is lost is made again.
#[derive(Debug)]
pub(crate) struct Traffic {
    began: Instant,
    /// Session and millisecond of the latest message.
    latest: AtomicU64,
    /// The same of the latest one of another session.
    other: AtomicU64,
    /// Sessions that are left alone now.
    held: AtomicU32,
}

impl Traffic {
    pub(crate) fn new(began: Instant) -> Self {
        Traffic {
            began,
            latest: AtomicU64::new(0),
            other: AtomicU64::new(0),
            held: AtomicU32::new(0),
        }
    }

    /// Notes that a session is at work.
    pub(crate) fn note(&self, session: u64, now: Instant) {
        let mark = session << 32 | u64::from(self.tick(now));
        let latest = self.latest.load(Relaxed);
        if latest == mark {
            return;
        }
        if latest >> 32 != mark >> 32 {
            self.other.store(latest, Relaxed);
        }
        self.latest.store(mark, Relaxed);
    }

    /// Whether a session besides this one is at work.
    pub(crate) fn has_others(&self, session: u64, now: Instant) -> bool {
        let mut mark = self.latest.load(Relaxed);
        if mark >> 32 == session & u64::from(u32::MAX) {
            mark = self.other.load(Relaxed);
        }
        mark >> 32 != 0 && self.tick(now).wrapping_sub(mark as u32) <= LATELY
    }

    /// Counts a session that is left alone, for as long as the answer lives.
    pub(crate) fn hold(&self) -> Held<'_> {
        let before = self.held.fetch_add(1, Relaxed);
        Held {
            traffic: self,
            sharers: before + 1,
        }
    }

    /// Milliseconds, which begin anew after seven weeks.
    fn tick(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.began).as_millis() as u32
    }
}

/// A session that is left alone.
pub(crate) struct Held<'a> {
    traffic: &'a Traffic,
    /// How many there are, itself among them.
    pub(crate) sharers: u32,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.traffic.held.fetch_sub(1, Relaxed);
    }
}

/// What the messages of one turn may have taken at most.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    most: Duration,
    wakes: Duration,
}

impl Turn {
    /// A message that nobody asked for.
    pub(crate) fn message(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.most += A_MESSAGE + A_BYTE * bytes;
    }

    /// Bytes that end no message.
    pub(crate) fn wake(&mut self) {
        self.wakes += A_WAKE;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.most.is_zero() && self.wakes.is_zero()
    }

    /// The work in it, when so much time has gone by.
    fn work(&self, elapsed: Duration) -> Duration {
        elapsed.min(self.most) + self.wakes
    }
}

/// What one session has taken and not yet waited for. Pure: time is given.
#[derive(Debug)]
pub(crate) struct Share {
    owed: Duration,
    at: Instant,
}

impl Share {
    pub(crate) fn new(now: Instant) -> Self {
        Share {
            owed: Duration::ZERO,
            at: now,
        }
    }

    /// Counts a turn that began at `began`; true when it is another session's turn.
    pub(crate) fn spend(&mut self, turn: &Turn, began: Instant, now: Instant) -> bool {
        let paid = now.saturating_duration_since(self.at).mul_f64(PAID);
        let work = turn.work(now.saturating_duration_since(began));
        self.owed = self.owed.saturating_sub(paid) + work;
        self.at = now;
        self.owed > CREDIT
    }

    /// How long the session is left alone for what it owes, when so many share.
    pub(crate) fn settle(&mut self, sharers: u32) -> Duration {
        let left = CREDIT / 2;
        let due = self.owed.saturating_sub(left);
        self.owed = left;
        let pause = due.div_f64(SHARE) * sharers;
        self.at += pause;
        pause
    }

    /// Forgets what is owed: nobody else wanted the time.
    pub(crate) fn forgive(&mut self) {
        self.owed = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Duration = Duration::from_micros(2);

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// The share of its time that a session gets which always has more to say.
    fn share_of_a_flood(sharers: u32) -> f64 {
        let begin = Instant::now();
        let (mut now, mut worked) = (begin, Duration::ZERO);
        let mut share = Share::new(begin);
        while now - begin < millis(10_000) {
            let (mut turn, began) = (Turn::default(), now);
            (0..16).for_each(|_| turn.message(100));
            now += MESSAGE * 16;
            worked += MESSAGE * 16;
            if share.spend(&turn, began, now) {
                now += share.settle(sharers);
            }
        }
        worked.as_secs_f64() / (now - begin).as_secs_f64()
    }

    #[test]
    fn who_always_has_more_to_say_gets_its_share_alone_or_with_others() {
        for sharers in [1, 4] {
            let got = share_of_a_flood(sharers) * f64::from(sharers);
            assert!((0.8 * SHARE..=SHARE * 1.06).contains(&got), "{got}");
        }
    }

    #[test]
    fn who_says_little_is_never_held_up() {
        let begin = Instant::now();
        let mut share = Share::new(begin);
        for number in 0..10_000_u32 {
            let mut turn = Turn::default();
            turn.message(100);
            let began = begin + Duration::from_micros(100) * number;
            assert!(!share.spend(&turn, began, began + MESSAGE));
        }
    }

    #[test]
    fn a_thread_that_was_taken_away_meanwhile_counts_little() {
        let begin = Instant::now();
        let mut share = Share::new(begin);
        let mut turn = Turn::default();
        turn.message(100);
        assert!(!share.spend(&turn, begin, begin + millis(50)));
    }

    #[test]
    fn long_messages_of_small_values_and_single_bytes_count_too() {
        let begin = Instant::now();
        let (mut long, mut trickle) = (Turn::default(), Turn::default());
        long.message(60_000);
        assert!(Share::new(begin).spend(&long, begin, begin + millis(2)));
        (0..300).for_each(|_| trickle.wake());
        assert!(Share::new(begin).spend(&trickle, begin, begin));
        assert!(Turn::default().is_empty() && !long.is_empty() && !trickle.is_empty());
    }

    #[test]
    fn others_are_those_who_said_something_lately() {
        let begin = Instant::now();
        let traffic = Traffic::new(begin);
        assert!(!traffic.has_others(1, begin));
        traffic.note(1, begin);
        assert!(!traffic.has_others(1, begin) && traffic.has_others(2, begin));
        traffic.note(2, begin + millis(1));
        traffic.note(1, begin + millis(2));
        traffic.note(1, begin + millis(90));
        assert!(traffic.has_others(1, begin + millis(101)));
        assert!(!traffic.has_others(1, begin + millis(102)));
        traffic.note(3, begin + millis(150));
        assert!(traffic.has_others(1, begin + millis(151)));
        let (one, two) = (traffic.hold(), traffic.hold());
        assert_eq!((one.sharers, two.sharers), (1, 2));
        drop((one, two));
        assert_eq!(traffic.hold().sharers, 1);
    }
}
