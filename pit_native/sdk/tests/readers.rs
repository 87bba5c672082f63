//! What the fuzzer calls for the SDK, over its corpus and mutations of it.

use std::path::Path;

#[path = "../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../fuzz/src/sdk.rs"]
mod sdk;

#[test]
fn a_frame_means_to_the_sdk_what_it_means_to_the_bus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/sdk");
    mutate::over_corpus(&corpus, 200, |data| sdk::sdk(&data[1..]));
}
