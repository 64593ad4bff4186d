//! What differs between hosts: entering compiled code and leaving it in the middle, and memory that
//! is written by one mapping and executed by another. Everything else is Cranelift's business.

/// Frames between a helper's thunk and `enter`, its own not counted: of the region, of the
/// trampoline, of `enter`. Each holds the address of the next one first.
pub const FRAMES: usize = 3;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_os = "linux")]
mod arena_linux;
#[cfg(target_os = "macos")]
mod arena_macos;

#[cfg(target_arch = "aarch64")]
pub use aarch64::{
    CONTEXT_IN_FRAME, CONTEXT_REGISTER, FRAME_REGISTER, collect_flags, enter, float_control, leave,
    raised, ticks,
};
#[cfg(target_os = "linux")]
pub use arena_linux::Arena;
#[cfg(target_os = "macos")]
pub use arena_macos::Arena;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{
    CONTEXT_IN_FRAME, CONTEXT_REGISTER, FRAME_REGISTER, collect_flags, enter, float_control, leave,
    raised, ticks,
};

/// CPU time of this thread so far, in nanoseconds. A clock on the wall would count what other
/// threads do meanwhile.
pub fn cpu_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live local. The clock exists on every system we build for; if it
    // did not, the time would stay zero.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
