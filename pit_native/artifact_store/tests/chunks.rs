//! Large contents: cut into chunks that are stored once, streamed in and out, collected, found damaged.

use artifact_store::{ArtifactId, Cursor, Filter, Options, Store, StoreError};
use proptest::prelude::*;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;

mod support;
use support::*;

/// Bytes that nothing else has; a part of them compresses.
fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state.is_multiple_of(4) {
            bytes.extend_from_slice(b"the same words ");
        }
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn streamed(store: &Store, content: &[u8], piece: usize, name: &str) -> ArtifactId {
    let mut writer = store.writer(named(name, "r")).expect("a writer");
    for piece in content.chunks(piece.max(1)) {
        store.write(&mut writer, piece).expect("written");
    }
    assert_eq!(writer.bytes(), content.len() as u64);
    store.finish(writer).expect("finished")
}

fn read_all(store: &Store, cursor: &mut Cursor, piece: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut out = vec![0; piece];
    loop {
        let count = store.read(cursor, &mut out).expect("read");
        all.extend_from_slice(&out[..count]);
        if count == 0 {
            return all;
        }
    }
}

#[test]
fn large_contents_come_back_however_they_were_put() {
    for key in [None, Some([5; 32].into())] {
        let dir = folder();
        let options = Options { key, ..options() };
        let store = Store::open(dir.path(), options.clone()).expect("opened");
        let sizes = [0, 1, 16 << 10, (16 << 10) + 1, 40_000, 131_072, 3_000_000];
        let contents: Vec<Vec<u8>> = (1..).zip(sizes).map(|(n, size)| content(n, size)).collect();
        let check = |store: &Store| {
            for content in &contents {
                let id = ArtifactId::of(content);
                assert_eq!(&store.get(&id).expect("get"), content);
                let mut cursor = store.cursor(&id).expect("a cursor");
                assert_eq!(cursor.bytes(), content.len() as u64);
                assert_eq!(&read_all(store, &mut cursor, 10_007), content);
                for at in [content.len() / 2, content.len().saturating_sub(3), 0] {
                    cursor.seek(at as u64);
                    let mut out = [0; 5];
                    let count = store.read(&mut cursor, &mut out).expect("read");
                    assert_eq!(&out[..count], &content[at..content.len().min(at + 5)]);
                }
                cursor.seek(u64::MAX);
                assert_eq!(store.read(&mut cursor, &mut [0; 9]).expect("the end"), 0);
            }
            assert_eq!(store.verify().expect("verify"), []);
        };
        for (number, content) in contents.iter().enumerate() {
            let id = if number % 2 == 0 {
                store.put(content, &named("a", "r")).expect("put")
            } else {
                streamed(&store, content, 7_001, "a")
            };
            assert_eq!(id, ArtifactId::of(content));
        }
        check(&store);
        let stored = store.stats().expect("stats").stored_bytes;
        for content in &contents {
            streamed(&store, content, 1 << 20, "again");
            store.put(content, &named("again", "r")).expect("put");
        }
        let again = store.stats().expect("stats").stored_bytes - stored;
        assert!(again < 8_000, "{again} bytes for what was there");
        store.close().expect("closed");
        let store = Store::open(dir.path(), options.clone()).expect("opened");
        check(&store);
        abandon(store, dir.path());
        check(&Store::open(dir.path(), options).expect("opened"));
    }
}

#[test]
fn versions_share_what_they_have_in_common() {
    let dir = folder();
    let store = open(dir.path());
    let first = content(1, 1_000_000);
    let id = store.put(&first, &named("a", "r")).expect("put");
    let one = store.stats().expect("stats").stored_bytes;
    let mut second = first.clone();
    second.splice(500_000..500_000, *b"an insertion in the middle");
    let other = store.put(&second, &named("a", "r")).expect("put");
    let two = store.stats().expect("stats").stored_bytes;
    assert!(two - one < 40_000, "{} bytes for an insertion", two - one);
    // What is left of the first version serves the second.
    assert!(store.remove(&id).expect("removed"));
    store.gc(&[], Some(0.0)).expect("gc");
    assert_eq!(store.get(&other).expect("get"), second);
    store.remove(&other).expect("removed");
    let freed = store.gc(&[], Some(0.0)).expect("gc").freed;
    let left = store.stats().expect("stats").stored_bytes;
    assert!(
        left < 2_000 && freed > one / 2,
        "{left} bytes left, {freed} freed"
    );
    assert_eq!(store.stats().expect("stats").chunks, 0);
    assert_eq!(store.verify().expect("verify"), []);
}

