//! Into traps and back. Privileged 3.1.6.1, 3.1.7, 3.3.2 and 10.1.

use super::{Mode, Privileged, interrupts, status};
use crate::{Cause, HartState, Reservation, Trap};

/// The bit of mcause and scause that tells interrupts from exceptions.
pub const INTERRUPT: u64 = 1 << 63;

/// The exceptions that may be delegated: all but ecall from M.
pub const DELEGABLE: u64 = 0xb3ff;
const _: () = assert!(DELEGABLE & 1 << Cause::EcallFromM as u64 == 0);

impl Privileged {
    /// What an ecall is in this mode.
    pub fn ecall(&self) -> Cause {
        match self.mode() {
            Mode::User => Cause::EcallFromU,
            Mode::Supervisor => Cause::EcallFromS,
            Mode::Machine => Cause::EcallFromM,
        }
    }

    /// Takes an exception of the instruction at `hart.pc`.
    pub fn take_exception(&mut self, hart: &mut HartState, trap: Trap) {
        let code = trap.cause as u64;
        let delegated = self.mode() <= Mode::Supervisor && self.medeleg >> code & 1 != 0;
        let to = if delegated {
            Mode::Supervisor
        } else {
            Mode::Machine
        };
        self.enter(hart, to, code, trap.tval);
    }

    /// Takes the interrupt that [`Privileged::interrupt`] names, before the instruction at
    /// `hart.pc`. Whether there was one.
    pub fn take_interrupt(&mut self, hart: &mut HartState) -> bool {
        let interrupt = self.interrupt();
        if let Some((code, to)) = interrupt {
            self.enter(hart, to, INTERRUPT | code, 0);
        }
        interrupt.is_some()
    }

    fn enter(&mut self, hart: &mut HartState, to: Mode, cause: u64, tval: u64) {
        let from = self.mode() as u64;
        let vector;
        let mut mstatus = self.mstatus;
        if to == Mode::Supervisor {
            let enabled = mstatus & status::SIE != 0;
            mstatus &= !(status::SPP | status::SPIE | status::SIE);
            mstatus |= if from == 0 { 0 } else { status::SPP };
            mstatus |= if enabled { status::SPIE } else { 0 };
            (self.sepc, self.scause, self.stval) = (hart.pc, cause, tval);
            vector = self.stvec;
        } else {
            let enabled = mstatus & status::MIE != 0;
            mstatus &= !(status::MPP | status::MPIE | status::MIE);
            mstatus |= from << status::MPP_SHIFT;
            mstatus |= if enabled { status::MPIE } else { 0 };
            (self.mepc, self.mcause, self.mtval) = (hart.pc, cause, tval);
            vector = self.mtvec;
        }
        self.mstatus = mstatus;
        self.set_mode(to);
        let base = vector & !3;
        // Vectored: interrupts go to base + 4 times their number.
        hart.pc = match vector & 1 {
            1 if cause & INTERRUPT != 0 => base.wrapping_add(4 * (cause & !INTERRUPT)),
            _ => base,
        };
        // A reservation is a virtual address and must not outlive its address space.
        hart.reservation = Reservation::default();
    }

    /// mret: the address to go on at. The caller has checked the mode.
    pub(crate) fn mret(&mut self) -> u64 {
        let to = self.mpp();
        let enabled = self.mstatus & status::MPIE != 0;
        self.mstatus &= !(status::MIE | status::MPP);
        self.mstatus |= status::MPIE | if enabled { status::MIE } else { 0 };
        if to != Mode::Machine {
            self.mstatus &= !status::MPRV;
        }
        self.set_mode(to);
        self.mepc
    }

    /// sret: the address to go on at. The caller has checked the mode.
    pub(crate) fn sret(&mut self) -> u64 {
        let supervisor = self.mstatus & status::SPP != 0;
        let enabled = self.mstatus & status::SPIE != 0;
        self.mstatus &= !(status::SIE | status::SPP | status::MPRV);
        self.mstatus |= status::SPIE | if enabled { status::SIE } else { 0 };
        self.set_mode(if supervisor {
            Mode::Supervisor
        } else {
            Mode::User
        });
        self.sepc
    }

    /// As firmware leaves a hart to an operating system in S: traps that concern it delegated,
    /// counters, Sstc and cache-block operations permitted, all memory accessible.
    pub fn delegate(&mut self) {
        // Ecalls from S stay with whoever plays the firmware.
        self.medeleg = DELEGABLE & !(1 << Cause::EcallFromS as u64);
        self.mideleg = interrupts::SUPERVISOR;
        self.mcounteren = 7;
        // Linux leaves it to firmware whether programs may read the clock, as their vdso does.
        self.scounteren = 7;
        self.menvcfg = super::csr::MENVCFG;
        self.pmpaddr[0] = super::pmp::ADDRESS;
        self.pmpcfg[0] = super::pmp::NAPOT | super::pmp::RWX;
        self.set_mode(Mode::Supervisor);
    }
}
