//! M: what is more than one operator. Division by zero and overflow do not trap.

use crate::execute::sext;

#[inline(always)]
pub(crate) fn mulh(a: u64, b: u64) -> u64 {
    ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64
}

#[inline(always)]
pub(crate) fn mulhsu(a: u64, b: u64) -> u64 {
    ((i128::from(a as i64) * i128::from(b)) >> 64) as u64
}

#[inline(always)]
pub(crate) fn mulhu(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

/// The quotient by 0 is all ones; the most negative number by -1 is itself.
#[inline(always)]
pub(crate) fn div(a: u64, b: u64) -> u64 {
    if b == 0 {
        u64::MAX
    } else {
        (a as i64).wrapping_div(b as i64) as u64
    }
}

#[inline(always)]
pub(crate) fn divu(a: u64, b: u64) -> u64 {
    a.checked_div(b).unwrap_or(u64::MAX)
}

/// The remainder by 0 is the dividend; of the most negative number by -1 it is 0.
#[inline(always)]
pub(crate) fn rem(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        (a as i64).wrapping_rem(b as i64) as u64
    }
}

#[inline(always)]
pub(crate) fn remu(a: u64, b: u64) -> u64 {
    a.checked_rem(b).unwrap_or(a)
}

#[inline(always)]
pub(crate) fn divw(a: i32, b: i32) -> u64 {
    sext(if b == 0 { -1 } else { a.wrapping_div(b) })
}

#[inline(always)]
pub(crate) fn divuw(a: i32, b: i32) -> u64 {
    sext((a as u32).checked_div(b as u32).unwrap_or(u32::MAX) as i32)
}

#[inline(always)]
pub(crate) fn remw(a: i32, b: i32) -> u64 {
    sext(if b == 0 { a } else { a.wrapping_rem(b) })
}

#[inline(always)]
pub(crate) fn remuw(a: i32, b: i32) -> u64 {
    sext((a as u32).checked_rem(b as u32).unwrap_or(a as u32) as i32)
}
