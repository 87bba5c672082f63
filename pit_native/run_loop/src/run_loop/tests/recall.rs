//! Results whose contents are in another tier: they are brought back when somebody reads them, and only then.

use super::*;
use rmpv::Value;

fn cached(key: &str) -> NodeSpec {
    NodeSpec {
        cache_key: Some(key.into()),
        ..NodeSpec::default()
    }
}

fn start(theatre: &Theatre, specs: Vec<NodeSpec>, edges: &[(&str, u32, u32)]) {
    let _ = std::fs::remove_dir_all(theatre.folder.path().join("runs/run"));
    theatre
        .run_loop
        .start(melody(theatre, specs, edges))
        .unwrap();
}

fn melody(theatre: &Theatre, specs: Vec<NodeSpec>, edges: &[(&str, u32, u32)]) -> Plan {
    let mut plan = theatre.plan(specs, edges);
    plan.melody = Some("melody".into());
    plan
}

/// Another host, for which all contents are in another tier.
fn move_away(theatre: Theatre) -> Theatre {
    let theatre = theatre.next_life();
    let contents = std::mem::take(&mut *theatre.artifacts.content.lock());
    theatre.artifacts.away.lock().extend(contents);
    theatre
}

fn asked(theatre: &Theatre) -> (u64, String) {
    theatre.events.wait(0, |event| match event {
        RunEvent::Recall { token, id, .. } => Some((*token, id.to_string())),
        _ => None,
    })
}

fn next_asked(theatre: &Theatre, first: u64) -> (u64, String) {
    theatre.events.wait(0, |event| match event {
        RunEvent::Recall { token, id, .. } if *token != first => Some((*token, id.to_string())),
        _ => None,
    })
}

fn bring_back(theatre: &Theatre) {
    let (token, id) = asked(theatre);
    let content = theatre.artifacts.away.lock().remove(&id).unwrap();
    theatre.artifacts.content.lock().insert(id, content);
    assert!(theatre.run_loop.decide(token, true.into()));
}

fn refuse(theatre: &Theatre, token: u64) {
    let error = Value::Map(vec![("message".into(), "the folder is gone".into())]);
    let answer = Value::Map(vec![("error".into(), error)]);
    assert!(theatre.run_loop.decide(token, answer));
}

fn reason(theatre: &Theatre, node: &str) -> String {
    theatre.events.wait(0, |event| match event {
        RunEvent::Node(event) if &*event.node == node && event.state.is_final() => {
            let notes = event.more.as_deref().cloned().unwrap_or_default();
            Some(notes.ran_because.unwrap_or_default().to_string())
        }
        _ => None,
    })
}

fn played(theatre: &Theatre) -> Vec<usize> {
    let called = |node| theatre.stage.called(&format!("n{node}"));
    (0..3).map(called).collect()
}

const CHAIN: [(&str, u32, u32); 2] = [("data", 0, 1), ("data", 1, 2)];

fn chain() -> Vec<NodeSpec> {
    vec![cached("a"), cached("b"), NodeSpec::default()]
}

#[test]
fn what_a_node_that_runs_reads_is_brought_back_and_nothing_else() {
    let theatre = Theatre::new();
    assert_eq!(theatre.play(chain(), &CHAIN).0, RunState::Succeeded);
    let theatre = move_away(theatre);
    start(&theatre, chain(), &CHAIN);
    bring_back(&theatre);
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    assert_eq!(played(&theatre), [0, 0, 1]);
    let recalls = theatre.events.events().into_iter();
    let recalls = recalls.filter(|event| matches!(event, RunEvent::Recall { .. }));
    assert_eq!(recalls.count(), 1, "nobody reads what n0 made");
}

#[test]
fn a_node_whose_result_cannot_be_brought_back_runs_again_and_says_so() {
    for is_content_lost in [false, true] {
        let theatre = Theatre::new();
        start(
            &theatre,
            vec![cached("a"), NodeSpec::default()],
            &CHAIN[..1],
        );
        assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
        let theatre = move_away(theatre);
        start(
            &theatre,
            vec![cached("a"), NodeSpec::default()],
            &CHAIN[..1],
        );
        let why = match is_content_lost {
            // The host takes it for done.
            true => {
                assert!(theatre.run_loop.decide(asked(&theatre).0, true.into()));
                "no tier holds it"
            }
            false => {
                refuse(&theatre, asked(&theatre).0);
                "the folder is gone"
            }
        };
        assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
        assert_eq!(played(&theatre), [1, 1, 0]);
        assert_eq!(
            reason(&theatre, "n0"),
            format!("the artifact n0.out.json could not be brought back: {why}")
        );
    }
}

