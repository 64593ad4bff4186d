//! Everything that knows the host's processor or operating system.

mod frame;
mod pagemap;
pub(crate) mod pages;
pub(crate) mod recovery;
pub(crate) mod signal;
mod sparse;

#[cfg(target_arch = "aarch64")]
#[path = "guarded_aarch64.rs"]
pub(crate) mod guarded;
#[cfg(target_arch = "x86_64")]
#[path = "guarded_x86_64.rs"]
pub(crate) mod guarded;

pub use frame::HostFrame;
pub(crate) use pagemap::Touched;
pub(crate) use sparse::Sparse;

/// Lets another thread run. Async-signal-safe.
pub(crate) fn yield_now() {
    rustix::thread::sched_yield();
}
