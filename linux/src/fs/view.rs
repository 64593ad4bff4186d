//! The guest's file tree: which host directories and files it shows, and where.

use super::guard::Guard;
use super::place::{Place, Start, c_string};
use super::walk::{Found, is_within, normalize};
use crate::abi::*;
use crate::config::{Config, Program};
use crate::errno::Errno;
use crate::host;
use crate::kernel::Lock;
use crate::{Error, fs::private};
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A granted directory or file.
pub(crate) struct Mount {
    /// The guest's path without a slash at its end: empty for the root.
    pub guest: Vec<u8>,
    pub source: Source,
    pub writable: bool,
    pub host: PathBuf,
    /// Where it lies on the host, if what is done there is watched by the [`Guard`].
    watched: Option<Arc<Path>>,
}

/// What a mount shows.
pub(crate) enum Source {
    Directory(Arc<OwnedFd>),
    /// One file: the directory that holds it and its name there.
    File(Arc<OwnedFd>, CString),
    /// A directory of this run alone, made when it is first used.
    Private(private::Private),
}

/// The tree.
pub(crate) struct View {
    /// Longest guest path first.
    mounts: Lock<Arc<Vec<Mount>>>,
    /// No isolation.
    pub passthrough: bool,
    /// Without isolation: absolute paths are looked up here first.
    overlay: Option<Arc<OwnedFd>>,
    pub cwd: Lock<Vec<u8>>,
    /// Folders that are reached through links which the guest cannot change, and where they are.
    pub folders: Lock<HashMap<Vec<u8>, Vec<u8>>>,
    scratch: private::Scratch,
    /// What of the host is closed to the guest.
    pub guard: Guard,
}

/// Where a canonical guest path lies.
pub(crate) struct Located {
    pub start: Start,
    /// The path from there.
    pub inside: CString,
    pub writable: bool,
    /// Where `start` lies on the host, if the guard is to be asked.
    pub watched: Option<Arc<Path>>,
}

fn open_granted(path: &Path) -> Result<OwnedFd, Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.into()))?;
    let fd = host::fs::open_at(host::fs::CURRENT_DIR, &name, O_PATH, 0)
        .map_err(|errno| failed(errno.into()))?;
    Ok(host::fds::move_high(fd))
}

/// A mount of a host path, whatever it is.
fn mount(host: &Path, guest: &[u8], writable: bool, guard: &Guard) -> Result<Mount, Error> {
    let opened = open_granted(host)?;
    let failed = |errno: Errno| Error::File {
        path: host.to_owned(),
        source: errno.into(),
    };
    let stat = host::fs::stat_fd(opened.as_raw_fd()).map_err(failed)?;
    let watched = |directory: &OwnedFd, path: &Path| match writable {
        true => guard.watches(directory, path).map(Arc::from),
        false => None,
    };
    let (source, watched) = if stat.mode & S_IFMT == S_IFDIR {
        let watched = watched(&opened, host);
        (Source::Directory(Arc::new(opened)), watched)
    } else {
        // The link itself may lie elsewhere than what it names.
        let real = host.canonicalize().map_err(|source| Error::File {
            path: host.to_owned(),
            source,
        })?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(failed(Errno::EISDIR));
        };
        let name = c_string(name.as_bytes()).map_err(failed)?;
        let opened = open_granted(parent)?;
        let watched = watched(&opened, parent);
        (Source::File(Arc::new(opened), name), watched)
    };
    let guest = normalize(guest);
    Ok(Mount {
        guest,
        source,
        writable,
        host: host.to_owned(),
        watched,
    })
}

