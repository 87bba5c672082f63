//! Puts and gets of 10 KiB, one after the other and from 64 threads: `throughput FOLDER`. To be run under
//! a profiler; the comparison with other stores is in `benches/`.

use artifact_store::{ArtifactId, Options, Put, Store};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Instant;

const SIZE: usize = 10 << 10;

/// Bytes that do not compress, another lot for every number.
fn content(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(SIZE / 8)
    .flatten()
    .collect()
}

fn microseconds(since: Instant, count: usize) -> f64 {
    since.elapsed().as_secs_f64() * 1e6 / count as f64
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let folder = Path::new(&folder);
    let store = Store::open(&folder.join("store"), Options::default()).expect("a store");
    let put = Put {
        name: "x".into(),
        kind: "application/octet-stream".into(),
        ..Put::default()
    };
    for round in 0..5u64 {
        let contents: Vec<Vec<u8>> = (0..3200).map(|n| content(round * 3200 + n)).collect();
        let begun = Instant::now();
        for content in &contents[..200] {
            store.put(content, &put).expect("put");
        }
        let one = microseconds(begun, 200);
        let syncs = store.stats().expect("stats").syncs;
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for own in contents[200..].chunks(contents.len() / 64) {
                let (store, put) = (&store, &put);
                scope.spawn(move || {
                    for content in own {
                        store.put(content, put).expect("put");
                    }
                });
            }
        });
        let many = microseconds(begun, 3000);
        let syncs = store.stats().expect("stats").syncs - syncs;
        let ids: Vec<ArtifactId> = contents[..200]
            .iter()
            .map(|one| ArtifactId::of(one))
            .collect();
        let begun = Instant::now();
        for id in &ids {
            store.get(id).expect("there");
        }
        let get = microseconds(begun, 200);
        for (number, content) in contents[..200].iter().enumerate() {
            std::fs::write(folder.join(number.to_string()), content).expect("a file");
        }
        let begun = Instant::now();
        for number in 0..200 {
            let content = std::fs::read(folder.join(number.to_string())).expect("a file");
            std::hint::black_box(Sha256::digest(&content));
        }
        let file = microseconds(begun, 200);
        println!(
            "put {one:.1} µs, 64 writers {many:.1} µs ({syncs} syncs), get {get:.1} µs, file + SHA-256 {file:.1} µs"
        );
    }
}
