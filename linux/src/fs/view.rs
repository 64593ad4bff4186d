//! The guest's file tree: granted host directories, and how a path is resolved in it.
//!
//! Nothing here trusts a path: components are looked up one by one without following symbolic
//! links on the host's behalf; links are resolved in the guest's tree; the last step happens
//! beneath a granted directory, which the host enforces (`host::fs::open_beneath`).

use super::place::{Place, Start, c_string, link_target};
use super::proc::{self, Node};
use crate::abi::*;
use crate::config::{Config, Program};
use crate::errno::Errno;
use crate::host;
use crate::kernel::{Kernel, Lock};
use crate::{Error, fs::private};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Linux follows at most this many symbolic links in one path.
const MAX_LINKS: u32 = 40;

/// Where a path leads.
pub(crate) enum Found {
    /// To the host.
    Host(Place),
    /// To something that exists only in the guest's view, with its guest path.
    Node(Node, Vec<u8>),
    /// To one of the guest's open files (`/proc/self/fd/N`).
    Fd(i32),
}

/// A granted directory or file.
pub(crate) struct Mount {
    /// The guest's path without a slash at its end: empty for the root.
    pub guest: Vec<u8>,
    pub source: Source,
    pub writable: bool,
    pub host: PathBuf,
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
    scratch: private::Scratch,
}

fn open_granted(path: &Path) -> Result<OwnedFd, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.into()))?;
    let fd = host::fs::open_at(host::fs::CURRENT_DIR, &name, O_PATH, 0)
        .map_err(|errno| failed(errno.into()))?;
    Ok(host::fs::move_high(fd))
}

/// A mount of a host path, whatever it is.
fn mount(host: &Path, guest: &[u8], writable: bool) -> Result<Mount, Error> {
    let opened = open_granted(host)?;
    let failed = |errno: Errno| Error::File { path: host.to_owned(), source: errno.into() };
    let stat = host::fs::stat_fd(opened.as_raw_fd()).map_err(failed)?;
    let source = if stat.mode & S_IFMT == S_IFDIR {
        Source::Directory(Arc::new(opened))
    } else {
        // The link itself may lie elsewhere than what it names.
        let real = host.canonicalize().map_err(|source| Error::File { path: host.to_owned(), source })?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(failed(Errno::EISDIR));
        };
        let name = c_string(name.as_bytes()).map_err(failed)?;
        Source::File(Arc::new(open_granted(parent)?), name)
    };
    let guest = normalize(guest);
    Ok(Mount { guest, source, writable, host: host.to_owned() })
}

/// Without empty components, `.` and a slash at the end; `..` goes up as far as it can.
pub(crate) fn normalize(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => out.truncate(parent_len(&out)),
            part => {
                out.push(b'/');
                out.extend(part);
            }
        }
    }
    out
}

fn parent_len(path: &[u8]) -> usize {
    path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)
}

