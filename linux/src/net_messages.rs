//! Sending to and receiving from sockets, with descriptors that travel along.

use crate::abi::structs::{Reader, Writer};
use crate::abi::*;
use crate::call::{Call, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::fs::fds::Entry;
use crate::fs::io::{broken_pipe, checked_fd, pieces};
use crate::host;
use crate::host::net::Message;
use crate::net::{ADDRESS, SOL_SOCKET, address, put_address};

/// Bytes sent or received at once, and of control messages.
const MOST: usize = 1 << 20;
const MOST_CONTROL: usize = 64 << 10;
const MSG_PEEK: u32 = 2;
const MSG_DONTWAIT: u32 = 0x40;
const MSG_NOSIGNAL: u32 = 0x4000;
const SCM_RIGHTS: i32 = 1;

/// Sends; waits if the guest wants to.
fn send(call: &mut Call, fd: i32, mut message: Message) -> SysResult {
    let flags = message.flags;
    let nonblock = flags & MSG_DONTWAIT != 0 || host::fds::status_flags(fd)? & O_NONBLOCK != 0;
    // A stream socket may have taken a part in an earlier attempt.
    let already = call.task.pending.progress as usize;
    message.data.drain(..already.min(message.data.len()));
    loop {
        match host::net::send_now(fd, &mut message) {
            Ok(sent) if sent < message.data.len() && !nonblock => {
                message.data.drain(..sent);
                message.control.clear();
                call.task.pending.progress += sent as u64;
            }
            Ok(sent) => return Ok(call.task.pending.progress + sent as u64),
            Err(Errno::EAGAIN) if !nonblock => {
                if call.task.pending.progress > 0 && call.task.pending.interrupted {
                    return Ok(call.task.pending.progress);
                }
                return Err(call.wait(Wait::fd(fd, POLLOUT), Restart::IfAsked));
            }
            Err(errno) if flags & MSG_NOSIGNAL != 0 => return Err(errno.into()),
            Err(errno) => return Err(broken_pipe(call, errno)),
        }
    }
}

fn receive(call: &mut Call, fd: i32, message: &mut Message) -> SysResult {
    let nonblock =
        message.flags & MSG_DONTWAIT != 0 || host::fds::status_flags(fd)? & O_NONBLOCK != 0;
    match host::net::receive_now(fd, message) {
        Err(Errno::EAGAIN) if !nonblock => Err(call.wait(Wait::fd(fd, POLLIN), Restart::IfAsked)),
        result => Ok(result? as u64),
    }
}

pub(crate) fn sendto(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let data = call
        .task
        .guest
        .read_vec(call.arg(1), call.arg(2).min(MOST as u64) as usize)?;
    let address = if call.arg(4) == 0 {
        Vec::new()
    } else {
        address(call, call.arg(4), call.arg(5))?
    };
    let flags = call.uint(3);
    send(
        call,
        fd,
        Message {
            address,
            data,
            control: Vec::new(),
            flags,
        },
    )
}

pub(crate) fn recvfrom(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let room = call.arg(2).min(MOST as u64);
    call.task.guest.check_writable(call.arg(1), room)?;
    let mut message = Message {
        address: vec![0; ADDRESS],
        data: vec![0; room as usize],
        control: Vec::new(),
        flags: call.uint(3),
    };
    let len = receive(call, fd, &mut message)?;
    call.write(call.arg(1), &message.data)?;
    put_address(call, call.arg(4), call.arg(5), &message.address)?;
    Ok(len)
}

/// `struct msghdr`: name, its length, iovec, its count, control, its length, flags.
struct Header {
    name: u64,
    name_len: u32,
    pieces: Vec<(u64, u64)>,
    control: u64,
    control_len: u64,
}

fn header(call: &Call, at: u64) -> Result<Header, Errno> {
    let raw = call.read::<56>(at)?;
    let reader = Reader(&raw);
    Ok(Header {
        name: reader.u64(0),
        name_len: reader.u32(8),
        pieces: pieces(call, reader.u64(16), reader.u64(24))?,
        control: reader.u64(32),
        control_len: reader.u64(40),
    })
}

pub(crate) fn sendmsg(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    send_one(call, fd, call.arg(1), call.uint(2))
}

fn send_one(call: &mut Call, fd: i32, at: u64, flags: u32) -> SysResult {
    let header = header(call, at)?;
    let address = if header.name == 0 {
        Vec::new()
    } else {
        address(call, header.name, header.name_len.into())?
    };
    let mut data = Vec::new();
    for &(va, len) in &header.pieces {
        let len = len.min((MOST - data.len().min(MOST)) as u64);
        data.extend(call.task.guest.read_vec(va, len as usize)?);
    }
    let mut control = Vec::new();
    if header.control != 0 {
        let len = header.control_len.min(MOST_CONTROL as u64) as usize;
        control = call.task.guest.read_vec(header.control, len)?;
        check_rights(call, &control)?;
    }
    send(
        call,
        fd,
        Message {
            address,
            data,
            control,
            flags,
        },
    )
}

/// The control messages in a buffer: level, type, and where their data is.
fn control_messages(control: &[u8]) -> Vec<(i32, i32, std::ops::Range<usize>)> {
    let mut all = Vec::new();
    let mut at = 0;
    while at + 16 <= control.len() {
        let reader = Reader(&control[at..]);
        let len = usize::try_from(reader.u64(0)).unwrap_or(0);
        if len < 16 || len > control.len() - at {
            break;
        }
        all.push((reader.i32(8), reader.i32(12), at + 16..at + len));
        at += len.next_multiple_of(8);
    }
    all
}

/// Only the guest's own descriptors may be sent.
fn check_rights(call: &Call, control: &[u8]) -> Result<(), Errno> {
    let fds = call.kernel.fds.lock();
    for (level, kind, data) in control_messages(control) {
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS) {
            for raw in control[data].chunks_exact(4) {
                fds.get(Reader(raw).i32(0))?;
            }
        }
    }
    Ok(())
}

