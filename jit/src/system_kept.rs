//! A machine's compiled code that is kept: what it is found again by, and how it is put in place.
//!
//! What begins at a place is told by its number on the page and the bytes there, so neither the address
//! nor the page that it was compiled at matters. A region whose guest code lies on several pages fits
//! where all of them lie beside each other as they did then.

use crate::compiler::{Compiled, Compiler, Links, Shared};
use crate::host::cpu_time;
use crate::portable::{Installed, Portable};
use crate::system_jit::SystemJit;
use frontend::{Block, Region};
use hart::{Memory, SystemMemory};
use memory::{PAGE, PAGE_BITS};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Bytes of compiled code and what describes it that one compiler keeps at most; what is compiled
/// later is not kept.
const MOST: usize = 96 << 20;

/// What a machine's compiler keeps.
#[derive(Default)]
pub(crate) struct Keeping {
    /// What it compiled.
    made: Vec<Arc<Portable>>,
    bytes: usize,
    /// What was put in place already, by its number: it can be used at other places too.
    placed: FxHashMap<usize, Placed>,
}

/// Code in its place.
struct Placed {
    generation: Arc<Shared>,
    links: Arc<Links>,
    floats: bool,
}

/// Code that may be what is looked for, as much of it as is needed to tell.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Which one; the same for the same code.
    pub number: usize,
    /// The address of the entry in question when it was compiled.
    pub entry: u64,
    /// First and behind last address of its blocks then.
    pub blocks: &'a [(u64, u64)],
    /// The bytes of all blocks.
    pub guest: &'a [u8],
}

/// The first two parcels at a place, or the first if there is no more on the page. The second may
/// belong to something else; then it only tells apart what need not be.
type Beginning = (u64, u32);

impl Candidate<'_> {
    /// What begins at its entry: equal to [`SystemJit::beginning`] where it fits.
    pub fn beginning(&self) -> Option<Beginning> {
        let mut at = 0;
        for &(start, end) in self.blocks {
            if (start..end).contains(&self.entry) {
                let from = at + (self.entry - start) as usize;
                let length = (end - self.entry).min(4) as usize;
                let bytes = self.guest.get(from..from + length)?;
                return beginning(self.entry, |n| {
                    let parcel = bytes.get(2 * n..2 * n + 2)?;
                    Some(u16::from_le_bytes(parcel.try_into().ok()?))
                });
            }
            at += (end - start) as usize;
        }
        None
    }
}

/// The number of `pc` on its page, and the instruction there as far as it lies on the page.
fn beginning(pc: u64, parcel: impl Fn(usize) -> Option<u16>) -> Option<Beginning> {
    let low = parcel(0)?;
    let whole = frontend::decode::length(low) == 4 && pc % PAGE < PAGE - 2;
    let high = if whole { parcel(1)? } else { 0 };
    Some((pc % PAGE, u32::from(low) | u32::from(high) << 16))
}

/// What a comparison with the guest's memory has shown.
#[derive(PartialEq, Eq)]
enum Match {
    Same,
    Other,
    /// Not all of it can be fetched now.
    Absent,
}

impl SystemJit {
    /// What begins at `pc`: kept code that begins with something else does not fit.
    pub fn beginning(pc: u64, memory: &SystemMemory) -> Option<Beginning> {
        let page = memory.code_page_of(pc)?;
        beginning(pc, |n| {
            memory.code_parcel(page, pc.wrapping_add(2 * n as u64))
        })
    }

    /// What tells the hosts and options apart whose code fits this.
    pub fn fits(&self) -> String {
        crate::compiler::fits(&self.options)
    }

    /// What was compiled so far, with `Options::keep`, whether or not it is still in place.
    pub fn portables(&self) -> &[Arc<Portable>] {
        &self.keeping.made
    }

    /// Puts kept code to where `pc` is now, if what it was made from is there. `portable` gives all of
    /// it.
    pub fn install(
        &mut self,
        pc: u64,
        memory: &SystemMemory,
        candidate: &Candidate<'_>,
        portable: impl FnOnce() -> Option<Portable>,
    ) -> Installed {
        let moved = pc.wrapping_sub(candidate.entry);
        if !moved.is_multiple_of(PAGE) {
            return Installed::Refused;
        }
        if self.find(pc, memory).is_some() {
            return Installed::Ready;
        }
        match compare(candidate, moved, memory, &mut |_, _| {}) {
            Match::Same => {}
            Match::Other => return Installed::Refused,
            Match::Absent => return Installed::Busy,
        }
        // Whoever makes code watches the page first and reads it then.
        let mut pages = FxHashMap::default();
        let seen = compare(candidate, moved, memory, &mut |number, page| {
            if pages.insert(number, page).is_none() {
                memory.watch_code(page);
            }
        });
        if seen != Match::Same {
            return Installed::Busy;
        }
        let started = cpu_time();
        let compiled = self.put(candidate.number, portable);
        self.stats.install_ns += cpu_time().saturating_sub(started);
        let Some(compiled) = compiled else {
            return Installed::Refused;
        };
        self.stats.installed += 1;
        self.publish(moved, compiled, &pages, memory);
        match self.find(pc, memory).is_some() {
            true => Installed::Ready,
            false => Installed::Refused,
        }
    }

