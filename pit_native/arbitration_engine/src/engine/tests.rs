//! What the arbiter promises.

use super::*;
use proptest::prelude::*;

fn ask(arbiter: &mut Arbiter, owner: &str, amounts: &[(&str, f64)], priority: u8) -> Outcome {
    let needs = arbiter.needs(owner, amounts.iter().copied()).unwrap();
    arbiter.request(owner, needs, priority, 0)
}

fn granted(outcome: Outcome) -> GrantId {
    match outcome {
        Outcome::Granted(grant) => grant.id,
        Outcome::Queued(id) => panic!("{id} was queued"),
    }
}

fn queued(outcome: Outcome) -> GrantId {
    match outcome {
        Outcome::Queued(id) => id,
        Outcome::Granted(grant) => panic!("{grant:?}"),
    }
}

#[test]
fn what_is_free_is_granted_and_the_rest_waits() {
    let mut arbiter = Arbiter::new([("cpu", 2.0), ("memory", 8.0)]);
    let a = granted(ask(&mut arbiter, "a", &[("cpu", 1.5)], 5));
    let b = queued(ask(&mut arbiter, "b", &[("cpu", 1.0), ("memory", 4.0)], 5));
    assert_eq!(
        arbiter.explain()[0].shortages,
        [("cpu".to_owned(), 0.5, vec!["a".to_owned()])]
    );
    let mut out = Vec::new();
    arbiter.release(a, &mut out).unwrap();
    assert_eq!(out.iter().map(|g| g.id).collect::<Vec<_>>(), [b]);
    assert_eq!(arbiter.release(a, &mut out), Err(RequestError::NotHeld(a)));
}

#[test]
fn tenths_of_a_core_add_up() {
    let mut arbiter = Arbiter::new([("cpu", 1.0)]);
    for _ in 0..10 {
        granted(ask(&mut arbiter, "a", &[("cpu", 0.1)], 5));
    }
    queued(ask(&mut arbiter, "a", &[("cpu", 0.1)], 5));
}

#[test]
fn what_can_never_be_is_an_error() {
    let arbiter = Arbiter::new([("cpu", 2.0)]);
    assert!(matches!(
        arbiter.needs("a", [("cpu", 3.0)]),
        Err(RequestError::Infeasible { .. })
    ));
    assert!(matches!(
        arbiter.needs("a", [("gpu", 1.0)]),
        Err(RequestError::UnknownResource { .. })
    ));
    assert!(matches!(
        arbiter.needs("a", [("cpu", f64::NAN)]),
        Err(RequestError::NoAmount { .. })
    ));
    assert!(arbiter.needs("a", [("gpu", 0.0)]).unwrap().is_empty());
}

#[test]
fn a_higher_priority_goes_first_and_a_withdrawn_request_never() {
    let mut arbiter = Arbiter::new([("cpu", 1.0)]);
    let held = granted(ask(&mut arbiter, "a", &[("cpu", 1.0)], 5));
    let low = queued(ask(&mut arbiter, "b", &[("cpu", 1.0)], 1));
    let gone = queued(ask(&mut arbiter, "d", &[("cpu", 1.0)], 9));
    let high = queued(ask(&mut arbiter, "c", &[("cpu", 1.0)], 8));
    let mut out = Vec::new();
    assert!(arbiter.withdraw(gone, &mut out) && !arbiter.withdraw(gone, &mut out));
    arbiter.release(held, &mut out).unwrap();
    arbiter.release(high, &mut out).unwrap();
    assert_eq!(out.iter().map(|g| g.id).collect::<Vec<_>>(), [high, low]);
}

