//! read, write and their vectored and positioned forms.

use super::fds::{Entry, Kind};
use crate::abi::structs::Reader;
use crate::abi::*;
use crate::call::{Call, Fail, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::host::io::{At, Transfer, transfer, transfer_now};
use crate::{host, signal};

/// Bytes moved between host and guest at once.
const PIECE: usize = 256 << 10;
/// Linux's MAX_RW_COUNT.
const MOST: u64 = 0x7fff_f000;
const IOV_MAX: u64 = 1024;

/// Pieces of guest memory.
pub(crate) type Pieces = Vec<(u64, u64)>;

pub(crate) fn read(call: &mut Call) -> SysResult {
    let pieces = vec![(call.arg(1), call.arg(2).min(MOST))];
    read_into(call, pieces, At::Position)
}
pub(crate) fn pread64(call: &mut Call) -> SysResult {
    let pieces = vec![(call.arg(1), call.arg(2).min(MOST))];
    let at = offset(call.arg(3))?;
    read_into(call, pieces, at)
}
pub(crate) fn readv(call: &mut Call) -> SysResult {
    let pieces = pieces(call, call.arg(1), call.arg(2))?;
    read_into(call, pieces, At::Position)
}
pub(crate) fn preadv(call: &mut Call) -> SysResult {
    let pieces = pieces(call, call.arg(1), call.arg(2))?;
    let at = offset(call.arg(3))?;
    read_into(call, pieces, at)
}
pub(crate) fn preadv2(call: &mut Call) -> SysResult {
    let pieces = pieces(call, call.arg(1), call.arg(2))?;
    let at = if call.arg(3) == u64::MAX {
        At::Position
    } else {
        offset(call.arg(3))?
    };
    no_flags(call.uint(5))?;
    read_into(call, pieces, at)
}
pub(crate) fn write(call: &mut Call) -> SysResult {
    let pieces = vec![(call.arg(1), call.arg(2).min(MOST))];
    write_from(call, pieces, At::Position)
}
pub(crate) fn pwrite64(call: &mut Call) -> SysResult {
    let pieces = vec![(call.arg(1), call.arg(2).min(MOST))];
    let at = offset(call.arg(3))?;
    write_from(call, pieces, at)
}
pub(crate) fn writev(call: &mut Call) -> SysResult {
    let pieces = pieces(call, call.arg(1), call.arg(2))?;
    write_from(call, pieces, At::Position)
}
pub(crate) fn pwritev(call: &mut Call) -> SysResult {
    let pieces = pieces(call, call.arg(1), call.arg(2))?;
    let at = offset(call.arg(3))?;
    write_from(call, pieces, at)
}
pub(crate) fn pwritev2(call: &mut Call) -> SysResult {
    let pieces = pieces(call, call.arg(1), call.arg(2))?;
    let at = if call.arg(3) == u64::MAX {
        At::Position
    } else {
        offset(call.arg(3))?
    };
    no_flags(call.uint(5))?;
    write_from(call, pieces, at)
}

fn offset(raw: u64) -> Result<At, Errno> {
    i64::try_from(raw)
        .map(|_| At::Offset(raw))
        .map_err(|_| Errno::EINVAL)
}

fn no_flags(flags: u32) -> Result<(), Errno> {
    // Hints (high priority, do not wait) may be ignored; others may not.
    if flags & !1 == 0 {
        Ok(())
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}

/// An iovec array.
pub(crate) fn pieces(call: &Call, at: u64, count: u64) -> Result<Pieces, Errno> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let raw = call.task.guest.read_vec(at, count as usize * 16)?;
    let mut room = MOST;
    let mut pieces = Pieces::new();
    for piece in raw.chunks_exact(16) {
        let (base, len) = (Reader(piece).u64(0), Reader(piece).u64(8));
        if i64::try_from(len).is_err() {
            return Err(Errno::EINVAL);
        }
        let len = len.min(room);
        room -= len;
        if len > 0 {
            pieces.push((base, len));
        }
    }
    Ok(pieces)
}

/// The file to transfer from or to.
fn opened(call: &Call, fd: i32) -> Result<Entry, Errno> {
    let entry = call.kernel.fds.lock().get(fd)?.clone();
    if entry.listing.is_some() {
        Err(Errno::EISDIR)
    } else {
        Ok(entry)
    }
}

/// Whether the guest does not want to wait. Asked only when there is nothing at once.
fn is_nonblocking(fd: i32, entry: &Entry) -> Result<bool, Errno> {
    Ok(match entry.kind {
        Kind::Plain => false,
        Kind::Event => entry.nonblock,
        Kind::Stream | Kind::Epoll => host::fds::status_flags(fd)? & O_NONBLOCK != 0,
    })
}

/// Whether the file is one that can wait and is used at its position.
fn can_wait(entry: &Entry, at: At) -> bool {
    entry.kind != Kind::Plain && matches!(at, At::Position)
}

fn read_into(call: &mut Call, pieces: Pieces, at: At) -> SysResult {
    let fd = call.int(0);
    let entry = opened(call, fd)?;
    let waits = can_wait(&entry, at);
    let mut at = at;
    let mut total = 0u64;
    for (va, len) in pieces {
        let mut done = 0;
        while done < len {
            let want = (len - done).min(PIECE as u64);
            // Only take from the file what the guest can have.
            if let Err(errno) = call.task.guest.check_writable(va + done, want) {
                return if total > 0 {
                    Ok(total)
                } else {
                    Err(errno.into())
                };
            }
            let mut buffer = vec![0; want as usize];
            let result = if waits {
                transfer_now(fd, Transfer::Read(&mut buffer))
            } else {
                transfer(fd, Transfer::Read(&mut buffer), at)
            };
            let got = match result {
                Ok(got) => got,
                Err(_) if total > 0 => return Ok(total),
                Err(Errno::EAGAIN) if waits && !is_nonblocking(fd, &entry)? => {
                    return Err(call.wait(Wait::fd(fd, POLLIN), Restart::IfAsked));
                }
                Err(errno) => return Err(errno.into()),
            };
            call.write(va + done, &buffer[..got])?;
            total += got as u64;
            done += got as u64;
            if let At::Offset(offset) = &mut at {
                *offset += got as u64;
            }
            // A stream gives what it has; a file gives less only at its end.
            if (got as u64) < want || waits {
                return Ok(total);
            }
        }
    }
    if total == 0 && pieces_are_empty(call) {
        // A read of nothing still reports errors of the file.
        return Ok(transfer(fd, Transfer::Read(&mut []), At::Position)? as u64);
    }
    Ok(total)
}

fn pieces_are_empty(call: &Call) -> bool {
    call.kernel
        .fds
        .lock()
        .get(call.int(0))
        .is_ok_and(|entry| entry.kind == Kind::Plain)
}

fn write_from(call: &mut Call, pieces: Pieces, at: At) -> SysResult {
    let fd = call.int(0);
    let entry = opened(call, fd)?;
    let waits = can_wait(&entry, at);
    let mut at = at;
    // What earlier attempts of a blocked call have written already.
    let mut skip = call.task.pending.progress;
    let mut total = skip;
    if pieces.is_empty() || pieces.iter().all(|piece| piece.1 == 0) {
        return Ok(transfer(fd, Transfer::Write(&[]), At::Position)? as u64);
    }
    let data = gather(call, &pieces, &mut skip);
    let (data, faulted) = match data {
        Ok(all) => all,
        Err(errno) => {
            return if total > 0 {
                Ok(total)
            } else {
                Err(errno.into())
            };
        }
    };
    let mut rest = &data[..];
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(PIECE.max(data.len().min(1 << 20)))];
        let result = if waits {
            transfer_now(fd, Transfer::Write(piece))
        } else {
            transfer(fd, Transfer::Write(piece), at)
        };
        match result {
            Ok(done) => {
                total += done as u64;
                rest = &rest[done..];
                if let At::Offset(offset) = &mut at {
                    *offset += done as u64;
                }
                if !waits && done < piece.len() {
                    return Ok(total);
                }
            }
            Err(Errno::EAGAIN) if waits && !is_nonblocking(fd, &entry)? => {
                call.task.pending.progress = total;
                if total > 0 && call.task.pending.interrupted {
                    return Ok(total);
                }
                return Err(call.wait(Wait::fd(fd, POLLOUT), Restart::IfAsked));
            }
            Err(_) if total > 0 => return Ok(total),
            Err(errno) => return Err(broken_pipe(call, errno)),
        }
    }
    if faulted && total == 0 {
        return Err(Errno::EFAULT.into());
    }
    Ok(total)
}

