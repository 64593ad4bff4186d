//! Directories and names: getdents64, mkdirat, renameat, links, chdir.

use super::fds::Entry;
use super::place::c_string;
use super::proc::Node;
use super::walk::Found;
use crate::abi::structs::Writer;
use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::host;
use std::os::fd::AsRawFd;

pub(crate) fn getdents64(call: &mut Call) -> SysResult {
    let fd = call.int(0);
    let (at, room) = (call.arg(1), call.arg(2).min(64 << 10) as usize);
    let entry = call.kernel.fds.lock().get(fd)?.clone();
    call.task.guest.check_writable(at, room as u64)?;
    let bytes = match entry {
        Entry {
            listing: Some(listing),
            ..
        } => {
            let mut listing = listing.lock().map_err(|_| Errno::EIO)?;
            let mut bytes = Vec::new();
            while let Some((name, kind)) = listing.entries.get(listing.position).cloned() {
                let next = listing.position as u64 + 1;
                let record = record(next, next, kind, &name);
                if bytes.len() + record.len() > room {
                    if bytes.is_empty() {
                        return Err(Errno::EINVAL.into());
                    }
                    break;
                }
                bytes.extend(record);
                listing.position += 1;
            }
            bytes
        }
        _ => {
            let entries = host::fs::read_dir(fd, room)?;
            entries
                .iter()
                .flat_map(|e| record(e.ino, e.next, e.kind, &e.name))
                .collect()
        }
    };
    call.write(at, &bytes)?;
    Ok(bytes.len() as u64)
}

/// `struct linux_dirent64`, a multiple of 8 bytes.
fn record(ino: u64, next: u64, kind: u8, name: &[u8]) -> Vec<u8> {
    let size = (19 + name.len() + 1).next_multiple_of(8);
    Writer::new()
        .u64(ino)
        .u64(next)
        .u16(size as u16)
        .u8(kind)
        .bytes(name)
        .pad_to(size)
        .0
}

pub(crate) fn mkdirat(call: &mut Call) -> SysResult {
    let path = call.path(1)?;
    let place = match call.kernel.find(call.int(0), &path, false)? {
        Found::Host(place) => place,
        Found::Node(..) | Found::Fd(_) => return Err(Errno::EEXIST.into()),
    };
    if place.pin.is_some() {
        return Err(Errno::EEXIST.into());
    }
    let (parent, name) = place.parent()?;
    place.check_name()?;
    host::fs::make_dir(parent.raw(), &name, call.uint(2) & 0o7777)?;
    Ok(0)
}

pub(crate) fn mknodat(call: &mut Call) -> SysResult {
    let path = call.path(1)?;
    let mode = call.uint(2);
    let place = call.kernel.find_place(call.int(0), &path, false)?;
    if place.pin.is_some() {
        return Err(Errno::EEXIST.into());
    }
    place.check_name()?;
    match mode & S_IFMT {
        S_IFIFO => {
            let (parent, name) = place.parent()?;
            host::fs::make_fifo(parent.raw(), &name, mode)?;
        }
        0 | S_IFREG => drop(place.open(O_CREAT | O_EXCL | O_WRONLY, mode)?),
        _ => return Err(Errno::EPERM.into()),
    }
    Ok(0)
}

pub(crate) fn unlinkat(call: &mut Call) -> SysResult {
    let path = call.path(1)?;
    let directory = call.uint(2) & AT_REMOVEDIR != 0;
    let place = call
        .kernel
        .find_place(call.int(0), trimmed(&path, directory), false)?;
    let (parent, name) = place.parent()?;
    if place.beneath && place.pin.is_none() {
        return Err(Errno::ENOENT.into());
    }
    place.check_name()?;
    host::fs::unlink(parent.raw(), &name, directory)?;
    Ok(0)
}

/// A directory may be named with a slash at its end, and then is not meant to be followed.
fn trimmed(path: &[u8], directory: bool) -> &[u8] {
    let mut path = path;
    while directory && path.len() > 1 && path.ends_with(b"/") {
        path = &path[..path.len() - 1];
    }
    path
}

pub(crate) fn renameat(call: &mut Call) -> SysResult {
    rename(call, 0)
}
pub(crate) fn renameat2(call: &mut Call) -> SysResult {
    let flags = call.uint(4);
    if flags & !3 != 0 {
        return Err(Errno::EINVAL.into());
    }
    rename(call, flags)
}
fn rename(call: &mut Call, flags: u32) -> SysResult {
    let (from, to) = (call.path(1)?, call.path(3)?);
    let from = call
        .kernel
        .find_place(call.int(0), trimmed(&from, true), false)?;
    let to = call
        .kernel
        .find_place(call.int(2), trimmed(&to, true), false)?;
    if from.beneath && from.pin.is_none() {
        return Err(Errno::ENOENT.into());
    }
    let (from_parent, from_name) = from.parent()?;
    let (to_parent, to_name) = to.parent()?;
    from.check_name()?;
    to.check_name()?;
    host::fs::rename(
        (from_parent.raw(), &from_name),
        (to_parent.raw(), &to_name),
        flags,
    )?;
    Ok(0)
}

