//! What the arbiter promises.

use std::collections::{HashMap, HashSet, VecDeque};

use super::*;
use crate::explain::Reason;
use crate::locks::{Lock, Mode};
use crate::strategy::Strategy;

fn ask(arbiter: &mut Arbiter, owner: &str, amounts: &[(&str, f64)], priority: u8) -> Outcome {
    let needs = arbiter.resources().needs(owner, amounts.iter().copied());
    let ask = Ask {
        priority,
        ..Ask::new(owner, needs.unwrap())
    };
    alone(arbiter, ask)
}

/// A request that lets nobody else begin.
fn alone(arbiter: &mut Arbiter, ask: Ask<'_>) -> Outcome {
    let mut others = Vec::new();
    let outcome = arbiter.request(ask, &mut others);
    assert!(others.is_empty(), "{others:?}");
    outcome
}

fn ask_lock(arbiter: &mut Arbiter, owner: &str, path: &str, mode: Mode) -> Outcome {
    let ask = Ask {
        locks: Locks::from_elem(Lock::new(path, mode), 1),
        ..Ask::new(owner, Needs::new())
    };
    alone(arbiter, ask)
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

fn release(arbiter: &mut Arbiter, grant: GrantId) -> Vec<GrantId> {
    let mut out = Vec::new();
    arbiter.release(grant, &mut out).unwrap();
    out.iter().map(|grant| grant.id).collect()
}

#[test]
fn what_is_free_is_granted_and_the_rest_waits() {
    let mut arbiter = Arbiter::new([("cpu", 2.0), ("memory", 8.0)]);
    let a = granted(ask(&mut arbiter, "a", &[("cpu", 1.5)], 5));
    let b = queued(ask(&mut arbiter, "b", &[("cpu", 1.0), ("memory", 4.0)], 5));
    let wait = &arbiter.explain()[0];
    assert_eq!(wait.words(), "waits for 0.5 cores held by a");
    assert_eq!(release(&mut arbiter, a), [b]);
    assert_eq!(
        arbiter.release(a, &mut Vec::new()),
        Err(RequestError::NotHeld(a))
    );
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
    let resources = Resources::new([("cpu", 2.0)]);
    let refused =
        |amounts: &[(&str, f64)]| resources.needs("a", amounts.iter().copied()).unwrap_err();
    assert!(matches!(
        refused(&[("cpu", 3.0)]),
        RequestError::Infeasible { .. }
    ));
    let twice = [("cpu", 1.0), ("cpu", 1.5)];
    assert!(matches!(refused(&twice), RequestError::Infeasible { .. }));
    assert!(matches!(
        refused(&[("gpu", 1.0)]),
        RequestError::UnknownResource { .. }
    ));
    assert!(matches!(
        refused(&[("cpu", f64::NAN)]),
        RequestError::NoAmount { .. }
    ));
    assert!(resources.needs("a", [("gpu", 0.0)]).unwrap().is_empty());
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
    assert!(
        !arbiter.withdraw(held, &mut out),
        "what is held does not wait"
    );
    assert_eq!(release(&mut arbiter, held), [high]);
    assert_eq!(release(&mut arbiter, high), [low]);
}

#[test]
fn a_large_request_is_not_overtaken_for_ever() {
    let mut arbiter = Arbiter::new([("cpu", 4.0)]);
    let mut running = vec![granted(ask(&mut arbiter, "small", &[("cpu", 1.0)], 9))];
    let large = queued(ask(&mut arbiter, "large", &[("cpu", 4.0)], 0));
    for turn in 0..10 * PATIENCE {
        match ask(&mut arbiter, "small", &[("cpu", 1.0)], 9) {
            Outcome::Granted(grant) => running.push(grant.id),
            Outcome::Queued(_) => {
                let wait = arbiter.explain().pop().unwrap();
                let behind = "waits for large, which was passed over 16 times";
                assert!(!wait.reasons.is_empty() && (turn < 14 || wait.words() == behind));
            }
        }
        let done = running.remove(0);
        let out = release(&mut arbiter, done);
        running.extend(&out);
        if out.contains(&large) {
            assert!(turn > 1, "the small ones had priority");
            return;
        }
    }
    panic!("the large request starved");
}

#[test]
fn what_harms_nobody_may_begin_beside_one_out_of_patience() {
    let mut arbiter = Arbiter::new([("cpu", 4.0), ("memory", 4.0)]);
    let held = granted(ask(&mut arbiter, "x", &[("memory", 4.0)], 5));
    queued(ask(
        &mut arbiter,
        "large",
        &[("memory", 1.0), ("cpu", 2.0)],
        5,
    ));
    for _ in 0..PATIENCE {
        let taken = granted(ask(&mut arbiter, "y", &[("cpu", 3.0)], 5));
        release(&mut arbiter, taken);
    }
    queued(ask(&mut arbiter, "y", &[("cpu", 3.0)], 5));
    let beside = granted(ask(&mut arbiter, "z", &[("cpu", 2.0)], 5));
    assert_eq!(release(&mut arbiter, held).len(), 1);
    release(&mut arbiter, beside);
}

#[test]
fn a_grant_that_makes_an_owner_yield_lets_others_begin_at_once() {
    let mut arbiter = Arbiter::new([("cpu", 4.0), ("memory", 4.0), ("gpu", 1.0)]);
    granted(ask(&mut arbiter, "z", &[("memory", 4.0)], 5));
    granted(ask(&mut arbiter, "p", &[("cpu", 1.0)], 5));
    queued(ask(&mut arbiter, "y", &[("memory", 4.0)], 5));
    queued(ask(&mut arbiter, "o", &[("memory", 1.0), ("cpu", 3.0)], 5));
    for _ in 0..PATIENCE {
        let taken = granted(ask(&mut arbiter, "p", &[("cpu", 1.0)], 5));
        release(&mut arbiter, taken);
    }
    // The owner that holds least was overtaken too often, and now holds back three cores.
    let waits = queued(ask(&mut arbiter, "p", &[("cpu", 1.0)], 5));
    let needs = arbiter.resources().needs("o", [("gpu", 1.0)]).unwrap();
    let mut others = Vec::new();
    granted(arbiter.request(Ask::new("o", needs), &mut others));
    assert_eq!(others.pop().unwrap().id, waits, "o holds most now");
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
    let mut running = VecDeque::new();
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
            let who = names.iter().position(|name| **name == *grant.owner);
            running.push_back((grant.id, who.unwrap()));
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
    release(&mut arbiter, held);
    arbiter.retire("a");
    assert!(arbiter.shares().is_empty());
}

#[test]
fn writers_of_one_path_take_turns_and_readers_share() {
    let mut arbiter = Arbiter::new::<&str>([]);
    let one = granted(ask_lock(&mut arbiter, "one", "docs/a", Mode::Shared));
    let two = granted(ask_lock(&mut arbiter, "two", "docs/a/b", Mode::Shared));
    let writer = queued(ask_lock(&mut arbiter, "writer", "docs", Mode::Exclusive));
    let wait = arbiter.explain().pop().unwrap();
    let words = wait.words();
    assert!(
        words.starts_with("waits for the lock on docs, for "),
        "{words}"
    );
    granted(ask_lock(&mut arbiter, "other", "src", Mode::Exclusive));
    assert!(release(&mut arbiter, one).is_empty());
    assert_eq!(release(&mut arbiter, two), [writer]);
    queued(ask_lock(&mut arbiter, "two", "docs", Mode::Shared));
    let words = arbiter.explain().pop().unwrap().words();
    assert_eq!(words, "waits for the lock on docs held by writer");
}

#[test]
fn readers_do_not_starve_a_writer() {
    let mut arbiter = Arbiter::new::<&str>([]);
    let mut readers = VecDeque::from([granted(ask_lock(&mut arbiter, "r", "a", Mode::Shared))]);
    let writer = queued(ask_lock(&mut arbiter, "w", "a", Mode::Exclusive));
    for _ in 0..4 * PATIENCE {
        match ask_lock(&mut arbiter, "r", "a", Mode::Shared) {
            Outcome::Granted(grant) => readers.push_back(grant.id),
            Outcome::Queued(_) => {
                while let Some(reader) = readers.pop_front() {
                    if release(&mut arbiter, reader).contains(&writer) {
                        return;
                    }
                }
            }
        }
        if readers.len() > 1 {
            let done = readers.pop_front().unwrap();
            release(&mut arbiter, done);
        }
    }
    panic!("the writer starved");
}

/// Four owners of different priority and length wait for one place; the order in which they get it.
fn order_under(strategy: Strategy, before: Strategy) -> Vec<u64> {
    let mut arbiter = Arbiter::new([("cpu", 1.0)]);
    arbiter.set_strategy(before, &mut Vec::new());
    let mut held = granted(ask(&mut arbiter, "first", &[("cpu", 1.0)], 5));
    let waiting = [
        ("a", 3, Some(9.0)),
        ("b", 7, None),
        ("a", 7, Some(1.0)),
        ("c", 3, Some(5.0)),
    ];
    for (tag, (owner, priority, seconds)) in waiting.into_iter().enumerate() {
        let needs = arbiter.resources().needs(owner, [("cpu", 1.0)]).unwrap();
        let ask = Ask {
            priority,
            seconds,
            tag: tag as u64,
            ..Ask::new(owner, needs)
        };
        queued(alone(&mut arbiter, ask));
    }
    arbiter.set_strategy(strategy, &mut Vec::new());
    let mut order = Vec::new();
    loop {
        let mut out = Vec::new();
        arbiter.release(held, &mut out).unwrap();
        let Some(grant) = out.pop() else {
            return order;
        };
        held = grant.id;
        order.push(grant.tag);
    }
}

#[test]
fn a_strategy_can_be_changed_while_requests_wait() {
    for before in [Strategy::Fair, Strategy::Shortest] {
        assert_eq!(order_under(Strategy::Priority, before), [1, 2, 0, 3]);
        // Of two with one priority the owner that was served less goes first.
        assert_eq!(order_under(Strategy::Fair, before), [1, 2, 3, 0]);
        assert_eq!(order_under(Strategy::Shortest, before), [2, 3, 0, 1]);
    }
    let drawn = |seed| order_under(Strategy::Lottery { seed }, Strategy::Fair);
    assert_eq!(drawn(1), drawn(1));
    let orders: HashSet<Vec<u64>> = (0..20).map(drawn).collect();
    assert!(orders.len() > 3, "{orders:?}");
}

#[test]
fn lots_fall_by_tickets_and_not_by_the_number_of_requests() {
    let mut arbiter = Arbiter::new([("cpu", 1.0)]);
    arbiter.set_strategy(Strategy::Lottery { seed: 11 }, &mut Vec::new());
    let mut held = granted(ask(&mut arbiter, "x", &[("cpu", 1.0)], 5));
    for _ in 0..20 {
        queued(ask(&mut arbiter, "many", &[("cpu", 1.0)], 2));
    }
    queued(ask(&mut arbiter, "few", &[("cpu", 1.0)], 5));
    let mut wins: HashMap<Arc<str>, u32> = HashMap::new();
    for _ in 0..3000 {
        let mut out = Vec::new();
        arbiter.release(held, &mut out).unwrap();
        let grant = out.pop().unwrap();
        let priority = if &*grant.owner == "few" { 5 } else { 2 };
        queued(ask(&mut arbiter, &grant.owner, &[("cpu", 1.0)], priority));
        held = grant.id;
        *wins.entry(grant.owner).or_default() += 1;
    }
    // Three tickets against six.
    let share = f64::from(wins["few"]) / 3000.0;
    assert!((0.64..0.69).contains(&share), "{share}");
}

#[test]
fn a_reservation_keeps_room_from_its_time_until_it_is_claimed() {
    let mut arbiter = Arbiter::new([("cpu", 4.0)]);
    let mut out = Vec::new();
    let cpu = |arbiter: &Arbiter, n| arbiter.resources().needs("plan", [("cpu", n)]).unwrap();
    let three = cpu(&arbiter, 3.0);
    arbiter
        .reserve("plan", None, three.clone(), 10.0, f64::INFINITY)
        .unwrap();
    let refused = arbiter
        .reserve("other", None, three, 20.0, 30.0)
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "other would reserve 3 cpu, but 3 of 4 are reserved then"
    );
    let early = granted(ask(&mut arbiter, "x", &[("cpu", 4.0)], 5));
    assert_eq!(arbiter.next_change(), Some(10.0));
    arbiter.advance(10.0, &mut out);
    assert_eq!(arbiter.next_change(), None);
    let late = queued(ask(&mut arbiter, "x", &[("cpu", 2.0)], 9));
    assert!(
        release(&mut arbiter, early).is_empty(),
        "three cores are kept"
    );
    let words = arbiter.explain().pop().unwrap().words();
    assert_eq!(words, "waits for 1 core reserved for plan");
    granted(ask(&mut arbiter, "x", &[("cpu", 1.0)], 1));
    let part = granted(ask(&mut arbiter, "plan", &[("cpu", 2.0)], 0));
    arbiter.retire("plan");
    let rest = granted(ask(&mut arbiter, "plan", &[("cpu", 1.0)], 0));
    assert_eq!(release(&mut arbiter, part), [late], "all was claimed");
    release(&mut arbiter, rest);

    let two = cpu(&arbiter, 2.0);
    let id = arbiter
        .reserve("plan", None, two.clone(), 0.0, 50.0)
        .unwrap();
    let waits = queued(ask(&mut arbiter, "x", &[("cpu", 1.0)], 5));
    assert!(arbiter.unreserve(id, &mut out) && !arbiter.unreserve(id, &mut Vec::new()));
    let last = out.pop().unwrap().id;
    assert_eq!(last, waits);
    release(&mut arbiter, last);
    arbiter
        .reserve("plan", None, cpu(&arbiter, 1.0), 0.0, 50.0)
        .unwrap();
    let waits = queued(ask(&mut arbiter, "x", &[("cpu", 1.0)], 5));
    arbiter.advance(50.0, &mut out);
    assert_eq!(out.pop().unwrap().id, waits, "it ended");
}

