//! The compiled code of a whole machine.
//!
//! A region is made of code pages that lie in certain distances from each other, and remembers both.
//! It may be entered wherever they lie so, whatever the address space and the address: neither a switch
//! of those nor a fence throws any code away, and a library is compiled once for all programs. What
//! depends on the address is worked out when it runs, from how far the region was moved. Each hart looks
//! that up when it first goes to an entry, and notes it in its jump cache, together with the key for
//! which it holds; compiled code goes from region to region by the jump cache alone.
//!
//! Regions may overlap: a loop in the middle of a function, hot before the function was, is code of
//! its own, to which the function's jumps.

use crate::code::Descriptor;
use crate::compiler::{Compiled, Compiler, Links, Shared};
use crate::host::cpu_time;
use crate::system_kept::Keeping;
use crate::{Error, Options, Stats};
use frontend::Region;
use hart::{Memory, SystemMemory};
use memory::{PAGE, PAGE_BITS};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A place on a code page: its number there, and the page.
type Place = (u64, u64);

fn place_of(pc: u64, page: u64) -> Place {
    (pc % PAGE, page)
}

/// Functions that were dropped and are told of, at most.
const MOST_TOLD: usize = 1 << 12;

/// Regions that begin at one place, at most: whatever is beside it.
const MOST_AT_A_PLACE: usize = 8;

/// A region with code.
struct Record {
    /// The page numbers of its addresses when it was compiled, and the code pages that those led to.
    pages: Vec<(u64, u64)>,
    /// Where it begins: the addresses then, and the code pages.
    entries: Vec<(u64, u64)>,
    /// Keeps alive what its code points to.
    links: Arc<Links>,
}

impl Record {
    /// The host address of its code.
    fn function(&self) -> Option<u64> {
        Some(self.links.descriptors.first()?.function)
    }
}

/// Code that begins at a place. What is asked for most lies side by side.
struct Beginning {
    descriptor: Descriptor,
    /// Whether it holds floating-point instructions, which may be forbidden.
    floats: bool,
    /// Whether all of it is on the page where it begins.
    one_page: bool,
    record: Arc<Record>,
}

/// The compiler of a machine, and what it has compiled, for harts that take turns on one thread; those
/// with threads of their own have one each.
pub struct SystemJit {
    pub(crate) options: Options,
    pub(crate) compiler: Option<Compiler>,
    /// What all code is part of.
    pub(crate) generation: Option<Arc<Shared>>,
    /// What begins at a place, seldom more than one: the same page can lie beside others.
    entries: FxHashMap<Place, SmallVec<[Beginning; 1]>>,
    by_page: FxHashMap<u64, Vec<Arc<Record>>>,
    /// Rises whenever code is dropped.
    epoch: u64,
    /// Its first epoch: another one for each compiler.
    number: u64,
    /// The epoch since which `dropped` tells what was; before that it may have been anything.
    told_since: u64,
    /// Functions that are no longer to be entered, and since which epoch.
    dropped: Vec<(u64, u64)>,
    pub(crate) stats: Stats,
    pub(crate) keeping: Keeping,
}

