//! A checkpoint says what the index said, also when it goes on from another one, and no flipped bit of it
//! is believed.

use super::*;
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
                one.chunks.add_block(place(first), &[(key(1), 10), (key(first as u8), 20)]);
            }
            prop_assert_eq!(seen(&index), seen(&memory));
            let path = written(&folder, &index, seal.as_ref());
            let (again, reach) = read(&path, 7, seal.as_ref()).expect("read");
            prop_assert_eq!(reach, REACH);
            prop_assert_eq!(seen(&again), seen(&memory));
            let mut chunks = [Vec::new(), Vec::new()];
            index.chunks.encode(&mut chunks[0]);
            again.chunks.encode(&mut chunks[1]);
            prop_assert_eq!(&chunks[0], &chunks[1]);
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
