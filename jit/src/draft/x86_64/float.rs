//! Floating point that the host does as the guest does: sums, products, quotients, roots, moves,
//! comparisons, and conversions whose result fits. The rest is the interpreter's.
//!
//! MXCSR holds frm's rounding mode and collects the flags, as in compiled code; NaNs that come out are
//! made canonical.

use super::Drafter;
use super::assembler::{Condition, RAX, RCX, RDI, at, ins};
use crate::context::offset;
use frontend::{F, Fcmp, Fr, Fr1, Fr2, FtoX, Rm, X, XtoF};

/// The canonical NaNs.
const NAN_32: u64 = 0xffff_ffff_7fc0_0000;
const NAN_64: u64 = 0x7ff8_0000_0000_0000;

/// Scratch registers for numbers.
const XMM0: u8 = 0;
const XMM1: u8 = 1;

/// An operation on two numbers.
#[derive(Clone, Copy)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
}

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Equal,
    Less,
    LessOrEqual,
}

/// What fsgnj does with the second operand's sign.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Take,
    Negate,
    Xor,
}

impl Drafter {
    /// Writes rax to a floating-point register, boxed if it is a single.
    pub fn write_bits(&mut self, rd: F, bits: u32) {
        let place = offset::f(rd.index());
        match bits {
            32 => {
                ins!(self.code, movl_mr, at(RDI, place), RAX);
                ins!(self.code, movl_mi, at(RDI, place + 4), u32::MAX);
            }
            _ => ins!(self.code, movq_mr, at(RDI, place), RAX),
        }
    }

    /// Leaves the instruction to the interpreter while floating point is not permitted, which a block
    /// cannot change.
    pub fn demand_floats(&mut self) {
        if self.held.may_float() {
            return;
        }
        let out = self.interpret_aside();
        ins!(self.code, cmpq_mi_sxb, at(RDI, offset::FLOATS), 0i8);
        self.code.jump_if(Condition::Equal, out);
    }

    /// Leaves the instruction to the interpreter if a register does not hold a single.
    fn demand_boxed(&mut self, f: F, bits: u32) {
        if bits == 32 {
            let out = self.interpret_aside();
            ins!(
                self.code,
                cmpl_mi_sxb,
                at(RDI, offset::f(f.index()) + 4),
                -1i8
            );
            self.code.jump_if(Condition::NotEqual, out);
        }
    }

    fn read_float(&mut self, to: u8, f: F, bits: u32) {
        let place = at(RDI, offset::f(f.index()));
        match bits {
            32 => ins!(self.code, movss_a_m, to, place),
            _ => ins!(self.code, movsd_a_m, to, place),
        }
    }

    /// Writes what was computed in xmm0, which may be any NaN.
    fn write_result(&mut self, rd: F, bits: u32) {
        let (nan, back) = (self.code.label(), self.code.label());
        let place = offset::f(rd.index());
        match bits {
            32 => {
                ins!(self.code, ucomiss_a, XMM0, XMM0);
                self.code.jump_if(Condition::Unordered, nan);
                ins!(self.code, movss_c_m, at(RDI, place), XMM0);
                ins!(self.code, movl_mi, at(RDI, place + 4), u32::MAX);
            }
            _ => {
                ins!(self.code, ucomisd_a, XMM0, XMM0);
                self.code.jump_if(Condition::Unordered, nan);
                ins!(self.code, movsd_c_m, at(RDI, place), XMM0);
            }
        }
        self.code.bind(back);
        self.code.set_cold(true);
        self.code.bind(nan);
        self.constant(RAX, if bits == 32 { NAN_32 } else { NAN_64 });
        ins!(self.code, movq_mr, at(RDI, place), RAX);
        self.code.jump(back);
        self.code.set_cold(false);
    }

    /// Whether the rounding mode is the one that MXCSR has.
    fn is_dynamic(rm: Rm) -> bool {
        rm == Rm::Dyn
    }

