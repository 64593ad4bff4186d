//! Which regions had better be one, since computed jumps often lead from one to the other: the cases
//! of a switch and the handlers of an interpreter are found one by one, and nothing else joins them.

use crate::jit::{Inner, lock};
use crate::request::LEAST_PRICE;
use crate::table::{RegionId, Table};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// How compiled code came to leave a region for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stray {
    /// A jump to a computed address.
    Jump,
    /// A call of the function there.
    Call,
    /// A call of a function by its address in a register.
    IndirectCall,
}

impl Stray {
    /// How many of these are worth as much as one jump: its target is looked for, that of a call
    /// is known, or soon predicted, so that staying in the region saves less.
    fn dilution(self) -> u32 {
        match self {
            Stray::Jump => 1,
            Stray::Call | Stray::IndirectCall => 4,
        }
    }
}

/// Computed jumps and calls out of regions, about: of many one is noted.
#[derive(Default)]
pub struct Strays {
    /// How many led from one region to the other.
    counts: FxHashMap<(RegionId, RegionId), u32>,
    /// Where jumps led.
    targets: FxHashSet<u64>,
    /// What calls by a register called, by where the calls are.
    callees: FxHashMap<u64, FxHashSet<u64>>,
}

impl Strays {
    /// Whether such a jump is known to have led there.
    pub fn led_to(&self, pc: u64) -> bool {
        self.targets.contains(&pc)
    }

    /// The functions that such a call is known to have called.
    pub fn called_by(&self, call: u64) -> impl Iterator<Item = u64> {
        self.callees.get(&call).into_iter().flatten().copied()
    }

    /// How many led from a region to another or back.
    fn between(&self, a: RegionId, b: RegionId) -> u32 {
        let count = |pair| self.counts.get(&pair).copied().unwrap_or(0);
        if a == b {
            return count((a, b));
        }
        count((a, b)) + count((b, a))
    }

    /// Those that jumps led to from a region, or from which they came, most of them first.
    fn partners(&self, id: RegionId) -> Vec<RegionId> {
        let pairs = self.counts.keys();
        let mut partners: Vec<RegionId> = pairs
            .filter(|&&(a, b)| a != b && (a == id || b == id))
            .map(|&(a, b)| if a == id { b } else { a })
            .collect();
        partners.sort_unstable();
        partners.dedup();
        partners.sort_by_key(|&other| std::cmp::Reverse(self.between(id, other)));
        partners
    }
}

impl Inner {
    /// Notes that compiled code left the region around `from` so many times more, the last time
    /// to `to`. A call by a register is itself at `from`. If that pays for it, both become one region, and with
    /// them others of which that is so: then such jumps stay in it.
    pub fn strayed(self: &Arc<Self>, from: u64, to: u64, times: u32, stray: Stray) {
        let table = lock(&self.table);
        let (Some(own), Some(other)) = (table.owner(from), table.owner(to)) else {
            return;
        };
        let mut asked = lock(&self.asked);
        match stray {
            Stray::Jump => {
                asked.strays.targets.insert(to);
            }
            Stray::IndirectCall => {
                asked.strays.callees.entry(from).or_default().insert(to);
            }
            Stray::Call => {}
        }
        let count = asked.strays.counts.entry((own, other)).or_default();
        *count = count.saturating_add(times.div_ceil(stray.dilution()));
        let Some(replaced) = self.joined(&table, &asked.strays, own, other) else {
            return;
        };
        asked.strays.counts.retain(|(a, b), _| {
            let kept = |id| table.region(id).is_some() && !replaced.contains(&id);
            kept(*a) && kept(*b)
        });
        drop(asked);
        let epoch = self.space.stale_epoch();
        let region = self.discover(&table, to, &replaced, &|_| false);
        // A page may have changed meanwhile: then these regions are about to be dropped.
        let is_there = |&pc: &u64| region.block(pc).is_some_and(|b| !b.insns.is_empty());
        if region.entries.iter().all(is_there) && self.kept_within(&region).is_none() {
            self.begin(table, region, replaced, epoch, false);
        }
    }

    /// The regions that are to become one with `own`, itself included, if there were enough jumps
    /// to `other`.
    fn joined(
        &self,
        table: &Table,
        strays: &Strays,
        own: RegionId,
        other: RegionId,
    ) -> Option<Vec<RegionId>> {
        let size = |id| table.region(id).map_or(0, |record| record.shape.size);
        let price = self.options.joining;
        let price = self.halved(price, LEAST_PRICE.min(price));
        let price = |id| price.saturating_mul(size(id) as u32);
        let busy = |id| table.region(id).is_none() || table.is_compiling(id);
        // A region's own entry may just not have been known as a target.
        let others = if own == other { 0 } else { price(other) };
        let enough = strays.between(own, other) >= price(own).saturating_add(others);
        if !enough || self.options.one_block || busy(own) || busy(other) {
            return None;
        }
        let mut joined = vec![own];
        let mut total = size(own);
        for id in strays.partners(own) {
            let pays = id == other || strays.between(own, id) >= price(id);
            if pays && !busy(id) && total + size(id) <= self.options.region_size {
                joined.push(id);
                total += size(id);
            }
        }
        (own == other || joined.contains(&other)).then_some(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_are_those_with_most_jumps_in_either_direction() {
        let mut strays = Strays::default();
        for (pair, count) in [
            ((1, 2), 5),
            ((3, 1), 4),
            ((1, 3), 4),
            ((2, 3), 100),
            ((1, 1), 7),
        ] {
            strays.counts.insert(pair, count);
        }
        assert_eq!(strays.partners(1), [3, 2]);
        assert_eq!(strays.between(1, 1), 7);
        assert_eq!(strays.between(3, 1), 8);
    }
}
