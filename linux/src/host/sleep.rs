//! How a host thread sleeps so that no wake-up is lost, from another thread or a signal handler.

use super::signal;
use super::time::duration;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

/// The place where one thread sleeps.
pub(crate) struct Sleeper {
    /// 1: do not sleep. Taken back by the sleeper.
    token: AtomicU32,
    /// The thread is in, or about to enter, a wait that only a signal ends.
    polling: AtomicBool,
    /// The host's number of the thread; 0 until it runs.
    thread: AtomicI32,
}

impl Sleeper {
    pub fn new() -> Sleeper {
        Sleeper {
            token: AtomicU32::new(0),
            polling: AtomicBool::new(false),
            thread: AtomicI32::new(0),
        }
    }

    /// The calling thread is the one that sleeps here. Again after a fork.
    pub fn adopt(&self) {
        self.polling.store(false, Ordering::SeqCst);
        self.thread.store(signal::thread_id(), Ordering::SeqCst);
    }

    /// The host's number of the thread; 0 until it runs.
    pub fn thread(&self) -> i32 {
        self.thread.load(Ordering::SeqCst)
    }

    /// Ends the thread's sleep, or its next one. Safe in a signal handler.
    pub fn wake(&self) {
        self.token.store(1, Ordering::SeqCst);
        // SAFETY: the address is of a live atomic; waking touches no memory.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.token.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            )
        };
        if self.polling.load(Ordering::SeqCst) {
            signal::kick_thread(self.thread());
        }
    }

    /// Whether somebody has woken the thread since it last slept.
    pub fn is_woken(&self) -> bool {
        self.token.load(Ordering::SeqCst) != 0
    }

    /// Takes a wake-up back.
    pub fn take_woken(&self) -> bool {
        self.token.swap(0, Ordering::SeqCst) != 0
    }

    /// Sleeps until woken or for `timeout` nanoseconds; not at all if `stay` does not hold.
    pub fn sleep(&self, timeout: Option<u64>, stay: impl Fn() -> bool) {
        let timeout = timeout.map(duration);
        let timeout = timeout
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        if stay() {
            // A wake-up before this moment has set the token, and the host then returns at once.
            // SAFETY: the token and the timeout are live for the call.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.token.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    0,
                    timeout,
                )
            };
        }
        self.token.store(0, Ordering::SeqCst);
    }

    /// The same, and until one of the events (POLLIN...) happens.
    pub fn sleep_on_fds(&self, fds: &[(i32, i16)], timeout: Option<u64>, stay: impl Fn() -> bool) {
        // Signals are let in only while the host waits, so that none slips in between the last
        // look and the wait.
        let before = signal::block_all();
        self.polling.store(true, Ordering::SeqCst);
        if stay() {
            let mut fds: Vec<_> = fds.iter().map(|&fd| super::poll::pollfd(fd)).collect();
            let timeout = timeout.map(duration);
            let timeout = timeout
                .as_ref()
                .map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: all pointers are to live locals.
            unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as _, timeout, &before) };
        }
        self.polling.store(false, Ordering::SeqCst);
        self.token.store(0, Ordering::SeqCst);
        signal::set_host_mask(&before);
    }
}

impl Sleeper {
    /// Like [`Sleeper::sleep`], and until another process wakes the word of shared guest memory
    /// at `va`, if it still holds `expected`.
    pub fn sleep_on_word(
        &self,
        space: &memory::UserSpace,
        (va, expected): (u64, u32),
        timeout: Option<u64>,
        stay: impl Fn() -> bool,
    ) {
        let Ok(word) = space.host_range(va, 4, memory::Access::Load) else {
            return;
        };
        let waiter = |address: u64, value: u32, flags: u32| FutexWait {
            value: u64::from(value),
            address,
            flags,
            reserved: 0,
        };
        let both = [
            waiter(word as u64, expected, FUTEX2_SIZE_U32),
            waiter(
                self.token.as_ptr() as u64,
                0,
                FUTEX2_SIZE_U32 | FUTEX2_PRIVATE,
            ),
        ];
        let deadline = duration(super::time::monotonic().saturating_add(timeout.unwrap_or(POLL)));
        if stay() {
            // SAFETY: the array and the deadline are live; the host checks the addresses. A host
            // without the call answers at once, then a short sleep stands for it.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_futex_waitv,
                    both.as_ptr(),
                    both.len(),
                    0,
                    &deadline,
                    libc::CLOCK_MONOTONIC,
                )
            };
            if result == -1 && super::last_errno() == crate::errno::Errno::ENOSYS {
                self.sleep(Some(timeout.unwrap_or(POLL).min(1_000_000)), stay);
            }
        }
        self.token.store(0, Ordering::SeqCst);
    }
}

/// `struct futex_waitv`.
#[repr(C)]
struct FutexWait {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// How long to wait for another process before looking again by ourselves.
const POLL: u64 = 100_000_000;
const FUTEX2_SIZE_U32: u32 = 2;
const FUTEX2_PRIVATE: u32 = 128;

/// Wakes waiters of other processes on a word of shared guest memory; how many.
pub(crate) fn wake_word(space: &memory::UserSpace, va: u64, count: u64) -> u64 {
    let Ok(word) = space.host_range(va, 4, memory::Access::Load) else {
        return 0;
    };
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: the host checks the address and touches no memory.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, count) };
    u64::try_from(woken).unwrap_or(0)
}
