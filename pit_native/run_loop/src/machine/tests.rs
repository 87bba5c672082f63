//! What the machine promises, by table and by simulation.

use std::collections::{HashMap, HashSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::testing::{self, NodeSpec};

fn run_of(nodes: Vec<NodeSpec>, edges: &[(&str, u32, u32)]) -> Machine {
    Machine::new(Arc::new(testing::plan(nodes, edges)), &[], &[])
}

fn step(machine: &mut Machine, event: Event) -> Vec<Instruction> {
    let mut out = Vec::new();
    machine.handle(event, &mut out);
    out
}

fn requests(out: &[Instruction]) -> Vec<u32> {
    out.iter()
        .filter_map(|i| {
            if let Instruction::Request(node) = i {
                Some(*node)
            } else {
                None
            }
        })
        .collect()
}

fn states(out: &[Instruction]) -> Vec<(u32, NodeState)> {
    out.iter()
        .filter_map(|i| {
            if let Instruction::State { node, state, .. } = i {
                Some((*node, *state))
            } else {
                None
            }
        })
        .collect()
}

fn play(machine: &mut Machine, node: u32) -> Vec<Instruction> {
    let attempt = machine.attempts(node) + 1;
    assert!(step(machine, Event::Granted(node)).contains(&Instruction::Start { node, attempt }));
    step(machine, Event::Finished { node, attempt })
}

fn break_down(machine: &mut Machine, node: u32, fault: Fault) -> Vec<Instruction> {
    let attempt = machine.attempts(node) + 1;
    step(machine, Event::Granted(node));
    step(
        machine,
        Event::Failed {
            node,
            attempt,
            fault,
        },
    )
}

#[test]
fn the_most_critical_ready_node_comes_first() {
    let seconds = [1.0, 1.0, 9.0, 1.0].map(|seconds| NodeSpec {
        seconds,
        ..NodeSpec::default()
    });
    let mut machine = run_of(seconds.to_vec(), &[("control", 1, 2)]);
    assert_eq!(requests(&step(&mut machine, Event::Begin)), [1, 0, 3]);
    assert_eq!(requests(&play(&mut machine, 1)), [2]);
}

#[test]
fn a_failure_skips_what_depends_on_it_and_nothing_else() {
    let mut machine = run_of(testing::nodes(4), &[("control", 0, 1), ("control", 1, 2)]);
    step(&mut machine, Event::Begin);
    let out = break_down(&mut machine, 0, Fault::Passing);
    assert_eq!(
        &states(&out)[..],
        [
            (0, NodeState::Failed),
            (1, NodeState::Skipped),
            (2, NodeState::Skipped)
        ]
    );
    assert_eq!(
        play(&mut machine, 3).last(),
        Some(&Instruction::End(RunState::Failed))
    );
}

#[test]
fn a_passing_failure_is_retried_with_growing_delays() {
    let retry = Retry {
        attempts: 3,
        backoff: Backoff::Exponential,
        delay: Duration::from_secs(1),
    };
    let mut machine = run_of(
        vec![NodeSpec {
            retry,
            ..NodeSpec::default()
        }],
        &[],
    );
    step(&mut machine, Event::Begin);
    for attempt in 1..=2u32 {
        let out = break_down(&mut machine, 0, Fault::Passing);
        let Some(Instruction::Delay { delay, .. }) = out.last() else {
            panic!("{out:?}")
        };
        let most = f64::from(attempt);
        assert!(delay.as_secs_f64() >= most / 2.0 && delay.as_secs_f64() <= most);
        assert_eq!(
            requests(&step(&mut machine, Event::Due { node: 0, attempt })),
            [0]
        );
    }
    assert_eq!(
        break_down(&mut machine, 0, Fault::Passing).last(),
        Some(&Instruction::End(RunState::Failed))
    );
}

use crate::plan::Retry;

#[test]
fn bad_input_is_not_tried_again() {
    let retry = Retry {
        attempts: 9,
        backoff: Backoff::None,
        delay: Duration::ZERO,
    };
    let mut machine = run_of(
        vec![NodeSpec {
            retry,
            ..NodeSpec::default()
        }],
        &[],
    );
    step(&mut machine, Event::Begin);
    assert_eq!(
        break_down(&mut machine, 0, Fault::Permanent).last(),
        Some(&Instruction::End(RunState::Failed))
    );
}

#[test]
fn a_crash_is_tried_once_more_unless_there_are_effects() {
    for has_effects in [false, true] {
        let mut machine = run_of(
            vec![NodeSpec {
                has_effects,
                ..NodeSpec::default()
            }],
            &[],
        );
        step(&mut machine, Event::Begin);
        let out = break_down(&mut machine, 0, Fault::Crash);
        assert_eq!(
            matches!(out.last(), Some(Instruction::Delay { .. })),
            !has_effects
        );
        if !has_effects {
            step(
                &mut machine,
                Event::Due {
                    node: 0,
                    attempt: 1,
                },
            );
            let out = break_down(&mut machine, 0, Fault::Crash);
            assert_eq!(out.last(), Some(&Instruction::End(RunState::Failed)));
        }
    }
}

#[test]
fn a_false_condition_skips_and_a_true_one_does_not() {
    for holds in [false, true] {
        let mut machine = run_of(
            testing::nodes(3),
            &[("conditional", 0, 1), ("control", 1, 2)],
        );
        step(&mut machine, Event::Begin);
        assert!(play(&mut machine, 0).contains(&Instruction::Evaluate(0)));
        let out = step(&mut machine, Event::Condition { edge: 0, holds });
        if holds {
            assert_eq!(requests(&out), [1]);
        } else {
            assert_eq!(out.last(), Some(&Instruction::End(RunState::Succeeded)));
        }
    }
}

#[test]
fn an_optional_source_may_be_missing_but_not_all_of_them() {
    let edges = [
        ("conditional", 0, 1),
        ("conditional", 0, 2),
        ("optional", 1, 3),
        ("optional", 2, 3),
    ];
    for (first, second) in [(true, false), (false, false)] {
        let mut machine = run_of(testing::nodes(4), &edges);
        step(&mut machine, Event::Begin);
        play(&mut machine, 0);
        let conditional = |target| machine_edge(&machine, target);
        let (a, b) = (conditional(1), conditional(2));
        step(
            &mut machine,
            Event::Condition {
                edge: a,
                holds: first,
            },
        );
        let out = step(
            &mut machine,
            Event::Condition {
                edge: b,
                holds: second,
            },
        );
        if first {
            assert_eq!(requests(&play(&mut machine, 1)), [3]);
        } else {
            assert_eq!(out.last(), Some(&Instruction::End(RunState::Succeeded)));
            assert_eq!(machine.state(3), NodeState::Skipped);
        }
    }
}

fn machine_edge(machine: &Machine, target: u32) -> u32 {
    let found = machine
        .plan()
        .edges
        .iter()
        .position(|e| e.kind == EdgeKind::Conditional && e.target == target);
    found.unwrap() as u32
}

#[test]
fn cancelling_stops_what_runs_and_keeps_what_is_done() {
    let mut machine = run_of(testing::nodes(4), &[("control", 0, 1), ("control", 1, 2)]);
    step(&mut machine, Event::Begin);
    play(&mut machine, 0);
    step(&mut machine, Event::Granted(1));
    let out = step(&mut machine, Event::Cancel);
    assert!(out.contains(&Instruction::Stop(1)) && out.contains(&Instruction::Withdraw(3)));
    assert_eq!(machine.state(2), NodeState::Cancelled);
    let out = step(
        &mut machine,
        Event::Failed {
            node: 1,
            attempt: 1,
            fault: Fault::Passing,
        },
    );
    assert_eq!(out.last(), Some(&Instruction::End(RunState::Cancelled)));
    assert_eq!(machine.state(0), NodeState::Succeeded);
    assert!(
        step(&mut machine, Event::Granted(3)).contains(&Instruction::Release(3)),
        "a late grant is given back"
    );
}

#[test]
fn the_host_may_decide_after_a_failure() {
    let mut plan = testing::plan(testing::nodes(2), &[("control", 0, 1)]);
    plan.asks_on_failure = true;
    let mut machine = Machine::new(Arc::new(plan), &[], &[]);
    step(&mut machine, Event::Begin);
    let out = break_down(&mut machine, 0, Fault::Passing);
    assert_eq!(
        out.last(),
        Some(&Instruction::Decide {
            node: 0,
            attempt: 1,
            default: Verdict::Fail
        })
    );
    let verdict = Some(Verdict::Retry(Duration::ZERO));
    let out = step(
        &mut machine,
        Event::Decided {
            node: 0,
            attempt: 1,
            verdict,
        },
    );
    assert_eq!(
        out.last(),
        Some(&Instruction::Delay {
            node: 0,
            attempt: 1,
            delay: Duration::ZERO
        })
    );
    step(
        &mut machine,
        Event::Due {
            node: 0,
            attempt: 1,
        },
    );
    break_down(&mut machine, 0, Fault::Passing);
    let out = step(
        &mut machine,
        Event::Decided {
            node: 0,
            attempt: 2,
            verdict: Some(Verdict::Skip),
        },
    );
    assert_eq!(out.last(), Some(&Instruction::End(RunState::Succeeded)));
}

#[test]
fn a_chain_of_a_hundred_thousand_does_not_recurse() {
    let n = 100_000u32;
    let edges: Vec<_> = (0..n - 1).map(|i| ("control", i, i + 1)).collect();
    let mut machine = run_of(testing::nodes(n as usize), &edges);
    step(&mut machine, Event::Begin);
    let out = break_down(&mut machine, 0, Fault::Permanent);
    assert_eq!(out.last(), Some(&Instruction::End(RunState::Failed)));
}

/// Plays a machine with random answers; checks the promises that hold for every run.
fn simulate(
    machine: &mut Machine,
    picks: &[usize],
    cancel_at: Option<usize>,
) -> Result<HashSet<u32>, TestCaseError> {
    let plan = machine.plan().clone();
    let mut pending: VecDeque<Event> = VecDeque::from([Event::Begin]);
    let mut started = HashSet::new();
    let mut running = HashSet::new();
    let mut held: HashMap<u32, bool> = HashMap::new();
    let mut ended = None;
    let mut turn = 0;
    while !pending.is_empty() {
        let pick = picks[turn % picks.len()];
        if cancel_at == Some(turn) {
            pending.push_front(Event::Cancel);
        }
        let event = if turn == 0 {
            pending.pop_front()
        } else {
            pending.remove(pick % pending.len())
        };
        turn += 1;
        let Some(event) = event else { break };
        match event {
            Event::Granted(node) => drop(held.insert(node, true)),
            // What is said a second time, and then too late, must change nothing.
            Event::Finished { node, .. } | Event::Failed { node, .. }
                if running.remove(&node) && pick.is_multiple_of(7) =>
            {
                pending.push_back(event);
            }
            Event::Due { .. } if pick.is_multiple_of(13) => pending.push_back(event),
            _ => {}
        }
        for instruction in step(machine, event) {
            prop_assert!(
                ended.is_none() || matches!(instruction, Instruction::Release(_)),
                "nothing after the end"
            );
            match instruction {
                Instruction::Request(node) if pick.is_multiple_of(11) => {
                    pending.push_back(Event::Cached(node))
                }
                Instruction::Request(node) => pending.push_back(Event::Granted(node)),
                Instruction::Start { node, attempt } => {
                    for edge in plan.edges.iter().filter(|e| e.target == node) {
                        let source = machine.state(edge.source);
                        prop_assert!(
                            source == NodeState::Succeeded
                                || (edge.is_optional && source.is_final())
                        );
                    }
                    started.insert(node);
                    prop_assert!(running.insert(node), "no node runs twice at once");
                    let faults = [Fault::Permanent, Fault::Passing, Fault::Crash];
                    pending.push_back(match pick % 5 {
                        0 => Event::Failed {
                            node,
                            attempt,
                            fault: faults[pick % 3],
                        },
                        _ => Event::Finished { node, attempt },
                    });
                }
                Instruction::Release(node) => prop_assert_eq!(held.insert(node, false), Some(true)),
                Instruction::Decide {
                    node,
                    attempt,
                    default,
                } => {
                    pending.push_back(Event::Decided {
                        node,
                        attempt,
                        verdict: Some(default),
                    });
                }
                Instruction::Delay { node, attempt, .. } => {
                    pending.push_back(Event::Due { node, attempt })
                }
                Instruction::Evaluate(edge) => pending.push_back(Event::Condition {
                    edge,
                    holds: !pick.is_multiple_of(3),
                }),
                Instruction::End(state) => ended = Some(state),
                Instruction::State { .. } | Instruction::Stop(_) | Instruction::Withdraw(_) => {}
            }
        }
    }
    prop_assert!(ended.is_some(), "every run ends");
    for node in 0..plan.nodes.len() as u32 {
        prop_assert!(machine.state(node).is_final());
        prop_assert!(
            held.get(&node) != Some(&true),
            "what was granted is given back"
        );
    }
    Ok(started)
}

fn plans() -> impl Strategy<Value = Plan> {
    let edge = (0usize..4, 0u32..15, 0u32..15);
    (
        1usize..15,
        proptest::collection::vec(edge, 0..40),
        any::<bool>(),
    )
        .prop_map(|(n, raw, asks)| {
            let kinds = ["data", "control", "conditional", "optional"];
            let mut seen = HashSet::new();
            let edges: Vec<_> = raw
                .into_iter()
                .map(|(kind, a, b)| (kinds[kind], a % n as u32, b % n as u32))
                .filter(|(_, a, b)| a != b)
                .map(|(kind, a, b)| (kind, a.min(b), a.max(b)))
                .filter(|&(_, a, b)| seen.insert((a, b)))
                .collect();
            let specs = (0..n).map(|at| NodeSpec {
                has_fallback: at % 3 == 1,
                ..NodeSpec::default()
            });
            let mut plan = testing::plan(specs.collect(), &edges);
            plan.asks_on_failure = asks;
            plan
        })
}

proptest! {
    #[test]
    fn every_run_ends_and_no_node_runs_before_its_sources(
        plan in plans(), picks in proptest::collection::vec(0usize..1000, 30..90),
        cancel_at in proptest::option::of(1usize..30),
    ) {
        let mut machine = Machine::new(Arc::new(plan), &[], &[]);
        simulate(&mut machine, &picks, cancel_at)?;
    }

    #[test]
    fn resuming_never_starts_what_was_finished(
        plan in plans(), picks in proptest::collection::vec(0usize..1000, 30..90),
        again in proptest::collection::vec(0usize..1000, 30..90), cancel_at in 1usize..30,
    ) {
        let plan = Arc::new(plan);
        let mut first = Machine::new(plan.clone(), &[], &[]);
        simulate(&mut first, &picks, Some(cancel_at))?;
        let done: Vec<bool> = (0..plan.nodes.len() as u32).map(|i| first.state(i) == NodeState::Succeeded).collect();
        let kept = crate::resume::keepable(&plan, |node| done[node as usize]);
        let mut second = Machine::new(plan.clone(), &kept, &[]);
        let started = simulate(&mut second, &again, None)?;
        for node in kept { prop_assert!(!started.contains(&node)); }
    }
}
