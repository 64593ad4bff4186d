//! What is known about files: stat, access, modes, owners, times.

use super::io::checked_fd;
use super::proc::Node;
use super::walk::Found;
use crate::abi::structs::{Reader, Stat, StatFs, Timespec};
use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::host;
use crate::kernel::Kernel;
use std::os::fd::{AsRawFd, RawFd};

fn stat(kernel: &Kernel, dir: i32, path: &[u8], flags: u32) -> Result<Stat, Errno> {
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return stat_empty(kernel, dir);
    }
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    match kernel.find(dir, path, follow)? {
        Found::Host(place) => {
            let directory = place.directory;
            let stat = place.stat(follow)?;
            if directory && stat.mode & S_IFMT != S_IFDIR {
                return Err(Errno::ENOTDIR);
            }
            Ok(stat)
        }
        Found::Fd(fd) => stat_open(kernel, fd),
        Found::Node(node, path) => stat_node(&node, &path),
    }
}

fn stat_empty(kernel: &Kernel, dir: i32) -> Result<Stat, Errno> {
    if dir == AT_FDCWD {
        stat(kernel, dir, b".", 0)
    } else {
        stat_open(kernel, dir)
    }
}

fn stat_open(kernel: &Kernel, fd: i32) -> Result<Stat, Errno> {
    let entry = kernel.fds.lock().get(fd)?.clone();
    if entry.listing.is_some() {
        let path = entry.path.unwrap_or_default();
        return stat_node(&Node::Steps, &path);
    }
    host::fs::stat_fd(fd)
}

fn stat_node(node: &Node, path: &[u8]) -> Result<Stat, Errno> {
    let (mode, size) = match node {
        Node::Directory(_) | Node::Steps => (S_IFDIR | 0o555, 0),
        Node::File(_) => (S_IFREG | 0o444, 0),
        Node::Link(target) => (S_IFLNK | 0o777, target.len() as u64),
        Node::Fd(_) => (S_IFLNK | 0o700, 64),
        Node::Device(name) => return host::fs::stat_at(host::fs::CURRENT_DIR, &text(name)?, true),
        Node::Terminal(name) => {
            return host::fs::stat_at(host::fs::CURRENT_DIR, &text(name)?, true);
        }
    };
    // A number that is the same for the same path and different for different ones, mostly.
    let ino = path.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let [uid, ..] = host::process::user_ids();
    let [gid, ..] = host::process::group_ids();
    Ok(Stat {
        dev: 0x16,
        ino,
        mode,
        nlink: 1,
        uid,
        gid,
        size,
        block_size: 4096,
        ..Stat::default()
    })
}

fn text(name: &str) -> Result<std::ffi::CString, Errno> {
    super::place::c_string(name.as_bytes())
}

pub(crate) fn newfstatat(call: &mut Call) -> SysResult {
    let flags = call.uint(3);
    let path = if call.arg(1) == 0 && flags & AT_EMPTY_PATH != 0 {
        Vec::new()
    } else {
        call.path(1)?
    };
    let stat = stat(&call.kernel, call.int(0), &path, flags)?;
    call.write(call.arg(2), &stat.encode())?;
    Ok(0)
}

pub(crate) fn fstat(call: &mut Call) -> SysResult {
    let stat = stat_open(&call.kernel, call.int(0))?;
    call.write(call.arg(1), &stat.encode())?;
    Ok(0)
}

pub(crate) fn statx(call: &mut Call) -> SysResult {
    let flags = call.uint(2);
    let path = if call.arg(1) == 0 && flags & AT_EMPTY_PATH != 0 {
        Vec::new()
    } else {
        call.path(1)?
    };
    let stat = stat(&call.kernel, call.int(0), &path, flags)?;
    call.write(call.arg(4), &stat.encode_statx())?;
    Ok(0)
}

/// What `statfs` says of /proc and /dev.
fn virtual_fs() -> StatFs {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    StatFs {
        kind: PROC_SUPER_MAGIC,
        block_size: 4096,
        name_max: 255,
        fragment_size: 4096,
        ..StatFs::default()
    }
}

