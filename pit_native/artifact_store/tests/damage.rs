//! Torn ends, flipped bits, lost segments: found, cut or repaired.

use artifact_store::{ArtifactId, Options, Store, StoreError};

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;

mod support;
use support::*;

#[test]
fn a_torn_end_costs_only_what_was_not_acknowledged() {
    let dir = folder();
    let store = open(dir.path());
    let first = store.put(b"first", &named("a", "r")).expect("put");
    store.close().expect("closed");
    let file = &segments(dir.path())[0];
    let good = fs::read(file).expect("bytes");
    let store = open(dir.path());
    store
        .put(b"second, which is torn", &named("b", "r"))
        .expect("put");
    store.close().expect("closed");
    let all = fs::read(file).expect("bytes");
    for cut in good.len()..all.len() {
        for keeps_index in [false, true] {
            if !keeps_index {
                fs::remove_dir_all(dir.path().join("index")).expect("no index");
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

#[test]
fn every_flipped_bit_is_found() {
    let dir = folder();
    let store = open(dir.path());
    let mut ids = BTreeMap::new();
    for number in 0..4u8 {
        let content = vec![number; 40 + usize::from(number) * 20];
        let id = store
            .put(&content, &named(&format!("a{number}"), "r"))
            .expect("put");
        ids.insert(id, content);
    }
    store.remove(&ArtifactId::of(&[0u8; 40])).expect("removed");
    ids.remove(&ArtifactId::of(&[0u8; 40]));
    store.close().expect("closed");
    let file = &segments(dir.path())[0];
    let good = fs::read(file).expect("bytes");
    for keeps_index in [true, false] {
        // Every byte of a record's header is hit by some record; the steps share no factor.
        for byte in (0..good.len()).step_by(if keeps_index { 13 } else { 11 }) {
            let mut bad = good.clone();
            bad[byte] ^= 1 << (byte % 8);
            for extra in &segments(dir.path())[1..] {
                fs::remove_file(extra).expect("deleted");
            }
            fs::write(file, &bad).expect("flipped");
            if keeps_index {
                let _ = fs::remove_dir_all(dir.path().join("index"));
                fs::write(file, &good).expect("good");
                drop(open(dir.path()));
                fs::write(file, &bad).expect("flipped");
            } else {
                fs::remove_dir_all(dir.path().join("index")).expect("no index");
            }
            let Ok(store) = Store::open(dir.path(), options()) else {
                continue;
            };
            let findings = store.verify().expect("verify");
            assert!(
                !findings.is_empty(),
                "byte {byte} of {}, index {keeps_index}",
                good.len()
            );
            for (id, content) in &ids {
                match store.get(id) {
                    Ok(found) => assert_eq!(&found, content),
                    Err(StoreError::Damaged { .. } | StoreError::NotFound(_)) => {}
                    Err(error) => panic!("byte {byte}: {error}"),
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
