//! One byte of flags for each guest page, readable without a lock.

use crate::host::Sparse;
use crate::space::{LIMIT, PAGE, PAGE_BITS};
use crate::vma::{Backing, Protection, Sharing, Vma};
use std::sync::atomic::{AtomicU8, Ordering};

/// What is known of a guest page.
///
/// ```text
///    7        6        5        4       3     2   1   0
/// | STEADY | SHARED | MAPPED | STALE | CODE | X | W | R |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PageFlags(pub u8);

impl PageFlags {
    /// Loads are permitted. Set for writable pages too: on RISC-V Linux, write implies read.
    pub const R: u8 = 1;
    /// Stores are permitted.
    pub const W: u8 = 1 << 1;
    /// Fetches are permitted.
    pub const X: u8 = 1 << 2;
    /// Translated code comes from this page, and it has not been written since.
    pub const CODE: u8 = 1 << 3;
    /// Translated code came from this page, and may be out of date.
    pub const STALE: u8 = 1 << 4;
    /// Something is mapped here, be it without any permission.
    pub const MAPPED: u8 = 1 << 5;
    /// A shared mapping: writes may come from elsewhere, so they can't be watched.
    pub const SHARED: u8 = 1 << 6;
    /// Accesses that are permitted succeed for as long as nobody changes the mapping: there is no
    /// file behind it that may be shortened.
    pub const STEADY: u8 = 1 << 7;

    /// Whether all of `bits` are set.
    #[inline(always)]
    pub fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// The flags of a fresh page with this protection.
    pub(crate) fn fresh(protection: Protection, shared: bool) -> PageFlags {
        let mut bits = PageFlags::MAPPED;
        if protection.readable() {
            bits |= PageFlags::R;
        }
        if protection.contains(Protection::WRITE) {
            bits |= PageFlags::W;
        }
        if protection.contains(Protection::EXECUTE) {
            bits |= PageFlags::X;
        }
        if shared {
            bits |= PageFlags::SHARED;
        }
        PageFlags(bits)
    }

    /// The flags of a mapping's fresh pages.
    pub(crate) fn of(vma: &Vma) -> PageFlags {
        PageFlags::permitting(vma, vma.protection)
    }

    /// The flags of a mapping's fresh pages with another protection.
    pub(crate) fn permitting(vma: &Vma, protection: Protection) -> PageFlags {
        let shared = vma.sharing == Sharing::Shared;
        let flags = PageFlags::fresh(protection, shared);
        let steady = match &vma.backing {
            Backing::Anonymous => true,
            Backing::File { file, offset } => {
                let end = offset.saturating_add(vma.end - vma.start);
                end <= file.steady.next_multiple_of(PAGE)
            }
        };
        match steady && !shared {
            true => PageFlags(flags.0 | PageFlags::STEADY),
            false => flags,
        }
    }
}

/// The flags of all guest pages. Changed only under the space's page lock.
pub(crate) struct FlagTable {
    bytes: Sparse<AtomicU8>,
}

impl FlagTable {
    pub(crate) fn new() -> std::io::Result<FlagTable> {
        Ok(FlagTable {
            // A little more, so that a word of them can be read at each page.
            bytes: Sparse::new((LIMIT >> PAGE_BITS) as usize + size_of::<u64>())?,
        })
    }

    /// The first byte; there is one a page of the window.
    pub(crate) fn as_ptr(&self) -> *const AtomicU8 {
        self.bytes.as_ptr()
    }

    #[inline(always)]
    pub(crate) fn of_page(&self, page: u64) -> PageFlags {
        PageFlags(self.bytes[page as usize].load(Ordering::Acquire))
    }

    pub(crate) fn set_page(&self, page: u64, flags: PageFlags) {
        self.bytes[page as usize].store(flags.0, Ordering::Release);
    }

    /// Gives each page of the range the same flags.
    pub(crate) fn fill(&self, pages: std::ops::Range<u64>, flags: PageFlags) {
        for byte in &self.bytes[pages.start as usize..pages.end as usize] {
            byte.store(flags.0, Ordering::Release);
        }
    }
}
