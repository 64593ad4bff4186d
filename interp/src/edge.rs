//! From one block to the next.

use crate::block::{Block, Record};
use crate::threaded::{Context, Edge, Stop, handler, stop};
use hart::{HartState, Memory};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// Goes on to another record: see the first comment of `threaded.rs`.
macro_rules! go_on {
    ($hart:ident, $mem:ident, $cx:ident, $budget:expr, $block:expr, $record:expr) => {
        if cfg!(debug_assertions) {
            $cx.resume = Some(($budget, $block, $record));
        } else {
            // SAFETY: the record is the block's.
            unsafe { ($record.as_ref().handler)($hart, $mem, $cx, $budget, $block, $record) }
        }
    };
}
pub(crate) use go_on;

/// Goes on to a block, at `pc`, if nothing is in the way, else to `$blocked`, which is told whether the
/// block is hot. That it is a function with the arguments of a handler keeps this short: it works out again what only it
/// needs.
macro_rules! enter {
    ($hart:ident, $mem:ident, $cx:ident, $budget:ident, $from:ident, $record:ident, $to:expr, $pc:expr, $blocked:ident) => {{
        let to: NonNull<Block<M>> = $to;
        let pc: u64 = $pc;
        // SAFETY: links and the jump cache lead to live blocks.
        let block = unsafe { to.as_ref() };
        let left = $budget - block.length.get();
        let elsewhere = M::SYSTEM && !block.is_mapped(pc, $mem);
        if left < 0 || elsewhere || $cx.poll.load(Ordering::Relaxed) != 0 {
            // SAFETY: the caller's promise.
            return unsafe { $blocked::<M, false>($hart, $mem, $cx, $budget, $from, $record) };
        }
        if block.arrive() {
            // SAFETY: the caller's promise.
            return unsafe { $blocked::<M, true>($hart, $mem, $cx, $budget, $from, $record) };
        }
        if M::SYSTEM {
            $hart.pc = pc;
        }
        go_on!($hart, $mem, $cx, left, to, block.first.get())
    }};
}

handler! {
    /// Goes on from the last instruction of a block to the one behind it. Also the handler of the
    /// record that ends a block whose last instruction does not.
    #[inline(always)]
    pub(crate) fn next<M>(hart, mem, cx, budget, block, record) {
        // SAFETY: the caller's promise.
        let (this, last) = unsafe { (block.as_ref(), record.as_ref()) };
        let (to, pc) = (this.next.get(), last.next(this, hart));
        enter!(hart, mem, cx, budget, block, record, to, pc, next_blocked)
    }
}

handler! {
    /// Goes on from a jump or branch to its target, which a machine's hart has as its pc.
    #[inline(always)]
    pub(crate) fn target<M>(hart, mem, cx, budget, block, record) {
        // SAFETY: the caller's promise.
        let to = unsafe { block.as_ref() }.target.get();
        enter!(hart, mem, cx, budget, block, record, to, hart.pc, target_blocked)
    }
}

handler! {
    /// Goes on from a computed jump, which has set pc.
    #[inline(always)]
    pub(crate) fn computed<M>(hart, mem, cx, budget, block, record) {
        let (start, to) = cx.jumps.lookup(hart.pc);
        if start != hart.pc {
            // SAFETY: the caller's promise.
            return unsafe { computed_blocked::<M, false>(hart, mem, cx, budget, block, record) };
        }
        enter!(hart, mem, cx, budget, block, record, to, hart.pc, computed_blocked)
    }
}

handler! {
    /// Stops at the end of a block.
    #[cold]
    #[inline(never)]
    fn next_blocked<M, const HOT: bool>(hart, _mem, cx, budget, block, record) {
        // SAFETY: the caller's promise.
        let pc = unsafe { record.as_ref().next(block.as_ref(), hart) };
        stop(hart, cx, pc, budget, why::<M, HOT>(Edge::Next(block)));
    }
}

handler! {
    /// Stops at the target of a jump or branch.
    #[cold]
    #[inline(never)]
    fn target_blocked<M, const HOT: bool>(hart, _mem, cx, budget, block, record) {
        // SAFETY: the caller's promise.
        let (this, record) = unsafe { (block.as_ref(), record.as_ref()) };
        let pc = match M::SYSTEM {
            true => hart.pc,
            // Only instructions with a target get here, so the alternative does not arise.
            false => {
                let next = record.next(this, hart);
                record.insn.direct_target(record.pc(this, hart)).unwrap_or(next)
            }
        };
        stop(hart, cx, pc, budget, why::<M, HOT>(Edge::Target(block)));
    }
}

handler! {
    /// Stops at the target of a computed jump.
    #[cold]
    #[inline(never)]
    fn computed_blocked<M, const HOT: bool>(hart, _mem, cx, budget, _block, _record) {
        stop(hart, cx, hart.pc, budget, why::<M, HOT>(Edge::Computed));
    }
}

fn why<M: Memory, const HOT: bool>(edge: Edge<M>) -> Stop<M> {
    if HOT { Stop::Hot } else { Stop::Edge(edge) }
}
