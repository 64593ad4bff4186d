//! RV32I and RV64I: the shapes that most instructions have.

use super::{Translator, imm};
use crate::context::code;
use crate::graph::Step;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::FunctionBuilder;
use frontend::{I, R, S, X};

impl<'f> Translator<'_, 'f> {
    pub(super) fn constant(&mut self, rd: X, value: u64) {
        let value = self.b.ins().iconst(types::I64, value as i64);
        self.set(rd, value);
    }

    /// `rd` becomes an address that lies in a fixed distance from the instruction.
    pub(super) fn near(&mut self, rd: X, address: u64) {
        let value = self.pc_value(address);
        self.set(rd, value);
    }

    /// `rd = f(rs1)`.
    pub(super) fn unary(
        &mut self,
        rd: X,
        rs1: X,
        f: impl FnOnce(&mut FunctionBuilder<'f>, Value) -> Value,
    ) {
        let x = self.x(rs1);
        let value = f(&mut self.b, x);
        self.set(rd, value);
    }

    /// `rd = f(rs1, rs2)`.
    pub(super) fn binary(
        &mut self,
        o: R,
        f: impl FnOnce(&mut FunctionBuilder<'f>, Value, Value) -> Value,
    ) {
        let (x, y) = (self.x(o.rs1), self.x(o.rs2));
        let value = f(&mut self.b, x, y);
        self.set(o.rd, value);
    }

    /// The same on the low words; the result is sign-extended.
    pub(super) fn word_unary(
        &mut self,
        rd: X,
        rs1: X,
        f: impl FnOnce(&mut FunctionBuilder<'f>, Value) -> Value,
    ) {
        self.unary(rd, rs1, |b, x| {
            let word = b.ins().ireduce(types::I32, x);
            let result = f(b, word);
            b.ins().sextend(types::I64, result)
        });
    }

    /// The same on the low words; the result is sign-extended.
    pub(super) fn word_binary(
        &mut self,
        o: R,
        f: impl FnOnce(&mut FunctionBuilder<'f>, Value, Value) -> Value,
    ) {
        self.binary(o, |b, x, y| {
            let x = b.ins().ireduce(types::I32, x);
            let y = b.ins().ireduce(types::I32, y);
            let result = f(b, x, y);
            b.ins().sextend(types::I64, result)
        });
    }

    /// A move, if the immediate is 0.
    pub(super) fn addi(&mut self, o: I) {
        let x = self.x(o.rs1);
        let sum = if o.imm == 0 {
            x
        } else {
            self.b.ins().iadd_imm_s(x, imm(o.imm))
        };
        self.set(o.rd, sum);
    }

    pub(super) fn compare(&mut self, o: R, cc: IntCC) {
        self.binary(o, |b, x, y| {
            let less = b.ins().icmp(cc, x, y);
            b.ins().uextend(types::I64, less)
        });
    }

    pub(super) fn compare_imm(&mut self, o: I, cc: IntCC) {
        self.unary(o.rd, o.rs1, |b, x| {
            let less = b.ins().icmp_imm_s(cc, x, imm(o.imm));
            b.ins().uextend(types::I64, less)
        });
    }

    pub(super) fn load_integer(&mut self, o: I, bits: u32, signed: bool) {
        let value = self.load_x(o.rs1, o.imm, bits, signed);
        self.set(o.rd, value);
    }

    pub(super) fn store_integer(&mut self, o: S, bits: u32) {
        let value = self.x(o.rs2);
        self.store_x(o.rs1, o.imm, bits, value);
    }

    /// All fences are full ones.
    pub(super) fn fence(&mut self) {
        self.b.ins().fence();
    }

    /// Leaves an instruction to the interpreter, unconditionally. What follows in the node is
    /// reached by an entry of its own.
    pub(super) fn interpret(&mut self, pc: u64) {
        self.leave(code::INTERPRET, pc);
        let unreachable = self.b.create_block();
        self.b.switch_to_block(unreachable);
        self.b.seal_block(unreachable);
    }

    /// Makes an instruction's result wrong, for the tests that look for such errors.
    pub(super) fn spoil(&mut self, step: &Step) {
        for x in step.insn.defs().xs() {
            let right = self.x(x);
            let wrong = self.b.ins().bxor_imm_u(right, 1);
            self.set(x, wrong);
        }
        for f in step.insn.defs().fs() {
            let right = self.read(32 + f.index());
            let wrong = self.b.ins().fneg(right);
            self.write(32 + f.index(), wrong);
        }
    }
}
