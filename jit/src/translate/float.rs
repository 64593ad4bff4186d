//! F and D: the host's arithmetic where its result is provably RISC-V's and raises no flag that is
//! not raised already; everything else in a helper, by soft float.
//!
//! The host rounds to nearest even, and its own flags are ignored. The fast path is right if
//! that mode is asked for, if NX has accrued already, and if the result is finite and far enough
//! from underflow: then inexactness is the only flag it could raise. The first two are `GUARD`,
//! which is 0 if they hold and otherwise so large a number that it spoils the third check.

use super::Translator;
use super::registers::trusted;
use crate::analysis::registers::GUARD;
use crate::context::offset;
use crate::helpers;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Type, Value, types};
use frontend::{F, Fcmp, Fl, FmvX, Fr, Fr1, Fr2, Fr4, Fs, FtoX, Insn, Op, Rm, X, XmvF, XtoF};

/// The sign that sign injection gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The second operand's.
    Copy,
    /// The opposite of the second operand's.
    Negate,
    /// The product of both.
    Xor,
}

/// Which results the fast path may keep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Any finite one: tiny results of the operation are exact.
    Finite,
    /// Normal ones clear of the smallest: tininess is detected after rounding.
    Normal,
}

/// What a floating-point instruction writes.
#[derive(Clone, Copy)]
enum Result {
    Float(F, Type),
    Integer(X),
}

fn bits_type(ty: Type) -> Type {
    if ty == types::F32 {
        types::I32
    } else {
        types::I64
    }
}

impl Translator<'_, '_> {
    fn float(&mut self, r: F, ty: Type) -> Value {
        if ty == types::F32 {
            self.f32(r)
        } else {
            self.f64(r)
        }
    }

    fn set_float(&mut self, rd: F, ty: Type, value: Value) {
        if ty == types::F32 {
            self.set_f32(rd, value)
        } else {
            self.set_f64(rd, value)
        }
    }

    pub(super) fn load_float(&mut self, o: Fl, ty: Type) {
        let value = self.load_f(o.rs1, o.imm, ty);
        self.set_float(o.rd, ty, value);
    }

    pub(super) fn store_float(&mut self, o: Fs, ty: Type) {
        let value = if ty == types::F32 {
            self.f32_raw(o.rs2)
        } else {
            self.f64(o.rs2)
        };
        self.store_f(o.rs1, o.imm, value);
    }

    /// fadd, fsub, fmul, fdiv.
    pub(super) fn arithmetic(&mut self, o: Fr, ty: Type, insn: Insn) {
        use Op::*;
        let (a, b) = (self.float(o.rs1, ty), self.float(o.rs2, ty));
        let result = Result::Float(o.rd, ty);
        if !nearest(o.rm) {
            return self.help(insn, &[a, b], result);
        }
        let (value, keep) = match insn.op() {
            FaddS | FaddD => (self.b.ins().fadd(a, b), Keep::Finite),
            FsubS | FsubD => (self.b.ins().fsub(a, b), Keep::Finite),
            FmulS | FmulD => (self.b.ins().fmul(a, b), Keep::Normal),
            _ => (self.b.ins().fdiv(a, b), Keep::Normal),
        };
        let good = self.is_plain(value, keep);
        self.settle_float(good, value, insn, &[a, b], result);
    }

    pub(super) fn square_root(&mut self, o: Fr1, ty: Type, insn: Insn) {
        let a = self.float(o.rs1, ty);
        let result = Result::Float(o.rd, ty);
        if !nearest(o.rm) {
            return self.help(insn, &[a], result);
        }
        // No square root is tiny.
        let value = self.b.ins().sqrt(a);
        let good = self.is_plain(value, Keep::Finite);
        self.settle_float(good, value, insn, &[a], result);
    }

