//! Floating point where the host's flags are the guest's (x86-64). The host's arithmetic raises in
//! MXCSR what RISC-V's raises in fflags, so that nothing is left to compute; `JitHart::run` adds
//! them up when compiled code is left. The host's rounding mode is frm's.
//!
//! What differs is the result where it is a NaN: RISC-V's is always the canonical one. Arithmetic
//! takes all NaNs alike and makes a NaN of each. So results are checked late, before anything else
//! sees them, and only those that no later result was made from: most checks cover many results.
//!
//! An operation must be done exactly if the guest does it, since its flags are seen even if its
//! result is not. Each is used by a check in its own node, which keeps Cranelift from dropping it
//! or moving it behind something else; that none is moved out of a loop or done at compile time is
//! checked afterwards, see `analysis/placement.rs`.

use super::registers::trusted;
use super::{Class, Translator};
use crate::analysis::each;
use crate::context::offset;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, MemFlagsData, Type, Value, types};
use frontend::F;

/// Results of the host's arithmetic in the current node that have not been checked yet.
#[derive(Clone, Default)]
pub struct Unchecked {
    /// Registers (bit n for f[n]) that hold one.
    registers: u32,
    /// Results such that if any unchecked one is a NaN, one of these is.
    results: Vec<Value>,
}

impl Unchecked {
    /// Register `r` (an f register at 32 + n) has got another value.
    pub fn overwritten(&mut self, r: usize) {
        if r >= 32 {
            self.registers &= !(1 << (r - 32));
        }
    }

    /// Whether one of these registers holds an unchecked result.
    pub fn any(&self, registers: u64) -> bool {
        u64::from(self.registers) & registers >> 32 != 0
    }
}

impl Translator<'_, '_> {
    /// Notes that a value is made by a host instruction that may raise flags.
    pub(super) fn raises(&mut self, value: Value) {
        if self.settings.host_flags
            && let Some(inst) = self.b.func.dfg.value_def(value).inst()
        {
            self.raising.push((inst, self.now.pc));
        }
    }

    /// The same integer, as a value that Cranelift can neither find to be a constant nor compute
    /// anywhere but here: it does not look into additions that tell of overflow. What floating
    /// point makes of it raises its flags when the guest executes it.
    pub(super) fn opaque(&mut self, x: Value) -> Value {
        if !self.settings.host_flags {
            return x;
        }
        let ty = self.b.func.dfg.value_type(x);
        let zero = self.b.ins().iconst(ty, 0);
        self.b.ins().sadd_overflow(x, zero).0
    }

    /// An operand of the instruction being translated; opaque, if that would otherwise be done
    /// somewhere else.
    pub(super) fn pin(&mut self, value: Value) -> Value {
        if !self.pinned.contains(&self.now.pc) {
            return value;
        }
        let ty = self.b.func.dfg.value_type(value);
        let integer = ty.as_int();
        let bits = self.b.ins().bitcast(integer, MemFlagsData::new(), value);
        let bits = self.opaque(bits);
        self.b.ins().bitcast(ty, MemFlagsData::new(), bits)
    }

    /// Gives `rd` what the host has computed from `operands`, which raises the right flags but may
    /// be the wrong NaN. A NaN among the operands makes it one.
    pub(super) fn raise(&mut self, value: Value, operands: &[Value], rd: F, ty: Type) {
        self.raises(value);
        self.set_float(rd, ty, value);
        if self.classes[rd.index()] == Class::Mixed {
            // A register that is a vector here is made canonical as the scalar that it is now. It
            // does not stand for its operands: those still have to be checked.
            let checked = self.canonical(&[value], &[value]);
            if let [checked] = checked[..] {
                self.set_float(rd, ty, checked);
            }
            return;
        }
        let unchecked = &mut self.now.unchecked;
        unchecked
            .results
            .retain(|result| !operands.contains(result));
        unchecked.results.push(value);
        unchecked.registers |= 1 << rd.index();
    }

