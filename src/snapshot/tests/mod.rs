//! Tests of snapshots that need no guest.

mod container;
mod space;

use std::path::PathBuf;

/// A file name of its own for each test, removed when dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        let name = format!("bhv-snapshot-{name}-{}", std::process::id());
        Temporary(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
