//! Loads, stores, atomics and fetches of a hart in a whole machine.

use super::SystemMemory;
use super::tlb;
use crate::csr::Clock;
use crate::memory_access::{CsrAccess, Effect, Memory};
use crate::privileged::walk::access_fault;
use crate::state::HartState;
use crate::trap::{Cause, Trap};
use frontend::Insn;
use memory::{Access, AtomicWord, PAGE, PAGE_BITS, Word, Writer};

const PAGE_MASK: u64 = !(PAGE - 1);

/// Where the bytes of an access lie.
pub(super) enum Place {
    /// In RAM, at this host address.
    Ram(u64),
    /// Elsewhere, at this physical address.
    Io(u64),
}

/// The tag that an access at `va` needs: that of the page of its last byte. If this is another page
/// than the first byte's, it is looked for in the wrong place and not found.
#[inline(always)]
fn tag<T>(va: u64) -> u64 {
    va.wrapping_add(size_of::<T>() as u64 - 1) & PAGE_MASK
}

impl SystemMemory {
    /// Where `bytes` bytes at `va`, all on one page, lie, after all checks; what was found is
    /// cached.
    #[cold]
    pub(super) fn place(&self, va: u64, bytes: u64, access: Access) -> Result<Place, Trap> {
        let p = self.privileged.borrow();
        let (mode, array) = match access {
            Access::Fetch => (p.mode(), self.code.get()),
            Access::Load | Access::Store => (p.data_mode(), self.data.get()),
        };
        let mut mapping = p.walk(&self.ram, mode, va, access)?;
        let refused = || Trap::new(access_fault(access), va);
        let page = mapping.pa & PAGE_MASK;
        let permissions = p.pmp(mode, page, PAGE);
        let allowed = permissions.or_else(|| p.pmp(mode, mapping.pa, bytes));
        if !allowed.is_some_and(|allowed| allowed.allows(access)) {
            return Err(refused());
        }
        let host = self.ram.host_of(mapping.pa);
        if !self.ram.contains(page, PAGE) {
            return Ok(Place::Io(mapping.pa));
        }
        let number = self.ram.page_of(host);
        let cached = permissions.filter(|_| array != tlb::EMPTY);
        if let Some(permissions) = cached {
            mapping.load &= permissions.allows(Access::Load);
            mapping.store &= permissions.allows(Access::Store);
            mapping.fetch &= permissions.allows(Access::Fetch);
        }
        // Another hart may be about to make code from the page. Either it finds this note, and has the
        // page given up when the access has been made; or its own mark is found below, and when the
        // write is noted.
        let fills = cached.is_some() && mapping.store && !self.ram.is_code(number);
        if fills || access == Access::Store {
            let entry = tlb::Tlb::number(array, va);
            self.ram.note_writer(number, self.first_entry + entry);
        }
        if cached.is_some() {
            // Stores to pages that code was made from must be noticed one by one.
            mapping.store = fills && !self.ram.is_code(number);
            self.tlb.fill(array, va, host & PAGE_MASK, &mapping);
        }
        Ok(Place::Ram(host))
    }

    /// As `place`, for an access that may cross into the next page: the place of each byte's page.
    #[cold]
    fn places(&self, va: u64, bytes: u64, access: Access) -> Result<(Place, Option<Place>), Trap> {
        let first = (PAGE - va % PAGE).min(bytes);
        let place = self.place(va, first, access)?;
        if first == bytes {
            return Ok((place, None));
        }
        let rest = self.place(va.wrapping_add(first), bytes - first, access)?;
        Ok((place, Some(rest)))
    }

    #[cold]
    fn load_slowly<T: Word>(&self, va: u64) -> Result<T, Trap> {
        let bytes = size_of::<T>() as u64;
        let fault = || Trap::new(Cause::LoadAccessFault, va);
        match self.places(va, bytes, Access::Load)? {
            (Place::Ram(host), None) => self.ram.load(host).ok_or_else(fault),
            (Place::Io(pa), None) => {
                let value = pa
                    .is_multiple_of(bytes)
                    .then(|| self.io.load(pa, bytes, self.instret.get()))
                    .flatten();
                self.attention.set(true);
                value.map(T::truncate).ok_or_else(fault)
            }
            (Place::Ram(low), Some(Place::Ram(high))) => {
                let first = PAGE - va % PAGE;
                let mut value = 0;
                for i in (0..bytes).rev() {
                    let host = if i < first {
                        low + i
                    } else {
                        high + (i - first)
                    };
                    value = value << 8 | u64::from(self.ram.load::<u8>(host).ok_or_else(fault)?);
                }
                Ok(T::truncate(value))
            }
            // Devices take no access that is not aligned.
            (_, Some(_)) => Err(fault()),
        }
    }

