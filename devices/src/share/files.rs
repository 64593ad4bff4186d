//! Files beneath a folder, by paths that cannot lead out of it.

use super::wire::Qid;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, Stat, StatFs,
    Timespec, Timestamps, Uid,
};
use rustix::io::{Errno, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Bytes of entries that the host is asked for at once.
const LISTED: usize = 8 << 10;

/// How many files a guest may hold open in one share: a part of what this process may, so that the
/// host's limit is met by nobody else. The soft limit, which is for programs that cannot count
/// beyond it, is raised to the hard one.
pub(super) fn most_open() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let files = usize::try_from(files.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    (files / 16).clamp(16, 4096)
}

/// The folder cannot be shared.
#[derive(Debug, thiserror::Error)]
#[error("cannot share {}: {source}. Give a folder that exists and may be read", path.display())]
pub struct ShareError {
    path: PathBuf,
    source: std::io::Error,
}

/// A shared folder.
pub(super) struct Folder {
    root: OwnedFd,
    pub read_only: bool,
}

/// An entry of a folder.
pub(super) struct Entry<'a> {
    pub name: &'a [u8],
    pub kind: FileType,
    pub inode: u64,
    /// The offset of the one after it, as the host counts.
    pub next: u64,
}

/// What setattr changes; what is `None` stays.
#[derive(Default)]
pub(super) struct Changes {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub times: Option<Timestamps>,
}

/// A path with one more name. `.` and `..` are not names.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Result<Vec<u8>> {
    let plain = !name.is_empty() && !name.contains(&b'/') && !name.contains(&0);
    if !plain || name == b"." || name == b".." {
        return Err(Errno::INVAL);
    }
    let mut path = folder.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend(name);
    Ok(path)
}

/// Folder and last name of a path that is not the root's.
pub(super) fn split(path: &[u8]) -> Result<(&[u8], &[u8])> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => Ok((&path[..at], &path[at + 1..])),
        None if path.is_empty() => Err(Errno::BUSY),
        None => Ok((b"", path)),
    }
}

