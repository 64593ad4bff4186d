//! The control and status registers of a whole machine. Privileged, chapter "Control and Status
//! Registers"; a register that is not here does not exist, and an access to it is an illegal
//! instruction: that is how firmware finds out what there is.

use super::{Mode, PMP_ENTRIES, Privileged, interrupts, status, traps};
use crate::HartState;
use crate::csr::{self as user, CYCLE, FCSR, FFLAGS, FRM, INSTRET, TIME};

const SSTATUS: u16 = 0x100;
const SIE: u16 = 0x104;
const STVEC: u16 = 0x105;
const SCOUNTEREN: u16 = 0x106;
const SENVCFG: u16 = 0x10a;
const SSCRATCH: u16 = 0x140;
const SEPC: u16 = 0x141;
const SCAUSE: u16 = 0x142;
const STVAL: u16 = 0x143;
const SIP: u16 = 0x144;
const STIMECMP: u16 = 0x14d;
const SATP: u16 = 0x180;
const MSTATUS: u16 = 0x300;
const MISA: u16 = 0x301;
const MEDELEG: u16 = 0x302;
const MIDELEG: u16 = 0x303;
const MIE: u16 = 0x304;
const MTVEC: u16 = 0x305;
const MCOUNTEREN: u16 = 0x306;
const MENVCFG_CSR: u16 = 0x30a;
const MCOUNTINHIBIT: u16 = 0x320;
const MHPMEVENT3: u16 = 0x323;
const MHPMEVENT31: u16 = 0x33f;
const MSCRATCH: u16 = 0x340;
const MEPC: u16 = 0x341;
const MCAUSE: u16 = 0x342;
const MTVAL: u16 = 0x343;
const MIP: u16 = 0x344;
const PMPCFG0: u16 = 0x3a0;
const PMPCFG2: u16 = 0x3a2;
const PMPADDR0: u16 = 0x3b0;
const PMPADDR_LAST: u16 = PMPADDR0 + PMP_ENTRIES as u16 - 1;
const MCYCLE: u16 = 0xb00;
const MINSTRET: u16 = 0xb02;
const MHPMCOUNTER3: u16 = 0xb03;
const MHPMCOUNTER31: u16 = 0xb1f;
const HPMCOUNTER3: u16 = 0xc03;
const HPMCOUNTER31: u16 = 0xc1f;
const MVENDORID: u16 = 0xf11;
const MCONFIGPTR: u16 = 0xf15;
const MHARTID: u16 = 0xf14;

/// RV64 with A, C, D, F, I, M, S and U.
const MISA_VALUE: u64 = {
    let (letters, mut value, mut i) = (b"ACDFIMSU", 2 << 62, 0);
    while i < letters.len() {
        value |= 1 << (letters[i] - b'A');
        i += 1;
    }
    value
};

/// menvcfg and senvcfg: fences order I/O as memory. Ours always do.
const FIOM: u64 = 1;
/// cbo.inval: 0 traps, 1 flushes, 3 invalidates.
const CBIE: u64 = 3 << 4;
/// cbo.clean and cbo.flush.
const CBCFE: u64 = 1 << 6;
/// cbo.zero.
const CBZE: u64 = 1 << 7;
/// Hardware updates A and D (Svadu).
const ADUE: u64 = 1 << 61;
/// stimecmp (Sstc).
const STCE: u64 = 1 << 63;
const SENVCFG_BITS: u64 = FIOM | CBIE | CBCFE | CBZE;
/// What [`Privileged::delegate`] turns on: all but Svadu.
pub(super) const MENVCFG: u64 = SENVCFG_BITS | STCE;
const MENVCFG_BITS: u64 = MENVCFG | ADUE;

/// What a write to a register asks of whoever runs the hart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// Nothing.
    Plain,
    /// How addresses are translated may have changed.
    Translation,
    /// Memory protection may have changed, for every mode.
    Protection,
    /// The time at which the timer interrupts has changed.
    Timer,
}

/// Which cache-block operation is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheOperation {
    /// cbo.inval
    Invalidate,
    /// cbo.clean, cbo.flush
    Clean,
    /// cbo.zero
    Zero,
}

impl Privileged {
    /// Whether the current mode may access a register at all. Zicsr: bits 9:8 are the lowest mode.
    fn permits(&self, csr: u16) -> bool {
        let mode = self.mode();
        if u64::from(csr >> 8 & 3) > mode as u64 {
            return false;
        }
        match csr {
            FFLAGS | FRM | FCSR => self.may_float(),
            SATP => mode == Mode::Machine || self.mstatus & status::TVM == 0,
            STIMECMP => {
                let time = self.mcounteren >> (TIME & 31) & 1 != 0;
                mode == Mode::Machine || time && self.has_stimecmp()
            }
            CYCLE..=HPMCOUNTER31 => {
                let bit = 1 << (csr & 31);
                (mode == Mode::Machine || self.mcounteren & bit != 0)
                    && (mode != Mode::User || self.scounteren & bit != 0)
            }
            _ => true,
        }
    }

