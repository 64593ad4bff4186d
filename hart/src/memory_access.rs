//! How an engine reaches guest memory.

use crate::trap::{Cause, Trap};
use memory::{Access, AtomicWord, Fault, FaultKind, UserSpace, Word};

/// Guest memory as one hart sees it, by virtual address. Loads and stores of any alignment
/// succeed or trap as a whole; atomics must be aligned (the engine checks).
pub trait Memory {
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
    /// Announces that the caller is about to read code from a page (number, `va >> PAGE_BITS`) and
    /// keep what it decoded. What is written to the page from now on must be found by whoever
    /// drops stale code at the next fence.i.
    fn watch_code(&self, page: u64);
}

impl Memory for UserSpace {
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
    fn watch_code(&self, page: u64) {
        UserSpace::watch_code(self, &[page]);
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
