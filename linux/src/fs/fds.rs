//! The guest's file descriptors. They are the host's, number for number, so that forked children
//! inherit them; this table says which of the host's are the guest's, and what we know of them.

use super::proc::Listing;
use super::view::View;
use crate::abi::*;
use crate::errno::Errno;
use crate::host;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::{Arc, Mutex};

/// How transfers on a file behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Regular files, directories, block devices: never wait.
    Plain,
    /// Pipes, sockets, terminals: may wait.
    Stream,
    /// Event, timer, signal and inotify descriptors, which the host keeps non-blocking for us;
    /// what the guest wants is in `nonblock`.
    Event,
    /// An epoll instance.
    Epoll,
}

/// What we know of an open file.
#[derive(Clone)]
pub(crate) struct Entry {
    pub kind: Kind,
    /// The guest's path of it, if it was opened by one.
    pub path: Option<Arc<[u8]>>,
    /// Closed by execve.
    pub cloexec: bool,
    /// The guest wants no waiting (only for `Kind::Event`, else the host knows).
    pub nonblock: bool,
    /// Lies where the guest may change things: not only contents but names, modes, times.
    pub writable: bool,
    /// A directory that exists only in the guest's view.
    pub listing: Option<Arc<Mutex<Listing>>>,
}

impl Entry {
    pub fn new(kind: Kind) -> Entry {
        Entry {
            kind,
            path: None,
            cloexec: false,
            nonblock: false,
            writable: true,
            listing: None,
        }
    }
    pub fn at(kind: Kind, path: &[u8]) -> Entry {
        Entry {
            path: Some(path.into()),
            ..Entry::new(kind)
        }
    }
}

/// The table.
#[derive(Default)]
pub(crate) struct FdTable {
    by_number: BTreeMap<i32, Entry>,
    /// Numbers that the host process was started with and that the guest does not get. Nobody
    /// uses them, so the guest may take the numbers for files of its own.
    unused: BTreeSet<i32>,
    /// Numbers that the guest got from the host process: not ours to close in the end.
    inherited: BTreeSet<i32>,
}

impl FdTable {
    /// What the host process was started with. With isolation, or if so asked, only the standard
    /// files, which is what its user means; others are mostly there by accident.
    pub fn inherited(view: &View, standard_only: bool) -> FdTable {
        let mut table = FdTable::default();
        let limit = host::fds::guest_fd_limit();
        for fd in host::fds::open_numbers() {
            // What is close-on-exec was opened by this program itself and is none of the guest's.
            if fd < limit && host::fds::is_open(fd) && host::fds::is_inherited(fd) {
                if fd > 2 && (standard_only || !view.passthrough) {
                    table.unused.insert(fd);
                    continue;
                }
                let mut entry = Entry::new(kind_of(fd));
                entry.writable = view.passthrough;
                if let Some(path) = view.path_of_inherited(fd) {
                    entry.path = Some(path.into());
                }
                table.by_number.insert(fd, entry);
                table.inherited.insert(fd);
            }
        }
        table
    }

    pub fn get(&self, fd: i32) -> Result<&Entry, Errno> {
        self.by_number.get(&fd).ok_or(Errno::EBADF)
    }
    pub fn get_mut(&mut self, fd: i32) -> Result<&mut Entry, Errno> {
        self.by_number.get_mut(&fd).ok_or(Errno::EBADF)
    }
    pub fn contains(&self, fd: i32) -> bool {
        self.by_number.contains_key(&fd)
    }
    /// Whether the guest may take this number although the host has something open there.
    pub fn may_replace(&self, fd: i32) -> bool {
        self.contains(fd) || self.unused.contains(&fd) || !host::fds::is_open(fd)
    }
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Entry)> {
        self.by_number.iter().map(|(&fd, entry)| (fd, entry))
    }

    /// Gives a file to the guest under the number that the host gave it.
    pub fn add(&mut self, fd: OwnedFd, entry: Entry) -> Result<i32, Errno> {
        if fd.as_raw_fd() >= host::fds::guest_fd_limit() {
            return Err(Errno::EMFILE);
        }
        let fd = fd.into_raw_fd();
        self.by_number.insert(fd, entry);
        Ok(fd)
    }
    /// Takes note of a number that the host has given to the guest's file.
    pub fn insert(&mut self, fd: i32, entry: Entry) {
        self.by_number.insert(fd, entry);
    }
    /// Forgets a number; the caller closes it.
    pub fn remove(&mut self, fd: i32) -> Result<Entry, Errno> {
        self.by_number.remove(&fd).ok_or(Errno::EBADF)
    }
    /// The process is over: what it opened is closed.
    pub fn close_all(&mut self) {
        for (fd, _) in std::mem::take(&mut self.by_number) {
            if !self.inherited.contains(&fd) {
                // Whatever the host says, the number is free afterwards.
                let _ = host::fds::close(fd);
            }
        }
    }

    /// Numbers in a range.
    pub fn numbers(&self, range: std::ops::RangeInclusive<i32>) -> Vec<i32> {
        self.by_number.range(range).map(|(&fd, _)| fd).collect()
    }
}

/// Asks the host what kind of file it is.
pub(crate) fn kind_of(fd: i32) -> Kind {
    match host::fs::stat_fd(fd).map(|stat| stat.mode & S_IFMT) {
        Ok(S_IFREG | S_IFDIR | S_IFBLK | S_IFLNK) => Kind::Plain,
        _ => Kind::Stream,
    }
}
