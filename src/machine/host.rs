//! What of the host a machine needs: random bytes, and the terminal.

use crate::Error;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Fills with random bytes of the host.
pub fn random(bytes: &mut [u8]) {
    // Without them the seed stays zeros: the guest has other sources and is told of none by us.
    let _ = File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes));
}

/// Where the host's random bytes come from.
pub fn entropy() -> Result<Box<dyn Read + Send>, Error> {
    let path = "/dev/urandom";
    let file = File::open(path).map_err(|source| Error::File {
        path: path.into(),
        source,
    })?;
    Ok(Box::new(file))
}

/// A terminal in raw mode; as it was when dropped.
pub struct Raw {
    fd: i32,
    before: libc::termios,
}

impl Raw {
    /// Puts a terminal into raw mode; `None` if it is none.
    pub fn new(fd: BorrowedFd<'_>) -> Option<Raw> {
        let fd = fd.as_raw_fd();
        // SAFETY: all bytes zero is a valid value of this plain struct.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, the pointer is to a struct of the right type.
        if unsafe { libc::tcgetattr(fd, &raw mut before) } != 0 {
            return None;
        }
        let mut raw = before;
        // SAFETY: as above.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        // What the guest prints is written as it is, also line feeds.
        // SAFETY: as above.
        let done = unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw const raw) };
        (done == 0).then_some(Raw { fd, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the descriptor is stdin, which stays open; the struct is what the host gave us.
        unsafe { libc::tcsetattr(self.fd, libc::TCSANOW, &raw const self.before) };
    }
}
