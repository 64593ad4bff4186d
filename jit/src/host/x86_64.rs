//! Entering and leaving compiled code on x86-64.

use crate::code::{FLOAT_CONTROL, HOST_FLOAT_CONTROL, HOST_STACK};
use crate::context::{Context, code, offset};
use std::arch::naked_asm;

/// The frame pointer, rbp.
pub const FRAME_REGISTER: usize = 5;
/// Where `leave` expects the context, rdi.
pub const CONTEXT_REGISTER: usize = 7;
/// Where `enter` keeps the context, relative to its frame pointer.
pub const CONTEXT_IN_FRAME: i32 = -8;

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
        "push rbp",
        "mov rbp, rsp",
        "push rdi",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi + {host_stack}], rsp",
        "stmxcsr [rdi + {host_float_control}]",
        "ldmxcsr [rdi + {float_control}]",
        "call r9",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rdi",
        "stmxcsr [rdi + {float_control}]",
        "ldmxcsr [rdi + {host_float_control}]",
        "pop rbp",
        "ret",
        host_stack = const HOST_STACK,
        float_control = const FLOAT_CONTROL,
        host_float_control = const HOST_FLOAT_CONTROL,
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
        "mov rsp, [rdi + {host_stack}]",
        "mov eax, {replay}",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rdi",
        "stmxcsr [rdi + {float_control}]",
        "ldmxcsr [rdi + {host_float_control}]",
        "pop rbp",
        "ret",
        host_stack = const HOST_STACK,
        float_control = const FLOAT_CONTROL,
        host_float_control = const HOST_FLOAT_CONTROL,
        replay = const code::REPLAY,
    )
}

/// What MXCSR is while compiled code runs: all exceptions masked, none raised yet, rounding as
/// `frm` says. None for modes that the host does not have (to nearest, ties away from zero) and
/// for reserved ones.
pub fn float_control(frm: u32) -> Option<u32> {
    const MASKED: u32 = 0x1f80;
    // frm: nearest even, towards zero, down, up. MXCSR: nearest even, down, up, towards zero.
    let rounding = *[0, 3, 1, 2].get(frm as usize)?;
    Some(MASKED | rounding << 13)
}

/// The exceptions that MXCSR says were raised, as bits of fflags. They mean the same on both:
/// tininess is detected after rounding. The host's bit for subnormal operands has no counterpart.
pub const fn raised(control: u32) -> u32 {
    let inexact = control >> 5 & 1;
    let underflow = control >> 4 & 1;
    let overflow = control >> 3 & 1;
    let by_zero = control >> 2 & 1;
    let invalid = control & 1;
    inexact | underflow << 1 | overflow << 2 | by_zero << 3 | invalid << 4
}

/// What [`raised`] says of each value of MXCSR's lowest six bits.
static RAISED: [u8; 64] = {
    let mut table = [0; 64];
    let mut control = 0;
    while control < table.len() {
        table[control] = raised(control as u32) as u8;
        control += 1;
    }
    table
};

/// Adds to the guest's flags what MXCSR says was raised since compiled code was entered or this was
/// last called, and clears it there. Changes no register but rflags.
#[unsafe(naked)]
pub extern "C" fn collect_flags(context: *mut Context) {
    naked_asm!(
        "stmxcsr [rdi + {float_control}]",
        "test byte ptr [rdi + {float_control}], {all}",
        "jz 2f",
        "push rax",
        "push rcx",
        "mov eax, [rdi + {float_control}]",
        "and dword ptr [rdi + {float_control}], {none}",
        "and eax, {all}",
        "lea rcx, [rip + {table}]",
        "movzx eax, byte ptr [rcx + rax]",
        "or [rdi + {fflags}], eax",
        "ldmxcsr [rdi + {float_control}]",
        "pop rcx",
        "pop rax",
        "2:",
        "ret",
        float_control = const FLOAT_CONTROL,
        fflags = const offset::FFLAGS,
        table = sym RAISED,
        all = const 0x3f,
        none = const !0x3f,
    )
}

/// The host's own clock, which ticks at some steady rate. Cheap to read, and never exact.
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has this counter; that a system could forbid to read it, none
    // that we build for does.
    unsafe { std::arch::x86_64::_rdtsc() }
}
