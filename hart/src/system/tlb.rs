//! The translation cache: where pages of virtual memory lie in RAM.
//!
//! An entry holds one page for one kind of view: the entry's tags say whether loads, stores and
//! fetches may go ahead without a walk. There is an array of entries for machine mode, and for each
//! of a few values of satp one for U, S, and S with SUM: a switch between address spaces, and
//! between modes, chooses arrays and drops nothing.
//!
//! Compiled code is made for pages at addresses. Whoever runs it looks up once whether the
//! addresses lead to those pages; that holds as long as [`Keys::key`] stays the same, also after a
//! fence that has changed nothing about them, see `fetched.rs`.

use super::fetched::Keys;
use crate::privileged::walk::Mapping;
use memory::PAGE_BITS;
use std::cell::Cell;
use std::mem::offset_of;

/// Entries of an array, direct-mapped by page number.
pub const ENTRIES: usize = 1024;
/// Values of satp that are kept.
const SPACES: usize = 8;
/// Arrays: machine mode, one that stays empty, and three for each value of satp.
pub const ARRAYS: usize = 32;
const FIRST_SPACE: usize = 2;
const _: () = assert!(FIRST_SPACE + 3 * SPACES <= ARRAYS);

/// The array of machine mode.
pub const MACHINE: usize = 0;
/// The array that stays empty, for views that are not worth caching (MXR).
pub const EMPTY: usize = 1;

/// No page has this address.
const NOTHING: u64 = u64::MAX;

/// One page. Compiled code reads the fields by offset, and accesses what they say without another
/// check: only this file writes them, and [`Tlb::fill`] is only called for pages that lie in RAM as a
/// whole.
#[repr(C)]
#[derive(Debug)]
pub struct Entry {
    /// The page's virtual address if loads may go ahead.
    pub(super) load: Cell<u64>,
    /// Likewise for stores.
    pub(super) store: Cell<u64>,
    /// Likewise for fetches.
    pub(super) fetch: Cell<u64>,
    /// What to add to a virtual address for the host address.
    pub(super) addend: Cell<u64>,
}

impl Entry {
    /// Where compiled code finds the fields.
    pub const LOAD: usize = offset_of!(Entry, load);
    /// See [`Entry::LOAD`].
    pub const STORE: usize = offset_of!(Entry, store);
    /// See [`Entry::LOAD`].
    pub const ADDEND: usize = offset_of!(Entry, addend);

    const fn none() -> Entry {
        Entry {
            load: Cell::new(NOTHING),
            store: Cell::new(NOTHING),
            fetch: Cell::new(NOTHING),
            addend: Cell::new(0),
        }
    }

    fn clear(&self) {
        self.load.set(NOTHING);
        self.store.set(NOTHING);
        self.fetch.set(NOTHING);
    }

    /// The page, if there is one.
    fn page(&self) -> Option<u64> {
        [&self.load, &self.store, &self.fetch]
            .into_iter()
            .map(Cell::get)
            .find(|tag| *tag != NOTHING)
    }
}

/// The pages of one view.
struct Array {
    entries: [Entry; ENTRIES],
    /// Whether any entry holds something.
    used: Cell<bool>,
    /// Which regions of 2 MiB (hashed) hold parts of superpages of that size, and of 1 GiB (hashed)
    /// of larger ones: a fence for one address of a superpage is for all of it.
    large: [Cell<u64>; 64],
    huge: Cell<u64>,
}

/// The translation cache of one hart.
pub struct Tlb {
    arrays: Box<[Array; ARRAYS]>,
    /// The values of satp that arrays belong to, and when they were last chosen.
    spaces: [Cell<Option<(u64, u64)>>; SPACES],
    turn: Cell<u64>,
    /// What compiled code was looked up through each array.
    keys: Keys,
}

/// Which kind of view of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// U's.
    User = 0,
    /// S's, without pages of U.
    Supervisor = 1,
    /// S's with SUM.
    Both = 2,
}

impl Default for Tlb {
    fn default() -> Tlb {
        let array = || Array {
            entries: [const { Entry::none() }; ENTRIES],
            used: Cell::new(false),
            large: [const { Cell::new(0) }; 64],
            huge: Cell::new(0),
        };
        let arrays: Vec<Array> = std::iter::repeat_with(array).take(ARRAYS).collect();
        let arrays = arrays.into_boxed_slice().try_into();
        Tlb {
            arrays: arrays.unwrap_or_else(|_| unreachable!("ARRAYS were made")),
            spaces: [const { Cell::new(None) }; SPACES],
            turn: Cell::new(0),
            keys: Keys::default(),
        }
    }
}

impl Tlb {
    /// The entry that `va` would be in.
    #[inline(always)]
    pub fn entry(&self, array: usize, va: u64) -> &Entry {
        &self.arrays[array % ARRAYS].entries[(va >> PAGE_BITS) as usize % ENTRIES]
    }

