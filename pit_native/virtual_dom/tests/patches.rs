//! The patch applied to the old tree gives the new tree: checked with another implementation of RFC 6902.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use virtual_dom::{DomError, Element, MAX_DEPTH, Node, VirtualDom};

fn element(kind: &str, key: Option<&str>, props: Value, children: Vec<Node>) -> Node {
    let Value::Object(props) = props else {
        panic!("props are an object")
    };
    Node::Element(Element {
        kind: kind.into(),
        key: key.map(Into::into),
        props,
        children,
    })
}

fn text(text: &str) -> Node {
    Node::Text(text.into())
}

fn row(number: usize, label: &str) -> Node {
    element(
        "row",
        Some(&format!("r{number}")),
        json!({}),
        vec![text(label)],
    )
}

fn list(rows: impl IntoIterator<Item = usize>) -> Node {
    let rows = rows.into_iter().map(|number| row(number, "text")).collect();
    element("list", Some("list"), json!({}), rows)
}

/// The page: holds JSON and applies patches.
struct Page(Value);

impl Page {
    fn apply(&mut self, patch: Option<&[u8]>) {
        if let Some(patch) = patch {
            let patch: json_patch::Patch = serde_json::from_slice(patch).expect("a patch is JSON");
            json_patch::patch(&mut self.0, &patch).expect("a patch applies");
        }
    }
}

/// Renders both trees one after the other; gives the second patch after checking it.
fn check(before: Node, after: Node) -> Option<Vec<u8>> {
    let (mut dom, mut page) = (VirtualDom::new(), Page(Value::Null));
    page.apply(dom.render(before.clone()).unwrap().as_deref());
    assert_eq!(page.0, before.to_json());
    let patch = dom.render(after.clone()).unwrap();
    page.apply(patch.as_deref());
    assert_eq!(page.0, after.to_json());
    assert_eq!(
        serde_json::from_slice::<Value>(&dom.snapshot()).unwrap(),
        after.to_json()
    );
    assert_eq!(patch.is_none(), before == after);
    assert_eq!(
        dom.render(after).unwrap(),
        None,
        "the same tree again changes nothing"
    );
    patch
}