    /// fmadd, fmsub, fnmsub, fnmadd: whether the product and the addend are negated.
    pub(super) fn fused(&mut self, o: Fr4, ty: Type, negate: (bool, bool), insn: Insn) {
        let a = self.float(o.rs1, ty);
        let b = self.float(o.rs2, ty);
        let c = self.float(o.rs3, ty);
        let result = Result::Float(o.rd, ty);
        if !nearest(o.rm) || !self.settings.fma {
            return self.help(insn, &[a, b, c], result);
        }
        let factor = if negate.0 { self.b.ins().fneg(a) } else { a };
        let addend = if negate.1 { self.b.ins().fneg(c) } else { c };
        let value = self.b.ins().fma(factor, b, addend);
        let good = self.is_plain(value, Keep::Normal);
        self.settle_float(good, value, insn, &[a, b, c], result);
    }

    /// Whether the fast path's result stands: the guard is 0, and the result as `keep` says.
    fn is_plain(&mut self, value: Value, keep: Keep) -> Value {
        let ty = bits_type(self.b.func.dfg.value_type(value));
        let (fraction, largest) = if ty == types::I32 {
            (23, 0xff)
        } else {
            (52, 0x7ff)
        };
        let guard = self.guard_as(ty);
        let bits = self.b.ins().bitcast(ty, MemFlagsData::new(), value);
        // Without the sign, the exponent is on top.
        let magnitude = self.b.ins().iadd(bits, bits);
        let exponent =
            |n: u64| ((n << (fraction + 1)) << (64 - ty.bits()) >> (64 - ty.bits())) as i64;
        let (magnitude, bound) = match keep {
            Keep::Finite => (magnitude, exponent(largest)),
            Keep::Normal => {
                let smallest = self.b.ins().iconst(ty, exponent(2));
                (
                    self.b.ins().isub(magnitude, smallest),
                    exponent(largest - 2),
                )
            }
        };
        let guarded = self.b.ins().bor(magnitude, guard);
        let bound = self.b.ins().iconst(ty, bound);
        self.b.ins().icmp(IntCC::UnsignedLessThan, guarded, bound)
    }

    fn guard_as(&mut self, ty: Type) -> Value {
        let guard = self.read(GUARD.trailing_zeros() as usize);
        if ty == types::I64 {
            guard
        } else {
            self.b.ins().ireduce(ty, guard)
        }
    }

    /// Whether the guard is 0.
    fn is_guarded(&mut self) -> Value {
        let guard = self.read(GUARD.trailing_zeros() as usize);
        self.b.ins().icmp_imm_u(IntCC::Equal, guard, 0)
    }

    /// Keeps `value` as the result if it is good, else has the helper compute it.
    fn settle_float(
        &mut self,
        good: Value,
        value: Value,
        insn: Insn,
        operands: &[Value],
        result: Result,
    ) {
        let cold = self.b.create_block();
        let done = self.b.create_block();
        self.b.set_cold_block(cold);
        let ty = self.b.func.dfg.value_type(value);
        let settled = self.b.append_block_param(done, ty);
        self.b.ins().brif(good, done, &[value.into()], cold, &[]);
        self.b.seal_block(cold);
        self.join(cold, done, insn, operands, result);
        self.put(result, settled);
    }

    /// Fills the cold block: the helper's result goes to `done`, where translation goes on.
    fn join(&mut self, cold: Block, done: Block, insn: Insn, operands: &[Value], result: Result) {
        let here = self.now.registers;
        self.aside(cold, |t| {
            t.cold = true;
            t.zero(done, insn, operands);
            let value = t.call(insn, operands, result);
            // The operation may have set NX: later ones then take their fast path.
            if here.available & GUARD != 0 && insn.rm().is_some() {
                t.load(GUARD.trailing_zeros() as usize, t.now.pc);
            }
            t.b.ins().jump(done, &[value.into()]);
            t.cold = false;
        });
        self.b.seal_block(done);
        self.b.switch_to_block(done);
    }

