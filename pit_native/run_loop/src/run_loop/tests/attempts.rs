//! Whatever Players do, and whenever a run is cancelled, it ends: every node in a final state, nothing held.

use super::*;
use proptest::prelude::*;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Echo),
        1 => Just(Act::Fail),
        1 => Just(Act::Refuse),
        1 => Just(Act::Crash),
        1 => Just(Act::Mute),
        1 => Just(Act::Panic),
        1 => (0u64..8).prop_map(Act::Sleep),
    ]
}

fn node() -> impl Strategy<Value = (NodeSpec, Vec<Act>)> {
    let acts = prop::collection::vec(act(), 1..4);
    let spec = (1u32..4, any::<bool>(), any::<bool>(), any::<bool>());
    (spec, acts).prop_map(|((attempts, has_effects, is_short, has_fallback), acts)| {
        let spec = NodeSpec {
            has_effects,
            has_fallback,
            timeout: is_short.then_some(Duration::from_millis(4)),
            cpu: 1.0,
            ..retrying(attempts)
        };
        (spec, acts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_run_ends_and_gives_back_all_that_it_held(
        nodes in prop::collection::vec(node(), 1..9),
        feeds in prop::collection::vec((0u32..8, 0u32..8), 0..12),
        cancels_after in prop::option::of(0u64..10),
    ) {
        let theatre = Theatre::new();
        let count = nodes.len() as u32;
        let mut edges: Vec<(u32, u32)> = feeds
            .into_iter()
            .map(|(a, b)| (a.min(b), a.max(b)))
            .filter(|&(a, b)| a != b && b < count)
            .collect();
        edges.sort_unstable();
        edges.dedup();
        let edges: Vec<_> = edges.into_iter().map(|(a, b)| ("data", a, b)).collect();
        let mut specs = Vec::new();
        for (at, (spec, acts)) in nodes.into_iter().enumerate() {
            theatre.stage.script(&format!("n{at}"), &acts);
            specs.push(spec);
        }
        theatre.run_loop.start(theatre.plan(specs, &edges)).unwrap();
        if let Some(moment) = cancels_after {
            std::thread::sleep(Duration::from_millis(moment));
            theatre.run_loop.cancel("run");
        }
        let (state, _) = theatre.events.wait_end(0);
        prop_assert!(theatre.run_loop.stop(Duration::from_secs(20)));
        prop_assert_eq!(theatre.arbiter.held(), 0);
        let states = theatre.events.states();
        prop_assert_eq!(states.len() as u32, count);
        prop_assert!(states.values().all(|state| state.is_final()), "{:?}", states);
        if state == RunState::Succeeded {
            prop_assert!(states.values().all(|state| *state == NodeState::Succeeded));
        }
        for &(_, source, target) in &edges {
            let [source, target] = [source, target].map(|node| states[&format!("n{node}")]);
            prop_assert!(
                source == NodeState::Succeeded || target != NodeState::Succeeded,
                "nothing succeeds on what failed"
            );
        }
    }
}
