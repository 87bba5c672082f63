//! Topics: routing against a naive reference, order, bounds, and slow subscribers who disturb nobody.

use std::sync::Arc;
use std::time::Duration;

use ipc_bus::Value;
use ipc_bus::topics::{Bounds, Message, Pattern, Routes, Topic, Topics};
use parking_lot::Mutex;
use proptest::prelude::*;

/// What one subscriber got: the body, and how many it was told that it missed.
type Got = Arc<Mutex<Vec<(Value, u64)>>>;

const PATIENCE: Duration = Duration::from_secs(20);

fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a topic")
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a pattern")
}

fn message(number: u64) -> Message {
    Message::new(topic("tests/peer/news"), number.into())
}

fn bounds(queue: usize, window: usize) -> Bounds {
    Bounds {
        queue,
        window,
        ..Bounds::default()
    }
}

fn subscribe(topics: &Topics, text: &str, bounds: Bounds) -> (u64, Got) {
    let got = Got::default();
    let keep = got.clone();
    let deliver = Box::new(move |message: &Message, missed| {
        keep.lock().push((message.body.clone(), missed));
    });
    (topics.subscribe(pattern(text), bounds, deliver), got)
}

fn numbers(got: &Got) -> Vec<u64> {
    let got = got.lock();
    got.iter()
        .map(|(body, _)| body.as_u64().expect("a number"))
        .collect()
}

/// A second reading of the rules, by backtracking over lists of parts.
fn naive(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["**"], rest) => !rest.is_empty(),
        (["*", pattern @ ..], [_, topic @ ..]) => naive(pattern, topic),
        ([word, pattern @ ..], [part, topic @ ..]) => word == part && naive(pattern, topic),
        _ => false,
    }
}

fn split(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

/// Few words, so that they meet.
fn topics() -> impl Strategy<Value = String> {
    proptest::collection::vec("[ab]{1,2}", 1..6).prop_map(|parts| parts.join("/"))
}

fn patterns() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => "[ab]{1,2}", 1 => Just("*".to_owned())];
    (proptest::collection::vec(part, 0..5), any::<bool>()).prop_map(|(mut parts, is_open)| {
        if is_open || parts.is_empty() {
            parts.push("**".to_owned());
        }
        parts.join("/")
    })
}

proptest! {
    #[test]
    fn a_pattern_matches_as_the_naive_reading_says(wanted in patterns(), name in topics()) {
        let expected = naive(&split(&wanted), &split(&name));
        prop_assert_eq!(pattern(&wanted).matches(&topic(&name)), expected);
    }

    #[test]
    fn the_tree_finds_what_each_pattern_matches_and_forgets_what_is_removed(
        wanted in proptest::collection::vec(patterns(), 0..20),
        removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
        name in topics(),
    ) {
        let mut routes = Routes::default();
        for (number, text) in wanted.iter().enumerate() {
            routes.insert(&pattern(text), number);
        }
        let mut left: Vec<usize> = (0..wanted.len()).collect();
        for index in removed {
            if !left.is_empty() {
                let number = left.swap_remove(index.index(left.len()));
                routes.remove(&pattern(&wanted[number]), |other| *other == number);
            }
        }
        let name = topic(&name);
        let mut found = Vec::new();
        routes.reached(&name, |number| found.push(*number));
        left.retain(|number| pattern(&wanted[*number]).matches(&name));
        found.sort_unstable();
        left.sort_unstable();
        prop_assert_eq!(&found, &left);
        for (number, text) in wanted.iter().enumerate() {
            routes.remove(&pattern(text), |other| *other == number);
        }
        prop_assert!(routes.is_empty());
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), odd in "[ab*/]{0,30}") {
        for text in [text, odd] {
            if let (Ok(wanted), Ok(name)) = (Pattern::parse(&text), Topic::parse(&text)) {
                prop_assert!(wanted.matches(&name), "a topic is a pattern for itself");
            }
        }
    }
}

