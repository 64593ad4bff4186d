//! The privileged state of a hart: what a whole machine has beside [`crate::HartState`].
//!
//! Privileged architecture 1.12 (and Sstc): machine, supervisor and user mode. Names and bits are
//! the manual's.

pub mod csr;
pub mod interrupts;
pub mod pmp;
pub mod status;
pub mod traps;
pub mod walk;

use serde::{Deserialize, Serialize};

/// A privilege mode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u64)]
pub enum Mode {
    /// U.
    User = 0,
    /// S.
    Supervisor = 1,
    /// M.
    Machine = 3,
}

impl Mode {
    /// The mode of a two-bit field; `None` for the reserved 2.
    pub const fn from_bits(bits: u64) -> Option<Mode> {
        match bits & 3 {
            0 => Some(Mode::User),
            1 => Some(Mode::Supervisor),
            3 => Some(Mode::Machine),
            _ => None,
        }
    }
}

/// How many PMP entries there are.
pub const PMP_ENTRIES: usize = 16;

/// Everything that privileged software can see of a hart. Plain old data with a fixed layout, as
/// [`crate::HartState`] is: compiled code addresses fields by offset, a snapshot copies it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the manual's names")]
pub struct Privileged {
    /// The current mode, as [`Mode`]'s numbers.
    mode: u64,
    /// WARL fields hold legal values only; SD is not stored.
    pub(crate) mstatus: u64,
    pub medeleg: u64,
    pub mideleg: u64,
    pub mie: u64,
    /// The bits of mip that software writes: SEIP, STIP, SSIP.
    pub mip: u64,
    /// The bits of mip that come from outside, and STIP by stimecmp.
    pub lines: u64,
    pub mtvec: u64,
    pub mcounteren: u64,
    pub mscratch: u64,
    pub mepc: u64,
    pub mcause: u64,
    pub mtval: u64,
    pub menvcfg: u64,
    pub stvec: u64,
    pub scounteren: u64,
    pub senvcfg: u64,
    pub sscratch: u64,
    pub sepc: u64,
    pub scause: u64,
    pub stval: u64,
    pub(crate) satp: u64,
    pub stimecmp: u64,
    /// What mcycle and minstret are more than the count of retired instructions.
    pub mcycle: u64,
    pub minstret: u64,
    pub mhartid: u64,
    pub(crate) pmpcfg: [u8; PMP_ENTRIES],
    pub(crate) pmpaddr: [u64; PMP_ENTRIES],
}

impl Privileged {
    /// The state after reset. Privileged 3.4: machine mode, MIE and MPRV clear; here also
    /// everything else is 0.
    pub fn reset(mhartid: u64) -> Self {
        Privileged {
            mode: Mode::Machine as u64,
            mstatus: status::UXL | status::SXL,
            medeleg: 0,
            mideleg: 0,
            mie: 0,
            mip: 0,
            lines: 0,
            mtvec: 0,
            mcounteren: 0,
            mscratch: 0,
            mepc: 0,
            mcause: 0,
            mtval: 0,
            menvcfg: 0,
            stvec: 0,
            scounteren: 0,
            senvcfg: 0,
            sscratch: 0,
            sepc: 0,
            scause: 0,
            stval: 0,
            satp: 0,
            stimecmp: u64::MAX,
            mcycle: 0,
            minstret: 0,
            mhartid,
            pmpcfg: [0; PMP_ENTRIES],
            pmpaddr: [0; PMP_ENTRIES],
        }
    }

    /// The current mode.
    #[inline(always)]
    pub fn mode(&self) -> Mode {
        match self.mode {
            0 => Mode::User,
            1 => Mode::Supervisor,
            _ => Mode::Machine,
        }
    }

    /// Changes the mode.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode as u64;
    }

    /// Address translation and protection.
    #[inline(always)]
    pub fn satp(&self) -> u64 {
        self.satp
    }

    /// Whether every field that may hold some values only holds one of those: what a snapshot has
    /// to be before it is believed.
    pub fn is_valid(&self) -> bool {
        let mut written = *self;
        written.set_mstatus(self.mstatus);
        written.set_satp(self.satp);
        let addresses = self.pmpaddr.iter().all(|a| *a <= pmp::ADDRESS);
        Mode::from_bits(self.mode).is_some_and(|mode| mode as u64 == self.mode)
            && written == *self
            && addresses
            && self.pmpcfg.iter().all(|cfg| pmp::legal(*cfg) == *cfg)
    }
}
