//! All that is wrong with a graph, found at once.

use crate::graph::{Cycle, Graph, GraphError};
use crate::tracker::Tracker;

/// Which end of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Where it begins.
    Source,
    /// Where it ends.
    Target,
}

/// Something that is wrong, or looks wrong, with a graph. Edges are named by their position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A node has the id of an earlier one. Only who has names can find this; [`validate`] does not.
    DuplicateNode {
        /// The later one.
        node: u32,
        /// The earlier one.
        first: u32,
    },
    /// An edge that is no pair of ids. Only who reads edges from outside can find this.
    MalformedEdge {
        /// The edge.
        edge: u32,
    },
    /// An edge names a node that does not exist.
    UnknownNode {
        /// The edge.
        edge: u32,
        /// The number that it names.
        node: u32,
        /// Where it names it.
        end: End,
    },
    /// An edge leads from a node to itself.
    SelfLoop {
        /// The edge.
        edge: u32,
        /// The node.
        node: u32,
    },
    /// An edge connects the same two nodes as an earlier one.
    DuplicateEdge {
        /// The later one.
        edge: u32,
        /// The earlier one.
        first: u32,
    },
    /// A shortest cycle through the smallest node of a knot, that is, of nodes that reach each other.
    Cycle(Cycle),
    /// Nodes that are in no cycle but come after one, so they can never be ready.
    Blocked(Vec<u32>),
    /// Nodes to which no path leads from a node without incoming edges.
    Unreachable(Vec<u32>),
    /// Nodes without any edge, in a graph of several.
    Orphans(Vec<u32>),
}

impl Finding {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DuplicateNode { .. } => "duplicate_node",
            Self::MalformedEdge { .. } => "malformed_edge",
            Self::UnknownNode { .. } => "unknown_node",
            Self::SelfLoop { .. } => "self_loop",
            Self::DuplicateEdge { .. } => "duplicate_edge",
            Self::Cycle(_) => "cycle",
            Self::Blocked(_) => "blocked",
            Self::Unreachable(_) => "unreachable",
            Self::Orphans(_) => "orphan",
        }
    }

    /// Whether no tracker can be made of such a graph; the rest only looks wrong.
    pub fn is_error(&self) -> bool {
        !matches!(self, Self::DuplicateEdge { .. } | Self::Orphans(_))
    }

    /// The nodes that it is about; those that do not exist are not among them.
    pub fn nodes(&self) -> &[u32] {
        match self {
            Self::DuplicateNode { node, .. } | Self::SelfLoop { node, .. } => {
                std::slice::from_ref(node)
            }
            Self::Cycle(Cycle(nodes)) => nodes,
            Self::Blocked(nodes) | Self::Unreachable(nodes) | Self::Orphans(nodes) => nodes,
            Self::MalformedEdge { .. } | Self::UnknownNode { .. } | Self::DuplicateEdge { .. } => {
                &[]
            }
        }
    }

    /// The edges that it is about.
    pub fn edges(&self) -> Vec<u32> {
        match *self {
            Self::MalformedEdge { edge }
            | Self::UnknownNode { edge, .. }
            | Self::SelfLoop { edge, .. } => {
                vec![edge]
            }
            Self::DuplicateEdge { edge, first } => vec![first, edge],
            _ => Vec::new(),
        }
    }

    /// One sentence. `name` gives a node's name; it is asked for unknown ones too.
    pub fn words(&self, name: impl Fn(u32) -> String) -> String {
        let listed = |nodes: &[u32]| {
            let shown: Vec<String> = nodes.iter().take(5).map(|&node| name(node)).collect();
            let rest = match nodes.len().saturating_sub(5) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{}{rest}", shown.join(", "))
        };
        match self {
            Self::DuplicateNode { node, .. } => format!("the node {} is there twice", name(*node)),
            Self::MalformedEdge { edge } => format!("edge {edge} is no pair of ids"),
            Self::UnknownNode { edge, node, .. } => {
                format!("edge {edge} names {}, which is no node", name(*node))
            }
            Self::SelfLoop { edge, node } => {
                format!("edge {edge} leads from {} to itself", name(*node))
            }
            Self::DuplicateEdge { edge, first } => format!("edge {edge} repeats edge {first}"),
            Self::Cycle(Cycle(nodes)) => {
                let names: Vec<String> = nodes.iter().map(|&node| name(node)).collect();
                format!("a cycle: {}", names.join(" → "))
            }
            Self::Blocked(nodes) => {
                format!("{} can never be ready, behind a cycle", listed(nodes))
            }
            Self::Unreachable(nodes) => format!("no start leads to {}", listed(nodes)),
            Self::Orphans(nodes) => format!("no edge joins {} to the rest", listed(nodes)),
        }
    }
}

