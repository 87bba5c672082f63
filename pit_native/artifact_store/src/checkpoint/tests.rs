//! A checkpoint says what the index said, also when it goes on from another one, and no flipped bit of it
//! is believed.

use super::*;
use crate::chunks::ChunkKey;
use crate::log::Place;
use crate::rows::NewEntry;
use crate::types::{ArtifactId, Filter};
use proptest::prelude::*;
use tempfile::TempDir;

type Step = (u8, u8, u8);

fn place(offset: usize) -> Place {
    Place {
        segment: 1,
        offset: offset as u32,
    }
}

/// Puts, and in one of ten removes.
fn apply(index: &mut Index, steps: &[Step], first: usize) {
    for (number, (content, name, run)) in steps.iter().enumerate() {
        let number = first + number;
        let id = ArtifactId::of(&[*content]);
        let name = format!("n{name}");
        match run {
            8 => index
                .set_hold(&id, Some("why"), place(number))
                .expect("held"),
            9 => _ = index.remove(&id).expect("removed"),
            _ => put(index, id, &name, *run, number),
        }
    }
}

fn put(index: &mut Index, id: ArtifactId, name: &str, run: u8, number: usize) {
    if index.content(&id).expect("read").is_none() {
        index.add_content(id, 1, place(number)).expect("added");
    }
    let version = index.next_version(name, &id).expect("a version");
    let added = index.add_entry(&NewEntry {
        id,
        name,
        kind: "text/plain",
        run: &format!("r{run}"),
        bytes: 1,
        version,
        quality: 0.5,
        created: number as f64,
        place: place(number),
    });
    added.expect("added");
}

/// All that can be asked of an index.
fn seen(index: &Index) -> Vec<String> {
    let mut seen = vec![format!(
        "{} {} {}",
        index.content_count(),
        index.live_entries(),
        index.bytes()
    )];
    let line = |row: u32, entry: &Entry| {
        let word = |row| index.words.text(row).expect("a text");
        let content = index.content_at(entry.content).expect("a content");
        let older = index.live_from(entry.older_of_content, OF_CONTENT);
        format!(
            "{} {} {} {} v{} {} {:?} {:?} {:?}",
            content.id,
            word(entry.name),
            word(entry.kind),
            word(entry.run),
            entry.version,
            entry.created,
            entry.place,
            older.expect("a chain").map(|(_, older)| older.created),
            index.entry(row).expect("the same") == *entry,
        )
    };
    for filter in [None, Some("n1"), Some("n5"), Some("n")].map(|name| Filter {
        name: name.map(str::to_owned),
        ..Filter::default()
    }) {
        let all = index.select(usize::MAX, 0, &filter).expect("listed");
        seen.extend(all.iter().map(|(row, entry)| line(*row, entry)));
        let page = index.select(3, 2, &filter).expect("a page");
        assert_eq!(
            page,
            all.iter().skip(2).take(3).copied().collect::<Vec<_>>()
        );
        seen.push(String::new());
    }
    for run in 0..8 {
        let filter = Filter {
            run: Some(format!("r{run}")),
            ..Filter::default()
        };
        let all = index.select(usize::MAX, 0, &filter).expect("listed");
        seen.extend(all.iter().map(|(row, entry)| line(*row, entry)));
    }
    for content in 0..40u8 {
        let id = ArtifactId::of(&[content]);
        let newest = index.newest(&id).expect("read");
        seen.push(format!(
            "{:?} {:?} {} {:?}",
            newest.map(|(_, entry)| entry.created),
            index.hold(&id).expect("read"),
            index.is_remote(&id).expect("read"),
            index
                .content(&id)
                .expect("read")
                .map(|content| content.place)
        ));
        for name in 0..6 {
            let name = format!("n{name}");
            let chain = index.chain_of_name(&name).expect("a chain");
            seen.push(chain.iter().map(|(row, entry)| line(*row, entry)).collect());
        }
    }
    let mut contents = Vec::new();
    index
        .visit_contents(|row, content| {
            assert_eq!(index.content_row(&content.id).expect("found"), Some(row));
            contents.push(content.id.to_string());
            Ok(())
        })
        .expect("visited");
    contents.sort_unstable();
    seen.extend(contents);
    seen
}

