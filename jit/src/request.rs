//! What to compile when an address turns out to be hot.
//!
//! Regions do not overlap. Code that leads into another region is joined with it if both together
//! are not too large, which means compiling that one again; an address inside a region becomes one
//! more entry of it, which does so too. Both wait until they are asked for twice, the longer the
//! more there is to compile.

use crate::background::Job;
use crate::jit::{Inner, lock};
use crate::strays::Strays;
use crate::table::{RegionId, Shape, Table};
use frontend::{Block, Flow, Region};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// There is code for the address.
    Ready,
    /// It is being compiled.
    Queued,
    /// It means compiling a region again: ask again when the address has been reached this many
    /// times more.
    Later(u32),
    /// It leads to this address, around which code was kept: install that, and ask again.
    Kept(u64),
    /// It cannot be compiled (nothing can be fetched there, or Cranelift refused it); do not ask
    /// again before the page changes.
    Refused,
}

/// Arrivals at an address inside a region to wait for at least, in a program's first run.
const PATIENCE: u32 = 1000;
/// Arrivals to wait for whenever something waits. The first one is the present one.
const LEAST: u32 = 16;
/// Into so many parts what is to be waited for is divided: after each the region that is waited for
/// may have run for so long that compiling it again pays already.
const LOOKS: u32 = 32;
/// So many times as long as compiling it takes: what is found first of a function is often a loop in
/// the middle of it, and slower than it could be.
const PAYS: u64 = 10;
/// Nanoseconds for compiling one guest instruction, about.
const COMPILING: u64 = 15_000;
/// A region that is cheaper is compiled again at once when others join it.
const WORTH_WAITING: u32 = 64;

/// Requests that wait.
#[derive(Default)]
pub struct Asked {
    /// Addresses inside regions. They may have become hot before the region was compiled, and
    /// never be reached from outside again.
    inside: FxHashSet<u64>,
    /// Addresses that lead into a region, and how many arrivals at them have been waited for.
    into: FxHashMap<RegionId, FxHashMap<u64, u32>>,
    /// Addresses inside regions that compiled code jumped to, by an address that it computed, and
    /// did not find as an entry; and how often. The cases of a switch are such.
    targets: FxHashMap<u64, u32>,
    /// Such jumps from region to region.
    pub(crate) strays: Strays,
    /// How large a region would be that begins at an address and leads into code that ran long.
    leads: FxHashMap<u64, usize>,
    /// Where loops begin that were interpreted for a while, and whether they ran few rounds at a
    /// time.
    short: FxHashMap<u64, bool>,
}

/// How often code runs.
pub struct Heat<'a> {
    /// How often the interpreter arrived at a block that begins at an address.
    pub arrivals: &'a dyn Fn(u64) -> Option<u64>,
    /// Whether it ever did. What never ran is not compiled.
    pub ran: &'a dyn Fn(u64) -> bool,
    /// For how many nanoseconds compiled code ran after it was entered at the region that begins at
    /// a host address.
    pub spent: &'a dyn Fn(u64) -> u64,
}

/// A loop is judged by so many rounds at least.
const ENOUGH_ROUNDS: u64 = 100;
/// A loop that runs fewer rounds at a time is short: a free copy of it, see `strips.rs`, would only be
/// in the way.
const SHORT: u64 = 24;

impl Asked {
    /// Notes which loops of a region are short.
    fn judge(&mut self, region: &Region, heat: &Heat<'_>) {
        let arrivals = heat.arrivals;
        let edges = |block: &Block| {
            let start = block.start;
            block.successors().map(move |next| (start, next)).collect()
        };
        let edges: Vec<(u64, u64)> = region.blocks.iter().flat_map::<Vec<_>, _>(edges).collect();
        for &(_, header) in edges.iter().filter(|&&(from, to)| to <= from) {
            let Some(rounds) = arrivals(header).filter(|&rounds| rounds >= ENOUGH_ROUNDS) else {
                continue;
            };
            let into = edges
                .iter()
                .filter(|&&(from, to)| to == header && from < to);
            let entered: u64 = into.filter_map(|&(from, _)| arrivals(from)).sum();
            // Later on what is counted means something else: the first judgement stands.
            let few = entered > 0 && rounds / entered < SHORT;
            self.short.entry(header).or_insert(few);
        }
    }
}

