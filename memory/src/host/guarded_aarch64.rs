//! Accesses that report a host fault instead of dying of it, for aarch64.
//!
//! Plain loads and stores are as weak as RVWMO's. The compare-exchange is sequentially consistent
//! and writes the old value back if it differs, so that a page that may not be written faults.

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
                    fix!("mov {failed:w}, #1", "b"),
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
load!(load_u8, u8, "ldrb {value:w}, [{host}]", u32);
load!(load_u16, u16, "ldrh {value:w}, [{host}]", u32);
load!(load_u32, u32, "ldr {value:w}, [{host}]", u32);
load!(load_u64, u64, "ldr {value:x}, [{host}]", u64);

macro_rules! store {
    ($name:ident, $ty:ty, $insn:literal) => {
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
                    fix!("mov {failed:w}, #1", "b"),
                    recover!("2b", "4b"),
                    host = in(reg) host,
                    value = in(reg) u64::from(value),
                    failed = inout(reg) 0_u32 => failed,
                    options(nostack, preserves_flags),
                );
            }
            failed == 0
        }
    };
}
store!(store_u8, u8, "strb {value:w}, [{host}]");
store!(store_u16, u16, "strh {value:w}, [{host}]");
store!(store_u32, u32, "str {value:w}, [{host}]");
store!(store_u64, u64, "str {value:x}, [{host}]");

macro_rules! exchange {
    ($name:ident, $ty:ty, $load:literal, $compare:literal, $select:literal, $store:literal) => {
        /// Replaces `expected` by `new` if it is there; the old value either way.
        ///
        /// # Safety
        /// `host` lies within a registered space's window and guards, and is aligned.
        #[inline(always)]
        pub(crate) unsafe fn $name(host: *mut u8, expected: $ty, new: $ty) -> Option<$ty> {
            let (old, failed): ($ty, u32);
            // SAFETY: accesses guest memory, to which no Rust reference exists; a fault is
            // recovered from by the entries in the recovery table.
            unsafe {
                asm!(
                    concat!("2: ", $load),
                    $compare,
                    $select,
                    concat!("5: ", $store),
                    "cbnz {failed:w}, 2b",
                    "dmb ish",
                    "3:",
                    fix!("mov {failed:w}, #1", "b"),
                    recover!("2b", "4b"),
                    recover!("5b", "4b"),
                    host = in(reg) host,
                    expected = in(reg) expected,
                    new = in(reg) new,
                    old = out(reg) old,
                    put = out(reg) _,
                    failed = out(reg) failed,
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
    "ldaxr {old:w}, [{host}]",
    "cmp {old:w}, {expected:w}",
    "csel {put:w}, {new:w}, {old:w}, eq",
    "stlxr {failed:w}, {put:w}, [{host}]"
);
exchange!(
    exchange_u64,
    u64,
    "ldaxr {old:x}, [{host}]",
    "cmp {old:x}, {expected:x}",
    "csel {put:x}, {new:x}, {old:x}, eq",
    "stlxr {failed:w}, {put:x}, [{host}]"
);

/// Copies bytes upwards and says how many were left when a fault stopped it.
///
/// # Safety
/// Each side lies either within a registered space's window and guards, or in valid memory of the
/// caller's. They don't overlap.
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, count: usize) -> usize {
    let left: usize;
    // SAFETY: the caller's promise; a fault is recovered from by the entries in the recovery
    // table. The count goes down only after the store, so what faulted is still counted.
    unsafe {
        asm!(
            "6: cmp {left}, #8",
            "b.lo 8f",
            "2: ldr {word}, [{from}]",
            "5: str {word}, [{to}]",
            "add {from}, {from}, #8",
            "add {to}, {to}, #8",
            "sub {left}, {left}, #8",
            "b 6b",
            // Byte by byte: the tail, and what remains after a fault within eight bytes.
            "8: cbz {left}, 3f",
            "7: ldrb {word:w}, [{from}]",
            "9: strb {word:w}, [{to}]",
            "add {from}, {from}, #1",
            "add {to}, {to}, #1",
            "sub {left}, {left}, #1",
            "b 8b",
            "3:",
            recover!("2b", "8b"),
            recover!("5b", "8b"),
            recover!("7b", "3b"),
            recover!("9b", "3b"),
            left = inout(reg) count => left,
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            word = out(reg) _,
            options(nostack),
        );
    }
    left
}
