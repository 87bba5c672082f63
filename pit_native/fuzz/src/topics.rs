//! The matcher of topics, over texts that any Player may name: it agrees with a naive reading of the rules, and
//! so does the tree through which messages are routed.

use ipc_bus::topics::{Pattern, Routes, Topic};

/// Lines: the first a topic, the others patterns. The first byte is not read.
pub fn topic(data: &[u8]) {
    let Some(text) = data
        .get(1..)
        .and_then(|text| std::str::from_utf8(text).ok())
    else {
        return;
    };
    let mut lines = text.split('\n');
    let Ok(topic) = Topic::parse(lines.next().unwrap_or_default()) else {
        return;
    };
    let patterns: Vec<Pattern> = lines.take(64).flat_map(Pattern::parse).collect();
    let parts: Vec<&str> = topic.parts().collect();
    let mut routes = Routes::default();
    let mut expected = Vec::new();
    for (number, pattern) in patterns.iter().enumerate() {
        let wanted: Vec<&str> = pattern.parts().collect();
        let matches = means(&wanted, &parts);
        assert_eq!(pattern.matches(&topic), matches, "{pattern} and {topic}");
        routes.insert(pattern, number);
        expected.extend(matches.then_some(number));
    }
    let mut found = Vec::new();
    routes.reached(&topic, |number| found.push(*number));
    found.sort_unstable();
    assert_eq!(found, expected, "{topic}");
    for (number, pattern) in patterns.iter().enumerate() {
        routes.remove(pattern, |other| *other == number);
    }
    assert!(routes.is_empty());
}

/// The rules as they are written down, part by part.
fn means(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["**"], rest) => !rest.is_empty(),
        (["*", pattern @ ..], [_, topic @ ..]) => means(pattern, topic),
        ([word, pattern @ ..], [part, topic @ ..]) => word == part && means(pattern, topic),
        _ => false,
    }
}
