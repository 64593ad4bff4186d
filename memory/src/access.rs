//! Loads, stores and the like, by guest address.

use crate::fault::{Access, Fault, FaultKind};
use crate::flags::PageFlags;
use crate::host::guarded;
use crate::space::{LIMIT, PAGE, UserSpace};
use crate::word::{AtomicWord, Word};

/// How often an access is tried again when its page looks accessible after it faulted: another
/// thread has mapped it in between. More often than that means that something is wrong with the
/// host's idea of the page, and the guest gets a fault.
const RETRIES: u32 = 100;

impl UserSpace {
    /// Reads a little-endian word of any alignment.
    #[inline(always)]
    pub fn load<T: Word>(&self, va: u64) -> Result<T, Fault> {
        match self.try_load(va) {
            Some(value) => Ok(value),
            None => self.load_again(va),
        }
    }

    /// Writes a little-endian word of any alignment. If part of it can't be written, nothing is
    /// on x86-64; on aarch64 the part below a page boundary may be.
    #[inline(always)]
    pub fn store<T: Word>(&self, va: u64, value: T) -> Result<(), Fault> {
        if self.try_store(va, value) {
            Ok(())
        } else {
            self.store_again(va, value)
        }
    }

    /// [`UserSpace::load`]'s first attempt, for callers that can come back with the whole of it.
    #[inline(always)]
    pub fn try_load<T: Word>(&self, va: u64) -> Option<T> {
        if va >= LIMIT {
            return None;
        }
        // SAFETY: below LIMIT, and a word reaches at most 7 bytes into the guard.
        unsafe { T::load(self.base().wrapping_add(va as usize)) }
    }

    /// [`UserSpace::store`]'s first attempt: whether it succeeded.
    #[inline(always)]
    pub fn try_store<T: Word>(&self, va: u64, value: T) -> bool {
        // SAFETY: below LIMIT, and a word reaches at most 7 bytes into the guard.
        va < LIMIT && unsafe { T::store(self.base().wrapping_add(va as usize), value) }
    }

    /// Atomically replaces `expected` by `new`; the old value either way. Sequentially consistent.
    /// Needs a writable page even if the value differs. `va` must be aligned.
    #[inline]
    pub fn compare_exchange<T: AtomicWord>(
        &self,
        va: u64,
        expected: T,
        new: T,
    ) -> Result<T, Fault> {
        debug_assert!(va.is_multiple_of(size_of::<T>() as u64));
        self.tried(va, size_of::<T>() as u64, Access::Store, || {
            // SAFETY: `tried` calls this for addresses below LIMIT only; the caller aligned it.
            unsafe { T::compare_exchange(self.base().wrapping_add(va as usize), expected, new) }
        })
    }

    /// Reads an instruction parcel from an even address. Needs execute permission, nothing else.
    #[inline]
    pub fn fetch(&self, va: u64) -> Result<u16, Fault> {
        self.tried(va, 2, Access::Fetch, || {
            let flags = self.page_flags(va);
            if !flags.has(PageFlags::X) {
                return None;
            }
            if let Some(ebreak) = self.core.breakpoints.at(va) {
                return Some(ebreak);
            }
            if !flags.has(PageFlags::R) {
                return self.fetch_unreadable(va);
            }
            // SAFETY: `tried` calls this for addresses below LIMIT only.
            unsafe { crate::word::private::Guarded::load(self.base().wrapping_add(va as usize)) }
        })
    }

    /// Copies guest memory out. After a fault, `into` holds what lies below the faulting address.
    pub fn read_bytes(&self, va: u64, into: &mut [u8]) -> Result<(), Fault> {
        self.copied(va, into.len(), Access::Load, |host, done, count| {
            // SAFETY: `copied` keeps to the window, and to the slice's length.
            unsafe { guarded::copy(host, into.as_mut_ptr().add(done), count) }
        })
    }

    /// Copies into guest memory. After a fault, what lies below the faulting address is written.
    pub fn write_bytes(&self, va: u64, from: &[u8]) -> Result<(), Fault> {
        self.copied(va, from.len(), Access::Store, |host, done, count| {
            // SAFETY: `copied` keeps to the window, and to the slice's length.
            unsafe { guarded::copy(from.as_ptr().add(done), host, count) }
        })
    }

