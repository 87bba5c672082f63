//! When Players are warmed, on a stage that only writes down what it is told.

use super::*;
use crate::doubles::{CountingArbiter, SharedArbiter};
use crate::ports::{NodeError, Promise, Seat};
use crate::testing::{nodes, parts};
use parking_lot::Mutex;
use proptest::prelude::*;

/// A stage that loads nothing and writes down what it was told.
#[derive(Default)]
struct Notes {
    said: Mutex<Vec<String>>,
    /// Seconds that each Player takes to load; what is missing is loaded.
    lead: FxHashMap<String, f64>,
}

impl Stage for Notes {
    fn seat(&self, _key: &Arc<str>, _priority: u8) -> Promise<Result<Box<dyn Seat>, NodeError>> {
        unreachable!("nothing is played here")
    }

    fn run_uses(&self, key: &Arc<str>) {
        self.said.lock().push(format!("uses {key}"));
    }

    fn lead_seconds(&self, key: &Arc<str>) -> Option<f64> {
        self.lead.get(&**key).copied()
    }

    fn usual_seconds(&self, player: &str) -> Option<f64> {
        player.strip_prefix("takes ")?.parse().ok()
    }

    fn prewarm(&self, key: &Arc<str>, uses: f64) {
        self.said.lock().push(format!("warm {key} {uses}"));
    }
}

fn arbiter(free: f64) -> Arc<dyn Arbiter> {
    Arc::new(SharedArbiter(Arc::new(CountingArbiter::new(free))))
}

/// A plan of Players `k0`, `k1`, … that each take the given seconds, and its outlook; all take 1 s to load.
fn outlook(seconds: &[f64], edges: &[(&str, u32, u32)]) -> (Arc<Notes>, Outlook) {
    let mut parts = parts(nodes(seconds.len()), edges);
    let mut notes = Notes::default();
    for (index, (node, seconds)) in parts.nodes.iter_mut().zip(seconds).enumerate() {
        node.key = format!("k{index}").into();
        node.player = format!("takes {seconds}").into();
        notes.lead.insert(node.key.to_string(), 1.0);
    }
    let plan = Arc::new(Plan::new(parts).expect("a plan without cycles"));
    let notes = Arc::new(notes);
    let stage: Arc<dyn Stage> = notes.clone();
    (
        notes,
        Outlook::new(&plan, &stage, &arbiter(64.0)).expect("Players"),
    )
}

fn board(phases: &[(Phase, f32)]) -> Board {
    Board {
        phases: phases
            .iter()
            .map(|(phase, _)| AtomicU8::new(*phase as u8))
            .collect(),
        started: phases
            .iter()
            .map(|(_, at)| AtomicU32::new(at.to_bits()))
            .collect(),
        is_over: AtomicBool::new(false),
        over: Notify::new(),
    }
}

#[test]
fn a_player_is_warmed_when_its_node_is_near_and_not_before() {
    let (notes, outlook) = outlook(&[10.0, 5.0, 1.0], &[("data", 0, 1), ("data", 1, 2)]);
    let board = board(&[
        (Phase::Running, 0.0),
        (Phase::Pending, 0.0),
        (Phase::Pending, 0.0),
    ]);
    let next = outlook.look(&board, 3.0);
    assert!(notes.said.lock().is_empty());
    assert_eq!(next, LATEST, "looked at again before it is due");
    let next = outlook.look(&board, 8.6);
    assert!(
        next > Duration::ZERO && next < Duration::from_millis(101),
        "{next:?}"
    );
    outlook.look(&board, 8.75);
    assert_eq!(*notes.said.lock(), ["warm k1 1"]);
    // The first node takes longer than usual: it may end at any moment, the third is still 5 s away.
    notes.said.lock().clear();
    outlook.look(&board, 50.0);
    assert_eq!(*notes.said.lock(), ["warm k1 1"]);
}