#[test]
fn a_part_of_a_block_can_be_freed() {
    let dir = folder();
    let store = open(dir.path());
    let (kept, gone) = (content(1, 60_000), content(2, 900_000));
    let both = [&gone[..], &kept, &content(3, 900_000)].concat();
    let both = store.put(&both, &named("both", "r")).expect("put");
    let id = store.put(&kept, &named("kept", "r")).expect("put");
    store.remove(&both).expect("removed");
    store.gc(&[], Some(0.0)).expect("gc");
    let left = store.stats().expect("stats").stored_bytes;
    assert!(left < 90_000, "{left} bytes left");
    assert_eq!(store.get(&id).expect("get"), kept);
    assert_eq!(store.verify().expect("verify"), []);
    abandon(store, dir.path());
    let store = open(dir.path());
    assert_eq!(store.get(&id).expect("get"), kept);
    assert_eq!(store.verify().expect("verify"), []);
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let dir = folder();
    let store = open(dir.path());
    let empty = store.stats().expect("stats");
    let mut writer = store.writer(named("a", "r")).expect("a writer");
    store
        .write(&mut writer, &content(1, 2_000_000))
        .expect("written");
    drop(writer);
    assert_eq!(store.list(10, 0, &Filter::default()).expect("list"), []);
    let full = store.stats().expect("stats");
    assert_eq!((full.artifacts, full.puts), (0, 0));
    assert!(full.stored_bytes > 500_000);
    store.gc(&[], None).expect("gc");
    let again = store.stats().expect("stats");
    assert_eq!(
        (again.stored_bytes, again.chunks),
        (empty.stored_bytes, empty.chunks)
    );
    let mut writer = store.writer(named("a", "r")).expect("a writer");
    store.close().expect("closed");
    let written = store.write(&mut writer, b"more");
    assert!(matches!(written, Err(StoreError::Closed)));
    assert!(matches!(store.finish(writer), Err(StoreError::Closed)));
}

#[test]
fn a_stream_keeps_its_chunks_while_a_collection_runs() {
    let dir = folder();
    let store = open(dir.path());
    let whole = content(1, 1_500_000);
    // Half of its chunks are those of a content that goes, half are its own.
    let id = store
        .put(&whole[..700_000], &named("half", "r"))
        .expect("put");
    let mut writer = store.writer(named("whole", "r")).expect("a writer");
    store
        .write(&mut writer, &whole[..1_000_000])
        .expect("written");
    store.remove(&id).expect("removed");
    store.gc(&[], None).expect("gc");
    store
        .write(&mut writer, &whole[1_000_000..])
        .expect("written");
    store.gc(&[], None).expect("gc");
    let id = store.finish(writer).expect("finished");
    assert_eq!(store.get(&id).expect("get"), whole);
    abandon(store, dir.path());
    assert_eq!(open(dir.path()).get(&id).expect("get"), whole);
}

