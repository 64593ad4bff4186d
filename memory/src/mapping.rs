//! mmap, munmap, mprotect and their kin, with Linux's semantics.
//!
//! Each change first takes permissions away from the pages' flags, then changes the host's
//! mapping, then gives permissions: flags that permit an access are never ahead of the host.

use crate::error::Error;
use crate::flags::PageFlags;
use crate::host::pages::{self, Refused};
use crate::space::{Core, LIMIT, MIN_ADDRESS, PAGE, PAGE_BITS, UserSpace};
use crate::vma::{Backing, FileInfo, Protection, Sharing, Vma, VmaMap};
use crate::watch::host_access;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Where the search for room starts that goes upwards: a third of the space, as on Linux.
const BOTTOM: u64 = (LIMIT / 3).next_multiple_of(PAGE);

/// Where a mapping is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Wherever there is room, from [`UserSpace::mmap_base`] downwards.
    Anywhere,
    /// There if it is free, else anywhere.
    Hint(u64),
    /// There, in place of whatever is there (`MAP_FIXED`).
    Fixed(u64),
    /// There, or not at all (`MAP_FIXED_NOREPLACE`).
    FixedNoReplace(u64),
}

impl UserSpace {
    /// Maps zeroes and says where. `length` is rounded up to pages.
    pub fn map_anonymous(
        &self,
        place: Place,
        length: u64,
        protection: Protection,
        sharing: Sharing,
        name: Option<Arc<str>>,
    ) -> Result<u64, Error> {
        let core = &*self.core;
        let mut vmas = core.vmas();
        let (start, end) = choose(&mut vmas, place, length, self.mmap_base())?;
        let vma = Vma {
            start,
            end,
            protection,
            sharing,
            backing: Backing::Anonymous,
            name,
        };
        core.install(&mut vmas, vma, |host, bytes, access| {
            // SAFETY: `install` gives a range of the window; nobody holds references into it.
            unsafe { pages::map_anonymous(host, bytes, access, sharing == Sharing::Shared) }
        })
    }

    /// Maps a file from `offset` on, a multiple of a page, and says where. `length` is rounded up
    /// to pages. The file may be closed afterwards.
    #[expect(clippy::too_many_arguments, reason = "they are mmap's")]
    pub fn map_file(
        &self,
        place: Place,
        length: u64,
        protection: Protection,
        sharing: Sharing,
        file: BorrowedFd<'_>,
        offset: u64,
        info: Arc<FileInfo>,
    ) -> Result<u64, Error> {
        let core = &*self.core;
        if !offset.is_multiple_of(PAGE) || offset.checked_add(length).is_none() {
            return Err(Error::Invalid { va: offset, length });
        }
        let mut vmas = core.vmas();
        let (start, end) = choose(&mut vmas, place, length, self.mmap_base())?;
        let backing = Backing::File { file: info, offset };
        let vma = Vma {
            start,
            end,
            protection,
            sharing,
            backing,
            name: None,
        };
        core.install(&mut vmas, vma, |host, bytes, access| {
            let shared = sharing == Sharing::Shared;
            // SAFETY: `install` gives a range of the window; nobody holds references into it.
            unsafe { pages::map_file(host, bytes, access, shared, file, offset) }
        })
    }

    /// Unmaps whatever is in the range. Holes are fine.
    pub fn unmap(&self, va: u64, length: u64) -> Result<(), Error> {
        let (start, end) = range(va, length)
            .filter(|&(start, end)| start < end)
            .ok_or(
                // Linux has EINVAL for each of these.
                Error::Invalid { va, length },
            )?;
        self.core.unmap_locked(&mut self.core.vmas(), start, end)
    }

    /// Changes what the range permits. Stops at the first hole, which is an error, having changed
    /// what lies below.
    pub fn protect(&self, va: u64, length: u64, protection: Protection) -> Result<(), Error> {
        let (start, end) = range(va, length).ok_or(if va.is_multiple_of(PAGE) {
            Error::NoMemory { va, length }
        } else {
            Error::Invalid { va, length }
        })?;
        let core = &*self.core;
        let mut vmas = core.vmas();
        let mut at = start;
        for mut vma in vmas.parts(start, end) {
            if vma.start != at {
                return Err(Error::NoMemory {
                    va: at,
                    length: end - at,
                });
            }
            at = vma.end;
            if vma.protection != protection {
                core.give_up_stacks(&vmas, vma.start, vma.end);
                core.protect_locked(&vma, protection)?;
                vma.protection = protection;
                vmas.insert(vma);
            }
        }
        if at < end {
            Err(Error::NoMemory {
                va: at,
                length: end - at,
            })
        } else {
            Ok(())
        }
    }

