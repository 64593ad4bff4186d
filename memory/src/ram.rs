//! A machine's RAM: one host mapping, and what is known of each of its pages.
//!
//! Harts reach it by host address, which their translation caches hold; each access is checked
//! against the mapping's bounds, so that a wrong entry cannot reach anything else. Devices reach it
//! by guest physical address.

use crate::error::Error;
use crate::host::pages::{self, HostAccess};
use crate::image::Piece;
use crate::space::{PAGE, PAGE_BITS};
use crate::word::{AtomicWord, Word};
use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Code was made from the page: stores to it have to be noticed.
const CODE: u8 = 1;
/// It was written since.
const STALE: u8 = 2;

/// A machine's RAM.
pub struct Ram {
    host: NonNull<c_void>,
    bytes: u64,
    pa: u64,
    flags: Box<[AtomicU8]>,
    /// Who may store to the page without being noticed, see [`Ram::note_writer`].
    writers: Box<[AtomicU32]>,
    /// Pages marked STALE since the last [`Ram::take_stale`].
    stale: Mutex<Vec<u64>>,
    /// How many pages were ever marked: a quick way to see whether any was.
    marked: AtomicU64,
}

// SAFETY: the mapping lives as long as the value, and is accessed through raw pointers only, as
// memory that others change at any time.
unsafe impl Send for Ram {}
// SAFETY: as above.
unsafe impl Sync for Ram {}

/// Who may store to a page without being noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writer {
    /// Nobody.
    None,
    /// One entry of a translation cache, by a number that its owner chose.
    Entry(u32),
    /// More than one.
    Many,
}

const NOBODY: u32 = 0;
const MANY: u32 = u32::MAX;

impl Ram {
    /// Zeroed memory at guest physical address `pa`; both are multiples of the page size.
    pub fn new(pa: u64, bytes: u64) -> Result<Ram, Error> {
        let end = pa.checked_add(bytes);
        if bytes == 0 || !bytes.is_multiple_of(PAGE) || !pa.is_multiple_of(PAGE) || end.is_none() {
            return Err(Error::Invalid {
                va: pa,
                length: bytes,
            });
        }
        let refused = |_| Error::NoMemory {
            va: pa,
            length: bytes,
        };
        let size = usize::try_from(bytes).map_err(refused)?;
        let pages = size / PAGE as usize;
        let host = pages::allocate(size).map_err(Error::host("reserve the guest's memory"))?;
        Ok(Ram {
            host,
            bytes,
            pa,
            flags: std::iter::repeat_with(AtomicU8::default)
                .take(pages)
                .collect(),
            writers: std::iter::repeat_with(AtomicU32::default)
                .take(pages)
                .collect(),
            stale: Mutex::default(),
            marked: AtomicU64::new(0),
        })
    }

    /// The guest physical address of the first byte.
    pub fn pa(&self) -> u64 {
        self.pa
    }

    /// How much there is.
    #[expect(clippy::len_without_is_empty, reason = "there is always some")]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether these bytes all lie here.
    pub fn contains(&self, pa: u64, length: u64) -> bool {
        pa.checked_sub(self.pa)
            .is_some_and(|offset| offset <= self.bytes && length <= self.bytes - offset)
    }

    /// The host address of the first byte.
    #[inline(always)]
    pub fn host(&self) -> u64 {
        self.host.as_ptr() as u64
    }

    /// The host address of a guest physical one, which need not be RAM's: [`Ram::load`] and the
    /// others check what they are given.
    #[inline(always)]
    pub fn host_of(&self, pa: u64) -> u64 {
        pa.wrapping_sub(self.pa).wrapping_add(self.host())
    }

    /// The page (numbered from the first) that a host address lies in.
    #[inline(always)]
    pub fn page_of(&self, host: u64) -> u64 {
        host.wrapping_sub(self.host()) >> PAGE_BITS
    }

    /// A pointer to `size` bytes at a host address, if they are RAM.
    #[inline(always)]
    fn at(&self, host: u64, size: u64) -> Option<*mut u8> {
        let offset = host.wrapping_sub(self.host());
        let inside = offset <= self.bytes.wrapping_sub(size);
        // The pointer is made from the mapping's, of which it keeps the provenance.
        inside.then(|| {
            self.host
                .as_ptr()
                .cast::<u8>()
                .wrapping_add(offset as usize)
        })
    }