impl View {
    pub fn new(config: &Config) -> Result<View, Error> {
        let guard = Guard::new(&config.closed);
        let mut mounts = Vec::new();
        let mut overlay = None;
        if config.host {
            if let Some(root) = &config.root {
                overlay = Some(Arc::new(open_granted(root)?));
            }
        } else {
            if let Some(root) = &config.root {
                mounts.push(mount(root, b"", false, &guard)?);
            }
            for grant in &config.grants {
                let guest = grant.guest.as_os_str().as_bytes();
                mounts.push(mount(&grant.host, guest, grant.writable, &guard)?);
            }
            for (guest, name) in [
                ("/tmp", "tmp"),
                ("/var/tmp", "var-tmp"),
                ("/dev/shm", "shm"),
            ] {
                if !mounts.iter().any(|mount| mount.guest == guest.as_bytes()) {
                    mounts.push(Mount {
                        guest: guest.into(),
                        source: Source::Private(private::Private::new(name)),
                        writable: true,
                        host: PathBuf::new(),
                        watched: None,
                    });
                }
            }
        }
        // Of two grants for the same path the later one counts, so it goes first.
        mounts.reverse();
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.guest.len()));
        let cwd = config
            .cwd
            .as_ref()
            .map(|cwd| normalize(cwd.as_os_str().as_bytes()));
        Ok(View {
            mounts: Lock::new(Arc::new(mounts)),
            passthrough: config.host,
            overlay,
            folders: Lock::default(),
            cwd: Lock::new(cwd.unwrap_or_default()),
            scratch: private::Scratch::new(),
            guard,
        })
    }

    /// Makes one more host file visible, read-only, at its own path.
    fn grant_file(&self, host: &Path) -> Result<(), Error> {
        let mut mounts = self.mounts.lock();
        let extra = mount(host, host.as_os_str().as_bytes(), false, &self.guard)?;
        let mut all = vec![extra];
        // Rebuilt rather than changed: a resolution elsewhere may be using the old list.
        all.extend(mounts.iter().map(Mount::share));
        all.sort_by_key(|mount| std::cmp::Reverse(mount.guest.len()));
        *mounts = Arc::new(all);
        Ok(())
    }

    pub fn mounts(&self) -> Arc<Vec<Mount>> {
        self.mounts.lock().clone()
    }

    /// Holds all locks of the view, for a fork.
    pub fn fork_guard(&self) -> impl Sized + '_ {
        (self.mounts.lock(), self.cwd.lock(), self.folders.lock())
    }

    /// Removes this run's private directories. Not in forked children.
    pub fn clean_up(&self) {
        self.scratch.remove();
    }

    /// Whether a canonical path lies in a directory of this run alone.
    pub fn is_private(&self, path: &[u8]) -> bool {
        let mounts = self.mounts();
        let mount = mounts.iter().find(|mount| is_within(path, &mount.guest));
        mount.is_some_and(|mount| matches!(mount.source, Source::Private(_)))
    }

    /// The guest's path of a host path, if it sees it. The most specific grant counts.
    pub fn guest_path(&self, host: &Path) -> Option<Vec<u8>> {
        if self.passthrough {
            return Some(host.as_os_str().as_bytes().to_vec());
        }
        let mounts = self.mounts();
        let best = mounts
            .iter()
            .filter(|mount| !mount.host.as_os_str().is_empty() && host.starts_with(&mount.host))
            .max_by_key(|mount| mount.host.as_os_str().len())?;
        let rest = host.strip_prefix(&best.host).ok()?.as_os_str().as_bytes();
        let mut path = best.guest.clone();
        if !rest.is_empty() {
            path.push(b'/');
            path.extend(rest);
        }
        Some(path)
    }

    /// The guest's path of a file that the host process was started with.
    pub fn path_of_inherited(&self, fd: i32) -> Option<Vec<u8>> {
        let target = host::fs::read_link(host::fs::CURRENT_DIR, &host::fs::fd_path(fd)).ok()?;
        self.guest_path(Path::new(std::ffi::OsStr::from_bytes(&target)))
    }

    /// The mount that covers a canonical guest path, and the path inside it.
    pub fn locate(&self, path: &[u8]) -> Option<Located> {
        let mounts = self.mounts();
        let mount = mounts.iter().find(|mount| match mount.source {
            Source::File(..) => path == mount.guest,
            _ => is_within(path, &mount.guest),
        })?;
        let rest = path[mount.guest.len()..].strip_prefix(b"/").unwrap_or(b"");
        let inside = if rest.is_empty() { b"." } else { rest };
        let (start, inside) = match &mount.source {
            Source::Directory(fd) => (fd.clone(), c_string(inside).ok()?),
            Source::File(parent, name) => (parent.clone(), name.clone()),
            Source::Private(private) => (private.open(&self.scratch)?, c_string(inside).ok()?),
        };
        Some(Located {
            start: Start::Granted(start),
            inside,
            writable: mount.writable,
            watched: mount.watched.clone(),
        })
    }

    /// Whether the path leads to a grant: it exists, if only as a step on the way.
    pub fn is_on_the_way(&self, path: &[u8]) -> bool {
        path.is_empty()
            || self
                .mounts()
                .iter()
                .any(|mount| is_within(&mount.guest, path))
    }

    /// What a directory that is only on the way contains.
    pub fn steps_in(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let mounts = self.mounts();
        let below = mounts.iter().filter(|mount| is_within(&mount.guest, path));
        let next = below.filter_map(|mount| {
            let rest = mount.guest[path.len()..].strip_prefix(b"/")?;
            rest.split(|&byte| byte == b'/').next().map(<[u8]>::to_vec)
        });
        let mut names: Vec<_> = next.collect();
        if path.is_empty() {
            names.extend([b"proc".to_vec(), b"dev".to_vec()]);
        }
        names.sort();
        names.dedup();
        names
    }

    /// Whether /proc and /dev are ours at this path, not a granted directory's.
    pub fn is_virtual(&self, path: &[u8]) -> bool {
        let Some(top) = [&b"/proc"[..], b"/dev"]
            .into_iter()
            .find(|top| is_within(path, top))
        else {
            return false;
        };
        !self
            .mounts()
            .iter()
            .any(|mount| is_within(path, &mount.guest) && mount.guest.len() >= top.len())
    }

    /// Finds the program to start.
    pub fn find_program(&self, program: &Program) -> Result<Program, Error> {
        let mut program = program.clone();
        let missing = || Error::NotFound {
            program: program.path.display().to_string(),
        };
        let given = program.path.as_os_str().as_bytes().to_vec();
        let exists = |path: &[u8]| self.exists(path);
        let cwd = self.cwd.lock().clone();
        let in_cwd = [&cwd[..], b"/", &given].concat();
        let absolute = if given.starts_with(b"/") {
            given.clone()
        } else {
            in_cwd
        };
        if exists(&absolute) {
            program.path = bytes_path(&absolute);
            return Ok(program);
        }
        if !given.contains(&b'/') {
            let variable = program
                .envp
                .iter()
                .find_map(|entry| entry.strip_prefix(b"PATH="));
            let path = variable.unwrap_or(b"/usr/local/bin:/usr/bin:/bin").to_vec();
            let found = path
                .split(|&byte| byte == b':')
                .map(|dir| [dir, b"/", &given].concat())
                .find(|candidate| exists(candidate));
            program.path = bytes_path(&found.ok_or_else(missing)?);
            return Ok(program);
        }
        // The user names a host file outside of the guest's view: that is a grant.
        let host = std::path::absolute(&program.path).map_err(|source| Error::File {
            path: program.path.clone(),
            source,
        })?;
        if !host.is_file() {
            let source = match std::fs::metadata(&host) {
                Err(source) => source,
                Ok(_) => Errno::EACCES.into(),
            };
            return Err(Error::File {
                path: program.path.clone(),
                source,
            });
        }
        self.grant_file(&host)?;
        program.path = bytes_path(&normalize(host.as_os_str().as_bytes()));
        Ok(program)
    }

    fn exists(&self, path: &[u8]) -> bool {
        if self.passthrough {
            let overlay = self.overlay_place(path).is_some();
            return overlay || bytes_path(path).is_file();
        }
        matches!(self.walk(None, b"", path, true), Ok(Found::Host(place)) if place.pin.is_some())
    }

    /// Without isolation: the overlay's file for an absolute path.
    pub fn overlay_place(&self, path: &[u8]) -> Option<Place> {
        let overlay = self.overlay.as_ref()?;
        if !path.starts_with(b"/") || normalize(path).is_empty() {
            return None;
        }
        let pin = host::fs::open_in_root(overlay.as_raw_fd(), &c_string(path).ok()?)?;
        let target = host::fs::fd_path(pin.as_raw_fd());
        Some(Place {
            start: Start::Number(host::fs::CURRENT_DIR),
            path: target,
            beneath: false,
            pin: Some(pin),
            stat: None,
            guest: path.to_vec(),
            writable: true,
            fixed: false,
            directory: false,
        })
    }
}

impl Mount {
    fn share(&self) -> Mount {
        let source = match &self.source {
            Source::Directory(fd) => Source::Directory(fd.clone()),
            Source::File(fd, name) => Source::File(fd.clone(), name.clone()),
            Source::Private(private) => Source::Private(private.clone()),
        };
        let (guest, host) = (self.guest.clone(), self.host.clone());
        Mount {
            guest,
            source,
            writable: self.writable,
            host,
            watched: self.watched.clone(),
        }
    }
}

pub(crate) fn bytes_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