pub(crate) fn linkat(call: &mut Call) -> SysResult {
    let (from, to) = (call.path(1)?, call.path(3)?);
    let flags = call.uint(4);
    let to = call.kernel.find_place(call.int(2), &to, false)?;
    if to.pin.is_some() {
        return Err(Errno::EEXIST.into());
    }
    to.check_name()?;
    let (to_parent, to_name) = to.parent()?;
    let to = (to_parent.raw(), &*to_name);
    if from.is_empty() && flags & AT_EMPTY_PATH != 0 {
        host::fs::link_fd(super::io::checked_fd(call, 0)?, to)?;
        return Ok(0);
    }
    let follow = flags & AT_SYMLINK_FOLLOW != 0;
    match call.kernel.find(call.int(0), &from, follow)? {
        Found::Host(from) => {
            // A second name in a writable place would make a read-only file writable.
            from.check_writable()?;
            let (from_parent, from_name) = from.parent()?;
            host::fs::link((from_parent.raw(), &from_name), to, follow && !from.beneath)?;
        }
        Found::Fd(fd) => host::fs::link_fd(fd, to)?,
        Found::Node(..) => return Err(Errno::EXDEV.into()),
    }
    Ok(0)
}

pub(crate) fn symlinkat(call: &mut Call) -> SysResult {
    let target = call.path(0)?;
    let path = call.path(2)?;
    if target.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    let place = call.kernel.find_place(call.int(1), &path, false)?;
    if place.pin.is_some() {
        return Err(Errno::EEXIST.into());
    }
    place.check_name()?;
    let (parent, name) = place.parent()?;
    host::fs::symlink(&c_string(&target)?, parent.raw(), &name)?;
    Ok(0)
}

pub(crate) fn readlinkat(call: &mut Call) -> SysResult {
    let path = call.path(1)?;
    let (at, room) = (call.arg(2), call.arg(3));
    if room == 0 || room > i64::MAX as u64 {
        return Err(Errno::EINVAL.into());
    }
    let target = if path.is_empty() {
        host::fs::read_link(super::io::checked_fd(call, 0)?, c"")?
    } else {
        match call.kernel.find(call.int(0), &path, false)? {
            Found::Host(place) if place.pin.is_some() && place.beneath => {
                let pin = place.pin()?;
                // An empty path on something that is no link is ENOENT on the host.
                super::place::link_target(&pin).map_err(|errno| match errno {
                    Errno::ENOENT => Errno::EINVAL,
                    errno => errno,
                })?
            }
            Found::Host(place) => host::fs::read_link(place.start.raw(), &place.path)?,
            Found::Node(Node::Link(target), _) => target,
            Found::Node(Node::Fd(fd), _) => target_of_fd(call, fd)?,
            Found::Node(..) | Found::Fd(_) => return Err(Errno::EINVAL.into()),
        }
    };
    let len = target.len().min(room.min(4096) as usize);
    call.write(at, &target[..len])?;
    Ok(len as u64)
}

/// What /proc/self/fd/N says: the guest's path, or the host's name for what has none.
fn target_of_fd(call: &Call, fd: i32) -> Result<Vec<u8>, Errno> {
    if let Some(path) = &call.kernel.fds.lock().get(fd)?.path {
        return Ok(if path.is_empty() {
            b"/".to_vec()
        } else {
            path.to_vec()
        });
    }
    let target = host::fs::read_link(host::fs::CURRENT_DIR, &host::fs::fd_path(fd))?;
    // Of host files only the kind is told, unless they are a terminal, which the guest has anyway.
    let hidden = target.starts_with(b"/") && !target.starts_with(b"/dev/");
    Ok(if hidden && !call.kernel.view.passthrough {
        b"/inherited".to_vec()
    } else {
        target
    })
}

pub(crate) fn getcwd(call: &mut Call) -> SysResult {
    let mut path = call.kernel.view.cwd.lock().clone();
    if path.is_empty() {
        path.push(b'/');
    }
    path.push(0);
    if (call.arg(1) as usize) < path.len() {
        return Err(Errno::ERANGE.into());
    }
    call.write(call.arg(0), &path)?;
    Ok(path.len() as u64)
}

pub(crate) fn chdir(call: &mut Call) -> SysResult {
    const X_OK: u32 = 1;
    let path = call.path(0)?;
    let guest = match call.kernel.find(AT_FDCWD, &path, true)? {
        Found::Host(place) => {
            let guest = place.guest.clone();
            let beneath = place.beneath;
            let directory = place.pin_target(true)?;
            if host::fs::stat_fd(directory.as_raw_fd())?.mode & S_IFMT != S_IFDIR {
                return Err(Errno::ENOTDIR.into());
            }
            host::fs::check_access(directory.as_raw_fd(), X_OK, true)?;
            if beneath {
                guest
            } else {
                // Without isolation the host's current directory is the guest's.
                host::fs::change_dir(directory.as_raw_fd())?;
                host_cwd(guest)
            }
        }
        Found::Node(Node::Directory(_) | Node::Steps, path) => path,
        Found::Fd(fd) => call
            .kernel
            .fds
            .lock()
            .get(fd)?
            .path
            .as_ref()
            .ok_or(Errno::ENOTDIR)?
            .to_vec(),
        Found::Node(..) => return Err(Errno::ENOTDIR.into()),
    };
    *call.kernel.view.cwd.lock() = guest;
    Ok(0)
}

fn host_cwd(fallback: Vec<u8>) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    std::env::current_dir().map_or(fallback, |path| path.as_os_str().as_bytes().to_vec())
}

pub(crate) fn fchdir(call: &mut Call) -> SysResult {
    let fd = call.int(0);
    let entry = call.kernel.fds.lock().get(fd)?.clone();
    let path = entry.path.ok_or(Errno::ENOTDIR)?.to_vec();
    if entry.listing.is_none() {
        if host::fs::stat_fd(fd)?.mode & S_IFMT != S_IFDIR {
            return Err(Errno::ENOTDIR.into());
        }
        if call.kernel.view.passthrough {
            host::fs::change_dir(fd)?;
            *call.kernel.view.cwd.lock() = host_cwd(path);
            return Ok(0);
        }
    }
    *call.kernel.view.cwd.lock() = path;
    Ok(0)
}