    /// Loads from a host address of any alignment; `None` if that is not all RAM.
    #[inline(always)]
    pub fn load<T: Word>(&self, host: u64) -> Option<T> {
        let pointer = self.at(host, size_of::<T>() as u64)?;
        // SAFETY: the bytes lie in the mapping, which is readable as long as `self` lives.
        Some(unsafe { T::read(pointer) })
    }

    /// Stores to a host address of any alignment: whether that is all RAM. Nobody is told; see
    /// [`Ram::note_write`].
    #[inline(always)]
    pub fn store<T: Word>(&self, host: u64, value: T) -> bool {
        let pointer = self.at(host, size_of::<T>() as u64);
        if let Some(pointer) = pointer {
            // SAFETY: the bytes lie in the mapping, which is writable as long as `self` lives.
            unsafe { T::write(pointer, value) };
        }
        pointer.is_some()
    }

    /// Replaces `expected` by `new` at an aligned host address, sequentially consistent; the old
    /// value either way. `None` if it is misaligned or not RAM.
    pub fn compare_exchange<T: AtomicWord>(&self, host: u64, expected: T, new: T) -> Option<T> {
        let size = size_of::<T>() as u64;
        let pointer = self.at(host, size).filter(|_| host.is_multiple_of(size))?;
        // SAFETY: the bytes lie in the mapping, and are aligned.
        Some(unsafe { T::swap(pointer, expected, new) })
    }

    /// Copies out; `false`, and nothing is copied, if the bytes are not all RAM.
    pub fn read(&self, pa: u64, into: &mut [u8]) -> bool {
        let inside = self.contains(pa, into.len() as u64);
        if inside {
            let mut host = self.host_of(pa);
            let (head, words) = into.split_at_mut(into.len().min((8 - host as usize % 8) % 8));
            let mut byte = |byte: &mut u8| {
                *byte = self.load(host).unwrap_or(0);
                host += 1;
            };
            head.iter_mut().for_each(&mut byte);
            let (words, tail) = words.as_chunks_mut::<8>();
            for word in words {
                *word = self.load(host).unwrap_or(0u64).to_le_bytes();
                host += 8;
            }
            for byte in tail {
                *byte = self.load(host).unwrap_or(0);
                host += 1;
            }
        }
        inside
    }

    /// Copies in and notes it; `false`, and nothing is changed, if the bytes are not all RAM.
    pub fn write(&self, pa: u64, from: &[u8]) -> bool {
        let inside = self.contains(pa, from.len() as u64);
        if inside && !from.is_empty() {
            let mut host = self.host_of(pa);
            let (first, last) = (
                self.page_of(host),
                self.page_of(host + from.len() as u64 - 1),
            );
            let (head, words) = from.split_at(from.len().min((8 - host as usize % 8) % 8));
            for &byte in head {
                self.store(host, byte);
                host += 1;
            }
            let (words, tail) = words.as_chunks::<8>();
            for &word in words {
                self.store(host, u64::from_le_bytes(word));
                host += 8;
            }
            for &byte in tail {
                self.store(host, byte);
                host += 1;
            }
            // A hart may be making code from it at the same time: either it reads what was written, or
            // its mark is seen here.
            fence(Ordering::SeqCst);
            (first..=last).for_each(|page| self.note_write(page));
        }
        inside
    }

    /// Gives the contents back to the host: all zeros, nothing known of any page.
    pub fn clear(&self) -> Result<(), Error> {
        self.zero(self.host.as_ptr().cast(), self.bytes as usize)?;
        (0..self.flags.len() as u64).for_each(|page| self.note_write(page));
        Ok(())
    }

    /// Maps zeros over a range of the mapping, whatever is there.
    fn zero(&self, start: *mut u8, bytes: usize) -> Result<(), Error> {
        // SAFETY: the range is part of the mapping; nothing holds references to its bytes.
        let done = unsafe { pages::map_anonymous(start, bytes, HostAccess::Write, false) };
        done.map_err(|refused| {
            if !refused.intact {
                // Harts access RAM without a net: there must be some.
                std::process::abort();
            }
            Error::host("clear the guest's memory")(refused.error)
        })
    }

