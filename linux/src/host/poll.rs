//! Waiting for files on the host: poll, epoll, event and timer descriptors.

use super::Checked;
use crate::errno::Errno;

/// Linux's event bits are the same on every architecture we host on.
pub(crate) fn pollfd((fd, events): (i32, i16)) -> libc::pollfd {
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// What is ready now; never waits. The events of each file, in order.
pub(crate) fn poll_now(fds: &[(i32, i16)]) -> Result<Vec<i16>, Errno> {
    let mut fds: Vec<_> = fds.iter().map(|&fd| pollfd(fd)).collect();
    poll_for(&mut fds, 0)?;
    Ok(fds.iter().map(|fd| fd.revents).collect())
}

/// Waits on this thread for up to `millis`; true if something is ready.
pub(crate) fn poll_wait(fds: &[(i32, i16)], millis: i32) -> bool {
    let mut fds: Vec<_> = fds.iter().map(|&fd| pollfd(fd)).collect();
    poll_for(&mut fds, millis).is_ok_and(|ready| ready > 0)
}

fn poll_for(fds: &mut [libc::pollfd], millis: i32) -> Result<i32, Errno> {
    // SAFETY: the slice is valid for its length.
    unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as _, millis) }.checked()
}

pub(crate) fn epoll_create() -> Result<i32, Errno> {
    // SAFETY: plain system call.
    unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.checked()
}

/// The guest's epoll_event (events, data) in the host's layout, which is packed on x86-64 only.
pub(crate) fn epoll_ctl(epoll: i32, op: i32, fd: i32, event: (u32, u64)) -> Result<(), Errno> {
    let mut event = libc::epoll_event {
        events: event.0,
        u64: event.1,
    };
    // SAFETY: the event is a live local.
    unsafe { libc::epoll_ctl(epoll, op, fd, &mut event) }.checked()?;
    Ok(())
}

/// Events that are ready now, at most `max`.
pub(crate) fn epoll_now(epoll: i32, max: usize) -> Result<Vec<(u32, u64)>, Errno> {
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; max];
    // SAFETY: the buffer holds `max` events.
    let ready = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), max as i32, 0) }.checked()?;
    Ok(events[..ready as usize]
        .iter()
        .map(|event| (event.events, event.u64))
        .collect())
}

pub(crate) fn eventfd(initial: u32, semaphore: bool) -> Result<i32, Errno> {
    let flags =
        libc::EFD_CLOEXEC | libc::EFD_NONBLOCK | if semaphore { libc::EFD_SEMAPHORE } else { 0 };
    // SAFETY: plain system call.
    unsafe { libc::eventfd(initial, flags) }.checked()
}

pub(crate) fn timerfd(realtime: bool) -> Result<i32, Errno> {
    let clock = if realtime {
        libc::CLOCK_REALTIME
    } else {
        libc::CLOCK_MONOTONIC
    };
    // SAFETY: plain system call.
    unsafe { libc::timerfd_create(clock, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) }.checked()
}

/// Interval and value in nanoseconds; what was set before.
pub(crate) fn timerfd_set(
    fd: i32,
    absolute: bool,
    interval: u64,
    value: u64,
) -> Result<(u64, u64), Errno> {
    let new = libc::itimerspec {
        it_interval: super::time::duration(interval),
        it_value: super::time::duration(value),
    };
    let mut old = new;
    let flags = if absolute { libc::TFD_TIMER_ABSTIME } else { 0 };
    // SAFETY: both are live locals.
    unsafe { libc::timerfd_settime(fd, flags, &new, &mut old) }.checked()?;
    Ok(nanos(&old))
}

pub(crate) fn timerfd_get(fd: i32) -> Result<(u64, u64), Errno> {
    let zero = super::time::duration(0);
    let mut now = libc::itimerspec {
        it_interval: zero,
        it_value: zero,
    };
    // SAFETY: a live local.
    unsafe { libc::timerfd_gettime(fd, &mut now) }.checked()?;
    Ok(nanos(&now))
}

fn nanos(spec: &libc::itimerspec) -> (u64, u64) {
    let one = |time: libc::timespec| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
    (one(spec.it_interval), one(spec.it_value))
}

/// An instance for watching files.
pub(crate) fn inotify() -> Result<i32, Errno> {
    // SAFETY: plain system call.
    unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) }.checked()
}

/// Watches an open file, also one opened with O_PATH.
pub(crate) fn inotify_add(inotify: i32, fd: i32, mask: u32) -> Result<i32, Errno> {
    let path = super::fs::fd_path(fd);
    // SAFETY: the path ends with NUL.
    unsafe { libc::inotify_add_watch(inotify, path.as_ptr(), mask) }.checked()
}

pub(crate) fn inotify_remove(inotify: i32, watch: i32) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::inotify_rm_watch(inotify, watch) }.checked()?;
    Ok(())
}
