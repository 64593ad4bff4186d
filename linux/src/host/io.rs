//! Reading and writing host files, without ever getting stuck in the host.

use super::{Checked, last_errno};
use crate::errno::Errno;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// At the file position, which moves.
    Position,
    /// At an offset.
    Offset(u64),
}

impl At {
    fn raw(self) -> Result<i64, Errno> {
        match self {
            At::Position => Ok(-1),
            At::Offset(offset) => i64::try_from(offset).map_err(|_| Errno::EINVAL),
        }
    }
}

/// A direction of transfer, with the buffer.
pub(crate) enum Transfer<'a> {
    Read(&'a mut [u8]),
    Write(&'a [u8]),
}

impl Transfer<'_> {
    fn iovec(&mut self) -> libc::iovec {
        match self {
            Transfer::Read(buffer) => libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            },
            Transfer::Write(buffer) => libc::iovec {
                iov_base: buffer.as_ptr().cast_mut().cast(),
                iov_len: buffer.len(),
            },
        }
    }
}

/// Reads or writes; may block.
pub(crate) fn transfer(fd: i32, mut transfer: Transfer<'_>, at: At) -> Result<usize, Errno> {
    let iov = transfer.iovec();
    let offset = at.raw()?;
    // SAFETY: the buffer is valid for its length, and is only written to if it is mutable.
    let done = unsafe {
        match (&transfer, offset) {
            (Transfer::Read(_), -1) => libc::read(fd, iov.iov_base, iov.iov_len),
            (Transfer::Read(_), _) => libc::pread(fd, iov.iov_base, iov.iov_len, offset),
            (Transfer::Write(_), -1) => libc::write(fd, iov.iov_base, iov.iov_len),
            (Transfer::Write(_), _) => libc::pwrite(fd, iov.iov_base, iov.iov_len, offset),
        }
    };
    Ok(done.checked()? as usize)
}

/// The host can't transfer without waiting on this kind of file: looked up once for all, then
/// asked with poll first.
static NO_NOWAIT: AtomicBool = AtomicBool::new(false);

/// Reads or writes what is possible at once; EAGAIN if nothing is.
pub(crate) fn transfer_now(fd: i32, mut transfer: Transfer<'_>) -> Result<usize, Errno> {
    if !NO_NOWAIT.load(Ordering::Relaxed) {
        let iov = transfer.iovec();
        // SAFETY: one buffer, valid for its length, only written to if it is mutable.
        let done = unsafe {
            match &transfer {
                Transfer::Read(_) => libc::preadv2(fd, &iov, 1, -1, libc::RWF_NOWAIT),
                Transfer::Write(_) => libc::pwritev2(fd, &iov, 1, -1, libc::RWF_NOWAIT),
            }
        };
        if done >= 0 {
            return Ok(done as usize);
        }
        match last_errno() {
            Errno::ENOSYS => NO_NOWAIT.store(true, Ordering::Relaxed),
            // Terminals, some devices.
            Errno::EOPNOTSUPP => {}
            errno => return Err(errno),
        }
    }
    let events = match &transfer {
        Transfer::Read(_) => crate::abi::POLLIN,
        Transfer::Write(_) => crate::abi::POLLOUT,
    };
    if super::poll::poll_now(&[(fd, events)])?[0] == 0 {
        return Err(Errno::EAGAIN);
    }
    self::transfer(fd, transfer, At::Position)
}

pub(crate) fn seek(fd: i32, offset: i64, whence: u32) -> Result<u64, Errno> {
    // SEEK_SET, CUR and END are the same everywhere; DATA and HOLE are Linux's.
    // SAFETY: plain system call.
    Ok(unsafe { libc::lseek(fd, offset, whence as i32) }.checked()? as u64)
}

pub(crate) fn truncate(fd: i32, len: i64) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::ftruncate(fd, len) }.checked()?;
    Ok(())
}

pub(crate) fn allocate(fd: i32, mode: i32, offset: i64, len: i64) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::fallocate(fd, mode, offset, len) }.checked()?;
    Ok(())
}

pub(crate) fn sync(fd: i32, data_only: bool) -> Result<(), Errno> {
    // SAFETY: plain system calls.
    unsafe {
        if data_only {
            libc::fdatasync(fd)
        } else {
            libc::fsync(fd)
        }
    }
    .checked()?;
    Ok(())
}

/// Copies between regular files.
pub(crate) fn copy_range(
    from: i32,
    from_offset: Option<i64>,
    to: i32,
    to_offset: Option<i64>,
    len: usize,
) -> Result<usize, Errno> {
    let (mut from_offset, mut to_offset) = (from_offset, to_offset);
    let pointer = |offset: &mut Option<i64>| {
        offset
            .as_mut()
            .map_or(std::ptr::null_mut(), std::ptr::from_mut)
    };
    // SAFETY: the offsets are live locals or null.
    let done = unsafe {
        libc::copy_file_range(
            from,
            pointer(&mut from_offset),
            to,
            pointer(&mut to_offset),
            len,
            0,
        )
    };
    Ok(done.checked()? as usize)
}

/// Both ends of a pipe, close-on-exec on the host.
pub(crate) fn pipe() -> Result<(i32, i32), Errno> {
    let mut fds = [0; 2];
    // SAFETY: room for two.
    unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }.checked()?;
    Ok((fds[0], fds[1]))
}

/// flock(2), never waiting. The operations are the same everywhere.
pub(crate) fn flock_now(fd: i32, operation: i32) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::flock(fd, operation | libc::LOCK_NB) }.checked()?;
    Ok(())
}

/// fcntl's record locks, never waiting.
pub(crate) fn record_lock(
    fd: i32,
    get: bool,
    of_description: bool,
    lock: &mut crate::abi::structs::Flock,
) -> Result<(), Errno> {
    let kind = match lock.kind {
        0 => libc::F_RDLCK,
        1 => libc::F_WRLCK,
        2 => libc::F_UNLCK,
        _ => return Err(Errno::EINVAL),
    };
    // SAFETY: all-zero is a valid flock.
    let mut host: libc::flock = unsafe { std::mem::zeroed() };
    host.l_type = kind as _;
    host.l_whence = lock.whence as _;
    host.l_start = lock.start;
    host.l_len = lock.len;
    host.l_pid = if of_description { 0 } else { lock.pid };
    let command = match (get, of_description) {
        (true, false) => libc::F_GETLK,
        (false, false) => libc::F_SETLK,
        (true, true) => libc::F_OFD_GETLK,
        (false, true) => libc::F_OFD_SETLK,
    };
    // SAFETY: the structure is a live local.
    unsafe { libc::fcntl(fd, command, &mut host) }.checked()?;
    if get {
        lock.kind = match i32::from(host.l_type) {
            kind if kind == libc::F_RDLCK => 0,
            kind if kind == libc::F_WRLCK => 1,
            _ => 2,
        };
        lock.whence = host.l_whence as u16;
        (lock.start, lock.len, lock.pid) = (host.l_start, host.l_len, host.l_pid);
    }
    Ok(())
}
