//! Where a guest path leads on the host, and what can be done there without leaving it.

use crate::abi::structs::Stat;
use crate::abi::*;
use crate::errno::Errno;
use crate::host;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// The directory that a place's path starts from.
#[derive(Clone)]
pub(crate) enum Start {
    /// One of ours: a granted directory.
    Granted(Arc<OwnedFd>),
    /// The guest's or the host's current one (only without isolation).
    Number(RawFd),
}

impl Start {
    pub fn raw(&self) -> RawFd {
        match self {
            Start::Granted(fd) => fd.as_raw_fd(),
            Start::Number(fd) => *fd,
        }
    }
}

/// A file on the host, which may not exist yet.
pub(crate) struct Place {
    pub start: Start,
    /// Relative to `start`, free of `..` and symbolic links if `beneath`; `.` is `start` itself.
    pub path: CString,
    /// Never resolved through symbolic links, nor out of `start`.
    pub beneath: bool,
    /// The file itself, if it exists and we have looked.
    pub pin: Option<OwnedFd>,
    /// What is known of that.
    pub stat: Option<Stat>,
    /// The guest's path of it.
    pub guest: Vec<u8>,
    /// The guest may change it.
    pub writable: bool,
    /// It leads to what is closed to the guest: whatever has this name keeps it, see `fs::guard`.
    pub fixed: bool,
    /// The path ended with a slash.
    pub directory: bool,
}

impl Place {
    /// Opens it.
    pub fn open(&self, flags: u32, mode: u32) -> Result<OwnedFd, Errno> {
        let flags = if self.directory {
            flags | O_DIRECTORY
        } else {
            flags
        };
        if self.beneath {
            host::fs::open_beneath(self.start.raw(), &self.path, flags | O_NOFOLLOW, mode)
        } else {
            host::fs::open_at(self.start.raw(), &self.path, flags, mode)
        }
    }

    /// Holds the file itself, be it a symbolic link, without opening it for anything.
    pub fn pin(self) -> Result<OwnedFd, Errno> {
        match self.pin {
            Some(pin) => Ok(pin),
            None => self.open(O_PATH | O_NOFOLLOW, 0),
        }
    }

    /// The same, for a file whose link is to be followed (matters only without isolation).
    pub fn pin_target(self, follow: bool) -> Result<OwnedFd, Errno> {
        match self.pin {
            Some(pin) => Ok(pin),
            None => self.open(O_PATH | if follow { 0 } else { O_NOFOLLOW }, 0),
        }
    }

    /// Gives up the numbers that it holds on the host, so that what is opened next gets the lowest
    /// one that is free, as programs rely on.
    pub fn vacate(&mut self) {
        if !self.beneath {
            return;
        }
        self.pin = None;
        if let Start::Granted(start) = &mut self.start
            && let Some(own) = Arc::get_mut(start)
        {
            host::fds::move_away(own);
        }
    }

    /// Whether the file itself is of a kind (S_IFLNK...).
    pub fn is(&self, kind: u32) -> bool {
        self.stat.is_some_and(|stat| stat.mode & S_IFMT == kind)
    }

    /// What is known of it, links followed if asked (matters only without isolation).
    pub fn stat(self, follow: bool) -> Result<Stat, Errno> {
        match self.stat {
            Some(stat) => Ok(stat),
            None => host::fs::stat_fd(self.pin_target(follow)?.as_raw_fd()),
        }
    }

    /// Fails if the guest may not change things here.
    pub fn check_writable(&self) -> Result<(), Errno> {
        if self.writable {
            Ok(())
        } else {
            Err(Errno::EROFS)
        }
    }

    /// The same for the name itself, which is to be given to something, or taken from it.
    pub fn check_name(&self) -> Result<(), Errno> {
        self.check_writable()?;
        if self.fixed {
            // What Linux says of mount points.
            Err(Errno::EBUSY)
        } else {
            Ok(())
        }
    }

    /// The directory that holds it, and its name in there.
    pub fn parent(&self) -> Result<(Parent, CString), Errno> {
        if !self.beneath {
            return Ok((Parent::Start(self.start.clone()), self.path.clone()));
        }
        if self.path.to_bytes() == b"." {
            return Err(Errno::EBUSY);
        }
        match split(&self.path)? {
            None => Ok((Parent::Start(self.start.clone()), self.path.clone())),
            Some((parent, name)) => {
                let flags = O_PATH | O_DIRECTORY;
                let fd = host::fs::open_beneath(self.start.raw(), &parent, flags, 0)?;
                Ok((Parent::Opened(fd), name))
            }
        }
    }
}

/// A directory held open for one operation.
pub(crate) enum Parent {
    Start(Start),
    Opened(OwnedFd),
}

impl Parent {
    pub fn raw(&self) -> RawFd {
        match self {
            Parent::Start(start) => start.raw(),
            Parent::Opened(fd) => fd.as_raw_fd(),
        }
    }
}

/// The directory and the name in it, if a path has both.
pub(crate) fn split(path: &CStr) -> Result<Option<(CString, CString)>, Errno> {
    let path = path.to_bytes();
    let Some(slash) = path.iter().rposition(|&byte| byte == b'/') else {
        return Ok(None);
    };
    let (parent, name) = (&path[..slash], &path[slash + 1..]);
    Ok(Some((c_string(parent)?, c_string(name)?)))
}

/// Bytes as a host string.
pub(crate) fn c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// The target of a symbolic link that is held open.
pub(crate) fn link_target(pin: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let empty: &CStr = c"";
    host::fs::read_link(pin.as_raw_fd(), empty)
}
