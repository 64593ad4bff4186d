//! File locks: flock, and fcntl's record locks.

use super::io::checked_fd;
use crate::abi::structs::Flock;
use crate::abi::*;
use crate::call::{Call, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::host;

pub(crate) fn flock(call: &mut Call) -> SysResult {
    const LOCK_NB: i32 = 4;
    let fd = checked_fd(call, 0)?;
    let operation = call.int(1);
    match host::io::flock_now(fd, operation) {
        // Another process's unlocking announces itself to nobody.
        Err(Errno::EAGAIN) if operation & LOCK_NB == 0 => {
            Err(call.wait(Wait::retry(), Restart::IfAsked))
        }
        result => Ok(result.map(|()| 0)?),
    }
}

pub(crate) fn record_lock(call: &mut Call) -> SysResult {
    let (fd, command, at) = (call.int(0), call.uint(1), call.arg(2));
    let mut lock = Flock::decode(&call.read::<32>(at)?);
    let get = matches!(command, F_GETLK | F_OFD_GETLK);
    let of_description = matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW);
    let waits = matches!(command, F_SETLKW | F_OFD_SETLKW);
    match host::io::record_lock(fd, get, of_description, &mut lock) {
        Err(Errno::EAGAIN | Errno::EACCES) if waits => {
            Err(call.wait(Wait::retry(), Restart::IfAsked))
        }
        Err(errno) => Err(errno.into()),
        Ok(()) => {
            if get {
                call.write(at, &lock.encode())?;
            }
            Ok(0)
        }
    }
}