    /// Whether everything unchecked is in these registers, so that results need no check while
    /// whoever looks at memory computes them again. What no register holds any more has to be checked:
    /// that it raises its flags must not wait.
    pub(super) fn are_checked_later(&mut self, again: u64) -> bool {
        let Unchecked { registers, results } = self.now.unchecked.clone();
        let registers = u64::from(registers) << 32;
        let held: Vec<_> = each(registers & again)
            .filter_map(|r| self.variables[r])
            .collect();
        let held: Vec<Value> = held.into_iter().map(|var| self.b.use_var(var)).collect();
        registers & !again == 0 && results.iter().all(|result| held.contains(result))
    }

    /// Before anything but arithmetic looks at `f[r]`.
    pub(super) fn check_result(&mut self, r: F) {
        if self.now.unchecked.any(1 << (32 + r.index())) {
            self.check_results();
        }
    }

    /// Makes all unchecked results that are NaNs the canonical NaN.
    pub(super) fn check_results(&mut self) {
        let Unchecked { registers, results } = std::mem::take(&mut self.now.unchecked);
        if results.is_empty() {
            return;
        }
        let variables: Vec<_> = each(u64::from(registers) << 32)
            .filter_map(|r| self.variables[r])
            .collect();
        let values: Vec<Value> = variables.iter().map(|&var| self.b.use_var(var)).collect();
        let checked = self.canonical(&results, &values);
        for (variable, value) in variables.into_iter().zip(checked) {
            self.b.def_var(variable, value);
        }
    }

    /// Goes on where, if one of `results` is a NaN, `values` are canonical ones where they are NaNs.
    fn canonical(&mut self, results: &[Value], values: &[Value]) -> Vec<Value> {
        let (cold, done) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        if self.cold {
            self.b.set_cold_block(done);
        }
        let arguments: Vec<BlockArg> = values.iter().map(|&value| value.into()).collect();
        let mut pairs = self.pairs(results).into_iter().peekable();
        while let Some((a, b)) = pairs.next() {
            let nan = self.b.ins().fcmp(FloatCC::Unordered, a, b);
            if pairs.peek().is_none() {
                self.b.ins().brif(nan, cold, &[], done, &arguments);
            } else {
                let next = self.b.create_block();
                if self.cold {
                    self.b.set_cold_block(next);
                }
                self.b.ins().brif(nan, cold, &[], next, &[]);
                self.b.seal_block(next);
                self.b.switch_to_block(next);
            }
        }
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        // Whichever result is a NaN, the others raise their flags too, those that no register holds
        // any more as well: they need to be used on this way, for nothing else.
        for &result in results.iter().filter(|result| !values.contains(result)) {
            self.b
                .ins()
                .store(trusted(), result, self.context, offset::SCRATCH);
        }
        let canonical: Vec<BlockArg> = values
            .iter()
            .map(|&value| self.canonical_nan(value).into())
            .collect();
        self.b.ins().jump(done, &canonical);
        self.b.seal_block(done);
        self.b.switch_to_block(done);
        let types: Vec<Type> = values
            .iter()
            .map(|&value| self.b.func.dfg.value_type(value))
            .collect();
        types
            .into_iter()
            .map(|ty| self.b.append_block_param(done, ty))
            .collect()
    }

    /// Values of one type two by two: one comparison tells whether either is a NaN.
    fn pairs(&self, values: &[Value]) -> Vec<(Value, Value)> {
        let mut pairs = Vec::new();
        for ty in [types::F64, types::F32] {
            let same: Vec<Value> = values
                .iter()
                .copied()
                .filter(|&value| self.b.func.dfg.value_type(value) == ty)
                .collect();
            pairs.extend(same.chunks(2).map(|pair| (pair[0], pair[pair.len() - 1])));
        }
        pairs
    }

    fn canonical_nan(&mut self, value: Value) -> Value {
        let nan = if self.b.func.dfg.value_type(value) == types::F32 {
            let bits = cranelift_codegen::ir::immediates::Ieee32::with_bits(0x7fc0_0000);
            self.b.ins().f32const(bits)
        } else {
            let bits = cranelift_codegen::ir::immediates::Ieee64::with_bits(0x7ff8_0000_0000_0000);
            self.b.ins().f64const(bits)
        };
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, value, value);
        self.b.ins().select(is_nan, nan, value)
    }
}
