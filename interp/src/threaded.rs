//! Running blocks: one handler function an instruction, each calling the next.
//!
//! A handler is [`execute`] compiled for one instruction, whose match folds to a single arm. It
//! ends with a call of the next instruction's handler in tail position, which an optimising build
//! turns into a jump; an unoptimised build returns to [`run`] instead, so that the stack does not
//! grow in either. A test runs millions of instructions on a small stack.
//!
//! Nothing is counted instruction by instruction: a block's length is taken off the budget on
//! entry, and what a trap has left undone is given back.

use crate::block::{Block, Record, accesses_csr, ends_block};
use crate::cache::JumpCache;
use crate::execute::{Flow, execute};
use crate::quick::Quick;
use frontend::*;
use hart::csr::Clock;
use hart::{HartState, Memory, Trap};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Executes the instruction of a record, and those after it.
///
/// The arguments are the hart, its memory, what the run needs, how many more instructions may
/// retire after the current block, the block, and the record: six, all in host registers.
///
/// # Safety
/// The record belongs to the block, and the block is alive and filled.
pub(crate) type Handler<M> =
    unsafe fn(&mut HartState, &M, &mut Context<'_, M>, i64, NonNull<Block<M>>, NonNull<Record<M>>);

/// What stays the same during a run, and why it stopped.
pub(crate) struct Context<'a, M: Memory> {
    pub poll: &'a AtomicU32,
    pub jumps: &'a JumpCache<M>,
    pub clock: Clock,
    /// `instret` at which the budget is 0.
    pub limit: u64,
    /// Why the last run stopped.
    pub stop: Stop<M>,
    /// Where an unoptimised build goes on.
    resume: Option<Position<M>>,
}

type Position<M> = (i64, NonNull<Block<M>>, NonNull<Record<M>>);

