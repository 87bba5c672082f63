//! The cheapest steps before each Player: Knuth's generalisation of Dijkstra's algorithm (1977).

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::Range;

/// An input that no step was found for yet.
const NONE: i32 = -1;
/// An input that the graph feeds already.
const FED: i32 = -2;

/// Whether a Player may be a step or a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// It may not.
    No,
    /// It may.
    Yes,
    /// The caller knows, and is asked when the Player is first within reach.
    Ask,
}

/// A Player with an input that something in the graph feeds: its further inputs, by their places.
pub type Open = (u32, Vec<u32>);

/// Players by the types that they want and feed.
#[derive(Debug, Default)]
pub struct Index {
    /// Where the inputs of each Player begin, and where the last one's end.
    starts: Vec<usize>,
    /// For each Player the types, each once, that what it makes may feed.
    feeds: Vec<Vec<u32>>,
    /// For each type the inputs of it: the Player, and the input among those of all Players.
    wanted: Vec<Vec<(u32, usize)>>,
    /// Whether a type takes from several, also from the same one twice.
    gathers: Vec<bool>,
}

impl Index {
    /// `wants` are the types of each Player's required inputs, `feeds` those that what it makes may feed.
    /// None when a type is not one of `gathers`, or the two are not of the same Players.
    #[must_use]
    pub fn new(wants: &[Vec<u32>], feeds: Vec<Vec<u32>>, gathers: Vec<bool>) -> Option<Self> {
        let known = |types: &Vec<u32>| types.iter().all(|&t| (t as usize) < gathers.len());
        if wants.len() != feeds.len() || !wants.iter().chain(&feeds).all(known) {
            return None;
        }
        let mut wanted = vec![Vec::new(); gathers.len()];
        let mut starts = vec![0];
        let mut inputs = 0;
        for (player, types) in (0..).zip(wants) {
            for &port_type in types {
                wanted[port_type as usize].push((player, inputs));
                inputs += 1;
            }
            starts.push(inputs);
        }
        Some(Self {
            starts,
            feeds,
            wanted,
            gathers,
        })
    }

    /// How many Players there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.feeds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.feeds.is_empty()
    }

    /// How many required inputs a Player has.
    #[must_use]
    pub fn inputs_of(&self, player: u32) -> usize {
        self.inputs(player).len()
    }

    fn inputs(&self, player: u32) -> Range<usize> {
        self.starts[player as usize]..self.starts[player as usize + 1]
    }

    /// The cheapest way to every Player: its own cost and that of the cheapest feeder of each input.
    ///
    /// `costs` and `usable` are by Player, `there` are those in the graph, whose makings feed it already, and `open`
    /// those that it feeds in part or whole. `ask` is called for those that are to be asked for; its error ends the
    /// search. Players beyond the index are a mistake of the caller and panic.
    ///
    /// An input takes the first Player that is popped and may feed it, so that those of one type wait in one list,
    /// which that Player empties: inputs are looked at once, not once for each Player that could feed them.
    pub fn plan<E>(
        &self,
        costs: &[f64],
        usable: &[Usable],
        there: &[u32],
        open: &[Open],
        mut ask: impl FnMut(u32) -> Result<bool, E>,
    ) -> Result<Plans, E> {
        let mut may = |player: u32| match usable[player as usize] {
            Usable::No => Ok(false),
            Usable::Yes => Ok(true),
            Usable::Ask => ask(player),
        };
        let mut search = Search::new(self, costs, there, open);
        let sources = (0..self.len() as u32).filter(|&player| self.inputs(player).is_empty());
        let served = open.iter().filter(|(_, inputs)| inputs.is_empty());
        for player in sources.chain(served.map(|(player, _)| *player)) {
            if may(player)? {
                search.push(player);
            }
        }
        while let Some(player) = search.pop() {
            if search.is_there[player as usize] {
                // What it makes feeds the graph's inputs already; an input that is open wants another maker.
                continue;
            }
            for &port_type in &self.feeds[player as usize] {
                search.feed(player, port_type as usize, &mut may)?;
            }
        }
        Ok(search.plans())
    }
}

/// The order of the queue: the cheapest first, of two the one that comes first.
#[derive(PartialEq)]
struct Reached(f64, u32);

impl Eq for Reached {}

