//! F and D: operands out of the registers, the operation by soft float, the result boxed.

use crate::execute::{illegal, sext};
use frontend::{Fcmp, FmvX, Fr, Fr1, Fr2, Fr4, FtoX, Insn, Rm, XtoF};
use hart::softfloat::{self, F32, F64, Format, Round};
use hart::{HartState, Trap};

/// An integer that an integer register holds; words are sign-extended, also unsigned ones.
pub(crate) trait Integer {
    fn from_register(register: u64) -> Self;
    fn into_register(self) -> u64;
}

macro_rules! integer {
    ($($ty:ty: |$value:ident| $extend:expr),*) => {$(
        impl Integer for $ty {
            fn from_register(register: u64) -> Self {
                register as $ty
            }
            fn into_register(self) -> u64 {
                let $value = self;
                $extend
            }
        }
    )*};
}
integer!(i32: |v| sext(v), u32: |v| sext(v as i32), i64: |v| v as u64, u64: |v| v);

fn round(hart: &HartState, insn: &Insn, rm: Rm) -> Result<Round, Trap> {
    Round::select(rm, hart.frm).ok_or_else(|| illegal(insn))
}

fn read<F: Format>(hart: &HartState, rs: frontend::F) -> u64 {
    F::unbox(hart.f(rs))
}

fn write<F: Format>(hart: &mut HartState, rd: frontend::F, bits: u64) {
    hart.set_f(rd, F::nan_box(bits));
}

/// fadd, fsub, fmul, fdiv.
pub(crate) fn rounded<F: Format>(
    hart: &mut HartState,
    insn: &Insn,
    o: Fr,
    operation: fn(u64, u64, Round, &mut u32) -> u64,
) -> Result<(), Trap> {
    let rm = round(hart, insn, o.rm)?;
    let (a, b) = (read::<F>(hart, o.rs1), read::<F>(hart, o.rs2));
    let result = operation(a, b, rm, &mut hart.fflags);
    write::<F>(hart, o.rd, result);
    Ok(())
}

pub(crate) fn fsqrt<F: Format>(hart: &mut HartState, insn: &Insn, o: Fr1) -> Result<(), Trap> {
    let rm = round(hart, insn, o.rm)?;
    let result = softfloat::sqrt::<F>(read::<F>(hart, o.rs1), rm, &mut hart.fflags);
    write::<F>(hart, o.rd, result);
    Ok(())
}

/// `rs1 × rs2 + rs3`.
pub(crate) fn fmadd<F: Format>(hart: &mut HartState, insn: &Insn, o: Fr4) -> Result<(), Trap> {
    fused::<F>(hart, insn, o, |a| a, |c| c)
}

/// `rs1 × rs2 - rs3`.
pub(crate) fn fmsub<F: Format>(hart: &mut HartState, insn: &Insn, o: Fr4) -> Result<(), Trap> {
    fused::<F>(hart, insn, o, |a| a, softfloat::negate::<F>)
}

/// `-(rs1 × rs2) + rs3`.
pub(crate) fn fnmsub<F: Format>(hart: &mut HartState, insn: &Insn, o: Fr4) -> Result<(), Trap> {
    fused::<F>(hart, insn, o, softfloat::negate::<F>, |c| c)
}

/// `-(rs1 × rs2) - rs3`.
pub(crate) fn fnmadd<F: Format>(hart: &mut HartState, insn: &Insn, o: Fr4) -> Result<(), Trap> {
    fused::<F>(
        hart,
        insn,
        o,
        softfloat::negate::<F>,
        softfloat::negate::<F>,
    )
}

fn fused<F: Format>(
    hart: &mut HartState,
    insn: &Insn,
    o: Fr4,
    factor: fn(u64) -> u64,
    addend: fn(u64) -> u64,
) -> Result<(), Trap> {
    let rm = round(hart, insn, o.rm)?;
    let a = factor(read::<F>(hart, o.rs1));
    let b = read::<F>(hart, o.rs2);
    let c = addend(read::<F>(hart, o.rs3));
    let result = softfloat::fma::<F>(a, b, c, rm, &mut hart.fflags);
    write::<F>(hart, o.rd, result);
    Ok(())
}

/// fsgnj, fsgnjn, fsgnjx: `rs1` with the sign bit that `choose` makes of both.
pub(crate) fn sign<F: Format>(hart: &mut HartState, o: Fr2, choose: fn(u64, u64) -> u64) {
    let (a, b) = (read::<F>(hart, o.rs1), read::<F>(hart, o.rs2));
    write::<F>(hart, o.rd, a & !F::SIGN | choose(a, b) & F::SIGN);
}

/// fmin and fmax.
pub(crate) fn extremum<F: Format>(
    hart: &mut HartState,
    o: Fr2,
    operation: fn(u64, u64, &mut u32) -> u64,
) {
    let (a, b) = (read::<F>(hart, o.rs1), read::<F>(hart, o.rs2));
    let result = operation(a, b, &mut hart.fflags);
    write::<F>(hart, o.rd, result);
}

/// feq, flt, fle.
pub(crate) fn compare<F: Format>(
    hart: &mut HartState,
    o: Fcmp,
    operation: fn(u64, u64, &mut u32) -> bool,
) {
    let (a, b) = (read::<F>(hart, o.rs1), read::<F>(hart, o.rs2));
    let result = operation(a, b, &mut hart.fflags);
    hart.set(o.rd, u64::from(result));
}

pub(crate) fn fclass<F: Format>(hart: &mut HartState, o: FmvX) {
    hart.set(o.rd, softfloat::classify::<F>(read::<F>(hart, o.rs1)));
}

pub(crate) fn to_integer<F: Format, T: Integer>(
    hart: &mut HartState,
    insn: &Insn,
    o: FtoX,
    operation: fn(u64, Round, &mut u32) -> T,
) -> Result<(), Trap> {
    let rm = round(hart, insn, o.rm)?;
    let result = operation(read::<F>(hart, o.rs1), rm, &mut hart.fflags);
    hart.set(o.rd, result.into_register());
    Ok(())
}

pub(crate) fn from_integer<F: Format, T: Integer>(
    hart: &mut HartState,
    insn: &Insn,
    o: XtoF,
    operation: fn(T, Round, &mut u32) -> u64,
) -> Result<(), Trap> {
    let rm = round(hart, insn, o.rm)?;
    let result = operation(T::from_register(hart.x(o.rs1)), rm, &mut hart.fflags);
    write::<F>(hart, o.rd, result);
    Ok(())
}

pub(crate) fn fcvt_s_d(hart: &mut HartState, insn: &Insn, o: Fr1) -> Result<(), Trap> {
    let rm = round(hart, insn, o.rm)?;
    let result = softfloat::f64_to_f32(read::<F64>(hart, o.rs1), rm, &mut hart.fflags);
    write::<F32>(hart, o.rd, result);
    Ok(())
}

/// Exact, so the rounding mode does not matter; a reserved one in `frm` is illegal all the same.
pub(crate) fn fcvt_d_s(hart: &mut HartState, insn: &Insn, o: Fr1) -> Result<(), Trap> {
    round(hart, insn, o.rm)?;
    let result = softfloat::f32_to_f64(read::<F32>(hart, o.rs1), &mut hart.fflags);
    write::<F64>(hart, o.rd, result);
    Ok(())
}
