//! Pages that hold translated code: watching for writes to them.

use crate::breakpoints::Breakpoints;
use crate::fault::{Access, Fault, FaultKind};
use crate::flags::PageFlags;
use crate::host::pages::{self, HostAccess};
use crate::lock::SpinGuard;
use crate::space::{Core, LIMIT, PAGE, PAGE_BITS, UserSpace};
use std::ops::Range;

impl UserSpace {
    /// Watches pages (numbers, `va >> PAGE_BITS`) from which code is about to be translated. The
    /// first write to one, and any change of its mapping, makes it stale and ends the watch.
    ///
    /// Note [`UserSpace::stale_epoch`], watch, read the code, translate; then the translation is
    /// good unless one of its pages is in [`UserSpace::stale_since`] that epoch.
    pub fn watch_code(&self, pages: &[u64]) {
        let core = &*self.core;
        let lock = core.page_lock.lock();
        for &page in pages.iter().filter(|&&page| page < LIMIT >> PAGE_BITS) {
            let flags = core.flags.of_page(page);
            if !flags.has(PageFlags::X) || flags.has(PageFlags::CODE) {
                continue;
            }
            let watched = PageFlags(flags.0 & !PageFlags::STALE | PageFlags::CODE);
            core.log.note_code(page);
            if flags.has(PageFlags::SHARED) {
                core.shared_code().push(page);
            } else if flags.has(PageFlags::W) && core.set_host(page, HostAccess::Read).is_err() {
                // Out of host mappings. Unwatched code would go unnoticed when written: it counts
                // as stale already, so that it is translated again and again, but correctly.
                core.flags
                    .set_page(page, PageFlags(flags.0 | PageFlags::STALE));
                core.log.push(page);
                continue;
            }
            core.flags.set_page(page, watched);
        }
        drop(lock);
    }

    /// Where a debugger wants to stop. Whoever changes them drops what was decoded there, as if it
    /// had been written.
    pub fn breakpoints(&self) -> &Breakpoints {
        &self.core.breakpoints
    }

    /// Notes a fence.i. Code in shared mappings can't be watched, since it may be written through
    /// another mapping, another process, or the file: it becomes stale here, always. Cheap if
    /// there is none.
    pub fn fence_code(&self) {
        let core = &*self.core;
        let lock = core.page_lock.lock();
        for page in std::mem::take(&mut *core.shared_code()) {
            core.retire_code(&lock, page..page + 1);
        }
    }

    /// How many times pages became stale so far. Cheap.
    #[inline(always)]
    pub fn stale_epoch(&self) -> u64 {
        self.core.log.epoch()
    }

    /// The pages that became stale after `epoch`, a page perhaps more than once, and the epoch to
    /// ask with next time. May name more pages than did.
    pub fn stale_since(&self, epoch: u64) -> (u64, Vec<u64>) {
        let core = &*self.core;
        let lock = core.page_lock.lock();
        let stale = core.log.since(epoch);
        let now = core.log.epoch();
        drop(lock);
        let everything = || {
            core.log
                .code_parts(0..LIMIT >> PAGE_BITS)
                .flatten()
                .collect()
        };
        (now, stale.unwrap_or_else(everything))
    }

    /// The host address of a guest range that a host system call is to access, if the whole range
    /// lies within the window. Whether it is mapped and permits the access is for the host to
    /// find out (EFAULT). Watched code in a range to be stored to becomes stale here, since the
    /// host would refuse to write it. Should another thread translate code from the range before
    /// the host writes it, the host reports EFAULT: ask again and repeat the call.
    pub fn host_range(&self, va: u64, length: u64, access: Access) -> Result<*mut u8, Fault> {
        if va > LIMIT || length > LIMIT - va {
            return Err(Fault {
                va: va.max(LIMIT),
                access,
                kind: FaultKind::Unmapped,
            });
        }
        if access == Access::Store && length > 0 {
            let pages = va >> PAGE_BITS..((va + length - 1) >> PAGE_BITS) + 1;
            let lock = self.core.page_lock.lock();
            self.core.retire_code(&lock, pages);
        }
        Ok(self.base().wrapping_add(va as usize))
    }

    /// Reads a parcel of an execute-only page. The host can't map such a page without making it
    /// readable, so it is inaccessible except for this moment.
    #[cold]
    pub(crate) fn fetch_unreadable(&self, va: u64) -> Option<u16> {
        let core = &*self.core;
        let page = va >> PAGE_BITS;
        // The lock keeps other threads from changing the page; one that loads from it at this very
        // moment succeeds, which is the price.
        let lock = core.page_lock.lock();
        let flags = core.flags.of_page(page);
        if !flags.has(PageFlags::X) || flags.has(PageFlags::R) {
            return None;
        }
        core.set_host(page, HostAccess::Read).ok()?;
        // SAFETY: the page is inside the window. A fault on it (beyond its file) is a SIGBUS, for
        // which the handler does not take the lock.
        let parcel = unsafe { crate::word::private::Guarded::load(core.host(va)) };
        let closed = core.set_host(page, HostAccess::None);
        drop(lock);
        closed.ok().and(parcel)
    }
}

impl Core {
    /// Whether the page's flags permit the access after all, with the host's protection now set
    /// accordingly: a watched page is written, or another thread has changed it in the meantime.
    /// Called by the fault handler.
    pub(crate) fn settle(&self, page: u64, write: Option<bool>) -> bool {
        let lock = self.page_lock.lock();
        let flags = self.flags.of_page(page);
        // A host that does not tell: loads from readable pages don't fault, so it was a store.
        let write = write.unwrap_or(flags.has(PageFlags::R));
        let wanted = if write {
            PageFlags::W | PageFlags::R
        } else {
            PageFlags::R
        };
        if !flags.has(wanted) {
            return false;
        }
        if write {
            self.retire_code(&lock, page..page + 1);
        }
        self.set_host(page, host_access(self.flags.of_page(page)))
            .is_ok()
    }

    /// Ends the watch of the pages among these that hold code: they are stale.
    pub(crate) fn retire_code(&self, _lock: &SpinGuard<'_>, pages: Range<u64>) {
        for page in self.log.code_parts(pages).flatten() {
            let flags = self.flags.of_page(page);
            if !flags.has(PageFlags::CODE) {
                continue;
            }
            let retired = PageFlags(flags.0 & !PageFlags::CODE | PageFlags::STALE);
            if flags.has(PageFlags::W) {
                // If the host is out of mappings, the next write faults and tries this again.
                let _ = self.set_host(page, host_access(retired));
            }
            self.flags.set_page(page, retired);
            self.log.push(page);
        }
    }

    /// Sets what the host permits on one page. Needs the page lock.
    fn set_host(&self, page: u64, access: HostAccess) -> std::io::Result<()> {
        // SAFETY: callers pass pages of the window; nobody holds Rust references into it.
        unsafe { pages::protect(self.host(page << PAGE_BITS), PAGE as usize, access) }
    }
}

/// What the host must permit on a page with these flags.
pub(crate) fn host_access(flags: PageFlags) -> HostAccess {
    let watched = flags.has(PageFlags::CODE) && !flags.has(PageFlags::SHARED);
    if flags.has(PageFlags::W) && !watched {
        HostAccess::Write
    } else if flags.has(PageFlags::R) {
        HostAccess::Read
    } else {
        HostAccess::None
    }
}
