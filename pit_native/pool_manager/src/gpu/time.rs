//! How long processes have kept GPUs busy, added up from the driver's samples. Pure.
//!
//! The driver tells for each process which share of the multiprocessors' time it had since the look before, with the
//! moment of its newest sample, and nothing for processes that had none.

use rustc_hash::FxHashMap;

/// How far back a look goes at most, in microseconds: the driver keeps no more.
const REACH: u64 = 10_000_000;
/// A GPU of which a look tells nothing has done nothing up to so long before it: samples come this late.
const LATE: u64 = 1_000_000;

/// What one process had of a GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpuUse {
    /// The process, as this host sees it.
    pub pid: u32,
    /// Microseconds since the epoch.
    pub at: u64,
    /// Of its time since the look before, 0 to 1.
    pub share: f64,
}

/// Whose a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// One that is watched, by the process that its others descend from.
    Watched(u32),
    /// Somebody else's.
    Other,
    /// Nobody can tell: it is not there any more, or has another number here.
    Unknown,
}

/// Seconds that GPUs were kept busy, by owner.
#[derive(Debug, Default)]
pub struct GpuTime {
    /// The newest sample of each GPU that was seen.
    seen: FxHashMap<u32, u64>,
    /// Since when somebody is watched.
    begun: u64,
    seconds: FxHashMap<u32, f64>,
    strangers: u64,
}

impl GpuTime {
    /// From when on samples of a GPU are wanted.
    pub fn seen(&self, device: u32, now: u64) -> u64 {
        let seen = self.seen.get(&device).copied().unwrap_or(0);
        seen.max(self.begun).max(now.saturating_sub(REACH))
    }

    /// From now on only what comes after `now` counts, for nobody was watched before.
    pub(super) fn begin_at(&mut self, now: u64) {
        self.begun = now;
    }

    /// Adds what the driver told of one GPU at a look.
    pub fn note(
        &mut self,
        device: u32,
        mut uses: Vec<GpuUse>,
        now: u64,
        mut owner: impl FnMut(u32) -> Owner,
    ) {
        let seen = self.seen(device, now);
        // Where there are several of one process, each begins where the one before has ended.
        uses.sort_by_key(|sample| (sample.pid, sample.at));
        let mut before: Option<GpuUse> = None;
        for sample in &uses {
            let last = before.filter(|last| last.pid == sample.pid);
            let since = last.map_or(seen, |last| last.at.max(seen));
            let lasted = sample.at.saturating_sub(since) as f64 / 1e6;
            match owner(sample.pid) {
                Owner::Watched(root) => {
                    *self.seconds.entry(root).or_default() += lasted * sample.share.clamp(0.0, 1.0);
                }
                Owner::Other => {}
                Owner::Unknown => self.strangers += 1,
            }
            before = Some(*sample);
        }
        let newest = uses.iter().map(|sample| sample.at).max();
        let until = newest.unwrap_or(now.saturating_sub(LATE)).max(seen);
        self.seen.insert(device, until);
    }

    /// Seconds of one owner so far. Two GPUs that are busy for a second are two seconds.
    pub fn seconds(&self, root: u32) -> f64 {
        self.seconds.get(&root).copied().unwrap_or(0.0)
    }

    /// How often a process was seen of which nobody can tell whose it is.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    /// An owner is not watched any more.
    pub fn forget(&mut self, root: u32) {
        self.seconds.remove(&root);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000;
    /// A moment on the driver's clock.
    const NOON: u64 = 1_800_000_000 * SECOND;

    fn of(pid: u32, at: u64, share: f64) -> GpuUse {
        GpuUse { pid, at, share }
    }

    /// Processes up to 9 are watched, 0 is unknown.
    fn owner(pid: u32) -> Owner {
        match pid {
            0 => Owner::Unknown,
            1..=9 => Owner::Watched(pid),
            _ => Owner::Other,
        }
    }

    #[test]
    fn a_share_counts_for_the_time_since_the_last_sample() {
        let mut time = GpuTime::default();
        time.begin_at(NOON);
        let later = NOON + SECOND / 2;
        let both = vec![of(1, later, 0.5), of(77, later, 0.5)];
        time.note(0, both, later, owner);
        assert_eq!(time.seconds(1), 0.25);
        assert_eq!((time.seen(0, later), time.seen(1, later)), (later, NOON));
        // Of another GPU, in two samples.
        let twice = vec![of(1, later, 0.0), of(1, NOON + SECOND / 4, 1.0)];
        time.note(1, twice, later, owner);
        assert_eq!(time.seconds(1), 0.5);
        assert_eq!((time.seconds(77), time.strangers()), (0.0, 0));
        time.note(0, vec![of(0, later + 1, 1.0)], later + 1, owner);
        assert_eq!(time.strangers(), 1);
        time.forget(1);
        assert_eq!(time.seconds(1), 0.0);
    }

    #[test]
    fn what_was_before_the_first_watched_call_or_while_nothing_was_told_does_not_count() {
        let mut time = GpuTime::default();
        time.note(0, vec![of(2, NOON, 1.0)], NOON, owner);
        let begun = NOON + 2 * SECOND;
        time.begin_at(begun);
        time.note(
            0,
            vec![of(1, begun + SECOND / 4, 1.0)],
            begun + SECOND / 4,
            owner,
        );
        assert_eq!(time.seconds(1), 0.25);
        time.note(0, Vec::new(), begun + 5 * SECOND, owner);
        time.note(
            0,
            vec![of(1, begun + 5 * SECOND, 0.5)],
            begun + 5 * SECOND,
            owner,
        );
        assert_eq!(time.seconds(1), 0.75);
    }

    proptest! {
        /// However the samples come and in how many looks: nobody gets more than the time that has passed on all
        /// GPUs, and no look takes anything away or goes back.
        #[test]
        fn time_is_given_out_once(
            looks in prop::collection::vec(
                (0u32..2, prop::collection::vec((0u32..12, 0u64..3 * SECOND, 0.0f64..1.5), 0..6)),
                1..30,
            ),
        ) {
            let (mut time, mut now) = (GpuTime::default(), NOON);
            time.begin_at(NOON);
            let (mut before, mut seen) = ([0.0; 10], [NOON; 2]);
            for (device, look) in looks {
                now += SECOND;
                let uses = look.into_iter().map(|(pid, back, share)| of(pid, now - back, share));
                time.note(device, uses.collect(), now, owner);
                let at = time.seen(device, now);
                prop_assert!(at >= seen[device as usize] && at <= now);
                seen[device as usize] = at;
                for pid in 1..=9u32 {
                    let seconds = time.seconds(pid);
                    prop_assert!(seconds >= before[pid as usize]);
                    let passed = (now - NOON) as f64 / 1e6;
                    prop_assert!(seconds <= 2.0 * passed + 1e-9, "{seconds} s of {passed}");
                    before[pid as usize] = seconds;
                }
            }
            prop_assert_eq!(time.seconds(0) + time.seconds(10), 0.0);
        }
    }
}
