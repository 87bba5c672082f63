//! Torn ends, flipped bits, lost segments: found, cut or repaired.

use artifact_store::{ArtifactId, Key, Options, Store, StoreError};

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

mod support;
use support::*;

#[test]
fn a_torn_end_costs_only_what_was_not_acknowledged() {
    torn_ends(b"second, which is torn", 1);
    // Of one that is cut into chunks: its blocks, its own record, its entry.
    torn_ends(&noise(5, 20_000), 409);
}

/// Cuts the log at every `step`th byte of what a put of `torn` has written.
fn torn_ends(torn: &[u8], step: usize) {
    let dir = folder();
    let store = open(dir.path());
    let first = store.put(b"first", &named("a", "r")).expect("put");
    store.close().expect("closed");
    let file = &segments(dir.path())[0];
    let good = fs::read(file).expect("bytes");
    let index = dir.path().join("index/checkpoint");
    let checkpoint = fs::read(&index).expect("an index");
    let store = open(dir.path());
    store.put(torn, &named("b", "r")).expect("put");
    store.close().expect("closed");
    let all = fs::read(file).expect("bytes");
    for cut in (good.len()..all.len()).step_by(step) {
        for keeps_index in [false, true] {
            if keeps_index && cut % 4 > 0 {
                continue;
            }
            match keeps_index {
                true => fs::write(&index, &checkpoint).expect("an index"),
                false => fs::remove_file(&index).expect("no index"),
            }
            fs::write(file, &all[..cut]).expect("torn");
            let store = open(dir.path());
            assert_eq!(store.get(&first).expect("get"), b"first");
            assert_eq!(store.verify().expect("verify"), []);
            let third = store.put(b"third", &named("c", "r")).expect("put");
            assert_eq!(store.get(&third).expect("get"), b"third");
            store.close().expect("closed");
        }
    }
    // Power loss can leave zeros where bytes should be.
    let mut zeros = good.clone();
    zeros.resize(all.len() + 5000, 0);
    fs::write(file, zeros).expect("zeros");
    fs::remove_dir_all(dir.path().join("index")).expect("no index");
    let store = open(dir.path());
    assert_eq!(store.get(&first).expect("get"), b"first");
    assert_eq!(store.verify().expect("verify"), []);
}

/// A store with records of every kind, in several segments.
fn of_everything(path: &Path, key: Option<Key>) -> (Options, BTreeMap<ArtifactId, Vec<u8>>) {
    let options = Options {
        segment_bytes: 8000,
        key,
        ..options()
    };
    let store = Store::open(path, options.clone()).expect("opened");
    let mut kept = BTreeMap::new();
    let large = [noise(1, 9000), b"many words of a text ".repeat(900)].concat();
    let other = [&large[..5000], b"changed", &large[5000..]].concat();
    let contents = [b"small".to_vec(), noise(2, 700), large, other];
    for (number, content) in contents.into_iter().enumerate() {
        let id = store.put(&content, &named(&format!("a{number}"), "r"));
        kept.insert(id.expect("put"), content);
    }
    let gone = store.put(b"removed", &named("b", "r")).expect("put");
    store.remove(&gone).expect("removed");
    let remote = store.put(&noise(3, 300), &named("c", "r")).expect("put");
    store.evict(&remote).expect("evicted");
    store.hold(&remote, "a reason").expect("held");
    store.close().expect("closed");
    assert!(segments(path).len() > 1);
    (options, kept)
}

/// The files that count, with their bytes.
fn counted(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = segments(path);
    files.extend(["keys", "keys.copy"].map(|name| path.join(name)));
    files.retain(|file| file.exists());
    let bytes = |file: PathBuf| (file.clone(), fs::read(&file).expect("bytes"));
    files.into_iter().map(bytes).collect()
}

/// Files and bits, evenly over all bytes.
fn random_bits(files: &[(PathBuf, Vec<u8>)], count: u64, seed: u64) -> Vec<(usize, usize)> {
    let all: usize = files.iter().map(|(_, bytes)| bytes.len() * 8).sum();
    let pick = |number: u64| {
        let random = noise(seed ^ number, 8).try_into().expect("eight bytes");
        let mut bit = (u64::from_le_bytes(random) % all as u64) as usize;
        for (file, (_, bytes)) in files.iter().enumerate() {
            if bit < bytes.len() * 8 {
                return (file, bit);
            }
            bit -= bytes.len() * 8;
        }
        unreachable!("the bit lies in a file")
    };
    (0..count).map(pick).collect()
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bad = bytes.to_vec();
    bad[bit / 8] ^= 1 << (bit % 8);
    bad
}