/// The chunks of an index, each with the place of its block.
fn chunks(index: &Index) -> Vec<(ChunkKey, Place, u32, u32)> {
    let mut chunks = Vec::new();
    let visited = index.chunks.snapshot().visit_sorted(|key, spot| {
        assert_eq!(index.chunks.find(&key).expect("found"), Some(spot));
        let block = index.chunks.blocks[spot.block as usize];
        chunks.push((key, block.place, spot.offset, spot.length));
        Ok(())
    });
    visited.expect("visited");
    assert_eq!(chunks.len(), index.chunks.len());
    let alive: u32 = index
        .chunks
        .live_blocks()
        .map(|(_, block)| block.alive)
        .sum();
    assert_eq!(alive, chunks.iter().map(|(.., length)| length).sum::<u32>());
    chunks
}

const REACH: Reach = Reach {
    store: 7,
    segment: 1,
    end: 100,
    next_sequence: 50,
};

fn written(folder: &TempDir, index: &Index, seal: Option<&Seal>) -> std::path::PathBuf {
    let path = folder.path().join("checkpoint");
    Snapshot::of(index, REACH)
        .write(&path, seal, &AtomicBool::new(false))
        .expect("written");
    path
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn an_index_on_checkpoints_says_what_one_in_memory_says(
        rounds in prop::collection::vec(prop::collection::vec((0u8..40, 0u8..6, 0u8..10), 0..60), 1..4),
        is_sealed in any::<bool>(),
    ) {
        let folder = folder();
        let seal = is_sealed.then(|| Seal::new(&[1; 32]));
        let (mut memory, mut index) = (Index::default(), Index::default());
        let mut first = 0;
        for steps in &rounds {
            apply(&mut memory, steps, first);
            apply(&mut index, steps, first);
            first += steps.len();
            let id = ArtifactId::of(&[steps.len() as u8]);
            for one in [&mut memory, &mut index] {
                if one.content(&id).expect("read").is_some() {
                    one.mark_remote(id, 1, place(first)).expect("marked");
                }
                let key = |number| ChunkKey([number; 16]);
                let table = [(key(1), 10), (key(first as u8), 20)];
                one.chunks.add_block(place(first), &table).expect("added");
            }
            prop_assert_eq!(seen(&index), seen(&memory));
            let path = written(&folder, &index, seal.as_ref());
            let (again, reach) = read(&path, 7, seal.as_ref()).expect("read");
            prop_assert_eq!(reach, REACH);
            prop_assert_eq!(seen(&again), seen(&memory));
            prop_assert_eq!(chunks(&index), chunks(&memory));
            prop_assert_eq!(chunks(&again), chunks(&memory));
            // Rows that are gone are forgotten by this one, and by the other not.
            index = again;
        }
        prop_assert!(read(&folder.path().join("checkpoint"), 8, seal.as_ref()).is_none());
    }

    #[test]
    fn no_flipped_bit_and_no_torn_end_is_believed(flips in prop::collection::vec(any::<u32>(), 20), is_sealed: bool) {
        let folder = folder();
        let seal = is_sealed.then(|| Seal::new(&[1; 32]));
        let mut index = Index::default();
        let steps: Vec<Step> = (0..200).map(|number| (number, number % 6, number % 8)).collect();
        apply(&mut index, &steps, 0);
        add(&mut index, &mut Model::new(), &(0..250).collect::<Vec<u8>>(), 300);
        let path = written(&folder, &index, seal.as_ref());
        let good = std::fs::read(&path).expect("bytes");
        for flip in flips {
            let bit = flip as usize % (good.len() * 8);
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).expect("flipped");
            prop_assert!(read(&path, 7, seal.as_ref()).is_none(), "bit {bit}");
            std::fs::write(&path, &good[..bit / 8]).expect("torn");
            prop_assert!(read(&path, 7, seal.as_ref()).is_none(), "torn at {}", bit / 8);
        }
        std::fs::write(&path, &good).expect("good");
        prop_assert!(read(&path, 7, seal.as_ref()).is_some());
    }
}