#[test]
fn a_cancelled_run_does_not_wait_for_what_is_on_its_way() {
    let theatre = Theatre::new();
    assert_eq!(theatre.play(chain(), &CHAIN).0, RunState::Succeeded);
    let theatre = move_away(theatre);
    start(&theatre, chain(), &CHAIN);
    let (token, _) = asked(&theatre);
    assert!(theatre.run_loop.cancel("run"));
    assert_eq!(theatre.events.wait_end(0).0, RunState::Cancelled);
    assert_eq!(played(&theatre), [0, 0, 0]);
    assert!(
        !theatre.run_loop.decide(token, true.into()),
        "nobody asks any more"
    );
}

/// n2 fails, so that the next life has something to do.
fn interrupted() -> Theatre {
    let theatre = Theatre::new();
    theatre.stage.script("n2", &[Act::Refuse]);
    let plan = melody(&theatre, testing::nodes(3), &CHAIN);
    theatre.run_loop.start(plan).unwrap();
    assert_eq!(theatre.events.wait_end(0).0, RunState::Failed);
    move_away(theatre)
}

#[test]
fn a_resumed_run_keeps_what_another_tier_holds() {
    let theatre = interrupted();
    let plan = melody(&theatre, testing::nodes(3), &CHAIN);
    let resumed = theatre.run_loop.resume(plan).unwrap();
    assert_eq!((resumed.kept.len(), resumed.left), (2, 1));
    bring_back(&theatre);
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    assert_eq!(played(&theatre), [0, 0, 1]);
}

#[test]
fn a_resumed_run_makes_anew_what_no_tier_gives_back() {
    let theatre = interrupted();
    let plan = melody(&theatre, testing::nodes(3), &CHAIN);
    theatre.run_loop.resume(plan).unwrap();
    let first = asked(&theatre).0;
    refuse(&theatre, first);
    // n1 needs what n0 made, which is kept, and away too.
    let (token, id) = next_asked(&theatre, first);
    let content = theatre.artifacts.away.lock().remove(&id).unwrap();
    theatre.artifacts.content.lock().insert(id, content);
    assert!(theatre.run_loop.decide(token, true.into()));
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    assert_eq!(played(&theatre), [0, 1, 1]);
    let why = "the artifact n1.out.json could not be brought back: the folder is gone";
    assert_eq!(reason(&theatre, "n1"), why);
}

#[test]
fn what_comes_before_a_lost_result_is_brought_back_too() {
    for is_all_lost in [false, true] {
        let theatre = Theatre::new();
        start(&theatre, chain(), &CHAIN);
        assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
        let theatre = move_away(theatre);
        start(&theatre, chain(), &CHAIN);
        let first = asked(&theatre).0;
        refuse(&theatre, first);
        let (second, id) = next_asked(&theatre, first);
        if is_all_lost {
            refuse(&theatre, second);
        } else {
            let content = theatre.artifacts.away.lock().remove(&id).unwrap();
            theatre.artifacts.content.lock().insert(id, content);
            assert!(theatre.run_loop.decide(second, true.into()));
        }
        assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
        assert_eq!(played(&theatre), [usize::from(is_all_lost), 1, 1]);
    }
}

/// What n0 makes is not known before it has run, so neither is that the cache will answer n1.
#[test]
fn what_could_not_be_foreseen_is_brought_back_when_it_is_read() {
    let specs = || vec![NodeSpec::default(), cached("b"), NodeSpec::default()];
    let theatre = Theatre::new();
    start(&theatre, specs(), &CHAIN);
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    let theatre = move_away(theatre);
    start(&theatre, specs(), &CHAIN);
    refuse(&theatre, asked(&theatre).0);
    let (state, error) = theatre.events.wait_end(0);
    assert_eq!(
        (state, &*error.unwrap().code),
        (RunState::Failed, "artifact_lost")
    );
    assert_eq!(played(&theatre), [1, 0, 0]);
    // It counts as lost from then on.
    let from = theatre.events.events().len();
    start(&theatre, specs(), &CHAIN);
    assert_eq!(theatre.events.wait_end(from).0, RunState::Succeeded);
    assert_eq!(played(&theatre), [2, 1, 1]);
    let theatre = move_away(theatre);
    start(&theatre, specs(), &CHAIN);
    bring_back(&theatre);
    assert_eq!(theatre.events.wait_end(0).0, RunState::Succeeded);
    assert_eq!(played(&theatre), [1, 0, 1]);
}
