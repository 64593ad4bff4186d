//! Time as devices see it, and how their threads get the machine's attention.

/// `mtime` ticks in a second.
pub const TICKS_PER_SECOND: u64 = 10_000_000;
/// Nanoseconds in a tick.
pub const TICK_NS: u64 = 1_000_000_000 / TICKS_PER_SECOND;

/// The machine's one clock, `mtime`: derived from instructions retired, or the host's.
pub trait Clock: Send + Sync {
    /// Now, in ticks of 10 MHz.
    fn mtime(&self) -> u64;
    /// A guest wrote mtime: it goes on from here.
    fn set_mtime(&self, mtime: u64);
}

/// Called by a device's thread when there is something for [`crate::Bus::attend`] to take, and by
/// [`crate::HartLines`] when a line rises. May be called from any thread, a hart's own included.
pub trait Bell: Send + Sync {
    /// Returns at once.
    fn ring(&self);
}

/// When work done beside the guest shows in the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// When the host is done.
    Host,
    /// This many ticks after it was asked for, whatever the host does: the machine waits if need
    /// be. What a guest sees is then reproducible.
    Exact {
        /// Ticks from request to completion.
        latency: u64,
    },
}