#[test]
fn what_is_held_reserved_or_waited_for_is_not_spare_and_a_reservation_is_called_by_its_label() {
    let mut arbiter = Arbiter::new([("gpu", 2.0), ("cpu", 4.0)]);
    let gpu = |arbiter: &Arbiter, n| arbiter.resources().needs("run", [("gpu", n)]).unwrap();
    let (one, two) = (gpu(&arbiter, 1.0), gpu(&arbiter, 2.0));
    assert!(arbiter.is_spare(&two));
    let label = Some("train".into());
    arbiter
        .reserve("run", label, one.clone(), 0.0, 9.0)
        .unwrap();
    assert!(
        arbiter.is_spare(&one) && !arbiter.is_spare(&two),
        "one is kept"
    );
    let held = granted(ask(&mut arbiter, "other", &[("gpu", 1.0)], 5));
    assert!(!arbiter.is_spare(&one), "and one is held");
    queued(ask(&mut arbiter, "third", &[("gpu", 1.0)], 5));
    let words = arbiter.explain().pop().unwrap().words();
    assert_eq!(words, "waits for 1 GPU reserved for train");
    let own = granted(ask(&mut arbiter, "run", &[("gpu", 1.0)], 5));
    queued(ask(&mut arbiter, "fourth", &[("gpu", 2.0)], 5));
    release(&mut arbiter, held);
    release(&mut arbiter, own);
    assert!(!arbiter.is_spare(&one), "somebody waits for it");
    let cpu = arbiter.resources().needs("run", [("cpu", 4.0)]).unwrap();
    assert!(arbiter.is_spare(&cpu));
}