    pub fn arithmetic(&mut self, o: Fr, bits: u32, operation: Arithmetic) -> bool {
        if !Self::is_dynamic(o.rm) {
            return false;
        }
        self.demand_boxed(o.rs1, bits);
        self.demand_boxed(o.rs2, bits);
        self.read_float(XMM0, o.rs1, bits);
        self.read_float(XMM1, o.rs2, bits);
        match (operation, bits) {
            (Arithmetic::Add, 32) => ins!(self.code, addss_a, XMM0, XMM1),
            (Arithmetic::Sub, 32) => ins!(self.code, subss_a, XMM0, XMM1),
            (Arithmetic::Mul, 32) => ins!(self.code, mulss_a, XMM0, XMM1),
            (Arithmetic::Div, 32) => ins!(self.code, divss_a, XMM0, XMM1),
            (Arithmetic::Add, _) => ins!(self.code, addsd_a, XMM0, XMM1),
            (Arithmetic::Sub, _) => ins!(self.code, subsd_a, XMM0, XMM1),
            (Arithmetic::Mul, _) => ins!(self.code, mulsd_a, XMM0, XMM1),
            (Arithmetic::Div, _) => ins!(self.code, divsd_a, XMM0, XMM1),
        }
        self.write_result(o.rd, bits);
        true
    }

    pub fn root(&mut self, o: Fr1, bits: u32) -> bool {
        if !Self::is_dynamic(o.rm) {
            return false;
        }
        self.demand_boxed(o.rs1, bits);
        self.read_float(XMM1, o.rs1, bits);
        match bits {
            32 => ins!(self.code, sqrtss_a, XMM0, XMM1),
            _ => ins!(self.code, sqrtsd_a, XMM0, XMM1),
        }
        self.write_result(o.rd, bits);
        true
    }

    /// fcvt.s.d, which rounds.
    pub fn narrow(&mut self, o: Fr1) -> bool {
        if !Self::is_dynamic(o.rm) {
            return false;
        }
        self.read_float(XMM1, o.rs1, 64);
        ins!(self.code, cvtsd2ss_a, XMM0, XMM1);
        self.write_result(o.rd, 32);
        true
    }

    /// fcvt.d.s, which does not round.
    pub fn widen(&mut self, o: Fr1) {
        self.demand_boxed(o.rs1, 32);
        self.read_float(XMM1, o.rs1, 32);
        ins!(self.code, cvtss2sd_a, XMM0, XMM1);
        self.write_result(o.rd, 64);
    }

    pub fn compare(&mut self, o: Fcmp, bits: u32, compare: Compare) {
        self.demand_boxed(o.rs1, bits);
        self.demand_boxed(o.rs2, bits);
        // x < y as y > x: that is not so if they are unordered.
        let (first, second) = match compare {
            Compare::Equal => (o.rs1, o.rs2),
            Compare::Less | Compare::LessOrEqual => (o.rs2, o.rs1),
        };
        self.read_float(XMM0, first, bits);
        self.read_float(XMM1, second, bits);
        match bits {
            32 => ins!(self.code, ucomiss_a, XMM0, XMM1),
            _ => ins!(self.code, ucomisd_a, XMM0, XMM1),
        }
        // An order with a NaN raises a flag that an equality does not; either is settled there.
        let out = self.interpret_aside();
        self.code.jump_if(Condition::Unordered, out);
        if o.rd == X::ZERO {
            return;
        }
        match compare {
            Compare::Equal => ins!(self.code, sete_m, RAX),
            Compare::Less => ins!(self.code, seta_m, RAX),
            Compare::LessOrEqual => ins!(self.code, setae_m, RAX),
        }
        let to = self.fresh();
        ins!(self.code, movzbl_rm, to, RAX);
        self.write(o.rd, to);
    }

