//! Which addresses a view of memory was asked for by whoever keeps compiled code, and where they led: a
//! fence after which they still lead there costs no more than finding that out.
//!
//! Each array of the translation cache has addresses of its own, and a key that stands for them. Supervisors
//! share: a kernel is at the same place in all address spaces, so that the next process finds what was
//! looked up in the last one, once it has been made sure that all of it leads there, too.

use super::tlb::{ARRAYS, is_supervisors};
use crate::privileged::walk::Mapping;
use memory::PAGE_BITS;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Pages that are known to have been noted, at most.
const RECENT: usize = 256;
/// No page has this number.
const NOWHERE: (u64, u64) = (u64::MAX, 0);

/// What was looked up through each array of the translation cache, and a key for it.
pub struct Keys {
    fetched: [Fetched; ARRAYS],
    /// What supervisors' arrays share.
    common: Common,
    /// The last key given away.
    last: Cell<u64>,
}

/// An address, where its mapping begins, and where that leads, with its level.
type Entry = (u64, Option<(u64, u32)>);

/// The addresses that supervisors' arrays share.
struct Common {
    addresses: Addresses,
    /// They in the order in which they were noted, with where they lead; nowhere for what no array that
    /// has not seen it can be sure of.
    log: RefCell<Vec<Entry>>,
    /// Rises whenever they are forgotten.
    version: Cell<u64>,
    /// How often that was because only some address spaces have code where it is not a kernel's.
    low: Cell<u32>,
}

/// So often supervisors' code below the kernel's half has the others begin anew; then they go alone.
const MOST_LOW: u32 = 16;

/// The addresses seen through one array.
struct Fetched {
    /// Its own, if it does not share.
    addresses: Addresses,
    shares: Cell<Option<Share>>,
    /// Whether a fence concerned one of them, and it is not known yet where they lead now.
    doubtful: Cell<bool>,
}

/// How much of what is shared an array is known to agree with.
#[derive(Clone, Copy)]
struct Share {
    /// [`Common::version`].
    version: u64,
    /// So many from the first one noted on.
    seen: usize,
}

/// Addresses and where they lead.
struct Addresses {
    /// Changes whenever one of them may lead elsewhere; never used again.
    key: Cell<u64>,
    /// Whether nothing will tell that they still lead where they did.
    lost: Cell<bool>,
    /// Numbers of pages noted before, and where they led, by the lowest bits.
    recent: [Cell<(u64, u64)>; RECENT],
    /// The mappings that they are part of, large ones as a whole: from the first address to the first
    /// physical one, and the level.
    mappings: RefCell<BTreeMap<u64, (u64, u32)>>,
}

/// What became of an address that was noted.
enum Noted {
    /// It was known.
    Before,
    /// A mapping that was not known begins there, and leads there.
    New(u64, (u64, u32)),
    /// Nothing will tell any more that it leads where it did.
    Lost,
}

/// The low bits of the key of what is shared, which is no array's.
const COMMON: u64 = 0xff;
const _: () = assert!(ARRAYS < COMMON as usize);

impl Default for Keys {
    fn default() -> Keys {
        Keys {
            fetched: std::array::from_fn(|array| Fetched {
                addresses: Addresses::new(array as u64 + 1),
                shares: Cell::new(first_share(array)),
                doubtful: Cell::new(false),
            }),
            common: Common {
                addresses: Addresses::new(ARRAYS as u64 + 1),
                log: RefCell::default(),
                version: Cell::new(1),
                low: Cell::new(0),
            },
            last: Cell::new(ARRAYS as u64 + 1),
        }
    }
}

/// Whether an array shares while nothing is known of it.
fn first_share(array: usize) -> Option<Share> {
    is_supervisors(array).then_some(Share {
        version: 0,
        seen: 0,
    })
}

impl Keys {
    fn of(&self, array: usize) -> &Fetched {
        &self.fetched[array % ARRAYS]
    }

    /// What stays the same as long as the addresses noted lead where they did, seen through an array. Two
    /// arrays have the same if all of them lead to the same place through both. `walk` is asked where
    /// addresses lead through this one, if there was a fence or another array shares what it noted.
    pub fn key(&self, array: usize, walk: impl Fn(u64) -> Option<Mapping>) -> u64 {
        let fetched = self.of(array);
        if let Some(share) = fetched.shares.get() {
            if self.agrees(fetched, share, &walk) {
                return self.common.addresses.key.get() << 8 | COMMON;
            }
            fetched.shares.set(None);
            self.forget(array);
        }
        if fetched.doubtful.get() {
            if fetched.addresses.still_lead(walk) {
                fetched.doubtful.set(false);
            } else {
                self.forget(array);
            }
        }
        fetched.addresses.key.get() << 8 | array as u64
    }

