//! Opening, closing and duplicating: openat, close, dup, fcntl.

use super::fds::{Entry, Kind, kind_of};
use super::proc::{Listing, Node};
use super::walk::Found;
use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::host;
use crate::kernel::Kernel;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};

pub(crate) fn openat(call: &mut Call) -> SysResult {
    let path = call.path(1)?;
    Ok(open(&call.kernel, call.int(0), &path, call.uint(2), call.uint(3))? as u64)
}

pub(crate) fn open(
    kernel: &Kernel,
    dir: i32,
    path: &[u8],
    flags: u32,
    mode: u32,
) -> Result<i32, Errno> {
    let exclusive = flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
    let follow = flags & O_NOFOLLOW == 0 && !exclusive;
    let (fd, entry) = match kernel.find(dir, path, follow)? {
        Found::Host(mut place) => {
            let temporary = flags & O_TMPFILE == O_TMPFILE;
            let missing = place.beneath && place.pin.is_none();
            let creates = temporary || flags & O_CREAT != 0 && (missing || !place.beneath);
            let writes = flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0;
            let changes = (creates || writes) && flags & O_PATH != O_PATH;
            // A device or pipe on a read-only file system may be written to.
            if changes && !place.writable && !is_special(&place)? {
                return Err(if missing && !creates {
                    Errno::ENOENT
                } else {
                    Errno::EROFS
                });
            }
            if changes && creates && !temporary {
                place.check_name()?;
            }
            place.vacate();
            let fd = place.open(flags, mode)?;
            let mut entry = Entry::at(kind_of(fd.as_raw_fd()), &place.guest);
            entry.writable = place.writable;
            (fd, entry)
        }
        Found::Fd(number) => reopen(kernel, number, flags)?,
        Found::Node(node, path) => open_node(&node, &path, flags, kernel)?,
    };
    let mut entry = entry;
    entry.cloexec = flags & O_CLOEXEC != 0;
    kernel.fds.lock().add(fd, entry)
}

fn is_special(place: &super::place::Place) -> Result<bool, Errno> {
    let Some(pin) = &place.pin else {
        return Ok(false);
    };
    let kind = host::fs::stat_fd(pin.as_raw_fd())?.mode & S_IFMT;
    Ok(matches!(kind, S_IFCHR | S_IFIFO | S_IFSOCK))
}

/// Opens what a descriptor refers to anew, with other flags.
fn reopen(kernel: &Kernel, number: i32, flags: u32) -> Result<(OwnedFd, Entry), Errno> {
    let entry = kernel.fds.lock().get(number)?.clone();
    if !entry.writable && entry.kind == Kind::Plain {
        // With no more than it was opened with.
        let has = host::fds::status_flags(number)? & O_ACCMODE;
        let wants = flags & O_ACCMODE;
        let wants = if flags & O_TRUNC != 0 && wants == O_RDONLY {
            O_WRONLY
        } else {
            wants
        };
        if has != O_RDWR && wants != has {
            return Err(if has == O_RDONLY {
                Errno::EROFS
            } else {
                Errno::EACCES
            });
        }
    }
    let path = host::fs::fd_path(number);
    let fd = host::fs::open_at(host::fs::CURRENT_DIR, &path, flags & !O_NOFOLLOW, 0)?;
    Ok((
        fd,
        Entry {
            nonblock: false,
            ..entry
        },
    ))
}

fn open_node(
    node: &Node,
    path: &[u8],
    flags: u32,
    kernel: &Kernel,
) -> Result<(OwnedFd, Entry), Errno> {
    if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
        return Err(Errno::EEXIST);
    }
    let writes = flags & O_ACCMODE != O_RDONLY;
    if flags & O_DIRECTORY != 0 && !matches!(node, Node::Directory(_) | Node::Steps) {
        return Err(Errno::ENOTDIR);
    }
    let here = host::fs::CURRENT_DIR;
    let device = |name: &str| {
        let name = super::place::c_string(name.as_bytes())?;
        let fd = host::fs::open_at(here, &name, flags & !(O_CREAT | O_TRUNC), 0)?;
        let mut entry = Entry::at(Kind::Stream, path);
        entry.writable = kernel.view.passthrough;
        Ok((fd, entry))
    };
    match node {
        Node::Directory(entries) => directory(entries.clone(), path, writes),
        Node::Steps => {
            let names = kernel.view.steps_in(path).into_iter();
            directory(names.map(|name| (name, DT_DIR)).collect(), path, writes)
        }
        Node::File(content) => {
            let fd = host::fs::memory_file(c"proc", false)?;
            host::io::transfer(
                fd.as_raw_fd(),
                host::io::Transfer::Write(content),
                host::io::At::Offset(0),
            )?;
            Ok((fd, Entry::at(Kind::Plain, path)))
        }
        Node::Link(_) => Err(Errno::ELOOP),
        Node::Fd(_) => Err(Errno::ELOOP),
        Node::Device(name) => device(name),
        Node::Terminal(name) => device(name),
    }
}

fn directory(
    mut entries: Vec<(Vec<u8>, u8)>,
    path: &[u8],
    writes: bool,
) -> Result<(OwnedFd, Entry), Errno> {
    if writes {
        return Err(Errno::EISDIR);
    }
    entries.insert(0, (b"..".to_vec(), DT_DIR));
    entries.insert(0, (b".".to_vec(), DT_DIR));
    // A number of the host's is needed; what it refers to is never used.
    let fd = host::fs::memory_file(c"directory", false)?;
    let mut entry = Entry::at(Kind::Plain, path);
    entry.listing = Some(Arc::new(Mutex::new(Listing {
        entries,
        position: 0,
    })));
    Ok((fd, entry))
}