#[test]
fn a_collection_never_takes_a_chunk_that_a_put_found() {
    let dir = folder();
    let options = Options {
        segment_bytes: 64 << 10,
        ..options()
    };
    let store = Store::open(dir.path(), options).expect("opened");
    let shared = content(1, 60_000);
    std::thread::scope(|scope| {
        let (store, shared) = (&store, &shared);
        for writer in 0..2u64 {
            scope.spawn(move || {
                for step in 0..40 {
                    // Each has the shared chunks and some of its own, and goes again.
                    let own = content(100 + writer * 100 + step, 20_000);
                    let whole = [&shared[..], &own].concat();
                    let id = if step % 2 == 0 {
                        streamed(store, &whole, 9_000, &format!("w{writer}"))
                    } else {
                        store
                            .put(&whole, &named(&format!("w{writer}"), "r"))
                            .expect("put")
                    };
                    assert_eq!(store.get(&id).expect("there"), whole);
                    store.remove(&id).expect("removed");
                }
            });
        }
        scope.spawn(move || {
            for _ in 0..40 {
                store.gc(&[], Some(0.0)).expect("gc");
            }
        });
    });
    store.gc(&[], Some(0.0)).expect("gc");
    assert_eq!(store.stats().expect("stats").chunks, 0);
    assert_eq!(store.verify().expect("verify"), []);
}

#[test]
fn a_damaged_block_is_found_and_put_again() {
    let dir = folder();
    let store = open(dir.path());
    // Noise is stored as it is, so that its bytes can be found in the file.
    let first = noise(1, 500_000);
    let second = [b"another beginning", &first[..]].concat();
    let id = store.put(&first, &named("a", "r")).expect("put");
    let other = store.put(&second, &named("b", "r")).expect("put");
    let path = &segments(dir.path())[0];
    let bytes = fs::read(path).expect("bytes");
    let needle = &first[200_000..200_032];
    let at = bytes
        .windows(32)
        .position(|window| window == needle)
        .expect("there");
    let file = fs::OpenOptions::new().write(true).open(path).expect("file");
    file.write_all_at(&[!needle[0]], at as u64)
        .expect("damaged");
    for id in [&id, &other] {
        assert!(matches!(store.get(id), Err(StoreError::Damaged { .. })));
        let mut cursor = store.cursor(id).expect("a cursor");
        let mut out = vec![0; 1000];
        assert_eq!(store.read(&mut cursor, &mut out).expect("sound"), 1000);
        cursor.seek(200_000);
        assert!(matches!(
            store.read(&mut cursor, &mut out),
            Err(StoreError::Damaged { .. })
        ));
    }
    let findings = store.verify().expect("verify");
    let mut hit: Vec<&str> = findings
        .iter()
        .filter_map(|one| one.id.as_deref())
        .collect();
    hit.sort_unstable();
    let mut expected = [id.to_string(), other.to_string()];
    expected.sort_unstable();
    assert_eq!(hit, expected, "{findings:?}");
    assert!(codes(&findings).contains(&"damaged_record"));
    // Whoever brings the bytes again repairs all that has them.
    store.put(&first, &named("a", "r2")).expect("put");
    assert_eq!(store.get(&id).expect("get"), first);
    assert_eq!(store.get(&other).expect("get"), second);
    store.gc(&[id, other], None).expect("gc");
    assert_eq!(store.verify().expect("verify"), []);
}

#[test]
fn what_cannot_be_compressed_costs_hardly_more_than_it_is() {
    let dir = folder();
    let store = open(dir.path());
    let noise = noise(1, 2_000_000);
    store.put(&noise, &named("a", "r")).expect("put");
    let stored = store.stats().expect("stats").stored_bytes as usize;
    assert!(
        stored < noise.len() + noise.len() / 50,
        "{stored} for {}",
        noise.len()
    );
    let text = b"words that come again and again ".repeat(20_000);
    store.put(&text, &named("b", "r")).expect("put");
    let more = store.stats().expect("stats").stored_bytes as usize - stored;
    assert!(more < text.len() / 10, "{more} for {}", text.len());
}

/// A content of the model: some pieces of a small stock, each large enough to be several chunks.
fn assembled(pieces: &[u8]) -> Vec<u8> {
    let sized = |piece: &u8| content(u64::from(*piece), 5_000 + 4_000 * usize::from(*piece));
    pieces.iter().flat_map(sized).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>),
    Stream(Vec<u8>, usize),
    Abort(Vec<u8>),
    Remove(usize),
    Collect(usize),
    Reopen,
    Abandon,
}