    /// Whether all that is shared leads where it does through an array as well; what no longer does
    /// through any is forgotten.
    fn agrees(
        &self,
        fetched: &Fetched,
        share: Share,
        walk: &impl Fn(u64) -> Option<Mapping>,
    ) -> bool {
        let common = &self.common;
        let version = common.version.get();
        let seen = match share.version == version {
            true => share.seen,
            false => 0,
        };
        let log = common.log.borrow();
        let doubtful = fetched.doubtful.get();
        if !doubtful && share.version == version && seen == log.len() {
            return true;
        }
        let from = if doubtful { 0 } else { seen };
        let leads = |&(va, to): &Entry| {
            to.is_some_and(|to| walk(va).is_some_and(|now| now.fetch && (now.pa, now.level) == to))
        };
        let wrong = match common.addresses.lost.get() {
            true => Some(0),
            false => log[from..].iter().position(|entry| !leads(entry)),
        };
        let Some(wrong) = wrong.map(|wrong| from + wrong) else {
            let seen = log.len();
            fetched.shares.set(Some(Share { version, seen }));
            fetched.doubtful.set(false);
            return true;
        };
        let is_low = log.get(wrong).is_some_and(|&(va, _)| va >> 63 == 0);
        let alone = is_low && common.low.get() >= MOST_LOW;
        let changed = wrong < seen || common.addresses.lost.get();
        drop(log);
        if alone || !changed && !is_low {
            return false;
        }
        common.low.set(common.low.get() + u32::from(is_low));
        self.forget_common();
        let version = common.version.get();
        fetched.shares.set(Some(Share { version, seen: 0 }));
        fetched.doubtful.set(false);
        true
    }

    /// Takes up an address that leads to `pa` through an array whose key was just asked for. That may be
    /// what an earlier walk said: it is to lead there by the tables as they are now, too, for a fence to
    /// be harmless.
    pub fn note(&self, array: usize, va: u64, pa: u64, walk: impl FnOnce(u64) -> Option<Mapping>) {
        let fetched = self.of(array);
        let Some(share) = fetched.shares.get() else {
            fetched.addresses.note(va, pa, walk);
            return;
        };
        let common = &self.common;
        let entry = match common.addresses.note(va, pa, walk) {
            Noted::Before => return,
            Noted::New(start, to) => (start, Some(to)),
            Noted::Lost => (va, None),
        };
        let mut log = common.log.borrow_mut();
        log.push(entry);
        if share.version == common.version.get() && share.seen + 1 == log.len() {
            let seen = log.len();
            fetched.shares.set(Some(Share { seen, ..share }));
        }
    }

    /// After a fence for all addresses of an array.
    pub fn doubt(&self, array: usize) {
        self.of(array).doubtful.set(true);
    }

    /// After a fence for `va`: for all of the large page that it is or was part of.
    pub fn doubt_at(&self, array: usize, va: u64) {
        let fetched = self.of(array);
        if fetched.doubtful.get() {
            return;
        }
        let addresses = match fetched.shares.get() {
            Some(_) => &self.common.addresses,
            None => &fetched.addresses,
        };
        if addresses.lost.get() || covering(&addresses.mappings.borrow(), va).is_some() {
            fetched.doubtful.set(true);
        }
    }

    /// Forgets an array's addresses: it is another address space's now.
    pub fn renew(&self, array: usize) {
        self.of(array).shares.set(first_share(array));
        self.forget(array);
    }

    /// The same of all of them.
    pub fn renew_all(&self) {
        self.forget_common();
        (0..ARRAYS).for_each(|array| self.renew(array));
    }

    fn new_key(&self) -> u64 {
        let key = self.last.get() + 1;
        self.last.set(key);
        key
    }

    fn forget(&self, array: usize) {
        let fetched = self.of(array);
        fetched.doubtful.set(false);
        fetched.addresses.forget(self.new_key());
    }

    fn forget_common(&self) {
        let common = &self.common;
        common.version.set(common.version.get() + 1);
        common.log.borrow_mut().clear();
        common.addresses.forget(self.new_key());
    }
}

impl Addresses {
    /// None yet.
    fn new(key: u64) -> Addresses {
        Addresses {
            key: Cell::new(key),
            lost: Cell::new(false),
            recent: [const { Cell::new(NOWHERE) }; RECENT],
            mappings: RefCell::default(),
        }
    }

