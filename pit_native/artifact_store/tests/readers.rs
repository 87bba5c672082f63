//! A short run of the fuzz targets over their corpus and its mutations, with a bound on memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../fuzz/src/scratch.rs"]
mod scratch;
#[path = "../../fuzz/src/store.rs"]
mod store;

/// More than any reader may ask for at once.
const MOST: usize = 64 << 20;

/// The system's allocator, which refuses what is too much: whoever asks for that ends the test.
struct Bounded;

// SAFETY: every request is the system's, or refused with a null pointer as the contract allows.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

#[test]
fn no_segment_brings_the_store_down() {
    mutate::over_corpus(&corpus("segment"), 150, store::segment);
}

#[test]
fn no_checkpoint_brings_the_store_down() {
    mutate::over_corpus(&corpus("checkpoint"), 100, store::checkpoint);
}

#[test]
fn no_file_of_keys_brings_the_store_down() {
    mutate::over_corpus(&corpus("keys"), 80, store::keys);
}