#[test]
fn every_wait_has_its_words() {
    let mut arbiter = Arbiter::new([("memory", (4u64 << 30) as f64), ("slots", 3.0)]);
    let needs = arbiter.resources().needs(
        "run",
        [("memory", 3.2 * f64::from(1 << 30)), ("slots", 2.0)],
    );
    let held = Ask {
        label: Some("commits".into()),
        locks: Locks::from_elem(Lock::new("", Mode::Exclusive), 1),
        ..Ask::new("run", needs.unwrap())
    };
    granted(alone(&mut arbiter, held));
    let needs = arbiter
        .resources()
        .needs("run", [("memory", f64::from(1u32 << 31)), ("slots", 2.0)]);
    let waiting = Ask {
        label: Some("report".into()),
        locks: Locks::from_elem(Lock::new("docs", Mode::Shared), 1),
        ..Ask::new("run", needs.unwrap())
    };
    queued(alone(&mut arbiter, waiting));
    let wait = arbiter.explain().pop().unwrap();
    assert_eq!(
        (wait.owner.as_str(), wait.label.as_str()),
        ("run", "report")
    );
    assert_eq!(
        wait.words(),
        "waits for 1.2 GiB of memory held by commits, and for 1 of slots held by commits, \
         and for the lock on docs, for commits holds everything"
    );
    assert!(matches!(&wait.reasons[2], Reason::Locked { holder, .. } if holder == "commits"));
}

mod promises;
