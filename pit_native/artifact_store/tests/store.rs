//! The store as its users see it: what was acknowledged stays, and what is damaged is found.

use artifact_store::{ArtifactId, Filter, Key, Options, Put, Store, StoreError};
use proptest::prelude::*;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

mod support;
use support::*;

#[test]
fn what_was_put_is_there_also_after_the_index_is_lost() {
    let dir = folder();
    let store = open(dir.path());
    let big: Vec<u8> = (0..300_000u32)
        .flat_map(|number| (number / 7).to_le_bytes())
        .collect();
    let contents: Vec<Vec<u8>> = vec![vec![], b"short".to_vec(), vec![7; 50_000], big];
    let ids: Vec<ArtifactId> = contents
        .iter()
        .enumerate()
        .map(|(number, content)| {
            store
                .put(content, &named(&format!("a{number}"), "r1"))
                .expect("put")
        })
        .collect();
    let check = |store: &Store| {
        for (id, content) in ids.iter().zip(&contents) {
            assert_eq!(*id, ArtifactId::of(content));
            assert_eq!(&store.get(id).expect("get"), content);
        }
        assert_eq!(
            store.list(10, 0, &Filter::default()).expect("list").len(),
            4
        );
        assert_eq!(store.verify().expect("verify"), []);
    };
    check(&store);
    store.close().expect("closed");
    assert!(matches!(store.get(&ids[0]), Err(StoreError::Closed)));
    check(&open(dir.path()));
    abandon(open(dir.path()), dir.path());
    check(&open(dir.path()));
}

#[test]
fn a_store_can_be_moved() {
    let dir = folder();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let id = open(&old).put(b"content", &named("a", "r")).expect("put");
    fs::rename(&old, &new).expect("moved");
    assert_eq!(open(&new).get(&id).expect("get"), b"content");
}

#[test]
fn versions_count_contents_and_runs_keep_their_own_lists() {
    let dir = folder();
    let check = |store: &Store| {
        let versions = store.versions("report.md").expect("versions");
        let seen: Vec<(u32, &str)> = versions
            .iter()
            .map(|info| (info.version, info.run.as_str()))
            .collect();
        assert_eq!(seen, [(1, "r2"), (2, "r3"), (3, "r4")]);
        let list = |run: Option<&str>| -> Vec<(u32, String)> {
            let filter = Filter {
                run: run.map(str::to_owned),
                ..Filter::default()
            };
            let infos = store.list(10, 0, &filter).expect("list");
            infos
                .into_iter()
                .map(|info| (info.version, info.run))
                .collect()
        };
        assert_eq!(
            list(None),
            [(3, "r4".into()), (2, "r3".into()), (1, "r2".into())]
        );
        assert_eq!(list(Some("r1")), [(1, "r1".into())]);
        assert_eq!(list(Some("none")), []);
        assert_eq!(store.info(&ArtifactId::of(b"one")).expect("info").run, "r4");
    };
    let store = open(dir.path());
    for (content, run) in [
        (b"one", "r1"),
        (b"one", "r2"),
        (b"two", "r3"),
        (b"one", "r4"),
        (b"one", "r4"),
    ] {
        store.put(content, &named("report.md", run)).expect("put");
    }
    check(&store);
    assert_eq!(store.stats().expect("stats").artifacts, 2);
    store.close().expect("closed");
    check(&open(dir.path()));
    abandon(open(dir.path()), dir.path());
    check(&open(dir.path()));
}

#[test]
fn a_second_writer_is_told_so() {
    let dir = folder();
    let first = open(dir.path());
    assert!(matches!(
        Store::open(dir.path(), options()),
        Err(StoreError::InUse { .. })
    ));
    first.close().expect("closed");
    assert!(Store::open(dir.path(), options()).is_ok());
}