/// Why a run of blocks stopped. `pc` and `instret` are exact.
pub(crate) enum Stop<M: Memory> {
    /// The block at pc is absent, longer than the budget, or there is a poll request.
    Edge(Edge<M>),
    /// The block at pc has counted down to 0.
    Hot,
    /// A fence.i has retired.
    FenceI,
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

/// Runs from the start of `block`, whose length `budget` covers, until something stops it.
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

/// Goes on to another record: see the file's first comment.
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

/// Goes on to what follows an instruction in memory.
macro_rules! proceed {
    ($name:ident, $hart:ident, $mem:ident, $cx:ident, $budget:ident, $block:ident, $record:ident) => {
        if const { ends_block(Op::$name) } {
            // SAFETY: a handler's promise.
            unsafe { leave($hart, $mem, $cx, $budget, $block, $record) }
        } else {
            // SAFETY: such an instruction is followed by another record.
            let record = unsafe { $record.add(1) };
            go_on!($hart, $mem, $cx, $budget, $block, record);
        }
    };
}

/// Goes on to the block at `pc`, if nothing is in the way.
///
/// # Safety
/// `block` is alive.
#[inline(always)]
unsafe fn enter<M: Memory>(
    hart: &mut HartState,
    mem: &M,
    cx: &mut Context<'_, M>,
    budget: i64,
    block: NonNull<Block<M>>,
    pc: u64,
    edge: Edge<M>,
) {
    // SAFETY: the caller's promise.
    let next = unsafe { block.as_ref() };
    let left = budget - next.length.get();
    if left < 0 || cx.poll.load(Ordering::Relaxed) != 0 {
        return stop(hart, cx, pc, budget, Stop::Edge(edge));
    }
    if next.arrive() {
        return stop(hart, cx, pc, budget, Stop::Hot);
    }
    go_on!(hart, mem, cx, left, block, next.first.get());
}

/// Stops before the instruction at `pc`, with `budget` left.
#[cold]
fn stop<M: Memory>(
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
fn stop_by_trap<M: Memory>(
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
        record.pc(block),
        budget + not_retired,
        Stop::Trap(trap),
    );
}

/// Executes the instruction of a record: where it goes, or its trap.
macro_rules! perform {
    ($name:ident, $hart:ident, $mem:ident, $cx:ident, $budget:ident, $block:ident, $record:ident) => {{
        let Insn::$name(operands) = $record.insn else {
            // SAFETY: `handler` chose this function by the instruction.
            unsafe { std::hint::unreachable_unchecked() }
        };
        if const { accesses_csr(Op::$name) } {
            // It is the last of the block, and has not retired.
            $hart.instret = $cx.limit - $budget as u64 - 1;
        }
        let (pc, next) = ($record.pc($block), $record.next($block));
        execute(Insn::$name(operands), pc, next, $hart, $mem, &$cx.clock)
    }};
}

/// Makes a handler for each instruction of the table.
macro_rules! handlers {
    ($($name:ident $operands:ty),*) => {
        /// The handler of an instruction.
        pub(crate) fn handler<M: Memory>(op: Op) -> Handler<M> {
            match op {
                $(Op::$name if const { is_long(Op::$name) } => |hart, mem, cx, budget, block, record| {
                    /// Whether it retired.
                    ///
                    /// # Safety
                    /// A handler's promise.
                    #[inline(never)]
                    unsafe fn aside<M: Memory>(
                        hart: &mut HartState,
                        mem: &M,
                        cx: &mut Context<'_, M>,
                        budget: i64,
                        block: NonNull<Block<M>>,
                        record: NonNull<Record<M>>,
                    ) -> bool {
                        // SAFETY: a handler's promise.
                        let (block, record) = unsafe { (block.as_ref(), record.as_ref()) };
                        let result = perform!($name, hart, mem, cx, budget, block, record);
                        if let Err(trap) = result {
                            stop_by_trap(hart, cx, budget, block, record, trap);
                        }
                        result.is_ok()
                    }
                    // SAFETY: a handler's promise.
                    if unsafe { aside(hart, mem, cx, budget, block, record) } {
                        proceed!($name, hart, mem, cx, budget, block, record)
                    }
                },
                Op::$name => |hart, mem, cx, budget, place, record_at| {
                    // SAFETY: a handler's promise.
                    let (block, record) = unsafe { (place.as_ref(), record_at.as_ref()) };
                    let quick = &Quick(mem);
                    match perform!($name, hart, quick, cx, budget, block, record) {
                        Ok(Flow::Next) => {
                            proceed!($name, hart, mem, cx, budget, place, record_at)
                        }
                        Ok(Flow::Jump(pc)) => {
                            let (target, edge) = (block.target.get(), Edge::Target(place));
                            // SAFETY: links lead to live blocks.
                            unsafe { enter(hart, mem, cx, budget, target, pc, edge) }
                        }
                        Ok(Flow::Indirect(pc)) => {
                            let (start, found) = cx.jumps.lookup(pc);
                            if start != pc {
                                return stop(hart, cx, pc, budget, Stop::Edge(Edge::Computed));
                            }
                            // SAFETY: the jump cache leads to live blocks.
                            unsafe { enter(hart, mem, cx, budget, found, pc, Edge::Computed) }
                        }
                        Ok(Flow::FenceI) => {
                            stop(hart, cx, record.next(block), budget, Stop::FenceI);
                        }
                        // SAFETY: a handler's promise.
                        Err(_) => unsafe { again(hart, mem, cx, budget, place, record_at) },
                    }
                },)*
            }
        }
    };
}
frontend::for_each_instruction!(handlers);

/// Executes an instruction that its handler could not complete: it traps, or its access to memory
/// takes longer. Returns to [`run`] to go on.
///
/// # Safety
/// A handler's promise.
#[cold]
#[inline(never)]
unsafe fn again<M: Memory>(
    hart: &mut HartState,
    mem: &M,
    cx: &mut Context<'_, M>,
    budget: i64,
    place: NonNull<Block<M>>,
    record_at: NonNull<Record<M>>,
) {
    // SAFETY: the caller's promise.
    let (block, record) = unsafe { (place.as_ref(), record_at.as_ref()) };
    let (pc, next) = (record.pc(block), record.next(block));
    match execute(record.insn, pc, next, hart, mem, &cx.clock) {
        // Only loads, stores and what always traps get here: neither ends a block and retires.
        // SAFETY: so another record follows.
        Ok(_) => cx.resume = Some((budget, place, unsafe { record_at.add(1) })),
        Err(trap) => stop_by_trap(hart, cx, budget, block, record, trap),
    }
}

/// Whether an instruction's work is done in a function of its own, which a handler calls before it
/// goes on: with locals whose address is taken there would be no tail call. None of these jumps.
const fn is_long(op: Op) -> bool {
    let plain = matches!(
        op,
        Op::Flw | Op::Fsw | Op::Fld | Op::Fsd | Op::FmvXW | Op::FmvWX | Op::FmvXD | Op::FmvDX
    );
    accesses_csr(op) || op as u8 >= Op::LrW as u8 && op as u8 <= Op::FcvtDS as u8 && !plain
}

/// Goes on from the last instruction of a block to the block behind it. Also the handler of the
/// record that ends a block whose last instruction does not.
///
/// # Safety
/// A handler's promise.
#[inline(always)]
unsafe fn leave<M: Memory>(
    hart: &mut HartState,
    mem: &M,
    cx: &mut Context<'_, M>,
    budget: i64,
    place: NonNull<Block<M>>,
    record: NonNull<Record<M>>,
) {
    // SAFETY: the caller's promise.
    let (block, record) = unsafe { (place.as_ref(), record.as_ref()) };
    let (pc, edge) = (record.next(block), Edge::Next(place));
    // SAFETY: links lead to live blocks.
    unsafe { enter(hart, mem, cx, budget, block.next.get(), pc, edge) }
}

/// Completes a block's records.
pub(crate) fn finish<M: Memory>(records: &mut Vec<Record<M>>) {
    if let Some(last) = records.last()
        && !ends_block(last.insn.op())
    {
        let end = Record {
            handler: leave,
            insn: last.insn,
            offset: last.offset + u16::from(last.len),
            index: last.index + 1,
            len: 0,
        };
        records.push(end);
    }
}
