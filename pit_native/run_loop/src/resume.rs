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