#[test]
fn a_thousand_random_flipped_bits_are_all_found() {
    for (key, count) in [(None, 500), (Some([3; 32].into()), 500)] {
        let dir = folder();
        let (options, _) = of_everything(dir.path(), key);
        let files = counted(dir.path());
        let store = Store::open(dir.path(), options).expect("opened");
        assert_eq!(store.verify().expect("verify"), []);
        for (file, bit) in random_bits(&files, count, 17) {
            let (path, good) = &files[file];
            fs::write(path, flip(good, bit)).expect("flipped");
            let findings = store.verify().expect("verify");
            assert!(!findings.is_empty(), "{} bit {bit}", path.display());
            fs::write(path, good).expect("good again");
        }
        assert_eq!(store.verify().expect("verify"), []);
    }
}

#[test]
fn a_flipped_bit_is_found_when_a_store_is_opened_on_it() {
    for (key, count) in [(None, 60), (Some([3; 32].into()), 60)] {
        let dir = folder();
        let (options, kept) = of_everything(dir.path(), key);
        let files = counted(dir.path());
        let checkpoint = fs::read(dir.path().join("index/checkpoint")).expect("an index");
        for (number, (file, bit)) in random_bits(&files, count, 23).into_iter().enumerate() {
            for extra in segments(dir.path()) {
                fs::remove_file(extra).expect("deleted");
            }
            for (path, good) in &files {
                fs::write(path, good).expect("good");
            }
            let index = dir.path().join("index/checkpoint");
            match number % 2 {
                0 => fs::write(&index, &checkpoint).expect("an index"),
                _ => _ = fs::remove_file(&index),
            }
            let (path, good) = &files[file];
            fs::write(path, flip(good, bit)).expect("flipped");
            // A refused opening finds it as well.
            let Ok(store) = Store::open(dir.path(), options.clone()) else {
                continue;
            };
            let findings = store.verify().expect("verify");
            assert!(!findings.is_empty(), "{} bit {bit}", path.display());
            for (id, content) in &kept {
                match store.get(id) {
                    Ok(found) => assert_eq!(&found, content),
                    Err(StoreError::Damaged { .. } | StoreError::NotFound(_)) => {}
                    Err(error) => panic!("{}, bit {bit}: {error}", path.display()),
                }
            }
        }
    }
}

#[test]
fn damage_is_repaired_by_putting_the_content_again() {
    let dir = folder();
    let store = open(dir.path());
    let content = b"a content that will be damaged".to_vec();
    let id = store.put(&content, &named("a", "r1")).expect("put");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&segments(dir.path())[0])
        .expect("file");
    let bytes = fs::read(&segments(dir.path())[0]).expect("bytes");
    let at = bytes
        .windows(content.len())
        .position(|window| window == content)
        .expect("there");
    file.write_all_at(b"X", at as u64).expect("damaged");
    assert!(matches!(store.get(&id), Err(StoreError::Damaged { .. })));
    let findings = store.verify().expect("verify");
    assert_eq!(codes(&findings), ["damaged_record"]);
    assert_eq!(findings[0].id.as_deref(), Some(id.to_string().as_str()));
    store.put(&content, &named("a", "r2")).expect("put");
    assert_eq!(store.get(&id).expect("get"), content);
    store.gc(&[id], None).expect("gc");
    assert_eq!(store.verify().expect("verify"), []);
    abandon(store, dir.path());
    assert_eq!(open(dir.path()).get(&id).expect("get"), content);
}

#[test]
fn a_lost_segment_is_found() {
    let dir = folder();
    let small = Options {
        segment_bytes: 4096,
        ..options()
    };
    let store = Store::open(dir.path(), small.clone()).expect("opened");
    for number in 0..30u8 {
        store
            .put(&[number; 400], &named(&format!("a{number}"), "r"))
            .expect("put");
    }
    store.close().expect("closed");
    let files = segments(dir.path());
    assert!(files.len() > 3);
    fs::remove_file(&files[1]).expect("deleted");
    let store = Store::open(dir.path(), small).expect("opened");
    let findings = store.verify().expect("verify");
    assert!(
        !findings.is_empty()
            && codes(&findings)
                .iter()
                .all(|code| *code == "missing_segment")
    );
}
