//! A store whose index goes to the disk again and again answers like one whose index stays in memory.

use crate::core::Core;
use crate::quality::Quality;
use crate::recovery::{Places, recover};
use crate::settle::chunks_like;
use crate::types::{ArtifactId, Filter};
use crate::{Options, Put, Store, StoreError};
use proptest::prelude::*;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn opened(path: &Path, options: Options) -> Store {
    Store::open(path, options).expect("opened")
}

fn unsearched() -> Options {
    Options {
        search: false,
        ..Options::default()
    }
}

fn settle(store: &Store) {
    let settled = store.core().settle(&AtomicBool::new(false));
    settled.expect("settled");
}

/// Small ones, and large ones that share many of their chunks.
fn content(number: u8) -> Vec<u8> {
    let mut bytes = vec![number; 9];
    if number.is_multiple_of(3) {
        bytes.extend((0..12_000u32).flat_map(|line| (line * 77).to_le_bytes()));
        let own = u32::from(number) * 1_000_003;
        bytes.extend((0..6_000u32).flat_map(|line| (line * 79 + own).to_le_bytes()));
    }
    bytes
}

fn id_of(number: u8) -> ArtifactId {
    ArtifactId::of(&content(number))
}

fn named(name: &str, run: u8) -> Put {
    let meta = [("run".to_owned(), format!("r{run}").into())];
    Put {
        name: name.into(),
        kind: "text/plain".into(),
        meta: meta.into_iter().collect(),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, u8),
    Remove(u8),
    Evict(u8),
    Restore(u8),
    Hold(u8, bool),
    Judge(u8),
    Collect(Vec<u8>),
    Settle,
}

const CONTENTS: u8 = 12;

fn step() -> impl Strategy<Value = Step> {
    let one = 0..CONTENTS;
    prop_oneof![
        8 => (one.clone(), 0u8..4, 0u8..3).prop_map(|(content, name, run)| Step::Put(content, name, run)),
        2 => one.clone().prop_map(Step::Remove),
        1 => one.clone().prop_map(Step::Evict),
        1 => one.clone().prop_map(Step::Restore),
        1 => (one.clone(), any::<bool>()).prop_map(|(content, holds)| Step::Hold(content, holds)),
        1 => one.clone().prop_map(Step::Judge),
        1 => prop::collection::vec(one, 0..8).prop_map(Step::Collect),
        4 => Just(Step::Settle),
    ]
}

/// What a step answers, in words.
fn apply(store: &Store, step: &Step) -> String {
    match step {
        Step::Put(number, name, run) => {
            let put = store.put(&content(*number), &named(&format!("n{name}"), *run));
            format!("{:?}", put.expect("put"))
        }
        Step::Remove(number) => format!("{:?}", store.remove(&id_of(*number)).ok()),
        Step::Evict(number) => format!("{:?}", store.evict(&id_of(*number), "archive").ok()),
        Step::Restore(number) => {
            let restored = store.restore(&id_of(*number), &content(*number));
            format!("{:?}", restored.ok())
        }
        Step::Hold(number, true) => format!("{:?}", store.hold(&id_of(*number), "why").ok()),
        Step::Hold(number, false) => format!("{:?}", store.lift_hold(&id_of(*number)).ok()),
        Step::Judge(number) => {
            let quality = Quality {
                score: 0.25,
                reasons: vec!["judged".into()],
            };
            format!("{:?}", store.set_quality(&id_of(*number), &quality).ok())
        }
        Step::Collect(keep) => {
            let keep: Vec<ArtifactId> = keep.iter().copied().map(id_of).collect();
            let collected = store.gc(&keep, None).expect("collected");
            format!("{} {}", collected.removed, collected.bytes)
        }
        Step::Settle => String::new(),
    }
}