#[test]
fn what_goes_bad_after_the_opening_is_an_error_and_no_answer() {
    for seal in [None, Some(Seal::new(&[1; 32]))] {
        let folder = folder();
        let mut index = Index::default();
        let steps: Vec<Step> = (0..250).map(|number| (number, number % 6, 1)).collect();
        apply(&mut index, &steps, 0);
        let path = written(&folder, &index, seal.as_ref());
        let (index, _) = read(&path, 7, seal.as_ref()).expect("read");
        let expected: Vec<_> = (0..250u8).map(|one| ArtifactId::of(&[one])).collect();
        let mut bytes = std::fs::read(&path).expect("bytes");
        bytes[2000] ^= 4;
        // The same file, for it is opened.
        let file = OpenOptions::new().write(true).open(&path).expect("opened");
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).expect("flipped");
        let failed = expected.iter().filter(|id| index.content(id).is_err());
        // One block of the four that the contents fill, and who looks whether its key begins there.
        assert!((78..=79).contains(&failed.count()));
        for id in &expected {
            if let Ok(found) = index.content(id) {
                assert_eq!(found.map(|content| content.id), Some(*id));
            }
        }
        assert!(
            index
                .base
                .as_ref()
                .is_some_and(|base| base.check().is_err())
        );
    }
}

#[test]
fn a_chunk_whose_row_goes_bad_is_an_error_and_not_a_chunk_that_is_not_there() {
    let folder = folder();
    let mut index = Index::default();
    let all: Vec<u8> = (0..=255).collect();
    add(&mut index, &mut Model::new(), &all, 1);
    let path = written(&folder, &index, None);
    let (mut index, _) = read(&path, 7, None).expect("read");
    let mut bytes = std::fs::read(&path).expect("bytes");
    bytes[2000] ^= 4;
    let file = OpenOptions::new().write(true).open(&path).expect("opened");
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).expect("flipped");
    let rows = crate::blocks::rows_in_block(CHUNK) as usize;
    for number in &all {
        let found = index.chunks.find(&chunk(*number).0);
        // Whose block it is, and the one whose fence is the same.
        match found {
            Ok(spot) => assert!(spot.is_some() && usize::from(*number) >= rows),
            Err(_) => assert!(usize::from(*number) < rows + 4),
        }
    }
    let before = (index.chunks.len(), index.chunks.blocks[0].alive);
    let table: Vec<(ChunkKey, u32)> = all.iter().map(|number| chunk(*number)).collect();
    assert!(index.chunks.add_block(place(2), &table).is_err());
    assert_eq!((index.chunks.len(), index.chunks.blocks[0].alive), before);
}

#[test]
fn rows_with_one_key_are_told_apart_also_across_blocks() {
    let folder = folder();
    let mut index = Index::default();
    let ids: Vec<ArtifactId> = (0..300u32)
        .map(|number| {
            let mut id = [7; 32];
            id[28..].copy_from_slice(&number.to_be_bytes());
            ArtifactId(id)
        })
        .collect();
    for (number, id) in ids.iter().enumerate().rev() {
        index
            .add_content(*id, number as u64, place(number))
            .expect("added");
    }
    let path = written(&folder, &index, None);
    let (index, _) = read(&path, 7, None).expect("read");
    for (number, id) in ids.iter().enumerate() {
        let content = index.content(id).expect("read").expect("there");
        assert_eq!((content.id, content.bytes), (*id, number as u64));
    }
    let mut other = ids[299];
    other.0[31] ^= 0x40;
    assert_eq!(index.content(&other).expect("read"), None);
}

