//! F and D: the host's arithmetic where its result and flags are provably RISC-V's; everything
//! else in a helper, by soft float.
//!
//! On x86-64 the host's flags are the guest's, see `sticky.rs`. Elsewhere the host rounds to
//! nearest even, and its own flags are ignored. The fast path is right if
//! that mode is asked for, if NX has accrued already, and if the result is finite and far enough
//! from underflow: then inexactness is the only flag it could raise. The first two are `GUARD`,
//! which is 0 if they hold and otherwise so large a number that it spoils the third check.

use super::Translator;
use super::registers::trusted;
use crate::analysis::registers::GUARD;
use crate::context::offset;
use crate::helpers::{self, Helper};
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
    /// An operand of arithmetic, to which all NaNs are alike.
    fn float(&mut self, r: F, ty: Type) -> Value {
        let value = if ty == types::F32 {
            self.f32_unchecked(r)
        } else {
            self.f64_unchecked(r)
        };
        self.pin(value)
    }

    pub(super) fn set_float(&mut self, rd: F, ty: Type, value: Value) {
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
        if !self.is_hosts(o.rm) {
            return self.help(insn, &[a, b], result);
        }
        let (value, keep) = match insn.op() {
            FaddS | FaddD => (self.b.ins().fadd(a, b), Keep::Finite),
            FsubS | FsubD => (self.b.ins().fsub(a, b), Keep::Finite),
            FmulS | FmulD => (self.b.ins().fmul(a, b), Keep::Normal),
            _ => (self.b.ins().fdiv(a, b), Keep::Normal),
        };
        if self.settings.host_flags {
            return self.raise(value, &[a, b], o.rd, ty);
        }
        let good = self.is_plain(value, keep);
        self.settle_float(good, value, insn, &[a, b], result);
    }

    pub(super) fn square_root(&mut self, o: Fr1, ty: Type, insn: Insn) {
        let a = self.float(o.rs1, ty);
        let result = Result::Float(o.rd, ty);
        if !self.is_hosts(o.rm) {
            return self.help(insn, &[a], result);
        }
        let value = self.b.ins().sqrt(a);
        if self.settings.host_flags {
            return self.raise(value, &[a], o.rd, ty);
        }
        // No square root is tiny.
        let good = self.is_plain(value, Keep::Finite);
        self.settle_float(good, value, insn, &[a], result);
    }

    /// fmadd, fmsub, fnmsub, fnmadd: whether the product and the addend are negated.
    pub(super) fn fused(&mut self, o: Fr4, ty: Type, negate: (bool, bool), insn: Insn) {
        let a = self.float(o.rs1, ty);
        let b = self.float(o.rs2, ty);
        let c = self.float(o.rs3, ty);
        let result = Result::Float(o.rd, ty);
        if !self.is_hosts(o.rm) || !self.settings.fma {
            return self.help(insn, &[a, b, c], result);
        }
        let factor = if negate.0 { self.b.ins().fneg(a) } else { a };
        let addend = if negate.1 { self.b.ins().fneg(c) } else { c };
        let value = self.b.ins().fma(factor, b, addend);
        if self.settings.host_flags {
            // For an infinity times zero plus a NaN the hosts' flags differ: the helper's hold.
            self.raises(value);
            let good = self.b.ins().fcmp(FloatCC::Ordered, value, value);
            return self.settle_float(good, value, insn, &[a, b, c], result);
        }
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
        debug_assert!(!self.settings.host_flags, "there is no guard");
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
            if !t.settings.host_flags {
                t.zero(done, insn, operands);
            }
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

    /// Whether the instruction being translated may be done by the host in this rounding mode.
    fn is_hosts(&self, rm: Rm) -> bool {
        if self.settings.host_flags {
            rm == Rm::Dyn
        } else {
            nearest(rm)
        }
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
        if insn.rm().is_some() && !self.settings.host_flags {
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
        if let Some(rm) = insn.rm() {
            self.require_valid_mode(rm);
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
        let thunk = self.linker.thunk(Helper::Float, self.b.func);
        self.b.ins().call(thunk, &[]);
        let ty = match result {
            Result::Float(_, ty) => ty,
            Result::Integer(_) => types::I64,
        };
        self.b.ins().load(ty, trusted(), context, offset::RESULT)
    }

    pub(super) fn sign(&mut self, o: Fr2, ty: Type, sign: Sign) {
        // The sign of a NaN is seen here.
        self.check_result(o.rs1);
        self.check_result(o.rs2);
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
                let value = self.opaque(value);
                self.b.ins().bitcast(ty, MemFlagsData::new(), value)
            }
        };
        self.set_float(o.rd, ty, value);
    }

    /// fmin and fmax. Equal operands may be zeros of either sign; those and NaNs go to the helper.
    /// `first` is not strict, because Cranelift would make a strict choice a minsd, which raises
    /// flags for quiet NaNs.
    pub(super) fn min_max(&mut self, o: Fr2, ty: Type, first: FloatCC, insn: Insn) {
        let (a, b) = (self.float(o.rs1, ty), self.float(o.rs2, ty));
        let choose = self.b.ins().fcmp(first, a, b);
        self.raises(choose);
        let value = self.b.ins().select(choose, a, b);
        let good = self.b.ins().fcmp(FloatCC::OrderedNotEqual, a, b);
        self.settle_float(good, value, insn, &[a, b], Result::Float(o.rd, ty));
    }

    pub(super) fn float_compare(&mut self, o: Fcmp, ty: Type, cc: FloatCC, insn: Insn) {
        let (a, b) = (self.float(o.rs1, ty), self.float(o.rs2, ty));
        let holds = self.b.ins().fcmp(cc, a, b);
        self.raises(holds);
        let value = self.b.ins().uextend(types::I64, holds);
        let good = self.b.ins().fcmp(FloatCC::Ordered, a, b);
        self.settle_float(good, value, insn, &[a, b], Result::Integer(o.rd));
    }

    pub(super) fn classify(&mut self, o: FmvX, ty: Type, insn: Insn) {
        let a = self.float(o.rs1, ty);
        self.help(insn, &[a], Result::Integer(o.rd));
    }

    /// fcvt to an integer: checked to be in range, then rounded, then converted.
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
        if o.rm == Rm::Rmm {
            return self.help(insn, &[a], result);
        }
        let good = self.is_convertible(o.rm, a, to, signed);
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
            let rounded = match o.rm {
                // Conversion itself cuts off the fraction.
                Rm::Rtz => a,
                Rm::Rne | Rm::Dyn | Rm::Rmm => t.b.ins().nearest(a),
                Rm::Rdn => t.b.ins().floor(a),
                Rm::Rup => t.b.ins().ceil(a),
            };
            if rounded != a {
                t.raises(rounded);
            }
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

    /// Whether a number is in range of an integer type, however it is rounded, and the host rounds
    /// it so. Of the numbers that only some rounding brings into range none is. Negative numbers
    /// are in range of no unsigned type; of a signed one if their magnitude is. A NaN is in none.
    fn is_convertible(&mut self, rm: Rm, a: Value, to: Type, signed: bool) -> Value {
        let ty = self.b.func.dfg.value_type(a);
        let limit = match (to, signed) {
            (types::I32, true) => 2f64.powi(31),
            (types::I32, false) => 2f64.powi(32),
            _ => 2f64.powi(63),
        };
        let limit = if ty == types::F32 {
            // Near the limit all are integers.
            self.b.ins().f32const(limit as f32)
        } else if to == types::I32 {
            self.b.ins().f64const(limit - 1.0)
        } else {
            self.b.ins().f64const(limit)
        };
        let compared = if signed { self.b.ins().fabs(a) } else { a };
        let mut good = self.b.ins().fcmp(FloatCC::LessThan, compared, limit);
        self.raises(good);
        if !self.settings.host_flags {
            let guarded = self.is_guarded();
            good = self.b.ins().band(guarded, good);
        } else if rm == Rm::Dyn {
            let frm = self.frm();
            let nearest = self.b.ins().icmp_imm_u(IntCC::Equal, frm, 0);
            good = self.b.ins().band(nearest, good);
        }
        if !signed {
            let bits = bits_type(ty);
            let bits = self.b.ins().bitcast(bits, MemFlagsData::new(), a);
            let natural = self
                .b
                .ins()
                .icmp_imm_s(IntCC::SignedGreaterThanOrEqual, bits, 0);
            good = self.b.ins().band(good, natural);
        }
        good
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
        let exact = ty == types::F64 && from == types::I32;
        if !(exact || self.is_hosts(o.rm)) {
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
        let x = if exact { x } else { self.opaque(x) };
        let value = if signed || from == types::I32 {
            self.b.ins().fcvt_from_sint(ty, x)
        } else {
            self.b.ins().fcvt_from_uint(ty, x)
        };
        if exact {
            self.require_valid_mode(o.rm);
            return self.put(result, value);
        }
        if self.settings.host_flags {
            return self.raise(value, &[], o.rd, ty);
        }
        let good = self.is_guarded();
        self.settle_float(good, value, insn, &[x], result);
    }

    /// A dynamic rounding mode must be valid even if the operation is exact.
    fn require_valid_mode(&mut self, rm: Rm) {
        // Where the host's mode goes with frm, the region is only entered with a valid one.
        if rm == Rm::Dyn && !self.settings.host_flags {
            let frm = self.frm();
            let valid = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, frm, 5);
            self.require(valid, self.now.pc);
        }
    }

    fn frm(&mut self) -> Value {
        let context = self.context;
        self.b
            .ins()
            .load(types::I32, trusted(), context, offset::FRM)
    }

    /// fcvt.s.d.
    pub(super) fn narrow(&mut self, o: Fr1, insn: Insn) {
        let a = self.float(o.rs1, types::F64);
        let result = Result::Float(o.rd, types::F32);
        if !self.is_hosts(o.rm) {
            return self.help(insn, &[a], result);
        }
        let value = self.b.ins().fdemote(types::F32, a);
        if self.settings.host_flags {
            return self.raise(value, &[a], o.rd, types::F32);
        }
        let good = self.is_plain(value, Keep::Normal);
        self.settle_float(good, value, insn, &[a], result);
    }

    /// fcvt.d.s: exact, unless it is a NaN.
    pub(super) fn widen(&mut self, o: Fr1, insn: Insn) {
        let a = self.float(o.rs1, types::F32);
        self.require_valid_mode(o.rm);
        let value = self.b.ins().fpromote(types::F64, a);
        if self.settings.host_flags {
            return self.raise(value, &[a], o.rd, types::F64);
        }
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
        let bits = self.opaque(bits);
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
        let x = self.opaque(x);
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