/// All that can be asked of a store, but times.
fn seen(store: &Store) -> Vec<String> {
    let mut seen = Vec::new();
    let mut tell = |infos: Vec<crate::Info>| {
        seen.extend(infos.into_iter().map(|info| {
            format!(
                "{} {} {} v{} {} {:?} {}",
                info.id, info.name, info.run, info.version, info.quality, info.reasons, info.bytes
            )
        }));
    };
    for run in [None, Some("r0"), Some("r1"), Some("r2")] {
        let filter = Filter {
            run: run.map(str::to_owned),
            ..Filter::default()
        };
        tell(store.list(usize::MAX, 0, &filter).expect("listed"));
        tell(store.list(2, 1, &filter).expect("a page"));
    }
    for name in 0..4 {
        tell(store.versions(&format!("n{name}")).expect("versions"));
    }
    for number in 0..CONTENTS {
        let id = id_of(number);
        let known = store.info(&id).map(|info| info.version).ok();
        seen.push(format!("{known:?} {:?}", store.whereabouts(&id)));
        if let Ok(read) = store.get(&id) {
            assert_eq!(read, content(number));
            seen.push("read".into());
        }
    }
    let stats = store.stats().expect("stats");
    seen.push(format!(
        "{:?} {:?} {} {} {} {} {}",
        store.held().expect("held"),
        store.remote().expect("remote"),
        stats.artifacts,
        stats.remote,
        stats.versions,
        stats.bytes,
        stats.chunks,
    ));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_answers_like_one_that_never_settles(
        steps in prop::collection::vec(step(), 1..50), is_sealed: bool,
    ) {
        let folders = [folder(), folder()];
        let options = Options {
            segment_bytes: 30_000, key: is_sealed.then(|| [9; 32].into()), ..unsearched()
        };
        let [settling, still] = folders.each_ref().map(|one| opened(one.path(), options.clone()));
        for one in &steps {
            prop_assert_eq!(apply(&settling, one), apply(&still, one), "{:?}", one);
            if matches!(one, Step::Settle) {
                settle(&settling);
                prop_assert_eq!(settling.core().index.read().entries.len(), 0);
                prop_assert_eq!(seen(&settling), seen(&still));
            }
        }
        prop_assert_eq!(seen(&settling), seen(&still));
        prop_assert_eq!(settling.verify().expect("verified"), []);
        settling.close().expect("closed");
        let again = opened(folders[0].path(), options);
        prop_assert_eq!(seen(&again), seen(&still));
    }
}

#[test]
fn all_goes_on_while_it_settles() {
    let folder = folder();
    let options = Options {
        segment_bytes: 200_000,
        ..Options::default()
    };
    let store = opened(folder.path(), options.clone());
    let is_over = AtomicBool::new(false);
    let put = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for writer in 0..3u32 {
            let (store, put, is_over) = (&store, &put, &is_over);
            scope.spawn(move || {
                for number in 0u32.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let text =
                        format!("text{writer}x{number} of all").repeat(1 + number as usize % 40);
                    let text = text.repeat(1 + 40 * usize::from(number % 16 == 0));
                    let name = format!("kept {writer} {number}");
                    let id = store.put(text.as_bytes(), &named(&name, 1)).expect("put");
                    put.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(store.get(&id).expect("read"), text.as_bytes());
                    assert_eq!(store.info(&id).expect("known").name, name);
                    let versions = store.versions(&name).expect("versions");
                    assert_eq!(versions[0].id, id.to_string());
                    let passing = store.put(&number.to_le_bytes(), &named("passing", 2));
                    let judged = store.set_quality(
                        &passing.expect("put"),
                        &Quality {
                            score: 0.5,
                            reasons: Vec::new(),
                        },
                    );
                    assert!(matches!(judged, Ok(_) | Err(StoreError::NotFound(_))));
                    for info in store
                        .list(3, number as usize % 7, &Filter::default())
                        .expect("listed")
                    {
                        assert!(info.name.starts_with("kept") || info.name == "passing");
                    }
                }
            });
        }
        for round in 0..25 {
            settle(&store);
            if round % 8 == 7 {
                let kept = store
                    .list(usize::MAX, 0, &Filter::default())
                    .expect("listed");
                let kept = kept.iter().filter(|info| info.name.starts_with("kept"));
                let keep: Vec<ArtifactId> =
                    kept.map(|info| info.id.parse().expect("an id")).collect();
                let newest = store.list(1, 0, &Filter::default()).expect("listed")[0].created;
                store.gc(&keep, Some(newest - 0.2)).expect("collected");
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    settle(&store);
    assert_eq!(store.verify().expect("verified"), []);
    store.flush_search().expect("flushed");
    let kept = |store: &Store| {
        let all = store
            .list(usize::MAX, 0, &Filter::default())
            .expect("listed");
        let kept = all.into_iter().filter(|info| info.name.starts_with("kept"));
        kept.map(|info| (info.id, info.name, info.version))
            .collect::<Vec<_>>()
    };
    let before = kept(&store);
    assert!(before.len() as u32 <= put.load(Ordering::Relaxed) && before.len() >= 3);
    for (id, name, _) in before.iter().step_by(before.len() / 20 + 1) {
        let words = name.replace("kept ", "text").replace(' ', "x");
        let hits = store
            .search(&format!("{words} name:\"{name}\""), 5)
            .expect("searched");
        assert!(hits.iter().any(|hit| hit.id == *id), "{name}");
    }
    assert_eq!(store.stats().expect("stats").unindexed, 0);
    store.close().expect("closed");
    assert_eq!(kept(&opened(folder.path(), options)), before);
}

/// Waits for what a background thread does, without end only if it never does it.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn in_memory(core: &Core) -> usize {
    core.index.read().entries.len()
}

