//! Bits to values.

use super::format::Format;
use super::{NV, round};

/// What a datum stands for.
#[derive(Clone, Copy)]
pub(super) enum Unpacked {
    Nan { signaling: bool },
    Infinity { sign: bool },
    Zero { sign: bool },
    Finite(Exact),
}

/// A number other than zero: `significand` × 2^`exponent`, negative if `sign`.
///
/// The lowest bit of the significand may be sticky: set also where the value is not quite a
/// multiple of 2^exponent. A significand with a sticky bit always has its top bit far above the
/// rounding position, so that rounding cannot tell the difference.
#[derive(Clone, Copy)]
pub(super) struct Exact {
    pub sign: bool,
    pub exponent: i32,
    pub significand: u128,
}

/// Reads a datum.
pub(super) fn unpack<F: Format>(bits: u64) -> Unpacked {
    let sign = bits & F::SIGN != 0;
    let fraction = bits & F::FRACTION;
    let field = (bits & F::INFINITY) >> F::FRACTION_BITS;
    let quantum = F::EMIN - F::FRACTION_BITS as i32;
    if bits & F::INFINITY == F::INFINITY {
        if fraction == 0 {
            Unpacked::Infinity { sign }
        } else {
            Unpacked::Nan {
                signaling: bits & F::QUIET == 0,
            }
        }
    } else if field != 0 {
        let significand = u128::from(fraction | (F::FRACTION + 1));
        Unpacked::Finite(Exact {
            sign,
            exponent: quantum + field as i32 - 1,
            significand,
        })
    } else if fraction != 0 {
        Unpacked::Finite(Exact {
            sign,
            exponent: quantum,
            significand: u128::from(fraction),
        })
    } else {
        Unpacked::Zero { sign }
    }
}

impl Exact {
    /// The same value with the significand's top bit at bit `top`, which must not be below where
    /// it is now.
    pub fn normalised(self, top: u32) -> Exact {
        let shift = top - self.significand.ilog2();
        Exact {
            exponent: self.exponent - shift as i32,
            significand: self.significand << shift,
            ..self
        }
    }

    /// The product of two numbers, exactly. Both significands are below 2^64.
    pub fn times(self, other: Exact) -> Exact {
        Exact {
            sign: self.sign ^ other.sign,
            exponent: self.exponent + other.exponent,
            significand: self.significand * other.significand,
        }
    }

    /// The sum of two numbers below 2^125 without sticky bits; `None` if it is zero.
    ///
    /// Both tops are brought to bit 125, and the smaller number is shifted right to the larger
    /// one's exponent. Bits are lost only by a shift of more than 19, then the sum's top bit is at
    /// 124 or above: the lost bits are far below the rounding position, and a sticky bit for them
    /// is enough.
    pub fn plus(self, other: Exact) -> Option<Exact> {
        let (a, b) = (self.normalised(125), other.normalised(125));
        let (a, b) = if a.exponent >= b.exponent {
            (a, b)
        } else {
            (b, a)
        };
        let small = round::shift_right_sticky(b.significand, a.exponent.abs_diff(b.exponent));
        let (sign, significand) = if a.sign == b.sign {
            (a.sign, a.significand + small)
        } else if a.significand >= small {
            (a.sign, a.significand - small)
        } else {
            (b.sign, small - a.significand)
        };
        (significand != 0).then_some(Exact {
            sign,
            exponent: a.exponent,
            significand,
        })
    }
}

/// The result of an operation without a meaningful one, which signals invalid.
pub(super) fn invalid<F: Format>(flags: &mut u32) -> u64 {
    *flags |= NV;
    F::CANONICAL_NAN
}

/// The infinity of a sign.
pub(super) fn infinity<F: Format>(sign: bool) -> u64 {
    zero::<F>(sign) | F::INFINITY
}

/// The zero of a sign.
pub(super) fn zero<F: Format>(sign: bool) -> u64 {
    if sign { F::SIGN } else { 0 }
}
