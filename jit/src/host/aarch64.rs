//! Entering and leaving compiled code on aarch64.

use crate::code::HOST_STACK;
use crate::context::{Context, code};
use std::arch::naked_asm;

/// The frame pointer, x29.
pub const FRAME_REGISTER: usize = 29;
/// Where `leave` expects the context, x0.
pub const CONTEXT_REGISTER: usize = 0;
/// Where `enter` keeps the context, relative to its frame pointer.
pub const CONTEXT_IN_FRAME: i32 = 160;

/// Runs compiled code until it returns an exit code. `trampoline` takes context, function,
/// entry, sp and a0 by the C ABI and calls the region by Cranelift's.
///
/// # Safety
/// `function` and `trampoline` are code of a generation that the caller keeps alive, `entry` is an
/// entry of the function, and only the caller uses the context.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(
    context: *mut Context,
    function: u64,
    entry: u64,
    sp: u64,
    a0: u64,
    trampoline: usize,
) -> u64 {
    naked_asm!(
        "stp x29, x30, [sp, #-176]!",
        "mov x29, sp",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "str x0, [sp, #160]",
        "mov x9, sp",
        "str x9, [x0, #{host_stack}]",
        "blr x5",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #176",
        "ret",
        host_stack = const HOST_STACK,
    )
}

/// Leaves compiled code in the middle: returns from `enter`, with [`code::REPLAY`].
///
/// # Safety
/// The context is that of the innermost call of `enter` on this thread. No function in between has
/// anything to do when it is left.
#[unsafe(naked)]
pub unsafe extern "C" fn leave(context: *mut Context) -> ! {
    naked_asm!(
        "ldr x9, [x0, #{host_stack}]",
        "mov sp, x9",
        "mov x0, #{replay}",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #176",
        "ret",
        host_stack = const HOST_STACK,
        replay = const code::REPLAY,
    )
}

/// Nothing needs to be set: compiled code looks after the guest's flags and rounding itself,
/// because this host detects tininess before rounding.
pub fn float_control(_frm: u32) -> Option<u32> {
    Some(0)
}

/// None, see [`float_control`].
pub fn raised(_control: u32) -> u32 {
    0
}

/// Nothing: compiled code keeps the guest's flags in the context.
#[unsafe(naked)]
pub extern "C" fn collect_flags(_context: *mut Context) {
    naked_asm!("ret")
}

/// The host's own clock, which ticks at some steady rate. Cheap to read, and never exact.
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: only reads a counter, which Linux and macOS let programs read.
    unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}