/// Writing to a pipe that nobody reads also raises SIGPIPE.
pub(crate) fn broken_pipe(call: &mut Call, errno: Errno) -> Fail {
    if errno == Errno::EPIPE {
        signal::send_to_self(call.task, signal::SIGPIPE);
    }
    errno.into()
}

/// The bytes of all pieces but the first `skip`; true if it had to stop at unreadable memory. At
/// most some megabytes at once: the guest calls again for the rest of what is larger.
fn gather(call: &Call, pieces: &Pieces, skip: &mut u64) -> Result<(Vec<u8>, bool), Errno> {
    const MOST_AT_ONCE: usize = 16 << 20;
    let mut data = Vec::new();
    for &(va, len) in pieces {
        let skipped = (*skip).min(len);
        *skip -= skipped;
        let (mut va, mut len) = (va.checked_add(skipped).ok_or(Errno::EFAULT)?, len - skipped);
        while len > 0 && data.len() < MOST_AT_ONCE {
            let step = len.min(PIECE as u64);
            match call.task.guest.read_vec(va, step as usize) {
                Ok(bytes) => data.extend(bytes),
                Err(_) => {
                    // Up to the page that cannot be read.
                    let page = memory::PAGE - va % memory::PAGE;
                    match call.task.guest.read_vec(va, page.min(len) as usize) {
                        Ok(bytes) if step > page => data.extend(bytes),
                        _ if data.is_empty() => return Err(Errno::EFAULT),
                        _ => return Ok((data, true)),
                    }
                    (va, len) = (va + page, len - page);
                    continue;
                }
            }
            (va, len) = (va + step, len - step);
        }
    }
    Ok((data, false))
}