pub(crate) fn statfs(call: &mut Call) -> SysResult {
    let path = call.path(0)?;
    let stat = match call.kernel.find(AT_FDCWD, &path, true)? {
        Found::Host(place) => host::fs::stat_fs(place.pin_target(true)?.as_raw_fd())?,
        Found::Fd(fd) => host::fs::stat_fs(fd)?,
        Found::Node(..) => virtual_fs(),
    };
    call.write(call.arg(1), &stat.encode())?;
    Ok(0)
}

pub(crate) fn fstatfs(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let stat = host::fs::stat_fs(fd)?;
    call.write(call.arg(1), &stat.encode())?;
    Ok(0)
}

pub(crate) fn faccessat(call: &mut Call) -> SysResult {
    access(call, 0)
}
pub(crate) fn faccessat2(call: &mut Call) -> SysResult {
    let flags = call.uint(3);
    access(call, flags)
}

fn access(call: &mut Call, flags: u32) -> SysResult {
    const W_OK: u32 = 2;
    const X_OK: u32 = 1;
    let mode = call.uint(2);
    if mode & !7 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = call.path(1)?;
    let effective = flags & AT_EACCESS != 0;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        host::fs::check_access(checked_fd(call, 0)?, mode, effective)?;
        return Ok(0);
    }
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    match call.kernel.find(call.int(0), &path, follow)? {
        Found::Host(place) => {
            let writable = place.writable;
            let pin = place.pin_target(follow)?;
            if mode != 0 {
                host::fs::check_access(pin.as_raw_fd(), mode, effective)?;
            }
            if mode & W_OK != 0 && !writable {
                return Err(Errno::EROFS.into());
            }
        }
        Found::Fd(fd) => host::fs::check_access(fd, mode, effective)?,
        Found::Node(Node::File(_), _) if mode & (W_OK | X_OK) != 0 => {
            return Err(Errno::EACCES.into());
        }
        Found::Node(..) => {}
    }
    Ok(0)
}

/// A file to be changed, held open: `(file, its flags say it is a link that is not followed)`.
fn changeable(
    call: &Call,
    dir: i32,
    path: &[u8],
    follow: bool,
) -> Result<std::os::fd::OwnedFd, Errno> {
    let place = call.kernel.find_place(dir, path, follow)?;
    let writable = place.writable;
    let pin = place.pin_target(follow)?;
    if writable { Ok(pin) } else { Err(Errno::EROFS) }
}

/// A descriptor whose file the guest may change, beyond its contents. Not what it was started
/// with, nor devices: they are the host's.
fn changeable_fd(call: &Call, n: usize) -> Result<RawFd, Errno> {
    let fd = call.int(n);
    let fds = call.kernel.fds.lock();
    if fds.get(fd)?.writable {
        Ok(fd)
    } else {
        Err(Errno::EROFS)
    }
}

/// Changes a mode. What leads to a folder that is closed to the guest is not opened to others, who
/// could then do there what the guest cannot.
fn set_mode(call: &Call, fd: RawFd, mode: u32) -> SysResult {
    const OTHERS_WRITE: u32 = 0o022;
    if mode & OTHERS_WRITE != 0 && call.kernel.view.guard.fixes(&host::fs::stat_fd(fd)?) {
        return Err(Errno::EPERM.into());
    }
    host::fs::change_mode(fd, mode & 0o7777)?;
    Ok(0)
}

/// Changes an owner, with the same exception.
fn set_owner(call: &Call, fd: RawFd, uid: u32, gid: u32) -> SysResult {
    if call.kernel.view.guard.fixes(&host::fs::stat_fd(fd)?) {
        return Err(Errno::EPERM.into());
    }
    host::fs::change_owner(fd, uid, gid)?;
    Ok(0)
}