impl PartialOrd for Reached {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reached {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

struct Search<'a> {
    index: &'a Index,
    costs: Vec<f64>,
    is_there: Vec<bool>,
    /// The feeder of each input of all Players, `NONE` or `FED`.
    chosen: Vec<i32>,
    /// For each type that something has fed the inputs that are left; before that they are those of the index.
    waiting: Vec<Option<Vec<(u32, usize)>>>,
    queue: BinaryHeap<Reverse<Reached>>,
    found: Vec<f64>,
    order: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(index: &'a Index, costs: &[f64], there: &[u32], open: &[Open]) -> Self {
        let mut chosen = vec![NONE; index.starts.last().copied().unwrap_or_default()];
        for (player, inputs) in open {
            let range = index.inputs(*player);
            chosen[range.clone()].fill(FED);
            for &input in inputs {
                chosen[range.clone()][input as usize] = NONE;
            }
        }
        let mut is_there = vec![false; index.len()];
        for &player in there {
            is_there[player as usize] = true;
        }
        Self {
            index,
            costs: costs.to_vec(),
            is_there,
            chosen,
            waiting: vec![None; index.wanted.len()],
            queue: BinaryHeap::new(),
            found: vec![f64::NAN; index.len()],
            order: Vec::new(),
        }
    }

    fn push(&mut self, player: u32) {
        let cost = self.costs[player as usize];
        self.queue.push(Reverse(Reached(cost, player)));
    }

    /// The next Player in the order of costs, which stands from now on.
    fn pop(&mut self) -> Option<u32> {
        loop {
            let Reverse(Reached(cost, player)) = self.queue.pop()?;
            if self.found[player as usize].is_nan() {
                self.found[player as usize] = cost;
                self.order.push(player);
                return Some(player);
            }
        }
    }

    /// Lets a Player feed the inputs of a type that wait, and puts those Players into the queue that have all.
    fn feed<E>(
        &mut self,
        player: u32,
        port_type: usize,
        may: &mut impl FnMut(u32) -> Result<bool, E>,
    ) -> Result<(), E> {
        let first = self.waiting[port_type].take();
        let ends = first.as_ref().unwrap_or(&self.index.wanted[port_type]);
        let mut left = Vec::new();
        for &(consumer, input) in ends {
            if self.chosen[input] != NONE {
                continue;
            }
            let inputs = self.index.inputs(consumer);
            // Two inputs of one Player that want the same are not fed by the same step, and none by itself.
            let feeds_another = self.chosen[inputs.clone()].contains(&(player as i32));
            if consumer == player || (feeds_another && !self.index.gathers[port_type]) {
                left.push((consumer, input));
                continue;
            }
            self.chosen[input] = player as i32;
            self.costs[consumer as usize] += self.found[player as usize];
            if !self.chosen[inputs].contains(&NONE) && may(consumer)? {
                self.push(consumer);
            }
        }
        self.waiting[port_type] = Some(left);
        Ok(())
    }

    fn plans(self) -> Plans {
        let mut starts = vec![0];
        let mut feeders = Vec::new();
        for (player, cost) in (0..).zip(&self.found) {
            if !cost.is_nan() {
                let chosen = self.chosen[self.index.inputs(player)].iter();
                feeders.extend(chosen.filter(|&&feeder| feeder >= 0).map(|&f| f as u32));
            }
            starts.push(feeders.len());
        }
        Plans {
            cost: self.found,
            order: self.order,
            starts,
            feeders,
        }
    }
}

/// The cheapest way to every Player that can be reached.
#[derive(Debug, Default)]
pub struct Plans {
    /// By Player, not a number for those that cannot be reached.
    cost: Vec<f64>,
    order: Vec<u32>,
    starts: Vec<usize>,
    feeders: Vec<u32>,
}

impl Plans {
    /// How many Players the search was over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cost.len()
    }

