//! Values to bits: the one place where results are rounded and overflow, underflow and inexact
//! are found.

use super::format::Format;
use super::unpack::{Exact, infinity, zero};
use super::{NX, OF, Round, UF};

/// `value >> shift`, with the lowest bit also set if any bit was lost.
pub(super) fn shift_right_sticky(value: u128, shift: u32) -> u128 {
    if shift == 0 {
        value
    } else if shift < 128 {
        value >> shift | u128::from(value << (128 - shift) != 0)
    } else {
        u128::from(value != 0)
    }
}

/// `significand` / 2^`shift` rounded to an integer, and whether that was inexact.
pub(super) fn shift_right_round(
    significand: u128,
    shift: u32,
    sign: bool,
    rm: Round,
) -> (u128, bool) {
    if shift == 0 {
        return (significand, false);
    }
    // Two bits below the integer decide: one half and sticky.
    let guarded = if shift == 1 {
        significand << 1
    } else {
        shift_right_sticky(significand, shift - 2)
    };
    let (integer, rest) = (guarded >> 2, guarded & 3);
    let up = match rm {
        Round::Rne => rest == 3 || rest == 2 && integer & 1 == 1,
        Round::Rtz => false,
        Round::Rdn => sign && rest != 0,
        Round::Rup => !sign && rest != 0,
        Round::Rmm => rest >= 2,
    };
    (integer + u128::from(up), rest != 0)
}

/// Rounds a number to the format.
pub(super) fn round<F: Format>(number: Exact, rm: Round, flags: &mut u32) -> u64 {
    let Exact {
        sign,
        exponent,
        significand,
    } = number;
    let fraction_bits = F::FRACTION_BITS as i32;
    let top = exponent + significand.ilog2() as i32;
    // The result is a multiple of 2^quantum.
    let quantum = top.max(F::EMIN) - fraction_bits;

    let (integer, inexact) = if quantum <= exponent {
        (significand << (exponent - quantum), false)
    } else {
        shift_right_round(significand, quantum.abs_diff(exponent), sign, rm)
    };
    // Tiny: still below 2^EMIN after rounding to the format's precision with an unbounded
    // exponent.
    let tiny = top < F::EMIN - 1
        || top == F::EMIN - 1 && {
            let shift = top - fraction_bits - exponent;
            let rounded = if shift <= 0 {
                significand << -shift
            } else {
                shift_right_round(significand, shift.unsigned_abs(), sign, rm).0
            };
            rounded >> (fraction_bits + 1) == 0
        };
    if inexact {
        *flags |= if tiny { NX | UF } else { NX };
    }

    // A normal number's leading one adds 1 to the exponent field, as does a carry out of the
    // fraction; a subnormal number has neither.
    let field = i128::from(quantum + fraction_bits + F::BIAS - 1);
    let bits = (field << F::FRACTION_BITS) + integer as i128;
    if bits >= i128::from(F::INFINITY) {
        *flags |= OF | NX;
        let to_infinity = match rm {
            Round::Rne | Round::Rmm => true,
            Round::Rtz => false,
            Round::Rdn => sign,
            Round::Rup => !sign,
        };
        if to_infinity {
            infinity::<F>(sign)
        } else {
            zero::<F>(sign) | F::MAX
        }
    } else {
        zero::<F>(sign) | bits as u64
    }
}
