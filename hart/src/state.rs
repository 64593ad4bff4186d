//! `HartState`: everything that a program on a hart can see of it, and nothing else.

use serde::{Deserialize, Serialize};

/// The guest-visible state of one hart. Plain old data with a fixed layout: compiled code
/// addresses its fields by offset, a snapshot copies it out and back in. What can be rebuilt (TLB,
/// translated code, caches) is kept elsewhere.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HartState {
    /// `x0` to `x31`; `x[0]` is always 0.
    pub x: [u64; 32],
    /// `f0` to `f31` as 64-bit patterns; a single is NaN-boxed (upper half all ones).
    pub f: [u64; 32],
    /// Address of the next instruction to execute.
    pub pc: u64,
    /// Instructions retired. An instruction that traps (ecall and ebreak too) does not retire.
    pub instret: u64,
    /// Accrued exceptions, `NV DZ OF UF NX` in bits 4 to 0. The other bits are 0.
    pub fflags: u32,
    /// Dynamic rounding mode, 0 to 7; 5, 6 and 7 make a dynamically rounded instruction illegal.
    pub frm: u32,
    /// What the last load-reserved reserved.
    pub reservation: Reservation,
}

/// A load-reserved's reservation. Store-conditional succeeds if address and width match and
/// memory still holds `value` (compare and swap), so a store of the same value in between goes
/// unseen (ABA). Unprivileged, "Load-Reserved/Store-Conditional Instructions".
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reservation {
    /// Virtual address of the reserved word or doubleword.
    pub address: u64,
    /// What the load returned: zero-extended 32 bits for `lr.w`, 64 for `lr.d`.
    pub value: u64,
    /// Bytes reserved: 0 for none, 4 or 8. `address` and `value` are 0 when there is none.
    pub width: u64,
}

impl HartState {
    /// The value of `x[rs]`.
    #[inline(always)]
    pub fn x(&self, rs: frontend::X) -> u64 {
        self.x[rs.index()]
    }
    /// Writes `x[rd]`; a write to `x0` does nothing.
    #[inline(always)]
    pub fn set(&mut self, rd: frontend::X, value: u64) {
        if rd.index() != 0 {
            self.x[rd.index()] = value;
        }
    }
    /// The 64 bits of `f[rs]`.
    #[inline(always)]
    pub fn f(&self, rs: frontend::F) -> u64 {
        self.f[rs.index()]
    }
    /// Writes the 64 bits of `f[rd]`; a single must be NaN-boxed.
    #[inline(always)]
    pub fn set_f(&mut self, rd: frontend::F, bits: u64) {
        self.f[rd.index()] = bits;
    }
}

const _: () = {
    assert!(std::mem::size_of::<HartState>() == 560);
    assert!(std::mem::align_of::<HartState>() == 8);
};
