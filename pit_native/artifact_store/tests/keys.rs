//! Encryption at rest: what opens a store, how its keys change, and that nothing is left in the open.

use artifact_store::{Cost, Encryption, Key, Options, Put, Store, StoreError};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

mod support;
use support::*;

const OLD: [u8; 32] = [7; 32];
const NEW: [u8; 32] = [9; 32];
/// The key of the fixture that was written before there were files of keys: 0, 1, 2, …
const FIXED: [u8; 32] = {
    let mut key = [0; 32];
    let mut at = 0;
    while at < 32 {
        key[at] = at as u8;
        at += 1;
    }
    key
};

fn with(key: impl Into<Key>) -> Options {
    Options {
        key: Some(key.into()),
        passphrase_cost: Cost {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
        },
        ..options()
    }
}

fn refusal(path: &Path, options: Options) -> String {
    match Store::open(path, options) {
        Err(StoreError::Key { detail, .. }) => detail.to_owned(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it opened"),
    }
}

/// A copy of a store that an earlier version wrote.
fn fixture(name: &str) -> tempfile::TempDir {
    let dir = folder();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let to = dir.path().join("segments");
    fs::create_dir(&to).expect("made");
    for file in segments(&from) {
        fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("copied");
    }
    dir
}

/// Every file of a store, as bytes.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for file in fs::read_dir(path).expect("a folder") {
        let file = file.expect("a file").path();
        if file.is_dir() {
            found.extend(files(&file));
        } else {
            found.push((file.display().to_string(), fs::read(&file).expect("bytes")));
        }
    }
    found
}

fn holding(path: &Path, marker: &[u8]) -> Vec<String> {
    let files = files(path).into_iter();
    files
        .filter(|(_, bytes)| bytes.windows(marker.len()).any(|window| window == marker))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn only_the_right_key_opens_a_store() {
    for (right, wrong) in [
        (Key::from(OLD), Key::from(NEW)),
        (Key::from("correct horse"), Key::from("battery staple")),
        (Key::from(OLD), Key::from("words")),
        (Key::from("words"), Key::from(OLD)),
    ] {
        let dir = folder();
        let store = Store::open(dir.path(), with(right.clone())).expect("opened");
        let id = store.put(b"a secret", &named("a", "r")).expect("put");
        store.close().expect("closed");
        assert_eq!(
            refusal(dir.path(), with(wrong)),
            "it was encrypted with another key"
        );
        assert_eq!(
            refusal(dir.path(), options()),
            "it is encrypted, and no key was given"
        );
        let store = Store::open(dir.path(), with(right)).expect("opened");
        assert_eq!(store.get(&id).expect("get"), b"a secret");
        assert_eq!(store.verify().expect("verify"), []);
    }
    let dir = folder();
    open(dir.path())
        .put(b"open", &named("a", "r"))
        .expect("put");
    assert_eq!(
        refusal(dir.path(), with(OLD)),
        "it is not encrypted, and a key was given"
    );
    let empty = Store::open(folder().path(), with(""));
    assert!(matches!(empty, Err(StoreError::BadInput(_))));
}

#[test]
fn a_rotation_changes_what_opens_a_store_and_moves_nothing() {
    let dir = folder();
    let store = Store::open(dir.path(), with(OLD)).expect("opened");
    let id = store.put(b"a secret", &named("a", "r")).expect("put");
    let before = fs::read(&segments(dir.path())[0]).expect("bytes");
    store.rotate_key(&"words".into(), false).expect("rotated");
    assert_eq!(store.get(&id).expect("get"), b"a secret");
    assert_eq!(store.verify().expect("verify"), []);
    store.close().expect("closed");
    let after = fs::read(&segments(dir.path())[0]).expect("bytes");
    // While it was open there were zeros behind.
    assert_eq!(after, before[..after.len()]);
    refusal(dir.path(), with(OLD));
    let store = Store::open(dir.path(), with("words")).expect("opened");
    assert_eq!(store.get(&id).expect("get"), b"a secret");
    store.rotate_key(&NEW.into(), false).expect("rotated");
    store.close().expect("closed");
    refusal(dir.path(), with("words"));
    let store = Store::open(dir.path(), with(NEW)).expect("opened");
    assert_eq!(store.get(&id).expect("get"), b"a secret");
    let plain = folder();
    let refused = open(plain.path()).rotate_key(&NEW.into(), true);
    assert!(matches!(refused, Err(StoreError::BadInput(_))));
}

#[test]
fn all_is_encrypted_anew_while_the_store_is_used() {
    let dir = folder();
    let small = |key: [u8; 32]| Options {
        segment_bytes: 20_000,
        ..with(key)
    };
    let store = Store::open(dir.path(), small(OLD)).expect("opened");
    let mut kept = Vec::new();
    for number in 0..60u32 {
        let content = format!("content {number} ").repeat(200).into_bytes();
        let id = store
            .put(&content, &named(&format!("a{number}"), "r"))
            .expect("put");
        kept.push((id, content));
    }
    store.remove(&kept.remove(0).0).expect("removed");
    let before: Vec<_> = segments(dir.path());
    store.rotate_key(&NEW.into(), true).expect("rotated");
    let state = store.encryption().expect("state");
    assert_eq!(
        (state.is_on, state.data_keys, state.segments_left),
        (true, 2, before.len() as u64)
    );
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let meanwhile = scope.spawn(|| {
            let mut put = Vec::new();
            while !is_done.load(Ordering::Relaxed) || put.len() < 5 {
                let content = format!("meanwhile {}", put.len()).into_bytes();
                let id = store.put(&content, &named("m", "r")).expect("put");
                put.push((id, content));
            }
            put
        });
        let collector = scope.spawn(|| store.gc(&[], Some(0.0)).expect("gc"));
        store.reencrypt().expect("encrypted anew");
        is_done.store(true, Ordering::Relaxed);
        collector.join().expect("collected");
        kept.extend(meanwhile.join().expect("put"));
    });
    let done = Encryption {
        is_on: true,
        data_keys: 1,
        segments_left: 0,
    };
    assert_eq!(store.encryption().expect("state"), done);
    assert!(before.iter().all(|file| !file.exists()));
    let check = |store: &Store| {
        for (id, content) in &kept {
            assert_eq!(&store.get(id).expect("get"), content);
            assert_eq!(store.info(id).expect("info").bytes, content.len() as u64);
        }
        assert_eq!(store.verify().expect("verify"), []);
    };
    check(&store);
    abandon(store, dir.path());
    check(&Store::open(dir.path(), small(NEW)).expect("opened"));
}

