//! Sockets. Pairs of local sockets always work; everything else only if the network is allowed,
//! else it is EACCES.

use crate::abi::structs::Reader;
use crate::abi::*;
use crate::call::{Call, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::fs::fds::{Entry, Kind};
use crate::fs::io::checked_fd;
use crate::fs::special::adopt;
use crate::host;

/// The longest address.
pub(crate) const ADDRESS: usize = 128;
pub(crate) const SOL_SOCKET: i32 = 1;

fn allowed(call: &Call, domain: u32) -> Result<(), Errno> {
    match domain {
        _ if call.kernel.config.network || call.kernel.view.passthrough => Ok(()),
        // A local socket without a name reaches nobody; naming it is refused later.
        AF_UNIX => Ok(()),
        _ => Err(Errno::EACCES),
    }
}

fn entry(kind: u32) -> Entry {
    Entry {
        cloexec: kind & SOCK_CLOEXEC != 0,
        ..Entry::new(Kind::Stream)
    }
}

/// Type and flags, both of which Linux hosts number alike.
fn host_kind(kind: u32) -> Result<u32, Errno> {
    if kind & !(SOCK_TYPE_MASK | SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(kind & (SOCK_TYPE_MASK | SOCK_NONBLOCK))
}

pub(crate) fn socket(call: &mut Call) -> SysResult {
    let (domain, kind) = (call.uint(0), call.uint(1));
    allowed(call, domain)?;
    let fd = host::net::socket(domain, host_kind(kind)?, call.uint(2))?;
    Ok(adopt(call, fd, entry(kind))? as u64)
}

pub(crate) fn socketpair(call: &mut Call) -> SysResult {
    let kind = call.uint(1);
    call.task.guest.check_writable(call.arg(3), 8)?;
    let (first, second) = host::net::pair(call.uint(0), host_kind(kind)?, call.uint(2))?;
    let first = adopt(call, first, entry(kind))?;
    let second = adopt(call, second, entry(kind))?;
    call.write(call.arg(3), &crate::fs::poll::pair(first, second))?;
    Ok(0)
}

/// An address argument. Local names are paths of the host's: only without isolation, or with the
/// network allowed.
pub(crate) fn address(call: &Call, at: u64, len: u64) -> Result<Vec<u8>, Errno> {
    if len as usize > ADDRESS {
        return Err(Errno::EINVAL);
    }
    let raw = call.task.guest.read_vec(at, len as usize)?;
    let family = u32::from(Reader(&raw).u16(0));
    if family == AF_UNIX && !call.kernel.view.passthrough {
        let abstract_name = raw.get(2).is_none_or(|&byte| byte == 0);
        if !(abstract_name && call.kernel.config.network) {
            return Err(Errno::EACCES);
        }
    }
    Ok(raw)
}

pub(crate) fn bind(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    host::net::bind(fd, &address(call, call.arg(1), call.arg(2))?)?;
    Ok(0)
}

pub(crate) fn connect(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let to = address(call, call.arg(1), call.arg(2))?;
    let nonblock = host::fds::status_flags(fd)? & O_NONBLOCK != 0;
    if call.task.pending.progress == 0 {
        if nonblock {
            host::net::connect(fd, &to)?;
            return Ok(0);
        }
        // Begun without waiting, then waited for.
        let flags = host::fds::status_flags(fd)?;
        host::fds::set_status_flags(fd, flags | O_NONBLOCK)?;
        let result = host::net::connect(fd, &to);
        host::fds::set_status_flags(fd, flags)?;
        match result {
            Err(Errno::EINPROGRESS | Errno::EAGAIN) => call.task.pending.progress = 1,
            result => return Ok(result.map(|()| 0)?),
        }
    }
    if host::poll::poll_now(&[(fd, POLLOUT)])?[0] == 0 {
        return Err(call.wait(Wait::fd(fd, POLLOUT), Restart::IfAsked));
    }
    const SO_ERROR: i32 = 4;
    let error = host::net::option(fd, SOL_SOCKET, SO_ERROR, 4)?;
    match Reader(&error).u16(0) {
        0 => Ok(0),
        number => Err(Errno(number).into()),
    }
}

pub(crate) fn listen(call: &mut Call) -> SysResult {
    host::net::listen(checked_fd(call, 0)?, call.int(1))?;
    Ok(0)
}

pub(crate) fn shutdown(call: &mut Call) -> SysResult {
    host::net::shutdown(checked_fd(call, 0)?, call.int(1))?;
    Ok(0)
}

/// Writes an address where the guest wants it, cut to the room there is; the length is the whole.
pub(crate) fn put_address(
    call: &mut Call,
    at: u64,
    len_at: u64,
    address: &[u8],
) -> Result<(), Errno> {
    if at == 0 || len_at == 0 {
        return Ok(());
    }
    let room = call.task.guest.read_u32(len_at)? as usize;
    call.write(at, &address[..address.len().min(room)])?;
    call.write(len_at, &(address.len() as u32).to_le_bytes())
}

pub(crate) fn accept(call: &mut Call) -> SysResult {
    accept_with(call, 0)
}
pub(crate) fn accept4(call: &mut Call) -> SysResult {
    let flags = call.uint(3);
    accept_with(call, flags)
}
fn accept_with(call: &mut Call, flags: u32) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let nonblock = host::fds::status_flags(fd)? & O_NONBLOCK != 0;
    if !nonblock && host::poll::poll_now(&[(fd, POLLIN)])?[0] == 0 {
        return Err(call.wait(Wait::fd(fd, POLLIN), Restart::IfAsked));
    }
    let (new, address) = host::net::accept(fd, flags & SOCK_NONBLOCK)?;
    let new = adopt(call, new, entry(flags))?;
    put_address(call, call.arg(1), call.arg(2), &address)?;
    Ok(new as u64)
}

pub(crate) fn getsockname(call: &mut Call) -> SysResult {
    let address = host::net::own_name(checked_fd(call, 0)?)?;
    put_address(call, call.arg(1), call.arg(2), &address)?;
    Ok(0)
}
pub(crate) fn getpeername(call: &mut Call) -> SysResult {
    let address = host::net::peer_name(checked_fd(call, 0)?)?;
    put_address(call, call.arg(1), call.arg(2), &address)?;
    Ok(0)
}

pub(crate) fn getsockopt(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let room = call.task.guest.read_u32(call.arg(4))?.min(4096);
    let value = host::net::option(fd, call.int(1), call.int(2), room as usize)?;
    call.write(call.arg(3), &value)?;
    call.write(call.arg(4), &(value.len() as u32).to_le_bytes())?;
    Ok(0)
}
pub(crate) fn setsockopt(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let value = call
        .task
        .guest
        .read_vec(call.arg(3), call.arg(4).min(4096) as usize)?;
    host::net::set_option(fd, call.int(1), call.int(2), &value)?;
    Ok(0)
}
