//! M: multiplication and division. The host's division traps where RISC-V's does not, so its
//! operands are replaced first.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

/// Upper half of signed times unsigned.
pub fn mulhsu(b: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    // As unsigned numbers, a negative x is 2^64 too large.
    let upper = b.ins().umulhi(x, y);
    let sign = b.ins().sshr_imm_u(x, 63);
    let excess = b.ins().band(sign, y);
    b.ins().isub(upper, excess)
}

/// The divisor, or 1 in place of 0, and whether it was 0.
fn divisor(b: &mut FunctionBuilder<'_>, y: Value) -> (Value, Value) {
    let ty = b.func.dfg.value_type(y);
    let zero = b.ins().icmp_imm_u(IntCC::Equal, y, 0);
    let one = b.ins().iconst(ty, 1);
    (b.ins().select(zero, one, y), zero)
}

/// For signed division: -1 is treated apart (x / -1 = -x, and no overflow), so it is replaced too.
/// The divisor, whether it was 0, whether it was -1.
fn signed_divisor(b: &mut FunctionBuilder<'_>, y: Value) -> (Value, Value, Value) {
    let ty = b.func.dfg.value_type(y);
    let zero = b.ins().icmp_imm_u(IntCC::Equal, y, 0);
    let minus_one = b.ins().icmp_imm_s(IntCC::Equal, y, -1);
    let special = b.ins().bor(zero, minus_one);
    let one = b.ins().iconst(ty, 1);
    (b.ins().select(special, one, y), zero, minus_one)
}

pub fn divu(b: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    let (y, zero) = divisor(b, y);
    let quotient = b.ins().udiv(x, y);
    let ones = b.ins().iconst(ty, (u64::MAX >> (64 - ty.bits())) as i64);
    b.ins().select(zero, ones, quotient)
}

pub fn remu(b: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    let (y, zero) = divisor(b, y);
    let rest = b.ins().urem(x, y);
    b.ins().select(zero, x, rest)
}

pub fn div(b: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    let (y, zero, minus_one) = signed_divisor(b, y);
    let quotient = b.ins().sdiv(x, y);
    let negated = b.ins().ineg(x);
    let ones = b.ins().iconst(ty, (u64::MAX >> (64 - ty.bits())) as i64);
    let finite = b.ins().select(minus_one, negated, quotient);
    b.ins().select(zero, ones, finite)
}

pub fn rem(b: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    // x % 1 is 0, as x % -1 shall be.
    let (y, zero, _) = signed_divisor(b, y);
    let rest = b.ins().srem(x, y);
    b.ins().select(zero, x, rest)
}