    fn note(&self, va: u64, pa: u64, walk: impl FnOnce(u64) -> Option<Mapping>) -> Noted {
        let page = va >> PAGE_BITS;
        let recent = &self.recent[page as usize % RECENT];
        let here = (page, pa >> PAGE_BITS);
        if recent.replace(here) == here {
            return Noted::Before;
        }
        let mut mappings = self.mappings.borrow_mut();
        let lose = || {
            self.lost.set(true);
            Noted::Lost
        };
        if let Some((start, (first, _))) = covering(&mappings, va) {
            return match first.wrapping_add(va - start) == pa {
                true => Noted::Before,
                false => lose(),
            };
        }
        let Some(mapping) = walk(va).filter(|mapping| mapping.pa == pa) else {
            return lose();
        };
        let inside = va & (span(mapping.level) - 1);
        let (start, end) = (va - inside, (va - inside).checked_add(span(mapping.level)));
        let to = (pa.wrapping_sub(inside), mapping.level);
        // Part of it was another mapping before.
        let overlaps = |other| end.is_none_or(|end| other < end);
        let overlapped = mappings.range(start..).next();
        let overlapped = overlapped.is_some_and(|(&other, _)| overlaps(other));
        mappings.insert(start, to);
        match overlapped {
            true => lose(),
            false => Noted::New(start, to),
        }
    }

    /// Whether all of them lead where they did.
    fn still_lead(&self, walk: impl Fn(u64) -> Option<Mapping>) -> bool {
        let same = |(&va, &(pa, level)): (&u64, &(u64, u32))| {
            walk(va).is_some_and(|now| now.fetch && (now.pa, now.level) == (pa, level))
        };
        !self.lost.get() && self.mappings.borrow().iter().all(same)
    }

    /// Forgets all of them.
    fn forget(&self, key: u64) {
        self.key.set(key);
        self.lost.set(false);
        self.recent.iter().for_each(|page| page.set(NOWHERE));
        self.mappings.borrow_mut().clear();
    }
}

/// The mapping that `va` is part of: where it begins, and leads.
fn covering(mappings: &BTreeMap<u64, (u64, u32)>, va: u64) -> Option<(u64, (u64, u32))> {
    let (&start, &mapping) = mappings.range(..=va).next_back()?;
    (va - start < span(mapping.1)).then_some((start, mapping))
}

/// How many bytes a mapping of a level is for.
fn span(level: u32) -> u64 {
    1 << (PAGE_BITS + 9 * level)
}

#[cfg(test)]
mod tests {
    use super::super::tlb::{ENTRIES, MACHINE, Tlb, View};
    use super::*;

    /// Where pages lie on the host, which keys do not depend on.
    const HOST: u64 = 0x7000_0000_0000;
    const SMALL: Mapping = Mapping {
        pa: 0,
        level: 0,
        load: true,
        store: true,
        fetch: false,
    };

    /// Page tables: what starts where leads where, and on which level.
    type Tables = Vec<Leaf>;
    type Leaf = (u64, u64, u32);

    fn walk(tables: &Tables, va: u64) -> Option<Mapping> {
        let inside = |&&(start, _, level): &&Leaf| va.wrapping_sub(start) >> (12 + 9 * level) == 0;
        let &(start, pa, level) = tables.iter().find(inside)?;
        Some(Mapping {
            pa: pa + (va - start),
            level,
            load: true,
            store: false,
            fetch: true,
        })
    }

    fn noted(tlb: &Tlb, array: usize, tables: &Tables, va: u64) {
        let mapping = walk(tables, va).unwrap();
        tlb.fill(array, va, HOST, &mapping);
        tlb.keys()
            .note(array, va, mapping.pa, |va| walk(tables, va));
    }

