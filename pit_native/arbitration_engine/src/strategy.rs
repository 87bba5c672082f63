//! Which of several requests that could be granted goes first.

/// How the engine chooses. Under each of them priorities age and nobody is passed over for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By priority, then by arrival.
    Priority,
    /// By priority, then by the smallest dominant share that the owner holds (Ghodsi et al., "Dominant
    /// Resource Fairness", NSDI 2011), then by what it was served, then by arrival.
    Fair,
    /// By lot among owners, one ticket more for each priority (Waldspurger and Weihl, "Lottery
    /// Scheduling", OSDI 1994); the same seed draws the same.
    Lottery {
        /// Where the drawing begins.
        seed: u64,
    },
    /// By the shortest predicted duration; what nobody predicted comes last. Then by priority and arrival.
    Shortest,
}

impl Strategy {
    /// The strategies' words.
    pub const WORDS: [&'static str; 4] = ["priority", "fair", "lottery", "shortest"];

    /// The strategy called `word`; only the lottery uses `seed`.
    pub fn named(word: &str, seed: u64) -> Option<Self> {
        match word {
            "priority" => Some(Self::Priority),
            "fair" => Some(Self::Fair),
            "lottery" => Some(Self::Lottery { seed }),
            "shortest" => Some(Self::Shortest),
            _ => None,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Fair => "fair",
            Self::Lottery { .. } => "lottery",
            Self::Shortest => "shortest",
        }
    }
}

/// What a choice looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) account: usize,
    /// The priority, raised by age.
    pub(crate) priority: u32,
    /// In the lottery, which needs no ageing: a ticket never stops winning.
    pub(crate) tickets: u64,
    pub(crate) held_share: f64,
    pub(crate) served: f64,
    pub(crate) seconds: f64,
    pub(crate) arrival: u64,
}

impl Standing {
    /// Whether it goes first if both can be granted. The lottery uses it within an owner.
    pub(crate) fn precedes(&self, other: &Self, strategy: Strategy) -> bool {
        self.rank(strategy) < other.rank(strategy)
    }

    /// Smaller goes first.
    fn rank(&self, strategy: Strategy) -> (f64, u32, f64, f64, u64) {
        let priority = u32::MAX - self.priority;
        match strategy {
            Strategy::Priority | Strategy::Lottery { .. } => {
                (0.0, priority, 0.0, 0.0, self.arrival)
            }
            Strategy::Fair => (0.0, priority, self.held_share, self.served, self.arrival),
            Strategy::Shortest => (self.seconds, priority, 0.0, 0.0, self.arrival),
        }
    }
}

/// The place of the standing that goes first; `dice` is the state of the lottery.
pub(crate) fn choose(strategy: Strategy, standings: &[Standing], dice: &mut u64) -> Option<usize> {
    let mut candidates: Vec<usize> = (0..standings.len()).collect();
    if matches!(strategy, Strategy::Lottery { .. }) && standings.len() > 1 {
        let winner = draw(standings, dice);
        candidates.retain(|&at| standings[at].account == winner);
    }
    candidates.into_iter().reduce(|best, at| {
        if standings[at].precedes(&standings[best], strategy) {
            at
        } else {
            best
        }
    })
}

/// The account that wins. Each owner plays once, with the most tickets that a request of it has: many
/// requests are no advantage.
fn draw(standings: &[Standing], dice: &mut u64) -> usize {
    let mut tickets: Vec<(usize, u64)> = Vec::new();
    for standing in standings {
        let count = standing.tickets;
        match tickets
            .iter_mut()
            .find(|(account, _)| *account == standing.account)
        {
            Some((_, known)) => *known = count.max(*known),
            None => tickets.push((standing.account, count)),
        }
    }
    let all: u64 = tickets.iter().map(|(_, count)| count).sum();
    let mut drawn = next(dice) % all.max(1);
    for &(account, count) in &tickets {
        if drawn < count {
            return account;
        }
        drawn -= count;
    }
    tickets[0].0
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): enough for drawing lots, and the same everywhere.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
