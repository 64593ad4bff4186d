//! Zicsr: reading and writing control and status registers.
//!
//! `rd` is written last, so that an instruction that traps has changed nothing.

use crate::execute::illegal;
use frontend::{Insn, X};
use hart::csr::{self, Clock};
use hart::{HartState, Trap};

/// csrrw and csrrwi; with `rd` = x0 the register is not read.
pub(crate) fn csrrw(
    hart: &mut HartState,
    clock: &Clock,
    insn: &Insn,
    csr: u16,
    rd: X,
    value: u64,
) -> Result<(), Trap> {
    let old = if rd == X::ZERO {
        Some(0)
    } else {
        csr::read(hart, csr, clock)
    };
    let old = old.ok_or_else(|| illegal(insn))?;
    csr::write(hart, csr, value).ok_or_else(|| illegal(insn))?;
    hart.set(rd, old);
    Ok(())
}

/// csrrs and csrrsi: sets the bits of `mask`; without one the register is not written.
pub(crate) fn csrrs(
    hart: &mut HartState,
    clock: &Clock,
    insn: &Insn,
    csr: u16,
    rd: X,
    mask: Option<u64>,
) -> Result<(), Trap> {
    modify(
        hart,
        clock,
        insn,
        csr,
        rd,
        mask.map(|mask| move |old| old | mask),
    )
}

/// csrrc and csrrci: clears the bits of `mask`; without one the register is not written.
pub(crate) fn csrrc(
    hart: &mut HartState,
    clock: &Clock,
    insn: &Insn,
    csr: u16,
    rd: X,
    mask: Option<u64>,
) -> Result<(), Trap> {
    modify(
        hart,
        clock,
        insn,
        csr,
        rd,
        mask.map(|mask| move |old| old & !mask),
    )
}

fn modify(
    hart: &mut HartState,
    clock: &Clock,
    insn: &Insn,
    csr: u16,
    rd: X,
    change: Option<impl Fn(u64) -> u64>,
) -> Result<(), Trap> {
    let old = csr::read(hart, csr, clock).ok_or_else(|| illegal(insn))?;
    if let Some(change) = change {
        csr::write(hart, csr, change(old)).ok_or_else(|| illegal(insn))?;
    }
    hart.set(rd, old);
    Ok(())
}
