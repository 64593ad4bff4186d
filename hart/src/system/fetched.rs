//! Which addresses a view of memory was asked for by whoever keeps compiled code, and where they led: a
//! fence after which they still lead there costs no more than finding that out.

use super::tlb::ARRAYS;
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
    /// The last key given away.
    last: Cell<u64>,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys {
            fetched: std::array::from_fn(|array| Fetched::new(array as u64 + 1)),
            last: Cell::new(ARRAYS as u64),
        }
    }
}

impl Keys {
    /// An array's addresses.
    pub fn of(&self, array: usize) -> &Fetched {
        &self.fetched[array % ARRAYS]
    }

    /// What stays the same as long as the addresses noted lead where they did, seen through an array. No
    /// two arrays have the same. `walk` is asked where addresses lead, if there was a fence.
    pub fn key(&self, array: usize, walk: impl Fn(u64) -> Option<Mapping>) -> u64 {
        let fetched = self.of(array);
        let key = fetched.key().unwrap_or_else(|| {
            if !fetched.still_holds(walk) {
                self.renew(array);
            }
            fetched.key().unwrap_or(0)
        });
        key << 8 | array as u64
    }

    /// Forgets an array's addresses.
    pub fn renew(&self, array: usize) {
        let key = self.last.get() + 1;
        self.last.set(key);
        self.of(array).renew(key);
    }
}

/// The addresses seen through one array of the translation cache.
pub struct Fetched {
    /// Changes whenever one of them may lead elsewhere; never used again.
    key: Cell<u64>,
    /// Whether a fence concerned one of them, and it is not known yet where they lead now.
    doubtful: Cell<bool>,
    /// Whether nothing will tell that they still lead where they did.
    lost: Cell<bool>,
    /// Numbers of pages noted before, and where they led, by the lowest bits.
    recent: [Cell<(u64, u64)>; RECENT],
    /// The mappings that they are part of, large ones as a whole: from the first address to the first
    /// physical one, and the level.
    mappings: RefCell<BTreeMap<u64, (u64, u32)>>,
}

impl Fetched {
    /// None yet.
    pub fn new(key: u64) -> Fetched {
        Fetched {
            key: Cell::new(key),
            doubtful: Cell::new(false),
            lost: Cell::new(false),
            recent: [const { Cell::new(NOWHERE) }; RECENT],
            mappings: RefCell::default(),
        }
    }

    /// The key, unless there are doubts.
    pub fn key(&self) -> Option<u64> {
        (!self.doubtful.get()).then(|| self.key.get())
    }

    /// Takes up an address that leads to `pa`. That may be what an earlier walk said: it is to lead
    /// there by the tables as they are now, too, for a fence to be harmless.
    pub fn note(&self, va: u64, pa: u64, walk: impl FnOnce(u64) -> Option<Mapping>) {
        let page = va >> PAGE_BITS;
        let recent = &self.recent[page as usize % RECENT];
        let here = (page, pa >> PAGE_BITS);
        if recent.replace(here) == here {
            return;
        }
        let mut mappings = self.mappings.borrow_mut();
        if let Some((start, (first, _))) = covering(&mappings, va) {
            if first.wrapping_add(va - start) != pa {
                self.lost.set(true);
            }
            return;
        }
        let Some(mapping) = walk(va).filter(|mapping| mapping.pa == pa) else {
            self.lost.set(true);
            return;
        };
        let inside = va & (span(mapping.level) - 1);
        let (start, end) = (va - inside, (va - inside).checked_add(span(mapping.level)));
        if mappings
            .range(start..)
            .next()
            .is_some_and(|(&other, _)| end.is_none_or(|end| other < end))
        {
            // Part of it was another mapping before.
            self.lost.set(true);
        }
        mappings.insert(start, (pa.wrapping_sub(inside), mapping.level));
    }

    /// After a fence for all addresses.
    pub fn doubt(&self) {
        self.doubtful.set(true);
    }

    /// After a fence for `va`: for all of the large page that it is or was part of.
    pub fn doubt_at(&self, va: u64) {
        if self.doubtful.get() {
            return;
        }
        if self.lost.get() || covering(&self.mappings.borrow(), va).is_some() {
            self.doubtful.set(true);
        }
    }

    /// Whether all of them lead where they did; then there are no doubts any more.
    pub fn still_holds(&self, walk: impl Fn(u64) -> Option<Mapping>) -> bool {
        let same = |(&va, &(pa, level)): (&u64, &(u64, u32))| {
            walk(va).is_some_and(|now| now.fetch && (now.pa, now.level) == (pa, level))
        };
        let holds = !self.lost.get() && self.mappings.borrow().iter().all(same);
        if holds {
            self.doubtful.set(false);
        }
        holds
    }

    /// Forgets all of them.
    pub fn renew(&self, key: u64) {
        self.key.set(key);
        self.doubtful.set(false);
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
            .of(array)
            .note(va, mapping.pa, |va| walk(tables, va));
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
        for stale in [[0x1_0000, 0x1_1000], [0x1_1000, 0x1_0000]] {
            for (va, pa) in stale
                .into_iter()
                .zip([0x8000_0000 + stale[0] - 0x1_0000, 0x9000_0000])
            {
                tlb.fill(array, va, HOST, &Mapping { level: 1, ..SMALL });
                tlb.keys().of(array).note(va, pa, |va| walk(&tables, va));
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
}
