//! The tracker against a model that keeps nothing but states and looks at every edge.

use super::*;
use proptest::prelude::*;

fn diamond() -> Tracker {
    Tracker::new(Graph::new(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]).unwrap()).unwrap()
}

#[test]
fn a_node_is_ready_when_all_sources_are_done() {
    let mut tracker = diamond();
    assert_eq!(tracker.order(), [0, 1, 2, 3]);
    assert_eq!(tracker.ready(), [0]);
    tracker.start(0).unwrap();
    assert_eq!(tracker.ready(), [0u32; 0]);
    assert_eq!(tracker.complete(0).unwrap(), [1, 2]);
    assert_eq!(tracker.complete(1).unwrap(), [0u32; 0]);
    assert_eq!(tracker.complete(2).unwrap(), [3]);
    assert_eq!(tracker.ready(), [3]);
    tracker.complete(3).unwrap();
    assert!(tracker.is_finished());
}

#[test]
fn what_depends_on_a_failure_is_skipped_once() {
    let mut tracker = diamond();
    let mut skipped = Vec::new();
    tracker.complete(0).unwrap();
    tracker.fail(1, &mut skipped).unwrap();
    assert_eq!(skipped, [3]);
    skipped.clear();
    tracker.fail(2, &mut skipped).unwrap();
    assert!(skipped.is_empty() && tracker.is_finished());
    let refused = TransitionError {
        node: 3,
        step: "start",
        state: State::Skipped,
    };
    assert_eq!(tracker.start(3), Err(refused));
}

#[test]
fn a_failure_reaches_down_a_chain_of_a_hundred_thousand() {
    let n = 100_000u32;
    let edges: Vec<_> = (0..n - 1).map(|i| (i, i + 1)).collect();
    let mut tracker = Tracker::new(Graph::new(n as usize, &edges).unwrap()).unwrap();
    let mut skipped = Vec::new();
    tracker.fail(0, &mut skipped).unwrap();
    assert_eq!(skipped.len(), n as usize - 1);
}

#[test]
fn the_ready_list_does_not_outgrow_the_graph() {
    let n = 1000u32;
    let edges: Vec<_> = (0..n - 1).map(|i| (i, i + 1)).collect();
    let mut tracker = Tracker::new(Graph::new(n as usize, &edges).unwrap()).unwrap();
    for node in 0..n {
        tracker.complete(node).unwrap();
        assert!(tracker.ready.len() <= 2 * n as usize);
    }
}

/// What the tracker should be: states alone, everything else read off the edges.
struct Model {
    edges: Vec<(u32, u32)>,
    states: Vec<State>,
}

impl Model {
    fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
        let mut model = Self {
            edges: edges.to_vec(),
            states: vec![State::Pending; nodes],
        };
        model.settle();
        model
    }

    /// Applies the rules until nothing changes; what became ready, then what was skipped.
    fn settle(&mut self) -> (Vec<u32>, Vec<u32>) {
        let (mut ready, mut skipped) = (Vec::new(), Vec::new());
        loop {
            let mut has_changed = false;
            for node in 0..self.states.len() {
                if self.states[node] != State::Pending {
                    continue;
                }
                let sources = self.edges.iter().filter(|e| e.1 as usize == node);
                let states: Vec<State> = sources.map(|e| self.states[e.0 as usize]).collect();
                if states
                    .iter()
                    .any(|s| matches!(s, State::Failed | State::Skipped))
                {
                    self.states[node] = State::Skipped;
                    skipped.push(node as u32);
                    has_changed = true;
                } else if states.iter().all(|&s| s == State::Done) {
                    self.states[node] = State::Ready;
                    ready.push(node as u32);
                    has_changed = true;
                }
            }
            if !has_changed {
                return (ready, skipped);
            }
        }
    }

    fn may_end(&self, node: u32) -> bool {
        matches!(self.states[node as usize], State::Ready | State::Running)
    }
}

fn sorted(nodes: &[u32]) -> Vec<u32> {
    let mut nodes = nodes.to_vec();
    nodes.sort_unstable();
    nodes
}

#[derive(Debug, Clone)]
enum Step {
    Start(u32),
    Complete(u32),
    CompleteMany(Vec<u32>),
    Fail(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = 0u32..14;
    proptest::collection::vec(
        prop_oneof![
            3 => node.clone().prop_map(Step::Start),
            6 => node.clone().prop_map(Step::Complete),
            2 => proptest::collection::vec(node.clone(), 0..4).prop_map(Step::CompleteMany),
            1 => node.prop_map(Step::Fail),
        ],
        0..80,
    )
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(
        n in 1usize..14, raw in proptest::collection::vec((0u32..14, 0u32..14), 0..30), steps in steps(),
    ) {
        let edges: Vec<_> = raw.into_iter()
            .map(|(a, b)| (a % n as u32, b % n as u32))
            .filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).collect();
        let mut tracker = Tracker::new(Graph::new(n, &edges).unwrap()).unwrap();
        let mut model = Model::new(n, &edges);
        for step in steps {
            match step {
                Step::Start(node) => {
                    let node = node % n as u32;
                    let may = model.states[node as usize] == State::Ready;
                    prop_assert_eq!(tracker.start(node).is_ok(), may);
                    if may { model.states[node as usize] = State::Running; }
                }
                Step::Complete(node) => {
                    let node = node % n as u32;
                    let may = model.may_end(node);
                    let done = tracker.complete(node).map(sorted);
                    prop_assert_eq!(done.is_ok(), may);
                    if may {
                        model.states[node as usize] = State::Done;
                        prop_assert_eq!(done.unwrap(), model.settle().0);
                    }
                }
                Step::CompleteMany(nodes) => {
                    let nodes: Vec<u32> = nodes.into_iter().map(|node| node % n as u32).collect();
                    let mut different = sorted(&nodes);
                    different.dedup();
                    let may = different.len() == nodes.len() && nodes.iter().all(|&node| model.may_end(node));
                    let done = tracker.complete_many(&nodes).map(sorted);
                    prop_assert_eq!(done.is_ok(), may);
                    if may {
                        for node in nodes { model.states[node as usize] = State::Done; }
                        prop_assert_eq!(done.unwrap(), model.settle().0);
                    }
                }
                Step::Fail(node) => {
                    let node = node % n as u32;
                    let may = model.may_end(node);
                    let mut skipped = Vec::new();
                    prop_assert_eq!(tracker.fail(node, &mut skipped).is_ok(), may);
                    if may {
                        model.states[node as usize] = State::Failed;
                        prop_assert_eq!(sorted(&skipped), sorted(&model.settle().1));
                    }
                }
            }
            for node in 0..n as u32 {
                prop_assert_eq!(tracker.state(node), model.states[node as usize]);
            }
            let ready: Vec<u32> = (0..n as u32).filter(|&i| model.states[i as usize] == State::Ready).collect();
            prop_assert_eq!(sorted(tracker.ready()), ready);
            let open = model.states.iter().filter(|s| !matches!(s, State::Done | State::Failed | State::Skipped));
            prop_assert_eq!(tracker.unfinished(), open.count());
        }
    }
}
