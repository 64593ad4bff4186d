//! Who we are to the host.

/// The number of the user whose rights we have.
pub fn user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}
