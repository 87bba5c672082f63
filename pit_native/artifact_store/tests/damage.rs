//! Torn ends, flipped bits, lost segments: found, cut or repaired.

use artifact_store::{ArtifactId, Filter, Key, Options, Store, StoreError};

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

const CHECKPOINT: &str = "index/checkpoint";

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
    store.evict(&remote, "archive").expect("evicted");
    store.hold(&remote, "a reason").expect("held");
    store.close().expect("closed");
    assert!(segments(path).len() > 1);
    (options, kept)
}

/// The files that count, with their bytes.
fn counted(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = segments(path);
    files.extend(["keys", "keys.copy", CHECKPOINT].map(|name| path.join(name)));
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
        let mut files = counted(dir.path());
        let checkpoint = files.pop().expect("an index").1;
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
fn a_checkpoint_with_any_flipped_bit_or_none_is_built_anew_from_the_log() {
    for key in [None, Some([3; 32].into())] {
        let dir = folder();
        let (options, kept) = of_everything(dir.path(), key);
        let path = dir.path().join(CHECKPOINT);
        let good = fs::read(&path).expect("an index");
        let listed = |store: &Store| store.list(100, 0, &Filter::default()).expect("listed");
        let expected = {
            let store = Store::open(dir.path(), options.clone()).expect("opened");
            (
                listed(&store),
                store.held().expect("held"),
                store.remote().expect("remote"),
            )
        };
        let files = [(path.clone(), good.clone())];
        let flipped = random_bits(&files, 40, 29)
            .into_iter()
            .map(|(_, bit)| flip(&good, bit));
        let torn = (0..good.len()).step_by(997).map(|end| good[..end].to_vec());
        // Half of another one, as a crash without an order of writes would leave it.
        let mixed = [&[0; 4096], &good[4096..]].concat();
        for bad in flipped.chain(torn).chain([mixed]) {
            fs::write(&path, &bad).expect("written");
            let store = Store::open(dir.path(), options.clone()).expect("opened");
            assert_eq!(store.verify().expect("verify"), []);
            assert_eq!(listed(&store), expected.0);
            assert_eq!(store.held().expect("held"), expected.1);
            assert_eq!(store.remote().expect("remote"), expected.2);
            for (id, content) in &kept {
                assert_eq!(&store.get(id).expect("kept"), content);
            }
        }
    }
}

#[test]
fn a_checkpoint_of_an_earlier_version_is_no_obstacle() {
    for (name, key) in [("plain_2", None), ("encrypted_2", Some([3; 32].into()))] {
        let dir = folder();
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name);
        for file in ["segments/00000001.log", CHECKPOINT, "keys", "keys.copy"] {
            let to = dir.path().join(file);
            fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            if from.join(file).exists() {
                fs::copy(from.join(file), to).expect("copied");
            }
        }
        let options = Options { key, ..options() };
        for _ in 0..2 {
            let store = Store::open(dir.path(), options.clone()).expect("opened");
            let versions = store.versions("report.md").expect("versions");
            let versions: Vec<_> = versions
                .iter()
                .map(|info| (info.version, &*info.run))
                .collect();
            assert_eq!(versions, [(1, "r1"), (2, "r3")]);
            let held = store.held().expect("held");
            assert_eq!(held, [(ArtifactId::of(b"second"), "a lawsuit".to_owned())]);
            let remote = store.remote().expect("remote");
            assert_eq!(remote, [ArtifactId::of(b"kept elsewhere")]);
            let large: Vec<u8> = (0..6000u32)
                .flat_map(|line| (line * 77).to_le_bytes())
                .collect();
            assert_eq!(store.get(&ArtifactId::of(&large)).expect("get"), large);
            assert!(store.info(&ArtifactId::of(b"removed")).is_err());
            assert_eq!(store.stats().expect("stats").artifacts, 4);
            assert_eq!(store.verify().expect("verify"), []);
            store.close().expect("closed");
            let bytes = fs::read(dir.path().join(CHECKPOINT)).expect("a checkpoint");
            assert!(bytes.ends_with(b"SyIndex\x05"));
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

/// A store whose last record is that of `second`, closed; its bytes, and where those of `first` end.
fn two_puts(path: &std::path::Path, first: &[u8], second: &[u8]) -> (Vec<u8>, usize) {
    let store = open(path);
    store.put(first, &named("first", "r")).expect("put");
    let end = store.stats().expect("stats").stored_bytes as usize;
    store.put(second, &named("second", "r")).expect("put");
    store.close().expect("closed");
    fs::remove_dir_all(path.join("index")).expect("no index");
    (fs::read(&segments(path)[0]).expect("bytes"), end)
}

#[test]
fn what_a_killed_write_has_left_before_the_zeros_is_cut_off() {
    let (first, second) = (noise(1, 9000), noise(2, 15_000));
    for cut_at in 1..=3 {
        let dir = folder();
        let (bytes, end) = two_puts(dir.path(), &first, &second);
        let cut_at = (end / 4096 + cut_at) * 4096;
        assert!(end < cut_at && cut_at < bytes.len());
        let left = [&bytes[..cut_at], &[0; 100_000][..]].concat();
        fs::write(&segments(dir.path())[0], left).expect("written");
        for round in 0..2u64 {
            let store = open(dir.path());
            assert_eq!(store.get(&ArtifactId::of(&first)).expect("first"), first);
            assert!(store.get(&ArtifactId::of(&second)).is_err());
            assert_eq!(store.verify().expect("verified"), []);
            let third = noise(3 + round, 20_000);
            let id = store.put(&third, &named("third", "r")).expect("put");
            assert_eq!(store.get(&id).expect("third"), third);
            store.close().expect("closed");
        }
    }
}

#[test]
fn a_bit_that_flips_before_the_zeros_is_found() {
    let dir = folder();
    let (bytes, end) = two_puts(dir.path(), &noise(1, 9000), &noise(2, 15_000));
    for bit in (end * 8..bytes.len() * 8).step_by(1013) {
        let mut flipped = [&bytes[..], &[0; 100_000][..]].concat();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&segments(dir.path())[0], flipped).expect("written");
        let store = open(dir.path());
        assert_ne!(store.verify().expect("verified"), [], "bit {bit}");
        store.close().expect("closed");
        fs::remove_dir_all(dir.path().join("index")).expect("no index");
        for file in &segments(dir.path())[1..] {
            fs::remove_file(file).expect("removed");
        }
    }
}
