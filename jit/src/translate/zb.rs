//! Zba, Zbb and Zbs.

use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

/// The low word, zero-extended.
pub fn low(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    extend(b, x, types::I32, false)
}

/// The low bits, extended.
pub fn extend(b: &mut FunctionBuilder<'_>, x: Value, from: Type, signed: bool) -> Value {
    let low = b.ins().ireduce(from, x);
    if signed {
        b.ins().sextend(types::I64, low)
    } else {
        b.ins().uextend(types::I64, low)
    }
}

/// `(x << by) + y`.
pub fn shift_add(b: &mut FunctionBuilder<'_>, x: Value, by: i64, y: Value) -> Value {
    let shifted = b.ins().ishl_imm_u(x, by);
    b.ins().iadd(shifted, y)
}

pub fn slli_uw(b: &mut FunctionBuilder<'_>, x: Value, by: u8) -> Value {
    let low = low(b, x);
    b.ins().ishl_imm_u(low, i64::from(by))
}

/// Each byte becomes 0xff unless it is 0.
pub fn orc_b(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    // The top bit of a byte: set already, or by a carry out of the low seven.
    let sevens = b.ins().iconst(types::I64, 0x7f7f_7f7f_7f7f_7f7f);
    let low = b.ins().band(x, sevens);
    let carried = b.ins().iadd(low, sevens);
    let any = b.ins().bor(carried, x);
    let shifted = b.ins().ushr_imm_u(any, 7);
    let ones = b.ins().band_imm_u(shifted, 0x0101_0101_0101_0101);
    b.ins().imul_imm_u(ones, 0xff)
}

/// A value with only bit `y` (modulo 64) set.
pub fn bit(b: &mut FunctionBuilder<'_>, y: Value) -> Value {
    let one = b.ins().iconst(types::I64, 1);
    b.ins().ishl(one, y)
}