    /// The bytes at `va` up to a zero byte, without it. `Ok(None)` if there is none among the
    /// first `most` bytes.
    pub fn read_c_string(&self, va: u64, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let mut text = Vec::new();
        while text.len() < most {
            let at = va.wrapping_add(text.len() as u64);
            let to_page_end = (PAGE - at % PAGE) as usize;
            let start = text.len();
            text.resize(start + to_page_end.min(most - start).min(256), 0);
            self.read_bytes(at, &mut text[start..])?;
            if let Some(end) = text[start..].iter().position(|&byte| byte == 0) {
                text.truncate(start + end);
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// The fault that an access of `size` bytes at `va` takes by the pages' flags, if any: at the
    /// first byte that may not be accessed.
    pub fn fault_at(&self, va: u64, size: u64, access: Access) -> Option<Fault> {
        let mut at = va;
        loop {
            let flags = self.page_flags(at);
            let permitted = match access {
                Access::Load => flags.has(PageFlags::R),
                Access::Store => flags.has(PageFlags::W),
                Access::Fetch => flags.has(PageFlags::X),
            };
            if !permitted {
                let mapped = flags.has(PageFlags::MAPPED);
                let kind = if mapped {
                    FaultKind::Protected
                } else {
                    FaultKind::Unmapped
                };
                return Some(Fault {
                    va: at,
                    access,
                    kind,
                });
            }
            // The page is inside the window, so this can't overflow; the next may be the guard.
            let next = (at & !(PAGE - 1)) + PAGE;
            if next - va >= size {
                return None;
            }
            at = next;
        }
    }

    /// Runs a guarded access, again as long as the pages' flags say that it should work.
    #[inline]
    fn tried<T>(
        &self,
        va: u64,
        size: u64,
        access: Access,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, Fault> {
        if va < LIMIT
            && let Some(value) = attempt()
        {
            return Ok(value);
        }
        self.tried_again(va, size, access, attempt)
    }

    #[cold]
    fn tried_again<T>(
        &self,
        va: u64,
        size: u64,
        access: Access,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, Fault> {
        for _ in 0..RETRIES {
            if let Some(fault) = self.fault_at(va, size, access) {
                return Err(fault);
            }
            if let Some(beyond) = self.beyond_file(va, size) {
                return Err(Fault {
                    va: beyond,
                    access,
                    kind: FaultKind::BeyondFile,
                });
            }
            if let Some(value) = attempt() {
                return Ok(value);
            }
        }
        Err(Fault {
            va,
            access,
            kind: FaultKind::Protected,
        })
    }

    #[cold]
    fn load_again<T: Word>(&self, va: u64) -> Result<T, Fault> {
        self.tried_again(va, size_of::<T>() as u64, Access::Load, || {
            // SAFETY: `tried_again` has found the page of `va` mapped, so it is below LIMIT.
            unsafe { T::load(self.base().wrapping_add(va as usize)) }
        })
    }

    #[cold]
    fn store_again<T: Word>(&self, va: u64, value: T) -> Result<(), Fault> {
        self.tried_again(va, size_of::<T>() as u64, Access::Store, || {
            // SAFETY: `tried_again` has found the page of `va` mapped, so it is below LIMIT.
            unsafe { T::store(self.base().wrapping_add(va as usize), value) }.then_some(())
        })
    }

    /// The first byte of `va..va + size` on a readable page that can't be read all the same: the
    /// mapped file does not reach it.
    fn beyond_file(&self, va: u64, size: u64) -> Option<u64> {
        let mut at = va;
        while at < LIMIT && at - va < size {
            if self.page_flags(at).has(PageFlags::R) {
                // SAFETY: below LIMIT.
                let byte: Option<u8> = unsafe {
                    crate::word::private::Guarded::load(self.base().wrapping_add(at as usize))
                };
                if byte.is_none() {
                    return Some(at);
                }
            }
            at = (at & !(PAGE - 1)) + PAGE;
        }
        None
    }

    /// Copies page by page, so that a fault is met where it is. `copy` is given the host address,
    /// how many bytes are done, how many to do; it says how many were left.
    fn copied(
        &self,
        va: u64,
        length: usize,
        access: Access,
        mut copy: impl FnMut(*mut u8, usize, usize) -> usize,
    ) -> Result<(), Fault> {
        let mut done = 0;
        while done < length {
            let at = va.wrapping_add(done as u64);
            if at >= LIMIT {
                return Err(Fault {
                    va: at,
                    access,
                    kind: FaultKind::Unmapped,
                });
            }
            let count = (length - done).min((LIMIT - at) as usize);
            let left = copy(self.base().wrapping_add(at as usize), done, count);
            done += count - left;
            if left > 0 {
                // Byte by byte over the place where it stopped: either it faults for good or
                // another thread has just mapped it.
                let stopped = va + done as u64;
                self.tried_again(stopped, 1, access, || {
                    let host = self.base().wrapping_add(stopped as usize);
                    (copy(host, done, 1) == 0).then_some(())
                })?;
                done += 1;
            }
        }
        Ok(())
    }
}