fn next_epoch() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl SystemJit {
    /// A compiler for a machine's code; what `options` say of threads and counting is not asked.
    pub fn new(options: Options) -> Result<SystemJit, Error> {
        let options = Options {
            counting: true,
            system: true,
            background: false,
            // The number of an entry has room beside how far the region was moved.
            region_size: options.region_size.min(PAGE as usize - 1),
            ..options
        };
        crate::compiler::isa(&options)?;
        let epoch = next_epoch();
        Ok(SystemJit {
            options,
            compiler: None,
            generation: None,
            entries: FxHashMap::default(),
            by_page: FxHashMap::default(),
            epoch,
            number: epoch,
            told_since: epoch,
            dropped: Vec::new(),
            stats: Stats::default(),
            keeping: Keeping::default(),
        })
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Another one whenever code is dropped, and for each compiler: what jump slots noted before may be
    /// gone. Never 0.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Another one for each compiler, and never 0.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The functions that were dropped since an epoch of its; `None` if that may be any. Some may be in
    /// use again.
    pub(crate) fn dropped_since(&self, epoch: u64) -> Option<FxHashSet<u64>> {
        let since = self.dropped.iter().filter(|(when, _)| *when > epoch);
        let known = self.told_since <= epoch;
        known.then(|| since.map(|(_, function)| *function).collect())
    }

    /// Code was dropped: these functions, or any.
    fn drop_functions(&mut self, functions: Option<Vec<u64>>) {
        self.epoch = next_epoch();
        let functions = functions.filter(|new| self.dropped.len() + new.len() <= MOST_TOLD);
        match functions {
            Some(functions) => {
                let told = functions.into_iter().map(|function| (self.epoch, function));
                self.dropped.extend(told);
            }
            None => {
                self.dropped.clear();
                self.told_since = self.epoch;
            }
        }
    }

    /// Rises whenever code is added.
    pub(crate) fn published(&self) -> u64 {
        self.stats.regions + self.stats.installed
    }

    /// What all code is part of; none if there is none.
    pub(crate) fn generation(&self) -> Option<&Arc<Shared>> {
        self.generation.as_ref()
    }

    /// The code at `pc`, if it may be entered. The entry tells how far it was moved, too.
    pub(crate) fn find(&self, pc: u64, memory: &SystemMemory) -> Option<Descriptor> {
        let page = memory.code_page_of(pc)?;
        let known = self.entries.get(&place_of(pc, page))?;
        known.iter().find_map(|beginning| {
            let descriptor = beginning.descriptor;
            let moved = pc.wrapping_sub(descriptor.pc);
            let elsewhere = |&(number, page): &(u64, u64)| {
                let va = (number << PAGE_BITS).wrapping_add(moved);
                memory.code_page_of(va) != Some(page)
            };
            let forbidden = beginning.floats && !memory.may_float();
            if forbidden || !beginning.one_page && beginning.record.pages.iter().any(elsewhere) {
                return None;
            }
            Some(Descriptor {
                pc,
                entry: descriptor.entry | moved,
                ..descriptor
            })
        })
    }

    /// Compiles the code around `pc`, as far as it is `warm`, which is asked of addresses and their
    /// code pages. Whether there is code at `pc` now that may be entered.
    pub fn request(
        &mut self,
        pc: u64,
        memory: &SystemMemory,
        warm: impl Fn(u64, u64) -> bool,
    ) -> bool {
        if self.find(pc, memory).is_some() {
            return true;
        }
        let mut pages = FxHashMap::default();
        let region = self.discover(pc, memory, warm, &mut pages);
        if region.block(pc).is_none_or(|block| block.insns.is_empty()) {
            return false;
        }
        let started = cpu_time();
        let compiled = match &mut self.compiler {
            Some(compiler) => compiler.compile(&region),
            None => Compiler::new(&self.options)
                .and_then(|compiler| self.compiler.insert(compiler).compile(&region)),
        };
        self.stats.compile_ns += cpu_time().saturating_sub(started);
        let Ok(mut compiled) = compiled else {
            return false;
        };
        let numbers = region.pages();
        pages.retain(|number, _| numbers.contains(number));
        let portable = compiled.portable.take();
        self.keep(&region, &pages, portable, memory);
        self.stats.regions += 1;
        self.stats.guest_instructions += compiled.instructions as u64;
        self.stats.host_bytes += compiled.bytes as u64;
        self.publish(0, compiled, &pages, memory);
        self.find(pc, memory).is_some()
    }

    /// Finds the region around `pc`, and what its pages are. It ends where other regions begin.
    fn discover(
        &self,
        pc: u64,
        memory: &SystemMemory,
        warm: impl Fn(u64, u64) -> bool,
        pages: &mut FxHashMap<u64, u64>,
    ) -> Region {
        let page = |va: u64| memory.code_page_of(va);
        let foreign = |at: u64| {
            let known = |page| self.entries.contains_key(&place_of(at, page));
            at != pc && (self.options.one_block || page(at).is_some_and(known))
        };
        let wanted = |at: u64| page(at).is_some_and(|page| warm(at, page));
        let fetch = |va: u64| {
            let page = page(va).ok_or(())?;
            let number = va >> PAGE_BITS;
            if pages.insert(number, page).is_none() {
                memory.watch_code(page);
            }
            memory.code_parcel(page, va).ok_or(())
        };
        Region::discover_within(&[pc], self.options.region_size, foreign, wanted, fetch)
    }

    /// Makes code known that was compiled for addresses `moved` below those that it is entered at now,
    /// whose page numbers led to these `pages`.
    pub(crate) fn publish(
        &mut self,
        moved: u64,
        compiled: Compiled,
        pages: &FxHashMap<u64, u64>,
        memory: &SystemMemory,
    ) {
        let old = self.generation.as_ref();
        let fresh = old.is_some_and(|old| !Arc::ptr_eq(old, &compiled.generation));
        self.generation = Some(compiled.generation);
        if fresh {
            self.clear();
            self.forget_others();
            self.stats.evictions += 1;
        }
        let place = |pc: u64| Some((pc, *pages.get(&(pc >> PAGE_BITS))?));
        let descriptors = compiled.links.descriptors.iter();
        // What is an entry already stays where it is.
        let new: Vec<(Descriptor, Place)> = descriptors
            .filter_map(|descriptor| Some((*descriptor, place(descriptor.pc)?)))
            .filter(|(_, (pc, _))| self.find(pc.wrapping_add(moved), memory).is_none())
            .collect();
        let mut numbers: Vec<(u64, u64)> = pages.iter().map(|(&va, &page)| (va, page)).collect();
        numbers.sort_unstable();
        let record = Arc::new(Record {
            pages: numbers,
            entries: new.iter().map(|(_, place)| *place).collect(),
            links: compiled.links.clone(),
        });
        for (descriptor, (pc, page)) in new {
            let known = self.entries.entry(place_of(pc, page)).or_default();
            if known.len() >= MOST_AT_A_PLACE {
                known.remove(0);
            }
            known.push(Beginning {
                descriptor,
                floats: compiled.floats,
                one_page: record.pages == [(pc >> PAGE_BITS, page)],
                record: record.clone(),
            });
        }
        let distinct: FxHashSet<u64> = record.pages.iter().map(|(_, page)| *page).collect();
        for page in distinct {
            self.by_page.entry(page).or_default().push(record.clone());
        }
    }

    /// Drops all code made from these code pages; where that began, for whoever wants to have it
    /// compiled again.
    pub fn invalidate(&mut self, pages: &[u64]) -> Vec<(u64, u64)> {
        let mut dropped = Vec::new();
        let mut functions = Vec::new();
        for page in pages {
            for record in self.by_page.remove(page).unwrap_or_default() {
                self.stats.dropped += 1;
                functions.extend(record.function());
                for &(pc, page) in &record.entries {
                    let place = place_of(pc, page);
                    if let Some(known) = self.entries.get_mut(&place) {
                        known.retain(|other| !Arc::ptr_eq(&other.record, &record));
                        if known.is_empty() {
                            self.entries.remove(&place);
                        }
                        dropped.push((pc, page));
                    }
                }
                for (_, other) in &record.pages {
                    if let Some(records) = self.by_page.get_mut(other) {
                        records.retain(|known| !Arc::ptr_eq(known, &record));
                    }
                }
            }
        }
        if !functions.is_empty() {
            self.drop_functions(Some(functions));
        }
        dropped
    }

    /// Drops all code. It changes nothing but speed.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.by_page.clear();
        self.drop_functions(None);
    }
}