/// Whether `path` is `directory` or lies in it.
fn is_within(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

impl View {
    pub fn new(config: &Config) -> Result<View, Error> {
        let mut mounts = Vec::new();
        let mut overlay = None;
        if config.host {
            if let Some(root) = &config.root {
                overlay = Some(Arc::new(open_granted(root)?));
            }
        } else {
            if let Some(root) = &config.root {
                mounts.push(mount(root, b"", false)?);
            }
            for grant in &config.grants {
                let guest = grant.guest.as_os_str().as_bytes();
                mounts.push(mount(&grant.host, guest, grant.writable)?);
            }
            for (guest, name) in [("/tmp", "tmp"), ("/var/tmp", "var-tmp"), ("/dev/shm", "shm")] {
                if !mounts.iter().any(|mount| mount.guest == guest.as_bytes()) {
                    mounts.push(Mount {
                        guest: guest.into(),
                        source: Source::Private(private::Private::new(name)),
                        writable: true,
                        host: PathBuf::new(),
                    });
                }
            }
        }
        // Of two grants for the same path the later one counts, so it goes first.
        mounts.reverse();
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.guest.len()));
        let cwd = config.cwd.as_ref().map(|cwd| normalize(cwd.as_os_str().as_bytes()));
        Ok(View {
            mounts: Lock::new(Arc::new(mounts)),
            passthrough: config.host,
            overlay,
            cwd: Lock::new(cwd.unwrap_or_default()),
            scratch: private::Scratch::new(),
        })
    }

    /// Makes one more host file visible, read-only, at its own path.
    fn grant_file(&self, host: &Path) -> Result<(), Error> {
        let mut mounts = self.mounts.lock();
        let extra = mount(host, host.as_os_str().as_bytes(), false)?;
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
    fn locate(&self, path: &[u8]) -> Option<(Start, CString, bool)> {
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
        Some((Start::Granted(start), inside, mount.writable))
    }

    /// Whether the path leads to a grant: it exists, if only as a step on the way.
    fn is_on_the_way(&self, path: &[u8]) -> bool {
        path.is_empty() || self.mounts().iter().any(|mount| is_within(&mount.guest, path))
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
    fn is_virtual(&self, path: &[u8]) -> bool {
        let Some(top) = [&b"/proc"[..], b"/dev"].into_iter().find(|top| is_within(path, top)) else {
            return false;
        };
        !self.mounts().iter().any(|mount| is_within(path, &mount.guest) && mount.guest.len() >= top.len())
    }

    /// A canonical path on the host, not followed if it is a link. `Err(ENOENT)` for a missing
    /// file whose directory may exist comes as a place without a pin.
    fn probe(&self, path: &[u8], directory: bool) -> Result<Found, Errno> {
        let Some((start, inside, writable)) = self.locate(path) else {
            return if self.is_on_the_way(path) {
                Ok(Found::Node(Node::Steps, path.to_vec()))
            } else {
                Err(Errno::ENOENT)
            };
        };
        let pin = match host::fs::open_beneath(start.raw(), &inside, O_PATH | O_NOFOLLOW, 0) {
            Ok(pin) => Some(pin),
            Err(Errno::ENOENT | Errno::ENOTDIR) if self.is_on_the_way(path) => {
                return Ok(Found::Node(Node::Steps, path.to_vec()));
            }
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno),
        };
        let guest = path.to_vec();
        Ok(Found::Host(Place { start, path: inside, beneath: true, pin, guest, writable, directory }))
    }

    /// Finds the program to start.
    pub fn find_program(&self, program: &Program) -> Result<Program, Error> {
        let mut program = program.clone();
        let missing = || Error::NotFound { program: program.path.display().to_string() };
        let given = program.path.as_os_str().as_bytes().to_vec();
        let exists = |path: &[u8]| self.exists(path);
        let cwd = self.cwd.lock().clone();
        let in_cwd = [&cwd[..], b"/", &given].concat();
        let absolute = if given.starts_with(b"/") { given.clone() } else { in_cwd };
        if exists(&absolute) {
            program.path = bytes_path(&absolute);
            return Ok(program);
        }
        if !given.contains(&b'/') {
            let variable = program.envp.iter().find_map(|entry| entry.strip_prefix(b"PATH="));
            let path = variable.unwrap_or(b"/usr/local/bin:/usr/bin:/bin").to_vec();
            let found = path
                .split(|&byte| byte == b':')
                .map(|dir| [dir, b"/", &given].concat())
                .find(|candidate| exists(candidate));
            program.path = bytes_path(&found.ok_or_else(missing)?);
            return Ok(program);
        }
        // The user names a host file outside of the guest's view: that is a grant.
        let host = std::path::absolute(&program.path)
            .map_err(|source| Error::File { path: program.path.clone(), source })?;
        if !host.is_file() {
            let source = match std::fs::metadata(&host) {
                Err(source) => source,
                Ok(_) => Errno::EACCES.into(),
            };
            return Err(Error::File { path: program.path.clone(), source });
        }
        self.grant_file(&host)?;
        program.path = host;
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
    fn overlay_place(&self, path: &[u8]) -> Option<Place> {
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
            guest: path.to_vec(),
            writable: true,
            directory: false,
        })
    }

    /// Resolves `path` from the canonical directory `base`. `kernel` is needed for what only a
    /// running process has (/proc).
    fn walk(
        &self,
        kernel: Option<&Kernel>,
        base: &[u8],
        path: &[u8],
        follow: bool,
    ) -> Result<Found, Errno> {
        let directory = path.ends_with(b"/") || path.ends_with(b"/.") || path == b".";
        let up = path.split(|&byte| byte == b'/').any(|part| part == b"..");
        let base: &[u8] = if path.starts_with(b"/") { b"" } else { base };
        if !up {
            let joined = normalize(&[base, b"/", path].concat());
            if !self.is_virtual(&joined) {
                match self.probe(&joined, directory) {
                    // A link somewhere on the way.
                    Err(Errno::ELOOP) => {}
                    Ok(Found::Host(place)) if is_link(&place) && (follow || directory) => {}
                    found => return found,
                }
            }
        }
        self.walk_slowly(kernel, base, path, follow || directory, directory)
    }

    fn walk_slowly(
        &self,
        kernel: Option<&Kernel>,
        base: &[u8],
        path: &[u8],
        follow: bool,
        directory: bool,
    ) -> Result<Found, Errno> {
        let mut current = base.to_vec();
        let mut rest: Vec<Vec<u8>> = components(path);
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == b".." {
                current.truncate(parent_len(&current));
                continue;
            }
            let candidate = [&current[..], b"/", &part].concat();
            let last = rest.is_empty();
            let found = if self.is_virtual(&candidate) {
                let node = kernel.and_then(|kernel| proc::lookup(kernel, &candidate));
                Found::Node(node.ok_or(Errno::ENOENT)?, candidate.clone())
            } else {
                self.probe(&candidate, last && directory)?
            };
            let target = match &found {
                Found::Host(place) if is_link(place) => {
                    place.pin.as_ref().map(link_target).transpose()?
                }
                Found::Node(Node::Link(target), _) => Some(target.clone()),
                Found::Node(Node::Fd(fd), _) if last && follow => return Ok(Found::Fd(*fd)),
                Found::Node(Node::Fd(fd), _) if !last => {
                    let path = kernel.and_then(|kernel| kernel.fds.lock().get(*fd).ok()?.path.clone());
                    Some(path.ok_or(Errno::ENOTDIR)?.to_vec())
                }
                _ => None,
            };
            match target {
                Some(target) if !last || follow => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP);
                    }
                    if target.is_empty() {
                        return Err(Errno::ENOENT);
                    }
                    if target.starts_with(b"/") {
                        current.clear();
                    }
                    rest.extend(components(&target));
                }
                _ if last => return Ok(found),
                _ => {
                    if let Found::Host(place) = &found {
                        let pin = place.pin.as_ref().ok_or(Errno::ENOENT)?;
                        if host::fs::stat_fd(pin.as_raw_fd())?.mode & S_IFMT != S_IFDIR {
                            return Err(Errno::ENOTDIR);
                        }
                    }
                    current = candidate;
                }
            }
        }
        if self.is_virtual(&current) {
            let node = kernel.and_then(|kernel| proc::lookup(kernel, &current));
            return Ok(Found::Node(node.ok_or(Errno::ENOENT)?, current));
        }
        self.probe(&current, directory)
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
        Mount { guest, source, writable: self.writable, host }
    }
}

