//! epoll: the host's instance, with the guest's layout of its events.

use super::fds::{Entry, Kind};
use super::poll::use_mask;
use super::special::adopt;
use crate::abi::structs::{Reader, Timespec, Writer};
use crate::abi::*;
use crate::call::{Call, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::host;

/// `struct epoll_event` is 16 bytes: not packed, unlike x86-64's.
const EVENT: usize = 16;

pub(crate) fn epoll_create1(call: &mut Call) -> SysResult {
    let flags = call.uint(0);
    if flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL.into());
    }
    let fd = host::poll::epoll_create()?;
    let entry = Entry {
        cloexec: flags & O_CLOEXEC != 0,
        ..Entry::new(Kind::Epoll)
    };
    Ok(adopt(call, fd, entry)? as u64)
}

pub(crate) fn epoll_ctl(call: &mut Call) -> SysResult {
    const EPOLL_CTL_DEL: i32 = 2;
    let (epoll, op, fd) = (call.int(0), call.int(1), call.int(2));
    let event = if op == EPOLL_CTL_DEL {
        (0, 0)
    } else {
        let raw = call.read::<EVENT>(call.arg(3))?;
        (Reader(&raw).u32(0), Reader(&raw).u64(8))
    };
    let fds = call.kernel.fds.lock();
    fds.get(epoll)?;
    fds.get(fd)?;
    host::poll::epoll_ctl(epoll, op, fd, event)?;
    Ok(0)
}

pub(crate) fn epoll_pwait(call: &mut Call) -> SysResult {
    let millis = call.int(3);
    let timeout = u64::try_from(millis).ok().map(|millis| millis * 1_000_000);
    wait(call, timeout)
}

pub(crate) fn epoll_pwait2(call: &mut Call) -> SysResult {
    let timeout = match call.arg(3) {
        0 => None,
        at => Some(
            Timespec::decode(&call.read::<16>(at)?)
                .nanos()
                .ok_or(Errno::EINVAL)?,
        ),
    };
    wait(call, timeout)
}

fn wait(call: &mut Call, timeout: Option<u64>) -> SysResult {
    let (epoll, at, max) = (call.int(0), call.arg(1), call.int(2));
    if call.kernel.fds.lock().get(epoll)?.kind != Kind::Epoll || max <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let max = max.min(4096) as usize;
    call.task
        .guest
        .check_writable(at, (max * EVENT) as u64)
        .or_else(|_| call.task.guest.check_writable(at, EVENT as u64))?;
    use_mask(call, call.arg(4), call.arg(5))?;
    let events = host::poll::epoll_now(epoll, max)?;
    let deadline = call.deadline(timeout);
    if events.is_empty() && !call.expired(deadline) {
        let wait = Wait {
            fds: vec![(epoll, POLLIN)],
            deadline,
            ..Wait::default()
        };
        return Err(call.wait(wait, Restart::Never));
    }
    let out = events.iter().fold(Writer::new(), |out, &(events, data)| {
        out.u32(events).u32(0).u64(data)
    });
    call.write(at, &out.0)?;
    Ok(events.len() as u64)
}