    /// The array of a view of the address space of a value of satp.
    pub fn array(&self, satp: u64, view: View) -> usize {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        let known = |space: &Cell<Option<(u64, u64)>>| space.get().is_some_and(|s| s.0 == satp);
        let index = match self.spaces.iter().position(known) {
            Some(index) => index,
            None => {
                let age = |index: &usize| self.spaces[*index].get().map_or(0, |s| s.1);
                let oldest = (0..SPACES).min_by_key(age).unwrap_or(0);
                self.clear_space(oldest);
                arrays_of(oldest).for_each(|array| self.keys.renew(array));
                oldest
            }
        };
        self.spaces[index].set(Some((satp, turn)));
        FIRST_SPACE + 3 * index + view as usize
    }

    /// What compiled code was looked up through each array.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The first entry of an array, for compiled code.
    pub fn entries(&self, array: usize) -> *const Entry {
        self.arrays[array % ARRAYS].entries.as_ptr()
    }

    /// Takes up a page whose first byte lies at `host`, in RAM as a whole: compiled code trusts that.
    pub(super) fn fill(&self, array: usize, va: u64, host: u64, mapping: &Mapping) {
        let page = va & !((1 << PAGE_BITS) - 1);
        let tag = |may| if may { page } else { NOTHING };
        let holder = &self.arrays[array % ARRAYS];
        holder.used.set(true);
        if mapping.level == 1 {
            let (word, bit) = large(va);
            holder.large[word].set(holder.large[word].get() | bit);
        } else if mapping.level > 1 {
            holder.huge.set(holder.huge.get() | huge(va));
        }
        let entry = self.entry(array, va);
        entry.load.set(tag(mapping.load));
        entry.store.set(tag(mapping.store));
        entry.fetch.set(tag(mapping.fetch));
        entry.addend.set(host.wrapping_sub(page));
    }

    /// The number of the entry that `va` would be in.
    pub fn number(array: usize, va: u64) -> u32 {
        (array * ENTRIES + (va >> PAGE_BITS) as usize % ENTRIES) as u32
    }

    /// Keeps an entry's page from being stored to, if it is the page at `host`.
    pub fn protect(&self, number: u32, host: u64) {
        let (array, index) = (number as usize / ENTRIES, number as usize % ENTRIES);
        let entry = &self.arrays[array % ARRAYS].entries[index];
        let page = entry.store.get();
        if page != NOTHING && page.wrapping_add(entry.addend.get()) == host {
            entry.store.set(NOTHING);
        }
    }

    /// Keeps the page at `host` from being stored to through any entry.
    pub fn protect_everywhere(&self, host: u64) {
        for (array, holder) in self.arrays.iter().enumerate() {
            if holder.used.get() {
                (0..ENTRIES).for_each(|index| self.protect((array * ENTRIES + index) as u32, host));
            }
        }
    }

    /// Drops everything.
    pub fn clear(&self) {
        (0..ARRAYS).for_each(|array| self.clear_array(array));
        self.keys.renew_all();
    }

    /// Drops everything of address spaces, or of the one with this identifier; mappings that are
    /// global may stay but don't.
    pub fn clear_spaces(&self, asid: Option<u64>) {
        self.with_asid(asid, |index| {
            self.clear_space(index);
            arrays_of(index).for_each(|array| self.keys.doubt(array));
        });
    }

    /// Drops what is known of `va`.
    pub fn clear_page(&self, va: u64, asid: Option<u64>) {
        self.with_asid(asid, |index| {
            arrays_of(index).for_each(|array| self.keys.doubt_at(array, va));
            let arrays = arrays_of(index);
            // Nothing was filled since they were cleared.
            if arrays.clone().all(|array| !self.arrays[array].used.get()) {
                return;
            }
            arrays.for_each(|array| self.clear_page_of(array, va));
        });
    }

    fn with_asid(&self, asid: Option<u64>, act: impl Fn(usize)) {
        for (index, space) in self.spaces.iter().enumerate() {
            if let Some((satp, _)) = space.get()
                && asid.is_none_or(|asid| satp >> 44 & 0xffff == asid)
            {
                act(index);
            }
        }
    }

    fn clear_space(&self, index: usize) {
        arrays_of(index).for_each(|array| self.clear_array(array));
    }

    fn clear_array(&self, array: usize) {
        let holder = &self.arrays[array];
        if holder.used.replace(false) {
            holder.entries.iter().for_each(Entry::clear);
            holder.large.iter().for_each(|word| word.set(0));
            holder.huge.set(0);
        }
    }

    /// Whether `va` may be part of a superpage of that level, or a higher one than 2, which the
    /// array has entries of.
    fn is_part_of(&self, array: usize, va: u64, level: u32) -> bool {
        let holder = &self.arrays[array];
        let (word, bit) = large(va);
        match level {
            1 => holder.large[word].get() & bit != 0,
            _ => holder.huge.get() & huge(va) != 0,
        }
    }