pub(crate) fn fchmod(call: &mut Call) -> SysResult {
    set_mode(call, changeable_fd(call, 0)?, call.uint(1))
}
pub(crate) fn fchmodat(call: &mut Call) -> SysResult {
    change_mode(call, true)
}
pub(crate) fn fchmodat2(call: &mut Call) -> SysResult {
    let follow = call.uint(3) & AT_SYMLINK_NOFOLLOW == 0;
    change_mode(call, follow)
}
fn change_mode(call: &mut Call, follow: bool) -> SysResult {
    let path = call.path(1)?;
    let pin = changeable(call, call.int(0), &path, follow)?;
    if host::fs::stat_fd(pin.as_raw_fd())?.mode & S_IFMT == S_IFLNK {
        return Err(Errno::EOPNOTSUPP.into());
    }
    set_mode(call, pin.as_raw_fd(), call.uint(2))
}

pub(crate) fn fchown(call: &mut Call) -> SysResult {
    set_owner(call, changeable_fd(call, 0)?, call.uint(1), call.uint(2))
}
pub(crate) fn fchownat(call: &mut Call) -> SysResult {
    let (uid, gid, flags) = (call.uint(2), call.uint(3), call.uint(4));
    let path = call.path(1)?;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return set_owner(call, changeable_fd(call, 0)?, uid, gid);
    }
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    let pin = changeable(call, call.int(0), &path, follow)?;
    set_owner(call, pin.as_raw_fd(), uid, gid)
}

pub(crate) fn utimensat(call: &mut Call) -> SysResult {
    let times = match call.arg(2) {
        0 => [Some(None), Some(None)],
        at => {
            let raw = call.read::<32>(at)?;
            [time_to_set(&raw[..16])?, time_to_set(&raw[16..])?]
        }
    };
    if call.arg(1) == 0 {
        host::fs::change_times(changeable_fd(call, 0)?, None, times, true)?;
        return Ok(0);
    }
    let path = call.path(1)?;
    let flags = call.uint(3);
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        host::fs::change_times(changeable_fd(call, 0)?, None, times, true)?;
        return Ok(0);
    }
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    match call.kernel.find(call.int(0), &path, follow)? {
        Found::Host(place) => {
            place.check_writable()?;
            if place.beneath && place.path.to_bytes() != b"." {
                // By name: the host can't change the times of a link through a descriptor. The
                // name was found not to be a link unless that is what is wanted.
                let (parent, name) = place.parent()?;
                host::fs::change_times(parent.raw(), Some(&name), times, false)?;
            } else {
                host::fs::change_times(place.start.raw(), Some(&place.path), times, follow)?;
            }
        }
        Found::Fd(fd) => host::fs::change_times(fd, None, times, true)?,
        Found::Node(..) => return Err(Errno::EROFS.into()),
    }
    Ok(0)
}

fn time_to_set(raw: &[u8]) -> Result<Option<Option<Timespec>>, Errno> {
    let time = Timespec {
        seconds: Reader(raw).i64(0),
        nanoseconds: Reader(raw).i64(8),
    };
    match time.nanoseconds {
        UTIME_NOW => Ok(Some(None)),
        UTIME_OMIT => Ok(None),
        0..1_000_000_000 => Ok(Some(Some(time))),
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn umask(call: &mut Call) -> SysResult {
    let new = call.uint(0) & 0o777;
    let old = std::mem::replace(&mut *call.kernel.umask.lock(), new);
    host::fs::set_umask(new);
    Ok(u64::from(old))
}

pub(crate) fn truncate(call: &mut Call) -> SysResult {
    let path = call.path(0)?;
    let place = call.kernel.find_place(AT_FDCWD, &path, true)?;
    if !place.writable {
        place.pin_target(true)?;
        return Err(Errno::EROFS.into());
    }
    let file = place.open(O_WRONLY, 0)?;
    host::io::truncate(file.as_raw_fd(), call.arg(1) as i64)?;
    Ok(0)
}

/// Files have no extended attributes that a guest could see or set.
pub(crate) fn no_attributes(_: &mut Call) -> SysResult {
    Err(Errno::EOPNOTSUPP.into())
}
