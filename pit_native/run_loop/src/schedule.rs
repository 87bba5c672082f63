//! How good the order is in which nodes are played: a run under a virtual clock, and the least that it can take.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::instructions::{Event, Instruction};
use crate::machine::{Machine, Rank};
use crate::plan::Plan;

/// The order in which waiting nodes get a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As runs do it.
    MostCritical,
    /// In the order in which they became ready, for comparison.
    FirstCome,
}

/// Seconds that `plan` takes on so many processors when each node takes its expected time and holds one.
pub fn makespan(plan: &Arc<Plan>, processors: usize, order: Order) -> f64 {
    let mut machine = Machine::new(plan.clone(), &[], &[]);
    let (mut line, mut arrivals) = (BinaryHeap::new(), BTreeMap::new());
    let mut ends: BinaryHeap<Reverse<(u64, u32, u32)>> = BinaryHeap::new();
    let (mut free, mut now, mut counter) = (processors, 0.0, 0u64);
    let mut events = vec![Event::Begin];
    let mut out = Vec::new();
    loop {
        for event in events.drain(..) {
            machine.handle(event, &mut out);
        }
        for instruction in out.drain(..) {
            match instruction {
                Instruction::Request(node) => {
                    counter += 1;
                    arrivals.insert(counter, node);
                    line.push(Rank::of(plan, node));
                }
                Instruction::Start { node, attempt } => {
                    let end: f64 = now + plan.nodes[node as usize].seconds;
                    // The bits of numbers that are not negative are in the order of the numbers.
                    ends.push(Reverse((end.to_bits(), node, attempt)));
                }
                Instruction::Release(_) => free += 1,
                Instruction::Evaluate(edge) => events.push(Event::Condition { edge, holds: true }),
                _ => {}
            }
        }
        if !events.is_empty() {
            continue;
        }
        let next = match order {
            Order::MostCritical if free > 0 => line.pop().map(|rank| rank.node),
            Order::FirstCome if free > 0 => arrivals.pop_first().map(|(_, node)| node),
            _ => None,
        };
        if let Some(node) = next {
            free -= 1;
            events.push(Event::Granted(node));
        } else if let Some(Reverse((end, node, attempt))) = ends.pop() {
            now = f64::from_bits(end);
            events.push(Event::Finished { node, attempt });
            // What ends at the same moment ends before anything new begins.
            while let Some(&Reverse((same, node, attempt))) = ends.peek()
                && same == end
            {
                events.push(Event::Finished { node, attempt });
                ends.pop();
            }
        } else {
            return now;
        }
    }
}

/// The least that any order can take: the critical path, or all the work shared evenly.
pub fn lower_bound(plan: &Plan, processors: usize) -> f64 {
    let work: f64 = plan.nodes.iter().map(|node| node.seconds).sum();
    let path = plan.levels.iter().copied().fold(0.0, f64::max);
    path.max(work / processors as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, NodeSpec};

    #[test]
    fn the_most_critical_first_ends_sooner_than_first_come() {
        let edges = [("control", 3, 4), ("control", 4, 5), ("control", 5, 6)];
        let plan = Arc::new(testing::plan(testing::nodes(8), &edges));
        let times = [Order::MostCritical, Order::FirstCome].map(|order| makespan(&plan, 2, order));
        assert_eq!((times, lower_bound(&plan, 2)), ([4.0, 5.0], 4.0));
    }

    #[test]
    fn no_order_beats_the_bound_and_one_processor_does_all_the_work() {
        let seconds = (0..60).map(|at| NodeSpec {
            seconds: f64::from(at * 7 % 13),
            ..NodeSpec::default()
        });
        let edges: Vec<_> = (1..60).map(|i| ("control", i * 5 % i, i)).collect();
        let plan = Arc::new(testing::plan(seconds.collect(), &edges));
        for processors in [1, 4, 16] {
            for order in [Order::MostCritical, Order::FirstCome] {
                let time = makespan(&plan, processors, order);
                assert!(time >= lower_bound(&plan, processors) - 1e-9);
                assert!(processors > 1 || (time - lower_bound(&plan, 1)).abs() < 1e-9);
            }
        }
    }
}
