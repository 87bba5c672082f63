//! What the store does when the system fails it: a filter on one thread's system calls answers them with
//! an error, while all other threads go on. So a failure is real, and it passes.

use artifact_store::{ArtifactId, Options, Store, StoreError};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::collections::BTreeMap;
use std::sync::Mutex;

mod support;
use support::*;

/// Runs `work` on a thread of its own whose `calls` fail with `errno`.
fn failing<T: Send>(calls: &[i64], errno: i32, work: impl FnOnce() -> T + Send) -> T {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into().expect("a known machine");
    let fails = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, fails, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            apply_filter(&program).expect("filtered");
            work()
        });
        thread.join().expect("joined")
    })
}

const WRITE: &[i64] = &[libc::SYS_pwritev, libc::SYS_pwrite64, libc::SYS_pwritev2];
const READ: &[i64] = &[
    libc::SYS_preadv,
    libc::SYS_pread64,
    libc::SYS_preadv2,
    libc::SYS_read,
];
const SYNC: &[i64] = &[libc::SYS_fdatasync];

fn check(store: &Store, acknowledged: &BTreeMap<ArtifactId, Vec<u8>>) {
    for (id, content) in acknowledged {
        assert_eq!(&store.get(id).expect("acknowledged"), content);
    }
    assert_eq!(store.verify().expect("verify"), []);
}

#[test]
fn after_a_failed_sync_nothing_is_taken_until_the_store_is_opened_again() {
    let dir = folder();
    let store = open(dir.path());
    let kept = store.put(b"acknowledged", &named("a", "r")).expect("put");
    let failed = failing(SYNC, libc::EIO, || store.put(b"lost", &named("b", "r")));
    assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
    // The next sync would succeed, and mean nothing.
    for _ in 0..2 {
        let refused = store.put(b"refused", &named("c", "r"));
        assert!(
            matches!(refused, Err(StoreError::Poisoned(_))),
            "{refused:?}"
        );
    }
    assert!(matches!(store.remove(&kept), Err(StoreError::Poisoned(_))));
    assert_eq!(store.get(&kept).expect("get"), b"acknowledged");
    store.close().expect("closed");
    let store = open(dir.path());
    // What the system may have dropped is not built on.
    let lost = ArtifactId::of(b"lost");
    assert!(matches!(store.get(&lost), Err(StoreError::NotFound(_))));
    store.put(b"lost", &named("b", "r")).expect("put again");
    check(
        &store,
        &[(kept, b"acknowledged".to_vec()), (lost, b"lost".to_vec())].into(),
    );
}

#[test]
fn a_failed_sync_reaches_everybody_who_waits_for_it() {
    let dir = folder();
    let store = open(dir.path());
    let acknowledged = Mutex::new(BTreeMap::new());
    let put_until_refused = |writer: u8| {
        for number in 0u32.. {
            let content = [&[writer][..], &number.to_le_bytes()].concat().repeat(50);
            match store.put(&content, &named(&format!("{writer}-{number}"), "r")) {
                Ok(id) => acknowledged.lock().expect("a lock").insert(id, content),
                Err(error) => return error,
            };
        }
        unreachable!("a put is refused")
    };
    std::thread::scope(|scope| {
        let healthy: Vec<_> = (0..4)
            .map(|one| scope.spawn(move || put_until_refused(one)))
            .collect();
        // It leads sooner or later, and its sync fails once.
        failing(SYNC, libc::EIO, || put_until_refused(9));
        for one in healthy {
            let error = one.join().expect("joined");
            assert!(matches!(error, StoreError::Poisoned(_)), "{error}");
        }
    });
    store.close().expect("closed");
    let acknowledged = acknowledged.into_inner().expect("all");
    let store = open(dir.path());
    check(&store, &acknowledged);
    let found = store.stats().expect("stats").artifacts;
    assert_eq!(
        found,
        acknowledged.len() as u64,
        "only what was acknowledged is there"
    );
}