    /// Kept code in executable memory: where it was put before, or anew.
    fn put(
        &mut self,
        number: usize,
        portable: impl FnOnce() -> Option<Portable>,
    ) -> Option<Compiled> {
        let known = self.keeping.placed.get(&number);
        let known = known.filter(|placed| {
            let generation = self.generation.as_ref();
            generation.is_some_and(|present| Arc::ptr_eq(present, &placed.generation))
        });
        if let Some(placed) = known {
            let (generation, links) = (placed.generation.clone(), placed.links.clone());
            return Some(Compiled::again(generation, links, placed.floats));
        }
        let portable = portable().filter(Portable::is_sound)?;
        let compiled = match &mut self.compiler {
            Some(compiler) => compiler.install(&portable),
            None => Compiler::new(&self.options)
                .and_then(|compiler| self.compiler.insert(compiler).install(&portable)),
        };
        let compiled = compiled.ok()?;
        let placed = Placed {
            generation: compiled.generation.clone(),
            links: compiled.links.clone(),
            floats: compiled.floats,
        };
        self.keeping.placed.insert(number, placed);
        Some(compiled)
    }

    /// Takes up what was compiled, if code is kept.
    pub(crate) fn keep(
        &mut self,
        region: &Region,
        pages: &FxHashMap<u64, u64>,
        portable: Option<Portable>,
        memory: &SystemMemory,
    ) {
        let guest = || guest_code(region, pages, memory);
        let Some((portable, guest)) = portable.and_then(|portable| Some((portable, guest()?)))
        else {
            return;
        };
        let bytes = portable.code.len() + guest.len();
        if self.keeping.bytes + bytes <= MOST {
            self.keeping.bytes += bytes;
            self.keeping
                .made
                .push(Arc::new(Portable { guest, ..portable }));
        }
    }

    /// Forgets what was put into other generations than the present one.
    pub(crate) fn forget_others(&mut self) {
        let present = self.generation.as_ref();
        self.keeping.placed.retain(|_, placed| {
            present.is_some_and(|present| Arc::ptr_eq(present, &placed.generation))
        });
    }
}

/// Compares what a region was made from with what is there now, and calls `on` with the numbers of the
/// pages then, and the code pages, before they are read.
fn compare(
    candidate: &Candidate<'_>,
    moved: u64,
    memory: &SystemMemory,
    on: &mut dyn FnMut(u64, u64),
) -> Match {
    let mut expected = candidate.guest.chunks_exact(2);
    // The page that was asked for last.
    let mut last = None;
    for &(start, end) in candidate.blocks {
        for then in (start..end).step_by(2) {
            let number = then >> PAGE_BITS;
            let page = match last {
                Some((known, page)) if known == number => page,
                _ => {
                    let Some(page) = memory.code_page_of(then.wrapping_add(moved)) else {
                        return Match::Absent;
                    };
                    on(number, page);
                    last = Some((number, page));
                    page
                }
            };
            let Some(parcel) = memory.code_parcel(page, then.wrapping_add(moved)) else {
                return Match::Absent;
            };
            if expected.next() != Some(&parcel.to_le_bytes()[..]) {
                return Match::Other;
            }
        }
    }
    Match::Same
}

/// The guest code of a region, if it still is what the region was made from.
fn guest_code(
    region: &Region,
    pages: &FxHashMap<u64, u64>,
    memory: &SystemMemory,
) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4 * region.len());
    for block in &region.blocks {
        let from = bytes.len();
        for va in (block.start..block.end).step_by(2) {
            let page = *pages.get(&(va >> PAGE_BITS))?;
            bytes.extend(memory.code_parcel(page, va)?.to_le_bytes());
        }
        let again = Block::decode(
            block.start,
            block.insns.len().max(1),
            |_| false,
            |va| {
                let at = from + va.checked_sub(block.start).ok_or(())? as usize;
                let parcel = bytes.get(at..at + 2).ok_or(())?;
                Ok::<u16, ()>(u16::from_le_bytes(parcel.try_into().map_err(|_| ())?))
            },
        );
        if again.insns != block.insns {
            return None;
        }
    }
    Some(bytes)
}