    /// The value of a register for the current mode, when it is `time`; `None` if there is no such
    /// register, or not for this mode.
    pub fn read(&self, hart: &HartState, csr: u16, time: impl FnOnce() -> u64) -> Option<u64> {
        if !self.permits(csr) {
            return None;
        }
        Some(match csr {
            FFLAGS | FRM | FCSR => user::read(hart, csr, &user::Clock::Virtual)?,
            CYCLE | MCYCLE => hart.instret.wrapping_add(self.mcycle),
            INSTRET | MINSTRET => hart.instret.wrapping_add(self.minstret),
            TIME => time(),
            HPMCOUNTER3..=HPMCOUNTER31 | MHPMCOUNTER3..=MHPMCOUNTER31 => 0,
            MHPMEVENT3..=MHPMEVENT31 | MCOUNTINHIBIT => 0,
            SSTATUS => self.sstatus(),
            SIE => self.mie & self.mideleg,
            STVEC => self.stvec,
            SCOUNTEREN => self.scounteren,
            SENVCFG => self.senvcfg,
            SSCRATCH => self.sscratch,
            SEPC => self.sepc,
            SCAUSE => self.scause,
            STVAL => self.stval,
            SIP => self.pending() & self.mideleg,
            STIMECMP => self.stimecmp,
            SATP => self.satp,
            MSTATUS => self.mstatus(),
            MISA => MISA_VALUE,
            MEDELEG => self.medeleg,
            MIDELEG => self.mideleg,
            MIE => self.mie,
            MTVEC => self.mtvec,
            MCOUNTEREN => self.mcounteren,
            MENVCFG_CSR => self.menvcfg,
            MSCRATCH => self.mscratch,
            MEPC => self.mepc,
            MCAUSE => self.mcause,
            MTVAL => self.mtval,
            MIP => self.pending(),
            PMPCFG0 => self.pmpcfg(0),
            PMPCFG2 => self.pmpcfg(8),
            PMPADDR0..=PMPADDR_LAST => self.pmpaddr[usize::from(csr - PMPADDR0)],
            MHARTID => self.mhartid,
            MVENDORID..=MCONFIGPTR => 0,
            _ => return None,
        })
    }

    /// Writes a register; `None` if there is no such register, or not for this mode, or it is
    /// read-only. Fields that cannot hold the value keep theirs or take the nearest (WARL).
    pub fn write(&mut self, hart: &mut HartState, csr: u16, value: u64) -> Option<Written> {
        // Zicsr: bits 11:10 all ones are read-only.
        if csr >> 10 == 3 || !self.permits(csr) {
            return None;
        }
        match csr {
            FFLAGS | FRM | FCSR => user::write(hart, csr, value)?,
            // Bit 0 was counted already when this instruction retires.
            MCYCLE => self.mcycle = value.wrapping_sub(hart.instret.wrapping_add(1)),
            MINSTRET => self.minstret = value.wrapping_sub(hart.instret.wrapping_add(1)),
            MHPMCOUNTER3..=MHPMCOUNTER31 | MHPMEVENT3..=MHPMEVENT31 => {}
            MCOUNTINHIBIT | MISA => {}
            SSTATUS => {
                self.set_sstatus(value);
                return Some(Written::Translation);
            }
            MSTATUS => {
                self.set_mstatus(value);
                return Some(Written::Translation);
            }
            SIE => self.mie = self.mie & !self.mideleg | value & self.mideleg,
            MIE => self.mie = value & interrupts::ALL,
            SIP => {
                let bits = interrupts::SSIP & self.mideleg;
                self.mip = self.mip & !bits | value & bits;
            }
            MIP => self.mip = value & interrupts::SUPERVISOR,
            STVEC => self.stvec = value & !2,
            MTVEC => self.mtvec = value & !2,
            SCOUNTEREN => self.scounteren = value & 0xffff_ffff,
            MCOUNTEREN => self.mcounteren = value & 0xffff_ffff,
            SENVCFG => self.senvcfg = environment(value) & SENVCFG_BITS,
            MENVCFG_CSR => {
                self.menvcfg = environment(value) & MENVCFG_BITS;
                return Some(Written::Timer);
            }
            SSCRATCH => self.sscratch = value,
            MSCRATCH => self.mscratch = value,
            SEPC => self.sepc = value & !1,
            MEPC => self.mepc = value & !1,
            SCAUSE => self.scause = value,
            MCAUSE => self.mcause = value,
            STVAL => self.stval = value,
            MTVAL => self.mtval = value,
            STIMECMP => {
                self.stimecmp = value;
                return Some(Written::Timer);
            }
            SATP => {
                self.set_satp(value);
                return Some(Written::Translation);
            }
            MEDELEG => self.medeleg = value & traps::DELEGABLE,
            MIDELEG => self.mideleg = value & interrupts::SUPERVISOR,
            PMPCFG0 | PMPCFG2 => {
                self.set_pmpcfg(if csr == PMPCFG0 { 0 } else { 8 }, value);
                return Some(Written::Protection);
            }
            PMPADDR0..=PMPADDR_LAST => {
                self.set_pmpaddr(usize::from(csr - PMPADDR0), value);
                return Some(Written::Protection);
            }
            _ => return None,
        }
        Some(Written::Plain)
    }

