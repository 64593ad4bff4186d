//! Files and directories of the host.

use super::{Checked, last_errno};
use crate::abi::structs::{Stat, StatFs, Timespec};
use crate::abi::*;
use crate::errno::Errno;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The host's directory that relative paths start from.
pub(crate) const CURRENT_DIR: RawFd = libc::AT_FDCWD;

/// Flags of open(2): guest bit and host bit.
const OPEN_FLAGS: [(u32, i32); 16] = [
    (O_CREAT, libc::O_CREAT),
    (O_EXCL, libc::O_EXCL),
    (O_NOCTTY, libc::O_NOCTTY),
    (O_TRUNC, libc::O_TRUNC),
    (O_APPEND, libc::O_APPEND),
    (O_NONBLOCK, libc::O_NONBLOCK),
    (O_DSYNC, libc::O_DSYNC),
    (O_ASYNC, libc::O_ASYNC),
    (O_DIRECT, libc::O_DIRECT),
    (O_DIRECTORY, libc::O_DIRECTORY),
    (O_NOFOLLOW, libc::O_NOFOLLOW),
    (O_NOATIME, libc::O_NOATIME),
    (O_CLOEXEC, libc::O_CLOEXEC),
    (O_SYNC, libc::O_SYNC),
    (O_PATH, libc::O_PATH),
    (O_TMPFILE, libc::O_TMPFILE),
];

/// Guest open flags as the host's; unknown ones are dropped.
pub(crate) fn open_flags(guest: u32) -> i32 {
    let access = match guest & O_ACCMODE {
        O_RDONLY => libc::O_RDONLY,
        O_WRONLY => libc::O_WRONLY,
        _ => libc::O_RDWR,
    };
    let set = |&&(bit, _): &&(u32, i32)| guest & bit == bit;
    OPEN_FLAGS
        .iter()
        .filter(set)
        .fold(access, |flags, (_, host)| flags | host)
}

/// Host open flags as the guest's.
pub(crate) fn guest_open_flags(host: i32) -> u32 {
    let access = match host & libc::O_ACCMODE {
        libc::O_RDONLY => O_RDONLY,
        libc::O_WRONLY => O_WRONLY,
        _ => O_RDWR,
    };
    let set = |&&(_, bit): &&(u32, i32)| host & bit == bit;
    OPEN_FLAGS
        .iter()
        .filter(set)
        .fold(access, |flags, (guest, _)| flags | guest)
}

/// Opens with the host's own path resolution: symbolic links are followed.
pub(crate) fn open_at(dir: RawFd, path: &CStr, flags: u32, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = open_flags(flags) | libc::O_CLOEXEC;
    // SAFETY: the path ends with NUL.
    let fd = unsafe { libc::openat(dir, path.as_ptr(), flags, mode) }.checked()?;
    // SAFETY: just opened, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

/// Opens below a directory. No component may be a symbolic link (ELOOP; the last one may with
/// O_PATH | O_NOFOLLOW) nor lead out of the directory. `path` is relative, without `..`.
pub(crate) fn open_beneath(
    dir: RawFd,
    path: &CStr,
    flags: u32,
    mode: u32,
) -> Result<OwnedFd, Errno> {
    if NO_OPENAT2.load(Ordering::Relaxed) {
        return open_step_by_step(dir, path, flags, mode);
    }
    // SAFETY: all-zero is a valid open_how.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (open_flags(flags) | libc::O_CLOEXEC) as u64;
    let creates = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
    how.mode = if creates { u64::from(mode & 0o7777) } else { 0 };
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: path and structure are live; the size is the structure's.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            &how,
            std::mem::size_of_val(&how),
        )
    };
    if fd >= 0 {
        // SAFETY: just opened, and nobody else's.
        return Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    }
    match last_errno() {
        // An old kernel, or a sandbox that does not know the call.
        Errno::ENOSYS | Errno::EPERM if !openat2_works() => {
            NO_OPENAT2.store(true, Ordering::Relaxed);
            open_step_by_step(dir, path, flags, mode)
        }
        // A rename somewhere on the way made the host unsure; the guest may try again.
        Errno::EAGAIN => open_step_by_step(dir, path, flags, mode),
        errno => Err(errno),
    }
}

fn openat2_works() -> bool {
    // SAFETY: all-zero is a valid open_how, which asks to open "/" for reading.
    unsafe {
        let mut how: libc::open_how = std::mem::zeroed();
        how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
        let size = std::mem::size_of_val(&how);
        let fd = libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, c"/".as_ptr(), &how, size);
        fd >= 0 && libc::close(fd as RawFd) == 0
    }
}