#[test]
fn a_sealed_checkpoint_tells_no_name() {
    let folder = folder();
    let mut index = Index::default();
    let name = "a name that nobody is to read";
    put(&mut index, ArtifactId::of(b"x"), name, 1, 0);
    for seal in [None, Some(Seal::new(&[1; 32]))] {
        let path = written(&folder, &index, seal.as_ref());
        let bytes = std::fs::read(&path).expect("bytes");
        let tells = |marker: &[u8]| bytes.windows(marker.len()).any(|window| window == marker);
        let id = ArtifactId::of(b"x");
        assert_eq!(tells(name.as_bytes()), seal.is_none());
        assert_eq!(tells(&id.0[..8]), seal.is_none());
        assert_eq!(tells(&word_key(name).to_le_bytes()), seal.is_none());
    }
}

/// What is done with the chunks of an index.
#[derive(Clone, Debug)]
enum Deed {
    /// A block of these, some of which may be stored already.
    Add(Vec<u8>),
    /// A collection that finds the first ones used, while the others are looked for, or added.
    Collect(Vec<u8>, Vec<u8>, Vec<u8>),
    Checkpoint,
}

fn deed() -> impl Strategy<Value = Deed> {
    let some = || prop::collection::vec(0u8..60, 1..12);
    prop_oneof![
        4 => some().prop_map(Deed::Add),
        1 => (prop::collection::vec(0u8..60, 0..60), some(), some())
            .prop_map(|(used, taken, added)| Deed::Collect(used, taken, added)),
        2 => Just(Deed::Checkpoint),
    ]
}

fn chunk(number: u8) -> (ChunkKey, u32) {
    // Some begin with the same bytes, and so have the same fence.
    let mut key = [number / 4; 16];
    key[12] = number;
    (ChunkKey(key), 100 + u32::from(number))
}

/// Where each chunk is looked for, in the place of an index.
type Model = std::collections::BTreeMap<ChunkKey, (Place, u32)>;

