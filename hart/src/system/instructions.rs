//! Instructions that act on the privileged state: CSR accesses, trap returns, fences of address
//! translation, and cache-block operations.

use super::SystemMemory;
use crate::memory_access::{CsrAccess, Effect};
use crate::privileged::csr::{CacheOperation, Written};
use crate::privileged::{Mode, interrupts, status};
use crate::trap::{Cause, Trap};
use crate::{HartState, Reservation};
use frontend::{Cbo, Insn, Vma, X};
use memory::Access;

const MIP: u16 = 0x344;
const SATP: u16 = 0x180;

/// Bytes that a cache-block operation works on.
pub const CACHE_BLOCK: u64 = 64;

impl SystemMemory {
    pub(super) fn access_csr(
        &self,
        hart: &mut HartState,
        access: CsrAccess,
        next: u64,
    ) -> Option<(u64, Effect)> {
        let CsrAccess { csr, reads, change } = access;
        let time = || self.io.time(hart.instret);
        let mut p = self.privileged.borrow_mut();
        let old = if reads { p.read(hart, csr, time)? } else { 0 };
        let Some(change) = change else {
            return Some((old, Effect::Continue(next)));
        };
        // 3.1.9: what is written back of SEIP is what software wrote, not the line's level.
        let base = match csr {
            MIP => old & !interrupts::SEIP | p.mip & interrupts::SEIP,
            _ => old,
        };
        let written = p.write(hart, csr, change.apply(base))?;
        let interrupted = p.interrupt().is_some();
        drop(p);
        match written {
            Written::Plain | Written::Timer => {}
            Written::Translation => {
                // A reservation is a virtual address and must not outlive its address space.
                if csr == SATP {
                    hart.reservation = Reservation::default();
                }
                self.choose(false);
            }
            Written::Protection => self.forget(),
        }
        Some((
            old,
            self.effect(interrupted || written == Written::Timer, next),
        ))
    }

    fn effect(&self, attention: bool, next: u64) -> Effect {
        if attention {
            Effect::Attention(next)
        } else {
            Effect::Continue(next)
        }
    }

    /// Executes a privileged instruction; `None` if it is illegal now.
    pub(super) fn execute(
        &self,
        hart: &mut HartState,
        insn: &Insn,
        next: u64,
    ) -> Result<Option<Effect>, Trap> {
        let plain = Ok(Some(Effect::Continue(next)));
        match *insn {
            Insn::Mret(_) => Ok(self.mret(hart)),
            Insn::Sret(_) => Ok(self.sret(hart)),
            Insn::Wfi(_) => Ok(self.wfi(next)),
            Insn::SfenceVma(operands) if self.may_fence() => {
                self.sfence_vma(hart, operands);
                plain
            }
            Insn::CboInval(o) => self.cbo(hart, o, CacheOperation::Invalidate, next),
            Insn::CboClean(o) | Insn::CboFlush(o) => self.cbo(hart, o, CacheOperation::Clean, next),
            Insn::CboZero(o) => self.cbo(hart, o, CacheOperation::Zero, next),
            _ => Ok(None),
        }
    }

    fn mret(&self, hart: &mut HartState) -> Option<Effect> {
        if self.privileged.borrow().mode() != Mode::Machine {
            return None;
        }
        let to = self.privileged.borrow_mut().mret();
        Some(self.returned(hart, to))
    }

    fn sret(&self, hart: &mut HartState) -> Option<Effect> {
        let p = self.privileged.borrow();
        let refused = p.mode() == Mode::Supervisor && p.mstatus & status::TSR != 0;
        if p.mode() == Mode::User || refused {
            return None;
        }
        drop(p);
        let to = self.privileged.borrow_mut().sret();
        Some(self.returned(hart, to))
    }

    fn returned(&self, hart: &mut HartState, to: u64) -> Effect {
        hart.reservation = Reservation::default();
        self.choose(false);
        let interrupted = self.privileged.borrow().interrupt().is_some();
        self.effect(interrupted, to)
    }

    fn wfi(&self, next: u64) -> Option<Effect> {
        let p = self.privileged.borrow();
        let refused = match p.mode() {
            Mode::Machine => false,
            Mode::Supervisor => p.mstatus & status::TW != 0,
            Mode::User => true,
        };
        if refused {
            None
        } else if p.is_woken() {
            Some(Effect::Continue(next))
        } else {
            Some(Effect::Wait(next))
        }
    }

    fn may_fence(&self) -> bool {
        let p = self.privileged.borrow();
        match p.mode() {
            Mode::Machine => true,
            Mode::Supervisor => p.mstatus & status::TVM == 0,
            Mode::User => false,
        }
    }

    fn sfence_vma(&self, hart: &HartState, Vma { rs1, rs2 }: Vma) {
        let va = (rs1 != X::ZERO).then(|| hart.x(rs1));
        let asid = (rs2 != X::ZERO).then(|| hart.x(rs2) & 0xffff);
        self.fence(va, asid);
    }

    /// Zicbom and Zicboz: there are no caches, so that only zeroing does anything; but all need
    /// permission.
    fn cbo(
        &self,
        hart: &HartState,
        Cbo { rs1 }: Cbo,
        operation: CacheOperation,
        next: u64,
    ) -> Result<Option<Effect>, Trap> {
        if !self.privileged.borrow().may_operate(operation) {
            return Ok(None);
        }
        let va = hart.x(rs1);
        let block = va & !(CACHE_BLOCK - 1);
        // Faults are a store's, and tell the address in rs1.
        let store = |trap: Trap| Trap::new(as_store(trap.cause), va);
        if operation == CacheOperation::Zero {
            self.zero(block).map_err(store)?;
        } else {
            // Zicbom, "Translation": load or store permission is enough.
            let check = |access| match self.check(block, CACHE_BLOCK, access)? {
                Some(_) => Ok(()),
                // Devices are not cached, and answer to no operation of caches.
                None => Err(Trap::new(Cause::StoreAccessFault, va)),
            };
            check(Access::Load)
                .or_else(|_| check(Access::Store))
                .map_err(store)?;
        }
        Ok(Some(Effect::Continue(next)))
    }

    fn zero(&self, block: u64) -> Result<(), Trap> {
        use crate::Memory;
        if !self.try_store(block, 0u64) {
            // Checks the whole block, which lies on one page.
            let host = self.check(block, CACHE_BLOCK, Access::Store)?;
            let host = host.ok_or(Trap::new(Cause::StoreAccessFault, block))?;
            for at in (0..CACHE_BLOCK).step_by(8) {
                self.ram.store(host + at, 0u64);
            }
            self.ram.note_write(self.ram.page_of(host));
            return Ok(());
        }
        for at in (8..CACHE_BLOCK).step_by(8) {
            self.store(block + at, 0u64)?;
        }
        Ok(())
    }
}

fn as_store(cause: Cause) -> Cause {
    match cause {
        Cause::LoadPageFault => Cause::StorePageFault,
        Cause::LoadAccessFault => Cause::StoreAccessFault,
        other => other,
    }
}
