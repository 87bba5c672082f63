//! A directed graph in flat arrays, with the questions that scheduling asks of it.

use thiserror::Error;

/// The nodes of a cycle in order; the first is repeated at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<u32>);

/// Why a list of edges is no graph.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum GraphError {
    /// An edge names a node that does not exist.
    #[error("edge {edge} names node {node}, but there are only {nodes} nodes")]
    UnknownNode {
        /// Position of the edge in the list.
        edge: usize,
        /// The node it names.
        node: u32,
        /// How many nodes there are.
        nodes: u32,
    },
    /// More nodes or edges than 32-bit indices can name.
    #[error("the graph has more than 4294967294 nodes or edges")]
    TooLarge,
}

/// Successors of every node, side by side in one array (compressed sparse rows).
#[derive(Debug, Clone, Default)]
pub struct Graph {
    offsets: Vec<u32>,
    targets: Vec<u32>,
    edge_ids: Vec<u32>,
    in_degrees: Vec<u32>,
}

impl Graph {
    /// Builds the graph of `nodes` nodes and `edges`, each a source and a target; an edge's id is its
    /// position in `edges`.
    ///
    /// Several edges between the same two nodes are kept, and so are cycles: ask
    /// [`Graph::topological_order`] whether there are any.
    pub fn new<E: Copy + Into<(u32, u32)>>(nodes: usize, edges: &[E]) -> Result<Self, GraphError> {
        let limit = u32::MAX as usize - 1;
        if nodes > limit || edges.len() > limit {
            return Err(GraphError::TooLarge);
        }
        let mut offsets = vec![0u32; nodes + 1];
        let mut in_degrees = vec![0u32; nodes];
        for (edge, &ends) in edges.iter().enumerate() {
            let (source, target) = ends.into();
            let node = source.max(target);
            if node as usize >= nodes {
                return Err(GraphError::UnknownNode {
                    edge,
                    node,
                    nodes: nodes as u32,
                });
            }
            offsets[source as usize + 1] += 1;
            in_degrees[target as usize] += 1;
        }
        for i in 0..nodes {
            offsets[i + 1] += offsets[i];
        }
        let mut next = offsets.clone();
        let mut targets = vec![0u32; edges.len()];
        let mut edge_ids = vec![0u32; edges.len()];
        for (edge, &ends) in edges.iter().enumerate() {
            let (source, target) = ends.into();
            let slot = next[source as usize] as usize;
            next[source as usize] += 1;
            targets[slot] = target;
            edge_ids[slot] = edge as u32;
        }
        Ok(Self {
            offsets,
            targets,
            edge_ids,
            in_degrees,
        })
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.in_degrees.len()
    }

    /// How many edges there are.
    pub fn edges(&self) -> usize {
        self.targets.len()
    }

    /// How many edges end in each node.
    pub fn in_degrees(&self) -> &[u32] {
        &self.in_degrees
    }

    /// Where `node`'s edges lie in the arrays of targets and edge ids.
    pub(crate) fn range(&self, node: u32) -> std::ops::Range<usize> {
        self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize
    }

    /// The targets of `node`'s edges.
    pub fn successors(&self, node: u32) -> &[u32] {
        &self.targets[self.range(node)]
    }

    /// The ids of `node`'s outgoing edges, in the order of [`Graph::successors`].
    pub fn out_edges(&self, node: u32) -> &[u32] {
        &self.edge_ids[self.range(node)]
    }

    /// Source and target of every edge, by the edge's id.
    pub fn pairs(&self) -> Vec<(u32, u32)> {
        let mut pairs = vec![(0, 0); self.edges()];
        for node in 0..self.nodes() as u32 {
            for (&edge, &target) in self.out_edges(node).iter().zip(self.successors(node)) {
                pairs[edge as usize] = (node, target);
            }
        }
        pairs
    }

    /// All nodes, each after its sources (Kahn's algorithm), or a cycle.
    pub fn topological_order(&self) -> Result<Vec<u32>, Cycle> {
        let (order, waiting) = self.sort();
        if order.len() == self.nodes() {
            Ok(order)
        } else {
            Err(self.cycle_among(&waiting))
        }
    }

    /// The nodes that can be put in order, each after its sources: all but those in a cycle and behind one.
    pub fn sortable(&self) -> Vec<u32> {
        self.sort().0
    }

    /// The nodes that can be put in order, and for each node how many of its edges come from others.
    pub(crate) fn sort(&self) -> (Vec<u32>, Vec<u32>) {
        let mut waiting = self.in_degrees.clone();
        let mut order: Vec<u32> = Vec::with_capacity(self.nodes());
        order.extend((0..self.nodes() as u32).filter(|&i| waiting[i as usize] == 0));
        let mut done = 0;
        while done < order.len() {
            let node = order[done];
            done += 1;
            for &target in self.successors(node) {
                let left = &mut waiting[target as usize];
                *left -= 1;
                if *left == 0 {
                    order.push(target);
                }
            }
        }
        (order, waiting)
    }

