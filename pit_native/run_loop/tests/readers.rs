//! A short run of the fuzz target for journals over its corpus and its mutations, and what journals say
//! that were written before, or changed since.

use std::fs;
use std::path::{Path, PathBuf};

use run_loop::{History, JOURNAL, JournalError, read_history};

#[path = "../../fuzz/src/journal.rs"]
mod journal;
#[path = "../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../fuzz/src/scratch.rs"]
mod scratch;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/journal")
}

#[test]
fn no_journal_brings_its_reader_down() {
    mutate::over_corpus(&corpus(), 400, journal::journal);
}

/// Attempts and whether it is done, of the nodes n0 to n3.
fn told(history: &History) -> [(u32, bool); 4] {
    ["n0", "n1", "n2", "n3"].map(|node| {
        let past = history.nodes.get(node);
        past.map_or((0, false), |past| (past.attempts, past.finished.is_some()))
    })
}

#[test]
fn a_journal_of_the_form_before_says_the_same_as_one_of_today() {
    let plain = read_history(&corpus().join("plain"), "run").unwrap();
    let numbered = read_history(&corpus().join("numbered"), "run").unwrap();
    assert_eq!(
        told(&plain),
        [(2, true), (0, false), (0, false), (0, false)]
    );
    assert_eq!(plain.nodes, numbered.nodes);
    assert_eq!((plain.lives, plain.torn), (numbered.lives, numbered.torn));
}

#[test]
fn a_bit_that_flipped_anywhere_in_a_journal_is_told() {
    let folder = scratch::folder();
    let path = folder.path().join(JOURNAL);
    let whole = fs::read(corpus().join("numbered")).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        match read_history(&path, "run") {
            Err(JournalError::Damaged(words)) => {
                assert!(words.contains(path.to_str().unwrap()), "{words}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}
