//! What compiled code needs of a machine's memory.

use super::{SystemMemory, access::Place, tlb::Entry};
use crate::Memory;
use crate::privileged::walk::Mapping;
use memory::{Access, PAGE};

impl SystemMemory {
    /// The translation cache's entries for loads and stores as they are made now. They lie there as
    /// long as this does.
    pub fn entries(&self) -> *const Entry {
        self.tlb.entries(self.data.get())
    }

    /// What stays the same as long as addresses that [`SystemMemory::code_page_of`] was asked for lead
    /// where they did, the mode is the same, and floating point is permitted or not as it was.
    pub fn code_key(&self) -> u64 {
        let key = self
            .tlb
            .keys()
            .key(self.code.get(), |va| self.fetched_at(va));
        key << 1 | u64::from(self.may_float())
    }

    /// The code page that an instruction at `va` would be fetched from; none if it can't be, or if
    /// finding out would change anything that the guest sees.
    pub fn code_page_of(&self, va: u64) -> Option<u64> {
        let array = self.code.get();
        let known = || {
            let entry = self.tlb.entry(array, va);
            let page = va & !(PAGE - 1);
            (entry.fetch.get() == page)
                .then(|| self.ram.page_of(page.wrapping_add(entry.addend.get())))
        };
        // A walk that sets A is none that may be made beside what the guest does.
        let quiet = !self.privileged.borrow().updates_accessed();
        let page = known().or_else(|| {
            let walked = quiet.then(|| self.place(va, 2, Access::Fetch).ok());
            // Pages that are not cached are looked at anew each time.
            walked.flatten().and_then(|_| known())
        })?;
        let pa = self.ram.pa() + (page << memory::PAGE_BITS) + va % PAGE;
        self.tlb
            .keys()
            .note(array, va, pa, |va| self.fetched_at(va));
        Some(page)
    }

    /// Where the tables lead a fetch at `va` now, if finding out changes nothing.
    fn fetched_at(&self, va: u64) -> Option<Mapping> {
        let p = self.privileged.borrow();
        let quiet = !p.updates_accessed();
        quiet.then(|| p.walk(&self.ram, p.mode(), va, Access::Fetch).ok())?
    }

    /// Reads a 16-bit parcel of a code page.
    pub fn code_parcel(&self, page: u64, va: u64) -> Option<u16> {
        if let Some(ebreak) = self.breakpoints.at(va) {
            return Some(ebreak);
        }
        let at = (page << memory::PAGE_BITS) + va % PAGE;
        self.ram.load(self.ram.host().wrapping_add(at))
    }

    /// The host address of `bytes` bytes at `va`, if an access would reach RAM, and only one page of it.
    /// What it finds is cached. A store there counts as made.
    pub fn host_address(&self, va: u64, bytes: u64, access: Access) -> Option<u64> {
        if va % PAGE > PAGE - bytes {
            return None;
        }
        let Ok(Place::Ram(host)) = self.place(va, bytes, access) else {
            return None;
        };
        if access == Access::Store {
            self.ram.note_write(self.ram.page_of(host));
        }
        Some(host)
    }
}