#[test]
fn what_depends_on_a_person_or_a_condition_is_not_certain() {
    let (notes, open) = outlook(&[1.0, 1.0], &[("conditional", 0, 1)]);
    open.look(&board(&[(Phase::Running, 0.0), (Phase::Pending, 0.0)]), 0.5);
    assert_eq!(*notes.said.lock(), ["warm k1 0"], "only into free room");

    let mut parts = parts(nodes(2), &[("data", 0, 1)]);
    parts.nodes[0].kind = NodeKind::Control;
    parts.nodes[0].player = "symphony/control#approve".into();
    let plan = Arc::new(Plan::new(parts).expect("a plan"));
    let stage: Arc<dyn Stage> = Arc::new(Notes::default());
    let outlook = Outlook::new(&plan, &stage, &arbiter(64.0)).expect("Players");
    let starts = outlook.forecast(&[Phase::Running, Phase::Pending], |_| 0.0, 9.0);
    assert_eq!(starts[1].at, f64::INFINITY);
}

#[test]
fn uses_are_told_once_in_their_order() {
    let (notes, mut outlook) = outlook(&[1.0; 3], &[]);
    outlook.note_uses(&board(&[
        (Phase::Running, 0.5),
        (Phase::Pending, 0.0),
        (Phase::Running, 0.2),
    ]));
    outlook.note_uses(&board(&[
        (Phase::Running, 0.5),
        (Phase::Running, 0.9),
        (Phase::Settled, 0.2),
    ]));
    assert_eq!(*notes.said.lock(), ["uses k2", "uses k0", "uses k1"]);
}

proptest! {
    #[test]
    fn nothing_is_expected_before_its_sources_end(
        phases in prop::collection::vec(0u8..4, 8),
        seconds in prop::collection::vec(0.0f64..20.0, 8),
        edges in prop::collection::vec((0u32..8, 0u32..8), 0..16),
        now in 0.0f64..30.0,
    ) {
        let edges: Vec<(&str, u32, u32)> =
            edges.into_iter().filter(|(a, b)| a < b).map(|(a, b)| ("control", a, b)).collect();
        let (_, outlook) = outlook(&seconds, &edges);
        let phases: Vec<Phase> = phases.into_iter().map(Phase::from_byte).collect();
        let starts = outlook.forecast(&phases, |_| 0.0, now);
        for (node, start) in starts.iter().enumerate() {
            let is_to_come = matches!(phases[node], Phase::Pending | Phase::Ready);
            prop_assert_eq!(start.at.is_finite(), is_to_come);
            prop_assert!(start.at >= now);
        }
        for (_, source, target) in edges {
            let (source, target) = (source as usize, target as usize);
            if phases[target] == Phase::Pending && starts[source].at.is_finite() {
                prop_assert!(starts[target].at >= starts[source].at + seconds[source] - 1e-9);
            }
        }
    }
}

#[test]
fn a_player_is_not_warmed_into_memory_that_was_granted_to_others() {
    let (notes, mut outlook) = outlook(&[1.0, 1.0], &[("data", 0, 1)]);
    let mut plan = parts(nodes(2), &[("data", 0, 1)]);
    for (index, node) in plan.nodes.iter_mut().enumerate() {
        node.key = format!("k{index}").into();
        node.player = "takes 1".into();
        node.resources = vec![("cpu".into(), 1.0), ("memory".into(), 8.0)];
    }
    outlook.plan = Arc::new(Plan::new(plan).expect("a plan without cycles"));
    let board = board(&[(Phase::Running, 0.0), (Phase::Pending, 0.0)]);
    outlook.arbiter = arbiter(7.0);
    assert_eq!(outlook.look(&board, 0.9), LATEST, "looked at again");
    assert!(notes.said.lock().is_empty());
    outlook.arbiter = arbiter(8.0);
    outlook.look(&board, 0.9);
    assert_eq!(*notes.said.lock(), ["warm k1 1"]);
}
