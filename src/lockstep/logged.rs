//! Memory that can be rewound: each store first notes what was there.

use frontend::Insn;
use hart::csr::Clock;
use hart::{CsrAccess, Effect, HartState, Memory, Trap};
use memory::{AtomicWord, UserSpace, Word};
use std::cell::RefCell;
use std::sync::Arc;

/// A store that happened, with what it overwrote.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    /// First address.
    pub va: u64,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// The old bytes, zero-extended.
    pub old: u64,
}

/// An address space with a log of stores.
pub struct Logged {
    space: Arc<UserSpace>,
    log: RefCell<Vec<Store>>,
}

impl Logged {
    /// An empty log for `space`.
    pub fn new(space: Arc<UserSpace>) -> Self {
        Logged {
            space,
            log: RefCell::default(),
        }
    }

    /// Takes the stores since the last time, oldest first.
    pub fn take(&self) -> Vec<Store> {
        self.log.take()
    }

    /// Undoes these stores.
    pub fn rewind(&self, stores: &[Store]) {
        for store in stores.iter().rev() {
            let bytes = store.old.to_le_bytes();
            // What was stored to can be stored to again: nothing was unmapped in between, since
            // only the kernel unmaps.
            let written = self
                .space
                .write_bytes(store.va, &bytes[..usize::from(store.size)]);
            debug_assert!(written.is_ok());
        }
    }

    fn note<T: Word>(&self, va: u64, old: T) {
        let size = size_of::<T>() as u8;
        self.log.borrow_mut().push(Store {
            va,
            size,
            old: old.into_u64(),
        });
    }
}

impl Memory for Logged {
    const SYSTEM: bool = false;

    fn load<T: Word>(&self, va: u64) -> Result<T, Trap> {
        Memory::load(&*self.space, va)
    }

    fn store<T: Word>(&self, va: u64, value: T) -> Result<(), Trap> {
        // A page may permit stores and not loads only on paper: RISC-V has no such mapping.
        let old = Memory::load::<T>(&*self.space, va);
        Memory::store(&*self.space, va, value)?;
        if let Ok(old) = old {
            self.note(va, old);
        }
        Ok(())
    }

    fn try_load<T: Word>(&self, va: u64) -> Option<T> {
        Memory::try_load(&*self.space, va)
    }

    fn try_store<T: Word>(&self, _: u64, _: T) -> bool {
        // Each store takes the way through `store`, which notes it.
        false
    }

    fn compare_exchange<T: AtomicWord>(&self, va: u64, expected: T, new: T) -> Result<T, Trap> {
        let old = Memory::compare_exchange(&*self.space, va, expected, new)?;
        if old == expected {
            self.note(va, old);
        }
        Ok(old)
    }

    fn fetch(&self, va: u64) -> Result<u16, Trap> {
        Memory::fetch(&*self.space, va)
    }

    fn code_page(&self, va: u64) -> Result<u64, Trap> {
        self.space.code_page(va)
    }

    fn is_code_page(&self, va: u64, page: u64) -> bool {
        self.space.is_code_page(va, page)
    }

    fn watch_code(&self, page: u64) {
        Memory::watch_code(&*self.space, page);
    }

    fn may_float(&self) -> bool {
        self.space.may_float()
    }

    fn csr(
        &self,
        hart: &mut HartState,
        access: CsrAccess,
        clock: &Clock,
        next: u64,
    ) -> Option<(u64, Effect)> {
        self.space.csr(hart, access, clock, next)
    }

    fn privileged(
        &self,
        hart: &mut HartState,
        insn: &Insn,
        next: u64,
    ) -> Result<Option<Effect>, Trap> {
        self.space.privileged(hart, insn, next)
    }

    fn set_instret(&self, instret: u64) {
        self.space.set_instret(instret);
    }

    fn wants_attention(&self) -> bool {
        self.space.wants_attention()
    }
}