    #[test]
    fn a_key_lasts_until_code_is_elsewhere() {
        let tlb = Tlb::default();
        let array = tlb.array(1 << 44 | 7, View::User);
        let other = tlb.array(1 << 44 | 7, View::Supervisor);
        let none = Tables::new();
        let key = |array, tables: &Tables| tlb.keys().key(array, |va| walk(tables, va));
        assert_ne!(key(array, &none), key(other, &none));
        assert_ne!(key(array, &none), key(MACHINE, &none));
        let mut tables = vec![
            (0x1_0000, 0x8000_0000, 0),
            (0x4000_0000, 0x8020_0000, 1),
            (0x8000_0000, 0x4000_0000, 2),
        ];
        for va in [0x1_0abc, 0x4000_5000, 0x4010_0000, 0x8765_4321] {
            noted(&tlb, array, &tables, va);
        }
        let first = key(array, &tables);
        let unchanged = |tables: &Tables| assert_eq!(key(array, tables), first);
        tlb.clear_page(0x2_0000, None);
        tlb.clear_page(0x1_0000, Some(2));
        // Nothing else is looked at: these were not fenced.
        unchanged(&none);
        tlb.clear_page(0x1_0fff, Some(1));
        unchanged(&tables);
        tlb.clear_spaces(None);
        unchanged(&tables);
        // The entry may have made room for another: what was looked up holds all the same.
        tlb.fill(array, 0x1_0000 + (ENTRIES << 12) as u64, HOST, &SMALL);
        unchanged(&tables);
        // Any address of a large page stands for all of it.
        for (index, va) in [(0, 0x1_0000), (1, 0x401f_ffff), (2, 0xbfff_ffff)] {
            let changes: [fn(&mut Leaf); 2] = [|t| t.1 += 0x4000_0000, |t| t.2 = 3];
            for change in changes {
                let before = key(array, &tables);
                tlb.fill(array, va, HOST, &SMALL);
                tlb.clear_page(va, None);
                assert_eq!(key(array, &tables), before);
                change(&mut tables[index]);
                tlb.clear_page(va, None);
                assert_ne!(key(array, &tables), before);
                tables[index].2 = index as u32;
                for (va, ..) in tables.clone() {
                    noted(&tlb, array, &tables, va);
                }
            }
        }
        let before = (key(array, &tables), key(MACHINE, &none));
        tlb.clear();
        assert!(key(array, &tables) != before.0 && key(MACHINE, &none) != before.1);
    }

    #[test]
    fn code_that_the_tables_no_longer_lead_to_is_looked_up_anew_after_a_fence() {
        let tlb = Tlb::default();
        let array = tlb.array(3, View::Supervisor);
        let tables = vec![(0x1_0000, 0x8000_0000, 1)];
        let key = || tlb.keys().key(array, |va| walk(&tables, va));
        key();
        for stale in [[0x1_0000, 0x1_1000], [0x1_1000, 0x1_0000]] {
            for (va, pa) in stale
                .into_iter()
                .zip([0x8000_0000 + stale[0] - 0x1_0000, 0x9000_0000])
            {
                tlb.fill(array, va, HOST, &Mapping { level: 1, ..SMALL });
                tlb.keys().note(array, va, pa, |va| walk(&tables, va));
            }
            let before = key();
            tlb.clear_page(0x1_0000, None);
            assert_ne!(key(), before);
        }
    }

    #[test]
    fn code_that_was_elsewhere_for_a_while_without_a_fence_is_looked_up_anew_after_one() {
        let tlb = Tlb::default();
        let array = tlb.array(3, View::User);
        let tables = |pa| vec![(0x1000, pa, 0)];
        for pa in [0x8000_0000, 0x9000_0000, 0x8000_0000] {
            noted(&tlb, array, &tables(pa), 0x1000);
        }
        let key = || tlb.keys().key(array, |va| walk(&tables(0x8000_0000), va));
        let before = key();
        tlb.clear_page(0x1000, None);
        assert_ne!(key(), before);
    }

    #[test]
    fn another_space_in_the_same_place_has_another_key() {
        let tlb = Tlb::default();
        let tables = vec![(0x1000, 0x8000_0000, 0)];
        let first = tlb.array(100, View::User);
        noted(&tlb, first, &tables, 0x1000);
        let key = tlb.keys().key(first, |va| walk(&tables, va));
        for satp in 101..109 {
            tlb.array(satp, View::User);
        }
        assert_ne!(tlb.keys().key(first, |va| walk(&tables, va)), key);
    }

    const KERNEL: u64 = 0xffff_ffff_8000_0000;

    /// Two address spaces, of supervisors.
    fn spaces(tlb: &Tlb) -> [usize; 2] {
        [1, 2].map(|asid| tlb.array(asid << 44 | 7, View::Supervisor))
    }