    /// fcvt.w and fcvt.l, where the result fits: otherwise the host gives the least number.
    pub fn convert_to_integer(&mut self, o: FtoX, bits: u32, word: bool) -> bool {
        let truncate = match o.rm {
            Rm::Rtz => true,
            Rm::Dyn => false,
            Rm::Rne | Rm::Rdn | Rm::Rup | Rm::Rmm => return false,
        };
        self.demand_boxed(o.rs1, bits);
        self.read_float(XMM0, o.rs1, bits);
        match (bits, truncate, word) {
            (32, true, true) => ins!(self.code, cvttss2si_a, RAX, XMM0),
            (32, true, false) => ins!(self.code, cvttss2si_aq, RAX, XMM0),
            (32, false, true) => ins!(self.code, cvtss2si_a, RAX, XMM0),
            (32, false, false) => ins!(self.code, cvtss2si_aq, RAX, XMM0),
            (_, true, true) => ins!(self.code, cvttsd2si_a, RAX, XMM0),
            (_, true, false) => ins!(self.code, cvttsd2si_aq, RAX, XMM0),
            (_, false, true) => ins!(self.code, cvtsd2si_a, RAX, XMM0),
            (_, false, false) => ins!(self.code, cvtsd2si_aq, RAX, XMM0),
        }
        // The least number is the only one that is less than 1 by an overflow.
        ins!(self.code, movq_rm, RCX, RAX);
        let out = self.interpret_aside();
        match word {
            true => {
                ins!(self.code, addl_rm, RCX, RCX);
                let fits = self.code.label();
                self.code.jump_if(Condition::NotEqual, fits);
                ins!(self.code, testl_mr, RAX, RAX);
                self.code.jump_if(Condition::Negative, out);
                self.code.bind(fits);
            }
            false => {
                ins!(self.code, addq_rm, RCX, RCX);
                let fits = self.code.label();
                self.code.jump_if(Condition::NotEqual, fits);
                ins!(self.code, testq_mr, RAX, RAX);
                self.code.jump_if(Condition::Negative, out);
                self.code.bind(fits);
            }
        }
        if o.rd == X::ZERO {
            return true;
        }
        let to = self.fresh();
        match word {
            true => ins!(self.code, movslq_rm, to, RAX),
            false => ins!(self.code, movq_rm, to, RAX),
        }
        self.write(o.rd, to);
        true
    }

    /// fcvt of a signed number; of a word to a double it is exact in any mode.
    pub fn convert_from_integer(&mut self, o: XtoF, bits: u32, word: bool) -> bool {
        let exact = bits == 64 && word;
        if !exact && !Self::is_dynamic(o.rm) {
            return false;
        }
        let from = self.read(o.rs1);
        match (bits, word) {
            (32, true) => ins!(self.code, cvtsi2ssl_a, XMM0, from),
            (32, false) => ins!(self.code, cvtsi2ssq_a, XMM0, from),
            (_, true) => ins!(self.code, cvtsi2sdl_a, XMM0, from),
            (_, false) => ins!(self.code, cvtsi2sdq_a, XMM0, from),
        }
        let place = offset::f(o.rd.index());
        match bits {
            32 => {
                ins!(self.code, movss_c_m, at(RDI, place), XMM0);
                ins!(self.code, movl_mi, at(RDI, place + 4), u32::MAX);
            }
            _ => ins!(self.code, movsd_c_m, at(RDI, place), XMM0),
        }
        true
    }

    /// fsgnj and its relatives.
    pub fn sign(&mut self, o: Fr2, bits: u32, sign: Sign) {
        self.demand_boxed(o.rs1, bits);
        self.demand_boxed(o.rs2, bits);
        ins!(self.code, movq_rm, RAX, at(RDI, offset::f(o.rs1.index())));
        let only_moves = o.rs1 == o.rs2 && sign == Sign::Take;
        if !only_moves {
            ins!(self.code, movq_rm, RCX, at(RDI, offset::f(o.rs2.index())));
            if sign == Sign::Negate {
                ins!(self.code, notq_m, RCX);
            }
            let (sign_bit, up) = if bits == 32 { (31u8, 32u8) } else { (63, 0) };
            // The sign alone, where it belongs.
            ins!(self.code, shrq_mi, RCX, sign_bit);
            ins!(self.code, shlq_mi, RCX, 63u8);
            if up > 0 {
                ins!(self.code, shrq_mi, RCX, up);
            }
            if sign != Sign::Xor {
                // Takes the old sign out.
                ins!(self.code, shlq_mi, RAX, up + 1);
                ins!(self.code, shrq_mi, RAX, up + 1);
            }
            ins!(self.code, xorq_rm, RAX, RCX);
        }
        self.write_bits(o.rd, bits);
    }

    /// Moves bits from a floating-point register.
    pub fn move_to_integer(&mut self, rd: X, rs1: F, bits: u32) {
        if rd == X::ZERO {
            return;
        }
        let to = self.fresh();
        let place = at(RDI, offset::f(rs1.index()));
        match bits {
            32 => ins!(self.code, movslq_rm, to, place),
            _ => ins!(self.code, movq_rm, to, place),
        }
        self.write(rd, to);
    }

    /// Moves bits to a floating-point register.
    pub fn move_from_integer(&mut self, rd: F, rs1: X, bits: u32) {
        let from = self.read(rs1);
        ins!(self.code, movq_rm, RAX, from);
        self.write_bits(rd, bits);
    }
}