    /// Drops private changes (`MADV_DONTNEED`): anonymous private memory reads as zero again, a
    /// file's as the file. A hole is an error, but the rest is done.
    pub fn discard(&self, va: u64, length: u64) -> Result<(), Error> {
        self.each_part(va, length, "discard guest memory", |core, vma| {
            let lock = core.page_lock.lock();
            core.retire_code(&lock, vma.start >> PAGE_BITS..vma.end >> PAGE_BITS);
            let (host, bytes) = (core.host(vma.start), (vma.end - vma.start) as usize);
            let plain = vma.backing == Backing::Anonymous && vma.sharing == Sharing::Private;
            if plain && (!pages::CAN_DISCARD || core.is_imaged(vma.start, vma.end)) {
                // What the host would go back to, if it can, is the image.
                let access = host_access(PageFlags::fresh(vma.protection, false));
                // SAFETY: a mapping lies inside the window; nobody holds references into it.
                let mapped = unsafe { pages::map_anonymous(host, bytes, access, false) };
                return mapped.map_err(|refused| refused.error);
            }
            // SAFETY: a mapping lies inside the window; nobody holds references into it.
            unsafe { pages::discard(host, bytes) }
        })
    }

    /// Has shared changes written to their files (`msync`).
    pub fn sync(&self, va: u64, length: u64, wait: bool) -> Result<(), Error> {
        self.each_part(va, length, "write mapped files", |core, vma| {
            // SAFETY: a mapping lies inside the window; nothing of it changes.
            unsafe { pages::sync(core.host(vma.start), (vma.end - vma.start) as usize, wait) }
        })
    }

    /// Where a mapping of this length would go by itself.
    pub fn find_free(&self, length: u64) -> Option<u64> {
        choose(
            &mut self.core.vmas(),
            Place::Anywhere,
            length,
            self.mmap_base(),
        )
        .ok()
        .map(|(start, _)| start)
    }

    fn each_part(
        &self,
        va: u64,
        length: u64,
        what: &'static str,
        act: impl Fn(&Core, &Vma) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let (start, end) = range(va, length).ok_or(Error::Invalid { va, length })?;
        let vmas = self.core.vmas();
        let mut covered = 0;
        for vma in vmas.parts(start, end) {
            covered += vma.end - vma.start;
            act(&self.core, &vma).map_err(Error::host(what))?;
        }
        if covered < end - start {
            Err(Error::NoMemory { va, length })
        } else {
            Ok(())
        }
    }
}

impl Core {
    /// Puts a mapping in place of whatever is there; says where it starts.
    pub(crate) fn install(
        &self,
        vmas: &mut VmaMap,
        vma: Vma,
        map: impl FnOnce(*mut u8, usize, pages::HostAccess) -> Result<(), Refused>,
    ) -> Result<u64, Error> {
        let flags = PageFlags::of(&vma);
        let before = vmas.parts(vma.start, vma.end);
        if !before.is_empty() {
            self.give_up_stacks(vmas, vma.start, vma.end);
        }
        let lock = self.page_lock.lock();
        for part in &before {
            let pages = part.start >> PAGE_BITS..part.end >> PAGE_BITS;
            self.retire_code(&lock, pages.clone());
            self.flags.fill(pages, PageFlags::default());
        }
        let bytes = (vma.end - vma.start) as usize;
        if let Err(refused) = map(self.host(vma.start), bytes, host_access(flags)) {
            if refused.intact {
                for part in &before {
                    let pages = part.start >> PAGE_BITS..part.end >> PAGE_BITS;
                    self.flags.fill(pages, PageFlags::of(part));
                }
            } else {
                vmas.remove(vma.start, vma.end);
            }
            return Err(Error::Host {
                what: "map guest memory",
                source: refused.error,
            });
        }
        self.flags
            .fill(vma.start >> PAGE_BITS..vma.end >> PAGE_BITS, flags);
        drop(lock);
        let start = vma.start;
        vmas.insert(vma);
        Ok(start)
    }