impl Inner {
    /// See [`Jit::request_hot`](crate::Jit::request_hot).
    pub fn request(self: &Arc<Self>, pc: u64, heat: &Heat<'_>) -> Request {
        let table = lock(&self.table);
        if table.entry(pc).is_some() {
            return Request::Ready;
        }
        let mut replaced = Vec::new();
        if let Some(owner) = table.owner(pc) {
            if table.is_compiling(owner) {
                return Request::Queued;
            }
            let cost = self.cost(&table, owner);
            let mut asked = lock(&self.asked);
            let wait = match asked.targets.get_mut(&pc) {
                Some(arrivals) => {
                    let more = cost.saturating_sub(*arrivals);
                    *arrivals = cost;
                    (more > 0).then_some(more)
                }
                None => asked.inside.insert(pc).then_some(self.patience() + cost),
            };
            if let Some(arrivals) = wait {
                return Request::Later(arrivals.max(LEAST));
            }
            drop(asked);
            replaced.push(owner);
        }
        let epoch = self.space.stale_epoch();
        let mut region = self.discover(&table, pc, &replaced, heat.ran);
        if let Some(kept) = self.kept_within(&region) {
            return Request::Kept(kept);
        }
        let mut neighbours: Vec<RegionId> = region
            .borders
            .iter()
            .filter_map(|&border| table.owner(border))
            .collect();
        neighbours.sort_unstable();
        neighbours.dedup();
        neighbours.retain(|&id| !table.is_compiling(id) && !replaced.contains(&id));
        let others: usize = neighbours
            .iter()
            .filter_map(|&id| table.region(id))
            .map(|record| record.shape.size)
            .sum();
        let may_grow = !self.options.one_block && region.len() + others <= self.options.region_size;
        if !neighbours.is_empty() && may_grow {
            let mut asked = lock(&self.asked);
            let mut wait = 0;
            for &id in &neighbours {
                let cost = self.cost(&table, id);
                let waited = asked.into.entry(id).or_default().entry(pc).or_default();
                if cost >= WORTH_WAITING && *waited < cost && !self.has_paid(&table, id, 0, heat) {
                    let more = (cost / LOOKS).max(LEAST);
                    *waited = waited.saturating_add(more);
                    wait = wait.max(more);
                }
            }
            drop(asked);
            if wait > 0 {
                return Request::Later(wait.max(LEAST));
            }
            replaced.append(&mut neighbours);
            region = self.discover(&table, pc, &replaced, heat.ran);
            if let Some(kept) = self.kept_within(&region) {
                return Request::Kept(kept);
            }
        }
        if region.block(pc).is_none_or(|block| block.insns.is_empty()) {
            return Request::Refused;
        }
        let mut asked = lock(&self.asked);
        for id in &replaced {
            asked.into.remove(id);
        }
        asked.judge(&region, heat);
        drop(asked);
        self.begin(table, region, replaced, epoch, true)
    }

    /// The interpreter came from `lead`, where there is no code, to `into`, where there is. If the
    /// region there has run for long enough since it was compiled, both become one: what is found
    /// first of a function is often a loop in the middle of it, long before its beginning is hot.
    /// Whether the time that it ran has been used up for that, or for finding that it cannot be.
    pub fn lead_in(self: &Arc<Self>, lead: u64, into: u64, heat: &Heat<'_>) -> bool {
        let table = lock(&self.table);
        let Some(owner) = table.owner(into).filter(|&id| !table.is_compiling(id)) else {
            return false;
        };
        let known = lock(&self.asked).leads.get(&lead).copied();
        if table.owner(lead).is_some()
            || self.options.one_block
            || !self.has_paid(&table, owner, known.unwrap_or(0), heat)
        {
            return false;
        }
        let epoch = self.space.stale_epoch();
        let region = self.discover(&table, lead, &[owner], heat.ran);
        lock(&self.asked).leads.insert(lead, region.len());
        if !self.has_paid(&table, owner, region.len(), heat) {
            return false;
        }
        let fits = region.len() <= self.options.region_size && leads_to(&region, lead, into);
        if fits && self.kept_within(&region).is_none() {
            let mut asked = lock(&self.asked);
            asked.into.remove(&owner);
            asked.judge(&region, heat);
            drop(asked);
            self.begin(table, region, vec![owner], epoch, true);
        }
        true
    }