/// Everything that is wrong with the graph of `nodes` nodes and `edges`, each a source and a target.
///
/// Unknown nodes come first, then self-loops and repeated edges by position, then one cycle for each
/// knot, blocked, unreachable and lone nodes. Linear in nodes and edges, and without recursion.
pub fn validate<E: Copy + Into<(u32, u32)>>(
    nodes: usize,
    edges: &[E],
) -> Result<Vec<Finding>, GraphError> {
    check(nodes, edges).map(|(findings, _)| findings)
}

/// As [`validate`], and the tracker of the graph when no finding is an error: what is found out for the one serves
/// the other.
pub fn check<E: Copy + Into<(u32, u32)>>(
    nodes: usize,
    edges: &[E],
) -> Result<(Vec<Finding>, Option<Tracker>), GraphError> {
    let is_unknown = |&edge: &E| {
        let (source, target) = edge.into();
        source.max(target) as usize >= nodes
    };
    if !edges.iter().any(is_unknown) {
        let graph = Graph::new(nodes, edges)?;
        let (findings, order) = findings_of(&graph);
        let tracker = order.map(|order| Tracker::in_order(graph, order));
        return Ok((findings, tracker));
    }
    let (mut known, mut places, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    for (edge, &ends) in edges.iter().enumerate() {
        let (source, target) = ends.into();
        let edge = u32::try_from(edge).map_err(|_| GraphError::TooLarge)?;
        if source.max(target) as usize >= nodes {
            for (node, end) in [(source, End::Source), (target, End::Target)] {
                if node as usize >= nodes {
                    findings.push(Finding::UnknownNode { edge, node, end });
                }
            }
        } else {
            known.push((source, target));
            places.push(edge);
        }
    }
    for mut finding in findings_of(&Graph::new(nodes, &known)?).0 {
        match &mut finding {
            Finding::SelfLoop { edge, .. } => *edge = places[*edge as usize],
            Finding::DuplicateEdge { edge, first } => {
                *edge = places[*edge as usize];
                *first = places[*first as usize];
            }
            _ => {}
        }
        findings.push(finding);
    }
    Ok((findings, None))
}

/// What is wrong with `graph`, and its order if it has one.
fn findings_of(graph: &Graph) -> (Vec<Finding>, Option<Vec<u32>>) {
    let mut findings = odd_edges(graph);
    let (order, waiting) = graph.sort();
    if order.len() < graph.nodes() {
        add_cycles(graph, &waiting, &mut findings);
    }
    let is_lone =
        |node: &u32| graph.in_degrees()[*node as usize] == 0 && graph.successors(*node).is_empty();
    let lone: Vec<u32> = order.iter().copied().filter(is_lone).collect();
    if !lone.is_empty() && graph.nodes() > 1 {
        findings.push(Finding::Orphans(lone));
    }
    let is_whole = order.len() == graph.nodes();
    (findings, is_whole.then_some(order))
}

/// Self-loops and repeated edges, in the order of the edges.
fn odd_edges(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    // For each target where it was last seen: a place in the row of the source at hand, counted from
    // 1, or one in an earlier row.
    let mut seen = vec![0u32; graph.nodes()];
    for source in 0..graph.nodes() as u32 {
        let row = graph.range(source).start as u32;
        for (at, &target) in graph.successors(source).iter().enumerate() {
            let place = row + at as u32;
            let before = seen[target as usize];
            let edge = || graph.out_edges(source)[at];
            if target == source {
                let edge = edge();
                findings.push(Finding::SelfLoop { edge, node: source });
            }
            if before > row {
                let first = graph.out_edges(source)[(before - 1 - row) as usize];
                findings.push(Finding::DuplicateEdge {
                    edge: edge(),
                    first,
                });
            } else {
                seen[target as usize] = place + 1;
            }
        }
    }
    findings.sort_by_key(|finding| match *finding {
        Finding::SelfLoop { edge, .. } | Finding::DuplicateEdge { edge, .. } => edge,
        _ => 0,
    });
    findings
}

/// What follows from cycles; `waiting` as Kahn's algorithm left it.
fn add_cycles(graph: &Graph, waiting: &[u32], findings: &mut Vec<Finding>) {
    let knots = knots(graph, waiting);
    let mut is_knotted = vec![false; graph.nodes()];
    for knot in &knots {
        for &node in knot {
            is_knotted[node as usize] = true;
        }
    }
    let mut knot_of = vec![u32::MAX; graph.nodes()];
    let mut came_from = vec![u32::MAX; graph.nodes()];
    for (number, knot) in knots.iter().enumerate() {
        for &node in knot {
            knot_of[node as usize] = number as u32;
        }
        if knot.len() > 1 {
            let cycle = shortest_cycle(graph, knot[0], &knot_of, &mut came_from);
            findings.push(Finding::Cycle(cycle));
        }
    }
    let blocked: Vec<u32> = (0..graph.nodes() as u32)
        .filter(|&node| waiting[node as usize] > 0 && !is_knotted[node as usize])
        .collect();
    if !blocked.is_empty() {
        findings.push(Finding::Blocked(blocked));
    }
    let unreachable = unreachable(graph);
    if !unreachable.is_empty() {
        findings.push(Finding::Unreachable(unreachable));
    }
}

/// The nodes that reach themselves, grouped by which reach each other, each group sorted, the groups by
/// their first node (Tarjan's algorithm over the nodes that wait, with a stack of its own).
fn knots(graph: &Graph, waiting: &[u32]) -> Vec<Vec<u32>> {
    const NEVER: u32 = u32::MAX;
    let nodes = graph.nodes();
    let (mut number, mut low) = (vec![NEVER; nodes], vec![0u32; nodes]);
    let mut is_open = vec![false; nodes];
    let (mut open, mut walk): (Vec<u32>, Vec<(u32, usize)>) = (Vec::new(), Vec::new());
    let mut count = 0;
    let mut knots: Vec<Vec<u32>> = Vec::new();
    for start in 0..nodes as u32 {
        if waiting[start as usize] == 0 || number[start as usize] != NEVER {
            continue;
        }
        walk.push((start, 0));
        while let Some((node, next)) = walk.last_mut() {
            let node = *node;
            if *next == 0 {
                number[node as usize] = count;
                low[node as usize] = count;
                count += 1;
                open.push(node);
                is_open[node as usize] = true;
            }
            if let Some(&target) = graph.successors(node).get(*next) {
                *next += 1;
                if number[target as usize] == NEVER {
                    walk.push((target, 0));
                } else if is_open[target as usize] {
                    low[node as usize] = low[node as usize].min(number[target as usize]);
                }
                continue;
            }
            walk.pop();
            if let Some(&(parent, _)) = walk.last() {
                low[parent as usize] = low[parent as usize].min(low[node as usize]);
            }
            if low[node as usize] == number[node as usize] {
                let from = open.iter().rposition(|&other| other == node).unwrap_or(0);
                let mut knot = open.split_off(from);
                for &member in &knot {
                    is_open[member as usize] = false;
                }
                if knot.len() > 1 || graph.successors(node).contains(&node) {
                    knot.sort_unstable();
                    knots.push(knot);
                }
            }
        }
    }
    knots.sort_unstable();
    knots
}

/// A shortest way from `start` back to itself within its knot, breadth first. `came_from` is shared by
/// all knots, of which each writes its own part.
fn shortest_cycle(graph: &Graph, start: u32, knot_of: &[u32], came_from: &mut [u32]) -> Cycle {
    let knot = knot_of[start as usize];
    let mut queue = vec![start];
    let mut done = 0;
    while done < queue.len() {
        let node = queue[done];
        done += 1;
        for &target in graph.successors(node) {
            // Its own loop is a finding of its own.
            if target == start && node != start {
                let mut cycle = vec![start, node];
                let mut at = node;
                while at != start {
                    at = came_from[at as usize];
                    cycle.push(at);
                }
                cycle.reverse();
                return Cycle(cycle);
            }
            let is_new = target != start && came_from[target as usize] == u32::MAX;
            if is_new && knot_of[target as usize] == knot {
                came_from[target as usize] = node;
                queue.push(target);
            }
        }
    }
    Cycle(vec![start, start])
}

fn unreachable(graph: &Graph) -> Vec<u32> {
    let nodes = graph.nodes() as u32;
    let starts = (0..nodes).filter(|&node| graph.in_degrees()[node as usize] == 0);
    let mut queue: Vec<u32> = starts.collect();
    let mut is_reached = vec![false; nodes as usize];
    for &node in &queue {
        is_reached[node as usize] = true;
    }
    while let Some(node) = queue.pop() {
        for &target in graph.successors(node) {
            if !std::mem::replace(&mut is_reached[target as usize], true) {
                queue.push(target);
            }
        }
    }
    (0..nodes)
        .filter(|&node| !is_reached[node as usize])
        .collect()
}

#[cfg(test)]
mod tests;
