//! Entering and leaving compiled code on x86-64.

use crate::code::HOST_STACK;
use crate::context::{Context, code};
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
        "call r9",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rdi",
        "pop rbp",
        "ret",
        host_stack = const HOST_STACK,
    )
}

/// Where the fault handler sends a hart: returns from `enter`. Not to be called.
#[unsafe(naked)]
pub unsafe extern "C" fn leave() {
    naked_asm!(
        "mov rsp, [rdi + {host_stack}]",
        "mov eax, {replay}",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rdi",
        "pop rbp",
        "ret",
        host_stack = const HOST_STACK,
        replay = const code::REPLAY,
    )
}
