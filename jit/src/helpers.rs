//! What compiled code calls: floating-point operations whose result the host's arithmetic does not
//! prove right, done by soft float.

use crate::context::Context;
use frontend::{Insn, decode};
use hart::softfloat::{self as soft, F32, F64, Format, Round};

/// Does the instruction whose word is in `scratch.operation` on the operands beside it. A single's
/// operand has its bits in the low half, the upper is anything; an integer operand is the
/// register. Compiled code has made sure that the rounding mode is valid.
pub extern "C" fn float(context: *mut Context) {
    // SAFETY: the thunk passes the context that `JitHart::run` entered compiled code with; nobody
    // else accesses it meanwhile.
    let context = unsafe { &mut *context };
    let word = context.scratch.operation as u32;
    let Some(decoded) = decode::decode(word) else {
        return;
    };
    let rm = decoded
        .insn
        .rm()
        .and_then(|rm| Round::select(rm, context.state.frm));
    let operands = context.scratch.operands;
    let flags = &mut context.state.fflags;
    if let Some(result) = compute(decoded.insn, operands, rm.unwrap_or(Round::Rne), flags) {
        context.scratch.result = result;
    }
}

fn single(bits: u64) -> u64 {
    bits & 0xffff_ffff
}

/// A word in a register is sign-extended.
fn word(value: i32) -> u64 {
    i64::from(value) as u64
}

/// The result: bits of a float, or the integer register. `None` for instructions that compiled code
/// never asks for.
fn compute(insn: Insn, operands: [u64; 3], rm: Round, flags: &mut u32) -> Option<u64> {
    let [a, b, c] = operands;
    let (sa, sb, sc) = (single(a), single(b), single(c));
    let negate32 = soft::negate::<F32>;
    let negate64 = soft::negate::<F64>;
    Some(match insn {
        Insn::FmaddS(_) => soft::fma::<F32>(sa, sb, sc, rm, flags),
        Insn::FmsubS(_) => soft::fma::<F32>(sa, sb, negate32(sc), rm, flags),
        Insn::FnmsubS(_) => soft::fma::<F32>(negate32(sa), sb, sc, rm, flags),
        Insn::FnmaddS(_) => soft::fma::<F32>(negate32(sa), sb, negate32(sc), rm, flags),
        Insn::FaddS(_) => soft::add::<F32>(sa, sb, rm, flags),
        Insn::FsubS(_) => soft::sub::<F32>(sa, sb, rm, flags),
        Insn::FmulS(_) => soft::mul::<F32>(sa, sb, rm, flags),
        Insn::FdivS(_) => soft::div::<F32>(sa, sb, rm, flags),
        Insn::FsqrtS(_) => soft::sqrt::<F32>(sa, rm, flags),
        Insn::FminS(_) => soft::min::<F32>(sa, sb, flags),
        Insn::FmaxS(_) => soft::max::<F32>(sa, sb, flags),
        Insn::FeqS(_) => soft::eq::<F32>(sa, sb, flags).into(),
        Insn::FltS(_) => soft::lt::<F32>(sa, sb, flags).into(),
        Insn::FleS(_) => soft::le::<F32>(sa, sb, flags).into(),
        Insn::FclassS(_) => soft::classify::<F32>(sa),
        Insn::FcvtDS(_) => soft::f32_to_f64(sa, flags),
        Insn::FmaddD(_) => soft::fma::<F64>(a, b, c, rm, flags),
        Insn::FmsubD(_) => soft::fma::<F64>(a, b, negate64(c), rm, flags),
        Insn::FnmsubD(_) => soft::fma::<F64>(negate64(a), b, c, rm, flags),
        Insn::FnmaddD(_) => soft::fma::<F64>(negate64(a), b, negate64(c), rm, flags),
        Insn::FaddD(_) => soft::add::<F64>(a, b, rm, flags),
        Insn::FsubD(_) => soft::sub::<F64>(a, b, rm, flags),
        Insn::FmulD(_) => soft::mul::<F64>(a, b, rm, flags),
        Insn::FdivD(_) => soft::div::<F64>(a, b, rm, flags),
        Insn::FsqrtD(_) => soft::sqrt::<F64>(a, rm, flags),
        Insn::FminD(_) => soft::min::<F64>(a, b, flags),
        Insn::FmaxD(_) => soft::max::<F64>(a, b, flags),
        Insn::FeqD(_) => soft::eq::<F64>(a, b, flags).into(),
        Insn::FltD(_) => soft::lt::<F64>(a, b, flags).into(),
        Insn::FleD(_) => soft::le::<F64>(a, b, flags).into(),
        Insn::FclassD(_) => soft::classify::<F64>(a),
        Insn::FcvtSD(_) => soft::f64_to_f32(a, rm, flags),
        insn => {
            return convert::<F32>(insn, sa, a, rm, flags)
                .or_else(|| convert::<F64>(insn, a, a, rm, flags));
        }
    })
}

/// Conversions between integers and format `F`: `float` and `integer` are the operand as either.
fn convert<F: Format>(
    insn: Insn,
    float: u64,
    integer: u64,
    rm: Round,
    flags: &mut u32,
) -> Option<u64> {
    let wide = F::SIGN >> 63 == 1;
    Some(match (insn, wide) {
        (Insn::FcvtWS(_), false) | (Insn::FcvtWD(_), true) => {
            word(soft::to_i32::<F>(float, rm, flags))
        }
        (Insn::FcvtWuS(_), false) | (Insn::FcvtWuD(_), true) => {
            word(soft::to_u32::<F>(float, rm, flags) as i32)
        }
        (Insn::FcvtLS(_), false) | (Insn::FcvtLD(_), true) => {
            soft::to_i64::<F>(float, rm, flags) as u64
        }
        (Insn::FcvtLuS(_), false) | (Insn::FcvtLuD(_), true) => soft::to_u64::<F>(float, rm, flags),
        (Insn::FcvtSW(_), false) | (Insn::FcvtDW(_), true) => {
            soft::from_i32::<F>(integer as i32, rm, flags)
        }
        (Insn::FcvtSWu(_), false) | (Insn::FcvtDWu(_), true) => {
            soft::from_u32::<F>(integer as u32, rm, flags)
        }
        (Insn::FcvtSL(_), false) | (Insn::FcvtDL(_), true) => {
            soft::from_i64::<F>(integer as i64, rm, flags)
        }
        (Insn::FcvtSLu(_), false) | (Insn::FcvtDLu(_), true) => {
            soft::from_u64::<F>(integer, rm, flags)
        }
        _ => return None,
    })
}
