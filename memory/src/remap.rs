//! mremap: growing, shrinking and moving a mapping.

use crate::error::Error;
use crate::flags::PageFlags;
use crate::host::guarded;
use crate::host::pages::{self, HostAccess};
use crate::mapping::{Place, choose, range};
use crate::space::{Core, PAGE, PAGE_BITS, UserSpace};
use crate::vma::{Backing, Sharing, Vma, VmaMap};
use crate::watch::host_access;

impl UserSpace {
    /// Grows, shrinks or moves one mapping, or a part of one, and says where it is now. `place`
    /// is None to stay, [`Place::Anywhere`] to move if it must, [`Place::Fixed`] to move there.
    /// Lengths are rounded up to pages.
    pub fn remap(
        &self,
        old: u64,
        old_length: u64,
        new_length: u64,
        place: Option<Place>,
    ) -> Result<u64, Error> {
        let core = &*self.core;
        let invalid = Error::Invalid {
            va: old,
            length: old_length,
        };
        let Some((old, old_end)) = range(old, old_length) else {
            return Err(invalid);
        };
        let new_bytes = new_length
            .checked_next_multiple_of(PAGE)
            .ok_or(Error::NoMemory {
                va: old,
                length: new_length,
            })?;
        if new_bytes == 0 || old == old_end {
            return Err(invalid);
        }
        let mut vmas = core.vmas();
        let vma = match vmas.parts(old, old_end).as_slice() {
            [vma] if (vma.start, vma.end) == (old, old_end) => vma.clone(),
            _ => {
                return Err(Error::NotOneMapping {
                    va: old,
                    length: old_length,
                });
            }
        };
        let fixed = match place {
            Some(Place::Fixed(_) | Place::FixedNoReplace(_)) => {
                let (new, new_end) = choose(
                    &mut vmas,
                    place.unwrap_or(Place::Anywhere),
                    new_bytes,
                    self.mmap_base(),
                )?;
                if new < old_end && old < new_end {
                    return Err(invalid);
                }
                Some(new)
            }
            _ => None,
        };
        if let Some(new) = fixed {
            return core.relocate(&mut vmas, &vma, new, new_bytes);
        }
        if new_bytes <= old_end - old {
            core.unmap_locked(&mut vmas, old + new_bytes, old_end)?;
            return Ok(old);
        }
        let grown = range(old, new_bytes).filter(|&(_, end)| vmas.is_free(old_end, end));
        match (grown, place) {
            (Some((_, end)), _) => core.grow(&mut vmas, &vma, end),
            (None, Some(_)) => {
                let (new, _) = choose(&mut vmas, Place::Anywhere, new_bytes, self.mmap_base())?;
                core.relocate(&mut vmas, &vma, new, new_bytes)
            }
            (None, None) => Err(Error::NoMemory {
                va: old,
                length: new_length,
            }),
        }
    }
}

impl Core {
    /// Grows a mapping into the free range up to `end`.
    fn grow(&self, vmas: &mut VmaMap, vma: &Vma, end: u64) -> Result<u64, Error> {
        if vma.backing != Backing::Anonymous || vma.sharing == Sharing::Shared {
            return self.relocate(vmas, vma, vma.start, end - vma.start);
        }
        let more = Vma {
            start: vma.end,
            end,
            ..vma.clone()
        };
        self.install(vmas, more, |host, bytes, access| {
            // SAFETY: `install` gives a range of the window; nobody holds references into it.
            unsafe { pages::map_anonymous(host, bytes, access, false) }
        })?;
        Ok(vma.start)
    }

    /// Moves a mapping, contents and all, and gives it a new length.
    fn relocate(
        &self,
        vmas: &mut VmaMap,
        vma: &Vma,
        new: u64,
        new_bytes: u64,
    ) -> Result<u64, Error> {
        let kept_bytes = new_bytes.min(vma.end - vma.start);
        let kept_end = vma.start + kept_bytes;
        let mut moved = Vma {
            start: new,
            end: new + new_bytes,
            ..vma.clone()
        };
        let flags = PageFlags::of(vma);
        let mut gone = vmas.parts(new, new + new_bytes);
        gone.push(vma.clone());
        for part in &gone {
            self.give_up_stacks(vmas, part.start, part.end);
        }
        let lock = self.page_lock.lock();
        for part in &gone {
            let pages = part.start >> PAGE_BITS..part.end >> PAGE_BITS;
            self.retire_code(&lock, pages.clone());
            self.flags.fill(pages, PageFlags::default());
        }
        let (from, to) = (self.host(vma.start), self.host(new));
        // SAFETY: both ranges lie inside the window; nobody holds references into it.
        let mut done =
            unsafe { pages::relocate(from, kept_bytes as usize, to, new_bytes as usize) };
        if done.is_err() && vma.sharing == Sharing::Private {
            // SAFETY: as above, and this is the page lock's holder.
            done = unsafe { copy_over(from, kept_bytes as usize, to, new_bytes as usize, flags) };
            moved.backing = Backing::Anonymous;
        }
        if let Err(source) = done {
            // Whatever was at the new place is given up; the old one is as it was.
            let pages = vma.start >> PAGE_BITS..vma.end >> PAGE_BITS;
            self.flags.fill(pages, flags);
            drop(lock);
            if new != vma.start {
                self.unmap_locked(vmas, new, new + new_bytes)?;
            }
            return Err(Error::Host {
                what: "move guest memory",
                source,
            });
        }
        // It may reach further in its file than it did.
        let pages = new >> PAGE_BITS..(new + new_bytes) >> PAGE_BITS;
        self.flags.fill(pages, PageFlags::of(&moved));
        drop(lock);
        self.move_imaged(vma.start, kept_end, new);
        vmas.remove(vma.start, kept_end);
        vmas.insert(moved);
        if kept_end < vma.end {
            self.unmap_locked(vmas, kept_end, vma.end)?;
        }
        Ok(new)
    }
}

/// Moves private memory where the host can't: by copying it into a new anonymous mapping.
///
/// # Safety
/// Both ranges lie inside a window whose page lock the caller holds.
unsafe fn copy_over(
    from: *mut u8,
    from_bytes: usize,
    to: *mut u8,
    to_bytes: usize,
    flags: PageFlags,
) -> std::io::Result<()> {
    let aside = pages::allocate(from_bytes)?;
    let buffer: *mut u8 = aside.as_ptr().cast();
    // SAFETY: the ranges are the caller's promise, the buffer is ours. The only fault that can
    // occur on a page made readable is one beyond the file's end, for which the handler does not
    // take the page lock; such a page stays zero.
    unsafe {
        pages::protect(from, from_bytes, HostAccess::Read)?;
        for page in (0..from_bytes).step_by(PAGE as usize) {
            guarded::copy(from.add(page), buffer.add(page), PAGE as usize);
        }
        pages::clear(from, from_bytes)?;
        pages::map_anonymous(to, to_bytes, HostAccess::Write, false).map_err(|r| r.error)?;
        guarded::copy(buffer, to, from_bytes.min(to_bytes));
        pages::free(aside, from_bytes);
        pages::protect(to, to_bytes, host_access(flags))
    }
}
