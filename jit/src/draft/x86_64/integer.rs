//! Integer computations.

use super::Drafter;
use super::assembler::{Condition, R14, RAX, RCX, RDX, Reg, at, at_sum, ins};
use cranelift_assembler_x64::{Fixed, Scale};
use frontend::{I, R, R1, Sh5, Sh6, U, X};

/// Two-operand instructions of the host, and what is left over of the guest's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Alu {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Mul,
}

/// Shifts and rotations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    Left,
    Right,
    Arithmetic,
    RotateLeft,
    RotateRight,
}

/// Which half of a product, of what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum High {
    Signed,
    Unsigned,
    Mixed,
}

impl Drafter {
    /// Puts a constant into a host register.
    pub fn constant(&mut self, to: Reg, value: u64) {
        if value == 0 {
            ins!(self.code, xorl_rm, to, to);
        } else if let Ok(short) = u32::try_from(value) {
            ins!(self.code, movl_oi, to, short);
        } else if let Ok(short) = i32::try_from(value as i64) {
            ins!(self.code, movq_mi_sxl, to, short);
        } else {
            ins!(self.code, movabsq_oi, to, value);
        }
    }

    /// `x[rd] = value`.
    pub fn set(&mut self, rd: X, value: u64) {
        if rd == X::ZERO {
            return;
        }
        let to = self.fresh();
        self.constant(to, value);
        self.write(rd, to);
    }

    pub fn lui(&mut self, o: U) {
        self.set(o.rd, i64::from(o.imm) as u64);
    }

    pub fn auipc(&mut self, o: U) {
        let value = self.pc.wrapping_add_signed(o.imm.into());
        self.set_pc(o.rd, value);
    }

    /// Sets a register to an address that lies in a fixed distance from the code.
    pub fn set_pc(&mut self, rd: X, pc: u64) {
        if rd == X::ZERO {
            return;
        }
        let to = self.fresh();
        let distance = pc.wrapping_sub(self.page) as i64;
        match i32::try_from(distance) {
            Ok(_) => self.pc_in(to, pc),
            Err(_) => {
                self.constant(to, distance as u64);
                ins!(self.code, addq_rm, to, R14);
            }
        }
        self.write(rd, to);
    }

    pub fn addi(&mut self, o: I) {
        if o.rd == X::ZERO {
            return;
        }
        if o.rs1 == X::ZERO {
            return self.set(o.rd, i64::from(o.imm) as u64);
        }
        let from = self.read(o.rs1);
        let to = self.fresh();
        if o.imm == 0 {
            ins!(self.code, movq_rm, to, from);
        } else {
            ins!(self.code, leaq_rm, to, at(from, o.imm));
        }
        let is_checked = o.imm == 0 && self.held.is_checked(o.rs1) && o.rs1 != X::SP;
        self.write(o.rd, to);
        if is_checked {
            self.held.set_checked(o.rd);
        }
    }

    pub fn addiw(&mut self, o: I) {
        if o.rd == X::ZERO {
            return;
        }
        let from = self.read(o.rs1);
        let to = self.fresh();
        if o.imm == 0 {
            ins!(self.code, movslq_rm, to, from);
        } else {
            ins!(self.code, leal_rm, to, at(from, o.imm));
            ins!(self.code, movslq_rm, to, to);
        }
        self.write(o.rd, to);
    }

    /// andi, ori, xori.
    pub fn immediate(&mut self, o: I, alu: Alu) {
        if o.rd == X::ZERO {
            return;
        }
        let to = self.copy(o.rs1);
        match alu {
            Alu::And => ins!(self.code, andq_mi_sxl, to, o.imm),
            Alu::Or => ins!(self.code, orq_mi_sxl, to, o.imm),
            Alu::Xor if o.imm == -1 => ins!(self.code, notq_m, to),
            Alu::Xor => ins!(self.code, xorq_mi_sxl, to, o.imm),
            Alu::Add | Alu::Sub | Alu::Mul => ins!(self.code, addq_mi_sxl, to, o.imm),
        }
        self.write(o.rd, to);
    }

    /// `x[rd] = x[rs1] op x[rs2]`, where `invert` takes all bits of `x[rs2]` the other way.
    pub fn binary(&mut self, o: R, alu: Alu, invert: bool) {
        if o.rd == X::ZERO {
            return;
        }
        let (a, mut b) = (self.read(o.rs1), self.read(o.rs2));
        let to = self.fresh();
        if alu == Alu::Add && !invert {
            ins!(self.code, leaq_rm, to, at_sum(a, b, Scale::One, 0));
            return self.write(o.rd, to);
        }
        if invert {
            ins!(self.code, movq_rm, RAX, b);
            ins!(self.code, notq_m, RAX);
            b = RAX;
        }
        ins!(self.code, movq_rm, to, a);
        match alu {
            Alu::Add => ins!(self.code, addq_rm, to, b),
            Alu::Sub => ins!(self.code, subq_rm, to, b),
            Alu::And => ins!(self.code, andq_rm, to, b),
            Alu::Or => ins!(self.code, orq_rm, to, b),
            Alu::Xor => ins!(self.code, xorq_rm, to, b),
            Alu::Mul => ins!(self.code, imulq_rm, to, b),
        }
        self.write(o.rd, to);
    }