    /// Has a region compiled that takes the place of others. `anew`: whether that makes it dearer
    /// to do so again.
    pub(crate) fn begin(
        self: &Arc<Self>,
        mut table: MutexGuard<'_, Table>,
        mut region: Region,
        replaced: Vec<RegionId>,
        epoch: u64,
        anew: bool,
    ) -> Request {
        let id = table.begin(Shape::of(&region), &replaced, anew);
        drop(table);
        let asked = lock(&self.asked);
        let short = |start: &u64| asked.short.get(start) == Some(&true);
        let starts = region.blocks.iter().map(|block| block.start);
        region.short = starts.filter(short).collect();
        drop(asked);
        let job = Job {
            id,
            region,
            replaced,
            epoch,
        };
        if self.options.background {
            self.queue.push(job, self);
            return Request::Queued;
        }
        if self.compile(job) {
            Request::Ready
        } else {
            Request::Refused
        }
    }

    /// An address in a region around which code was kept that is not in place.
    pub(crate) fn kept_within(&self, region: &Region) -> Option<u64> {
        let kept = lock(&self.kept);
        let kept = kept.as_ref()?;
        let mut starts = region.blocks.iter().map(|block| block.start);
        starts.find(|&start| kept(start))
    }

    /// Notes that compiled code jumped to `pc` by a computed address so many times more, and
    /// there was none.
    pub fn missed(&self, pc: u64, times: u32) {
        if lock(&self.table).owner(pc).is_some() {
            *lock(&self.asked).targets.entry(pc).or_default() += times;
        }
    }

    /// Finds the region around `pc` and the entries of the replaced regions that it still needs: of
    /// code that `ran` holds for, or that is part of those.
    pub(crate) fn discover(
        &self,
        table: &Table,
        pc: u64,
        replaced: &[RegionId],
        ran: &dyn Fn(u64) -> bool,
    ) -> Region {
        let mut entries = vec![pc];
        let asked = lock(&self.asked);
        for id in replaced {
            entries.extend(
                table
                    .region(*id)
                    .into_iter()
                    .flat_map(|record| &record.shape.entries),
            );
            entries.extend(asked.into.get(id).into_iter().flat_map(FxHashMap::keys));
            entries.extend(
                asked
                    .targets
                    .keys()
                    .filter(|&&target| table.owner(target) == Some(*id)),
            );
        }
        drop(asked);
        let mut watched = FxHashSet::default();
        let one_block = self.options.one_block;
        let foreign = |at: u64| {
            let other = table.owner(at).is_some_and(|id| !replaced.contains(&id));
            other || one_block && at != pc
        };
        let size = self.options.region_size;
        let wanted = |at: u64| ran(at) || table.owner(at).is_some_and(|id| replaced.contains(&id));
        let mut region = Region::discover_within(&entries, size, foreign, wanted, |va| {
            if watched.insert(va >> memory::PAGE_BITS) {
                self.space.watch_code(&[va >> memory::PAGE_BITS]);
            }
            self.space.fetch(va)
        });
        // A loop that was found before the function around it: its entry is reached from inside
        // now, and as an entry it would only be in the way of what is known there.
        let inside: FxHashSet<u64> = region
            .blocks
            .iter()
            .filter(|b| !b.returns_behind())
            .flat_map(|b| b.successors())
            .collect();
        let returns: FxHashSet<u64> = region
            .blocks
            .iter()
            .filter(|b| b.returns_behind())
            .map(|b| b.end)
            .collect();
        let asked = lock(&self.asked);
        // What the replaced regions knew was perhaps found out by an earlier run.
        let was_led_to = |at: &u64| {
            let mut replaced = replaced.iter().filter_map(|&id| table.region(id));
            asked.strays.led_to(*at) || replaced.any(|record| record.shape.targets.contains(at))
        };
        region.entries.retain(|entry| {
            *entry == pc
                || asked.targets.contains_key(entry)
                || asked.inside.contains(entry)
                || returns.contains(entry)
                || !inside.contains(entry)
                || was_led_to(entry)
                || table.is_jumped_to(*entry, replaced)
        });
        let entries = region.entries.iter().copied();
        region.targets = entries
            .filter(|at| asked.targets.contains_key(at) || was_led_to(at))
            .collect();
        let shapes = replaced.iter().filter_map(|&id| table.region(id));
        let shapes: Vec<&Shape> = shapes.map(|record| &record.shape).collect();
        let calls = region.blocks.iter();
        let calls = calls.filter(|block| block.flow == Flow::IndirectCall);
        let callees = calls.filter_map(|block| {
            let call = block.last()?;
            let inside = |callee: &u64| region.block(*callee).is_some();
            let known = shapes.iter().flat_map(|shape| &shape.callees);
            let known = known.filter(|(at, _)| *at == call);
            let known = known.flat_map(|(_, callees)| callees.iter().copied());
            let called = asked.strays.called_by(call).chain(known);
            let mut callees: Vec<u64> = called.filter(inside).collect();
            callees.sort_unstable();
            callees.dedup();
            (!callees.is_empty()).then_some((call, callees))
        });
        region.callees = callees.collect();
        region
    }
}

