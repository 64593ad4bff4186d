//! IEEE 754 arithmetic in integers, as the F and D extensions define it.
//!
//! Every operation takes bits and returns bits (a single in the low 32 bits of a `u64`, not
//! NaN-boxed) and accrues exception flags. It is exact by construction: a result is formed as an
//! exact or sticky integer times a power of two and rounded once, in [`round`].
//!
//! What RISC-V settles where IEEE 754 leaves a choice: a NaN result is always the canonical NaN;
//! tininess is detected after rounding; `fma(∞, 0, NaN)` is invalid. Unprivileged, chapters "F"
//! and "D".

mod arithmetic;
mod compare;
mod convert;
mod format;
mod round;
mod unpack;

pub use arithmetic::{add, div, fma, mul, negate, sqrt, sub};
pub use compare::{classify, eq, le, lt, max, min};
pub use convert::{
    f32_to_f64, f64_to_f32, from_i32, from_i64, from_u32, from_u64, to_i32, to_i64, to_u32, to_u64,
};
pub use format::{F32, F64, Format};

/// Inexact.
pub const NX: u32 = 1;
/// Underflow.
pub const UF: u32 = 2;
/// Overflow.
pub const OF: u32 = 4;
/// Divide by zero.
pub const DZ: u32 = 8;
/// Invalid operation.
pub const NV: u32 = 16;

/// A rounding mode, numbered as in `frm`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u32)]
pub enum Round {
    /// To nearest, ties to even.
    Rne = 0,
    /// Towards zero.
    Rtz = 1,
    /// Down.
    Rdn = 2,
    /// Up.
    Rup = 3,
    /// To nearest, ties to maximum magnitude.
    Rmm = 4,
}

impl Round {
    /// Every mode, in the order of `frm`.
    pub const ALL: [Round; 5] = [Round::Rne, Round::Rtz, Round::Rdn, Round::Rup, Round::Rmm];

    /// The mode that `frm` selects; `None` for the reserved 5, 6 and 7.
    #[inline(always)]
    pub const fn from_frm(frm: u32) -> Option<Round> {
        Some(match frm {
            0 => Round::Rne,
            1 => Round::Rtz,
            2 => Round::Rdn,
            3 => Round::Rup,
            4 => Round::Rmm,
            _ => return None,
        })
    }

    /// The mode of an instruction whose rounding-mode field is `rm`, given `frm`; `None` makes
    /// the instruction illegal.
    #[inline(always)]
    pub const fn select(rm: frontend::Rm, frm: u32) -> Option<Round> {
        match rm {
            frontend::Rm::Dyn => Round::from_frm(frm),
            fixed => Round::from_frm(fixed as u32),
        }
    }
}

/// The NaN-boxed form of a single: the upper half all ones. Unprivileged, "NaN Boxing of Narrower
/// Values".
#[inline(always)]
pub const fn nan_box(single: u64) -> u64 {
    single | 0xffff_ffff_0000_0000
}

/// The single in a register; what is not properly boxed counts as the canonical NaN.
#[inline(always)]
pub const fn unbox(register: u64) -> u64 {
    if register >> 32 == 0xffff_ffff {
        register & 0xffff_ffff
    } else {
        0x7fc0_0000
    }
}