fn add(index: &mut Index, model: &mut Model, numbers: &[u8], at: usize) {
    let numbers: std::collections::BTreeSet<u8> = numbers.iter().copied().collect();
    let table: Vec<(ChunkKey, u32)> = numbers.into_iter().map(chunk).collect();
    index.chunks.add_block(place(at), &table).expect("added");
    let mut offset = 0;
    for (key, length) in table {
        model.insert(key, (place(at), offset));
        offset += length;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn chunks_on_checkpoints_are_where_a_map_says(
        deeds in prop::collection::vec(deed(), 1..30), is_sealed in any::<bool>(),
    ) {
        let folder = folder();
        let seal = is_sealed.then(|| Seal::new(&[1; 32]));
        let (mut index, mut model) = (Index::default(), Model::new());
        for (at, deed) in deeds.iter().enumerate() {
            match deed {
                Deed::Add(numbers) => add(&mut index, &mut model, numbers, at),
                Deed::Collect(used, taken, added) => {
                    index.chunks.begin_round();
                    let mut marks = crate::chunk_index::Marks::default();
                    for number in used {
                        index.chunks.mark(&chunk(*number).0, &mut marks).expect("marked");
                    }
                    for number in taken {
                        let is_known = index.chunks.take(&chunk(*number).0).expect("looked for");
                        prop_assert_eq!(is_known, model.contains_key(&chunk(*number).0));
                    }
                    let (early, late) = added.split_at(added.len() / 2);
                    add(&mut index, &mut model, early, 1000 + at);
                    let unused = index.chunks.checkpointed().unused(&marks).expect("looked through");
                    add(&mut index, &mut model, late, 2000 + at);
                    index.chunks.sweep(&marks, unused).expect("swept");
                    let kept: Vec<ChunkKey> =
                        [used, taken, added].into_iter().flatten().map(|one| chunk(*one).0).collect();
                    model.retain(|key, _| kept.contains(key));
                }
                Deed::Checkpoint => {
                    let path = written(&folder, &index, seal.as_ref());
                    (index, _) = read(&path, 7, seal.as_ref()).expect("read");
                    prop_assert_eq!(index.chunks.in_memory(), 0);
                }
            }
            let expected: Vec<_> = model.iter().map(|(key, (place, offset))| {
                (*key, *place, *offset, chunk(key.0[12]).1)
            }).collect();
            prop_assert_eq!(chunks(&index), expected);
        }
    }
}

/// The proportional set of this process, in MiB.
fn memory() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = rollup.lines().find(|line| line.starts_with("Pss:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    size.and_then(|size| size.parse::<u64>().ok())
        .expect("a size")
        >> 10
}

/// Seconds of processor time of this process: on a busy machine the clock says little.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let behind_name = stat.rsplit(')').next().expect("fields");
    let fields = behind_name.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.map(|one| one.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

const FOLDER: &str = "SYMPHONY_CHUNKS_FOLDER";
const COUNT: &str = "SYMPHONY_CHUNKS";

fn distinct(number: u64) -> ChunkKey {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..16]);
    ChunkKey(key)
}

/// Opens what [`chunks_of_a_large_store_take_little_memory`] has written, in a process of its own.
fn open_large(path: &std::path::Path, count: u64) {
    let (before, begun) = (memory(), processor());
    let (index, _) = read(path, 7, None).expect("read");
    let (opened, held) = (processor() - begun, memory() - before);
    assert_eq!(index.chunks.len() as u64, count);
    const SAMPLE: u64 = 200_000;
    let begun = processor();
    for number in 0..SAMPLE {
        let number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % count;
        assert!(index.chunks.take(&distinct(number)).expect("looked for"));
    }
    let known = (processor() - begun) / SAMPLE as f64 * 1e6;
    let begun = processor();
    for number in count..count + SAMPLE {
        assert!(!index.chunks.take(&distinct(number)).expect("looked for"));
    }
    let unknown = (processor() - begun) / SAMPLE as f64 * 1e6;
    println!(
        "opened: {opened:.2} s, {held} MiB; a chunk: {known:.2} us if known, {unknown:.2} us if not"
    );
    // Blocks, fences and the sieve.
    assert!(held < 8 + ((3 * count) >> 20), "{held} MiB");
}

/// `SYMPHONY_CHUNKS=20000000 cargo test -p artifact_store --lib -- --ignored --nocapture of_a_large`
#[test]
#[ignore = "millions of chunks; prints what they take"]
fn chunks_of_a_large_store_take_little_memory() {
    let count = std::env::var(COUNT).map_or(5_000_000, |count| count.parse().expect("a number"));
    if let Ok(path) = std::env::var(FOLDER) {
        return open_large(path.as_ref(), count);
    }
    let (folder, before, begun) = (folder(), memory(), processor());
    let mut index = Index::default();
    let (mut settling, mut settled, mut most) = (0.0, 0, 0);
    for first in (0..count).step_by(32) {
        let numbers = first..count.min(first + 32);
        let table: Vec<(ChunkKey, u32)> = numbers.map(|number| (distinct(number), 4096)).collect();
        for (key, _) in &table {
            assert!(!index.chunks.take(key).expect("looked for"));
        }
        let added = index.chunks.add_block(place(first as usize), &table);
        added.expect("added");
        if index.chunks.in_memory() >= crate::settle::chunks_like(250_000) || first + 32 >= count {
            most = most.max(memory() - before);
            let begun = processor();
            let path = written(&folder, &index, None);
            (index, _) = read(&path, 7, None).expect("read");
            settling += processor() - begun;
            settled += 1;
        }
    }
    let putting = (processor() - begun - settling) / count as f64 * 1e6;
    println!(
        "{count} chunks put: {putting:.2} us each, at most {most} MiB, {settled} times settled in {settling:.1} s"
    );
    let opened = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--nocapture", "of_a_large"])
        .env(FOLDER, folder.path().join("checkpoint"))
        .env(COUNT, count.to_string())
        .status();
    assert!(opened.expect("started").success());
}
