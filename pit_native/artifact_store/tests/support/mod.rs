//! What the tests of the store share.

#![allow(dead_code, reason = "each test file uses its part")]

use artifact_store::{ArtifactId, Finding, Options, Put, Store};
use serde_json::{Map, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub fn options() -> Options {
    Options {
        search: false,
        ..Options::default()
    }
}

pub fn named(name: &str, run: &str) -> Put {
    let mut meta = Map::new();
    meta.insert("run".into(), json!(run));
    meta.insert("node".into(), json!("n1"));
    Put {
        name: name.into(),
        kind: "text/plain".into(),
        meta,
    }
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub fn open(path: &Path) -> Store {
    Store::open(path, options()).expect("the store opens")
}

/// Ends a store as `kill -9` would: nothing is saved, the lock goes with the descriptor.
pub fn abandon(store: Store, path: &Path) {
    store.close().expect("closed");
    fs::remove_dir_all(path.join("index")).expect("no index");
}

pub fn segments(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(path.join("segments"))
        .expect("segments")
        .map(|file| file.expect("file").path())
        .collect();
    files.sort();
    files
}

pub fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code).collect()
}

/// Bytes that cannot be compressed, other ones for each seed.
pub fn noise(seed: u64, size: usize) -> Vec<u8> {
    (0u64..)
        .flat_map(|number| ArtifactId::of(&[seed.to_le_bytes(), number.to_le_bytes()].concat()).0)
        .take(size)
        .collect()
}
