//! Where the readers' files are written.

use std::path::Path;
use tempfile::TempDir;

/// A folder, in memory where the system has one there: nothing here is to outlive anything.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).expect("a folder")
    } else {
        tempfile::tempdir().expect("a folder")
    }
}
