//! Files that are no files: pipes, event counters, timers, memory files, inotify.

use super::fds::{Entry, Kind};
use crate::abi::structs::{Reader, Timespec, Writer};
use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::host;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Gives a number that the host just made to the guest.
pub(crate) fn adopt(call: &Call, fd: i32, entry: Entry) -> Result<i32, Errno> {
    // SAFETY: every caller just got the number from the host and passes it on only here.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    call.kernel.fds.lock().add(fd, entry)
}

pub(crate) fn pipe2(call: &mut Call) -> SysResult {
    let (at, flags) = (call.arg(0), call.uint(1));
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0 {
        return Err(Errno::EINVAL.into());
    }
    call.task.guest.check_writable(at, 8)?;
    let (read, write) = host::io::pipe()?;
    let entry = || Entry {
        cloexec: flags & O_CLOEXEC != 0,
        ..Entry::new(Kind::Stream)
    };
    for end in [read, write] {
        if flags & O_NONBLOCK != 0 {
            host::fds::set_status_flags(end, O_NONBLOCK)?;
        }
    }
    let read = adopt(call, read, entry())?;
    let write = adopt(call, write, entry())?;
    call.write(at, &Writer::new().i32(read).i32(write).0)?;
    Ok(0)
}

fn event_entry(flags: u32) -> Entry {
    let cloexec = flags & O_CLOEXEC != 0;
    Entry {
        cloexec,
        nonblock: flags & O_NONBLOCK != 0,
        ..Entry::new(Kind::Event)
    }
}

pub(crate) fn eventfd2(call: &mut Call) -> SysResult {
    let flags = call.uint(1);
    if flags & !(O_CLOEXEC | O_NONBLOCK | 1) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let fd = host::poll::eventfd(call.uint(0), flags & 1 != 0)?;
    Ok(adopt(call, fd, event_entry(flags))? as u64)
}

pub(crate) fn timerfd_create(call: &mut Call) -> SysResult {
    let realtime = match call.arg(0) {
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM => true,
        CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => false,
        _ => return Err(Errno::EINVAL.into()),
    };
    let fd = host::poll::timerfd(realtime)?;
    Ok(adopt(call, fd, event_entry(call.uint(1)))? as u64)
}

/// `struct itimerspec` from and to nanoseconds: interval, value.
pub(crate) fn decode_itimerspec(bytes: &[u8; 32]) -> Result<(u64, u64), Errno> {
    let one = |at: usize| {
        Timespec::decode(&bytes[at..at + 16])
            .nanos()
            .ok_or(Errno::EINVAL)
    };
    Ok((one(0)?, one(16)?))
}
pub(crate) fn encode_itimerspec((interval, value): (u64, u64)) -> Vec<u8> {
    [
        Timespec::from_nanos(interval).encode(),
        Timespec::from_nanos(value).encode(),
    ]
    .concat()
}

pub(crate) fn timerfd_settime(call: &mut Call) -> SysResult {
    let fd = call.int(0);
    call.kernel.fds.lock().get(fd)?;
    let (interval, value) = decode_itimerspec(&call.read(call.arg(2))?)?;
    let old = host::poll::timerfd_set(fd, call.arg(1) & 1 != 0, interval, value)?;
    if call.arg(3) != 0 {
        call.write(call.arg(3), &encode_itimerspec(old))?;
    }
    Ok(0)
}

pub(crate) fn timerfd_gettime(call: &mut Call) -> SysResult {
    let fd = call.int(0);
    call.kernel.fds.lock().get(fd)?;
    let now = host::poll::timerfd_get(fd)?;
    call.write(call.arg(1), &encode_itimerspec(now))?;
    Ok(0)
}

pub(crate) fn memfd_create(call: &mut Call) -> SysResult {
    let name = call.task.guest.string(call.arg(0), 250, Errno::EINVAL)?;
    let flags = call.uint(1);
    let (cloexec, sealable) = (flags & 1 != 0, flags & 2 != 0);
    let fd = host::fs::memory_file(&super::place::c_string(&name)?, sealable)?;
    let path = [b"/memfd:", &name[..], b" (deleted)"].concat();
    let entry = Entry {
        cloexec,
        ..Entry::at(Kind::Plain, &path)
    };
    Ok(call.kernel.fds.lock().add(fd, entry)? as u64)
}

pub(crate) fn inotify_init1(call: &mut Call) -> SysResult {
    let fd = host::poll::inotify()?;
    Ok(adopt(call, fd, event_entry(call.uint(0)))? as u64)
}

pub(crate) fn inotify_add_watch(call: &mut Call) -> SysResult {
    const IN_DONT_FOLLOW: u32 = 0x0200_0000;
    let fd = super::io::checked_fd(call, 0)?;
    let (path, mask) = (call.path(1)?, call.uint(2));
    let follow = mask & IN_DONT_FOLLOW == 0;
    let place = call.kernel.find_place(AT_FDCWD, &path, follow)?;
    let pin = place.pin_target(follow)?;
    // Through the file held open, so that the host resolves nothing of the guest's path.
    Ok(host::poll::inotify_add(fd, pin.as_raw_fd(), mask & !IN_DONT_FOLLOW)? as u64)
}

pub(crate) fn inotify_rm_watch(call: &mut Call) -> SysResult {
    let fd = super::io::checked_fd(call, 0)?;
    host::poll::inotify_remove(fd, call.int(1))?;
    Ok(0)
}

/// Two signed numbers at an address: a pair of file offsets, a pair of descriptors...
pub(crate) fn optional_offset(call: &Call, n: usize) -> Result<Option<u64>, Errno> {
    match call.arg(n) {
        0 => Ok(None),
        at => {
            let offset = Reader(&call.read::<8>(at)?).i64(0);
            u64::try_from(offset).map(Some).map_err(|_| Errno::EINVAL)
        }
    }
}