#[test]
fn bad_arguments_are_refused() {
    let dir = folder();
    let store = open(dir.path());
    assert!(matches!(
        store.put(b"x", &Put::default()),
        Err(StoreError::BadInput(_))
    ));
    assert!(matches!(
        store.get(&ArtifactId([0; 32])),
        Err(StoreError::NotFound(_))
    ));
    for text in [
        "",
        "sha256:",
        "sha256:zz",
        "md5:00",
        &format!("sha256:{}", "é".repeat(32)),
    ] {
        assert!(text.parse::<ArtifactId>().is_err(), "{text}");
    }
    let id = ArtifactId::of(b"x");
    assert_eq!(id.to_string().parse::<ArtifactId>().expect("an id"), id);
}

#[test]
fn an_encrypted_store_shows_nothing_and_opens_only_with_its_key() {
    let dir = folder();
    let with = |key: Option<[u8; 32]>| {
        let key = key.map(Key::from);
        Store::open(dir.path(), Options { key, ..options() })
    };
    let store = with(Some([1; 32])).expect("opened");
    let secret = b"the secret content ".repeat(3000);
    let id = store
        .put(&secret, &named("the-secret-name", "the-secret-run"))
        .expect("put");
    assert_eq!(store.get(&id).expect("get"), secret);
    assert_eq!(store.verify().expect("verify"), []);
    store.close().expect("closed");
    for file in segments(dir.path())
        .into_iter()
        .chain([dir.path().join("index/checkpoint")])
    {
        let bytes = fs::read(file).expect("bytes");
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
        assert!(!bytes.windows(16).any(|window| window == &id.0[..16]));
    }
    assert!(matches!(with(None), Err(StoreError::Key { .. })));
    assert!(matches!(with(Some([2; 32])), Err(StoreError::Key { .. })));
    for _ in 0..2 {
        let store = with(Some([1; 32])).expect("opened");
        assert_eq!(store.get(&id).expect("get"), secret);
        assert_eq!(store.info(&id).expect("info").name, "the-secret-name");
        store.close().expect("closed");
        fs::remove_dir_all(dir.path().join("index")).expect("no index");
    }
    let plain = folder();
    drop(open(plain.path()));
    let opened = Store::open(
        plain.path(),
        Options {
            key: Some([1; 32].into()),
            ..options()
        },
    );
    assert!(matches!(opened, Err(StoreError::Key { .. })));
}

#[test]
fn collection_frees_space_and_keeps_what_it_must() {
    let dir = folder();
    let small = Options {
        segment_bytes: 8192,
        ..options()
    };
    let store = Store::open(dir.path(), small.clone()).expect("opened");
    let content = |number: u32| number.to_le_bytes().repeat(500);
    let ids: Vec<ArtifactId> = (0..60)
        .map(|number| {
            store
                .put(&content(number), &named(&format!("a{number}"), "r"))
                .expect("put")
        })
        .collect();
    let before = store.stats().expect("stats").stored_bytes;
    let keep: Vec<ArtifactId> = ids.iter().copied().step_by(6).collect();
    let collected = store.gc(&keep, None).expect("gc");
    assert_eq!((collected.removed, collected.bytes), (50, 50 * 2000));
    assert!(collected.freed > before / 2, "{collected:?} of {before}");
    let again = store.put(&content(1), &named("a1", "r2")).expect("put");
    let check = |store: &Store| {
        for (number, id) in ids.iter().enumerate() {
            let found = store.get(id);
            if keep.contains(id) || *id == again {
                assert_eq!(found.expect("kept"), content(number as u32));
            } else {
                assert!(matches!(found, Err(StoreError::NotFound(_))));
            }
        }
        assert_eq!(
            store.list(100, 0, &Filter::default()).expect("list").len(),
            11
        );
        assert_eq!(store.verify().expect("verify"), []);
    };
    check(&store);
    assert_eq!(store.gc(&ids, None).expect("gc").removed, 0);
    assert_eq!(
        store.gc(&[], Some(0.0)).expect("gc").removed,
        0,
        "all are younger"
    );
    store.close().expect("closed");
    let store = Store::open(dir.path(), small.clone()).expect("opened");
    check(&store);
    abandon(store, dir.path());
    check(&Store::open(dir.path(), small).expect("opened"));
}