/// The file that a descriptor stands for, as a path. It leads there and nowhere else.
fn itself(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

impl Folder {
    pub fn open(path: &Path, read_only: bool) -> std::result::Result<Folder, ShareError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty());
        let root = root.map_err(|error| ShareError {
            path: path.to_owned(),
            source: error.into(),
        })?;
        Ok(Folder { root, read_only })
    }

    /// The file itself, not yet open for anything. No symbolic link is followed: one at the end
    /// is what was asked for.
    fn at(&self, path: &[u8]) -> Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    fn writable(&self) -> Result<()> {
        if self.read_only {
            Err(Errno::ROFS)
        } else {
            Ok(())
        }
    }

    pub fn stat(&self, path: &[u8]) -> Result<Stat> {
        rustix::fs::statat(self.at(path)?, c"", AtFlags::EMPTY_PATH)
    }

    /// Opens a file or folder by Linux's generic flags, of which a guest may choose some.
    pub fn open_file(&self, path: &[u8], flags: u32) -> Result<File> {
        let fd = self.at(path)?;
        let stat = rustix::fs::statat(&fd, c"", AtFlags::EMPTY_PATH)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        // Opening anything else may wait for ever, or reach a device of the host's.
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return Err(Errno::ACCESS);
        }
        let flags = self.flags(flags)?;
        let opened = rustix::fs::openat(CWD, itself(&fd), flags, Mode::empty())?;
        Ok(File::from(opened))
    }

    /// Access mode and truncation are the guest's to choose; appending is done by offsets.
    fn flags(&self, flags: u32) -> Result<OFlags> {
        let (access, truncate) = (flags & 3, flags & 0o1000 != 0);
        if access != 0 || truncate {
            self.writable()?;
        }
        let access = match access {
            0 => OFlags::RDONLY,
            1 => OFlags::WRONLY,
            2 => OFlags::RDWR,
            _ => return Err(Errno::INVAL),
        };
        let truncate = if truncate {
            OFlags::TRUNC
        } else {
            OFlags::empty()
        };
        Ok(access | truncate | OFlags::CLOEXEC | OFlags::NONBLOCK)
    }

    pub fn create(&self, folder: &[u8], name: &[u8], flags: u32, mode: u32) -> Result<File> {
        self.writable()?;
        let path = join(folder, name)?;
        let wanted = self.flags(flags)? | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let parent = self.at(folder)?;
        match rustix::fs::openat(&parent, name, wanted, plain(mode)) {
            Err(Errno::EXIST) if flags & 0o200 == 0 => self.open_file(&path, flags),
            created => created.map(File::from),
        }
    }

    pub fn make_folder(&self, folder: &[u8], name: &[u8], mode: u32) -> Result<()> {
        self.writable()?;
        join(folder, name)?;
        rustix::fs::mkdirat(self.at(folder)?, name, plain(mode))
    }

    /// The target is text: whoever follows the link is bound by rules of their own.
    pub fn make_link(&self, folder: &[u8], name: &[u8], target: &[u8]) -> Result<()> {
        self.writable()?;
        join(folder, name)?;
        rustix::fs::symlinkat(target, self.at(folder)?, name)
    }

    pub fn hard_link(&self, path: &[u8], folder: &[u8], name: &[u8]) -> Result<()> {
        self.writable()?;
        join(folder, name)?;
        let (from, last) = split(path)?;
        let flags = AtFlags::empty();
        rustix::fs::linkat(self.at(from)?, last, self.at(folder)?, name, flags)
    }

    pub fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(self.at(path)?, c"", Vec::new())?;
        Ok(target.into_bytes())
    }

    pub fn remove(&self, folder: &[u8], name: &[u8], is_folder: bool) -> Result<()> {
        self.writable()?;
        join(folder, name)?;
        let flags = if is_folder {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        rustix::fs::unlinkat(self.at(folder)?, name, flags)
    }

    pub fn rename(&self, from: (&[u8], &[u8]), to: (&[u8], &[u8])) -> Result<()> {
        self.writable()?;
        join(from.0, from.1)?;
        join(to.0, to.1)?;
        rustix::fs::renameat(self.at(from.0)?, from.1, self.at(to.0)?, to.1)
    }

    pub fn statfs(&self, path: &[u8]) -> Result<StatFs> {
        rustix::fs::fstatfs(self.at(path)?)
    }

    pub fn change(&self, path: &[u8], changes: &Changes) -> Result<()> {
        self.writable()?;
        let fd = self.at(path)?;
        if let Some(size) = changes.size {
            let file = self.open_file(path, 1)?;
            rustix::fs::ftruncate(file, size)?;
        }
        if changes.uid.is_some() || changes.gid.is_some() {
            let (uid, gid) = (
                changes.uid.map(Uid::from_raw),
                changes.gid.map(Gid::from_raw),
            );
            rustix::fs::chownat(&fd, c"", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        if let Some(mode) = changes.mode {
            rustix::fs::chmodat(CWD, itself(&fd), plain(mode), AtFlags::empty())?;
        }
        if let Some(times) = &changes.times {
            rustix::fs::utimensat(CWD, itself(&fd), times, AtFlags::empty())?;
        }
        Ok(())
    }
}

/// A mode without set-user-ID and set-group-ID: they would count on the host.
fn plain(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o1777)
}

/// Shows the entries of a folder to `take` until it has enough, from an offset on: 0, or what
/// an entry said comes after it. Itself and the one above are left out.
pub(super) fn list(
    folder: &File,
    offset: u64,
    mut take: impl FnMut(&Entry<'_>) -> bool,
) -> Result<()> {
    let device = rustix::fs::fstat(folder)?.st_dev;
    rustix::fs::seek(folder, SeekFrom::Start(offset))?;
    let mut buffer = [MaybeUninit::uninit(); LISTED];
    let mut entries = RawDir::new(folder, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let entry = Entry {
            name,
            kind: entry.file_type(),
            inode: identity(entry.ino(), device),
            next: entry.next_entry_cookie(),
        };
        if !take(&entry) {
            break;
        }
    }
    Ok(())
}

/// One number for a file of several file systems.
fn identity(inode: u64, device: u64) -> u64 {
    inode ^ device.rotate_left(48)
}

/// The kind of a qid.
pub(super) fn qid_kind(kind: FileType) -> u8 {
    match kind {
        FileType::Directory => 0x80,
        FileType::Symlink => 2,
        _ => 0,
    }
}

/// A file's identity for the guest.
pub(super) fn qid(stat: &Stat) -> Qid {
    Qid {
        kind: qid_kind(FileType::from_raw_mode(stat.st_mode)),
        version: stat.st_mtime as u32 ^ stat.st_size as u32,
        path: identity(stat.st_ino, stat.st_dev),
    }
}

/// A time to set: now, or this one.
pub(super) fn time(change: bool, given: bool, seconds: u64, nanoseconds: u64) -> Timespec {
    let tv_nsec = match (change, given) {
        (false, _) => rustix::fs::UTIME_OMIT,
        (true, false) => rustix::fs::UTIME_NOW,
        (true, true) => (nanoseconds % 1_000_000_000) as i64,
    };
    Timespec {
        tv_sec: seconds as i64,
        tv_nsec,
    }
}
