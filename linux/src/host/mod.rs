//! All that knows the host's operating system. The rest of the crate speaks the guest's ABI; what
//! differs on the host (flags, numbers, layouts) is translated here.

pub(crate) mod fds;
pub(crate) mod fs;
pub(crate) mod io;
pub(crate) mod mounts;
pub(crate) mod net;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod roster;
pub(crate) mod signal;
pub(crate) mod sleep;
pub(crate) mod time;
pub(crate) mod tty;

use crate::errno::Errno;
pub(crate) use sleep::Sleeper;

/// The host's last error as the guest's number. On Linux hosts they are the same.
pub(crate) fn last_errno() -> Errno {
    let number = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Errno(u16::try_from(number).unwrap_or(Errno::EIO.0))
}

/// A host error as the guest's number.
pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    let number = error.raw_os_error().unwrap_or(i32::from(Errno::EIO.0));
    Errno(u16::try_from(number).unwrap_or(Errno::EIO.0))
}

/// A guest error number as a host error.
pub(crate) fn io_error(errno: Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(i32::from(errno.0))
}

/// The result of a host call that returns -1 and sets errno.
pub(crate) trait Checked: Sized {
    fn checked(self) -> Result<Self, Errno>;
}
impl Checked for i32 {
    fn checked(self) -> Result<i32, Errno> {
        if self == -1 {
            Err(last_errno())
        } else {
            Ok(self)
        }
    }
}
impl Checked for i64 {
    fn checked(self) -> Result<i64, Errno> {
        if self == -1 {
            Err(last_errno())
        } else {
            Ok(self)
        }
    }
}
impl Checked for isize {
    fn checked(self) -> Result<isize, Errno> {
        if self == -1 {
            Err(last_errno())
        } else {
            Ok(self)
        }
    }
}

/// Fills a buffer with random bytes.
pub(crate) fn random(out: &mut [u8]) {
    for chunk in out.chunks_mut(256) {
        // SAFETY: the buffer is valid for its length. Up to 256 bytes always succeed.
        unsafe { libc::getentropy(chunk.as_mut_ptr().cast(), chunk.len()) };
    }
}
