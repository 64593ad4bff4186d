//! How a path is resolved in the guest's tree.
//!
//! Nothing here trusts a path: components are looked up one by one without following symbolic
//! links on the host's behalf; links are resolved in the guest's tree; the last step happens
//! beneath a granted directory, which the host enforces (`host::fs::open_beneath`).

use super::place::{Place, Start, c_string, link_target, split};
use super::proc::{self, Node};
use super::view::{Located, View};
use crate::abi::*;
use crate::errno::Errno;
use crate::host;
use crate::kernel::Kernel;
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
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

pub(crate) fn parent_len(path: &[u8]) -> usize {
    path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)
}

/// Whether `path` is `directory` or lies in it.
pub(crate) fn is_within(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

impl View {
    /// A canonical path on the host, not followed if it is a link. A missing file in a directory
    /// that exists comes as a place without a pin.
    fn probe(&self, path: &[u8], directory: bool) -> Result<Found, Errno> {
        let held = match self.locate(path) {
            Some(at) => self.hold(at, path, directory),
            None => Err(Errno::ENOENT),
        };
        match held {
            Ok(Place { pin: None, .. }) | Err(Errno::ENOENT | Errno::ENOTDIR)
                if self.is_on_the_way(path) =>
            {
                Ok(Found::Node(Node::Steps, path.to_vec()))
            }
            held => held.map(Found::Host),
        }
    }

    /// What lies at a place, held open.
    fn hold(&self, at: Located, guest: &[u8], directory: bool) -> Result<Place, Errno> {
        let Located {
            mut start,
            mut inside,
            writable,
            watched,
        } = at;
        let mut fixed = false;
        if let Some(watched) = &watched {
            let host = watched.join(OsStr::from_bytes(inside.to_bytes()));
            if self.guard.closes_path(&host) {
                return Err(Errno::EACCES);
            }
            fixed = self.guard.fixes_path(&host);
            // What is done later is done in the directory that was looked at, wherever another of
            // the guest's threads moves it, or what else it gives the name.
            if let Some((parent, name)) = split(&inside)? {
                let parent = host::fs::open_beneath(start.raw(), &parent, O_PATH, 0)?;
                let stat = host::fs::stat_fd(parent.as_raw_fd())?;
                match stat.mode & S_IFMT {
                    S_IFDIR if self.guard.closes(&stat) => return Err(Errno::EACCES),
                    S_IFDIR => {}
                    S_IFLNK => return Err(Errno::ELOOP),
                    _ => return Err(Errno::ENOTDIR),
                }
                (start, inside) = (Start::Granted(Arc::new(parent)), name);
            }
        }
        let flags = O_PATH | O_NOFOLLOW;
        let pin = match host::fs::open_beneath(start.raw(), &inside, flags, 0) {
            Err(Errno::ENOENT) => None,
            pin => Some(pin?),
        };
        let stat = pin.as_ref().map(|pin| host::fs::stat_fd(pin.as_raw_fd()));
        let stat = stat.transpose()?;
        if let (Some(stat), Some(_)) = (&stat, &watched) {
            if self.guard.closes(stat) {
                return Err(Errno::EACCES);
            }
            fixed |= self.guard.fixes(stat);
        }
        Ok(Place {
            stat,
            start,
            path: inside,
            beneath: true,
            pin,
            guest: guest.to_vec(),
            writable,
            fixed,
            directory,
        })
    }

    /// Resolves `path` from the canonical directory `base`. `kernel` is needed for what only a
    /// running process has (/proc).
    pub fn walk(
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
                    Err(Errno::ELOOP) => {
                        return self.walk_links(kernel, &joined, follow || directory, directory);
                    }
                    Ok(Found::Host(place)) if is_link(&place) && (follow || directory) => {}
                    found => return found,
                }
            }
        }
        self.walk_slowly(kernel, base, path, follow || directory, directory)
            .map(|walked| walked.0)
    }

    /// Resolves a path with a link in one of its directories. Where that leads is remembered if
    /// the guest cannot change it: `/lib` and `/bin` are such links, and used all the time.
    fn walk_links(
        &self,
        kernel: Option<&Kernel>,
        path: &[u8],
        follow: bool,
        directory: bool,
    ) -> Result<Found, Errno> {
        const MOST: usize = 1024;
        let (folder, name) = path.split_at(parent_len(path));
        let known = self.folders.lock().get(folder).cloned();
        if let Some(known) = known {
            match self.probe(&[&known, name].concat(), directory) {
                Err(Errno::ELOOP) => {}
                Ok(Found::Host(place)) if is_link(&place) && follow => {}
                found => return found,
            }
        }
        let (found, fixed) = self.walk_slowly(kernel, b"", path, follow, directory)?;
        if let Found::Host(place) = &found
            && let Some(folder_found) = place.guest.strip_suffix(name)
            && fixed
        {
            let mut folders = self.folders.lock();
            if folders.len() < MOST {
                folders.insert(folder.to_vec(), folder_found.to_vec());
            }
        }
        Ok(found)
    }

    /// The same, component by component. Also whether all that was met on the way is the host's and
    /// not the guest's to change.
    fn walk_slowly(
        &self,
        kernel: Option<&Kernel>,
        base: &[u8],
        path: &[u8],
        follow: bool,
        directory: bool,
    ) -> Result<(Found, bool), Errno> {
        let mut fixed = true;
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
            fixed &= matches!(&found, Found::Host(place) if !place.writable);
            let target = match &found {
                Found::Host(place) if is_link(place) => {
                    place.pin.as_ref().map(link_target).transpose()?
                }
                Found::Node(Node::Link(target), _) => Some(target.clone()),
                Found::Node(Node::Fd(fd), _) if last && follow => {
                    return Ok((Found::Fd(*fd), false));
                }
                Found::Node(Node::Fd(fd), _) if !last => {
                    let path =
                        kernel.and_then(|kernel| kernel.fds.lock().get(*fd).ok()?.path.clone());
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
                _ if last => return Ok((found, fixed)),
                _ => {
                    if let Found::Host(place) = &found {
                        if place.pin.is_none() {
                            return Err(Errno::ENOENT);
                        }
                        if !place.is(S_IFDIR) {
                            return Err(Errno::ENOTDIR);
                        }
                    }
                    current = candidate;
                }
            }
        }
        if self.is_virtual(&current) {
            let node = kernel.and_then(|kernel| proc::lookup(kernel, &current));
            return Ok((Found::Node(node.ok_or(Errno::ENOENT)?, current), false));
        }
        self.probe(&current, directory).map(|found| (found, false))
    }
}

/// The components of a path, last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty() && part != b".");
    let mut parts: Vec<_> = parts.map(<[u8]>::to_vec).collect();
    parts.reverse();
    parts
}

fn is_link(place: &Place) -> bool {
    place.is(S_IFLNK)
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
                Some(Node::Link(target)) if follow => {
                    return self.find_on_host(dirfd, &target, follow);
                }
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
            stat: None,
            guest,
            writable: true,
            fixed: false,
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
