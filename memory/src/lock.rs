//! A lock that a signal handler may take.

use crate::host;
use std::sync::atomic::{AtomicBool, Ordering};

/// A spin lock. While it is held no guest memory may be touched: the fault handler takes it too.
#[derive(Default)]
pub(crate) struct SpinLock {
    held: AtomicBool,
}

/// Releases the lock when dropped.
pub(crate) struct SpinGuard<'a> {
    lock: &'a SpinLock,
}

impl SpinLock {
    pub(crate) fn lock(&self) -> SpinGuard<'_> {
        let mut tries = 0_u32;
        while self.held.swap(true, Ordering::Acquire) {
            // The holder may be in a mapping call of many milliseconds.
            while self.held.load(Ordering::Relaxed) {
                tries += 1;
                if tries.is_multiple_of(64) {
                    host::yield_now()
                } else {
                    std::hint::spin_loop()
                }
            }
        }
        SpinGuard { lock: self }
    }
}

impl Drop for SpinGuard<'_> {
    fn drop(&mut self) {
        self.lock.held.store(false, Ordering::Release);
    }
}
