//! Whole runs in a world of doubles.

use super::*;
use crate::doubles::{
    Act, CountingArbiter, MemoryArtifacts, Recorder, ScriptedStage, SharedArbiter, SharedArtifacts,
    SharedRecorder, SharedStage,
};
use crate::instructions::{NodeState, RunState};
use crate::plan::{Backoff, NodeKind, PlanParts, Retry};
use crate::testing::{self, NodeSpec};

mod attempts;
mod choices;
mod recall;
mod reserving;

struct Theatre {
    runtime: tokio::runtime::Runtime,
    stage: Arc<ScriptedStage>,
    artifacts: Arc<MemoryArtifacts>,
    arbiter: Arc<CountingArbiter>,
    events: Arc<Recorder>,
    run_loop: RunLoop,
    folder: tempfile::TempDir,
}

impl Theatre {
    fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), Arc::default())
    }

    fn in_folder(folder: tempfile::TempDir, artifacts: Arc<MemoryArtifacts>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (stage, arbiter, events) = (
            Arc::default(),
            Arc::new(CountingArbiter::new(2.0)),
            Arc::default(),
        );
        let run_loop = RunLoop::new(
            runtime.handle().clone(),
            World {
                stage: Arc::new(SharedStage(Arc::clone(&stage))),
                artifacts: Arc::new(SharedArtifacts(artifacts.clone())),
                arbiter: Arc::new(SharedArbiter(arbiter.clone())),
                sink: Arc::new(SharedRecorder(Arc::clone(&events))),
            },
        );
        Self {
            runtime,
            stage,
            artifacts,
            arbiter,
            events,
            run_loop: run_loop.unwrap(),
            folder,
        }
    }

    fn plan(&self, specs: Vec<NodeSpec>, edges: &[(&str, u32, u32)]) -> Plan {
        let mut parts = testing::parts(specs, edges);
        parts.folder = Some(self.folder.path().join("runs").join("run"));
        Plan::new(parts).unwrap()
    }

    fn play(
        &self,
        specs: Vec<NodeSpec>,
        edges: &[(&str, u32, u32)],
    ) -> (RunState, Option<NodeError>) {
        let from = self.events.events().len();
        self.run_loop.start(self.plan(specs, edges)).unwrap();
        self.events.wait_end(from)
    }

    /// Another host in the same home, as after a `kill -9`.
    fn next_life(self) -> Self {
        let Self {
            runtime,
            artifacts,
            folder,
            run_loop,
            ..
        } = self;
        runtime.shutdown_background();
        drop(run_loop);
        Self::in_folder(folder, artifacts)
    }
}

fn retrying(attempts: u32) -> NodeSpec {
    let retry = Retry {
        attempts,
        backoff: Backoff::Fixed,
        delay: Duration::from_millis(2),
    };
    NodeSpec {
        retry,
        ..NodeSpec::default()
    }
}

#[test]
fn outputs_flow_along_the_edges_and_are_stored() {
    let theatre = Theatre::new();
    let edges = [
        ("data", 0, 1),
        ("data", 0, 2),
        ("data", 1, 3),
        ("data", 2, 3),
    ];
    assert_eq!(
        theatre.play(testing::nodes(4), &edges),
        (RunState::Succeeded, None)
    );
    let last = theatre.run_loop.outputs("run", "n3").unwrap();
    let shown = last[0].1.to_string();
    assert!(
        shown.contains("from_1") && shown.contains("from_2") && shown.contains("\"n0\""),
        "{shown}"
    );
    assert_eq!(theatre.artifacts.content.lock().len(), 4);
    assert_eq!(
        theatre
            .events
            .states()
            .values()
            .filter(|s| **s == NodeState::Succeeded)
            .count(),
        4
    );
}

#[test]
fn a_list_input_gathers_its_sources() {
    let theatre = Theatre::new();
    let mut parts = testing::parts(testing::nodes(3), &[("data", 0, 2)]);
    let sources = [0, 1].map(|node| crate::plan::Source::Node {
        node,
        port: "out".into(),
    });
    parts.nodes[2].inputs[0].sources = sources.to_vec();
    parts.nodes[2].inputs[0].is_list = true;
    theatre.run_loop.start(Plan::new(parts).unwrap()).unwrap();
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    let inputs = theatre.stage.inputs.lock()["n2"].clone();
    assert_eq!(inputs["from_0"].as_array().map(Vec::len), Some(2));
}