    /// Whether it was over none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cost.is_empty()
    }

    /// The Players that can be reached, the cheapest first.
    #[must_use]
    pub fn reached(&self) -> &[u32] {
        &self.order
    }

    /// What a Player costs with all steps before it; None for one that cannot be reached.
    #[must_use]
    pub fn cost(&self, player: u32) -> Option<f64> {
        let cost = self.cost.get(player as usize).copied();
        cost.filter(|cost| !cost.is_nan())
    }

    /// The Players that must be added for a Player's inputs, one for each that the graph does not feed.
    #[must_use]
    pub fn feeders(&self, player: u32) -> &[u32] {
        let player = player as usize;
        if player >= self.cost.len() {
            return &[];
        }
        &self.feeders[self.starts[player]..self.starts[player + 1]]
    }

    /// The Players to add before `player`, in order, each once.
    #[must_use]
    pub fn steps(&self, player: u32) -> Vec<u32> {
        let mut steps = Vec::new();
        // Each Player on the way with the place of the feeder that is looked at next.
        let mut way = vec![(player, 0)];
        while let Some((here, next)) = way.last_mut() {
            if let Some(&feeder) = self.feeders(*here).get(*next) {
                *next += 1;
                if !steps.contains(&feeder) {
                    way.push((feeder, 0));
                }
            } else {
                let here = *here;
                way.pop();
                if !way.is_empty() && !steps.contains(&here) {
                    steps.push(here);
                }
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    const TYPES: u32 = 6;

    /// Players with the types that they want, the one that they make, what they cost, and whether they are usable.
    fn players() -> impl Strategy<Value = Vec<(Vec<u32>, u32, f64, bool)>> {
        let wants = prop::sample::subsequence((0..TYPES).collect::<Vec<_>>(), 0..=3);
        prop::collection::vec(
            (wants, 0..TYPES, 1.0..4.0_f64, prop::bool::weighted(0.9)),
            1..30,
        )
    }

    fn plan(players: &[(Vec<u32>, u32, f64, bool)]) -> Plans {
        let wants: Vec<_> = players.iter().map(|p| p.0.clone()).collect();
        let feeds = players.iter().map(|p| vec![p.1]).collect();
        let index = Index::new(&wants, feeds, vec![false; TYPES as usize]).unwrap();
        let costs: Vec<_> = players.iter().map(|p| p.2).collect();
        let asked = vec![Usable::Ask; players.len()];
        let ask = |player: u32| Ok::<_, Infallible>(players[player as usize].3);
        index.plan(&costs, &asked, &[], &[], ask).unwrap()
    }

    proptest! {
        /// Against costs that are lowered until nothing changes.
        #[test]
        fn every_player_is_reached_as_cheaply_as_can_be(players in players()) {
            let mut costs = vec![f64::INFINITY; players.len()];
            for _ in 0..players.len() {
                for (place, (wants, _, own, usable)) in players.iter().enumerate() {
                    let cheapest = |port_type: &u32| {
                        let makers = players.iter().enumerate();
                        let makers = makers.filter(|(p, maker)| *p != place && maker.1 == *port_type);
                        makers.map(|(p, _)| costs[p]).fold(f64::INFINITY, f64::min)
                    };
                    let inputs: f64 = wants.iter().map(cheapest).sum();
                    costs[place] = if *usable { own + inputs } else { f64::INFINITY };
                }
            }
            let plans = plan(&players);
            for (player, &cost) in (0..).zip(&costs) {
                let found = plans.cost(player).unwrap_or(f64::INFINITY);
                prop_assert!(found == cost || (found - cost).abs() < 1e-9, "{found} is not {cost}");
            }
        }

        /// The steps are in an order that can be made, each once, and none is missing.
        #[test]
        fn steps_come_before_what_needs_them(players in players()) {
            let plans = plan(&players);
            for &player in plans.reached() {
                let steps = plans.steps(player);
                for (place, &step) in steps.iter().enumerate() {
                    prop_assert!(!steps[..place].contains(&step));
                    prop_assert!(plans.feeders(step).iter().all(|f| steps[..place].contains(f)));
                }
                prop_assert!(plans.feeders(player).iter().all(|f| steps.contains(f)));
            }
        }
    }

    #[test]
    fn what_the_graph_feeds_needs_no_step_and_what_gathers_takes_one_twice() {
        let index = Index::new(&[vec![], vec![0, 0]], vec![vec![0], vec![]], vec![true]).unwrap();
        let never = |_| Ok::<_, Infallible>(false);
        let both = [Usable::Yes; 2];
        let plans = index.plan(&[1.0, 1.0], &both, &[], &[], never).unwrap();
        assert_eq!((plans.feeders(1), plans.cost(1)), (&[0, 0][..], Some(3.0)));
        assert_eq!(plans.steps(1), [0]);
        let plans = index
            .plan(&[1.0, 1.0], &both, &[0], &[(1, vec![])], never)
            .unwrap();
        assert_eq!((plans.feeders(1), plans.cost(1)), (&[][..], Some(1.0)));
    }

    #[test]
    fn a_way_through_ten_thousand_players_overflows_nothing() {
        let wants: Vec<_> = (0..10_000)
            .map(|n| if n == 0 { vec![] } else { vec![n - 1] })
            .collect();
        let feeds = (0..10_000)
            .map(|n| if n == 9_999 { vec![] } else { vec![n] })
            .collect();
        let index = Index::new(&wants, feeds, vec![false; 9_999]).unwrap();
        let never = |_| Ok::<_, Infallible>(false);
        let plans = index
            .plan(&[1.0; 10_000], &[Usable::Yes; 10_000], &[], &[], never)
            .unwrap();
        assert_eq!(plans.steps(9_999), (0..9_999).collect::<Vec<_>>());
    }
}