    fn clear_page_of(&self, array: usize, va: u64) {
        let holder = &self.arrays[array];
        let entry = self.entry(array, va);
        if entry.page().is_some_and(|page| page ^ va < 1 << PAGE_BITS) {
            entry.clear();
        }
        if self.is_part_of(array, va, 2) {
            // It may be one of 1 GiB or 512 GiB.
            self.clear_array(array);
        } else if self.is_part_of(array, va, 1) {
            let same = |entry: &&Entry| entry.page().is_some_and(|page| (page ^ va) >> 21 == 0);
            holder.entries.iter().filter(same).for_each(Entry::clear);
        }
    }
}

/// Whether an array is a supervisor's own view of an address space, through which it fetches.
pub fn is_supervisors(array: usize) -> bool {
    let in_space = array.checked_sub(FIRST_SPACE);
    in_space.is_some_and(|array| array % 3 == View::Supervisor as usize && array / 3 < SPACES)
}

/// The arrays of a space.
fn arrays_of(space: usize) -> std::ops::Range<usize> {
    FIRST_SPACE + 3 * space..FIRST_SPACE + 3 * space + 3
}

/// Where a region of 2 MiB is noted.
fn large(va: u64) -> (usize, u64) {
    ((va >> 27) as usize % 64, 1 << (va >> 21 & 63))
}

/// Where a region of 512 GiB is noted.
fn huge(va: u64) -> u64 {
    1 << (va >> 39 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(tlb: &Tlb, array: usize, va: u64, level: u32) {
        let mapping = Mapping {
            pa: 0,
            level,
            load: true,
            store: true,
            fetch: false,
        };
        tlb.fill(array, va, 0x7000_0000_0000, &mapping);
    }

    fn holds(tlb: &Tlb, array: usize, va: u64) -> bool {
        tlb.entry(array, va).load.get() == va & !0xfff
    }

    #[test]
    fn a_fence_for_one_page_leaves_others_and_other_spaces() {
        let tlb = Tlb::default();
        let one = tlb.array(8 << 60 | 1 << 44 | 5, View::User);
        let two = tlb.array(8 << 60 | 2 << 44 | 5, View::User);
        for array in [one, two, MACHINE] {
            filled(&tlb, array, 0x1000, 0);
            filled(&tlb, array, 0x2000, 0);
        }
        tlb.clear_page(0x1234, Some(1));
        assert!(!holds(&tlb, one, 0x1000) && holds(&tlb, one, 0x2000));
        assert!(holds(&tlb, two, 0x1000));
        tlb.clear_page(0x1fff, None);
        assert!(!holds(&tlb, two, 0x1000) && holds(&tlb, two, 0x2000));
        tlb.clear_spaces(Some(1));
        assert!(!holds(&tlb, one, 0x2000) && holds(&tlb, two, 0x2000));
        tlb.clear_spaces(None);
        assert!(!holds(&tlb, two, 0x2000) && holds(&tlb, MACHINE, 0x1000));
    }

    #[test]
    fn a_fence_for_an_address_of_a_superpage_is_for_all_of_it() {
        let tlb = Tlb::default();
        let array = tlb.array(1, View::Supervisor);
        let base = 0xffff_ffc0_0020_0000;
        filled(&tlb, array, base, 1);
        filled(&tlb, array, base + 0x1f_f000, 1);
        filled(&tlb, array, base + 0x20_1000, 0);
        tlb.clear_page(base + 0x5000, None);
        assert!(!holds(&tlb, array, base) && !holds(&tlb, array, base + 0x1f_f000));
        assert!(holds(&tlb, array, base + 0x20_1000));
        filled(&tlb, array, 0x4000_3000, 2);
        tlb.clear_page(0x7fff_f000, None);
        assert!(!holds(&tlb, array, 0x4000_3000));
    }

    #[test]
    fn the_space_that_was_not_used_longest_makes_room() {
        let tlb = Tlb::default();
        let first = tlb.array(100, View::User);
        filled(&tlb, first, 0x1000, 0);
        for satp in 101..108 {
            tlb.array(satp, View::User);
        }
        assert_eq!(tlb.array(100, View::User), first);
        assert!(holds(&tlb, first, 0x1000));
        let other = tlb.array(108, View::User);
        assert_ne!(other, first);
        for satp in 109..116 {
            tlb.array(satp, View::User);
        }
        assert!(!holds(&tlb, first, 0x1000));
    }

    #[test]
    fn a_page_that_becomes_code_is_not_stored_to() {
        let tlb = Tlb::default();
        let mapping = Mapping {
            pa: 0,
            level: 0,
            load: true,
            store: true,
            fetch: true,
        };
        tlb.fill(5, 0x3000, 0x9000, &mapping);
        let number = Tlb::number(5, 0x3000);
        tlb.protect(number, 0xa000);
        assert_eq!(tlb.entry(5, 0x3000).store.get(), 0x3000, "another page");
        tlb.protect(number, 0x9000);
        assert_eq!(tlb.entry(5, 0x3000).store.get(), NOTHING);
        assert!(holds(&tlb, 5, 0x3000));
    }
}
