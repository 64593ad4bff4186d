//! Running blocks: one handler an instruction, each calling the next.
//!
//! A handler ends with a call of the next one in tail position, which an optimising build turns
//! into a jump; an unoptimised build returns to [`run`] instead, so that the stack does not grow
//! in either. A test runs millions of instructions on a small stack.
//!
//! Nothing is counted instruction by instruction: a block's length is taken off the budget on
//! entry, and what a trap has left undone is given back.

use crate::block::{Block, Record};
use crate::cache::JumpCache;
use crate::execute::execute;
use hart::csr::Clock;
use hart::{HartState, Memory, Trap};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

/// Executes the instruction of a record, and those after it.
///
/// The arguments are the hart, its memory, what the run needs, how many more instructions may
/// retire after the current block, the block, and the record: six, all in host registers.
///
/// # Safety
/// The record belongs to the block and the handler to the record. The block, and every block that
/// it or the jump cache leads to, is alive.
pub(crate) type Handler<M> =
    unsafe fn(&mut HartState, &M, &mut Context<'_, M>, i64, NonNull<Block<M>>, NonNull<Record<M>>);

/// Declares a function that has a [`Handler`]'s arguments, and its promise.
macro_rules! handler {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident <M $(, const $constant:ident: bool)*> (
            $hart:ident, $mem:ident, $cx:ident, $budget:ident, $block:ident, $record:ident
        ) $(-> $returned:ty)? $body:block
    ) => {
        $(#[$attribute])*
        ///
        /// # Safety
        /// A [`Handler`](crate::threaded::Handler)'s.
        $visibility unsafe fn $name<M: Memory $(, const $constant: bool)*>(
            $hart: &mut HartState,
            $mem: &M,
            $cx: &mut Context<'_, M>,
            $budget: i64,
            $block: NonNull<Block<M>>,
            $record: NonNull<Record<M>>,
        ) $(-> $returned)? $body
    };
}
pub(crate) use handler;

/// What stays the same during a run, and why it stopped.
pub(crate) struct Context<'a, M: Memory> {
    pub poll: &'a AtomicU32,
    pub jumps: &'a JumpCache<M>,
    pub clock: Clock,
    /// `instret` at which the budget is 0.
    pub limit: u64,
    /// Why the last run stopped.
    pub stop: Stop<M>,
    /// Where [`run`] goes on.
    pub resume: Option<Position<M>>,
}

/// A handler's budget, block and record.
pub(crate) type Position<M> = (i64, NonNull<Block<M>>, NonNull<Record<M>>);

/// Why a run of blocks stopped. `pc` and `instret` are exact.
pub(crate) enum Stop<M: Memory> {
    /// The block at pc is absent, longer than the budget, or there is a poll request.
    Edge(Edge<M>),
    /// The block at pc has counted down to 0.
    Hot,
    /// A fence.i has retired.
    FenceI,
    /// Whoever runs the hart shall have a look.
    Attention,
    /// A wfi has retired, and nothing is pending.
    Wait,
    /// The instruction at pc traps.
    Trap(Trap),
}

/// How execution came to the block at pc.
#[derive(Clone, Copy)]
pub(crate) enum Edge<M: Memory> {
    /// To the instruction after that block.
    Next(NonNull<Block<M>>),
    /// By that block's jump or branch.
    Target(NonNull<Block<M>>),
    /// By a computed jump.
    Computed,
}

impl<'a, M: Memory> Context<'a, M> {
    pub fn new(poll: &'a AtomicU32, jumps: &'a JumpCache<M>, clock: Clock, limit: u64) -> Self {
        Context {
            poll,
            jumps,
            clock,
            limit,
            stop: Stop::FenceI,
            resume: None,
        }
    }
}

/// Runs from the start of `block`, where the hart's pc is, and whose length `budget` covers, until
/// something stops it.
///
/// # Safety
/// The block is filled. It, and every block that it or the jump cache leads to, lives until `run`
/// returns, and none is changed meanwhile.
pub(crate) unsafe fn run<M: Memory>(
    hart: &mut HartState,
    mem: &M,
    cx: &mut Context<'_, M>,
    budget: i64,
    block: NonNull<Block<M>>,
) {
    // SAFETY: the caller's promise.
    let Block { length, first, .. } = unsafe { block.as_ref() };
    cx.resume = Some((budget - length.get(), block, first.get()));
    while let Some((budget, block, record)) = cx.resume.take() {
        // SAFETY: positions are made of filled blocks and their records only.
        unsafe { (record.as_ref().handler)(hart, mem, cx, budget, block, record) };
    }
}

/// Stops before the instruction at `pc`, with `budget` left.
pub(crate) fn stop<M: Memory>(
    hart: &mut HartState,
    cx: &mut Context<'_, M>,
    pc: u64,
    budget: i64,
    why: Stop<M>,
) {
    hart.pc = pc;
    hart.instret = cx.limit - budget as u64;
    cx.stop = why;
}

/// Stops at an instruction that traps; `budget` is what would be left after the block.
#[cold]
pub(crate) fn stop_by_trap<M: Memory>(
    hart: &mut HartState,
    cx: &mut Context<'_, M>,
    budget: i64,
    block: &Block<M>,
    record: &Record<M>,
    trap: Trap,
) {
    let not_retired = block.length.get() - i64::from(record.index);
    stop(
        hart,
        cx,
        record.pc(block, hart),
        budget + not_retired,
        Stop::Trap(trap),
    );
}

handler! {
    /// Executes an instruction that its handler could not complete: it traps, or its access to
    /// memory takes longer. Returns to [`run`] to go on.
    #[cold]
    #[inline(never)]
    pub(crate) fn again<M>(hart, mem, cx, budget, block, record) {
        // SAFETY: the caller's promise.
        let (this, insn) = unsafe { (block.as_ref(), record.as_ref()) };
        if M::SYSTEM {
            let left = budget + this.length.get() - i64::from(insn.index);
            mem.set_instret(cx.limit - left as u64);
        }
        let (pc, next) = (insn.pc(this, hart), insn.next(this, hart));
        match execute(&insn.insn, pc, next, hart, mem, &cx.clock) {
            // Something outside has changed, and is to be seen before the next instruction.
            Ok(_) if M::SYSTEM && mem.wants_attention() => {
                let left = this.length.get() - i64::from(insn.index) - 1;
                stop(hart, cx, next, budget + left, Stop::Attention);
            }
            // Only loads, stores and what always traps get here: none of them ends a block and
            // retires.
            // SAFETY: so another record follows.
            Ok(_) => cx.resume = Some((budget, block, unsafe { record.add(1) })),
            Err(trap) => stop_by_trap(hart, cx, budget, this, insn, trap),
        }
    }
}