    #[test]
    fn a_kernel_is_looked_up_once_for_all_address_spaces() {
        let tlb = Tlb::default();
        let [a, b] = spaces(&tlb);
        let key = |array, tables: &Tables| tlb.keys().key(array, |va| walk(tables, va));
        let tables = vec![(KERNEL, 0x8020_0000, 1), (KERNEL - 0x1000, 0x9000_0000, 0)];
        let first = key(a, &tables);
        noted(&tlb, a, &tables, KERNEL + 0x1234);
        assert_eq!([key(a, &tables), key(b, &tables)], [first; 2]);
        noted(&tlb, b, &tables, KERNEL - 0x1000);
        assert_eq!([key(b, &tables), key(a, &tables)], [first; 2]);
        // One that comes later finds all of it.
        let c = tlb.array(3 << 44 | 7, View::Supervisor);
        assert_eq!(key(c, &tables), first);
        // Users do not.
        let user = tlb.array(1 << 44 | 7, View::User);
        assert_ne!(key(user, &tables), first);
    }

    #[test]
    fn an_address_space_with_another_kernel_shares_nothing() {
        for other in [
            vec![],
            vec![(KERNEL, 0x8040_0000, 1)],
            vec![(KERNEL, 0x8020_0000, 2)],
        ] {
            let tlb = Tlb::default();
            let [a, b] = spaces(&tlb);
            let key = |array, tables: &Tables| tlb.keys().key(array, |va| walk(tables, va));
            let tables = vec![(KERNEL, 0x8020_0000, 1)];
            let first = key(a, &tables);
            noted(&tlb, a, &tables, KERNEL);
            let alone = key(b, &other);
            assert_ne!(alone, first);
            assert_eq!((key(a, &tables), key(b, &other)), (first, alone));
        }
    }

    #[test]
    fn what_one_address_space_gets_and_another_lacks_parts_them() {
        let tlb = Tlb::default();
        let [a, b] = spaces(&tlb);
        let key = |array, tables: &Tables| tlb.keys().key(array, |va| walk(tables, va));
        let mut tables = vec![(KERNEL, 0x8020_0000, 1)];
        noted(&tlb, a, &tables, KERNEL);
        let first = key(a, &tables);
        assert_eq!(key(b, &tables), first);
        let old = tables.clone();
        tables.push((KERNEL - 0x1000, 0x9000_0000, 0));
        noted(&tlb, a, &tables, KERNEL - 0x1000);
        assert_ne!(key(b, &old), first);
        assert_eq!(key(a, &tables), first);
    }

    #[test]
    fn code_that_moves_is_looked_up_anew_in_all_address_spaces() {
        let tlb = Tlb::default();
        let [a, b] = spaces(&tlb);
        let key = |array, tables: &Tables| tlb.keys().key(array, |va| walk(tables, va));
        let tables = vec![(KERNEL, 0x8020_0000, 0)];
        noted(&tlb, a, &tables, KERNEL);
        let first = key(a, &tables);
        assert_eq!(key(b, &tables), first);
        let moved = vec![(KERNEL, 0x8030_0000, 0)];
        // b has not been fenced, and goes on as it was until a finds out.
        tlb.clear_page(KERNEL, Some(1));
        assert_eq!(key(b, &tables), first);
        let second = key(a, &moved);
        assert_ne!(second, first);
        assert_ne!(key(b, &moved), first);
    }

    #[test]
    fn what_leads_elsewhere_without_a_fence_is_not_another_address_spaces() {
        let tlb = Tlb::default();
        let [a, b] = spaces(&tlb);
        let key = |array, tables: &Tables| tlb.keys().key(array, |va| walk(tables, va));
        let tables = vec![(KERNEL, 0x8020_0000, 0)];
        noted(&tlb, a, &tables, KERNEL);
        let first = key(a, &tables);
        assert_eq!(key(b, &tables), first);
        let moved = vec![(KERNEL, 0x8030_0000, 0)];
        noted(&tlb, a, &moved, KERNEL);
        // Where a's code is now, b's is not.
        assert_ne!(key(b, &tables), first);
    }

    #[test]
    fn a_supervisors_code_below_the_kernel_stays_its_own() {
        let tlb = Tlb::default();
        let [a, b] = spaces(&tlb);
        let key = |array, tables: &Tables| tlb.keys().key(array, |va| walk(tables, va));
        let kernel = vec![(KERNEL, 0x8020_0000, 1)];
        let low = vec![kernel[0], (0x1000, 0x9000_0000, 0)];
        let mut last = 0;
        for _ in 0..2 * MOST_LOW {
            let before = key(a, &low);
            noted(&tlb, a, &low, KERNEL);
            noted(&tlb, a, &low, 0x1000);
            last = key(b, &kernel);
            assert_ne!(last, before);
            noted(&tlb, b, &kernel, KERNEL);
        }
        // They go each alone by then.
        assert_eq!(key(b, &kernel), last);
        key(a, &low);
        assert_eq!(key(b, &kernel), last);
    }
}
