//! Which guest addresses have code, which regions that is part of, and which jumps lead there.

use crate::code::{Descriptor, Slot};
use crate::compiler::{Compiled, Links, Shared};
use crate::explain::Listing;
use crate::portable::Portable;
use frontend::Region;
use frontend::block::Block;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A region's number; never used again.
pub type RegionId = u64;

/// Which guest code a region is.
#[derive(Clone)]
pub struct Shape {
    /// Where it may be entered.
    pub entries: Vec<u64>,
    /// Its guest instructions.
    pub size: usize,
    /// First and behind last address of its blocks.
    pub blocks: Vec<(u64, u64)>,
    /// The numbers of the pages that it lies on.
    pub pages: Vec<u64>,
    /// See [`Region::targets`].
    pub targets: Vec<u64>,
    /// See [`Region::callees`].
    pub callees: Vec<(u64, Vec<u64>)>,
}

impl Shape {
    /// That of a region.
    pub fn of(region: &Region) -> Shape {
        let bounds = |block: &Block| (block.start, block.end);
        Shape {
            entries: region.entries.clone(),
            size: region.len(),
            blocks: region.blocks.iter().map(bounds).collect(),
            pages: region.pages(),
            targets: region.targets.clone(),
            callees: region.callees.clone(),
        }
    }
}

/// One region.
pub struct Record {
    /// Which guest code it is.
    pub shape: Shape,
    /// How often it was compiled anew to grow.
    pub version: u32,
    /// Its code; none while it is being compiled.
    links: Option<Arc<Links>>,
    /// Its code as it can be kept, if this process compiled it.
    portable: Option<Arc<Portable>>,
    /// What it became, if listings are kept.
    pub listing: Option<Arc<Listing>>,
}

/// All regions of an address space.
#[derive(Default)]
pub struct Table {
    regions: FxHashMap<RegionId, Record>,
    next: RegionId,
    /// Blocks by first address: where they end, whose they are.
    blocks: BTreeMap<u64, (u64, RegionId)>,
    by_page: FxHashMap<u64, Vec<RegionId>>,
    /// Entries with code.
    entries: FxHashMap<u64, (RegionId, usize)>,
    /// Jumps out of compiled regions, by target: whose, and which.
    jumps: FxHashMap<u64, Vec<(RegionId, usize)>>,
    /// The generation of all code.
    generation: Option<Arc<Shared>>,
}

impl Table {
    /// The code that begins at `pc`.
    pub fn entry(&self, pc: u64) -> Option<Descriptor> {
        let &(id, index) = self.entries.get(&pc)?;
        let links = self.regions.get(&id)?.links.as_ref()?;
        links.descriptors.get(index).copied()
    }

    /// The generation that all code is part of.
    pub fn generation(&self) -> Option<Arc<Shared>> {
        self.generation.clone()
    }

    /// The region that has a block across `pc`.
    pub fn owner(&self, pc: u64) -> Option<RegionId> {
        let (_, &(end, id)) = self.blocks.range(..=pc).next_back()?;
        (pc < end).then_some(id)
    }

    /// A region that is in the table.
    pub fn region(&self, id: RegionId) -> Option<&Record> {
        self.regions.get(&id)
    }

    /// Where a region's host code begins.
    pub fn function(&self, id: RegionId) -> Option<u64> {
        let links = self.regions.get(&id)?.links.as_ref()?;
        links.descriptors.first().map(|first| first.function)
    }

    /// Whether a region has instructions in any of these ranges of addresses.
    pub fn overlaps(&self, blocks: &[(u64, u64)]) -> bool {
        blocks.iter().any(|&(start, end)| {
            let before = self.blocks.range(..end.max(start + 1)).next_back();
            before.is_some_and(|(&at, &(stop, _))| at == start || stop > start)
        })
    }

    /// What this process compiled and still has, as it can be kept.
    pub fn portables(&self) -> Vec<Arc<Portable>> {
        let records = self.regions.values();
        records.filter_map(|r| r.portable.clone()).collect()
    }

    /// After a fork: what there is was compiled by the parent.
    pub fn inherit(&mut self) {
        for record in self.regions.values_mut() {
            record.portable = None;
        }
    }

    /// Whether a region is being compiled.
    pub fn is_compiling(&self, id: RegionId) -> bool {
        self.regions
            .get(&id)
            .is_some_and(|record| record.links.is_none())
    }

    /// Whether compiled code of other regions than these jumps to `pc`.
    pub fn is_jumped_to(&self, pc: u64, but: &[RegionId]) -> bool {
        self.jumps
            .get(&pc)
            .is_some_and(|jumps| jumps.iter().any(|(id, _)| !but.contains(id)))
    }

