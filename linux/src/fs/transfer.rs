//! Moving data between descriptors: sendfile, splice, copy_file_range.

use super::fds::Kind;
use super::io::{broken_pipe, checked_fd};
use super::special::optional_offset;
use crate::abi::*;
use crate::call::{Call, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::host::io::{At, Transfer, copy_range, transfer, transfer_now};

/// Bytes at once.
const PIECE: u64 = 64 << 10;

pub(crate) fn sendfile(call: &mut Call) -> SysResult {
    let (to, from) = (checked_fd(call, 0)?, checked_fd(call, 1)?);
    let offset = optional_offset(call, 2)?;
    let done = copy(call, (from, offset), (to, None), call.arg(3))?;
    if let Some(offset) = offset {
        call.write(call.arg(2), &(offset + done).to_le_bytes())?;
    }
    Ok(done)
}

pub(crate) fn splice(call: &mut Call) -> SysResult {
    let (from, to) = (checked_fd(call, 0)?, checked_fd(call, 2)?);
    let (from_offset, to_offset) = (optional_offset(call, 1)?, optional_offset(call, 3)?);
    let done = copy(call, (from, from_offset), (to, to_offset), call.arg(4))?;
    write_offsets(call, (1, from_offset), (3, to_offset), done)?;
    Ok(done)
}

pub(crate) fn copy_file_range(call: &mut Call) -> SysResult {
    let (from, to) = (checked_fd(call, 0)?, checked_fd(call, 2)?);
    let (from_offset, to_offset) = (optional_offset(call, 1)?, optional_offset(call, 3)?);
    let len = call.arg(4).min(1 << 30) as usize;
    let signed = |offset: Option<u64>| offset.map(|offset| offset as i64);
    let done = copy_range(from, signed(from_offset), to, signed(to_offset), len)? as u64;
    write_offsets(call, (1, from_offset), (3, to_offset), done)?;
    Ok(done)
}

fn write_offsets(
    call: &mut Call,
    from: (usize, Option<u64>),
    to: (usize, Option<u64>),
    done: u64,
) -> Result<(), Errno> {
    for (n, offset) in [from, to] {
        if let Some(offset) = offset {
            call.write(call.arg(n), &(offset + done).to_le_bytes())?;
        }
    }
    Ok(())
}

/// Copies one piece. What was read but could not be written at once must not be lost: from a file
/// it is read again, a stream is asked only after its sink has room.
fn copy(
    call: &mut Call,
    (from, from_offset): (i32, Option<u64>),
    (to, to_offset): (i32, Option<u64>),
    len: u64,
) -> SysResult {
    let kind = |fd| call.kernel.fds.lock().get(fd).map(|entry| entry.kind);
    let (from_waits, to_waits) = (kind(from)? != Kind::Plain, kind(to)? != Kind::Plain);
    if to_waits && crate::host::poll::poll_now(&[(to, POLLOUT)])?[0] & !POLLERR == 0 {
        return Err(call.wait(Wait::fd(to, POLLOUT), Restart::IfAsked));
    }
    let mut buffer = vec![0; len.min(PIECE) as usize];
    let at = |offset: Option<u64>| offset.map_or(At::Position, At::Offset);
    let read = if from_waits {
        transfer_now(from, Transfer::Read(&mut buffer))
    } else {
        transfer(from, Transfer::Read(&mut buffer), at(from_offset))
    };
    let got = match read {
        Ok(got) => got,
        Err(Errno::EAGAIN) => return Err(call.wait(Wait::fd(from, POLLIN), Restart::IfAsked)),
        Err(errno) => return Err(errno.into()),
    };
    let written = if to_waits && !from_waits {
        transfer_now(to, Transfer::Write(&buffer[..got]))
    } else {
        transfer(to, Transfer::Write(&buffer[..got]), at(to_offset))
    };
    let done = match written {
        Ok(done) => done,
        Err(errno) => {
            rewind(from, from_waits || from_offset.is_some(), got);
            return Err(broken_pipe(call, errno));
        }
    };
    rewind(from, from_waits || from_offset.is_some(), got - done);
    Ok(done as u64)
}

/// Moves a file's position back over what was read too much.
fn rewind(fd: i32, no_position: bool, bytes: usize) {
    if !no_position && bytes > 0 {
        // A regular file, which can be moved back.
        let _ = crate::host::io::seek(fd, -(bytes as i64), 1);
    }
}