pub(crate) fn recvmsg(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    receive_one(call, fd, call.arg(1), call.uint(2))
}

fn receive_one(call: &mut Call, fd: i32, at: u64, flags: u32) -> SysResult {
    const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
    let header = header(call, at)?;
    let room: u64 = header.pieces.iter().map(|piece| piece.1).sum();
    for &(va, len) in &header.pieces {
        call.task.guest.check_writable(va, len.min(MOST as u64))?;
    }
    let control_room = if header.control == 0 {
        0
    } else {
        header.control_len.min(MOST_CONTROL as u64)
    };
    let mut message = Message {
        address: if header.name == 0 {
            Vec::new()
        } else {
            vec![0; ADDRESS]
        },
        data: vec![0; room.min(MOST as u64) as usize],
        control: vec![0; control_room as usize],
        flags: flags & !MSG_CMSG_CLOEXEC,
    };
    let len = receive(call, fd, &mut message)?;
    if flags & MSG_PEEK == 0 || !message.control.is_empty() {
        adopt_rights(call, &message.control, flags & MSG_CMSG_CLOEXEC != 0)?;
    }
    let mut rest = &message.data[..];
    for &(va, len) in &header.pieces {
        let step = rest.len().min(len as usize);
        call.write(va, &rest[..step])?;
        rest = &rest[step..];
    }
    if header.name != 0 {
        let cut = message.address.len().min(header.name_len as usize);
        call.write(header.name, &message.address[..cut])?;
        call.write(at + 8, &(message.address.len() as u32).to_le_bytes())?;
    }
    if header.control != 0 {
        call.write(header.control, &message.control)?;
    }
    let out = Writer::new()
        .u64(message.control.len() as u64)
        .u32(message.flags);
    call.write(at + 40, &out.0)?;
    Ok(len)
}

/// Descriptors that came with a message are the guest's.
fn adopt_rights(call: &Call, control: &[u8], cloexec: bool) -> Result<(), Errno> {
    let mut fds = call.kernel.fds.lock();
    for (level, kind, data) in control_messages(control) {
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS) {
            for raw in control[data].chunks_exact(4) {
                let fd = Reader(raw).i32(0);
                let kind = crate::fs::fds::kind_of(fd);
                fds.insert(
                    fd,
                    Entry {
                        cloexec,
                        ..Entry::new(kind)
                    },
                );
            }
        }
    }
    Ok(())
}

/// `struct mmsghdr` is a msghdr of 56 bytes and a count.
const MMSGHDR: u64 = 64;

pub(crate) fn sendmmsg(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let count = u64::from(call.uint(2)).min(1024);
    for n in 0..count {
        let at = call.arg(1).wrapping_add(n * MMSGHDR);
        let flags = call.uint(3) | if n > 0 { MSG_DONTWAIT } else { 0 };
        match send_one(call, fd, at, flags) {
            Ok(sent) => {
                call.write(at + 56, &(sent as u32).to_le_bytes())?;
                call.task.pending.progress = 0;
            }
            Err(_) if n > 0 => return Ok(n),
            Err(fail) => return Err(fail),
        }
    }
    Ok(count)
}

pub(crate) fn recvmmsg(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    let count = u64::from(call.uint(2)).min(1024);
    for n in 0..count {
        let at = call.arg(1).wrapping_add(n * MMSGHDR);
        let flags = call.uint(3) | if n > 0 { MSG_DONTWAIT } else { 0 };
        match receive_one(call, fd, at, flags) {
            Ok(len) => call.write(at + 56, &(len as u32).to_le_bytes())?,
            Err(_) if n > 0 => return Ok(n),
            Err(fail) => return Err(fail),
        }
    }
    Ok(count)
}
