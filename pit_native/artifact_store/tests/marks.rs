//! Contents whose bytes are elsewhere, and contents that are held.

use artifact_store::{ArtifactId, Options, Store, StoreError, Whereabouts};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

mod support;
use support::*;

fn open_searchable(path: &std::path::Path) -> Store {
    Store::open(path, Options::default()).expect("the store opens")
}

#[test]
fn an_evicted_content_is_known_and_found_and_comes_back() {
    let dir = folder();
    let text = format!("zebras graze at dawn {}", "and at dusk ".repeat(3000));
    let mut store = open_searchable(dir.path());
    let put = named("a.txt", "r");
    let id = store.put(text.as_bytes(), &put).expect("put");
    assert!(store.evict(&id, "archive").expect("evicted"));
    assert!(!store.evict(&id, "archive").expect("evicted before"));
    for round in 0..3 {
        if round > 0 {
            store.close().expect("closed");
            drop(store);
            if round == 2 {
                // The excerpt in the log is what the words come from when the index is lost.
                fs::remove_dir_all(dir.path().join("index")).expect("no index");
            }
            store = open_searchable(dir.path());
        }
        assert!(
            matches!(store.get(&id), Err(StoreError::Remote { id: one, tier }) if one == id && tier == "archive")
        );
        assert_eq!(store.remote().expect("remote"), [id]);
        assert!(!store.is_local(&id).expect("known"));
        let info = store.info(&id).expect("info");
        assert_eq!(
            (info.name.as_str(), info.bytes),
            ("a.txt", text.len() as u64)
        );
        store.flush_search().expect("flushed");
        let hits = store.search("zebras", 5).expect("searched");
        assert_eq!(hits.len(), 1, "round {round}");
        assert!(hits[0].snippet.contains("zebras"));
        assert_eq!(store.verify().expect("verified"), []);
    }
    assert!(matches!(
        store.restore(&id, b"other"),
        Err(StoreError::BadInput(_))
    ));
    assert!(store.restore(&id, text.as_bytes()).expect("restored"));
    assert!(
        !store
            .restore(&id, text.as_bytes())
            .expect("restored before")
    );
    assert_eq!(store.get(&id).expect("local"), text.as_bytes());
    assert_eq!(store.versions("a.txt").expect("versions").len(), 1);
}

