//! The clocks that a process sees: the host's, or virtual ones that count instructions.

use crate::host;
use std::sync::atomic::{AtomicU64, Ordering};

/// Wall-clock time at which a virtual clock starts: 2026-01-01 00:00:00 UTC.
const VIRTUAL_EPOCH: u64 = 1_767_225_600_000_000_000;

/// The process's clocks, in nanoseconds.
pub(crate) enum Clock {
    /// The host's.
    Host,
    /// Instructions retired plus time slept.
    Virtual {
        /// Instructions retired by all threads.
        retired: AtomicU64,
        /// Nanoseconds that were skipped while all threads slept.
        skipped: AtomicU64,
    },
}

impl Clock {
    pub fn new_virtual(retired: u64, skipped: u64) -> Clock {
        Clock::Virtual {
            retired: AtomicU64::new(retired),
            skipped: AtomicU64::new(skipped),
        }
    }

    /// CLOCK_MONOTONIC.
    pub fn monotonic(&self) -> u64 {
        match self {
            Clock::Host => host::time::monotonic(),
            Clock::Virtual { retired, skipped } => {
                retired.load(Ordering::Relaxed) + skipped.load(Ordering::Relaxed)
            }
        }
    }

    /// CLOCK_REALTIME.
    pub fn realtime(&self) -> u64 {
        match self {
            Clock::Host => host::time::realtime(),
            Clock::Virtual { .. } => VIRTUAL_EPOCH + self.monotonic(),
        }
    }

    /// Processor time of the process.
    pub fn process_cpu(&self) -> u64 {
        match self {
            Clock::Host => host::time::process_cpu(),
            Clock::Virtual { retired, .. } => retired.load(Ordering::Relaxed),
        }
    }

    /// Processor time of the calling thread.
    pub fn thread_cpu(&self) -> u64 {
        match self {
            Clock::Host => host::time::thread_cpu(),
            Clock::Virtual { retired, .. } => retired.load(Ordering::Relaxed),
        }
    }

    /// Takes note of the instructions retired (virtual clock only).
    pub fn set_retired(&self, count: u64) {
        if let Clock::Virtual { retired, .. } = self {
            retired.store(count, Ordering::Relaxed);
        }
    }

    /// Skips ahead to a time, because everybody sleeps (virtual clock only).
    pub fn skip_to(&self, time: u64) {
        if let Clock::Virtual { skipped, .. } = self {
            let ahead = time.saturating_sub(self.monotonic());
            skipped.fetch_add(ahead, Ordering::Relaxed);
        }
    }

    /// Nanoseconds skipped so far.
    pub fn skipped(&self) -> u64 {
        match self {
            Clock::Host => 0,
            Clock::Virtual { skipped, .. } => skipped.load(Ordering::Relaxed),
        }
    }
}
