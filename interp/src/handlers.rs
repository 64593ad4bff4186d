//! The handlers: one instruction each, made for blocks.

use crate::block::{Block, Record, ends_block, is_exact};
use crate::edge::{self, go_on};
use crate::execute::{Flow, one};
use crate::fused;
use crate::quick::Quick;
use crate::threaded::{Context, Handler, Stop, again, handler, stop, stop_by_trap};
use frontend::*;
use hart::{HartState, Memory};
use std::ptr::NonNull;

/// Executes the instruction of a record, known to be `$name`: where it goes, or its trap.
macro_rules! perform {
    ($name:ident, $rd:expr, $hart:ident, $mem:expr, $cx:ident, $budget:ident, $block:ident, $record:ident) => {{
        // SAFETY: the caller's promise.
        let (block, record) = unsafe { ($block.as_ref(), $record.as_ref()) };
        let Insn::$name(operands) = &record.insn else {
            // SAFETY: `handler` chose this function by the instruction.
            unsafe { std::hint::unreachable_unchecked() }
        };
        // SAFETY: `handler` chose this function by the destination, too.
        unsafe { std::hint::assert_unchecked((operands.rd() != X::ZERO) == $rd) };
        if const { is_exact(Op::$name) } {
            // It is the last of the block, and has not retired.
            $hart.instret = $cx.limit - $budget as u64 - 1;
        }
        let (pc, next) = (record.pc(block, $hart), record.next(block, $hart));
        one::$name(&record.insn, pc, next, $hart, $mem, &$cx.clock)
    }};
}

pub(crate) use perform;

/// Goes on to what follows an instruction in memory.
macro_rules! proceed {
    ($name:ident, $hart:ident, $mem:ident, $cx:ident, $budget:ident, $block:ident, $record:ident) => {
        if const { ends_block(Op::$name) } {
            // SAFETY: the caller's promise.
            unsafe { edge::next($hart, $mem, $cx, $budget, $block, $record) }
        } else {
            // SAFETY: such an instruction is followed by another record.
            let record = unsafe { $record.add(1) };
            go_on!($hart, $mem, $cx, $budget, $block, record);
        }
    };
}

/// How it goes on behind an instruction that a function executed.
enum After {
    /// With the next one in memory.
    Next,
    /// At `pc`.
    Elsewhere,
    /// Not at all: the run has stopped.
    Stopped,
}

