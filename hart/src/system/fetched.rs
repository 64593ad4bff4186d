//! Which addresses a view of memory was asked for by whoever keeps compiled code, and where they led: a
//! fence after which they still lead there costs no more than finding that out.

use crate::privileged::walk::Mapping;
use memory::PAGE_BITS;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Pages that are known to have been noted, at most.
const RECENT: usize = 256;
/// No page has this number.
const NOWHERE: (u64, u64) = (u64::MAX, 0);

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
