//! The host's clocks.

use crate::abi::structs::Timespec;

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a local; the clocks used here exist.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub(crate) fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}
pub(crate) fn realtime() -> u64 {
    clock(libc::CLOCK_REALTIME)
}
pub(crate) fn process_cpu() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}
pub(crate) fn thread_cpu() -> u64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The host's form of a time.
pub(crate) fn timespec(time: Timespec) -> libc::timespec {
    libc::timespec {
        tv_sec: time.seconds as _,
        tv_nsec: time.nanoseconds as _,
    }
}

/// The host's form of a duration.
pub(crate) fn duration(nanos: u64) -> libc::timespec {
    timespec(Timespec::from_nanos(nanos))
}