    /// Has pages be those of a file, by physical address; what the guest changes stays private. No
    /// hart may run meanwhile. After an error the contents are of no use, but can be accessed.
    pub fn restore(&self, pieces: &[Piece], image: BorrowedFd<'_>) -> Result<(), Error> {
        for piece in pieces {
            let &Piece {
                va: pa,
                length,
                offset,
            } = piece;
            let aligned = [pa, length, offset].iter().all(|n| n.is_multiple_of(PAGE));
            let ends = offset.checked_add(length).is_some();
            if !aligned || !ends || length == 0 || !self.contains(pa, length) {
                return Err(Error::Invalid { va: pa, length });
            }
            let start = self
                .host
                .as_ptr()
                .cast::<u8>()
                .wrapping_add((pa - self.pa) as usize);
            let (bytes, access) = (length as usize, HostAccess::Write);
            // SAFETY: the range is part of the mapping; nothing holds references to its bytes.
            let done = unsafe { pages::map_file(start, bytes, access, false, image, offset) };
            if let Err(refused) = done {
                self.zero(start, bytes)?;
                return Err(Error::host("map the guest's memory")(refused.error));
            }
            let first = (pa - self.pa) >> PAGE_BITS;
            (first..first + (length >> PAGE_BITS)).for_each(|page| self.note_write(page));
        }
        Ok(())
    }

    /// Notes that code is made from a page from now on. Who may store to it unnoticed has to be
    /// stopped.
    pub fn watch(&self, page: u64) -> Writer {
        let Some(flags) = self.flags.get(page as usize) else {
            return Writer::None;
        };
        // One order of all these for all harts: of a hart that notes itself as a writer and then looks
        // whether this is code, and one that does the reverse, at least one sees the other.
        flags.fetch_or(CODE, Ordering::SeqCst);
        match self.writers[page as usize].swap(NOBODY, Ordering::SeqCst) {
            NOBODY => Writer::None,
            MANY => Writer::Many,
            entry => Writer::Entry(entry - 1),
        }
    }

    /// Whether code was made from a page, so that nobody may store to it unnoticed.
    #[inline(always)]
    pub fn is_code(&self, page: u64) -> bool {
        self.flags
            .get(page as usize)
            .is_some_and(|flags| flags.load(Ordering::SeqCst) & CODE != 0)
    }

    /// Notes that an entry of a translation cache may store to a page unnoticed from now on, unless
    /// [`Ram::is_code`] says afterwards that this is code.
    pub fn note_writer(&self, page: u64, entry: u32) {
        if let Some(writer) = self.writers.get(page as usize) {
            let only =
                writer.compare_exchange(NOBODY, entry + 1, Ordering::SeqCst, Ordering::SeqCst);
            if only.is_err_and(|other| other != entry + 1) {
                writer.store(MANY, Ordering::SeqCst);
            }
        }
    }

    /// Notes a store to a page.
    #[inline]
    pub fn note_write(&self, page: u64) {
        let Some(flags) = self.flags.get(page as usize) else {
            return;
        };
        if flags.load(Ordering::SeqCst) & (CODE | STALE) == CODE
            && flags.fetch_or(STALE, Ordering::SeqCst) & STALE == 0
        {
            self.log().push(page);
            self.marked.fetch_add(1, Ordering::Release);
        }
    }

    /// The pages that code was made from and that were written since. They hold no code any more
    /// as far as this knows: the caller drops it.
    pub fn take_stale(&self) -> Vec<u64> {
        let stale = std::mem::take(&mut *self.log());
        for &page in &stale {
            self.flags[page as usize].fetch_and(!(CODE | STALE), Ordering::SeqCst);
        }
        stale
    }

    /// Rises with each page that [`Ram::take_stale`] will return.
    pub fn stale_epoch(&self) -> u64 {
        self.marked.load(Ordering::Acquire)
    }

    fn log(&self) -> MutexGuard<'_, Vec<u64>> {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: the range came from `allocate`, and nothing refers to it without `self`.
        unsafe { pages::free(self.host, self.bytes as usize) };
    }
}

impl std::fmt::Debug for Ram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ram({:#x} bytes at {:#x})", self.bytes, self.pa)
    }
}
