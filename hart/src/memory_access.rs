//! How an engine reaches guest memory.

use crate::csr::{self, Change, Clock};
use crate::state::HartState;
use crate::trap::{Cause, Trap};
use frontend::Insn;
use memory::{Access, AtomicWord, Fault, FaultKind, PAGE_BITS, UserSpace, Word};

/// What follows an instruction that the environment has executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Goes on at this address.
    Continue(u64),
    /// Goes on at this address after the environment had a look: an interrupt is to be taken, or
    /// the time of the next one has changed.
    Attention(u64),
    /// Goes on at this address when there is an interrupt.
    Wait(u64),
}

/// Guest memory as one hart sees it, by virtual address, and what else lies around a hart. Loads and
/// stores of any alignment succeed or trap as a whole; atomics must be aligned (the engine checks).
pub trait Memory {
    /// Whether this is a whole machine: there are privilege modes, and where an address leads can
    /// change with any instruction of theirs.
    const SYSTEM: bool;

    /// Reads a little-endian word.
    fn load<T: Word>(&self, va: u64) -> Result<T, Trap>;
    /// Writes a little-endian word.
    fn store<T: Word>(&self, va: u64, value: T) -> Result<(), Trap>;
    /// A quick attempt at a load; `None` does not mean that it would trap.
    fn try_load<T: Word>(&self, va: u64) -> Option<T>;
    /// A quick attempt at a store: whether it was made. If not, it need not trap.
    fn try_store<T: Word>(&self, va: u64, value: T) -> bool;
    /// Atomically replaces `expected` by `new`; the old value either way. Sequentially consistent.
    /// Traps as a store.
    fn compare_exchange<T: AtomicWord>(&self, va: u64, expected: T, new: T) -> Result<T, Trap>;
    /// Reads a 16-bit instruction parcel; needs execute permission.
    fn fetch(&self, va: u64) -> Result<u16, Trap>;
    /// The code page that the code at `va` lies on: what was decoded from it is the same wherever
    /// else the page is mapped. Needs execute permission.
    fn code_page(&self, va: u64) -> Result<u64, Trap>;
    /// Whether `code_page(va)` would be this page, quickly; `false` does not mean that it isn't.
    fn is_code_page(&self, va: u64, page: u64) -> bool;
    /// Announces that the caller is about to read code from a code page and keep what it decoded.
    /// What is written to the page from now on must be found by whoever drops stale code at the
    /// next fence.i.
    fn watch_code(&self, page: u64);
    /// Whether floating-point instructions are permitted.
    fn may_float(&self) -> bool;
    /// An access to a control and status register: the old value, and how to go on (`next` is the
    /// address behind the instruction). `None` if it is illegal.
    fn csr(
        &self,
        hart: &mut HartState,
        access: CsrAccess,
        clock: &Clock,
        next: u64,
    ) -> Option<(u64, Effect)>;
    /// A privileged instruction or cache-block operation (`Op::is_privileged`); `None` if it is
    /// illegal.
    fn privileged(
        &self,
        hart: &mut HartState,
        insn: &Insn,
        next: u64,
    ) -> Result<Option<Effect>, Trap>;
    /// Announces the count of instructions retired before the one that is about to make accesses:
    /// devices that it reaches may ask for the time.
    fn set_instret(&self, instret: u64);
    /// Whether the access just made wants the environment to have a look before the next
    /// instruction.
    fn wants_attention(&self) -> bool;
}

/// One instruction's access to a control and status register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CsrAccess {
    /// Which register.
    pub csr: u16,
    /// Whether it is read.
    pub reads: bool,
    /// How it is changed, if it is.
    pub change: Option<Change>,
}

impl Memory for UserSpace {
    const SYSTEM: bool = false;

    #[inline(always)]
    fn load<T: Word>(&self, va: u64) -> Result<T, Trap> {
        UserSpace::load(self, va).map_err(trap)
    }
    #[inline(always)]
    fn store<T: Word>(&self, va: u64, value: T) -> Result<(), Trap> {
        UserSpace::store(self, va, value).map_err(trap)
    }
    #[inline(always)]
    fn try_load<T: Word>(&self, va: u64) -> Option<T> {
        UserSpace::try_load(self, va)
    }
    #[inline(always)]
    fn try_store<T: Word>(&self, va: u64, value: T) -> bool {
        UserSpace::try_store(self, va, value)
    }
    fn compare_exchange<T: AtomicWord>(&self, va: u64, expected: T, new: T) -> Result<T, Trap> {
        UserSpace::compare_exchange(self, va, expected, new).map_err(trap)
    }
    fn fetch(&self, va: u64) -> Result<u16, Trap> {
        UserSpace::fetch(self, va).map_err(trap)
    }
    fn code_page(&self, va: u64) -> Result<u64, Trap> {
        Ok(va >> PAGE_BITS)
    }
    #[inline(always)]
    fn is_code_page(&self, _: u64, _: u64) -> bool {
        true
    }
    fn watch_code(&self, page: u64) {
        UserSpace::watch_code(self, &[page]);
    }
    #[inline(always)]
    fn may_float(&self) -> bool {
        true
    }
    fn csr(
        &self,
        hart: &mut HartState,
        access: CsrAccess,
        clock: &Clock,
        next: u64,
    ) -> Option<(u64, Effect)> {
        let CsrAccess { csr, reads, change } = access;
        let old = csr::access(hart, csr, reads, change, clock)?;
        Some((old, Effect::Continue(next)))
    }
    /// Linux lets user mode do none of them.
    fn privileged(&self, _: &mut HartState, _: &Insn, _: u64) -> Result<Option<Effect>, Trap> {
        Ok(None)
    }
    #[inline(always)]
    fn set_instret(&self, _: u64) {}
    fn wants_attention(&self) -> bool {
        false
    }
}

/// A fault of the user address space as the trap that a hart takes. An access beyond the end of a
/// mapped file is an access fault (Linux: SIGBUS), any other a page fault (SIGSEGV).
#[cold]
pub fn trap(fault: Fault) -> Trap {
    let beyond_file = fault.kind == FaultKind::BeyondFile;
    let cause = match (fault.access, beyond_file) {
        (Access::Load, false) => Cause::LoadPageFault,
        (Access::Load, true) => Cause::LoadAccessFault,
        (Access::Store, false) => Cause::StorePageFault,
        (Access::Store, true) => Cause::StoreAccessFault,
        (Access::Fetch, false) => Cause::InstructionPageFault,
        (Access::Fetch, true) => Cause::InstructionAccessFault,
    };
    Trap::new(cause, fault.va)
}
