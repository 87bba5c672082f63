//! What a run chooses: who goes first, who plays, what need not be played, and what it says of that.

use super::*;
use crate::plan::{InputPlan, Source};

fn final_events(theatre: &Theatre) -> FxHashMap<String, crate::NodeEvent> {
    let ended = theatre
        .events
        .events()
        .into_iter()
        .filter_map(|event| match event {
            RunEvent::Node(node) if node.state.is_final() => Some((node.node.to_string(), *node)),
            _ => None,
        });
    ended.collect()
}

fn notes(event: &crate::NodeEvent) -> crate::NodeNotes {
    event.more.as_deref().cloned().unwrap_or_default()
}

fn cached(key: &str) -> NodeSpec {
    NodeSpec {
        cache_key: Some(key.into()),
        ..NodeSpec::default()
    }
}

/// The arbiter's own order, first come, first served, is n0, n2, n3, n4, n1, n5, n6.
#[test]
fn what_is_granted_goes_to_the_most_critical_node_that_waits() {
    let theatre = Theatre::new();
    let specs = vec![
        NodeSpec {
            cpu: 2.0,
            ..NodeSpec::default()
        };
        7
    ];
    let edges = [("data", 0, 1), ("data", 1, 5), ("data", 5, 6)];
    assert_eq!(theatre.play(specs, &edges).0, RunState::Succeeded);
    let order: Vec<String> = theatre
        .stage
        .calls
        .lock()
        .iter()
        .map(|call| call.0.clone())
        .collect();
    assert_eq!(order, ["n0", "n1", "n5", "n2", "n3", "n4", "n6"]);
    assert_eq!(theatre.arbiter.held(), 0);
}

#[test]
fn a_fallback_plays_after_the_last_attempt_with_the_same_inputs() {
    let theatre = Theatre::new();
    let mut specs = testing::nodes(3);
    specs[1] = NodeSpec {
        has_fallback: true,
        cache_key: Some("key".into()),
        ..retrying(2)
    };
    theatre
        .stage
        .script("n1", &[Act::Fail, Act::Fail, Act::Echo]);
    let edges = [("data", 0, 1), ("data", 1, 2)];
    assert_eq!(theatre.play(specs.clone(), &edges).0, RunState::Succeeded);
    let ended = final_events(&theatre);
    assert_eq!(
        notes(&ended["n1"]).fallback.as_deref(),
        Some("test/other#work")
    );
    assert_eq!(
        (ended["n1"].attempt, notes(&ended["n2"]).fallback.as_deref()),
        (3, None)
    );
    assert_eq!(
        theatre.stage.inputs.lock()["n1"]["from_0"]["node"].as_str(),
        Some("n0")
    );
    // Its answer is not what the node's own Player would have said.
    let theatre = theatre.next_life();
    std::fs::remove_dir_all(theatre.folder.path().join("runs/run")).unwrap();
    theatre.stage.script("n1", &[Act::Refuse, Act::Refuse]);
    let (state, error) = theatre.play(specs, &edges);
    assert_eq!(
        (state, error.unwrap().code.as_str()),
        (RunState::Failed, "bad_input")
    );
    assert_eq!(theatre.stage.called("n1"), 2, "a fallback has one attempt");
}

#[test]
fn an_output_of_another_form_than_its_type_fails_the_node() {
    let theatre = Theatre::new();
    let spec = NodeSpec {
        outputs: vec![("out", "list<git/commit>")],
        ..retrying(3)
    };
    let error = theatre.play(vec![spec], &[]).1.unwrap();
    assert_eq!(error.code, "bad_output");
    assert_eq!(
        error.message,
        "Node n0 failed: The output out of test/player#work is declared list<git/commit>, so it must be \
         a list, but a map came"
    );
    assert_eq!(theatre.stage.called("n0"), 1, "it would answer so again");
}

/// Plays two nodes again in a new host, after `change` of their plan: why each of them ran, if it did.
fn again(theatre: Theatre, change: impl FnOnce(&mut PlanParts)) -> (Theatre, [Option<String>; 2]) {
    let theatre = theatre.next_life();
    let folder = theatre.folder.path().join("runs/run");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    let mut parts = testing::parts(vec![cached("a"), cached("b")], &[("data", 0, 1)]);
    parts.folder = Some(folder);
    change(&mut parts);
    theatre.run_loop.start(Plan::new(parts).unwrap()).unwrap();
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    let ended = final_events(&theatre);
    let why = ["n0", "n1"].map(|node| {
        notes(&ended[node])
            .ran_because
            .as_deref()
            .map(str::to_owned)
    });
    (theatre, why)
}

fn since(parts: &mut PlanParts, value: &str) {
    parts.nodes[0].params = Arc::new(Value::Map(vec![("since".into(), value.into())]));
    parts.nodes[0].cache_key = Some(value.into());
}

