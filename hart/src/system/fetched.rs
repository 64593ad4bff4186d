//! Which addresses of an address space compiled code was looked up for, so that a fence which
//! concerns none of them costs nothing.

use super::tlb::large;
use memory::PAGE_BITS;
use std::cell::Cell;

/// The addresses of one address space.
pub struct Fetched {
    /// Changes whenever one of them may lead elsewhere; never used again.
    key: Cell<u64>,
    /// Their pages, hashed.
    pages: [Cell<u64>; 64],
    /// Their regions of 2 MiB, hashed.
    regions: [Cell<u64>; 64],
}

impl Fetched {
    /// None yet.
    pub fn new(key: u64) -> Fetched {
        Fetched {
            key: Cell::new(key),
            pages: [const { Cell::new(0) }; 64],
            regions: [const { Cell::new(0) }; 64],
        }
    }

    /// The present key.
    pub fn key(&self) -> u64 {
        self.key.get()
    }

    /// Takes up an address.
    pub fn note(&self, va: u64) {
        for (words, (word, bit)) in [(&self.pages, page(va)), (&self.regions, large(va))] {
            words[word].set(words[word].get() | bit);
        }
    }

    /// Whether a fence for `va` may concern one of them. It is a fence for the region of 2 MiB too, if
    /// that is mapped as a whole, or for all that is mapped by a larger page.
    pub fn concerns(&self, va: u64, whole_region: bool, more: bool) -> bool {
        let noted =
            |words: &[Cell<u64>; 64], (word, bit): (usize, u64)| words[word].get() & bit != 0;
        more || noted(&self.pages, page(va)) || whole_region && noted(&self.regions, large(va))
    }

    /// Forgets all of them.
    pub fn renew(&self, key: u64) {
        self.key.set(key);
        for word in self.pages.iter().chain(&self.regions) {
            word.set(0);
        }
    }
}

/// Where a page is noted.
fn page(va: u64) -> (usize, u64) {
    (
        (va >> (PAGE_BITS + 6)) as usize % 64,
        1 << (va >> PAGE_BITS & 63),
    )
}
