//! Sum, product, quotient, square root and fused multiply-add.

use super::format::Format;
use super::round::round;
use super::unpack::{Exact, Unpacked, infinity, invalid, unpack, zero};
use super::{DZ, NV, Round};

use Unpacked::{Finite, Infinity, Nan, Zero};

/// `-a`, also of a NaN: only the sign bit changes.
#[inline(always)]
pub fn negate<F: Format>(a: u64) -> u64 {
    a ^ F::SIGN
}

/// `a + b`.
pub fn add<F: Format>(a: u64, b: u64, rm: Round, flags: &mut u32) -> u64 {
    total::<F>(unpack::<F>(a), unpack::<F>(b), rm, flags)
}

/// `a - b`.
pub fn sub<F: Format>(a: u64, b: u64, rm: Round, flags: &mut u32) -> u64 {
    add::<F>(a, negate::<F>(b), rm, flags)
}

/// `a × b`.
pub fn mul<F: Format>(a: u64, b: u64, rm: Round, flags: &mut u32) -> u64 {
    match product(unpack::<F>(a), unpack::<F>(b), flags) {
        Nan { .. } => F::CANONICAL_NAN,
        Infinity { sign } => infinity::<F>(sign),
        Zero { sign } => zero::<F>(sign),
        Finite(number) => round::<F>(number, rm, flags),
    }
}

/// `a × b + c`, rounded once. The other three fused instructions negate `a` or `c` first.
pub fn fma<F: Format>(a: u64, b: u64, c: u64, rm: Round, flags: &mut u32) -> u64 {
    let product = product(unpack::<F>(a), unpack::<F>(b), flags);
    total::<F>(product, unpack::<F>(c), rm, flags)
}

/// `a ÷ b`.
pub fn div<F: Format>(a: u64, b: u64, rm: Round, flags: &mut u32) -> u64 {
    match (unpack::<F>(a), unpack::<F>(b)) {
        (Nan { signaling: s1 }, Nan { signaling: s2 }) => nan::<F>(s1 || s2, flags),
        (Nan { signaling }, _) | (_, Nan { signaling }) => nan::<F>(signaling, flags),
        (Infinity { .. }, Infinity { .. }) | (Zero { .. }, Zero { .. }) => invalid::<F>(flags),
        (Infinity { sign: s1 }, Zero { sign: s2 }) => infinity::<F>(s1 ^ s2),
        (Infinity { sign }, Finite(b)) => infinity::<F>(sign ^ b.sign),
        (Zero { sign: s1 }, Infinity { sign: s2 }) => zero::<F>(s1 ^ s2),
        (Zero { sign }, Finite(b)) => zero::<F>(sign ^ b.sign),
        (Finite(a), Infinity { sign }) => zero::<F>(a.sign ^ sign),
        (Finite(a), Zero { sign }) => {
            *flags |= DZ;
            infinity::<F>(a.sign ^ sign)
        }
        (Finite(a), Finite(b)) => {
            // 64 more bits in the dividend leave a quotient of 64 or 65 bits.
            let top = F::FRACTION_BITS;
            let (a, b) = (a.normalised(top + 64), b.normalised(top));
            let (quotient, rest) = (a.significand / b.significand, a.significand % b.significand);
            let number = Exact {
                sign: a.sign ^ b.sign,
                exponent: a.exponent - b.exponent,
                significand: quotient | u128::from(rest != 0),
            };
            round::<F>(number, rm, flags)
        }
    }
}

/// The square root of `a`.
pub fn sqrt<F: Format>(a: u64, rm: Round, flags: &mut u32) -> u64 {
    match unpack::<F>(a) {
        Nan { signaling } => nan::<F>(signaling, flags),
        Zero { sign } => zero::<F>(sign),
        Infinity { sign: false } => infinity::<F>(false),
        Infinity { sign: true } | Finite(Exact { sign: true, .. }) => invalid::<F>(flags),
        Finite(a) => {
            // A radicand of 126 or 127 bits, with an even exponent, has a root of 63 or 64 bits.
            let mut a = a.normalised(126);
            if a.exponent % 2 != 0 {
                a = Exact {
                    exponent: a.exponent + 1,
                    significand: a.significand >> 1,
                    ..a
                };
            }
            let root = a.significand.isqrt();
            let number = Exact {
                sign: false,
                exponent: a.exponent / 2,
                significand: root | u128::from(root * root != a.significand),
            };
            round::<F>(number, rm, flags)
        }
    }
}

/// The result for a NaN operand.
fn nan<F: Format>(signaling: bool, flags: &mut u32) -> u64 {
    if signaling {
        *flags |= NV;
    }
    F::CANONICAL_NAN
}

/// A product before rounding. A NaN that it returns has signaled already.
fn product(a: Unpacked, b: Unpacked, flags: &mut u32) -> Unpacked {
    match (a, b) {
        (Nan { signaling: s1 }, Nan { signaling: s2 }) => quieted(s1 || s2, flags),
        (Nan { signaling }, _) | (_, Nan { signaling }) => quieted(signaling, flags),
        (Infinity { .. }, Zero { .. }) | (Zero { .. }, Infinity { .. }) => quieted(true, flags),
        (Infinity { sign: s1 }, Infinity { sign: s2 }) => Infinity { sign: s1 ^ s2 },
        (Infinity { sign }, Finite(x)) | (Finite(x), Infinity { sign }) => Infinity {
            sign: sign ^ x.sign,
        },
        (Zero { sign: s1 }, Zero { sign: s2 }) => Zero { sign: s1 ^ s2 },
        (Zero { sign }, Finite(x)) | (Finite(x), Zero { sign }) => Zero {
            sign: sign ^ x.sign,
        },
        (Finite(a), Finite(b)) => Finite(a.times(b)),
    }
}

fn quieted(signaling: bool, flags: &mut u32) -> Unpacked {
    if signaling {
        *flags |= NV;
    }
    Nan { signaling: false }
}

/// A sum, rounded.
fn total<F: Format>(a: Unpacked, b: Unpacked, rm: Round, flags: &mut u32) -> u64 {
    match (a, b) {
        (Nan { signaling: s1 }, Nan { signaling: s2 }) => nan::<F>(s1 || s2, flags),
        (Nan { signaling }, _) | (_, Nan { signaling }) => nan::<F>(signaling, flags),
        (Infinity { sign: s1 }, Infinity { sign: s2 }) if s1 != s2 => invalid::<F>(flags),
        (Infinity { sign }, _) | (_, Infinity { sign }) => infinity::<F>(sign),
        (Zero { sign: s1 }, Zero { sign: s2 }) if s1 == s2 => zero::<F>(s1),
        (Zero { .. }, Zero { .. }) => zero::<F>(rm == Round::Rdn),
        (Zero { .. }, Finite(x)) | (Finite(x), Zero { .. }) => round::<F>(x, rm, flags),
        (Finite(a), Finite(b)) => match a.plus(b) {
            Some(sum) => round::<F>(sum, rm, flags),
            // An exact zero is positive, except when rounding down.
            None => zero::<F>(rm == Round::Rdn),
        },
    }
}