/// Arrivals that pay for compiling one instruction again. Measured on programs with large functions
/// and many calls, see ARCHITECTURE.md, "Costs, measured".
const PRICE: u32 = 160;

/// What is kept pays in later runs too: the price, and [`PATIENCE`], are halved with each run that
/// kept something, but not below these.
pub(crate) const LEAST_PRICE: u32 = 2;
const LEAST_PATIENCE: u32 = 50;

impl Inner {
    pub(crate) fn halved(&self, value: u32, least: u32) -> u32 {
        let runs = self.runs.load(Ordering::Relaxed);
        value.checked_shr(runs).unwrap_or(0).max(least)
    }

    /// Arrivals at an address inside a region to wait for at least.
    fn patience(&self) -> u32 {
        self.halved(PATIENCE, LEAST_PATIENCE)
    }

    /// Whether a region ran for so long since it was compiled that compiling it again pays, or one of
    /// `size` instructions in its place, if that is more.
    fn has_paid(&self, table: &Table, id: RegionId, size: usize, heat: &Heat<'_>) -> bool {
        let found = table.region(id).zip(table.function(id));
        found.is_some_and(|(record, function)| {
            let size = record.shape.size.max(size) as u64;
            let price = (COMPILING * size * PAYS) << record.version.min(8);
            (heat.spent)(function) >= price
        })
    }

    /// What compiling region `id` again costs, in arrivals that the interpreter had better deal
    /// with: it rises with every time.
    fn cost(&self, table: &Table, id: RegionId) -> u32 {
        let price = self.halved(PRICE, LEAST_PRICE);
        let record = table.region(id);
        record.map_or(0, |record| {
            (record.shape.size as u32 * price).saturating_mul(1 << record.version.min(8))
        })
    }
}

/// Whether control can go from a block of a region to another without leaving it.
fn leads_to(region: &Region, from: u64, to: u64) -> bool {
    let mut seen = FxHashSet::from_iter([from]);
    let mut stack = vec![from];
    while let Some(start) = stack.pop() {
        if start == to {
            return true;
        }
        let block = region.block(start);
        let nexts = block.into_iter().flat_map(|block| block.successors());
        stack.extend(nexts.filter(|&next| seen.insert(next)));
    }
    false
}
