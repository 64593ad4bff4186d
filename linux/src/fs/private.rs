//! Directories that belong to one run: the guest's /tmp and /dev/shm.

use super::place::c_string;
use crate::abi::*;
use crate::host;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The host directory that holds this run's private ones. Its name is fixed at the start, so that
/// forked children, which may use it first, mean the same one.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new() -> Scratch {
        let mut random = [0; 8];
        host::random(&mut random);
        let name = format!(
            "bhv-{}-{:016x}",
            host::process::pid(),
            u64::from_le_bytes(random)
        );
        Scratch {
            path: std::env::temp_dir().join(name),
        }
    }

    /// Deletes everything in it.
    pub fn remove(&self) {
        // Failing to tidy up is no reason to fail the guest, and mostly there is nothing to do.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// One private directory.
#[derive(Clone)]
pub(crate) struct Private {
    name: &'static str,
    opened: Arc<OnceLock<Option<Arc<OwnedFd>>>>,
}

impl Private {
    pub fn new(name: &'static str) -> Private {
        Private {
            name,
            opened: Arc::default(),
        }
    }

    /// Opens it, made if need be; `None` if the host does not let us.
    pub fn open(&self, scratch: &Scratch) -> Option<Arc<OwnedFd>> {
        self.opened.get_or_init(|| self.make(scratch)).clone()
    }

    fn make(&self, scratch: &Scratch) -> Option<Arc<OwnedFd>> {
        let path = scratch.path.join(self.name);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .ok()?;
        let parent = c_string(scratch.path.as_os_str().as_bytes()).ok()?;
        // The name is not guessable, but nobody else's directory is to be used in any case.
        let flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
        let parent = host::fs::open_at(host::fs::CURRENT_DIR, &parent, flags, 0).ok()?;
        let owner = host::fs::stat_fd(parent.as_raw_fd()).ok()?.uid;
        if owner != host::process::user_ids()[1] {
            return None;
        }
        let name = c_string(self.name.as_bytes()).ok()?;
        let fd = host::fs::open_beneath(parent.as_raw_fd(), &name, flags, 0).ok()?;
        Some(Arc::new(host::fds::move_high(fd)))
    }
}
