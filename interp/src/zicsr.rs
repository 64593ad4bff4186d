//! Zicsr: reading and writing control and status registers.
//!
//! `rd` is written last, so that an instruction that traps has changed nothing.

use crate::execute::{Flow, after, illegal};
use frontend::{Insn, X};
use hart::csr::{Change, Clock};
use hart::{CsrAccess, HartState, Memory, Trap};

/// Reads a register unless only its new value matters (`rd` = x0 of csrrw), changes it if the
/// instruction does, and puts the old value into `rd`.
#[expect(clippy::too_many_arguments, reason = "what an instruction has")]
pub(crate) fn csr<M: Memory>(
    hart: &mut HartState,
    mem: &M,
    clock: &Clock,
    insn: &Insn,
    next: u64,
    csr: u16,
    rd: X,
    reads: bool,
    change: Option<Change>,
) -> Result<Flow, Trap> {
    let access = CsrAccess { csr, reads, change };
    let done = mem.csr(hart, access, clock, next);
    let (old, effect) = done.ok_or_else(|| illegal(insn))?;
    hart.set(rd, old);
    Ok(after(effect, next))
}