#[test]
fn an_interrupted_encryption_goes_on_where_it_ended() {
    let dir = folder();
    let store = Store::open(dir.path(), with(OLD)).expect("opened");
    let id = store
        .put(b"under the old key", &named("a", "r"))
        .expect("put");
    store.rotate_key(&NEW.into(), true).expect("rotated");
    let other = store
        .put(b"under the new key", &named("b", "r"))
        .expect("put");
    abandon(store, dir.path());
    let store = Store::open(dir.path(), with(NEW)).expect("opened");
    assert_eq!(store.encryption().expect("state").data_keys, 2);
    assert_eq!(store.get(&id).expect("get"), b"under the old key");
    assert_eq!(store.reencrypt().expect("done").data_keys, 1);
    abandon(store, dir.path());
    let store = Store::open(dir.path(), with(NEW)).expect("opened");
    assert_eq!(store.get(&id).expect("get"), b"under the old key");
    assert_eq!(store.get(&other).expect("get"), b"under the new key");
    assert_eq!(store.verify().expect("verify"), []);
}

#[test]
fn a_store_of_the_time_before_key_files_opens_and_gets_one_by_rotation() {
    let dir = fixture("encrypted_1");
    refusal(dir.path(), with(OLD));
    refusal(dir.path(), with("words"));
    let store = Store::open(dir.path(), with(FIXED)).expect("opened");
    let check = |store: &Store| {
        let found = store.versions("note.md").expect("versions");
        let id = found[0].id.parse().expect("an id");
        assert_eq!(store.get(&id).expect("get"), b"kept before envelopes");
        let table = store.versions("table.csv").expect("versions");
        assert_eq!(table[0].bytes, 32_000);
        assert_eq!(store.versions("gone.txt").expect("versions"), []);
        assert_eq!(store.verify().expect("verify"), []);
    };
    check(&store);
    abandon(store, dir.path());
    assert!(!dir.path().join("keys").exists());
    let store = Store::open(dir.path(), with(FIXED)).expect("opened");
    store.rotate_key(&"words".into(), false).expect("rotated");
    check(&store);
    assert_eq!(store.encryption().expect("state").data_keys, 2);
    abandon(store, dir.path());
    refusal(dir.path(), with(FIXED));
    let store = Store::open(dir.path(), with("words")).expect("opened");
    assert_eq!(store.reencrypt().expect("done").data_keys, 1);
    check(&store);
    abandon(store, dir.path());
    check(&Store::open(dir.path(), with("words")).expect("opened"));
}