pub(crate) fn lseek(call: &mut Call) -> SysResult {
    let (fd, offset, whence) = (call.int(0), call.arg(1) as i64, call.uint(2));
    let entry = call.kernel.fds.lock().get(fd)?.clone();
    if let Some(listing) = entry.listing {
        let mut listing = listing.lock().map_err(|_| Errno::EIO)?;
        let base = match whence {
            0 => 0,
            1 => listing.position as i64,
            _ => return Err(Errno::EINVAL.into()),
        };
        let position = base
            .checked_add(offset)
            .and_then(|at| usize::try_from(at).ok());
        listing.position = position.ok_or(Errno::EINVAL)?;
        return Ok(listing.position as u64);
    }
    Ok(host::io::seek(fd, offset, whence)?)
}

/// A descriptor that the guest has.
pub(crate) fn checked_fd(call: &Call, n: usize) -> Result<i32, Errno> {
    let fd = call.int(n);
    call.kernel.fds.lock().get(fd)?;
    Ok(fd)
}

pub(crate) fn fsync(call: &mut Call) -> SysResult {
    host::io::sync(checked_fd(call, 0)?, false)?;
    Ok(0)
}
pub(crate) fn fdatasync(call: &mut Call) -> SysResult {
    host::io::sync(checked_fd(call, 0)?, true)?;
    Ok(0)
}
pub(crate) fn ftruncate(call: &mut Call) -> SysResult {
    host::io::truncate(checked_fd(call, 0)?, call.arg(1) as i64)?;
    Ok(0)
}
pub(crate) fn fallocate(call: &mut Call) -> SysResult {
    let fd = checked_fd(call, 0)?;
    host::io::allocate(fd, call.int(1), call.arg(2) as i64, call.arg(3) as i64)?;
    Ok(0)
}
/// Advice, and requests to write everything back, are left to the host.
pub(crate) fn advice(_: &mut Call) -> SysResult {
    Ok(0)
}
