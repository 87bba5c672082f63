//! The 32 facts about each candidate of a choice, and about stopping.

use crate::search::Plans;

/// Facts about one candidate.
pub const FACTS: usize = 32;

/// From this much less than the best score of a part on a Player leads it.
const TIED: f32 = 1e-6;
/// From this score on an output that nobody has taken suits an input well.
const SUITING: f64 = 6.5;
/// What remains of a part's weight when it is served in full.
const SERVED: f32 = 0.8;
/// Below this coverage a part counts as open, and as one whose best Player would add something.
const HALF_SERVED: f32 = 0.6;
const NEARLY_SERVED: f32 = 0.8;
const NOWHERE: u32 = u32::MAX;
const THIRD: f64 = 1.0 / 3.0;

/// What holds for a whole composition, of the Players that it may choose among.
#[derive(Debug, Default)]
pub struct Field {
    /// The place of each Player among those that may be chosen.
    rows: Vec<u32>,
    parts: usize,
    /// By Player that may be chosen, then by part of the prompt.
    scores: Vec<f32>,
    /// By how much each leads the others, or stays behind the best one.
    margins: Vec<f32>,
    /// The part that each fits best.
    own: Vec<u32>,
    fixed: Vec<[f32; FACTS]>,
    /// The best score of each part, and the one from which on a Player serves it clearly.
    best: Vec<f32>,
    clear_from: Vec<f32>,
    /// How well each Player fits the prompt, also those that may not be chosen.
    likeness: Vec<f64>,
    mentions: usize,
    /// How often each would use each mention.
    uses: Vec<f32>,
    ports: usize,
    /// The types of each one's inputs; beyond the last type is none.
    types: Vec<u32>,
}

/// The numbers that a [`Field`] is made from; `[n, m]` is one after the other, row by row.
#[derive(Debug, Default)]
pub struct Standing {
    /// The Players that may be chosen, `[n]`.
    pub players: Vec<u32>,
    /// What holds of each whatever is chosen, `[n, 32]`; places 1, 3 and 5 are written here.
    pub fixed: Vec<f32>,
    /// How well each fits each part of the prompt, `[parts, n]`.
    pub scores: Vec<f32>,
    /// The best score of each part, `[parts]`.
    pub best: Vec<f32>,
    /// The second best, `[parts]`.
    pub second: Vec<f32>,
    /// From which score on a Player serves a part clearly, `[parts]`.
    pub clear_from: Vec<f32>,
    /// How well every Player fits the prompt.
    pub likeness: Vec<f64>,
    /// How often each would use each mention, `[n, mentions]`.
    pub uses: Vec<f32>,
    /// The types of each one's inputs, `[n, ports]`.
    pub types: Vec<u32>,
}

/// What the graph so far changes.
#[derive(Debug)]
pub struct Graph<'a> {
    /// How far each part of the prompt is served.
    pub coverage: &'a [f32],
    /// What single words say for each candidate, in their order.
    pub evidence: &'a [f32],
    /// The candidate that the rules would choose.
    pub advised: Option<u32>,
    /// The Players in the graph.
    pub there: &'a [u32],
    /// By mention, 1 for those that nothing in the graph uses.
    pub fresh: &'a [f32],
    /// By type, how well the best output suits it that nobody has taken; below all numbers where there is none.
    pub suits: &'a [f64],
    /// The steps before each Player.
    pub plans: &'a Plans,
}

impl Field {
    /// None when the numbers are not of one and the same Players and parts.
    #[must_use]
    pub fn new(given: Standing) -> Option<Self> {
        let (n, parts) = (given.players.len(), given.best.len());
        let per_row = |numbers: usize| {
            if n == 0 {
                Some(0)
            } else {
                numbers.checked_div(n)
            }
        };
        let (mentions, ports) = (per_row(given.uses.len())?, per_row(given.types.len())?);
        let fits = given.fixed.len() == n * FACTS
            && given.scores.len() == parts * n
            && given.second.len() == parts
            && given.clear_from.len() == parts
            && (mentions * n, ports * n) == (given.uses.len(), given.types.len())
            && given
                .players
                .iter()
                .all(|&p| (p as usize) < given.likeness.len());
        if parts == 0 || !fits {
            return None;
        }
        let mut field = Self {
            rows: vec![NOWHERE; given.likeness.len()],
            parts,
            scores: Vec::with_capacity(n * parts),
            margins: Vec::with_capacity(n * parts),
            own: Vec::with_capacity(n),
            fixed: given.fixed.as_chunks::<FACTS>().0.to_vec(),
            best: given.best,
            clear_from: given.clear_from,
            likeness: given.likeness,
            mentions,
            uses: given.uses,
            ports,
            types: given.types,
        };
        for (row, &player) in given.players.iter().enumerate() {
            field.rows[player as usize] = row as u32;
            let scores = given.scores[row..].iter().step_by(n).copied();
            field.add(row, scores, &given.second);
        }
        Some(field)
    }

