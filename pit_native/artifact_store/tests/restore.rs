//! Evicted contents that come back piece by piece.

use artifact_store::{ArtifactId, Options, Store, StoreError};

mod support;
use support::*;

/// Bytes that cannot be compressed; some of them twice.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let half: Vec<u8> = (0..count / 2 + 1)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    half.iter().chain(&half).copied().take(count).collect()
}

fn fill(store: &Store, id: &ArtifactId, pieces: &[&[u8]]) -> artifact_store::Result<ArtifactId> {
    let mut writer = store.restorer(id)?;
    for piece in pieces {
        store.write(&mut writer, piece)?;
    }
    store.finish(writer)
}

#[test]
fn what_comes_back_in_pieces_is_what_left() {
    for key in [None, Some([7; 32].into())] {
        let dir = folder();
        let store = Store::open(dir.path(), Options { key, ..options() }).expect("the store opens");
        for size in [0, 5, 16 << 10, (16 << 10) + 1, 900_000] {
            let content = bytes(size);
            let put = named("a", "r");
            let id = store.put(&content, &put).expect("put");
            assert!(store.evict(&id, "archive").expect("evicted"));
            store.gc(&[], Some(0.0)).expect("collected");
            let pieces: Vec<&[u8]> = content.chunks(70_001).collect();
            assert_eq!(fill(&store, &id, &pieces).expect("restored"), id);
            assert!(store.is_local(&id).expect("known"));
            assert_eq!(store.get(&id).expect("whole"), content, "{size}");
            // What is here is left as it is.
            assert_eq!(fill(&store, &id, &pieces).expect("here"), id);
            assert_eq!(
                store
                    .versions("a")
                    .expect("versions")
                    .last()
                    .map(|last| last.bytes),
                Some(size as u64)
            );
        }
        assert_eq!(store.verify().expect("verified"), []);
    }
}

#[test]
fn nothing_is_seen_of_what_is_wrong_or_half() {
    let dir = folder();
    let store = open(dir.path());
    let content = bytes(500_000);
    let id = store.put(&content, &named("a", "r")).expect("put");
    store.evict(&id, "archive").expect("evicted");
    let mut other = content.clone();
    other[400_000] ^= 1;
    assert!(matches!(
        fill(&store, &id, &[&other]),
        Err(StoreError::BadInput(_))
    ));
    assert!(matches!(
        fill(&store, &id, &[&content[..499_999]]),
        Err(StoreError::BadInput(_))
    ));
    let mut writer = store.restorer(&id).expect("begun");
    store.write(&mut writer, &content).expect("written");
    assert!(!store.is_local(&id).expect("known"), "it is not finished");
    drop(writer);
    assert!(matches!(store.get(&id), Err(StoreError::Remote { .. })));
    let before = store.stats().expect("stats").stored_bytes;
    let freed = store.gc(&[], Some(0.0)).expect("collected").freed;
    assert!(freed > 200_000 && before > freed, "{before} {freed}");
    assert_eq!(fill(&store, &id, &[&content]).expect("restored"), id);
    store.remove(&id).expect("removed");
    assert!(matches!(store.restorer(&id), Err(StoreError::NotFound(_))));
    assert_eq!(store.verify().expect("verified"), []);
}

#[test]
fn what_was_removed_meanwhile_does_not_come_back() {
    let dir = folder();
    let store = open(dir.path());
    let content = bytes(100_000);
    let id = store.put(&content, &named("a", "r")).expect("put");
    store.evict(&id, "archive").expect("evicted");
    let mut writer = store.restorer(&id).expect("begun");
    store.write(&mut writer, &content).expect("written");
    store.remove(&id).expect("removed");
    assert!(matches!(store.finish(writer), Err(StoreError::NotFound(_))));
    assert_eq!(store.stats().expect("stats").artifacts, 0);
}
