//! The machine's one clock.
//!
//! An exact clock counts the instructions that all harts have retired, and what they slept: its
//! *position*. A tick of `mtime` is [`INSTRUCTIONS_PER_TICK`] of them.

use super::ClockKind;
use devices::TICKS_PER_SECOND;
use hart::csr::INSTRUCTIONS_PER_TICK;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The end of time: nothing sleeps beyond this position. 146 years, so that positions never overflow.
const END: u64 = 1 << 62;

/// The clock.
pub struct MachineClock {
    /// When the host's clock was 0; none if the clock is exact.
    start: Option<Instant>,
    /// What the position is more than the running hart's count of retired instructions (wrapping).
    base: AtomicU64,
    /// The running hart's count as of its last access to a device.
    instret: AtomicU64,
    /// What mtime is more than it would be by itself (wrapping): a guest may write it.
    offset: AtomicU64,
}

impl MachineClock {
    pub fn new(kind: ClockKind) -> MachineClock {
        MachineClock {
            start: (kind == ClockKind::Host).then(Instant::now),
            base: AtomicU64::new(0),
            instret: AtomicU64::new(0),
            offset: AtomicU64::new(0),
        }
    }

    /// Whether it is the host's.
    pub fn is_host(&self) -> bool {
        self.start.is_some()
    }

    /// From now on a hart runs that has retired `instret` instructions, at this position.
    pub fn begin(&self, position: u64, instret: u64) {
        if self.is_host() {
            // Harts that run at the same time would wait for each other here, for nothing.
            return;
        }
        self.base
            .store(position.wrapping_sub(instret), Ordering::Relaxed);
        self.instret.store(instret, Ordering::Relaxed);
    }

    /// The running hart has retired so many instructions.
    pub fn advance(&self, instret: u64) {
        if self.is_host() {
            return;
        }
        self.instret.store(instret, Ordering::Relaxed);
    }

    /// Time when the running hart has retired so many.
    pub fn time(&self, instret: u64) -> u64 {
        let ticks = match self.start {
            Some(start) => {
                let ns = start.elapsed().as_nanos();
                // The cast wraps after 58,000 years.
                (ns / u128::from(1_000_000_000 / TICKS_PER_SECOND)) as u64
            }
            None => self.base.load(Ordering::Relaxed).wrapping_add(instret) / INSTRUCTIONS_PER_TICK,
        };
        ticks.wrapping_add(self.offset.load(Ordering::Relaxed))
    }

    /// The first position at which time is `mtime`, for an exact clock.
    pub fn position_of(&self, mtime: u64) -> u64 {
        let ticks = mtime.wrapping_sub(self.offset.load(Ordering::Relaxed));
        // An mtime before the offset's lies in the past, or so far ahead that it never comes.
        ticks.saturating_mul(INSTRUCTIONS_PER_TICK).min(END)
    }

    /// Whether `mtime`, which is ahead, ever comes.
    pub fn reaches(&self, mtime: u64) -> bool {
        mtime != u64::MAX && (self.is_host() || self.position_of(mtime) < END)
    }

    /// How long it takes until time is `mtime`, for the host's clock.
    pub fn until(&self, mtime: u64) -> Duration {
        let ticks = mtime
            .saturating_sub(self.time(0))
            .min(TICKS_PER_SECOND * 3600);
        Duration::from_nanos(ticks * (1_000_000_000 / TICKS_PER_SECOND))
    }
}

impl devices::Clock for MachineClock {
    fn mtime(&self) -> u64 {
        self.time(self.instret.load(Ordering::Relaxed))
    }

    fn set_mtime(&self, mtime: u64) {
        let change = mtime.wrapping_sub(devices::Clock::mtime(self));
        self.offset.fetch_add(change, Ordering::Relaxed);
    }
}