    /// The same of words: addw, subw, mulw.
    pub fn binary_word(&mut self, o: R, alu: Alu) {
        if o.rd == X::ZERO {
            return;
        }
        let (a, b) = (self.read(o.rs1), self.read(o.rs2));
        let to = self.fresh();
        ins!(self.code, movl_rm, to, a);
        match alu {
            Alu::Add => ins!(self.code, addl_rm, to, b),
            Alu::Sub => ins!(self.code, subl_rm, to, b),
            Alu::And => ins!(self.code, andl_rm, to, b),
            Alu::Or => ins!(self.code, orl_rm, to, b),
            Alu::Xor => ins!(self.code, xorl_rm, to, b),
            Alu::Mul => ins!(self.code, imull_rm, to, b),
        }
        ins!(self.code, movslq_rm, to, to);
        self.write(o.rd, to);
    }

    fn shift_by(&mut self, to: Reg, shift: Shift, by: u8, word: bool) {
        match (shift, word) {
            (Shift::Left, false) => ins!(self.code, shlq_mi, to, by),
            (Shift::Right, false) => ins!(self.code, shrq_mi, to, by),
            (Shift::Arithmetic, false) => ins!(self.code, sarq_mi, to, by),
            (Shift::RotateLeft, false) => ins!(self.code, rolq_mi, to, by),
            (Shift::RotateRight, false) => ins!(self.code, rorq_mi, to, by),
            (Shift::Left, true) => ins!(self.code, shll_mi, to, by),
            (Shift::Right, true) => ins!(self.code, shrl_mi, to, by),
            (Shift::Arithmetic, true) => ins!(self.code, sarl_mi, to, by),
            (Shift::RotateLeft, true) => ins!(self.code, roll_mi, to, by),
            (Shift::RotateRight, true) => ins!(self.code, rorl_mi, to, by),
        }
    }

    pub fn shift_immediate(&mut self, o: Sh6, shift: Shift) {
        if o.rd == X::ZERO {
            return;
        }
        let to = self.copy(o.rs1);
        self.shift_by(to, shift, o.shamt & 63, false);
        self.write(o.rd, to);
    }

    pub fn shift_word_immediate(&mut self, o: Sh5, shift: Shift) {
        if o.rd == X::ZERO {
            return;
        }
        let to = self.copy(o.rs1);
        self.shift_by(to, shift, o.shamt & 31, true);
        ins!(self.code, movslq_rm, to, to);
        self.write(o.rd, to);
    }

    /// By a register, of which the host takes the same low bits as the guest.
    pub fn shift(&mut self, o: R, shift: Shift, word: bool) {
        if o.rd == X::ZERO {
            return;
        }
        let by = self.read(o.rs2);
        let to = self.copy(o.rs1);
        ins!(self.code, movl_rm, RCX, by);
        let cl = Fixed(RCX);
        match (shift, word) {
            (Shift::Left, false) => ins!(self.code, shlq_mc, to, cl),
            (Shift::Right, false) => ins!(self.code, shrq_mc, to, cl),
            (Shift::Arithmetic, false) => ins!(self.code, sarq_mc, to, cl),
            (Shift::RotateLeft, false) => ins!(self.code, rolq_mc, to, cl),
            (Shift::RotateRight, false) => ins!(self.code, rorq_mc, to, cl),
            (Shift::Left, true) => ins!(self.code, shll_mc, to, cl),
            (Shift::Right, true) => ins!(self.code, shrl_mc, to, cl),
            (Shift::Arithmetic, true) => ins!(self.code, sarl_mc, to, cl),
            (Shift::RotateLeft, true) => ins!(self.code, roll_mc, to, cl),
            (Shift::RotateRight, true) => ins!(self.code, rorl_mc, to, cl),
        }
        if word {
            ins!(self.code, movslq_rm, to, to);
        }
        self.write(o.rd, to);
    }

    /// slt and sltu.
    pub fn less(&mut self, o: R, signed: bool) {
        if o.rd == X::ZERO {
            return;
        }
        let (a, b) = (self.read(o.rs1), self.read(o.rs2));
        let to = self.fresh();
        ins!(self.code, cmpq_rm, a, b);
        self.set_if_less(to, signed);
        self.write(o.rd, to);
    }

    /// slti and sltiu.
    pub fn less_immediate(&mut self, o: I, signed: bool) {
        if o.rd == X::ZERO {
            return;
        }
        let a = self.read(o.rs1);
        let to = self.fresh();
        ins!(self.code, cmpq_mi, a, o.imm);
        self.set_if_less(to, signed);
        self.write(o.rd, to);
    }

    fn set_if_less(&mut self, to: Reg, signed: bool) {
        match signed {
            true => ins!(self.code, setl_m, RAX),
            false => ins!(self.code, setb_m, RAX),
        }
        ins!(self.code, movzbl_rm, to, RAX);
    }

