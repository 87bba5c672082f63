//! What is scarce is kept for the node that needs it next, if that is soon and hinders nobody.

use super::*;

fn takes(seconds: f64, gpu: f64) -> NodeSpec {
    NodeSpec {
        seconds,
        gpu,
        ..NodeSpec::default()
    }
}

/// What was kept in a run, and how much of it was given up.
fn reserved(
    specs: Vec<NodeSpec>,
    edges: &[(&str, u32, u32)],
) -> (Vec<(String, String, f64)>, usize) {
    let theatre = Theatre::new();
    assert_eq!(theatre.play(specs, edges).0, RunState::Succeeded);
    let reserved = theatre.arbiter.reserved.lock().clone();
    let unreserved = theatre.arbiter.unreserved.lock().len();
    (reserved, unreserved)
}

fn kept(node: &str, lasts: f64) -> (String, String, f64) {
    (node.to_owned(), "1 gpu".to_owned(), lasts)
}

#[test]
fn the_gpu_is_kept_for_the_most_critical_node_that_comes_next() {
    let specs = vec![
        takes(0.5, 0.0),
        takes(1.0, 1.0),
        takes(60.0, 1.0),
        takes(9.0, 0.0),
    ];
    let edges = [("data", 0, 1), ("data", 0, 2), ("data", 0, 3)];
    assert_eq!(reserved(specs, &edges), (vec![kept("n2", 1.0)], 1));
}

#[test]
fn nothing_is_kept_for_a_node_that_is_not_next_or_not_soon() {
    // n2 waits for n1 too, which takes long.
    let specs = vec![takes(0.5, 0.0), takes(5.0, 0.0), takes(1.0, 1.0)];
    let edges = [("data", 0, 2), ("data", 1, 2)];
    assert_eq!(reserved(specs, &edges), (vec![], 0));
}

#[test]
fn a_chain_of_nodes_with_the_gpu_gives_others_their_turn_between_them() {
    let specs = vec![takes(0.1, 1.0), takes(0.1, 1.0), takes(0.1, 1.0)];
    let edges = [("data", 0, 1), ("data", 1, 2)];
    assert_eq!(reserved(specs, &edges), (vec![], 0));
}

#[test]
fn what_is_kept_for_a_node_that_will_not_run_is_given_up() {
    let theatre = Theatre::new();
    theatre.stage.script("n0", &[Act::Refuse]);
    let specs = vec![takes(0.5, 0.0), takes(1.0, 1.0)];
    assert_eq!(theatre.play(specs, &[("data", 0, 1)]).0, RunState::Failed);
    assert_eq!(*theatre.arbiter.reserved.lock(), [kept("n1", 1.0)]);
    assert_eq!(*theatre.arbiter.unreserved.lock(), [1]);
}
