//! mstatus, and sstatus as a view of it. Privileged 3.1.6 and 10.1.1.
//!
//! ```text
//!  63    35:34 33:32  22  21 20  19  18  17   14:13 12:11 8   7    5    3   1
//!  SD    SXL   UXL   TSR TW TVM MXR SUM MPRV   FS    MPP SPP MPIE SPIE MIE SIE
//! ```
//!
//! SXL and UXL are 2 for ever, FS is Off or Dirty (3.1.6.6 allows not to track it), everything
//! else reads as 0.

use super::{Mode, Privileged};

/// Interrupts are enabled in S.
pub const SIE: u64 = 1 << 1;
/// Interrupts are enabled in M.
pub const MIE: u64 = 1 << 3;
/// SIE before the trap.
pub const SPIE: u64 = 1 << 5;
/// MIE before the trap.
pub const MPIE: u64 = 1 << 7;
/// Whether the trap to S came from S.
pub const SPP: u64 = 1 << 8;
/// The mode that the trap to M came from.
pub const MPP: u64 = 3 << 11;
/// Floating point: 0 is Off, 3 Dirty.
pub const FS: u64 = 3 << 13;
/// Loads and stores of M are made as by MPP.
pub const MPRV: u64 = 1 << 17;
/// S may access pages of U.
pub const SUM: u64 = 1 << 18;
/// Pages that may be executed may be read.
pub const MXR: u64 = 1 << 19;
/// satp and sfence.vma trap in S.
pub const TVM: u64 = 1 << 20;
/// wfi traps in S.
pub const TW: u64 = 1 << 21;
/// sret traps in S.
pub const TSR: u64 = 1 << 22;
/// Width of U: 64.
pub const UXL: u64 = 2 << 32;
/// Width of S: 64.
pub const SXL: u64 = 2 << 34;
/// FS is Dirty.
pub const SD: u64 = 1 << 63;

/// The bits of MPP.
pub const MPP_SHIFT: u32 = 11;

const WRITABLE: u64 = SIE | MIE | SPIE | MPIE | SPP | FS | MPRV | SUM | MXR | TVM | TW | TSR;
/// The writable bits that sstatus has too.
pub const SUPERVISOR: u64 = SIE | SPIE | SPP | FS | SUM | MXR;

impl Privileged {
    /// The value of mstatus.
    #[inline(always)]
    pub fn mstatus(&self) -> u64 {
        self.mstatus | if self.mstatus & FS == FS { SD } else { 0 }
    }

    /// Writes mstatus.
    pub fn set_mstatus(&mut self, value: u64) {
        let mut new = self.mstatus & !WRITABLE | value & WRITABLE;
        if new & FS != 0 {
            new |= FS;
        }
        if Mode::from_bits(value >> MPP_SHIFT).is_some() {
            new = new & !MPP | value & MPP;
        }
        self.mstatus = new;
    }

    /// The value of sstatus.
    pub fn sstatus(&self) -> u64 {
        self.mstatus() & (SUPERVISOR | UXL | SD)
    }

    /// Writes sstatus.
    pub fn set_sstatus(&mut self, value: u64) {
        self.set_mstatus(self.mstatus & !SUPERVISOR | value & SUPERVISOR);
    }

    /// Whether floating point is on.
    #[inline(always)]
    pub fn may_float(&self) -> bool {
        self.mstatus & FS != 0
    }

    /// The mode that traps to M return to.
    pub fn mpp(&self) -> Mode {
        Mode::from_bits(self.mstatus >> MPP_SHIFT).unwrap_or(Mode::User)
    }

    /// The mode that loads and stores are made in.
    #[inline(always)]
    pub fn data_mode(&self) -> Mode {
        match self.mode() {
            Mode::Machine if self.mstatus & MPRV != 0 => self.mpp(),
            mode => mode,
        }
    }
}