    /// Whether a cache-block operation is enabled in the current mode. Zicbom, Zicboz, "Envcfg".
    pub(crate) fn may_operate(&self, operation: CacheOperation) -> bool {
        let bits = match operation {
            CacheOperation::Invalidate => CBIE,
            CacheOperation::Clean => CBCFE,
            CacheOperation::Zero => CBZE,
        };
        let mode = self.mode();
        (mode == Mode::Machine || self.menvcfg & bits != 0)
            && (mode != Mode::User || self.senvcfg & bits != 0)
    }

    /// Whether hardware updates A and D.
    pub(crate) fn updates_accessed(&self) -> bool {
        self.menvcfg & ADUE != 0
    }
}

/// A value for menvcfg or senvcfg without the reserved CBIE.
fn environment(value: u64) -> u64 {
    if value & CBIE == 2 << 4 {
        value & !CBIE
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_read(p: &mut Privileged, csr: u16, value: u64) -> Option<u64> {
        let mut hart = HartState::default();
        p.write(&mut hart, csr, value)?;
        p.read(&hart, csr, || 0)
    }

    #[test]
    fn fields_take_legal_values_only() {
        let mut p = Privileged::reset(7);
        for (csr, value, expected) in [
            (MSTATUS, !0, 0x8000_000a_007e_79aa),
            (MSTATUS, 2 << 11, 0xa_0000_1800), // MPP = 2 is reserved: stays M
            (SSTATUS, !0, 0x8000_0002_000c_6122),
            (SSTATUS, 1 << 13, 0x8000_0002_0000_6000), // FS: Initial counts as Dirty
            (MEDELEG, !0, 0xb3ff),
            (MIDELEG, !0, 0x222),
            (MIE, !0, 0xaaa),
            (SIE, 0, 0),
            (MIE, 0x888, 0x888),
            (MIP, !0, 0x222),
            (SIP, 0, 0x220),
            (MTVEC, !0, !2),
            (SEPC, !0, !1),
            (MENVCFG_CSR, !0, STCE | ADUE | 0xf1),
            (SENVCFG, 2 << 4, 0),
            (SATP, 8 << 60 | 0x1234 << 44 | 5, 8 << 60 | 0x1234 << 44 | 5),
            (SATP, 10 << 60, 8 << 60 | 0x1234 << 44 | 5), // Sv57: ignored as a whole
            (SATP, 9 << 60, 9 << 60),
            (MISA, 0, MISA_VALUE),
            (PMPADDR0, !0, (1 << 54) - 1),
        ] {
            assert_eq!(
                write_read(&mut p, csr, value),
                Some(expected),
                "{csr:#x} {value:#x}"
            );
        }
        assert!(p.is_valid());
        assert_eq!(write_read(&mut p, MHARTID, 0), None, "read-only");
        for absent in [
            0x30c, 0x30d, 0x7a0, 0xfb0, 0xda0, 0x5a8, 0x3a1, 0x3a4, 0x3c0, 0x14e,
        ] {
            assert_eq!(
                p.read(&HartState::default(), absent, || 0),
                None,
                "{absent:#x}"
            );
        }
    }

    #[test]
    fn modes_and_enables_decide_what_may_be_accessed() {
        let mut p = Privileged::reset(0);
        let hart = HartState::default();
        let may = |p: &Privileged, csr| p.read(&hart, csr, || 9).is_some();
        p.set_mode(Mode::Supervisor);
        assert!(may(&p, SATP) && !may(&p, MSTATUS) && !may(&p, TIME) && !may(&p, STIMECMP));
        assert!(!may(&p, FCSR), "FS is Off");
        p.set_mstatus(status::TVM | status::FS);
        assert!(!may(&p, SATP) && may(&p, FCSR));
        p.mcounteren = 2;
        assert!(may(&p, TIME) && !may(&p, INSTRET) && !may(&p, STIMECMP));
        p.menvcfg = STCE;
        assert!(may(&p, STIMECMP));
        p.set_mode(Mode::User);
        assert!(!may(&p, TIME) && !may(&p, SSCRATCH));
        p.scounteren = 2;
        assert!(may(&p, TIME));
    }

    #[test]
    fn a_written_counter_counts_from_the_next_instruction() {
        let mut p = Privileged::reset(0);
        let mut hart = HartState {
            instret: 100,
            ..HartState::default()
        };
        p.write(&mut hart, MINSTRET, 5).unwrap();
        hart.instret = 101;
        assert_eq!(p.read(&hart, MINSTRET, || 0), Some(5));
        assert_eq!(p.read(&hart, CYCLE, || 0), Some(101));
    }
}
