//! Zicsr: the floating-point registers are compiled, counters and all others are the interpreter's,
//! which knows the clock, or in a whole machine a helper's.

use super::Translator;
use super::registers::trusted;
use crate::analysis::registers::GUARD;
use crate::context::offset;
use crate::helpers::Helper;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use frontend::X;
use hart::csr::{FCSR, FFLAGS, FRM};

/// Where the new value comes from.
pub enum Source {
    /// From a register.
    Register(X),
    /// From the instruction.
    Immediate(u8),
}

/// What is done with it.
#[derive(PartialEq, Eq)]
pub enum Change {
    /// It replaces the old one.
    Write,
    /// Its bits are set.
    Set,
    /// Its bits are cleared.
    Clear,
}

impl Translator<'_, '_> {
    pub(super) fn csr(
        &mut self,
        (pc, next): (u64, u64),
        rd: X,
        csr: u16,
        source: Source,
        change: Change,
    ) {
        if !matches!(csr, FFLAGS | FRM | FCSR) {
            if self.settings.system {
                return self.system_csr((pc, next), rd, csr, &source, &change);
            }
            return self.interpret(pc);
        }
        // Setting or clearing nothing is no write; x0 and 0 stand for that.
        let nothing = matches!(source, Source::Register(X::ZERO) | Source::Immediate(0));
        let writes = change == Change::Write || !nothing;
        if self.settings.host_flags && csr != FRM {
            self.collect_flags();
        }
        let old = self.read_csr(csr);
        if writes {
            let operand = match source {
                Source::Register(rs1) => self.x(rs1),
                Source::Immediate(value) => self.b.ins().iconst(types::I64, i64::from(value)),
            };
            let new = match change {
                Change::Write => operand,
                Change::Set => self.b.ins().bor(old, operand),
                Change::Clear => self.b.ins().band_not(old, operand),
            };
            if self.settings.host_flags && csr != FFLAGS {
                self.require_same_rounding(csr, old, new, pc);
            }
            self.write_csr(csr, new);
        }
        self.set(rd, old);
        // Also after a mere read: what follows computes it anew.
        self.now.registers.available &= !GUARD;
    }

    /// Moves the flags that the host has raised to the guest's. What comes before the instruction
    /// must have raised its flags by now: all that has not been used yet is used by a check. What
    /// comes after must raise them later: that it cannot be done before the end of this block is
    /// checked afterwards, see `analysis/placement.rs`.
    fn collect_flags(&mut self) {
        self.check_results();
        let thunk = self.linker.thunk(Helper::Flags, self.b.func);
        self.b.ins().call(thunk, &[]);
        self.barriers.extend(self.b.current_block());
        self.break_block();
    }

    /// The host's rounding mode goes with frm: another one is the interpreter's to set.
    fn require_same_rounding(&mut self, csr: u16, old: Value, new: Value, pc: u64) {
        let mask = if csr == FCSR { 7 << 5 } else { 7 };
        let change = self.b.ins().bxor(old, new);
        let change = self.b.ins().band_imm_u(change, mask);
        let same = self.b.ins().icmp_imm_u(IntCC::Equal, change, 0);
        self.require(same, pc);
    }

    fn read_csr(&mut self, csr: u16) -> Value {
        let context = self.context;
        let mut field = |at| self.b.ins().uload32(trusted(), context, at);
        match csr {
            FFLAGS => field(offset::FFLAGS),
            FRM => field(offset::FRM),
            _ => {
                let (flags, frm) = (field(offset::FFLAGS), field(offset::FRM));
                let upper = self.b.ins().ishl_imm_u(frm, 5);
                self.b.ins().bor(upper, flags)
            }
        }
    }

    fn write_csr(&mut self, csr: u16, value: Value) {
        let context = self.context;
        if csr != FRM {
            let flags = self.b.ins().band_imm_u(value, 0x1f);
            self.b
                .ins()
                .istore32(trusted(), flags, context, offset::FFLAGS);
        }
        if csr != FFLAGS {
            let frm = if csr == FCSR {
                self.b.ins().ushr_imm_u(value, 5)
            } else {
                value
            };
            let frm = self.b.ins().band_imm_u(frm, 7);
            self.b.ins().istore32(trusted(), frm, context, offset::FRM);
        }
    }
}