#[test]
fn resources_bound_what_runs_at_once() {
    let theatre = Theatre::new();
    let specs = vec![
        NodeSpec {
            cpu: 1.0,
            ..NodeSpec::default()
        };
        40
    ];
    for node in 0..40 {
        theatre.stage.script(&format!("n{node}"), &[Act::Sleep(3)]);
    }
    assert_eq!(theatre.play(specs, &[]).0, RunState::Succeeded);
    assert_eq!(theatre.stage.most.load(Ordering::SeqCst), 2);
    assert_eq!(theatre.arbiter.held(), 0);
}

#[test]
fn what_can_never_be_granted_fails_its_node() {
    let theatre = Theatre::new();
    let (state, error) = theatre.play(
        vec![
            NodeSpec {
                cpu: 9.0,
                ..NodeSpec::default()
            },
            NodeSpec::default(),
        ],
        &[],
    );
    assert_eq!(
        (state, error.unwrap().code.as_str()),
        (RunState::Failed, "infeasible")
    );
    assert_eq!(theatre.events.states()["n1"], NodeState::Succeeded);
}

#[test]
fn failures_are_retried_and_told() {
    let theatre = Theatre::new();
    theatre
        .stage
        .script("n0", &[Act::Fail, Act::Fail, Act::Echo]);
    theatre.stage.script("n1", &[Act::Crash, Act::Echo]);
    theatre.stage.script("n2", &[Act::Refuse]);
    let (state, error) = theatre.play(
        vec![retrying(3), retrying(1), retrying(5), NodeSpec::default()],
        &[("data", 2, 3)],
    );
    assert_eq!(state, RunState::Failed);
    assert_eq!(
        error.unwrap().message,
        "Node n2 failed: It will not have that"
    );
    assert_eq!(
        [0, 1, 2].map(|n| theatre.stage.called(&format!("n{n}"))),
        [3, 2, 1]
    );
    assert_eq!(theatre.events.states()["n3"], NodeState::Skipped);
}

#[test]
fn a_wrong_answer_and_a_defect_of_the_host_end_the_node() {
    for act in [Act::Mute, Act::Panic] {
        let theatre = Theatre::new();
        theatre.stage.script("n0", &[act]);
        let (state, error) = theatre.play(testing::nodes(1), &[]);
        let code = if act == Act::Mute {
            "protocol"
        } else {
            "internal"
        };
        assert_eq!(
            (state, error.unwrap().code.as_str()),
            (RunState::Failed, code)
        );
    }
}

#[test]
fn a_player_that_takes_too_long_is_cancelled_and_one_that_hangs_is_killed() {
    let limited = NodeSpec {
        timeout: Some(Duration::from_millis(20)),
        ..NodeSpec::default()
    };
    for (act, kills) in [(Act::Sleep(60_000), 0), (Act::Hang, 1)] {
        let theatre = Theatre::new();
        theatre.stage.script("n0", &[act]);
        let (state, error) = theatre.play(vec![limited.clone()], &[]);
        assert_eq!(
            (state, error.unwrap().code.as_str()),
            (RunState::Failed, "timeout")
        );
        assert_eq!(theatre.stage.kills.lock().len(), kills);
    }
}

#[test]
fn cancelling_reaches_the_player() {
    let theatre = Theatre::new();
    theatre.stage.script("n1", &[Act::Sleep(60_000)]);
    theatre
        .run_loop
        .start(theatre.plan(testing::nodes(3), &[("data", 0, 1), ("data", 1, 2)]))
        .unwrap();
    theatre.events.wait(0, |event| match event {
        RunEvent::Node(node) if &*node.node == "n1" && node.state == NodeState::Running => Some(()),
        _ => None,
    });
    assert!(theatre.run_loop.cancel("run"));
    assert_eq!(theatre.events.wait_end(0).0, RunState::Cancelled);
    let states = theatre.events.states();
    let expected = [
        NodeState::Succeeded,
        NodeState::Cancelled,
        NodeState::Cancelled,
    ];
    assert_eq!(["n0", "n1", "n2"].map(|n| states[n]), expected);
    assert!(!theatre.run_loop.cancel("run"));
}