/// The same for hosts that can't resolve beneath a directory by themselves.
fn open_step_by_step(dir: RawFd, path: &CStr, flags: u32, mode: u32) -> Result<OwnedFd, Errno> {
    let mut held: Option<OwnedFd> = None;
    let components: Vec<&[u8]> = path
        .to_bytes()
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    let (last, parents) = components.split_last().ok_or(Errno::ENOENT)?;
    for part in parents {
        let at = held.as_ref().map_or(dir, AsRawFd::as_raw_fd);
        let part = CString::new(*part).map_err(|_| Errno::EINVAL)?;
        let step = open_at(at, &part, O_PATH | O_NOFOLLOW, 0)?;
        match stat_fd(step.as_raw_fd())?.mode & S_IFMT {
            S_IFDIR => held = Some(step),
            S_IFLNK => return Err(Errno::ELOOP),
            _ => return Err(Errno::ENOTDIR),
        }
    }
    let at = held.as_ref().map_or(dir, AsRawFd::as_raw_fd);
    let last = CString::new(*last).map_err(|_| Errno::EINVAL)?;
    open_at(at, &last, flags | O_NOFOLLOW, mode)
}

fn time(seconds: i64, nanoseconds: i64) -> Timespec {
    Timespec {
        seconds,
        nanoseconds,
    }
}

#[allow(clippy::unnecessary_cast, reason = "the widths differ between hosts")]
fn stat_of(host: &libc::stat) -> Stat {
    Stat {
        dev: guest_dev(host.st_dev),
        ino: host.st_ino,
        mode: host.st_mode,
        nlink: host.st_nlink as u64,
        uid: host.st_uid,
        gid: host.st_gid,
        rdev: guest_dev(host.st_rdev),
        size: host.st_size as u64,
        block_size: host.st_blksize as u32,
        blocks: host.st_blocks as u64,
        atime: time(host.st_atime, host.st_atime_nsec),
        mtime: time(host.st_mtime, host.st_mtime_nsec),
        ctime: time(host.st_ctime, host.st_ctime_nsec),
        btime: Timespec::default(),
    }
}

fn guest_dev(dev: libc::dev_t) -> u64 {
    crate::abi::structs::device(libc::major(dev) as u32, libc::minor(dev) as u32)
}

pub(crate) fn stat_fd(fd: RawFd) -> Result<Stat, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a live local, written on success.
    unsafe {
        libc::fstat(fd, stat.as_mut_ptr()).checked()?;
        Ok(stat_of(&stat.assume_init()))
    }
}

/// stat or lstat with the host's path resolution.
pub(crate) fn stat_at(dir: RawFd, path: &CStr, follow: bool) -> Result<Stat, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: a live local, written on success; the path ends with NUL.
    unsafe {
        libc::fstatat(dir, path.as_ptr(), stat.as_mut_ptr(), flags).checked()?;
        Ok(stat_of(&stat.assume_init()))
    }
}

pub(crate) fn stat_fs(fd: RawFd) -> Result<StatFs, Errno> {
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: a live local, written on success.
    let stat = unsafe {
        libc::fstatfs(fd, stat.as_mut_ptr()).checked()?;
        stat.assume_init()
    };
    Ok(StatFs {
        kind: stat.f_type as u64,
        block_size: stat.f_bsize as u64,
        blocks: stat.f_blocks,
        free: stat.f_bfree,
        available: stat.f_bavail,
        files: stat.f_files,
        files_free: stat.f_ffree,
        name_max: stat.f_namelen as u64,
        fragment_size: stat.f_frsize as u64,
        flags: 0,
    })
}

/// The target of the symbolic link `path`, or of the link that `dir` itself is (path empty).
pub(crate) fn read_link(dir: RawFd, path: &CStr) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0u8; 4096];
    // SAFETY: the buffer is valid for its length; the path ends with NUL.
    let len =
        unsafe { libc::readlinkat(dir, path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
            .checked()?;
    buffer.truncate(len as usize);
    Ok(buffer)
}

fn done(result: i32) -> Result<(), Errno> {
    result.checked().map(|_| ())
}

pub(crate) fn make_dir(dir: RawFd, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: the name ends with NUL.
    done(unsafe { libc::mkdirat(dir, name.as_ptr(), mode as _) })
}
pub(crate) fn make_fifo(dir: RawFd, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: the name ends with NUL.
    done(unsafe { libc::mknodat(dir, name.as_ptr(), libc::S_IFIFO | mode & 0o7777, 0) })
}
pub(crate) fn unlink(dir: RawFd, name: &CStr, directory: bool) -> Result<(), Errno> {
    let flags = if directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: the name ends with NUL.
    done(unsafe { libc::unlinkat(dir, name.as_ptr(), flags) })
}
/// `flags` as renameat2's: 1 do not replace, 2 exchange.
pub(crate) fn rename(from: (RawFd, &CStr), to: (RawFd, &CStr), flags: u32) -> Result<(), Errno> {
    // SAFETY: the names end with NUL.
    let result = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            from.0,
            from.1.as_ptr(),
            to.0,
            to.1.as_ptr(),
            flags,
        )
    };
    done(result as i32)
}
pub(crate) fn link(from: (RawFd, &CStr), to: (RawFd, &CStr), follow: bool) -> Result<(), Errno> {
    let flags = if follow { libc::AT_SYMLINK_FOLLOW } else { 0 };
    // SAFETY: the names end with NUL.
    done(unsafe { libc::linkat(from.0, from.1.as_ptr(), to.0, to.1.as_ptr(), flags) })
}
/// Gives a file without a name (O_TMPFILE) one.
pub(crate) fn link_fd(fd: RawFd, to: (RawFd, &CStr)) -> Result<(), Errno> {
    let from = fd_path(fd);
    link((libc::AT_FDCWD, &from), to, true)
}
pub(crate) fn symlink(target: &CStr, dir: RawFd, name: &CStr) -> Result<(), Errno> {
    // SAFETY: the names end with NUL.
    done(unsafe { libc::symlinkat(target.as_ptr(), dir, name.as_ptr()) })
}

