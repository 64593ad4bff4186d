//! Comparisons, minimum, maximum and classification.

use super::NV;
use super::format::Format;
use super::unpack::{Unpacked, unpack};

/// Maps data other than NaN to integers in the same order; both zeros to 0.
fn order<F: Format>(a: u64) -> i128 {
    let magnitude = i128::from(a & (F::SIGN - 1));
    if a & F::SIGN != 0 {
        -magnitude
    } else {
        magnitude
    }
}

fn is_nan<F: Format>(a: u64) -> bool {
    a & (F::SIGN - 1) > F::INFINITY
}

fn is_signaling<F: Format>(a: u64) -> bool {
    is_nan::<F>(a) && a & F::QUIET == 0
}

/// `feq`: a quiet comparison, only a signaling NaN is invalid.
pub fn eq<F: Format>(a: u64, b: u64, flags: &mut u32) -> bool {
    if is_signaling::<F>(a) || is_signaling::<F>(b) {
        *flags |= NV;
    }
    !is_nan::<F>(a) && !is_nan::<F>(b) && order::<F>(a) == order::<F>(b)
}

/// `flt`: a signaling comparison, any NaN is invalid.
pub fn lt<F: Format>(a: u64, b: u64, flags: &mut u32) -> bool {
    signaling::<F>(a, b, flags) && order::<F>(a) < order::<F>(b)
}

/// `fle`: a signaling comparison, any NaN is invalid.
pub fn le<F: Format>(a: u64, b: u64, flags: &mut u32) -> bool {
    signaling::<F>(a, b, flags) && order::<F>(a) <= order::<F>(b)
}

/// Whether `a` and `b` are ordered; invalid if not.
fn signaling<F: Format>(a: u64, b: u64, flags: &mut u32) -> bool {
    let ordered = !is_nan::<F>(a) && !is_nan::<F>(b);
    if !ordered {
        *flags |= NV;
    }
    ordered
}

/// `fmin`: IEEE 754-2019 minimumNumber. -0 is below +0.
pub fn min<F: Format>(a: u64, b: u64, flags: &mut u32) -> u64 {
    extremum::<F>(a, b, flags, |a, b| {
        order::<F>(a) < order::<F>(b) || order::<F>(a) == order::<F>(b) && a & F::SIGN != 0
    })
}

/// `fmax`: IEEE 754-2019 maximumNumber. +0 is above -0.
pub fn max<F: Format>(a: u64, b: u64, flags: &mut u32) -> u64 {
    extremum::<F>(a, b, flags, |a, b| {
        order::<F>(a) > order::<F>(b) || order::<F>(a) == order::<F>(b) && a & F::SIGN == 0
    })
}

/// A number wins over a NaN; of two numbers `first` says whether it is `a`.
fn extremum<F: Format>(a: u64, b: u64, flags: &mut u32, first: fn(u64, u64) -> bool) -> u64 {
    if is_signaling::<F>(a) || is_signaling::<F>(b) {
        *flags |= NV;
    }
    match (is_nan::<F>(a), is_nan::<F>(b)) {
        (true, true) => F::CANONICAL_NAN,
        (true, false) => b,
        (false, true) => a,
        (false, false) if first(a, b) => a,
        (false, false) => b,
    }
}

/// `fclass`: exactly one bit of ten. Unprivileged, "Single-Precision Floating-Point Classify
/// Instruction".
pub fn classify<F: Format>(a: u64) -> u64 {
    let negative = a & F::SIGN != 0;
    let normal = (a & F::INFINITY) != 0;
    let bit = match unpack::<F>(a) {
        Unpacked::Infinity { .. } => {
            if negative {
                0
            } else {
                7
            }
        }
        Unpacked::Finite(_) if normal => {
            if negative {
                1
            } else {
                6
            }
        }
        Unpacked::Finite(_) => {
            if negative {
                2
            } else {
                5
            }
        }
        Unpacked::Zero { .. } => {
            if negative {
                3
            } else {
                4
            }
        }
        Unpacked::Nan { signaling: true } => 8,
        Unpacked::Nan { signaling: false } => 9,
    };
    1 << bit
}
