//! Which instructions may stand where in a random program.

use crate::program::{BASES, FREE};
use frontend::compressed::Compressed;
use frontend::*;

/// Whether an instruction only computes on registers.
pub fn is_computation(op: Op) -> bool {
    let (lui, sraw) = (Op::Lui, Op::Sraw);
    let base = op >= lui && op <= sraw && !is_control_or_access(op);
    let m = op >= Op::Mul && op <= Op::Remuw;
    let float = op >= Op::FmaddS && op <= Op::FcvtDS && !matches!(op, Op::Fld | Op::Fsd);
    base || m || float || op >= Op::AddUw || op == Op::Fence
}

fn is_control_or_access(op: Op) -> bool {
    op >= Op::Jal && op <= Op::Sd
}

/// An access with another base register; near: to one of a few places.
pub fn based(insn: Insn, rs1: X, near: bool) -> Insn {
    let offset = |imm: i32| if near { imm & 0x38 } else { imm };
    match insn {
        Insn::Lb(o) => Insn::Lb(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lh(o) => Insn::Lh(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lw(o) => Insn::Lw(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Ld(o) => Insn::Ld(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lbu(o) => Insn::Lbu(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lhu(o) => Insn::Lhu(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lwu(o) => Insn::Lwu(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Sb(o) => Insn::Sb(S {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Sh(o) => Insn::Sh(S {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Sw(o) => Insn::Sw(S {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Sd(o) => Insn::Sd(S {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Flw(o) => Insn::Flw(Fl {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Fld(o) => Insn::Fld(Fl {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Fsw(o) => Insn::Fsw(Fs {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Fsd(o) => Insn::Fsd(Fs {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        atomic => {
            // Atomics: rs1 is bits 19:15, of which the table knows.
            let word = atomic.encode() & !(31 << 15) | u32::from(rs1.number()) << 15;
            (atomic.op().row().decode)(word).unwrap_or(atomic)
        }
    }
}

/// Whether a compressed instruction may stand anywhere: it writes only what is free, and accesses
/// only what is there.
pub fn is_harmless(insn: Compressed) -> bool {
    let expanded = insn.expand();
    let op = expanded.op();
    let access = op >= Op::Lb && op <= Op::Sd || matches!(op, Op::Fld | Op::Fsd);
    let free = |x: X| FREE.contains(&x);
    let writes = expanded.defs().xs().all(free);
    let base = !access
        || BASES.iter().any(|&(x, _)| expanded.uses().contains_x(x)) && {
            // The base is rs1; what a store stores may be anything.
            let rs1 = X::new((expanded.encode() >> 15) as u8);
            BASES.iter().any(|&(x, _)| x == rs1)
        };
    writes && base && (access || is_computation(op))
}