/// The components of a path, last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && part != b".");
    let mut parts: Vec<_> = parts.map(<[u8]>::to_vec).collect();
    parts.reverse();
    parts
}

fn is_link(place: &Place) -> bool {
    place.pin.as_ref().is_some_and(|pin| {
        host::fs::stat_fd(pin.as_raw_fd()).is_ok_and(|stat| stat.mode & S_IFMT == S_IFLNK)
    })
}

pub(crate) fn bytes_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

impl Kernel {
    /// Resolves a path of the guest's.
    pub fn find(&self, dirfd: i32, path: &[u8], follow: bool) -> Result<Found, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if self.view.passthrough {
            return self.find_on_host(dirfd, path, follow);
        }
        let base = match dirfd {
            _ if path.starts_with(b"/") => Vec::new(),
            AT_FDCWD => self.view.cwd.lock().clone(),
            fd => {
                let fds = self.fds.lock();
                fds.get(fd)?.path.as_ref().ok_or(Errno::ENOTDIR)?.to_vec()
            }
        };
        self.view.walk(Some(self), &base, path, follow)
    }

    fn find_on_host(&self, dirfd: i32, path: &[u8], follow: bool) -> Result<Found, Errno> {
        if path.starts_with(b"/proc/") {
            let path = normalize(path);
            match proc::lookup_own(self, &path) {
                Some(Node::Link(target)) if follow => return self.find_on_host(dirfd, &target, follow),
                Some(node) => return Ok(Found::Node(node, path)),
                None => {}
            }
        }
        if let Some(place) = self.view.overlay_place(path) {
            return Ok(Found::Host(place));
        }
        let start = match dirfd {
            AT_FDCWD => host::fs::CURRENT_DIR,
            _ if path.starts_with(b"/") => host::fs::CURRENT_DIR,
            fd => {
                self.fds.lock().get(fd)?;
                fd
            }
        };
        let guest = if path.starts_with(b"/") {
            normalize(path)
        } else {
            normalize(&[&self.view.cwd.lock()[..], b"/", path].concat())
        };
        Ok(Found::Host(Place {
            start: Start::Number(start),
            path: c_string(path)?,
            beneath: false,
            pin: None,
            guest,
            writable: true,
            directory: false,
        }))
    }

    /// The same, for calls that only work on what the host has.
    pub fn find_place(&self, dirfd: i32, path: &[u8], follow: bool) -> Result<Place, Errno> {
        match self.find(dirfd, path, follow)? {
            Found::Host(place) => Ok(place),
            Found::Node(..) | Found::Fd(_) => Err(Errno::EROFS),
        }
    }
}
