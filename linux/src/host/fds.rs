//! File descriptor numbers of the host process: whose they are, duplicating, flags.

use super::Checked;
use super::fs::{CURRENT_DIR, fd_path, guest_open_flags, open_flags, read_link};
use crate::abi::*;
use crate::errno::Errno;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

static LIMIT: AtomicI32 = AtomicI32::new(0);

/// File numbers from here on are the emulator's own. The guest sees it as its limit.
pub(crate) fn guest_fd_limit() -> i32 {
    let known = LIMIT.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let soft = super::process::raise_file_limit();
    let limit = (soft as i32 - 512).clamp(32, 1 << 19);
    LIMIT.store(limit, Ordering::Relaxed);
    limit
}

/// Moves one of our own files out of the guest's range of numbers, so that the guest cannot close
/// it.
pub fn move_high(mut fd: OwnedFd) -> OwnedFd {
    move_away(&mut fd);
    fd
}

/// The same for one that is in use.
pub(crate) fn move_away(fd: &mut OwnedFd) {
    // SAFETY: plain system call on a file of ours.
    let moved = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, guest_fd_limit()) };
    if moved >= 0 {
        // SAFETY: just duplicated, and nobody else's.
        *fd = unsafe { OwnedFd::from_raw_fd(moved) };
    }
}

pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: plain system call.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}
/// Whether a program started by the host would inherit it.
pub(crate) fn is_inherited(fd: RawFd) -> bool {
    // SAFETY: plain system call.
    unsafe { libc::fcntl(fd, libc::F_GETFD) & libc::FD_CLOEXEC == 0 }
}
pub(crate) fn open_numbers() -> Vec<RawFd> {
    let listed = std::fs::read_dir("/proc/self/fd").or_else(|_| std::fs::read_dir("/dev/fd"));
    let Ok(listed) = listed else {
        return (0..3).filter(|&fd| is_open(fd)).collect();
    };
    listed
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
/// Takes a file over under the lowest free number from `at_least` on.
pub(crate) fn duplicate_from(fd: RawFd, at_least: i32) -> Result<RawFd, Errno> {
    // SAFETY: plain system call.
    unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, at_least) }.checked()
}
/// Duplicates onto a number, closing what was there.
pub(crate) fn duplicate_to(fd: RawFd, to: RawFd) -> Result<RawFd, Errno> {
    // SAFETY: the caller has checked that `to` is the guest's.
    unsafe { libc::dup3(fd, to, libc::O_CLOEXEC) }.checked()
}
pub(crate) fn close(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: the caller has checked that it is the guest's.
    unsafe { libc::close(fd) }.checked().map(|_| ())
}
pub(crate) fn status_flags(fd: RawFd) -> Result<u32, Errno> {
    // SAFETY: plain system call.
    Ok(guest_open_flags(
        unsafe { libc::fcntl(fd, libc::F_GETFL) }.checked()?,
    ))
}
pub(crate) fn set_status_flags(fd: RawFd, flags: u32) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::fcntl(fd, libc::F_SETFL, open_flags(flags)) }
        .checked()
        .map(|_| ())
}
/// Pipe size and seals: Linux's own commands, whose argument and result are numbers.
pub(crate) fn control(fd: RawFd, command: u32, argument: u64) -> Result<u64, Errno> {
    let command = match command {
        F_SETPIPE_SZ => libc::F_SETPIPE_SZ,
        F_GETPIPE_SZ => libc::F_GETPIPE_SZ,
        F_ADD_SEALS => libc::F_ADD_SEALS,
        F_GET_SEALS => libc::F_GET_SEALS,
        F_SETOWN => libc::F_SETOWN,
        F_GETOWN => libc::F_GETOWN,
        _ => return Err(Errno::EINVAL),
    };
    // SAFETY: these commands take numbers, no pointers.
    Ok(unsafe { libc::fcntl(fd, command, argument as libc::c_long) }.checked()? as u64)
}

/// Whether two numbers are the same open file, position and all.
pub(crate) fn is_same_file(a: RawFd, b: RawFd) -> bool {
    const KCMP_FILE: i32 = 0;
    let pid = super::process::pid();
    // SAFETY: plain system call. Where it is not permitted, nothing is the same.
    unsafe { libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_FILE, a, b) == 0 }
}

/// Whether a file exists in memory alone.
pub(crate) fn is_memory_file(fd: RawFd) -> bool {
    read_link(CURRENT_DIR, &fd_path(fd)).is_ok_and(|target| target.starts_with(b"/memfd:"))
}