/// Makes a handler for each instruction of the table: `short` and `long`, of which [`handler`]
/// takes one.
macro_rules! handlers {
    ($($name:ident $operands:ty),*) => {
        /// Handlers that do the work themselves. They have no locals whose address is taken: those
        /// would rule out the call in tail position.
        pub(crate) mod short {
            use super::*;
            $(handler! {
                #[inline(always)]
                pub fn $name<M, const RD: bool>(hart, mem, cx, budget, block, record) {
                    match perform!($name, RD, hart, &Quick(mem), cx, budget, block, record) {
                        Ok(Flow::Next) => {
                            proceed!($name, hart, mem, cx, budget, block, record);
                        }
                        Ok(Flow::Jump(pc)) => {
                            if M::SYSTEM {
                                hart.pc = pc;
                            }
                            // SAFETY: the caller's promise.
                            unsafe { edge::target(hart, mem, cx, budget, block, record) }
                        }
                        Ok(Flow::Indirect(pc)) => {
                            hart.pc = pc;
                            // SAFETY: the caller's promise.
                            unsafe { edge::computed(hart, mem, cx, budget, block, record) }
                        }
                        Ok(Flow::FenceI) => {
                            // SAFETY: the caller's promise.
                            let next = unsafe { record.as_ref().next(block.as_ref(), hart) };
                            stop(hart, cx, next, budget, Stop::FenceI);
                        }
                        // Only instructions with a long handler.
                        Ok(Flow::Attention(pc) | Flow::Wait(pc)) => {
                            stop(hart, cx, pc, budget, Stop::Attention);
                        }
                        // SAFETY: the caller's promise.
                        Err(_) => unsafe { again(hart, mem, cx, budget, block, record) },
                    }
                }
            })*
        }

        /// Handlers that call a function for the work.
        mod long {
            use super::*;
            $(handler! {
                pub fn $name<M, const RD: bool>(hart, mem, cx, budget, block, record) {
                    handler! {
                        /// Does it, and says how it goes on.
                        #[inline(never)]
                        fn work<M, const RD: bool>(hart, mem, cx, budget, block, record) -> After {
                            match perform!($name, RD, hart, mem, cx, budget, block, record) {
                                Ok(Flow::Next) => return After::Next,
                                Ok(Flow::Jump(pc) | Flow::Indirect(pc)) => {
                                    hart.pc = pc;
                                    return After::Elsewhere;
                                }
                                // These end their blocks: the budget is exact.
                                Ok(Flow::Attention(pc)) => {
                                    stop(hart, cx, pc, budget, Stop::Attention);
                                }
                                Ok(Flow::Wait(pc)) => stop(hart, cx, pc, budget, Stop::Wait),
                                // Only fence.i does so, which has a short handler.
                                Ok(Flow::FenceI) => unreachable!(),
                                Err(trap) => {
                                    // SAFETY: the caller's promise.
                                    let this = unsafe { block.as_ref() };
                                    // SAFETY: the caller's promise.
                                    let insn = unsafe { record.as_ref() };
                                    stop_by_trap(hart, cx, budget, this, insn, trap);
                                }
                            }
                            After::Stopped
                        }
                    }
                    // SAFETY: the caller's promise.
                    match unsafe { work::<M, RD>(hart, mem, cx, budget, block, record) } {
                        After::Next => {
                            proceed!($name, hart, mem, cx, budget, block, record);
                        }
                        // SAFETY: the caller's promise.
                        After::Elsewhere => unsafe {
                            edge::computed(hart, mem, cx, budget, block, record)
                        },
                        After::Stopped => {}
                    }
                }
            })*
        }

        /// The handler of an instruction.
        pub(crate) fn handler<M: Memory>(insn: &Insn) -> Handler<M> {
            match insn {
                $(Insn::$name(operands) => {
                    match (const { is_long(Op::$name) }, operands.rd() != X::ZERO) {
                        (false, false) => short::$name::<M, false>,
                        (false, true) => short::$name::<M, true>,
                        (true, false) => long::$name::<M, false>,
                        (true, true) => long::$name::<M, true>,
                    }
                })*
            }
        }
    };
}
frontend::for_each_instruction!(handlers);

/// Whether an instruction has a handler that calls a function for the work.
const fn is_long(op: Op) -> bool {
    let short = matches!(
        op,
        Op::Flw | Op::Fsw | Op::Fld | Op::Fsd | Op::FmvXW | Op::FmvWX | Op::FmvXD | Op::FmvDX
    );
    is_exact(op) || op as u8 >= Op::LrW as u8 && op as u8 <= Op::FcvtDS as u8 && !short
}

/// An operand format's integer destination, `x1` if it has none: a handler is compiled for `x0`
/// and for all others, so that none has to ask.
pub(crate) trait Destination {
    fn rd(&self) -> X;
}

macro_rules! destinations {
    ($($some:ty)*; $($none:ty)*) => {
        $(impl Destination for $some {
            #[inline(always)]
            fn rd(&self) -> X {
                self.rd
            }
        })*
        $(impl Destination for $none {
            #[inline(always)]
            fn rd(&self) -> X {
                X::RA
            }
        })*
    };
}
destinations! {
    R R1 Lr Amo I U J Sh6 Sh5 Csr CsrI Fcmp FtoX FmvX;
    Fr Fr4 Fr2 Fr1 XtoF XmvF Fl S Fs B Vma Cbo Fence None0
}

/// Completes a block's records.
pub(crate) fn finish<M: Memory>(records: &mut Vec<Record<M>>) {
    if let Some(last) = records.last()
        && !ends_block(last.insn.op())
    {
        // Lies behind the last instruction and has no length itself.
        let end = Record {
            handler: edge::next,
            insn: last.insn,
            offset: last.offset + u16::from(last.len),
            index: last.index + 1,
            len: 0,
        };
        records.push(end);
    }
    let mut at = 0;
    while at + 1 < records.len() {
        match fused::pair(&records[at].insn, &records[at + 1].insn) {
            Some(pair) if records[at + 1].len != 0 => {
                records[at].handler = pair;
                at += 2;
            }
            _ => at += 1,
        }
    }
}
