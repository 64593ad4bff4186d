//! Accesses that report a host fault instead of dying of it, for x86-64.
//!
//! Aligned loads and stores here are atomic, with acquire and release order; a locked
//! compare-exchange is sequentially consistent.

use super::recovery::{fix, recover};
use std::arch::asm;

macro_rules! load {
    ($name:ident, $ty:ty, $insn:literal, $raw:ty) => {
        /// # Safety
        /// `host` lies within a registered space's window and guards.
        #[inline(always)]
        pub(crate) unsafe fn $name(host: *const u8) -> Option<$ty> {
            let (value, failed): ($raw, u32);
            // SAFETY: reads guest memory, to which no Rust reference exists; a fault is recovered
            // from by the entry in the recovery table.
            unsafe {
                asm!(
                    concat!("2: ", $insn),
                    "3:",
                    fix!("mov {failed:e}, 1", "jmp"),
                    recover!("2b", "4b"),
                    host = in(reg) host,
                    value = lateout(reg) value,
                    failed = inout(reg) 0_u32 => failed,
                    options(nostack, preserves_flags, readonly),
                );
            }
            (failed == 0).then_some(value as $ty)
        }
    };
}
load!(load_u8, u8, "movzx {value:e}, byte ptr [{host}]", u32);
load!(load_u16, u16, "movzx {value:e}, word ptr [{host}]", u32);
load!(load_u32, u32, "mov {value:e}, dword ptr [{host}]", u32);
load!(load_u64, u64, "mov {value:r}, qword ptr [{host}]", u64);

macro_rules! store {
    ($name:ident, $ty:ty, $insn:literal, $class:ident) => {
        /// Whether it succeeded.
        ///
        /// # Safety
        /// `host` lies within a registered space's window and guards.
        #[inline(always)]
        pub(crate) unsafe fn $name(host: *mut u8, value: $ty) -> bool {
            let failed: u32;
            // SAFETY: writes guest memory, to which no Rust reference exists; a fault is recovered
            // from by the entry in the recovery table.
            unsafe {
                asm!(
                    concat!("2: ", $insn),
                    "3:",
                    fix!("mov {failed:e}, 1", "jmp"),
                    recover!("2b", "4b"),
                    host = in(reg) host,
                    value = in($class) value,
                    failed = inout(reg) 0_u32 => failed,
                    options(nostack, preserves_flags),
                );
            }
            failed == 0
        }
    };
}
store!(store_u8, u8, "mov byte ptr [{host}], {value}", reg_byte);
store!(store_u16, u16, "mov word ptr [{host}], {value:x}", reg);
store!(store_u32, u32, "mov dword ptr [{host}], {value:e}", reg);
store!(store_u64, u64, "mov qword ptr [{host}], {value:r}", reg);

macro_rules! exchange {
    ($name:ident, $ty:ty, $insn:literal, $acc:tt) => {
        /// Replaces `expected` by `new` if it is there; the old value either way.
        ///
        /// # Safety
        /// `host` lies within a registered space's window and guards, and is aligned.
        #[inline(always)]
        pub(crate) unsafe fn $name(host: *mut u8, expected: $ty, new: $ty) -> Option<$ty> {
            let (old, failed): ($ty, u32);
            // SAFETY: accesses guest memory, to which no Rust reference exists; a fault is
            // recovered from by the entry in the recovery table.
            unsafe {
                asm!(
                    concat!("2: ", $insn),
                    "3:",
                    fix!("mov {failed:e}, 1", "jmp"),
                    recover!("2b", "4b"),
                    host = in(reg) host,
                    new = in(reg) new,
                    inout($acc) expected => old,
                    failed = inout(reg) 0_u32 => failed,
                    options(nostack),
                );
            }
            (failed == 0).then_some(old)
        }
    };
}
exchange!(
    exchange_u32,
    u32,
    "lock cmpxchg dword ptr [{host}], {new:e}",
    "eax"
);
exchange!(
    exchange_u64,
    u64,
    "lock cmpxchg qword ptr [{host}], {new:r}",
    "rax"
);

/// Copies bytes upwards and says how many were left when a fault stopped it.
///
/// # Safety
/// Each side lies either within a registered space's window and guards, or in valid memory of the
/// caller's. They don't overlap.
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, count: usize) -> usize {
    let left: usize;
    // SAFETY: the caller's promise; a fault is recovered from by the entry in the recovery table.
    // `rep movsb` keeps the bytes still to be copied in rcx at all times.
    unsafe {
        asm!(
            "2: rep movsb",
            "3:",
            recover!("2b", "3b"),
            inout("rcx") count => left,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
    left
}