    /// mulh and its relatives.
    pub fn mul_high(&mut self, o: R, high: High) {
        if o.rd == X::ZERO {
            return;
        }
        let (a, b) = (self.read(o.rs1), self.read(o.rs2));
        let to = self.fresh();
        ins!(self.code, movq_rm, RAX, a);
        match high {
            High::Signed => ins!(self.code, imulq_m, Fixed(RAX), Fixed(RDX), b),
            High::Unsigned | High::Mixed => ins!(self.code, mulq_m, Fixed(RAX), Fixed(RDX), b),
        }
        ins!(self.code, movq_rm, to, RDX);
        if high == High::Mixed {
            // A negative first operand was taken for one that is 2^64 more.
            ins!(self.code, movq_rm, RAX, a);
            ins!(self.code, sarq_mi, RAX, 63u8);
            ins!(self.code, andq_rm, RAX, b);
            ins!(self.code, subq_rm, to, RAX);
        }
        self.write(o.rd, to);
    }

    /// div, rem and their relatives. The host refuses to divide by 0, and the least number by -1.
    pub fn divide(&mut self, o: R, signed: bool, remainder: bool, word: bool) {
        if o.rd == X::ZERO {
            return;
        }
        let (a, b) = (self.read(o.rs1), self.read(o.rs2));
        let to = self.fresh();
        let (zero, minus_one, done) = (self.code.label(), self.code.label(), self.code.label());
        match word {
            true => ins!(self.code, testl_mr, b, b),
            false => ins!(self.code, testq_mr, b, b),
        }
        self.code.jump_if(Condition::Equal, zero);
        if signed {
            match word {
                true => ins!(self.code, cmpl_mi_sxb, b, -1i8),
                false => ins!(self.code, cmpq_mi_sxb, b, -1i8),
            }
            self.code.jump_if(Condition::Equal, minus_one);
        }
        let trap = cranelift_assembler_x64::TrapCode(std::num::NonZeroU8::MIN);
        let (rax, rdx) = (Fixed(RAX), Fixed(RDX));
        ins!(self.code, movq_rm, RAX, a);
        match (signed, word) {
            (true, true) => {
                ins!(self.code, cltd_zo, rdx, rax);
                ins!(self.code, idivl_m, rax, rdx, b, trap);
            }
            (true, false) => {
                ins!(self.code, cqto_zo, rdx, rax);
                ins!(self.code, idivq_m, rax, rdx, b, trap);
            }
            (false, true) => {
                ins!(self.code, xorl_rm, RDX, RDX);
                ins!(self.code, divl_m, rax, rdx, b, trap);
            }
            (false, false) => {
                ins!(self.code, xorl_rm, RDX, RDX);
                ins!(self.code, divq_m, rax, rdx, b, trap);
            }
        }
        let result = if remainder { RDX } else { RAX };
        ins!(self.code, movq_rm, to, result);
        self.code.bind(done);
        if word {
            ins!(self.code, movslq_rm, to, to);
        }
        self.write(o.rd, to);
        self.code.set_cold(true);
        self.code.bind(zero);
        match remainder {
            true => ins!(self.code, movq_rm, to, a),
            false => ins!(self.code, movq_mi_sxl, to, -1),
        }
        self.code.jump(done);
        if signed {
            self.code.bind(minus_one);
            match remainder {
                true => ins!(self.code, xorl_rm, to, to),
                false => {
                    ins!(self.code, movq_rm, to, a);
                    ins!(self.code, negq_m, to);
                }
            }
            self.code.jump(done);
        }
        self.code.set_cold(false);
    }

    /// sh1add and its relatives; of `x[rs1]` the low word alone if `word`.
    pub fn shift_add(&mut self, o: R, by: u8, word: bool) {
        if o.rd == X::ZERO {
            return;
        }
        let (mut a, b) = (self.read(o.rs1), self.read(o.rs2));
        let to = self.fresh();
        if word {
            ins!(self.code, movl_rm, RAX, a);
            a = RAX;
        }
        let scale = [Scale::One, Scale::Two, Scale::Four, Scale::Eight][usize::from(by & 3)];
        ins!(self.code, leaq_rm, to, at_sum(b, a, scale, 0));
        self.write(o.rd, to);
    }

    /// Extensions and the like: `x[rd]` is made of `x[rs1]` by one host instruction.
    pub fn unary(&mut self, o: R1, emit: impl FnOnce(&mut Self, Reg, Reg)) {
        if o.rd == X::ZERO {
            return;
        }
        let from = self.read(o.rs1);
        let to = self.fresh();
        emit(self, to, from);
        self.write(o.rd, to);
    }

    /// min, max and their relatives.
    pub fn extremum(&mut self, o: R, signed: bool, most: bool) {
        if o.rd == X::ZERO {
            return;
        }
        let b = self.read(o.rs2);
        let to = self.copy(o.rs1);
        ins!(self.code, cmpq_rm, to, b);
        match (signed, most) {
            (true, true) => ins!(self.code, cmovlq_rm, to, b),
            (true, false) => ins!(self.code, cmovgq_rm, to, b),
            (false, true) => ins!(self.code, cmovbq_rm, to, b),
            (false, false) => ins!(self.code, cmovaq_rm, to, b),
        }
        self.write(o.rd, to);
    }
}