    #[cold]
    fn store_slowly<T: Word>(&self, va: u64, value: T) -> Result<(), Trap> {
        let bytes = size_of::<T>() as u64;
        let fault = || Trap::new(Cause::StoreAccessFault, va);
        let stored = match self.places(va, bytes, Access::Store)? {
            (Place::Ram(host), None) => {
                let stored = self.ram.store(host, value);
                self.ram.note_write(self.ram.page_of(host));
                stored
            }
            (Place::Io(pa), None) => {
                self.attention.set(true);
                pa.is_multiple_of(bytes)
                    && self
                        .io
                        .store(pa, bytes, value.into_u64(), self.instret.get())
            }
            (Place::Ram(low), Some(Place::Ram(high))) => {
                let first = PAGE - va % PAGE;
                for (i, byte) in (0..bytes).zip(value.into_u64().to_le_bytes()) {
                    let host = if i < first {
                        low + i
                    } else {
                        high + (i - first)
                    };
                    self.ram.store(host, byte);
                }
                self.ram.note_write(self.ram.page_of(low));
                self.ram.note_write(self.ram.page_of(high));
                true
            }
            (_, Some(_)) => false,
        };
        if stored { Ok(()) } else { Err(fault()) }
    }

    /// Whether `va` may be accessed; where it lies. For cache-block operations.
    pub(super) fn check(&self, va: u64, bytes: u64, access: Access) -> Result<Option<u64>, Trap> {
        Ok(match self.place(va, bytes, access)? {
            Place::Ram(host) => Some(host),
            Place::Io(_) => None,
        })
    }
}

impl Memory for SystemMemory {
    const SYSTEM: bool = true;

    #[inline(always)]
    fn load<T: Word>(&self, va: u64) -> Result<T, Trap> {
        match self.try_load(va) {
            Some(value) => Ok(value),
            None => self.load_slowly(va),
        }
    }
    #[inline(always)]
    fn store<T: Word>(&self, va: u64, value: T) -> Result<(), Trap> {
        if self.try_store(va, value) {
            Ok(())
        } else {
            self.store_slowly(va, value)
        }
    }
    #[inline(always)]
    fn try_load<T: Word>(&self, va: u64) -> Option<T> {
        let entry = self.tlb.entry(self.data.get(), va);
        if entry.load.get() == tag::<T>(va) {
            self.ram.load(va.wrapping_add(entry.addend.get()))
        } else {
            None
        }
    }
    #[inline(always)]
    fn try_store<T: Word>(&self, va: u64, value: T) -> bool {
        let entry = self.tlb.entry(self.data.get(), va);
        entry.store.get() == tag::<T>(va)
            && self.ram.store(va.wrapping_add(entry.addend.get()), value)
    }
    fn compare_exchange<T: AtomicWord>(&self, va: u64, expected: T, new: T) -> Result<T, Trap> {
        let entry = self.tlb.entry(self.data.get(), va);
        let quick = entry.store.get() == va & PAGE_MASK && entry.load.get() == va & PAGE_MASK;
        if quick
            && let Some(old) =
                self.ram
                    .compare_exchange(va.wrapping_add(entry.addend.get()), expected, new)
        {
            return Ok(old);
        }
        let fault = Trap::new(Cause::StoreAccessFault, va);
        // Devices take no atomics.
        let Place::Ram(host) = self.place(va, size_of::<T>() as u64, Access::Store)? else {
            return Err(fault);
        };
        let old = self
            .ram
            .compare_exchange(host, expected, new)
            .ok_or(fault)?;
        self.ram.note_write(self.ram.page_of(host));
        Ok(old)
    }
    fn fetch(&self, va: u64) -> Result<u16, Trap> {
        let offset = (self.code_page(va)? << PAGE_BITS) + va % PAGE;
        if let Some(ebreak) = self.breakpoints.at(va) {
            return Ok(ebreak);
        }
        let parcel = self.ram.load(self.ram.host().wrapping_add(offset));
        parcel.ok_or(Trap::new(Cause::InstructionAccessFault, va))
    }
    fn code_page(&self, va: u64) -> Result<u64, Trap> {
        let entry = self.tlb.entry(self.code.get(), va);
        if entry.fetch.get() == va & PAGE_MASK {
            return Ok(self.ram.page_of(va.wrapping_add(entry.addend.get())));
        }
        match self.place(va, 2, Access::Fetch)? {
            Place::Ram(host) => Ok(self.ram.page_of(host)),
            Place::Io(_) => Err(Trap::new(Cause::InstructionAccessFault, va)),
        }
    }
    #[inline(always)]
    fn is_code_page(&self, va: u64, page: u64) -> bool {
        let entry = self.tlb.entry(self.code.get(), va);
        entry.fetch.get() == va & PAGE_MASK
            && self.ram.page_of(va.wrapping_add(entry.addend.get())) == page
    }
    fn watch_code(&self, page: u64) {
        let writer = self.ram.watch(page);
        if writer != Writer::None {
            self.protect(page, writer);
            if !self.io.watched(page, writer) {
                self.protected.borrow_mut().push((page, writer));
            }
        }
    }
    #[inline(always)]
    fn may_float(&self) -> bool {
        self.may_float.get()
    }
    fn csr(
        &self,
        hart: &mut HartState,
        access: CsrAccess,
        _: &Clock,
        next: u64,
    ) -> Option<(u64, Effect)> {
        self.access_csr(hart, access, next)
    }
    fn privileged(
        &self,
        hart: &mut HartState,
        insn: &Insn,
        next: u64,
    ) -> Result<Option<Effect>, Trap> {
        self.execute(hart, insn, next)
    }
    fn set_instret(&self, instret: u64) {
        self.instret.set(instret);
    }
    fn wants_attention(&self) -> bool {
        self.attention.replace(false)
    }
}