#[test]
fn conditions_and_control_nodes_are_answered_by_the_host() {
    let theatre = Theatre::new();
    let control = NodeSpec {
        kind: NodeKind::Control,
        ..NodeSpec::default()
    };
    let edges = [("conditional", 0, 1), ("conditional", 0, 2)];
    theatre
        .run_loop
        .start(theatre.plan(
            vec![control, NodeSpec::default(), NodeSpec::default()],
            &edges,
        ))
        .unwrap();
    let token = theatre.events.wait(0, |event| match event {
        RunEvent::Control { token, .. } => Some(*token),
        _ => None,
    });
    assert!(
        theatre
            .run_loop
            .decide(token, Value::Map(vec![("waiting".into(), true.into())]))
    );
    theatre.events.wait(0, |event| match event {
        RunEvent::Node(node) if node.state == NodeState::Waiting => Some(()),
        _ => None,
    });
    let outputs = Value::Map(vec![("out".into(), 7.into())]);
    assert!(
        theatre
            .run_loop
            .decide(token, Value::Map(vec![("outputs".into(), outputs)]))
    );
    assert!(
        !theatre.run_loop.decide(token, Value::Nil),
        "a question is answered once"
    );
    for (target, holds) in [("n1", true), ("n2", false)] {
        let (token, given) = theatre.events.wait(0, |event| match event {
            RunEvent::Condition {
                token,
                target: found,
                outputs,
                ..
            } if &**found == target => Some((*token, outputs.clone())),
            _ => None,
        });
        assert_eq!(*given[0].1, Value::from(7));
        theatre.run_loop.decide(token, holds.into());
    }
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    let states = theatre.events.states();
    assert_eq!(
        (states["n1"], states["n2"]),
        (NodeState::Succeeded, NodeState::Skipped)
    );
}

#[test]
fn cancelling_ends_a_control_node_that_nobody_answers() {
    let theatre = Theatre::new();
    let control = NodeSpec {
        kind: NodeKind::Control,
        ..NodeSpec::default()
    };
    theatre
        .run_loop
        .start(theatre.plan(vec![control], &[]))
        .unwrap();
    theatre.events.wait(0, |event| {
        matches!(event, RunEvent::Control { .. }).then_some(())
    });
    assert!(theatre.run_loop.stop(Duration::from_secs(10)));
    assert_eq!(theatre.events.wait_end(0).0, RunState::Cancelled);
    assert_eq!(theatre.run_loop.stats().questions, 0);
}

#[test]
fn the_host_may_answer_a_failure() {
    let theatre = Theatre::new();
    theatre.stage.script("n0", &[Act::Fail]);
    let mut plan = theatre.plan(testing::nodes(1), &[]);
    plan.asks_on_failure = true;
    theatre.run_loop.start(plan).unwrap();
    let token = theatre.events.wait(0, |event| match event {
        RunEvent::Failure { token, .. } => Some(*token),
        _ => None,
    });
    theatre
        .run_loop
        .decide(token, Value::Map(vec![("action".into(), "skip".into())]));
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
}

#[test]
fn the_next_life_repeats_nothing_that_was_finished() {
    let theatre = Theatre::new();
    let edges = [("data", 0, 1), ("data", 1, 2), ("data", 2, 3)];
    theatre.stage.script("n2", &[Act::Hang]);
    theatre
        .run_loop
        .start(theatre.plan(testing::nodes(4), &edges))
        .unwrap();
    theatre.events.wait(0, |event| match event {
        RunEvent::Node(node) if &*node.node == "n2" && node.state == NodeState::Running => Some(()),
        _ => None,
    });
    let theatre = theatre.next_life();
    let resumed = theatre
        .run_loop
        .resume(theatre.plan(testing::nodes(4), &edges))
        .unwrap();
    assert_eq!(resumed.kept, ["n0".into(), "n1".into()]);
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    assert_eq!(
        [0, 1, 2, 3].map(|n| theatre.stage.called(&format!("n{n}"))),
        [0, 0, 1, 1]
    );
    assert_eq!(
        theatre.stage.calls.lock()[0].1,
        2,
        "attempts go on counting"
    );
    let inputs = theatre.stage.inputs.lock()["n2"].clone();
    assert_eq!(
        inputs["from_1"]["node"].as_str(),
        Some("n1"),
        "read back from the store"
    );
}

#[test]
fn a_changed_node_and_a_lost_artifact_run_again() {
    let theatre = Theatre::new();
    let edges = [("data", 0, 1), ("data", 0, 2)];
    theatre.stage.script("n2", &[Act::Refuse]);
    assert_eq!(theatre.play(testing::nodes(3), &edges).0, RunState::Failed);
    let theatre = theatre.next_life();
    let mut parts = testing::parts(testing::nodes(3), &edges);
    parts.folder = Some(theatre.folder.path().join("runs").join("run"));
    parts.nodes[1].params = Arc::new(Value::from("other"));
    assert_eq!(
        theatre
            .run_loop
            .resume(Plan::new(parts).unwrap())
            .unwrap()
            .kept,
        ["n0".into()]
    );
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    theatre.artifacts.content.lock().clear();
    let theatre = theatre.next_life();
    assert_eq!(
        theatre
            .run_loop
            .resume(theatre.plan(testing::nodes(3), &edges))
            .unwrap()
            .left,
        3
    );
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
}

