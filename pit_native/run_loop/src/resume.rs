//! Which finished nodes of an earlier life of the run need not be played again.

use crate::plan::Plan;

/// The finished nodes all of whose sources are kept too.
pub fn keepable(plan: &Plan, is_finished: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut is_kept = vec![false; plan.nodes.len()];
    let mut lacks_source = vec![false; plan.nodes.len()];
    let order = plan.graph.topological_order().unwrap_or_default();
    for &node in &order {
        is_kept[node as usize] = is_finished(node) && !lacks_source[node as usize];
        for &edge in plan.graph.out_edges(node) {
            let edge = &plan.edges[edge as usize];
            // A source that a node could do without need not be kept with it.
            if !is_kept[node as usize] && !edge.is_optional {
                lacks_source[edge.target as usize] = true;
            }
        }
    }
    (0..plan.nodes.len() as u32)
        .filter(|&node| is_kept[node as usize])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    proptest! {
        /// Whatever was finished: kept is what was and whose sources are, but for those that it can do without.
        #[test]
        fn a_node_is_kept_with_all_that_it_needs(
            finished in prop::collection::vec(any::<bool>(), 1..12),
            edges in prop::collection::vec((0u32..12, 0u32..12, any::<bool>()), 0..24),
        ) {
            let count = finished.len() as u32;
            let mut edges: Vec<(u32, u32, bool)> = edges
                .into_iter()
                .map(|(a, b, is_optional)| (a.min(b), a.max(b), is_optional))
                .filter(|&(a, b, _)| a != b && b < count)
                .collect();
            edges.sort_unstable();
            edges.dedup_by_key(|(a, b, _)| (*a, *b));
            let pairs: Vec<_> = edges
                .iter()
                .map(|&(a, b, is_optional)| (if is_optional { "optional" } else { "control" }, a, b))
                .collect();
            let plan = testing::plan(testing::nodes(count as usize), &pairs);
            let kept = keepable(&plan, |node| finished[node as usize]);
            // Sources have lower numbers, so one pass in their order decides.
            let mut expected: Vec<u32> = Vec::new();
            for node in 0..count {
                let has_sources = edges
                    .iter()
                    .all(|&(a, b, is_optional)| b != node || is_optional || expected.contains(&a));
                if finished[node as usize] && has_sources {
                    expected.push(node);
                }
            }
            prop_assert_eq!(kept, expected);
        }
    }
}