    pub(crate) fn unmap_locked(
        &self,
        vmas: &mut VmaMap,
        start: u64,
        end: u64,
    ) -> Result<(), Error> {
        let parts = vmas.parts(start, end);
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Ok(());
        };
        self.give_up_stacks(vmas, start, end);
        let lock = self.page_lock.lock();
        for part in &parts {
            let pages = part.start >> PAGE_BITS..part.end >> PAGE_BITS;
            self.retire_code(&lock, pages.clone());
            self.flags.fill(pages, PageFlags::default());
        }
        // SAFETY: mappings lie inside the window; nobody holds references into it.
        let cleared =
            unsafe { pages::clear(self.host(first.start), (last.end - first.start) as usize) };
        if let Err(source) = cleared {
            // The host's mappings may be anything now; the flags must not be behind them.
            for part in &parts {
                let pages = part.start >> PAGE_BITS..part.end >> PAGE_BITS;
                self.flags.fill(pages, PageFlags::of(part));
            }
            return Err(Error::Host {
                what: "unmap guest memory",
                source,
            });
        }
        drop(lock);
        vmas.remove(start, end);
        Ok(())
    }

    /// Changes the pages of one mapping; the list is the caller's.
    fn protect_locked(&self, vma: &Vma, protection: Protection) -> Result<(), Error> {
        let old = PageFlags::of(vma);
        let new = PageFlags::permitting(vma, protection);
        let pages = vma.start >> PAGE_BITS..vma.end >> PAGE_BITS;
        let lock = self.page_lock.lock();
        self.retire_code(&lock, pages.clone());
        self.flags.fill(pages.clone(), PageFlags(old.0 & new.0));
        let bytes = (vma.end - vma.start) as usize;
        // SAFETY: a mapping lies inside the window; nobody holds references into it.
        let changed = unsafe { pages::protect(self.host(vma.start), bytes, host_access(new)) };
        self.flags
            .fill(pages, if changed.is_ok() { new } else { old });
        drop(lock);
        changed.map_err(Error::host("change the protection of guest memory"))
    }
}

/// `va..va + length` with the length rounded up to pages, if it is aligned and inside the window.
pub(crate) fn range(va: u64, length: u64) -> Option<(u64, u64)> {
    let end = va.checked_add(length)?.checked_next_multiple_of(PAGE)?;
    (va.is_multiple_of(PAGE) && end <= LIMIT).then_some((va, end))
}

/// Where a mapping goes.
pub(crate) fn choose(
    vmas: &mut VmaMap,
    place: Place,
    length: u64,
    mmap_base: u64,
) -> Result<(u64, u64), Error> {
    let invalid = |va| Error::Invalid { va, length };
    let no_memory = |va| Error::NoMemory { va, length };
    if length == 0 {
        return Err(invalid(0));
    }
    let bytes = length.checked_next_multiple_of(PAGE).ok_or(no_memory(0))?;
    match place {
        Place::Fixed(va) | Place::FixedNoReplace(va) => {
            if !va.is_multiple_of(PAGE) {
                return Err(invalid(va));
            }
            let (start, end) = range(va, bytes).ok_or(no_memory(va))?;
            if start < MIN_ADDRESS {
                return Err(Error::TooLow { va });
            }
            if matches!(place, Place::FixedNoReplace(_)) && !vmas.is_free(start, end) {
                return Err(Error::Exists { va, length });
            }
            Ok((start, end))
        }
        Place::Hint(va) => {
            let hint = va
                .checked_next_multiple_of(PAGE)
                .and_then(|va| range(va, bytes));
            match hint.filter(|&(start, end)| start >= MIN_ADDRESS && vmas.is_free(start, end)) {
                Some(free) => Ok(free),
                None => choose(vmas, Place::Anywhere, length, mmap_base),
            }
        }
        Place::Anywhere => {
            let start = vmas
                .highest_free(bytes, MIN_ADDRESS, mmap_base)
                .or_else(|| vmas.lowest_free(bytes, BOTTOM, LIMIT))
                .ok_or(no_memory(0))?;
            Ok((start, start + bytes))
        }
    }
}