    /// Takes the scores of the next Player, one for each part.
    fn add(&mut self, row: usize, scores: impl Iterator<Item = f32>, second: &[f32]) {
        let (mut own, mut most) = (0, f32::NEG_INFINITY);
        let mut lead = f32::NEG_INFINITY;
        for (part, score) in scores.enumerate() {
            let best = self.best[part];
            let rival = if score >= best - TIED {
                second[part]
            } else {
                best
            };
            if score > most {
                (own, most) = (part as u32, score);
            }
            lead = lead.max(score - rival);
            self.scores.push(score);
            self.margins.push(score - rival);
        }
        self.own.push(own);
        let facts = &mut self.fixed[row];
        (facts[1], facts[3], facts[5]) = (most, lead, f32::from(u8::from(lead >= 0.0)));
    }

    /// The places of Players among those that may be chosen; an Err names one that may not.
    pub fn rows(&self, players: &[u32]) -> Result<Vec<usize>, u32> {
        let row = |&player: &u32| {
            let row = self.rows.get(player as usize).copied().unwrap_or(NOWHERE);
            if row == NOWHERE {
                Err(player)
            } else {
                Ok(row as usize)
            }
        };
        players.iter().map(row).collect()
    }

    /// How many parts the prompt has.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// How many mentions there are, and how many Players in all.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.mentions, self.likeness.len())
    }

    /// The facts about the candidates, one after the other. `rows` are their places.
    ///
    /// Lists of `graph` that are too short are a mistake of the caller and panic, but for `suits`: what is beyond
    /// them suits nothing.
    #[must_use]
    pub fn facts(&self, candidates: &[u32], rows: &[usize], graph: &Graph<'_>) -> Vec<f32> {
        let mut told: Vec<[f32; FACTS]> = rows.iter().map(|&row| self.fixed[row]).collect();
        let mut is_there = vec![false; self.likeness.len()];
        for &player in graph.there {
            is_there[player as usize] = true;
        }
        for (place, facts) in told.iter_mut().enumerate() {
            let (row, player) = (rows[place], candidates[place]);
            self.tell_open(facts, row, graph.coverage);
            facts[9] = f32::from(u8::from(graph.advised == Some(player)));
            facts[10] = (place as f64 / 10.0) as f32;
            facts[30] = graph.evidence[place];
            let ways = self.way(player, graph.plans, &is_there);
            (facts[14], facts[15]) = (ways.0 as f32, ways.1 as f32);
            if self.mentions > 0 {
                let uses = &self.uses[row * self.mentions..][..self.mentions];
                let fresh: f32 = uses.iter().zip(graph.fresh).map(|(u, f)| u * f).sum();
                facts[12] = fresh.min(3.0) / 3.0;
            }
            if !graph.there.is_empty() {
                self.tell_inputs(facts, row, graph.suits, ways);
            }
        }
        let most = |place: usize| {
            let values = told.iter().map(|facts| facts[place]);
            values.fold(f32::NEG_INFINITY, f32::max)
        };
        let (fit, open) = (most(0), most(2));
        for facts in &mut told {
            facts[4] = facts[0] - fit;
            facts[11] = facts[2] - open;
        }
        told.into_flattened()
    }

    /// Writes how well a candidate fits what is open in the prompt.
    fn tell_open(&self, facts: &mut [f32; FACTS], row: usize, coverage: &[f32]) {
        let range = row * self.parts..(row + 1) * self.parts;
        let (mut score_open, mut lead_open, mut margin_open) =
            (f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY);
        for ((&score, &margin), &covered) in self.scores[range.clone()]
            .iter()
            .zip(&self.margins[range])
            .zip(coverage)
        {
            let open = 1.0 - covered;
            score_open = score_open.max(score * (1.0 - SERVED * covered));
            lead_open = lead_open.max(if margin >= 0.0 { open } else { 0.0 });
            margin_open = margin_open.max(margin * open);
        }
        (facts[2], facts[6], facts[7]) = (score_open, lead_open, margin_open);
        facts[8] = 1.0 - coverage[self.own[row] as usize];
    }

    /// Writes how the graph feeds a candidate's inputs.
    fn tell_inputs(
        &self,
        facts: &mut [f32; FACTS],
        row: usize,
        suits: &[f64],
        ways: (f64, f64, f64),
    ) {
        let types = &self.types[row * self.ports..][..self.ports];
        let best = types
            .iter()
            .map(|&t| suits.get(t as usize).copied().unwrap_or(f64::NEG_INFINITY));
        let (mut fed, mut suiting) = (0_u32, false);
        for score in best {
            fed += u32::from(score > f64::NEG_INFINITY);
            suiting |= score >= SUITING;
        }
        facts[16] = f32::from(u8::from(fed > 0));
        facts[17] = f32::from(u8::from(suiting));
        facts[26] = if ways.0 > 0.0 {
            ways.2
        } else {
            f64::from(fed) / 3.0
        } as f32;
    }

    /// The steps before a candidate: how many, how near to the prompt, how many stand already; in thirds.
    ///
    /// What stands for a Player that needs none is no way, no detour, nothing there.
    fn way(&self, player: u32, plans: &Plans, is_there: &[bool]) -> (f64, f64, f64) {
        let near = |step: u32| self.likeness[step as usize];
        let stands = |step: u32| f64::from(u8::from(is_there[step as usize]));
        match plans.feeders(player) {
            [] => (0.0, 1.0, 0.0),
            &[step] if plans.feeders(step).is_empty() => (THIRD, near(step), stands(step) / 3.0),
            _ => {
                let steps = plans.steps(player);
                let count = steps.len() as f64;
                let (mut likeness, mut standing) = (0.0, 0.0);
                for &step in &steps {
                    likeness += near(step);
                    standing += stands(step);
                }
                (count / 3.0, likeness / count, standing / 3.0)
            }
        }
    }

    /// Which of the candidates a word of the prompt speaks for, and which a part clearly asks for that nothing
    /// answers: places among them. `rows` are their places in the field, `evidence` is by candidate.
    #[must_use]
    pub fn owed(
        &self,
        rows: &[usize],
        coverage: &[f32],
        evidence: &[f32],
        telling: f32,
        unserved: f32,
    ) -> Vec<usize> {
        let is_owed = |&place: &usize| {
            let row = rows[place];
            let own = self.own[row] as usize;
            let clear = self.scores[row * self.parts + own] >= self.clear_from[own];
            evidence[place] >= telling || (clear && coverage[own] < unserved)
        };
        (0..rows.len()).filter(is_owed).collect()
    }

    /// The facts about stopping that come from the candidates' own, `[n, 32]` one after the other, and from what is
    /// open in the prompt: places 4 to 15 and 17 to 20; the others are 0.
    #[must_use]
    pub fn stop_facts(&self, matches: &[f32], coverage: &[f32]) -> [f32; FACTS] {
        let mut facts = of_candidates(matches.as_chunks::<FACTS>().0);
        let open = coverage.iter().filter(|&&covered| covered < HALF_SERVED);
        facts[17] = (open.count() as f64 / 3.0) as f32;
        let best = coverage.iter().zip(&self.best);
        let best = best.map(|(&covered, &best)| if covered < NEARLY_SERVED { best } else { 0.0 });
        facts[18] = best.reduce(f32::max).unwrap_or(0.0);
        facts
    }
}

/// What is known of stopping from the facts about the candidates alone.
fn of_candidates(matches: &[[f32; FACTS]]) -> [f32; FACTS] {
    let mut facts = [0.0; FACTS];
    if matches.is_empty() {
        return facts;
    }
    let mut most = [f32::NEG_INFINITY; FACTS];
    let (mut open, mut lead) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for one in matches {
        for (most, &value) in most.iter_mut().zip(one) {
            *most = most.max(value);
        }
        if one[20] > 0.0 {
            (open, lead) = (open.max(one[2]), lead.max(one[6]));
        }
    }
    facts[4..12].copy_from_slice(&most[..8]);
    (facts[12], facts[13], facts[19]) = (most[12], most[11], most[30]);
    facts[20] = f32::from(u8::from(most[9] == 0.0));
    if most[20] > 0.0 {
        (facts[14], facts[15]) = (open, lead);
    }
    facts
}