#[test]
fn the_space_of_an_evicted_content_comes_back() {
    let dir = folder();
    let store = open(dir.path());
    let big: Vec<u8> = (0..400_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let id = store.put(&big, &named("big", "r")).expect("put");
    let small = store.put(b"small", &named("small", "r")).expect("put");
    assert!(store.evict(&id, "archive").expect("evicted"));
    let collected = store.gc(&[id, small], None).expect("collected");
    assert_eq!(collected.removed, 0);
    assert!(collected.freed > 1_000_000, "{collected:?}");
    for _ in 0..2 {
        assert!(matches!(store.get(&id), Err(StoreError::Remote { .. })));
        assert_eq!(store.get(&small).expect("small"), b"small");
        store.gc(&[id, small], None).expect("collected");
    }
    abandon(store, dir.path());
    let store = open(dir.path());
    assert_eq!(store.remote().expect("remote"), [id]);
    // Putting what is elsewhere makes it local again.
    store.put(&big, &named("big", "r2")).expect("put");
    assert_eq!(store.get(&id).expect("local"), big);
    assert_eq!(store.remote().expect("remote"), []);
}

#[test]
fn what_is_held_outlives_everything_until_the_hold_is_lifted() {
    let dir = folder();
    let store = open(dir.path());
    let id = store.put(b"evidence", &named("a", "r")).expect("put");
    assert!(store.hold(&id, "case 7").expect("held"));
    assert!(!store.hold(&id, "case 7").expect("held before"));
    let refused = store.remove(&id);
    assert!(matches!(refused, Err(StoreError::Held { reason, .. }) if reason == "case 7"));
    assert_eq!(store.gc(&[], None).expect("collected").removed, 0);
    abandon(store, dir.path());
    let store = open(dir.path());
    assert!(matches!(store.remove(&id), Err(StoreError::Held { .. })));
    assert_eq!(store.get(&id).expect("kept"), b"evidence");
    assert_eq!(store.held().expect("held"), [(id, "case 7".to_owned())]);
    assert!(store.lift_hold(&id).expect("lifted"));
    abandon(store, dir.path());
    let store = open(dir.path());
    assert!(!store.lift_hold(&id).expect("no hold"));
    assert!(store.remove(&id).expect("removed"));
    assert!(matches!(
        store.hold(&id, "late"),
        Err(StoreError::NotFound(_))
    ));
}

#[test]
fn a_hold_outlives_the_records_that_it_was_set_on() {
    let dir = folder();
    let store = open(dir.path());
    let content = vec![2; 9002];
    let id = store.put(&content, &named("a", "r")).expect("put");
    store.hold(&id, "case 7").expect("held");
    store.evict(&id, "archive").expect("evicted");
    store.put(&content, &named("a", "r")).expect("put again");
    // What was put first is gone from the log now, and the hold stands before what was put last.
    store.gc(&[], None).expect("collected");
    abandon(store, dir.path());
    let store = open(dir.path());
    assert_eq!(store.held().expect("held"), [(id, "case 7".to_owned())]);
    assert_eq!(store.get(&id).expect("kept"), content);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn marks_agree_with_a_model_over_collections_and_reopenings(
        steps in prop::collection::vec((0u8..8, 0u8..5), 1..40),
    ) {
        let dir = folder();
        let mut store = open(dir.path());
        let content = |number: u8| vec![number; 9000 + usize::from(number)];
        let mut local: BTreeMap<ArtifactId, bool> = BTreeMap::new();
        let mut held: BTreeSet<ArtifactId> = BTreeSet::new();
        for (step, number) in steps {
            let bytes = content(number);
            let id = ArtifactId::of(&bytes);
            let is_known = local.contains_key(&id);
            match step {
                0 | 1 => {
                    store.put(&bytes, &named(&format!("n{number}"), "r")).expect("put");
                    local.insert(id, true);
                }
                2 if is_known => {
                    prop_assert_eq!(store.evict(&id, "archive").expect("evict"), local[&id]);
                    local.insert(id, false);
                }
                3 if is_known => {
                    prop_assert_eq!(store.restore(&id, &bytes).expect("restore"), !local[&id]);
                    local.insert(id, true);
                }
                4 if is_known => {
                    prop_assert_eq!(store.hold(&id, "why").expect("hold"), held.insert(id));
                }
                5 if is_known => {
                    prop_assert_eq!(store.lift_hold(&id).expect("lift"), held.remove(&id));
                }
                6 => {
                    store.gc(&[], None).expect("collected");
                    local.retain(|id, _| held.contains(id));
                }
                7 => {
                    if number % 2 == 0 {
                        abandon(store, dir.path());
                    } else {
                        store.close().expect("closed");
                    }
                    store = open(dir.path());
                }
                _ => {}
            }
            for number in 0..5 {
                let bytes = content(number);
                let id = ArtifactId::of(&bytes);
                match (store.get(&id), local.get(&id)) {
                    (Ok(found), Some(true)) => prop_assert_eq!(found, bytes),
                    (Err(StoreError::Remote { .. }), Some(false)) | (Err(StoreError::NotFound(_)), None) => {}
                    (found, known) => prop_assert!(false, "{found:?} but {known:?}"),
                }
            }
            let ids: BTreeSet<ArtifactId> =
                store.held().expect("held").into_iter().map(|(id, _)| id).collect();
            prop_assert_eq!(&ids, &held);
        }
        prop_assert_eq!(store.verify().expect("verified"), []);
    }
}

#[test]
fn the_tier_that_has_the_bytes_is_named_and_may_change() {
    let place = |tier: &str| Whereabouts::Remote { tier: tier.into() };
    for key in [None, Some([7; 32].into())] {
        let dir = folder();
        let options = || Options {
            key: key.clone(),
            ..Options::default()
        };
        let mut store = Store::open(dir.path(), options()).expect("the store opens");
        let text = b"kept far away";
        let id = store.put(text, &named("a.txt", "r")).expect("put");
        let other = ArtifactId([9; 32]);
        assert_eq!(
            store.whereabouts(&other).expect("asked"),
            Whereabouts::Unknown
        );
        assert_eq!(store.whereabouts(&id).expect("asked"), Whereabouts::Here);
        assert!(store.evict(&id, "archive").expect("evicted"));
        assert_eq!(store.whereabouts(&id).expect("asked"), place("archive"));
        assert!(!store.evict(&id, "cloud").expect("moved on"));
        store.gc(&[], Some(0.0)).expect("collected");
        for _ in 0..2 {
            assert_eq!(store.whereabouts(&id).expect("asked"), place("cloud"));
            let error = store.get(&id).expect_err("it is remote").to_string();
            assert_eq!(
                error,
                format!("the bytes of artifact {id} are kept in the cloud tier")
            );
            store.flush_search().expect("flushed");
            assert_eq!(store.search("far", 5).expect("searched").len(), 1);
            store.close().expect("closed");
            fs::remove_dir_all(dir.path().join("index")).expect("no index");
            store = Store::open(dir.path(), options()).expect("the store opens");
        }
        assert!(store.restore(&id, text).expect("restored"));
        assert_eq!(store.whereabouts(&id).expect("asked"), Whereabouts::Here);
    }
}