#[test]
fn a_plain_store_becomes_an_encrypted_one() {
    let dir = fixture("plain_1");
    let store = Store::open(
        dir.path(),
        Options {
            search: true,
            ..options()
        },
    )
    .expect("opened");
    let before = store.list(10, 0, &Default::default()).expect("listed");
    store.flush_search().expect("indexed");
    store.close().expect("closed");
    assert!(!holding(dir.path(), b"envelopes").is_empty());
    refusal(dir.path(), with(NEW));
    let encrypts = Options {
        encrypt: true,
        search: true,
        ..with(NEW)
    };
    let store = Store::open(dir.path(), encrypts).expect("opened");
    let check = |store: &Store| {
        assert_eq!(
            store.list(10, 0, &Default::default()).expect("listed"),
            before
        );
        for info in &before {
            store.get(&info.id.parse().expect("an id")).expect("get");
        }
        assert_eq!(store.verify().expect("verify"), []);
    };
    check(&store);
    let state = store.reencrypt().expect("encrypted");
    assert_eq!((state.data_keys, state.segments_left), (1, 0));
    check(&store);
    store.close().expect("closed");
    assert_eq!(holding(dir.path(), b"envelopes"), Vec::<String>::new());
    refusal(dir.path(), options());
    check(&Store::open(dir.path(), with(NEW)).expect("opened"));
}

#[test]
fn nothing_that_is_put_stands_in_the_open_anywhere() {
    let dir = folder();
    let options = Options {
        search: true,
        ..with(OLD)
    };
    let store = Store::open(dir.path(), options.clone()).expect("opened");
    let marker = "xylophonequartz";
    let meta = [
        ("run".to_owned(), json!(marker)),
        ("prompt".to_owned(), json!(marker)),
    ];
    let put = Put {
        name: format!("{marker}.md"),
        kind: format!("text/{marker}"),
        meta: meta.into_iter().collect(),
    };
    // Small, packed, and larger than what is cut into pieces.
    let mut ids = Vec::new();
    for size in [1, 100, 3000, 60_000] {
        let content: String = (0..size).map(|line| format!("{line} {marker}\n")).collect();
        ids.push(store.put(content.as_bytes(), &put).expect("put"));
    }
    store.remove(&ids[0]).expect("removed");
    store.flush_search().expect("indexed");
    assert_eq!(store.search(marker, 10).expect("found").len(), 3);
    assert_eq!(holding(dir.path(), marker.as_bytes()), Vec::<String>::new());
    store.rotate_key(&NEW.into(), true).expect("rotated");
    store.reencrypt().expect("encrypted anew");
    store.gc(&ids[2..], None).expect("gc");
    store.close().expect("closed");
    assert_eq!(holding(dir.path(), marker.as_bytes()), Vec::<String>::new());
    // The digest of a content says what it is to whoever guesses it.
    for id in &ids {
        assert_eq!(holding(dir.path(), &id.0), Vec::<String>::new());
    }
    assert!(files(dir.path()).len() > 3);
    let plain = folder();
    let store = open(plain.path());
    store.put(marker.as_bytes(), &put).expect("put");
    assert!(!holding(plain.path(), marker.as_bytes()).is_empty());
}

#[test]
fn an_interrupted_or_damaged_key_file_costs_nothing() {
    let dir = folder();
    let (keys, copy) = (dir.path().join("keys"), dir.path().join("keys.copy"));
    let store = Store::open(dir.path(), with(OLD)).expect("opened");
    let id = store.put(b"a secret", &named("a", "r")).expect("put");
    let old = fs::read(&copy).expect("bytes");
    store.rotate_key(&NEW.into(), true).expect("rotated");
    abandon(store, dir.path());
    // The second file was not written any more.
    fs::write(&copy, &old).expect("written");
    refusal(dir.path(), with(OLD));
    let store = Store::open(dir.path(), with(NEW)).expect("opened");
    assert_eq!(store.get(&id).expect("get"), b"a secret");
    store.close().expect("closed");
    assert_eq!(
        fs::read(&keys).expect("bytes"),
        fs::read(&copy).expect("bytes")
    );
    // One of the two is damaged or lost.
    for file in [&keys, &copy] {
        let good = fs::read(file).expect("bytes");
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 4;
        fs::write(file, &bad).expect("damaged");
        let store = Store::open(dir.path(), with(NEW)).expect("opened");
        assert_eq!(store.get(&id).expect("get"), b"a secret");
        assert_eq!(codes(&store.verify().expect("verify")), ["damaged_keys"]);
        assert_eq!(store.verify().expect("verify"), []);
        store.close().expect("closed");
        assert_eq!(fs::read(file).expect("bytes"), good);
        fs::remove_file(file).expect("lost");
        let store = Store::open(dir.path(), with(NEW)).expect("opened");
        assert_eq!(codes(&store.verify().expect("verify")), ["damaged_keys"]);
    }
    fs::write(&keys, b"no keys").expect("damaged");
    fs::write(&copy, b"none either").expect("damaged");
    assert_eq!(
        refusal(dir.path(), with(NEW)),
        "both copies of its keys are damaged"
    );
}
