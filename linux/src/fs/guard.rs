//! Folders of the host's that the guest gets nowhere near, whatever it was granted.
//!
//! Who can write where compiled code is kept can have the host run anything, and the directory that
//! a program is started in may lie around that. Such a folder is told by its path, so that none can
//! be made where there is none (any more), and by its identity, so that another name of it (a bind
//! mount, capital letters) leads nowhere either. What leads to it, links too, keeps its name: the
//! guest could put something of its own in the place, to be found by later runs.

use crate::abi::structs::Stat;
use crate::host;
use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// What the host knows a file by: device and number.
type Id = (u64, u64);

fn id_of(stat: &Stat) -> Id {
    (stat.dev, stat.ino)
}

/// The folders, and what leads to them.
#[derive(Default)]
pub(crate) struct Guard {
    folders: Vec<Name>,
    steps: Vec<Name>,
    /// Where the host has other file systems, or other parts of the same ones, if it tells.
    mounts: Option<Vec<PathBuf>>,
}

/// A place on the host, without links on the way there, and what lies there.
struct Name {
    path: PathBuf,
    id: Option<Id>,
}

impl Name {
    fn new(path: PathBuf) -> Name {
        let stat = |path: &CString| host::fs::stat_at(host::fs::CURRENT_DIR, path, false).ok();
        let name = CString::new(path.as_os_str().as_bytes()).ok();
        let id = name.as_ref().and_then(stat).as_ref().map(id_of);
        Name { path, id }
    }
}

impl Guard {
    /// Keeps the guest out of these folders. Best if they exist; what does not cannot be made.
    pub fn new(folders: &[PathBuf]) -> Guard {
        let mut guard = Guard::default();
        if !folders.is_empty() {
            guard.mounts = host::mounts::points();
        }
        for folder in folders {
            let (steps, real) = way_to(folder);
            guard.steps.extend(steps.into_iter().map(Name::new));
            guard.folders.push(Name::new(real));
        }
        guard
    }

    /// Where a granted directory lies, if a folder of ours may be reached in it and places there have
    /// to be looked at: by the name that leads to the folder, if it has that among others.
    pub fn watches(&self, directory: &OwnedFd, host: &Path) -> Option<PathBuf> {
        let mut names = self.folders.iter().chain(&self.steps);
        let stat = host::fs::stat_fd(directory.as_raw_fd()).ok();
        let id = stat.as_ref().map(id_of);
        if let Some(known) = names.clone().find(|name| id.is_some() && name.id == id) {
            return Some(known.path.clone());
        }
        let real = host.canonicalize().unwrap_or_else(|_| host.to_owned());
        let around = names.any(|name| name.path.starts_with(&real)) || self.closes_path(&real);
        let mounts = || self.mounts.as_ref();
        let alias =
            || mounts().is_none_or(|all| all.iter().any(|at| *at != real && at.starts_with(&real)));
        (around || !self.folders.is_empty() && alias()).then_some(real)
    }

    /// Whether a path without links is a folder of ours, or lies in one.
    pub fn closes_path(&self, path: &Path) -> bool {
        let mut folders = self.folders.iter();
        folders.any(|folder| path.starts_with(&folder.path))
    }

    /// Whether something is a folder of ours.
    pub fn closes(&self, stat: &Stat) -> bool {
        let id = Some(id_of(stat));
        self.folders.iter().any(|folder| folder.id == id)
    }

    /// Whether a name leads to a folder of ours, or would if there were something.
    pub fn fixes_path(&self, path: &Path) -> bool {
        self.steps.iter().any(|step| step.path == path)
    }

    /// Whether something is on the way to a folder of ours.
    pub fn fixes(&self, stat: &Stat) -> bool {
        let id = Some(id_of(stat));
        self.steps.iter().any(|step| step.id == id)
    }
}

/// The names that the host comes by on the way to an absolute path, links as well as what they lead
/// to, and where that is in the end. Of what is not there the names are known all the same.
pub fn way_to(path: &Path) -> (Vec<PathBuf>, PathBuf) {
    /// As many as Linux follows.
    const MAX_LINKS: u32 = 40;
    let mut at = PathBuf::from("/");
    let mut names = vec![at.clone()];
    let mut rest = parts(path);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let name = at.join(part);
        names.push(name.clone());
        match std::fs::read_link(&name) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            }
            _ => at = name,
        }
    }
    names.retain(|name| *name != at);
    (names, at)
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    let mut parts: Vec<OsString> = parts.collect();
    parts.reverse();
    parts
}