    /// A product with a zero and a finite factor, and zero divided by anything but zero and NaN,
    /// are exact zeros in any rounding mode: they go straight to `done`.
    fn zero(&mut self, done: Block, insn: Insn, operands: &[Value]) {
        use Op::*;
        let product = matches!(insn.op(), FmulS | FmulD);
        if !product && !matches!(insn.op(), FdivS | FdivD) {
            return;
        }
        let &[a, b] = operands else { return };
        let single = self.b.func.dfg.value_type(a) == types::F32;
        let zero = if single {
            self.b.ins().f32const(0.0)
        } else {
            self.b.ins().f64const(0.0)
        };
        // The same value that the hot path computed; NaN if the other factor was not finite.
        let value = if product {
            self.b.ins().fmul(a, b)
        } else {
            self.b.ins().fdiv(a, b)
        };
        let is_zero = self.b.ins().fcmp(FloatCC::Equal, value, zero);
        let mut exact = self.b.ins().fcmp(FloatCC::Equal, a, zero);
        if product {
            let other = self.b.ins().fcmp(FloatCC::Equal, b, zero);
            exact = self.b.ins().bor(exact, other);
        }
        let mut exact = self.b.ins().band(is_zero, exact);
        if insn.rm() == Some(Rm::Dyn) {
            let frm = self
                .b
                .ins()
                .load(types::I32, trusted(), self.context, offset::FRM);
            let valid = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, frm, 5);
            exact = self.b.ins().band(exact, valid);
        }
        let inexact = self.b.create_block();
        self.b.set_cold_block(inexact);
        self.b
            .ins()
            .brif(exact, done, &[value.into()], inexact, &[]);
        self.b.seal_block(inexact);
        self.b.switch_to_block(inexact);
    }

    fn put(&mut self, result: Result, value: Value) {
        match result {
            Result::Float(rd, ty) => self.set_float(rd, ty, value),
            Result::Integer(rd) => self.set(rd, value),
        }
    }

    /// The helper alone, where there is no fast path.
    fn help(&mut self, insn: Insn, operands: &[Value], result: Result) {
        let value = self.call(insn, operands, result);
        self.put(result, value);
        if insn.rm().is_some() {
            self.now.registers.available &= !GUARD;
            self.load_guard();
        }
    }

    fn load_guard(&mut self) {
        let guard = GUARD.trailing_zeros() as usize;
        self.load(guard, self.now.pc);
        self.now.registers.available |= GUARD;
    }

    /// Calls the helper. It computes by soft float and accrues flags; see `helpers.rs`. The call
    /// passes nothing in registers and changes none, so that the hot path spills nothing for it.
    fn call(&mut self, insn: Insn, operands: &[Value], result: Result) -> Value {
        let context = self.context;
        if insn.rm() == Some(Rm::Dyn) {
            let frm = self
                .b
                .ins()
                .load(types::I32, trusted(), context, offset::FRM);
            let valid = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, frm, 5);
            self.require(valid, self.now.pc);
        }
        for (index, &operand) in operands.iter().enumerate() {
            self.b.ins().store(
                trusted(),
                operand,
                context,
                offset::SCRATCH + 8 * index as i32,
            );
        }
        let word = self
            .b
            .ins()
            .iconst(types::I32, i64::from(helpers::pack(insn)));
        self.b
            .ins()
            .store(trusted(), word, context, offset::OPERATION);
        let thunk = self.linker.float_thunk(self.b.func);
        self.b.ins().call(thunk, &[]);
        let ty = match result {
            Result::Float(_, ty) => ty,
            Result::Integer(_) => types::I64,
        };
        self.b.ins().load(ty, trusted(), context, offset::RESULT)
    }

    pub(super) fn sign(&mut self, o: Fr2, ty: Type, sign: Sign) {
        let a = self.float(o.rs1, ty);
        let b = self.float(o.rs2, ty);
        let same = o.rs1 == o.rs2;
        let value = match sign {
            Sign::Copy if same => a,
            Sign::Copy => self.b.ins().fcopysign(a, b),
            Sign::Negate if same => self.b.ins().fneg(a),
            Sign::Negate => {
                let b = self.b.ins().fneg(b);
                self.b.ins().fcopysign(a, b)
            }
            Sign::Xor if same => self.b.ins().fabs(a),
            Sign::Xor => {
                let bits = bits_type(ty);
                let x = self.b.ins().bitcast(bits, MemFlagsData::new(), a);
                let y = self.b.ins().bitcast(bits, MemFlagsData::new(), b);
                let top = self
                    .b
                    .ins()
                    .iconst(bits, (1u64 << (bits.bits() - 1)) as i64);
                let sign = self.b.ins().band(y, top);
                let value = self.b.ins().bxor(x, sign);
                self.b.ins().bitcast(ty, MemFlagsData::new(), value)
            }
        };
        self.set_float(o.rd, ty, value);
    }

    /// fmin and fmax. Equal operands may be zeros of either sign; those and NaNs go to the helper.
    pub(super) fn min_max(&mut self, o: Fr2, ty: Type, first: FloatCC, insn: Insn) {
        let (a, b) = (self.float(o.rs1, ty), self.float(o.rs2, ty));
        let choose = self.b.ins().fcmp(first, a, b);
        let value = self.b.ins().select(choose, a, b);
        let good = self.b.ins().fcmp(FloatCC::OrderedNotEqual, a, b);
        self.settle_float(good, value, insn, &[a, b], Result::Float(o.rd, ty));
    }

    pub(super) fn float_compare(&mut self, o: Fcmp, ty: Type, cc: FloatCC, insn: Insn) {
        let (a, b) = (self.float(o.rs1, ty), self.float(o.rs2, ty));
        let holds = self.b.ins().fcmp(cc, a, b);
        let value = self.b.ins().uextend(types::I64, holds);
        let good = self.b.ins().fcmp(FloatCC::Ordered, a, b);
        self.settle_float(good, value, insn, &[a, b], Result::Integer(o.rd));
    }

    pub(super) fn classify(&mut self, o: FmvX, ty: Type, insn: Insn) {
        let a = self.float(o.rs1, ty);
        self.help(insn, &[a], Result::Integer(o.rd));
    }

    /// fcvt to an integer: rounded first, then checked to be in range, then converted.
    pub(super) fn float_to_integer(
        &mut self,
        o: FtoX,
        ty: Type,
        to: Type,
        signed: bool,
        insn: Insn,
    ) {
        let a = self.float(o.rs1, ty);
        let result = Result::Integer(o.rd);
        let rounded = match o.rm {
            // Conversion itself cuts off the fraction.
            Rm::Rtz => a,
            Rm::Rne | Rm::Dyn => self.b.ins().nearest(a),
            Rm::Rdn => self.b.ins().floor(a),
            Rm::Rup => self.b.ins().ceil(a),
            Rm::Rmm => return self.help(insn, &[a], result),
        };
        let limit = match (to, signed) {
            (types::I32, true) => 2f64.powi(31),
            (types::I32, false) => 2f64.powi(32),
            _ => 2f64.powi(63),
        };
        let limit = if ty == types::F32 {
            self.b.ins().f32const(limit as f32)
        } else {
            self.b.ins().f64const(limit)
        };
        // Negative numbers are in range of no unsigned type; of a signed one if their magnitude
        // is. A NaN is in none.
        let guarded = self.is_guarded();
        let compared = if signed {
            self.b.ins().fabs(rounded)
        } else {
            rounded
        };
        let below = self.b.ins().fcmp(FloatCC::LessThan, compared, limit);
        let mut good = self.b.ins().band(guarded, below);
        if !signed {
            let bits = bits_type(ty);
            let bits = self.b.ins().bitcast(bits, MemFlagsData::new(), rounded);
            let natural = self
                .b
                .ins()
                .icmp_imm_s(IntCC::SignedGreaterThanOrEqual, bits, 0);
            good = self.b.ins().band(good, natural);
        }
        let (hot, cold, done) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        self.b.set_cold_block(cold);
        let settled = self.b.append_block_param(done, types::I64);
        self.b.ins().brif(good, hot, &[], cold, &[]);
        self.b.seal_block(hot);
        self.b.seal_block(cold);
        self.aside(hot, |t| {
            let mut value = t.b.ins().fcvt_to_sint(types::I64, rounded);
            if to == types::I32 {
                // Words are sign-extended, unsigned ones too.
                let word = t.b.ins().ireduce(types::I32, value);
                value = t.b.ins().sextend(types::I64, word);
            }
            t.b.ins().jump(done, &[value.into()]);
        });
        self.join(cold, done, insn, &[a], result);
        self.put(result, settled);
    }

    /// fcvt from an integer.
    pub(super) fn integer_to_float(
        &mut self,
        o: XtoF,
        ty: Type,
        from: Type,
        signed: bool,
        insn: Insn,
    ) {
        let x = self.x(o.rs1);
        let result = Result::Float(o.rd, ty);
        if !(nearest(o.rm) || ty == types::F64 && from == types::I32) {
            return self.help(insn, &[x], result);
        }
        let x = if from == types::I64 {
            x
        } else {
            let word = self.b.ins().ireduce(types::I32, x);
            if signed {
                self.b.ins().sextend(types::I64, word)
            } else {
                self.b.ins().uextend(types::I64, word)
            }
        };
        let value = if signed || from == types::I32 {
            self.b.ins().fcvt_from_sint(ty, x)
        } else {
            self.b.ins().fcvt_from_uint(ty, x)
        };
        if ty == types::F64 && from == types::I32 {
            self.require_valid_mode(o.rm);
            return self.put(result, value);
        }
        let good = self.is_guarded();
        self.settle_float(good, value, insn, &[x], result);
    }

    /// A dynamic rounding mode must be valid even if the operation is exact.
    fn require_valid_mode(&mut self, rm: Rm) {
        if rm == Rm::Dyn {
            let frm = self
                .b
                .ins()
                .load(types::I32, trusted(), self.context, offset::FRM);
            let valid = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, frm, 5);
            self.require(valid, self.now.pc);
        }
    }

    /// fcvt.s.d.
    pub(super) fn narrow(&mut self, o: Fr1, insn: Insn) {
        let a = self.f64(o.rs1);
        let result = Result::Float(o.rd, types::F32);
        if !nearest(o.rm) {
            return self.help(insn, &[a], result);
        }
        let value = self.b.ins().fdemote(types::F32, a);
        let good = self.is_plain(value, Keep::Normal);
        self.settle_float(good, value, insn, &[a], result);
    }

    /// fcvt.d.s: exact, unless it is a NaN.
    pub(super) fn widen(&mut self, o: Fr1, insn: Insn) {
        let a = self.f32(o.rs1);
        self.require_valid_mode(o.rm);
        let value = self.b.ins().fpromote(types::F64, a);
        let good = self.b.ins().fcmp(FloatCC::Ordered, a, a);
        self.settle_float(good, value, insn, &[a], Result::Float(o.rd, types::F64));
    }

    pub(super) fn bits_of_single(&mut self, o: FmvX) {
        let value = self.f32_raw(o.rs1);
        let bits = self.b.ins().bitcast(types::I32, MemFlagsData::new(), value);
        let bits = self.b.ins().sextend(types::I64, bits);
        self.set(o.rd, bits);
    }

    pub(super) fn single_of_bits(&mut self, o: XmvF) {
        let x = self.x(o.rs1);
        let bits = self.b.ins().ireduce(types::I32, x);
        let value = self.b.ins().bitcast(types::F32, MemFlagsData::new(), bits);
        self.set_f32(o.rd, value);
    }

    pub(super) fn bits_of_double(&mut self, o: FmvX) {
        let value = self.f64(o.rs1);
        let bits = self.b.ins().bitcast(types::I64, MemFlagsData::new(), value);
        self.set(o.rd, bits);
    }

    pub(super) fn double_of_bits(&mut self, o: XmvF) {
        let x = self.x(o.rs1);
        let value = self.b.ins().bitcast(types::F64, MemFlagsData::new(), x);
        self.set_f64(o.rd, value);
    }
}

/// Whether the host's own rounding may be what is asked for; the guard knows for `Dyn`.
fn nearest(rm: Rm) -> bool {
    match rm {
        Rm::Rne | Rm::Dyn => true,
        Rm::Rtz | Rm::Rdn | Rm::Rup | Rm::Rmm => false,
    }
}
