//! The two formats, binary32 and binary64, described by the widths of their fields.

/// An IEEE 754 binary interchange format of at most 64 bits:
///
/// ```text
///  ┌────┬───────────────┬───────────────┐
///  │sign│   exponent    │   fraction    │
///  └────┴───────────────┴───────────────┘
/// ```
pub trait Format: 'static {
    /// Width of the exponent field.
    const EXPONENT_BITS: u32;
    /// Width of the fraction field.
    const FRACTION_BITS: u32;

    /// What the exponent field holds for 2^0.
    const BIAS: i32 = (1 << (Self::EXPONENT_BITS - 1)) - 1;
    /// Exponent of the smallest normal number.
    const EMIN: i32 = 1 - Self::BIAS;
    /// The sign bit.
    const SIGN: u64 = 1 << (Self::EXPONENT_BITS + Self::FRACTION_BITS);
    /// The fraction field's bits.
    const FRACTION: u64 = (1 << Self::FRACTION_BITS) - 1;
    /// Positive infinity: the exponent field's bits.
    const INFINITY: u64 = Self::SIGN - 1 - Self::FRACTION;
    /// The largest finite number.
    const MAX: u64 = Self::INFINITY - 1;
    /// The fraction's top bit, set in a quiet NaN.
    const QUIET: u64 = 1 << (Self::FRACTION_BITS - 1);
    /// The NaN that every operation returns.
    const CANONICAL_NAN: u64 = Self::INFINITY | Self::QUIET;

    /// The datum that a register holds.
    fn unbox(register: u64) -> u64;
    /// What a register holds for a datum.
    fn nan_box(bits: u64) -> u64;
}

/// binary32, in the low half of a `u64`.
pub enum F32 {}
/// binary64.
pub enum F64 {}

impl Format for F32 {
    const EXPONENT_BITS: u32 = 8;
    const FRACTION_BITS: u32 = 23;
    #[inline(always)]
    fn unbox(register: u64) -> u64 {
        super::unbox(register)
    }
    #[inline(always)]
    fn nan_box(bits: u64) -> u64 {
        super::nan_box(bits)
    }
}
impl Format for F64 {
    const EXPONENT_BITS: u32 = 11;
    const FRACTION_BITS: u32 = 52;
    #[inline(always)]
    fn unbox(register: u64) -> u64 {
        register
    }
    #[inline(always)]
    fn nan_box(bits: u64) -> u64 {
        bits
    }
}