#[test]
fn the_journal_may_be_cut_anywhere() {
    let theatre = Theatre::new();
    let edges = [("data", 0, 1), ("data", 1, 2)];
    assert_eq!(
        theatre.play(testing::nodes(3), &edges).0,
        RunState::Succeeded
    );
    let path = theatre.folder.path().join("runs/run/journal");
    let whole = std::fs::read(&path).unwrap();
    let mut least_kept = 0;
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (_, history) = Journal::resume(
            &theatre.plan(testing::nodes(3), &edges),
            path.parent().unwrap(),
        )
        .unwrap();
        let kept = history
            .nodes
            .values()
            .filter(|past| past.finished.is_some())
            .count();
        assert!(kept >= least_kept, "cut at {cut}");
        least_kept = kept;
    }
    assert_eq!(least_kept, 3);
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let theatre = theatre.next_life();
    theatre
        .run_loop
        .resume(theatre.plan(testing::nodes(3), &edges))
        .unwrap();
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
}

#[test]
fn a_run_is_begun_once_and_plays_once() {
    let theatre = Theatre::new();
    theatre.stage.script("n0", &[Act::Sleep(60_000)]);
    theatre
        .run_loop
        .start(theatre.plan(testing::nodes(1), &[]))
        .unwrap();
    let again = theatre.run_loop.start(theatre.plan(testing::nodes(1), &[]));
    assert!(matches!(again, Err(RunError::Playing(_))));
    assert!(theatre.run_loop.stop(Duration::from_secs(10)));
    let again = theatre.run_loop.start(theatre.plan(testing::nodes(1), &[]));
    assert!(matches!(
        again,
        Err(RunError::Journal(JournalError::Exists { .. }))
    ));
    assert!(matches!(
        theatre.run_loop.outputs("other", "n0"),
        Err(RunError::Unknown(_))
    ));
}

#[test]
fn a_cached_node_is_not_called_again() {
    let theatre = Theatre::new();
    let specs = || {
        vec![
            NodeSpec {
                cache_key: Some("base".into()),
                ..NodeSpec::default()
            },
            NodeSpec::default(),
        ]
    };
    assert_eq!(
        theatre.play(specs(), &[("data", 0, 1)]).0,
        RunState::Succeeded
    );
    let theatre = theatre.next_life();
    std::fs::remove_dir_all(theatre.folder.path().join("runs/run")).unwrap();
    assert_eq!(
        theatre.play(specs(), &[("data", 0, 1)]).0,
        RunState::Succeeded
    );
    assert_eq!(
        [0, 1].map(|n| theatre.stage.called(&format!("n{n}"))),
        [0, 1]
    );
    let cached = theatre.events.wait(0, |event| match event {
        RunEvent::Node(node) if &*node.node == "n0" && node.state.is_final() => {
            Some(node.is_cached)
        }
        _ => None,
    });
    assert!(cached);
}

#[test]
fn a_full_store_fails_the_node_and_a_broken_journal_the_run() {
    let theatre = Theatre::new();
    theatre.artifacts.is_full.store(true, Ordering::SeqCst);
    let (state, error) = theatre.play(testing::nodes(1), &[]);
    assert_eq!(
        (state, error.unwrap().code.as_str()),
        (RunState::Failed, "storage_full")
    );
}

#[test]
fn nodes_with_effects_start_after_the_journal_is_synced() {
    let theatre = Theatre::new();
    let specs = vec![
        NodeSpec {
            has_effects: true,
            ..NodeSpec::default()
        };
        3
    ];
    assert_eq!(
        theatre.play(specs, &[("data", 0, 1), ("data", 1, 2)]).0,
        RunState::Succeeded
    );
}

#[test]
fn ten_thousand_nodes_that_do_nothing_are_soon_done() {
    let theatre = Theatre::new();
    let n = 10_000u32;
    let specs = vec![
        NodeSpec {
            kind: NodeKind::Pass,
            outputs: Vec::new(),
            ..NodeSpec::default()
        };
        n as usize
    ];
    let edges: Vec<_> = (1..n).map(|i| ("control", i / 2, i)).collect();
    let mut parts = testing::parts(specs, &edges);
    parts.folder = None;
    let began = Instant::now();
    theatre.run_loop.start(Plan::new(parts).unwrap()).unwrap();
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    // Generous: the machine that runs the tests is shared, and this is no benchmark.
    assert!(began.elapsed() < Duration::from_secs(5));
    eprintln!("{:?} a node", began.elapsed() / n);
}