#[test]
fn what_is_no_topic_is_refused_with_the_reason() {
    let long = "a".repeat(257);
    let many = ["a"; 17].join("/");
    for text in [
        "", "/", "a//b", "a/", "/a", "a b", "a/*", "a/ä", "a\0b", &long, &many,
    ] {
        assert!(Topic::parse(text).is_err(), "{text:?}");
    }
    for text in [
        "", "a//b", "**/a", "a/**/b", "a*", "***", "a/b**", &long, &many,
    ] {
        assert!(Pattern::parse(text).is_err(), "{text:?}");
    }
    let error = Pattern::parse("a/**/b")
        .expect_err("no pattern")
        .to_string();
    assert_eq!(error, r#""a/**/b" is no pattern: ** stands at the end"#);
}

#[test]
fn a_name_that_begins_like_the_owners_is_not_below_it() {
    assert!(topic("tests/peer/news").is_below("tests/peer"));
    for foreign in ["tests/peer", "tests/peers/news", "tests/other/news"] {
        assert!(!topic(foreign).is_below("tests/peer"), "{foreign}");
    }
    assert!(!topic("tests/peer/news").is_below(""));
}

#[test]
fn each_subscriber_gets_what_its_pattern_means_in_order() {
    let hub = Topics::default();
    let all = [
        subscribe(&hub, "tests/peer/news", Bounds::default()).1,
        subscribe(&hub, "tests/peer/*", Bounds::default()).1,
        subscribe(&hub, "tests/**", Bounds::default()).1,
    ];
    let (_, other) = subscribe(&hub, "tests/peer/*/more", Bounds::default());
    for number in 0..9 {
        assert_eq!(hub.publish(message(number)).subscribers, 3);
    }
    for got in &all {
        assert_eq!(numbers(got), Vec::from_iter(0..9));
    }
    assert!(other.lock().is_empty());
}

#[test]
fn a_slow_subscriber_loses_its_oldest_and_is_told_how_many_and_no_other_notices() {
    let hub = Topics::default();
    let (slow, slow_got) = subscribe(&hub, "tests/peer/news", bounds(3, 2));
    let (fast, fast_got) = subscribe(&hub, "tests/peer/news", bounds(3, 2));
    for number in 0..10 {
        let published = hub.publish(message(number));
        assert_eq!(published.subscribers, 2);
        assert_eq!(published.displaced, usize::from(number >= 5), "{number}");
        hub.acknowledge(fast, 1);
    }
    assert_eq!(numbers(&fast_got), Vec::from_iter(0..10));
    assert!(fast_got.lock().iter().all(|(_, missed)| *missed == 0));
    assert_eq!(numbers(&slow_got), [0, 1]);
    hub.acknowledge(slow, 2);
    hub.acknowledge(slow, 2);
    let expected: Vec<(Value, u64)> = [(0, 0), (1, 0), (7, 5), (8, 0), (9, 0)]
        .map(|(number, missed)| (Value::from(number), missed))
        .into();
    assert_eq!(*slow_got.lock(), expected);
}

#[test]
fn bytes_are_bounded_as_messages_are_but_one_may_always_wait() {
    let hub = Topics::default();
    let bytes = 10_000;
    let (id, got) = subscribe(
        &hub,
        "tests/peer/news",
        Bounds {
            bytes,
            ..bounds(1000, 1)
        },
    );
    let large = || Message::new(topic("tests/peer/news"), Value::Binary(vec![0; 4_000]));
    let displaced: Vec<usize> = (0..5).map(|_| hub.publish(large()).displaced).collect();
    assert_eq!(displaced, [0, 0, 0, 1, 1], "one on its way, two wait");
    let huge = Message::new(topic("tests/peer/news"), Value::Binary(vec![1; 50_000]));
    assert_eq!(hub.publish(huge).displaced, 1);
    hub.acknowledge(id, 1);
    assert_eq!(got.lock().len(), 2);
    assert_eq!(
        got.lock()[1].1,
        4,
        "what the huge one displaced is counted too"
    );
}

#[tokio::test]
async fn a_publisher_waits_for_a_full_queue_and_for_no_longer_than_it_takes() {
    let hub = Arc::new(Topics::default());
    let (slow, got) = subscribe(&hub, "tests/peer/news", bounds(1, 1));
    let (_, fast_got) = subscribe(&hub, "tests/peer/news", Bounds::default());
    hub.publish(message(0));
    hub.publish(message(1));
    let waits = tokio::spawn({
        let hub = hub.clone();
        async move { hub.publish_within(message(2), PATIENCE).await }
    });
    // Who has room has it before the slow one has taken it.
    while fast_got.lock().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert!(!waits.is_finished());
    hub.acknowledge(slow, 1);
    let published = waits.await.expect("published");
    assert_eq!((published.subscribers, published.displaced), (2, 0));
    hub.acknowledge(slow, 1);
    assert_eq!(numbers(&got), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_whose_patience_ends_displaces_the_oldest_and_is_told() {
    let hub = Topics::default();
    let (slow, got) = subscribe(&hub, "tests/peer/news", bounds(1, 1));
    hub.publish(message(0));
    hub.publish(message(1));
    let published = hub.publish_within(message(2), Duration::from_secs(5)).await;
    assert_eq!(published.displaced, 1);
    hub.acknowledge(slow, 1);
    assert_eq!(*got.lock(), [(0.into(), 0), (2.into(), 1)]);
}

#[tokio::test]
async fn who_unsubscribes_lets_the_publisher_that_waits_for_it_go() {
    let hub = Arc::new(Topics::default());
    let (slow, got) = subscribe(&hub, "tests/peer/news", bounds(1, 1));
    hub.publish(message(0));
    hub.publish(message(1));
    let waits = tokio::spawn({
        let hub = hub.clone();
        async move { hub.publish_within(message(2), PATIENCE).await }
    });
    tokio::task::yield_now().await;
    assert!(hub.unsubscribe(slow) && !hub.unsubscribe(slow));
    let published = tokio::time::timeout(PATIENCE / 2, waits).await;
    assert_eq!(published.expect("at once").expect("published").displaced, 0);
    assert_eq!(numbers(&got), [0]);
    assert_eq!(hub.publish(message(3)).subscribers, 0);
    assert!(hub.is_empty());
}

#[test]
fn acknowledging_what_never_came_opens_no_wider_window() {
    let hub = Topics::default();
    let (id, got) = subscribe(&hub, "tests/peer/news", bounds(100, 2));
    hub.acknowledge(id, usize::MAX);
    (0..10).for_each(|number| _ = hub.publish(message(number)));
    assert_eq!(numbers(&got), [0, 1]);
    hub.acknowledge(id, usize::MAX);
    assert_eq!(numbers(&got), [0, 1, 2, 3]);
}