/// openat2 is optional: programs fall back to openat.
pub(crate) fn openat2(_: &mut Call) -> SysResult {
    Err(Errno::ENOSYS.into())
}

pub(crate) fn close(call: &mut Call) -> SysResult {
    close_fd(&call.kernel, call.int(0))?;
    Ok(0)
}

pub(crate) fn close_fd(kernel: &Kernel, fd: i32) -> Result<(), Errno> {
    // The number stays taken until the host has freed it, or another thread could be given it in
    // between and lose it.
    let mut fds = kernel.fds.lock();
    fds.remove(fd)?;
    host::fds::close(fd)
}

pub(crate) fn close_range(call: &mut Call) -> SysResult {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    let (first, last, flags) = (call.uint(0), call.uint(1), call.uint(2));
    if first > last || flags & !(2 | CLOSE_RANGE_CLOEXEC) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let clamp = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let mut fds = call.kernel.fds.lock();
    for fd in fds.numbers(clamp(first)..=clamp(last)) {
        if flags & CLOSE_RANGE_CLOEXEC != 0 {
            fds.get_mut(fd)?.cloexec = true;
        } else {
            fds.remove(fd)?;
            // Whatever the host says, the number is free afterwards.
            let _ = host::fds::close(fd);
        }
    }
    Ok(0)
}

pub(crate) fn dup(call: &mut Call) -> SysResult {
    Ok(duplicate(&call.kernel, call.int(0), 0, false)? as u64)
}

fn duplicate(kernel: &Kernel, fd: i32, at_least: i32, cloexec: bool) -> Result<i32, Errno> {
    let limit = host::fds::guest_fd_limit();
    let mut fds = kernel.fds.lock();
    let entry = Entry {
        cloexec,
        ..fds.get(fd)?.clone()
    };
    if !(0..limit).contains(&at_least) {
        return Err(Errno::EINVAL);
    }
    let new = host::fds::duplicate_from(fd, at_least)?;
    if new >= limit {
        // It is not the guest's; nothing refers to it yet.
        let _ = host::fds::close(new);
        return Err(Errno::EMFILE);
    }
    fds.insert(new, entry);
    Ok(new)
}

pub(crate) fn dup3(call: &mut Call) -> SysResult {
    let (from, to, flags) = (call.int(0), call.int(1), call.uint(2));
    if from == to || flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut fds = call.kernel.fds.lock();
    let entry = Entry {
        cloexec: flags & O_CLOEXEC != 0,
        ..fds.get(from)?.clone()
    };
    if !(0..host::fds::guest_fd_limit()).contains(&to) {
        return Err(Errno::EBADF.into());
    }
    if !fds.may_replace(to) {
        // One of the emulator's own files has this number.
        return Err(Errno::EBADF.into());
    }
    host::fds::duplicate_to(from, to)?;
    fds.insert(to, entry);
    Ok(to as u64)
}

pub(crate) fn fcntl(call: &mut Call) -> SysResult {
    let (fd, command, argument) = (call.int(0), call.uint(1), call.arg(2));
    let kernel = call.kernel.clone();
    let entry = kernel.fds.lock().get(fd)?.clone();
    Ok(match command {
        F_DUPFD => duplicate(&kernel, fd, argument as i32, false)? as u64,
        F_DUPFD_CLOEXEC => duplicate(&kernel, fd, argument as i32, true)? as u64,
        F_GETFD => u64::from(entry.cloexec),
        F_SETFD => {
            let cloexec = argument as u32 & FD_CLOEXEC != 0;
            kernel.fds.lock().get_mut(fd)?.cloexec = cloexec;
            0
        }
        F_GETFL => {
            let mut flags = host::fds::status_flags(fd)? & !O_CLOEXEC;
            if matches!(entry.kind, Kind::Event) {
                flags = flags & !O_NONBLOCK | if entry.nonblock { O_NONBLOCK } else { 0 };
            }
            // Files are opened with O_NOFOLLOW on the host, whatever the guest asked for.
            u64::from(flags & !O_NOFOLLOW)
        }
        F_SETFL => {
            let flags = argument as u32;
            set_nonblock(&kernel, fd, flags & O_NONBLOCK != 0)?;
            if entry.kind != Kind::Event {
                host::fds::set_status_flags(fd, flags)?;
            }
            0
        }
        F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => {
            return super::lock::record_lock(call);
        }
        F_SETPIPE_SZ | F_GETPIPE_SZ | F_ADD_SEALS | F_GET_SEALS | F_SETOWN | F_GETOWN => {
            host::fds::control(fd, command, argument)?
        }
        _ => return Err(Errno::EINVAL.into()),
    })
}

/// Sets or clears O_NONBLOCK.
pub(crate) fn set_nonblock(kernel: &Kernel, fd: i32, on: bool) -> Result<(), Errno> {
    let mut fds = kernel.fds.lock();
    let entry = fds.get_mut(fd)?;
    entry.nonblock = on;
    if entry.kind != Kind::Event {
        let flags = host::fds::status_flags(fd)?;
        let flags = if on {
            flags | O_NONBLOCK
        } else {
            flags & !O_NONBLOCK
        };
        host::fds::set_status_flags(fd, flags)?;
    }
    Ok(())
}