#[test]
fn a_failed_write_costs_nothing_but_itself() {
    let dir = folder();
    let store = open(dir.path());
    let mut acknowledged = BTreeMap::new();
    for (number, (errno, is_full)) in [
        (libc::EIO, false),
        (libc::ENOSPC, true),
        (libc::EDQUOT, true),
        (libc::EFBIG, true),
    ]
    .into_iter()
    .enumerate()
    {
        let content = format!("content {number}").repeat(5000).into_bytes();
        let failed = failing(WRITE, errno, || store.put(&content, &named("a", "r")));
        match failed {
            Err(StoreError::Full { .. }) if is_full => {}
            Err(StoreError::Io { .. }) if !is_full => {}
            other => panic!("{errno}: {other:?}"),
        }
        let id = store.put(&content, &named("a", "r")).expect("the next one");
        acknowledged.insert(id, content);
        check(&store, &acknowledged);
    }
    abandon(store, dir.path());
    check(&open(dir.path()), &acknowledged);
}

#[test]
fn a_write_that_cannot_be_taken_back_ends_the_writing() {
    let dir = folder();
    let store = open(dir.path());
    let kept = store.put(b"acknowledged", &named("a", "r")).expect("put");
    let calls = [WRITE, &[libc::SYS_ftruncate]].concat();
    let failed = failing(&calls, libc::EIO, || store.put(b"lost", &named("b", "r")));
    assert!(matches!(failed, Err(StoreError::Io { .. })));
    let refused = store.put(b"refused", &named("c", "r"));
    assert!(matches!(refused, Err(StoreError::Poisoned(_))));
    abandon(store, dir.path());
    check(
        &open(dir.path()),
        &[(kept, b"acknowledged".to_vec())].into(),
    );
}

#[test]
fn a_failed_read_is_told_and_is_no_damage() {
    let dir = folder();
    let store = open(dir.path());
    let large = b"a line of a large content\n".repeat(20_000);
    let mut acknowledged = BTreeMap::new();
    for content in [b"small".to_vec(), large] {
        let id = store.put(&content, &named("a", "r")).expect("put");
        let failed = failing(READ, libc::EIO, || store.get(&id));
        assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
        acknowledged.insert(id, content);
    }
    let failed = failing(READ, libc::EIO, || store.verify());
    assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
    check(&store, &acknowledged);
    let path = dir.path();
    store.close().expect("closed");
    std::fs::remove_dir_all(path.join("index")).expect("no index");
    let failed = failing(READ, libc::EIO, || Store::open(path, options()).map(|_| ()));
    assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
    check(&open(path), &acknowledged);
}

#[test]
fn a_new_segment_that_cannot_be_made_costs_nothing() {
    for (calls, errno) in [
        (&[libc::SYS_openat, libc::SYS_open][..], libc::ENOSPC),
        (&[libc::SYS_fsync], libc::EIO),
        (SYNC, libc::EIO),
    ] {
        let dir = folder();
        let small = Options {
            segment_bytes: 4096,
            ..options()
        };
        let store = Store::open(dir.path(), small.clone()).expect("opened");
        let content = noise(7, 5000);
        let id = store.put(&content, &named("a", "r")).expect("put");
        let failed = failing(calls, errno, || {
            store.put(b"in the next segment", &named("b", "r"))
        });
        assert!(failed.is_err());
        // Either it goes on, or it takes nothing more; what it takes is kept.
        let mut acknowledged = BTreeMap::from([(id, content)]);
        for number in 0..3u8 {
            let other = noise(100 + u64::from(number), 5000);
            match store.put(&other, &named("c", "r")) {
                Ok(id) => _ = acknowledged.insert(id, other),
                Err(StoreError::Poisoned(_)) => {}
                Err(error) => panic!("{calls:?}: {error}"),
            }
        }
        abandon(store, dir.path());
        let store = Store::open(dir.path(), small).expect("opened");
        check(&store, &acknowledged);
        let id = store.put(b"goes on", &named("d", "r")).expect("put");
        assert_eq!(store.get(&id).expect("get"), b"goes on");
    }
}

