//! Entering and leaving compiled code on x86-64.

use crate::code::HOST_STACK;
use crate::context::{Context, code};
use std::arch::naked_asm;

/// The number of Cranelift's pinned register, r15.
pub const PINNED_REGISTER: usize = 15;

/// Runs compiled code until it returns an exit code. `trampoline` takes function, entry, sp and a0
/// by the C ABI and calls the region by Cranelift's.
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
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdi + {host_stack}], rsp",
        "mov r15, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov rcx, r8",
        "call r9",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        host_stack = const HOST_STACK,
    )
}

/// Where the fault handler sends a hart: returns from `enter` with a trap. Not to be called.
#[unsafe(naked)]
pub unsafe extern "C" fn leave() {
    naked_asm!(
        "mov rsp, [r15 + {host_stack}]",
        "mov eax, {trap}",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        host_stack = const HOST_STACK,
        trap = const code::TRAP,
    )
}