    /// Takes up a region that will be compiled. Its code takes the place of that of `replaced`,
    /// whose blocks and entries it has, once it is there.
    ///
    /// `anew`: whether that counts as compiling anew to grow.
    pub fn begin(&mut self, shape: Shape, replaced: &[RegionId], anew: bool) -> RegionId {
        let id = self.next;
        self.next += 1;
        let version = replaced
            .iter()
            .filter_map(|id| self.regions.get(id))
            .map(|r| r.version + u32::from(anew));
        let record = Record {
            version: version.max().unwrap_or(0),
            shape,
            links: None,
            portable: None,
            listing: None,
        };
        // The old ones keep their code until the new is there, but own nothing any more.
        for old in replaced {
            if let Some(old) = self.regions.get(old) {
                for (start, _) in old.shape.blocks.clone() {
                    self.blocks.remove(&start);
                }
            }
        }
        for &(start, end) in &record.shape.blocks {
            self.blocks.insert(start, (end, id));
        }
        for &page in &record.shape.pages {
            self.by_page.entry(page).or_default().push(id);
        }
        self.regions.insert(id, record);
        id
    }

    /// Gives up a region that could not be compiled.
    pub fn abandon(&mut self, id: RegionId) {
        self.remove(id);
    }

    /// Makes a region's code known, unless the region was dropped meanwhile. Whether it was not.
    pub fn publish(&mut self, id: RegionId, compiled: Compiled) -> bool {
        let fresh = self
            .generation
            .as_ref()
            .is_some_and(|generation| !Arc::ptr_eq(generation, &compiled.generation));
        if fresh {
            self.drop_all_code();
        }
        self.generation = Some(compiled.generation.clone());
        let Some(record) = self.regions.get_mut(&id) else {
            return false;
        };
        record.links = Some(compiled.links.clone());
        record.listing = compiled.listing.map(Arc::new);
        record.portable = compiled.portable.map(Arc::new);
        for (index, descriptor) in compiled.links.descriptors.iter().enumerate() {
            self.entries.insert(descriptor.pc, (id, index));
            self.relink(descriptor.pc);
        }
        for (index, slot) in compiled.links.slots().iter().enumerate() {
            self.jumps.entry(slot.pc()).or_default().push((id, index));
            if let Some(&entry) = self.entries.get(&slot.pc()) {
                self.link(slot, entry);
            }
        }
        true
    }

    fn link(&self, slot: &Slot, (id, index): (RegionId, usize)) {
        let links = self
            .regions
            .get(&id)
            .and_then(|record| record.links.as_ref());
        if let Some(descriptor) = links.and_then(|links| links.descriptors.get(index)) {
            slot.link(descriptor);
        }
    }

    /// Makes all jumps to `pc` lead to its code, or nowhere if it has none.
    fn relink(&self, pc: u64) {
        let entry = self.entries.get(&pc).copied();
        for &(id, index) in self.jumps.get(&pc).into_iter().flatten() {
            let links = self
                .regions
                .get(&id)
                .and_then(|record| record.links.as_ref());
            let Some(slot) = links.and_then(|links| links.slots().get(index)) else {
                continue;
            };
            match entry {
                Some(entry) => self.link(slot, entry),
                None => slot.unlink(),
            }
        }
    }

    /// Drops all regions with instructions on these pages. How many.
    pub fn invalidate(&mut self, pages: &[u64]) -> usize {
        let mut dropped = 0;
        for page in pages {
            for id in self.by_page.get(page).cloned().unwrap_or_default() {
                dropped += usize::from(self.remove(id));
            }
        }
        dropped
    }

    /// Drops regions whose place others have taken, keeping what the others have made of it.
    pub fn retire(&mut self, replaced: &[RegionId]) {
        for &id in replaced {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: RegionId) -> bool {
        let Some(record) = self.regions.get(&id) else {
            return false;
        };
        let links = record.links.clone();
        let (blocks, pages) = (record.shape.blocks.clone(), record.shape.pages.clone());
        // Harts that are still inside leave by its jumps, which lead nowhere from now on: what
        // they led to may be dropped later, when nobody knows these jumps any more.
        if let Some(links) = links {
            for slot in links.slots() {
                slot.unlink();
                if let Some(jumps) = self.jumps.get_mut(&slot.pc()) {
                    jumps.retain(|&(owner, _)| owner != id);
                }
            }
            for descriptor in &links.descriptors {
                if self
                    .entries
                    .get(&descriptor.pc)
                    .is_some_and(|&(owner, _)| owner == id)
                {
                    self.entries.remove(&descriptor.pc);
                    self.relink(descriptor.pc);
                }
            }
        }
        for (start, _) in blocks {
            if self
                .blocks
                .get(&start)
                .is_some_and(|&(_, owner)| owner == id)
            {
                self.blocks.remove(&start);
            }
        }
        for page in pages {
            if let Some(ids) = self.by_page.get_mut(&page) {
                ids.retain(|&other| other != id);
            }
        }
        self.regions.remove(&id);
        true
    }

    /// Drops everything that has code; what is being compiled stays.
    pub fn drop_all_code(&mut self) {
        let ids: Vec<RegionId> = self
            .regions
            .iter()
            .filter(|(_, record)| record.links.is_some())
            .map(|(&id, _)| id)
            .collect();
        for id in ids {
            self.remove(id);
        }
        self.generation = None;
    }

    /// Drops what is being compiled.
    pub fn drop_unfinished(&mut self) {
        let ids: Vec<RegionId> = self
            .regions
            .iter()
            .filter(|(_, record)| record.links.is_none())
            .map(|(&id, _)| id)
            .collect();
        for id in ids {
            self.remove(id);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.drop_all_code();
        self.drop_unfinished();
    }
}
