//! Conversions between formats and to and from integers.

use super::format::{F32, F64, Format};
use super::round::{round, shift_right_round};
use super::unpack::{Exact, Unpacked, infinity, unpack, zero};
use super::{NV, NX, Round};

/// `fcvt.d.s`. Always exact.
pub fn f32_to_f64(a: u64, flags: &mut u32) -> u64 {
    change::<F32, F64>(a, Round::Rne, flags)
}

/// `fcvt.s.d`.
pub fn f64_to_f32(a: u64, rm: Round, flags: &mut u32) -> u64 {
    change::<F64, F32>(a, rm, flags)
}

fn change<From: Format, To: Format>(a: u64, rm: Round, flags: &mut u32) -> u64 {
    match unpack::<From>(a) {
        Unpacked::Nan { signaling } => {
            if signaling {
                *flags |= NV;
            }
            To::CANONICAL_NAN
        }
        Unpacked::Infinity { sign } => infinity::<To>(sign),
        Unpacked::Zero { sign } => zero::<To>(sign),
        Unpacked::Finite(number) => round::<To>(number, rm, flags),
    }
}

macro_rules! integers {
    ($($to:ident $from:ident $ty:ident,)*) => {$(
        /// To an integer; invalid, and the nearest bound, if the rounded value is out of range.
        /// A NaN counts as +∞.
        pub fn $to<F: Format>(a: u64, rm: Round, flags: &mut u32) -> $ty {
            let (min, max) = (i128::from($ty::MIN), i128::from($ty::MAX));
            // The cast is exact: the value lies between the bounds.
            to_integer::<F>(a, rm, min, max, flags) as $ty
        }
        /// From an integer.
        pub fn $from<F: Format>(value: $ty, rm: Round, flags: &mut u32) -> u64 {
            from_integer::<F>(i128::from(value), rm, flags)
        }
    )*};
}
integers! {
    to_i32 from_i32 i32,
    to_u32 from_u32 u32,
    to_i64 from_i64 i64,
    to_u64 from_u64 u64,
}

fn to_integer<F: Format>(a: u64, rm: Round, min: i128, max: i128, flags: &mut u32) -> i128 {
    let (value, inexact) = match unpack::<F>(a) {
        Unpacked::Nan { .. } => (i128::MAX, false),
        Unpacked::Infinity { sign } => (if sign { i128::MIN } else { i128::MAX }, false),
        Unpacked::Zero { .. } => (0, false),
        Unpacked::Finite(Exact {
            sign,
            exponent,
            significand,
        }) => {
            let (magnitude, inexact) = if exponent <= 0 {
                shift_right_round(significand, exponent.unsigned_abs(), sign, rm)
            } else {
                // Beyond 2^64 only the bounds come out, so larger exponents need not be told
                // apart.
                (significand << exponent.min(64), false)
            };
            let magnitude = magnitude as i128;
            (if sign { -magnitude } else { magnitude }, inexact)
        }
    };
    if value < min || value > max {
        *flags |= NV;
    } else if inexact {
        *flags |= NX;
    }
    value.clamp(min, max)
}

fn from_integer<F: Format>(value: i128, rm: Round, flags: &mut u32) -> u64 {
    if value == 0 {
        return zero::<F>(false);
    }
    let number = Exact {
        sign: value < 0,
        exponent: 0,
        significand: value.unsigned_abs(),
    };
    round::<F>(number, rm, flags)
}
