//! Memory as handlers see it: first attempts only.

use frontend::Insn;
use hart::csr::Clock;
use hart::{Cause, CsrAccess, Effect, HartState, Memory, Trap};
use memory::{AtomicWord, Word};

/// Memory whose accesses fail where they can't be made quickly. What a handler could not complete
/// is executed again with the memory itself, so the trap's values do not matter.
pub(crate) struct Quick<'a, M>(pub &'a M);

const FAILED: Trap = Trap::new(Cause::LoadAccessFault, 0);

impl<M: Memory> Memory for Quick<'_, M> {
    const SYSTEM: bool = M::SYSTEM;

    #[inline(always)]
    fn load<T: Word>(&self, va: u64) -> Result<T, Trap> {
        self.0.try_load(va).ok_or(FAILED)
    }
    #[inline(always)]
    fn store<T: Word>(&self, va: u64, value: T) -> Result<(), Trap> {
        if self.0.try_store(va, value) {
            Ok(())
        } else {
            Err(FAILED)
        }
    }
    #[inline(always)]
    fn try_load<T: Word>(&self, va: u64) -> Option<T> {
        self.0.try_load(va)
    }
    #[inline(always)]
    fn try_store<T: Word>(&self, va: u64, value: T) -> bool {
        self.0.try_store(va, value)
    }
    fn compare_exchange<T: AtomicWord>(&self, _: u64, _: T, _: T) -> Result<T, Trap> {
        Err(FAILED)
    }
    fn fetch(&self, _: u64) -> Result<u16, Trap> {
        Err(FAILED)
    }
    fn code_page(&self, _: u64) -> Result<u64, Trap> {
        Err(FAILED)
    }
    fn is_code_page(&self, va: u64, page: u64) -> bool {
        self.0.is_code_page(va, page)
    }
    fn watch_code(&self, page: u64) {
        self.0.watch_code(page);
    }
    #[inline(always)]
    fn may_float(&self) -> bool {
        self.0.may_float()
    }
    fn csr(&self, _: &mut HartState, _: CsrAccess, _: &Clock, _: u64) -> Option<(u64, Effect)> {
        None
    }
    fn privileged(&self, _: &mut HartState, _: &Insn, _: u64) -> Result<Option<Effect>, Trap> {
        Err(FAILED)
    }
    fn set_instret(&self, _: u64) {}
    fn wants_attention(&self) -> bool {
        false
    }
}