#[test]
fn a_collection_that_fails_anywhere_loses_nothing() {
    let calls: [(&[i64], i32); 6] = [
        (WRITE, libc::ENOSPC),
        (READ, libc::EIO),
        (SYNC, libc::EIO),
        (&[libc::SYS_unlink, libc::SYS_unlinkat], libc::EIO),
        (&[libc::SYS_fsync], libc::EIO),
        (
            &[libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2],
            libc::EIO,
        ),
    ];
    for (calls, errno) in calls {
        let dir = folder();
        let small = Options {
            segment_bytes: 20_000,
            ..options()
        };
        let store = Store::open(dir.path(), small.clone()).expect("opened");
        let mut acknowledged = BTreeMap::new();
        for number in 0..30u8 {
            let content = vec![number; 3000];
            let id = store
                .put(&content, &named(&format!("a{number}"), "r"))
                .expect("put");
            if number % 3 == 0 {
                acknowledged.insert(id, content);
            }
        }
        let keep: Vec<ArtifactId> = acknowledged.keys().copied().collect();
        // It may succeed where what fails is not needed for what was promised.
        let _ = failing(calls, errno, || store.gc(&keep, None));
        for (id, content) in &acknowledged {
            assert_eq!(&store.get(id).expect("kept"), content, "{calls:?}");
        }
        abandon(store, dir.path());
        let store = Store::open(dir.path(), small).expect("opened");
        check(&store, &acknowledged);
        store.gc(&keep, None).expect("collected");
        assert_eq!(store.stats().expect("stats").artifacts, keep.len() as u64);
        check(&store, &acknowledged);
    }
}

#[test]
fn a_rotation_that_fails_leaves_the_old_key() {
    let renames = [libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2];
    let syncs = [libc::SYS_fsync];
    for (calls, renews) in [
        (&syncs[..], false),
        (&renames, true),
        (&[libc::SYS_write], true),
    ] {
        let dir = folder();
        let with = |key: [u8; 32]| Options {
            key: Some(key.into()),
            ..options()
        };
        let store = Store::open(dir.path(), with([1; 32])).expect("opened");
        let id = store.put(b"a secret", &named("a", "r")).expect("put");
        let failed = failing(calls, libc::EIO, || {
            store.rotate_key(&[2; 32].into(), renews)
        });
        assert!(failed.is_err());
        let other = store.put(b"another", &named("b", "r")).expect("put");
        abandon(store, dir.path());
        assert!(matches!(
            Store::open(dir.path(), with([2; 32])),
            Err(StoreError::Key { .. })
        ));
        let store = Store::open(dir.path(), with([1; 32])).expect("opened");
        check(
            &store,
            &[(id, b"a secret".to_vec()), (other, b"another".to_vec())].into(),
        );
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_costs_nothing() {
    let calls: [(&[i64], i32); 5] = [
        (&[libc::SYS_write, libc::SYS_writev], libc::ENOSPC),
        (&[libc::SYS_write, libc::SYS_writev], libc::EIO),
        (SYNC, libc::EIO),
        (&[libc::SYS_fsync], libc::EIO),
        (
            &[libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2],
            libc::EIO,
        ),
    ];
    for (calls, errno) in calls {
        let dir = folder();
        let mut acknowledged = BTreeMap::new();
        for round in 0..3u8 {
            let store = open(dir.path());
            check(&store, &acknowledged);
            for number in 0..20u8 {
                let content = vec![round, number];
                let id = store.put(&content, &named(&format!("a{number}"), "r"));
                acknowledged.insert(id.expect("put"), content);
            }
            if round == 1 {
                failing(calls, errno, || store.close()).expect("closed");
                let left = std::fs::read_dir(dir.path().join("index")).expect("a folder");
                assert_eq!(
                    left.count(),
                    1,
                    "{calls:?}: only the old checkpoint, or the new one"
                );
            } else {
                store.close().expect("closed");
            }
        }
        check(&open(dir.path()), &acknowledged);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_told_and_is_no_damage() {
    let dir = folder();
    let store = open(dir.path());
    let mut acknowledged = BTreeMap::new();
    for number in 0..200u8 {
        let id = store.put(&[number], &named(&format!("a{number}"), "r"));
        acknowledged.insert(id.expect("put"), vec![number]);
    }
    store.close().expect("closed");
    let store = open(dir.path());
    let ids: Vec<ArtifactId> = acknowledged.keys().copied().collect();
    for id in &ids {
        let failed = failing(READ, libc::EIO, || store.get(id));
        assert!(matches!(failed, Err(StoreError::Io { .. })), "{failed:?}");
        let failed = failing(READ, libc::EIO, || store.put(b"x", &named("a1", "r")));
        // What it needs of the index it may have read already.
        assert!(
            matches!(failed, Ok(_) | Err(StoreError::Io { .. })),
            "{failed:?}"
        );
        if failed.is_ok() {
            break;
        }
    }
    acknowledged.insert(
        store.put(b"x", &named("a1", "r")).expect("put"),
        b"x".to_vec(),
    );
    check(&store, &acknowledged);
    store.close().expect("closed");
    check(&open(dir.path()), &acknowledged);
}
