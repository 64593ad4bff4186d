//! The mapping that a hart's stack is in.
//!
//! A function saves registers on its stack before anything else. Were that an access like others, it
//! could fault, and each call would make a checkpoint: all that is in registers stored to the context.
//! So compiled code compares the stack pointer with the bounds of a mapping that can be read and
//! written (`analysis/stacks.rs` says where), and accesses through it then need none.
//!
//! The bounds are the hart's own. They are found when the comparison fails, and given up before the
//! mapping changes: whoever changes it waits until the hart is out of compiled code, unless it is the
//! only one, which then is in a system call.

use crate::context::{Context, SharedContext};
use memory::{StackUser, UserSpace};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// How far below the stack pointer is known to be memory where the comparison held.
pub const ROOM_BELOW: i64 = 2048;
/// How far above it, up to the end of an access through it.
pub const ROOM_ABOVE: i64 = 2048 + 8;
/// Comparisons that fail wherever the stack is looked for before nothing is compiled any more that
/// relies on it.
pub const MOST_REFUSED: u32 = 100;

/// The fields that other threads reach too.
struct Shared<'a> {
    low: &'a AtomicU64,
    high: &'a AtomicU64,
    inside: &'a AtomicU32,
}

impl SharedContext {
    fn stack(&self) -> Shared<'_> {
        let context: *mut Context = self.pointer();
        // SAFETY: the fields are atomic and live as long as `self`.
        unsafe {
            Shared {
                low: &(*context).stack_low,
                high: &(*context).stack_high,
                inside: &(*context).inside,
            }
        }
    }

    /// Whether a stack pointer is in bounds.
    pub fn is_on_stack(&self, sp: u64) -> bool {
        let shared = self.stack();
        sp >= shared.low.load(Ordering::Relaxed) && sp <= shared.high.load(Ordering::Relaxed)
    }

    /// Without compiled code that relies on the stack: all of the window will do, as for other addresses.
    pub fn take_any_stack(&self, sp: u64) -> bool {
        let shared = self.stack();
        shared.low.store(0, Ordering::SeqCst);
        shared.high.store(memory::LIMIT - 1, Ordering::SeqCst);
        sp < memory::LIMIT
    }

    /// Finds the mapping that the stack pointer is in. Whether compiled code may go on.
    pub fn find_stack(&self, space: &UserSpace, sp: u64) -> bool {
        let shared = self.stack();
        let mut fits = false;
        space.with_stack_at(sp, |start, end| {
            let low = start.saturating_add_signed(ROOM_BELOW);
            let high = end.saturating_add_signed(-ROOM_ABOVE);
            fits = (low..=high).contains(&sp);
            shared.low.store(low, Ordering::SeqCst);
            shared.high.store(high, Ordering::SeqCst);
        });
        fits
    }

    /// The hart enters compiled code; `alone`: there is no other.
    pub fn go_inside(&self, alone: bool) {
        if !alone {
            self.stack().inside.store(1, Ordering::SeqCst);
            // Either bounds that were given up are seen by the code, or this is by whoever gave them up.
            fence(Ordering::SeqCst);
        }
    }

    /// It has left it.
    pub fn come_outside(&self) {
        self.stack().inside.store(0, Ordering::Release);
    }
}

impl StackUser for SharedContext {
    fn give_up(&self, start: u64, end: u64) -> bool {
        let shared = self.stack();
        let (low, high) = (
            shared.low.load(Ordering::SeqCst),
            shared.high.load(Ordering::SeqCst),
        );
        let (from, to) = (
            low.saturating_add_signed(-ROOM_BELOW),
            high.saturating_add_signed(ROOM_ABOVE),
        );
        let everything = low == 0;
        if from >= end || to <= start || everything || low == u64::MAX {
            return false;
        }
        shared.low.store(u64::MAX, Ordering::SeqCst);
        shared.high.store(0, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.has_given_up() {
            return false;
        }
        self.ask_back();
        true
    }

    fn has_given_up(&self) -> bool {
        self.stack().inside.load(Ordering::SeqCst) == 0
    }
}