#[test]
fn collection_never_races_a_put() {
    let dir = folder();
    let store = Store::open(
        dir.path(),
        Options {
            segment_bytes: 16_384,
            ..options()
        },
    )
    .expect("opened");
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (store, begun) = (&store, &begun);
        for writer in 0..3u32 {
            scope.spawn(move || {
                for step in 0..300u32 {
                    // The same contents come again and again, so that puts meet removals of them.
                    let content = (step % 10).to_le_bytes().repeat(100);
                    let put = named(&format!("w{writer}"), &format!("r{step}"));
                    let before = begun.load(Ordering::SeqCst);
                    let id = store.put(&content, &put).expect("put");
                    let found = store.get(&id);
                    // Only a collection that begins after the put may remove what it put.
                    if begun.load(Ordering::SeqCst) == before {
                        assert_eq!(found.expect("there"), content);
                    } else {
                        assert!(
                            matches!(found, Ok(_) | Err(StoreError::NotFound(_))),
                            "{found:?}"
                        );
                    }
                }
            });
        }
        scope.spawn(move || {
            for _ in 0..60 {
                // A put that sees this collection begun comes after this moment, so it is kept; the call
                // itself may begin later, when the put is over.
                let start = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .expect("a clock");
                begun.fetch_add(1, Ordering::SeqCst);
                store.gc(&[], Some(start.as_secs_f64())).expect("gc");
            }
        });
    });
    let kept = store.put(b"kept", &named("kept", "r")).expect("put");
    store.gc(&[kept], None).expect("gc");
    assert_eq!(store.stats().expect("stats").artifacts, 1);
    assert_eq!(store.verify().expect("verify"), []);
    abandon(store, dir.path());
    let store = open(dir.path());
    assert_eq!(store.stats().expect("stats").artifacts, 1);
    assert_eq!(store.get(&kept).expect("get"), b"kept");
}

#[test]
fn many_writers_share_syncs() {
    let dir = folder();
    let store = open(dir.path());
    let before = store.stats().expect("stats").syncs;
    std::thread::scope(|scope| {
        for writer in 0..32u32 {
            let store = &store;
            scope.spawn(move || {
                for step in 0..20u32 {
                    let content = (writer * 1000 + step).to_le_bytes();
                    store
                        .put(&content, &named(&format!("w{writer}"), "r"))
                        .expect("put");
                }
            });
        }
    });
    let stats = store.stats().expect("stats");
    assert_eq!(stats.puts, 640);
    assert!(
        stats.syncs - before < 640,
        "{} syncs for 640 puts",
        stats.syncs - before
    );
}