fn step() -> impl Strategy<Value = Step> {
    let pieces = prop::collection::vec(0u8..6, 0..6);
    prop_oneof![
        3 => pieces.clone().prop_map(Step::Put),
        3 => (pieces.clone(), 1usize..60_000).prop_map(|(pieces, size)| Step::Stream(pieces, size)),
        1 => pieces.prop_map(Step::Abort),
        2 => any::<usize>().prop_map(Step::Remove),
        2 => any::<usize>().prop_map(Step::Collect),
        1 => Just(Step::Reopen),
        1 => Just(Step::Abandon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is put, streamed, removed, collected and opened again, the store holds what the model holds.
    #[test]
    fn chunked_contents_agree_with_a_model(
        steps in prop::collection::vec(step(), 1..25), is_sealed in any::<bool>(),
    ) {
        let dir = folder();
        let options = Options {
            segment_bytes: 32 << 10, key: is_sealed.then(|| [9; 32].into()), ..options()
        };
        let mut store = Store::open(dir.path(), options.clone()).expect("opened");
        let mut model: BTreeMap<ArtifactId, Vec<u8>> = BTreeMap::new();
        let nth = |model: &BTreeMap<ArtifactId, Vec<u8>>, number: usize| {
            (!model.is_empty()).then(|| *model.keys().nth(number % model.len()).expect("one"))
        };
        for step in steps {
            match step {
                Step::Put(pieces) => {
                    let bytes = assembled(&pieces);
                    let id = store.put(&bytes, &named("n", "r")).expect("put");
                    model.insert(id, bytes);
                }
                Step::Stream(pieces, size) => {
                    let bytes = assembled(&pieces);
                    model.insert(streamed(&store, &bytes, size, "n"), bytes);
                }
                Step::Abort(pieces) => {
                    let mut writer = store.writer(named("n", "r")).expect("a writer");
                    store.write(&mut writer, &assembled(&pieces)).expect("written");
                }
                Step::Remove(number) => if let Some(id) = nth(&model, number) {
                    prop_assert!(store.remove(&id).expect("removed"));
                    model.remove(&id);
                },
                Step::Collect(number) => {
                    let gone = nth(&model, number);
                    let keep: Vec<ArtifactId> =
                        model.keys().copied().filter(|id| Some(*id) != gone).collect();
                    store.gc(&keep, None).expect("gc");
                    gone.map(|id| model.remove(&id));
                }
                Step::Reopen => {
                    store.close().expect("closed");
                    store = Store::open(dir.path(), options.clone()).expect("opened");
                }
                Step::Abandon => {
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
        store.gc(&[], None).expect("gc");
        prop_assert_eq!(store.stats().expect("stats").chunks, 0);
    }
}

#[test]
fn a_store_of_the_time_before_chunks_goes_on_in_a_segment_of_its_own() {
    let dir = folder();
    let to = dir.path().join("segments");
    fs::create_dir(&to).expect("made");
    let from = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/plain_1/segments/00000001.log"
    );
    fs::copy(from, to.join("00000001.log")).expect("copied");
    let read = |store: &Store| -> Vec<(String, Vec<u8>)> {
        let infos = store.list(100, 0, &Filter::default()).expect("list");
        let old = infos.into_iter().filter(|info| info.name != "large");
        old.map(|info| {
            let id = info.id.parse().expect("an id");
            (info.name, store.get(&id).expect("get"))
        })
        .collect()
    };
    let store = open(dir.path());
    let before = read(&store);
    assert!(!before.is_empty());
    let large = content(1, 200_000);
    let id = store.put(&large, &named("large", "r")).expect("put");
    // A version that knows no chunks refuses the new segment by its format, and does not call it damaged.
    assert_eq!(segments(dir.path()).len(), 2);
    for reopened in [false, true] {
        if reopened {
            abandon(open(dir.path()), dir.path());
        } else {
            store.close().expect("closed");
        }
        let store = open(dir.path());
        assert_eq!(read(&store), before);
        assert_eq!(store.get(&id).expect("get"), large);
        assert_eq!(store.verify().expect("verify"), []);
        assert_eq!(segments(dir.path()).len(), 2);
    }
}