#[test]
fn a_node_that_runs_again_says_why() {
    let because = |text: &str| Some(text.to_owned());
    let first = || because("no earlier success to reuse");
    let (theatre, why) = again(Theatre::new(), |parts| since(parts, "90d"));
    assert_eq!(why, [first(), first()]);
    let (theatre, why) = again(theatre, |parts| since(parts, "90d"));
    assert_eq!(why, [None, None], "answered from the cache");
    let (theatre, why) = again(theatre, |parts| since(parts, "30d"));
    // The Player of the tests answers the same whatever its parameters, so the second node does not run.
    assert_eq!(
        why,
        [because("parameter since changed from 90d to 30d"), None]
    );
    let (theatre, why) = again(theatre, |parts| {
        since(parts, "30d");
        parts.nodes[1].version = "1.0.1".into();
        parts.nodes[1].cache_key = Some("newer".into());
    });
    assert_eq!(why, [None, because("player 1.0.1 instead of 1.0.0")]);
    let (theatre, why) = again(theatre, |parts| {
        since(parts, "30d");
        parts.nodes[1].cache_key = None;
        parts.nodes[1].uncached = Some("not deterministic".into());
        parts.nodes[1].version = "1.0.1".into();
    });
    assert_eq!(why, [None, because("not deterministic")]);
    theatre.artifacts.content.lock().clear();
    let (_theatre, why) = again(theatre, |parts| since(parts, "30d"));
    assert_eq!(why[0], because("the artifact n0.out.json was removed"));
}

#[test]
fn an_edit_plays_exactly_what_depends_on_it() {
    let edges: Vec<_> = (1..1000u32)
        .map(|i| ("data", i * 7 % i.min(60), i))
        .collect();
    let play = |theatre: &Theatre, edited: &str| {
        let folder = theatre.folder.path().join("runs/run");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        let specs = (0..1000).map(|at| cached(&format!("base {at}")));
        let mut parts = testing::parts(specs.collect(), &edges);
        parts.folder = Some(folder);
        // What the Player of the tests answers depends on its inputs alone.
        parts.nodes[3].inputs.push(InputPlan {
            port: "edited".into(),
            is_list: false,
            is_optional: false,
            sources: vec![Source::Value(Arc::new(edited.into()))],
        });
        let plan = Plan::new(parts).unwrap();
        let from = theatre.events.events().len();
        theatre.stage.calls.lock().clear();
        let began = Instant::now();
        theatre.run_loop.start(plan).unwrap();
        assert_eq!(theatre.events.wait_end(from).0, RunState::Succeeded);
        let called: std::collections::BTreeSet<String> = theatre
            .stage
            .calls
            .lock()
            .iter()
            .map(|call| call.0.clone())
            .collect();
        (called, began.elapsed())
    };
    let theatre = Theatre::new();
    assert_eq!(play(&theatre, "before").0.len(), 1000);
    let theatre = theatre.next_life();
    let (called, took) = play(&theatre, "before");
    assert!(called.is_empty(), "{called:?}");
    eprintln!("{took:?} for a thousand answers from the cache");
    let theatre = theatre.next_life();
    let mut depends = vec![false; 1000];
    depends[3] = true;
    for &(_, source, target) in &edges {
        depends[target as usize] |= depends[source as usize];
    }
    let expected = (0..1000)
        .filter(|&at| depends[at])
        .map(|at| format!("n{at}"))
        .collect();
    assert_eq!(play(&theatre, "after").0, expected);
    assert!(
        expected.len() > 1 && expected.len() < 900,
        "{}",
        expected.len()
    );
}

#[test]
fn what_was_kept_is_told_with_what_it_made() {
    let theatre = Theatre::new();
    theatre.stage.script("n1", &[Act::Refuse]);
    let edges = [("data", 0, 1)];
    assert_eq!(theatre.play(testing::nodes(2), &edges).0, RunState::Failed);
    let made = final_events(&theatre)["n0"].artifacts.clone();
    let theatre = theatre.next_life();
    theatre
        .run_loop
        .resume(theatre.plan(testing::nodes(2), &edges))
        .unwrap();
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    let ended = final_events(&theatre);
    assert!(ended["n0"].is_kept && !ended["n1"].is_kept);
    assert_eq!((&ended["n0"].artifacts, ended["n0"].attempt), (&made, 1));
}

#[test]
fn a_hundred_thousand_nodes_play_wide_and_deep() {
    for shape in [|i: u32| i - 1, |i: u32| i / 3] {
        let theatre = Theatre::new();
        let pass = NodeSpec {
            kind: NodeKind::Pass,
            outputs: Vec::new(),
            ..NodeSpec::default()
        };
        let edges: Vec<_> = (1..100_000).map(|i| ("control", shape(i), i)).collect();
        let mut parts = testing::parts(vec![pass; 100_000], &edges);
        parts.folder = None;
        theatre.run_loop.start(Plan::new(parts).unwrap()).unwrap();
        assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
        assert_eq!(theatre.events.states().len(), 100_000);
    }
}