/// The host's name for an open file, through which it can be opened or changed anew.
pub(crate) fn fd_path(fd: RawFd) -> CString {
    CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default()
}

/// chmod of an open file, also one opened with O_PATH.
pub(crate) fn change_mode(fd: RawFd, mode: u32) -> Result<(), Errno> {
    // SAFETY: the path ends with NUL.
    done(unsafe { libc::chmod(fd_path(fd).as_ptr(), mode as _) })
}
/// chown of an open file, also one opened with O_PATH; a link itself, not its target.
pub(crate) fn change_owner(fd: RawFd, uid: u32, gid: u32) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the path ends with NUL.
    done(unsafe { libc::fchownat(fd, c"".as_ptr(), uid, gid, flags) })
}
/// Sets access and modification time. `None` leaves one, `Some(None)` is now.
pub(crate) fn change_times(
    dir: RawFd,
    name: Option<&CStr>,
    times: [Option<Option<Timespec>>; 2],
    follow: bool,
) -> Result<(), Errno> {
    let times = times.map(|time| match time {
        None => libc::timespec {
            tv_sec: 0,
            tv_nsec: libc::UTIME_OMIT,
        },
        Some(None) => libc::timespec {
            tv_sec: 0,
            tv_nsec: libc::UTIME_NOW,
        },
        Some(Some(time)) => super::time::timespec(time),
    });
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: the name ends with NUL, the times are two.
    done(unsafe {
        match name {
            Some(name) => libc::utimensat(dir, name.as_ptr(), times.as_ptr(), flags),
            None => libc::futimens(dir, times.as_ptr()),
        }
    })
}
/// access(2) of an open file, also one opened with O_PATH; by the effective ids if asked.
pub(crate) fn check_access(fd: RawFd, mode: u32, effective: bool) -> Result<(), Errno> {
    let flags = if effective { libc::AT_EACCESS } else { 0 };
    // SAFETY: the path ends with NUL.
    done(unsafe { libc::faccessat(libc::AT_FDCWD, fd_path(fd).as_ptr(), mode as i32, flags) })
}
/// Makes a directory the host process's current one.
pub(crate) fn change_dir(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: plain system call.
    done(unsafe { libc::fchdir(fd) })
}

/// One entry of a directory.
pub(crate) struct Entry {
    pub ino: u64,
    /// Where to continue behind it.
    pub next: u64,
    pub kind: u8,
    pub name: Vec<u8>,
}

/// The next entries of a directory, at most `bytes` of them in Linux's format; empty at the end.
pub(crate) fn read_dir(fd: RawFd, bytes: usize) -> Result<Vec<Entry>, Errno> {
    let mut buffer = vec![0u8; bytes];
    // SAFETY: the buffer is valid for its length.
    let len = unsafe { libc::syscall(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len()) }
        .checked()? as usize;
    let mut entries = Vec::new();
    let mut rest = &buffer[..len];
    while rest.len() > 19 {
        let reader = crate::abi::structs::Reader(rest);
        let size = usize::from(reader.u16(16)).clamp(19, rest.len());
        let name = &rest[19..size];
        let end = name
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(name.len());
        entries.push(Entry {
            ino: reader.u64(0),
            next: reader.u64(8),
            kind: rest[18],
            name: name[..end].to_vec(),
        });
        rest = &rest[size..];
    }
    Ok(entries)
}

/// A file in memory without a name.
pub(crate) fn memory_file(name: &CStr, sealable: bool) -> Result<OwnedFd, Errno> {
    let flags = libc::MFD_CLOEXEC | if sealable { libc::MFD_ALLOW_SEALING } else { 0 };
    // SAFETY: the name ends with NUL.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) }.checked()?;
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn set_umask(mask: u32) -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::umask(mask as _) as u32 }
}

/// The umask, which the host only tells by changing it.
pub(crate) fn current_umask() -> u32 {
    let mask = set_umask(0o22);
    set_umask(mask);
    mask
}

/// Holds what `path` names if `root` is taken for `/`, links included; `None` if there is nothing.
pub(crate) fn open_in_root(root: RawFd, path: &CStr) -> Option<OwnedFd> {
    // SAFETY: all-zero is a valid open_how; the path ends with NUL.
    unsafe {
        let mut how: libc::open_how = std::mem::zeroed();
        how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
        how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
        let size = std::mem::size_of_val(&how);
        let fd = libc::syscall(libc::SYS_openat2, root, path.as_ptr(), &how, size);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as RawFd))
    }
}
