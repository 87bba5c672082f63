//! What the fuzzer calls for the bus, over its corpora and mutations of them.

use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/bus.rs"]
mod bus;
#[path = "../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../fuzz/src/topics.rs"]
mod topics;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name)
}

#[test]
fn frames_are_cut_alike_however_they_come() {
    mutate::over_corpus(&corpus("frame"), 40, bus::frame);
}

#[test]
fn envelopes_mean_one_thing() {
    mutate::over_corpus(&corpus("envelope"), 40, bus::envelope);
}

#[test]
fn topics_match_as_the_rules_say() {
    mutate::over_corpus(&corpus("topic"), 5_000, topics::topic);
}