#[test]
fn a_long_session_keeps_little_in_memory() {
    let folder = folder();
    let options = Options {
        settle_after: 100,
        ..unsearched()
    };
    let store = opened(folder.path(), options.clone());
    let core = store.core();
    for round in 0..5u32 {
        for number in 0..100u32 {
            let text = format!("{round} {number}");
            store.put(text.as_bytes(), &named(&text, 1)).expect("put");
        }
        until("it settles", || in_memory(&core) < 100);
    }
    assert_eq!(
        store
            .list(usize::MAX, 0, &Filter::default())
            .expect("listed")
            .len(),
        500
    );
    // What an opening has to read of the log goes the same way.
    store.close().expect("closed");
    drop(core);
    drop(store);
    std::fs::remove_dir_all(folder.path().join("index")).expect("lost");
    let store = opened(folder.path(), options);
    let core = store.core();
    until("it settles after an opening", || in_memory(&core) == 0);
    assert_eq!(store.stats().expect("stats").artifacts, 500);
}

/// Bytes that repeat nowhere.
fn noise(seed: u32, size: usize) -> Vec<u8> {
    let blocks =
        (0u32..).map(|number| blake3::hash(&[seed, number].map(u32::to_le_bytes).concat()));
    let bytes = blocks.flat_map(|block| *block.as_bytes());
    bytes.take(size).collect()
}

#[test]
fn a_log_that_is_read_from_its_beginning_leaves_few_chunks_in_memory() {
    let folder = folder();
    let options = Options {
        settle_after: 2,
        segment_bytes: 300_000,
        ..unsearched()
    };
    let store = opened(folder.path(), options.clone());
    let contents: Vec<Vec<u8>> = (0..12).map(|seed| noise(seed, 250_000)).collect();
    let put = |number: usize| {
        let name = format!("a{number}");
        store.put(&contents[number], &named(&name, 1)).expect("put")
    };
    let ids: Vec<ArtifactId> = (0..contents.len()).map(put).collect();
    let all = store.stats().expect("stats").chunks;
    assert!(all > 10 * chunks_like(options.settle_after) as u64);
    // What an opening finds in the log, before anything settles in the background.
    let again = |store: Store| {
        store.close().expect("closed");
        drop(store);
        let index = folder.path().join("index");
        std::fs::remove_dir_all(&index).expect("lost");
        std::fs::create_dir(&index).expect("made");
        std::fs::write(index.join("checkpoint.chunks"), b"left behind").expect("written");
        let places = Places {
            segments: &folder.path().join("segments"),
            checkpoint: &index.join("checkpoint"),
            chunks_in_memory: chunks_like(options.settle_after),
        };
        let all_in_memory = Places {
            chunks_in_memory: usize::MAX,
            ..places
        };
        let whole = recover(&all_in_memory, None, false)
            .expect("recovered")
            .index;
        assert_eq!(whole.chunks.in_memory(), whole.chunks.len());
        assert_eq!(std::fs::read_dir(&index).expect("a folder").count(), 0);
        let found = recover(&places, None, false).expect("recovered").index;
        // At most what the last block has brought beyond the bound.
        let most = places.chunks_in_memory + 64;
        assert!(
            found.chunks.in_memory() <= most,
            "{}",
            found.chunks.in_memory()
        );
        assert_eq!(std::fs::read_dir(&index).expect("a folder").count(), 0);
        (
            opened(folder.path(), options.clone()),
            found.chunks.len() as u64,
        )
    };
    let (store, found) = again(store);
    assert_eq!(found, all);
    // Once a collection has moved records, they lie in another order than they were written in.
    let kept: Vec<ArtifactId> = ids.iter().step_by(2).copied().collect();
    store.gc(&kept, None).expect("collected");
    let left = store.stats().expect("stats").chunks;
    let (store, found) = again(store);
    assert_eq!(found, left);
    for (number, id) in ids.iter().enumerate() {
        match store.get(id) {
            Ok(read) => assert_eq!(read, contents[number]),
            Err(error) => assert!(number % 2 == 1, "{error}"),
        }
    }
    assert_eq!(store.verify().expect("verified"), []);
}