#[test]
fn new_artifacts_are_found_by_their_words() {
    let dir = folder();
    let store = Store::open(dir.path(), Options::default()).expect("opened");
    let put = |content: &str, name: &str, kind: &str, run: &str| {
        let put = Put {
            kind: kind.into(),
            ..named(name, run)
        };
        store.put(content.as_bytes(), &put).expect("put")
    };
    let report = put(
        "# Churn\nThe größte file changes most often.",
        "report.md",
        "text/markdown",
        "r1",
    );
    let table = put("file,changes\nchurn.rs,12\n", "table.csv", "text/csv", "r1");
    put("nothing to see", "other.txt", "text/plain", "r2");
    let ids = |store: &Store, query: &str| -> Vec<String> {
        store.flush_search().expect("flushed");
        store
            .search(query, 10)
            .expect("search")
            .into_iter()
            .map(|hit| hit.id)
            .collect()
    };
    let check = |store: &Store| {
        let mut both = ids(store, "churn");
        both.sort();
        let mut expected = [report.to_string(), table.to_string()];
        expected.sort();
        assert_eq!(both, expected);
        assert_eq!(ids(store, "churn type:text/csv"), [table.to_string()]);
        assert_eq!(ids(store, "groesste OR grosste"), [report.to_string()]);
        assert_eq!(ids(store, "\"changes most\""), [report.to_string()]);
        assert_eq!(ids(store, "churn -größte"), [table.to_string()]);
        assert_eq!(ids(store, "name:report.md"), [report.to_string()]);
        assert_eq!(ids(store, "run:r2").len(), 1);
        assert_eq!(ids(store, "((( \" AND : *").len(), 0);
        let hit = &store.search("churn type:text/markdown", 1).expect("search")[0];
        assert!(hit.snippet.contains("größte file changes"), "{hit:?}");
        assert_eq!(
            (hit.name.as_str(), hit.kind.as_str()),
            ("report.md", "text/markdown")
        );
    };
    check(&store);
    store.close().expect("closed");
    check(&Store::open(dir.path(), Options::default()).expect("opened"));
    // Lost, and torn.
    fs::remove_dir_all(dir.path().join("index")).expect("no index");
    check(&Store::open(dir.path(), Options::default()).expect("opened"));
    for file in fs::read_dir(dir.path().join("index/text")).expect("index") {
        let file = file.expect("file").path();
        if file.is_file() {
            let bytes = fs::read(&file).expect("bytes");
            fs::write(&file, &bytes[..bytes.len() / 2]).expect("torn");
        }
    }
    let store = Store::open(dir.path(), Options::default()).expect("opened");
    check(&store);
    store.remove(&report).expect("removed");
    assert_eq!(ids(&store, "churn"), [table.to_string()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The store against a model: whatever is done, and however often it is opened again.
    #[test]
    fn the_store_agrees_with_a_model(
        steps in prop::collection::vec((0u8..8, 0u8..6, 0u8..3), 1..60), is_sealed in any::<bool>(),
    ) {
        let dir = folder();
        let options = Options {
            segment_bytes: 4096, key: is_sealed.then(|| [9; 32].into()), ..options()
        };
        let mut store = Store::open(dir.path(), options.clone()).expect("opened");
        let mut model: BTreeMap<ArtifactId, Vec<u8>> = BTreeMap::new();
        for (step, content, name) in steps {
            let bytes = vec![content; usize::from(content) * 700];
            let id = ArtifactId::of(&bytes);
            match step {
                0..=3 => {
                    let put = named(&format!("n{name}"), &format!("r{content}"));
                    prop_assert_eq!(store.put(&bytes, &put).expect("put"), id);
                    model.insert(id, bytes);
                }
                4 => {
                    prop_assert_eq!(store.remove(&id).expect("remove"), model.remove(&id).is_some());
                }
                5 => {
                    let keep: Vec<ArtifactId> = model.keys().copied().filter(|one| *one != id).collect();
                    store.gc(&keep, None).expect("gc");
                    model.remove(&id);
                }
                6 => {
                    store.close().expect("closed");
                    store = Store::open(dir.path(), options.clone()).expect("opened");
                }
                _ => {
                    abandon(store, dir.path());
                    store = Store::open(dir.path(), options.clone()).expect("opened");
                }
            }
            for (id, bytes) in &model {
                prop_assert_eq!(&store.get(id).expect("get"), bytes);
            }
            prop_assert_eq!(store.stats().expect("stats").artifacts as usize, model.len());
        }
        prop_assert_eq!(store.verify().expect("verify"), []);
    }
}

#[test]
fn what_is_not_indexed_when_the_store_closes_is_found_after_the_next_opening() {
    const EACH: u32 = 400;
    let dir = folder();
    let opened = || Store::open(dir.path(), Options::default()).expect("the store opens");
    let store = opened();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..EACH {
                    let text = format!(
                        "heron {writer} {number} {}",
                        "stands in the reeds ".repeat(40)
                    );
                    let put = named(&format!("{writer}-{number}.txt"), "r");
                    store.put(text.as_bytes(), &put).expect("put");
                }
            });
        }
    });
    // A queue is left when the machine is slow, and then closing does not wait for it.
    store.close().expect("closed");
    let store = opened();
    store.flush_search().expect("flushed");
    let all = (16 * EACH) as usize;
    assert_eq!(store.search("heron", 2 * all).expect("searched").len(), all);
    assert_eq!(store.stats().expect("stats").unindexed, 0);
}