    /// Follows edges backwards among the nodes that Kahn's algorithm left over: each of them has a
    /// source that is left over too, so the walk must come back to where it was.
    fn cycle_among(&self, waiting: &[u32]) -> Cycle {
        let mut source_of = vec![u32::MAX; self.nodes()];
        for node in (0..self.nodes() as u32).filter(|&i| waiting[i as usize] > 0) {
            for &target in self.successors(node) {
                source_of[target as usize] = node;
            }
        }
        let start = waiting.iter().position(|&left| left > 0).unwrap_or(0) as u32;
        let mut seen_at = vec![u32::MAX; self.nodes()];
        let mut walk = Vec::new();
        let mut node = start;
        while seen_at[node as usize] == u32::MAX {
            seen_at[node as usize] = walk.len() as u32;
            walk.push(node);
            node = source_of[node as usize];
        }
        let mut cycle = walk.split_off(seen_at[node as usize] as usize);
        cycle.reverse();
        let smallest = cycle
            .iter()
            .enumerate()
            .min_by_key(|&(_, id)| id)
            .map_or(0, |(at, _)| at);
        cycle.rotate_left(smallest);
        cycle.push(cycle[0]);
        Cycle(cycle)
    }

    /// For each node the weight of the heaviest path that starts with it, its own weight included.
    ///
    /// `order` is a topological order and `weights` has one number a node.
    pub fn bottom_levels(&self, order: &[u32], weights: &[f64]) -> Vec<f64> {
        let mut levels = vec![0.0f64; self.nodes()];
        for &node in order.iter().rev() {
            let below = self
                .successors(node)
                .iter()
                .map(|&t| levels[t as usize])
                .fold(0.0, f64::max);
            levels[node as usize] = weights[node as usize] + below;
        }
        levels
    }

    /// The nodes of the heaviest path, first to last; of equal ones that with the smaller nodes.
    ///
    /// `order` and `weights` as in [`Graph::bottom_levels`].
    pub fn critical_path(&self, order: &[u32], weights: &[f64]) -> Vec<u32> {
        let levels = self.bottom_levels(order, weights);
        let heaviest = |candidates: &mut dyn Iterator<Item = u32>| {
            candidates.reduce(|best, node| {
                let (a, b) = (levels[best as usize], levels[node as usize]);
                if b > a || (b == a && node < best) {
                    node
                } else {
                    best
                }
            })
        };
        let starts = (0..self.nodes() as u32).filter(|&i| self.in_degrees[i as usize] == 0);
        let mut path = Vec::new();
        let mut next = heaviest(&mut starts.into_iter());
        while let Some(node) = next {
            path.push(node);
            next = heaviest(&mut self.successors(node).iter().copied());
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cycle_is_named_in_order() {
        let graph = Graph::new(5, &[(0, 1), (1, 2), (2, 3), (3, 1), (3, 4)]).unwrap();
        assert_eq!(graph.topological_order(), Err(Cycle(vec![1, 2, 3, 1])));
        assert_eq!(graph.sortable(), [0]);
        let own = Graph::new(1, &[(0, 0)]).unwrap();
        assert_eq!(own.topological_order(), Err(Cycle(vec![0, 0])));
        assert_eq!(own.sortable(), []);
    }

    #[test]
    fn an_unknown_node_is_an_error() {
        assert_eq!(
            Graph::new(2, &[(0, 1), (1, 2)]).unwrap_err(),
            GraphError::UnknownNode {
                edge: 1,
                node: 2,
                nodes: 2
            }
        );
    }

    #[test]
    fn the_critical_path_is_the_heaviest() {
        let graph = Graph::new(5, &[(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]).unwrap();
        let order = graph.topological_order().unwrap();
        assert_eq!(
            graph.critical_path(&order, &[1.0, 1.0, 5.0, 1.0, 1.0]),
            [0, 2, 3, 4]
        );
        let none = Graph::new::<(u32, u32)>(0, &[]).unwrap();
        assert!(none.critical_path(&[], &[]).is_empty());
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_is_ordinary() {
        let n = 100_000u32;
        let mut edges: Vec<_> = (0..n - 1).map(|i| (i, i + 1)).collect();
        let graph = Graph::new(n as usize, &edges).unwrap();
        let order = graph.topological_order().unwrap();
        assert_eq!(order, (0..n).collect::<Vec<_>>());
        assert_eq!(graph.pairs(), edges);
        let path = graph.critical_path(&order, &vec![1.0; n as usize]);
        assert_eq!(path.len(), n as usize);
        edges.push((n - 1, 0));
        let ring = Graph::new(n as usize, &edges).unwrap();
        assert_eq!(
            ring.topological_order().unwrap_err().0.len(),
            n as usize + 1
        );
    }

    proptest! {
        #[test]
        fn every_order_holds_and_every_cycle_is_one(
            n in 1usize..30, raw in proptest::collection::vec((0u32..30, 0u32..30), 0..60)
        ) {
            let edges: Vec<_> = raw.into_iter().map(|(a, b)| (a % n as u32, b % n as u32)).collect();
            let graph = Graph::new(n, &edges).unwrap();
            match graph.topological_order() {
                Ok(order) => {
                    let mut place = vec![0; n];
                    for (at, &node) in order.iter().enumerate() { place[node as usize] = at; }
                    prop_assert_eq!(order.len(), n);
                    for &(a, b) in &edges { prop_assert!(place[a as usize] < place[b as usize]); }
                }
                Err(Cycle(cycle)) => {
                    prop_assert_eq!(cycle.first(), cycle.last());
                    prop_assert!(cycle.len() >= 2);
                    for pair in cycle.windows(2) {
                        prop_assert!(edges.contains(&(pair[0], pair[1])));
                    }
                }
            }
        }
    }
}