#[test]
fn a_large_request_is_not_overtaken_for_ever() {
    let mut arbiter = Arbiter::new([("cpu", 4.0)]);
    let mut running = vec![granted(ask(&mut arbiter, "small", &[("cpu", 1.0)], 9))];
    let large = queued(ask(&mut arbiter, "large", &[("cpu", 4.0)], 0));
    for turn in 0..10 * PATIENCE {
        match ask(&mut arbiter, "small", &[("cpu", 1.0)], 9) {
            Outcome::Granted(grant) => running.push(grant.id),
            Outcome::Queued(_) => {}
        }
        let mut out = Vec::new();
        let done = running.remove(0);
        arbiter.release(done, &mut out).unwrap();
        running.extend(out.iter().map(|g| g.id));
        if out.iter().any(|g| g.id == large) {
            assert!(turn > 1, "the small ones had priority");
            return;
        }
    }
    panic!("the large request starved");
}

#[test]
fn owners_that_compete_get_even_shares() {
    let mut arbiter = Arbiter::new([("cpu", 4.0), ("memory", 16.0)]);
    let needs = [
        [("cpu", 1.0), ("memory", 1.0)],
        [("cpu", 0.25), ("memory", 4.0)],
        [("cpu", 1.0), ("memory", 4.0)],
    ];
    let names = ["a", "b", "c"];
    let mut running = std::collections::VecDeque::new();
    for turn in 0..90 {
        let who = turn % 3;
        if let Outcome::Granted(grant) = ask(&mut arbiter, names[who], &needs[who], 5) {
            running.push_back((grant.id, who));
        }
    }
    for _ in 0..3000 {
        let (id, who) = running.pop_front().unwrap();
        let mut out = Vec::new();
        // Whoever ends asks again, as a loop of equal work would.
        arbiter.release(id, &mut out).unwrap();
        if let Outcome::Granted(grant) = ask(&mut arbiter, names[who], &needs[who], 5) {
            out.push(grant);
        }
        for grant in out {
            let who = names
                .iter()
                .position(|name| **name == *grant.owner)
                .unwrap();
            running.push_back((grant.id, who));
        }
    }
    assert!(arbiter.fairness() > 0.95, "{}", arbiter.fairness());
}

#[test]
fn a_retired_owner_leaves_nothing() {
    let mut arbiter = Arbiter::new([("cpu", 1.0)]);
    let held = granted(ask(&mut arbiter, "a", &[("cpu", 1.0)], 5));
    arbiter.retire("a");
    assert_eq!(arbiter.shares().len(), 1);
    arbiter.release(held, &mut Vec::new()).unwrap();
    arbiter.retire("a");
    assert!(arbiter.shares().is_empty());
}

proptest! {
    #[test]
    fn never_more_than_there_is_and_all_are_served(
        steps in proptest::collection::vec((0usize..5, 0u32..5, 0u32..9, 0u8..10, any::<bool>()), 1..200)
    ) {
        let mut arbiter = Arbiter::new([("cpu", 4.0), ("memory", 8.0)]);
        let mut live: Vec<GrantId> = Vec::new();
        let mut open = std::collections::HashSet::new();
        let mut out = Vec::new();
        for (owner, cpu, memory, priority, releases) in steps {
            if releases && !live.is_empty() {
                let id = live.remove(owner % live.len());
                arbiter.release(id, &mut out).unwrap();
            } else {
                let name = format!("owner {owner}");
                match ask(&mut arbiter, &name, &[("cpu", f64::from(cpu)), ("memory", f64::from(memory))], priority) {
                    Outcome::Granted(grant) => out.push(grant),
                    Outcome::Queued(id) => { open.insert(id); }
                }
            }
            for grant in out.drain(..) { open.remove(&grant.id); live.push(grant.id); }
            for (_, free, capacity) in arbiter.resources() { prop_assert!(free >= 0.0 && free <= capacity); }
        }
        while let Some(id) = live.pop() {
            arbiter.release(id, &mut out).unwrap();
            for grant in out.drain(..) { open.remove(&grant.id); live.push(grant.id); }
        }
        prop_assert!(open.is_empty() && arbiter.waiting() == 0);
        for (_, free, capacity) in arbiter.resources() { prop_assert_eq!(free, capacity); }
    }
}
