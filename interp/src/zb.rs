//! Zba and Zbb: what is more than one operator.

/// sh1add, sh2add, sh3add.
#[inline(always)]
pub(crate) fn shadd(a: u64, b: u64, shift: u32) -> u64 {
    (a << shift).wrapping_add(b)
}

/// add.uw (`shift` 0), sh1add.uw, sh2add.uw, sh3add.uw.
#[inline(always)]
pub(crate) fn add_uw(a: u64, b: u64, shift: u32) -> u64 {
    shadd(u64::from(a as u32), b, shift)
}

/// Every byte that is not 0 becomes all ones.
#[inline(always)]
pub(crate) fn orc_b(a: u64) -> u64 {
    u64::from_ne_bytes(a.to_ne_bytes().map(|byte| if byte == 0 { 0 } else { 0xff }))
}