#[test]
fn what_was_found_damaged_is_still_known_and_can_be_put_again() {
    let folder = folder();
    let store = opened(folder.path(), unsearched());
    let (small, large) = (content(1), content(3));
    for one in [&small, &large] {
        store.put(one, &named("a", 1)).expect("put");
    }
    let segment = folder.path().join("segments/00000001.log");
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(segment)
        .expect("opened");
    let mut bytes = vec![0; file.metadata().expect("length").len() as usize];
    file.read_exact_at(&mut bytes, 0).expect("read");
    let at = bytes
        .windows(9)
        .position(|window| window == small.as_slice())
        .expect("there");
    file.write_all_at(&[0xff], at as u64).expect("flipped");
    // The block of the large one, which was written before its record.
    let block = store.core().index.read().chunks.blocks[0].place;
    file.write_all_at(&[0x55; 8], u64::from(block.offset) + 200)
        .expect("flipped");
    for number in [1, 3] {
        assert!(matches!(
            store.get(&id_of(number)),
            Err(StoreError::Damaged { .. })
        ));
    }
    settle(&store);
    for (number, whole) in [(1, &small), (3, &large)] {
        assert!(!store.is_local(&id_of(number)).expect("asked"), "{number}");
        store.put(whole, &named("a", 1)).expect("put again");
        assert_eq!(&store.get(&id_of(number)).expect("repaired"), whole);
    }
    settle(&store);
    for number in [1, 3] {
        assert!(store.is_local(&id_of(number)).expect("asked"), "{number}");
    }
}

#[test]
fn a_reader_reads_on_across_it() {
    let folder = folder();
    let store = opened(folder.path(), unsearched());
    let large = content(3);
    let id = store.put(&large, &named("a", 1)).expect("put");
    let mut cursor = store.cursor(&id).expect("a cursor");
    let mut writer = store.writer(named("b", 1)).expect("a writer");
    let other = content(6);
    let mut read = Vec::new();
    for (piece, part) in other.chunks(other.len() / 6).enumerate() {
        store.write(&mut writer, part).expect("written");
        let mut out = vec![0; large.len() / 6];
        let count = store.read(&mut cursor, &mut out).expect("read");
        read.extend_from_slice(&out[..count]);
        // Rows get other numbers.
        store.put(&[piece as u8], &named("c", 1)).expect("put");
        settle(&store);
    }
    let mut rest = vec![0; large.len()];
    let count = store.read(&mut cursor, &mut rest).expect("read");
    read.extend_from_slice(&rest[..count]);
    assert_eq!(read, large);
    let id = store.finish(writer).expect("finished");
    assert_eq!(store.get(&id).expect("read"), other);
    assert_eq!(store.verify().expect("verified"), []);
}

#[test]
fn one_that_is_stopped_or_fails_changes_nothing() {
    let folder = folder();
    let store = opened(folder.path(), unsearched());
    let id = store.put(b"one", &named("a", 1)).expect("put");
    let core = store.core();
    let stopped = core.settle(&AtomicBool::new(true));
    assert!(matches!(stopped, Err(StoreError::Closed)), "{stopped:?}");
    assert_eq!(in_memory(&core), 1);
    // A folder stands where the checkpoint is to be.
    std::fs::create_dir_all(core.checkpoint_path().join("in the way")).expect("made");
    core.settle(&AtomicBool::new(false))
        .expect_err("not written");
    assert_eq!(in_memory(&core), 1);
    assert_eq!(store.get(&id).expect("read"), b"one");
    std::fs::remove_dir_all(core.checkpoint_path()).expect("removed");
    settle(&store);
    assert_eq!(in_memory(&core), 0);
    assert_eq!(store.get(&id).expect("read"), b"one");
}
