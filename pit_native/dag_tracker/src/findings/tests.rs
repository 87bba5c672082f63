//! Validation against a naive reading of the same definitions.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

#[test]
fn everything_is_found_at_once() {
    let edges = [
        (0, 1),
        (1, 2),
        (2, 1), // the first knot
        (2, 3), // blocked
        (4, 4), // its own loop
        (0, 9), // unknown
        (0, 1), // repeated
        (5, 6),
        (6, 5), // the second knot, which nothing leads to
    ];
    let findings = validate(8, &edges).unwrap();
    assert_eq!(
        findings,
        [
            Finding::UnknownNode {
                edge: 5,
                node: 9,
                end: End::Target
            },
            Finding::SelfLoop { edge: 4, node: 4 },
            Finding::DuplicateEdge { edge: 6, first: 0 },
            Finding::Cycle(Cycle(vec![1, 2, 1])),
            Finding::Cycle(Cycle(vec![5, 6, 5])),
            Finding::Blocked(vec![3]),
            Finding::Unreachable(vec![4, 5, 6]),
            Finding::Orphans(vec![7]),
        ]
    );
    let words: Vec<String> = findings
        .iter()
        .map(|f| f.words(|n| format!("n{n}")))
        .collect();
    assert_eq!(words[0], "edge 5 names n9, which is no node");
    assert_eq!(words[3], "a cycle: n1 → n2 → n1");
    assert_eq!(words[6], "no start leads to n4, n5, n6");
    assert_eq!(findings[2].edges(), [0, 6]);
    assert!(!findings[2].is_error() && findings[3].is_error());
}

#[test]
fn a_sound_graph_has_no_findings_and_one_node_is_no_orphan() {
    assert!(validate(3, &[(0, 1), (1, 2)]).unwrap().is_empty());
    assert!(validate::<(u32, u32)>(1, &[]).unwrap().is_empty());
    assert!(validate::<(u32, u32)>(0, &[]).unwrap().is_empty());
}

#[test]
fn a_ring_of_a_hundred_thousand_is_one_cycle() {
    let n = 100_000u32;
    let edges: Vec<_> = (0..n).map(|i| (i, (i + 1) % n)).collect();
    let findings = validate(n as usize, &edges).unwrap();
    assert_eq!(findings.len(), 2);
    assert_eq!(findings[0].nodes().len(), n as usize + 1);
    assert_eq!(findings[1].nodes().len(), n as usize);
    assert_eq!(findings[1].code(), "unreachable");
}

/// `reaches[a][b]`: whether a way of at least one edge leads from a to b.
fn closure(nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<bool>> {
    let mut reaches = vec![vec![false; nodes]; nodes];
    for &(a, b) in edges {
        reaches[a as usize][b as usize] = true;
    }
    for via in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                reaches[from][to] |= reaches[from][via] && reaches[via][to];
            }
        }
    }
    reaches
}

proptest! {
    #[test]
    fn it_finds_what_the_definitions_say(
        nodes in 1usize..12, raw in proptest::collection::vec((0u32..14, 0u32..14), 0..30)
    ) {
        let findings = validate(nodes, &raw).unwrap();
        let is_known = |&(a, b): &(u32, u32)| (a.max(b) as usize) < nodes;
        let known: Vec<(u32, u32)> = raw.iter().copied().filter(is_known).collect();
        let reaches = closure(nodes, &known);
        let all = 0..nodes as u32;
        let knotted = |n: u32| reaches[n as usize][n as usize];
        let touched = |n: u32| known.iter().any(|&(a, b)| a == n || b == n);
        let is_start = |n: u32| !known.iter().any(|&(_, b)| b == n);
        let reached = |n: u32| is_start(n)
            || all.clone().any(|s| is_start(s) && reaches[s as usize][n as usize]);
        let nodes_of = |code: &str| findings.iter().filter(|f| f.code() == code)
            .flat_map(|f| f.nodes().to_vec()).collect::<Vec<u32>>();
        let where_is = |test: &dyn Fn(u32) -> bool| all.clone().filter(|&n| test(n)).collect::<Vec<_>>();

        let unknown: Vec<u32> = findings.iter().filter_map(|f| match *f {
            Finding::UnknownNode { edge, node, end } => {
                let (a, b) = raw[edge as usize];
                assert_eq!(node, if end == End::Source { a } else { b });
                Some(node)
            }
            _ => None,
        }).collect();
        let expected: Vec<u32> = raw.iter().flat_map(|&(a, b)| [a, b])
            .filter(|&n| n as usize >= nodes).collect();
        prop_assert_eq!(unknown, expected);

        for (at, edge) in raw.iter().enumerate().filter(|(_, e)| is_known(e)) {
            let first = raw.iter().position(|other| other == edge).unwrap();
            let repeated = Finding::DuplicateEdge { edge: at as u32, first: first as u32 };
            prop_assert_eq!(findings.contains(&repeated), first != at);
            let own = Finding::SelfLoop { edge: at as u32, node: edge.0 };
            prop_assert_eq!(findings.contains(&own), edge.0 == edge.1);
        }
        let blocked = |n: u32| !knotted(n)
            && all.clone().any(|s| knotted(s) && reaches[s as usize][n as usize]);
        prop_assert_eq!(nodes_of("blocked"), where_is(&blocked));
        prop_assert_eq!(nodes_of("unreachable"), where_is(&|n| !reached(n)));
        prop_assert_eq!(nodes_of("orphan"), where_is(&|n| nodes > 1 && !touched(n)));

        // One cycle, a real and a shortest one, for each set of nodes that reach each other.
        let mutual = |n: u32| where_is(&|m| {
            m == n || (reaches[n as usize][m as usize] && reaches[m as usize][n as usize])
        });
        let knots: BTreeSet<Vec<u32>> = all.clone().filter(|&n| knotted(n)).map(mutual)
            .filter(|knot| knot.len() > 1).collect();
        let cycles: Vec<Vec<u32>> = findings.iter().filter(|f| f.code() == "cycle")
            .map(|f| f.nodes().to_vec()).collect();
        prop_assert_eq!(cycles.len(), knots.len());
        for (cycle, knot) in cycles.iter().zip(&knots) {
            prop_assert_eq!((cycle[0], cycle.last()), (knot[0], Some(&knot[0])));
            prop_assert!(cycle.windows(2).all(|p| known.contains(&(p[0], p[1]))));
            prop_assert!(cycle.iter().all(|n| knot.contains(n)));
            let inner: BTreeSet<_> = cycle.iter().collect();
            prop_assert_eq!(inner.len() + 1, cycle.len());
        }
        let is_refused = findings.iter().any(Finding::is_error);
        let built = Graph::new(nodes, &raw).ok().is_some_and(|g| g.topological_order().is_ok());
        prop_assert_eq!(built, !is_refused);
    }
}
