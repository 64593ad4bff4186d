//! What a checkpoint need not store: registers that the interpreter can compute again.
//!
//! A register that was just computed from others, which are unchanged since, is not stored at a
//! checkpoint, nor checked for being the canonical NaN. Whoever rolls back to it executes those
//! instructions again: the checkpoint's *recipe*. Addresses and other short-lived values are mostly
//! overwritten before the next checkpoint, and so are never stored at all.

use crate::analysis::registers::{accesses, is_csr};
use crate::graph::{Node, Step};
use frontend::{Insn, Op};

/// Instructions that are executed again at most.
const LONGEST: usize = 24;

/// Whether a step does nothing but compute one register from others: then it may be done once more.
/// Floating point raises the same flags again, which are raised already. `floats`: whether it does
/// so by itself; else what it does depends on the flags that were raised before.
fn computes(step: &Step, floats: bool) -> bool {
    let insn = step.insn;
    let control = insn.direct_target(step.pc).is_some() || matches!(insn, Insn::Jalr(_));
    step.skipped_by.is_none()
        && step.defs().count_ones() == 1
        && (floats || (step.uses() | step.defs()) >> 32 == 0)
        && !control
        && !accesses(insn)
        && !is_csr(insn.op())
        && !matches!(insn.op(), Op::Ecall | Op::Ebreak)
        && !insn.op().is_privileged()
}

/// Steps of a node to be executed again, in order.
pub struct Recipe<'a>(Vec<&'a Step>);

impl Recipe<'_> {
    /// The registers that they write, as bits.
    pub fn registers(&self) -> u64 {
        self.0.iter().fold(0, |all, step| all | step.defs())
    }

    /// Their addresses and encodings.
    pub fn instructions(&self) -> Instructions {
        self.0
            .iter()
            .map(|step| (step.pc, step.insn.encode()))
            .collect()
    }
}

/// Instructions to be executed again: where each is, and its encoding.
pub type Instructions = Vec<(u64, u32)>;

/// The steps of a node before step `end` whose results need not be stored there. `floats`: whether
/// floating point may be among them.
pub fn find(node: &Node, end: usize, floats: bool) -> Recipe<'_> {
    let steps = &node.steps[..end];
    // Flags that were cleared since must not be raised again, nor another rounding mode be used.
    let csr = steps.iter().rposition(|step| is_csr(step.insn.op()));
    let floats = |index: usize| floats && csr.is_none_or(|csr| index > csr);
    let computes = |(index, step): (usize, &Step)| computes(step, floats(index));
    let mut again: Vec<bool> = steps.iter().enumerate().map(computes).collect();
    // Which step last wrote each register before each step.
    let mut last: Vec<[Option<usize>; 64]> = Vec::with_capacity(end + 1);
    let mut now = [None; 64];
    for (index, step) in steps.iter().enumerate() {
        last.push(now);
        for register in crate::analysis::each(step.defs()) {
            now[register] = Some(index);
        }
    }
    let finally = now;
    loop {
        let mut changed = false;
        for index in 0..end {
            if !again[index] {
                continue;
            }
            let step = &steps[index];
            let mut sources = crate::analysis::each(step.uses());
            // What it reads must be there when it is executed again: made again just before, or as
            // it is stored at the checkpoint.
            let readable = |register: usize| match last[index][register] {
                Some(maker) => again[maker] || finally[register] == Some(maker),
                None => finally[register].is_none(),
            };
            let rd = step.defs().trailing_zeros() as usize;
            // What comes of the register later must be made again as well.
            let kept = finally[rd].is_some_and(|maker| again[maker]);
            if !kept || !sources.all(readable) {
                again[index] = false;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let found = steps.iter().zip(&again).filter(|&(_, &again)| again);
    let found: Vec<&Step> = found.map(|(step, _)| step).collect();
    match found.len() > LONGEST {
        true => Recipe(Vec::new()),
        false => Recipe(found),
    }
}