fn operations(patch: &[u8]) -> Vec<String> {
    let patch: Value = serde_json::from_slice(patch).unwrap();
    patch
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["op"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn one_text_among_ten_thousand_rows_is_under_a_hundred_bytes() {
    let (mut dom, mut page) = (VirtualDom::new(), Page(Value::Null));
    page.apply(dom.render(list(0..10_000)).unwrap().as_deref());
    let patch = dom
        .update(vec![("r9999".into(), row(9_999, "news"))])
        .unwrap()
        .unwrap();
    assert_eq!(
        String::from_utf8(patch.clone()).unwrap(),
        r#"[{"op":"replace","path":"/children/9999/children/0","value":"news"}]"#
    );
    assert!(patch.len() <= 100);
    page.apply(Some(&patch));
    assert_eq!(page.0["children"][9_999]["children"][0], "news");
    assert_eq!(
        dom.update(vec![("r9999".into(), row(9_999, "news"))])
            .unwrap(),
        None
    );
}

#[test]
fn a_moved_row_is_one_operation() {
    for (from, to) in [(0, 9), (9, 0), (3, 7), (7, 3)] {
        let mut rows: Vec<usize> = (0..10).collect();
        let moved = rows.remove(from);
        rows.insert(to, moved);
        let patch = check(list(0..10), list(rows)).unwrap();
        assert_eq!(operations(&patch), ["move"], "{from} to {to}");
    }
}

#[test]
fn inserting_and_removing_touch_nothing_else() {
    let patch = check(list(0..1000), list((0..1000).filter(|row| *row != 500))).unwrap();
    assert_eq!(patch, br#"[{"op":"remove","path":"/children/500"}]"#);
    let patch = check(list((0..1000).filter(|row| *row != 500)), list(0..1000)).unwrap();
    assert_eq!(operations(&patch), ["add"]);
    assert!(patch.len() < 150);
}

#[test]
fn properties_change_in_parts() {
    let rows = |value: u64| json!({"rows": (0..500).map(|row| if row == 250 { json!([value]) } else { json!([row]) }).collect::<Value>()});
    let patch = check(
        element("table", None, rows(1), vec![]),
        element("table", None, rows(2), vec![]),
    )
    .unwrap();
    assert_eq!(
        patch,
        br#"[{"op":"replace","path":"/props/rows/250/0","value":2}]"#
    );
    let patch = check(
        element(
            "x",
            None,
            json!({"a/b": 1, "c~d": {"e": 1}, "gone": 0}),
            vec![],
        ),
        element(
            "x",
            None,
            json!({"a/b": 2, "c~d": {"e": 1, "f": [1, 2]}}),
            vec![],
        ),
    );
    assert_eq!(operations(&patch.unwrap()), ["remove", "replace", "add"]);
    // Where all is different, the whole is shorter than its parts.
    let different = |start: usize| json!({"rows": (start..start + 100).collect::<Vec<_>>()});
    let patch = check(
        element("t", None, different(0), vec![]),
        element("t", None, different(1000), vec![]),
    )
    .unwrap();
    assert_eq!(operations(&patch), ["replace"]);
}

#[test]
fn another_type_or_key_is_another_node() {
    let patch = check(
        element(
            "page",
            None,
            json!({}),
            vec![element("a", None, json!({}), vec![])],
        ),
        element(
            "page",
            None,
            json!({}),
            vec![element("b", None, json!({}), vec![])],
        ),
    );
    assert_eq!(operations(&patch.unwrap()), ["remove", "add"]);
    let patch = check(
        element("a", Some("k"), json!({}), vec![]),
        element("a", Some("l"), json!({}), vec![]),
    );
    assert_eq!(operations(&patch.unwrap()), ["replace"]);
}

#[test]
fn a_key_may_change_its_parent() {
    let pane = |key: &str, children| element("pane", Some(key), json!({}), children);
    let page = |left, right| {
        element(
            "page",
            Some("page"),
            json!({}),
            vec![pane("left", left), pane("right", right)],
        )
    };
    for (before, after) in [
        (
            page(vec![row(1, "a")], vec![]),
            page(vec![], vec![row(1, "b")]),
        ),
        (
            page(vec![], vec![row(1, "a")]),
            page(vec![row(1, "b")], vec![]),
        ),
    ] {
        let (mut dom, mut shown) = (VirtualDom::new(), Page(Value::Null));
        for tree in [before, after] {
            shown.apply(dom.render(tree).unwrap().as_deref());
        }
        // The key leads to where the node is now.
        shown.apply(
            dom.update(vec![("r1".into(), row(1, "c"))])
                .unwrap()
                .as_deref(),
        );
        assert_eq!(
            serde_json::from_slice::<Value>(&dom.snapshot()).unwrap(),
            shown.0
        );
        assert!(shown.0.to_string().contains("\"c\""));
    }
}

#[test]
fn wrong_trees_are_refused_and_nothing_is_lost() {
    let mut dom = VirtualDom::new();
    assert_eq!(
        dom.update(vec![("a".into(), row(1, ""))]),
        Err(DomError::Empty)
    );
    assert_eq!(dom.render(text("a")), Err(DomError::TextRoot));
    assert_eq!(
        dom.render(list([1, 1])),
        Err(DomError::DuplicateKey("r1".into()))
    );
    let mut page = Page(Value::Null);
    page.apply(dom.render(list(0..3)).unwrap().as_deref());
    let wrong = DomError::WrongKey {
        expected: "r1".into(),
        found: "r2".into(),
    };
    assert_eq!(dom.update(vec![("r1".into(), row(2, ""))]), Err(wrong));
    let nested = element("row", Some("r1"), json!({}), vec![row(2, "")]);
    assert_eq!(
        dom.update(vec![("r1".into(), nested)]),
        Err(DomError::DuplicateKey("r2".into()))
    );
    let deep = (0..MAX_DEPTH).fold(row(7, ""), |inner, _| {
        element("box", None, json!({}), vec![inner])
    });
    assert_eq!(dom.render(deep), Err(DomError::TooDeep(MAX_DEPTH)));
    // The first change holds though the second is refused; the page hears of it with the next patch.
    let changes = vec![("r1".into(), row(1, "one")), ("gone".into(), row(9, ""))];
    assert_eq!(
        dom.update(changes),
        Err(DomError::UnknownKey("gone".into()))
    );
    page.apply(
        dom.update(vec![("r2".into(), row(2, "two"))])
            .unwrap()
            .as_deref(),
    );
    assert_eq!(
        serde_json::from_slice::<Value>(&dom.snapshot()).unwrap(),
        page.0
    );
    assert_eq!(
        (page.0["children"][1]["children"][0].as_str(), dom.seq()),
        (Some("one"), 2)
    );
    assert_eq!(dom.len(), 1 + 3 + 3, "nothing leaks");
}

fn props() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (0..3i64).prop_map(Value::from),
        "[a~/\"é]{0,3}".prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[ab~/]{1,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    proptest::collection::btree_map("[ab~/]{1,2}", value, 0..3)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Trees whose keys are numbered afterwards, so that they are unique but often shared between two trees.
fn trees() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        "[xy]{0,2}".prop_map(Node::Text),
        (
            prop_oneof![Just("a"), Just("b")],
            props(),
            proptest::option::weighted(0.7, 0..30u8)
        )
            .prop_map(|(kind, props, key)| element(
                kind,
                key.map(|key| key.to_string()).as_deref(),
                props,
                vec![]
            )),
    ];
    let inner = leaf.prop_recursive(3, 60, 12, |inner| {
        (
            prop_oneof![Just("a"), Just("b")],
            props(),
            proptest::option::weighted(0.7, 0..30u8),
            proptest::collection::vec(inner, 0..12),
        )
            .prop_map(|(kind, props, key, children)| {
                element(
                    kind,
                    key.map(|key| key.to_string()).as_deref(),
                    props,
                    children,
                )
            })
    });
    proptest::collection::vec(inner, 0..10).prop_map(|children| {
        let mut root = element("root", Some("root"), json!({}), children);
        let mut seen = std::collections::HashSet::new();
        drop_repeated_keys(&mut root, &mut seen);
        root
    })
}

fn drop_repeated_keys(node: &mut Node, seen: &mut std::collections::HashSet<String>) {
    let Node::Element(element) = node else { return };
    if element
        .key
        .as_ref()
        .is_some_and(|key| !seen.insert(key.clone()))
    {
        element.key = None;
    }
    for child in &mut element.children {
        drop_repeated_keys(child, seen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_becomes_any_other(before in trees(), after in trees()) {
        check(before, after);
    }

    #[test]
    fn any_order_becomes_any_other_with_the_fewest_moves(
        before in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(),
        after in Just((0..16usize).collect::<Vec<_>>()).prop_shuffle(),
        count in 0..16usize,
    ) {
        let after: Vec<usize> = after.into_iter().take(count).collect();
        let kept: Vec<usize> = after.iter().filter_map(|row| before.iter().position(|old| old == row)).collect();
        let patch = check(list(before.clone()), list(after.clone()));
        let steps = patch.map(|patch| operations(&patch)).unwrap_or_default();
        let count = |name: &str| steps.iter().filter(|step| *step == name).count();
        prop_assert_eq!(count("remove"), before.len() - kept.len());
        prop_assert_eq!(count("add"), after.len() - kept.len());
        prop_assert_eq!(count("move"), kept.len() - longest_run(&kept));
    }

    #[test]
    fn updates_keep_the_page_equal(trees in proptest::collection::vec(trees(), 1..4), picks in proptest::collection::vec(any::<prop::sample::Index>(), 8)) {
        let (mut dom, mut page) = (VirtualDom::new(), Page(Value::Null));
        let mut nodes = 0;
        for tree in &trees {
            page.apply(dom.render(tree.clone()).unwrap().as_deref());
            let mut keyed = Vec::new();
            collect_keyed(tree, &mut keyed);
            for pick in &picks {
                let mut changed = (*pick.get(&keyed)).clone();
                if let Node::Element(element) = &mut changed {
                    element.props = Map::from_iter([("n".to_owned(), json!(nodes))]);
                    element.children.reverse();
                    nodes += 1;
                }
                let key = changed.key().unwrap().to_owned();
                // A subtree that meanwhile went with an earlier change is refused and changes nothing.
                if let Ok(patch) = dom.update(vec![(key, changed)]) {
                    page.apply(patch.as_deref());
                }
                prop_assert_eq!(&serde_json::from_slice::<Value>(&dom.snapshot()).unwrap(), &page.0);
            }
        }
    }
}

/// The length of the longest increasing run, the slow and plain way.
fn longest_run(positions: &[usize]) -> usize {
    let mut ending: Vec<usize> = Vec::new();
    for (index, position) in positions.iter().enumerate() {
        let before = (0..index).filter(|earlier| positions[*earlier] < *position);
        ending.push(1 + before.map(|earlier| ending[earlier]).max().unwrap_or(0));
    }
    ending.into_iter().max().unwrap_or(0)
}

fn collect_keyed<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
    if let Node::Element(element) = node {
        if element.key.is_some() {
            found.push(node);
        }
        element
            .children
            .iter()
            .for_each(|child| collect_keyed(child, found));
    }
}
