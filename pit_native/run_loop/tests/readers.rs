//! A short run of the fuzz target for journals over its corpus and its mutations, and what a journal of
//! a killed host says.

use std::path::Path;

#[path = "../../fuzz/src/journal.rs"]
mod journal;
#[path = "../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../fuzz/src/scratch.rs"]
mod scratch;

#[test]
fn no_journal_brings_its_reader_down() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/journal");
    mutate::over_corpus(&corpus, 400, journal::journal);
}
