//! Computed jumps that stay in the region: the cases of a switch, the handlers of an interpreter.
//!
//! They come to a hub: each to its own, or all to one if there are many. There the target's address
//! is compared with a few entries; if there are more, its hash first selects a case of a jump table,
//! so that few are left. So registers stay where they are, and nothing is looked up in memory but
//! the table, which Cranelift makes.

use super::Translator;
use super::exits::Next;
use super::registers::trusted;
use crate::context::{code, offset};
use crate::graph::NodeId;
use crate::strays::Stray;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, JumpTableData, Value, types};

/// Up to this many targets are compared with one after the other.
const FEW: usize = 8;

/// Multipliers to choose from.
const MULTIPLIERS: u64 = 64;

/// What part of `target * multiplier` selects a case: the upper bits.
struct Hash {
    multiplier: u64,
    bits: u32,
}

impl Hash {
    /// One that gives most of the addresses a case of their own.
    fn of(targets: &[u64]) -> Hash {
        let bits = (2 * targets.len()).next_power_of_two().ilog2();
        let multipliers = (1..=MULTIPLIERS).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let hashes = multipliers.map(|multiplier| Hash { multiplier, bits });
        let best = hashes.min_by_key(|hash| hash.collisions(targets));
        best.unwrap_or(Hash {
            multiplier: 1,
            bits,
        })
    }

    fn case(&self, target: u64) -> usize {
        (target.wrapping_mul(self.multiplier) >> (64 - self.bits)) as usize
    }

    /// How many comparisons it takes to find each of them once.
    fn collisions(&self, targets: &[u64]) -> usize {
        let mut cases = vec![0; 1 << self.bits];
        let each = targets.iter().map(|&target| {
            let count = &mut cases[self.case(target)];
            *count += 1;
            *count
        });
        each.sum()
    }
}

/// What tells the engine of it.
fn left_by(stray: Stray) -> u64 {
    match stray {
        Stray::Jump => code::STRAY,
        Stray::Call => code::CALL,
        Stray::IndirectCall => code::INDIRECT_CALL,
    }
}

impl Translator<'_, '_> {
    /// Translates the hub.
    pub(super) fn hub(&mut self, id: NodeId, stray: Option<Stray>) {
        let graph = self.graph;
        let target = self.b.use_var(self.target);
        if let Some(far) = self.checks.from_end[id] {
            // As in `check_at_end`.
            self.b.ins().sequence_point();
            self.check(far, Next::Computed);
        }
        let elsewhere = self.b.create_block();
        self.b.set_cold_block(elsewhere);
        let ways: Vec<(u64, NodeId)> = graph.nodes[id]
            .ways
            .iter()
            .map(|&way| (graph.nodes[way].start, way))
            .collect();
        if ways.len() <= FEW {
            self.tell_apart(target, &ways, elsewhere);
        } else {
            self.select(target, &ways, elsewhere);
        }
        self.b.seal_block(elsewhere);
        self.b.switch_to_block(elsewhere);
        match stray {
            Some(stray) => self.stray(target, stray, graph.nodes[id].start),
            None => self.indirect(target),
        }
    }

    /// A computed jump out of the region. They are counted, and the engine is told of one in many:
    /// what often follows upon each other had better be one region.
    pub(super) fn stray(&mut self, target: Value, stray: Stray, from: u64) {
        if !self.settings.system {
            self.count(from, |t| {
                let even = t.b.ins().band_imm_s(target, -2);
                t.leave_to(left_by(stray), even);
            });
        }
        self.indirect(target);
    }

    /// A call of a function in another region: counted likewise.
    pub(super) fn called(&mut self, callee: u64) {
        if !self.settings.system {
            self.count(self.now.pc, |t| t.leave(left_by(Stray::Call), callee));
        }
    }

    /// Does something once in many times.
    fn count(&mut self, from: u64, tell: impl FnOnce(&mut Self)) {
        let context = self.context;
        let strays = self
            .b
            .ins()
            .load(types::I32, trusted(), context, offset::STRAYS);
        let fewer = self.b.ins().iadd_imm_s(strays, -1);
        self.b
            .ins()
            .store(trusted(), fewer, context, offset::STRAYS);
        let quiet = self.b.ins().icmp_imm_s(IntCC::NotEqual, fewer, 0);
        let told = self.unless(quiet);
        self.aside(told, |t| {
            let from = t.b.ins().iconst(types::I64, from as i64);
            t.b.ins().store(trusted(), from, context, offset::TVAL);
            tell(t);
        });
    }

    /// Ends a block with the ways to some targets; with that to `elsewhere` if it is none of them.
    fn tell_apart(&mut self, target: Value, ways: &[(u64, NodeId)], elsewhere: Block) {
        for &(pc, way) in ways {
            let (edge, next) = (self.b.create_block(), self.b.create_block());
            let same = self.b.ins().icmp_imm_u(IntCC::Equal, target, pc as i64);
            self.b.ins().brif(same, edge, &[], next, &[]);
            self.b.seal_block(edge);
            self.b.seal_block(next);
            self.aside(edge, |t| {
                t.now.pc = pc;
                t.meet(way);
                t.b.ins().jump(t.blocks[way], &[]);
            });
            self.b.switch_to_block(next);
        }
        self.b.ins().jump(elsewhere, &[]);
    }

    /// The same by a jump table.
    fn select(&mut self, target: Value, ways: &[(u64, NodeId)], elsewhere: Block) {
        let targets: Vec<u64> = ways.iter().map(|&(pc, _)| pc).collect();
        let hash = Hash::of(&targets);
        let mut cases = vec![Vec::new(); 1 << hash.bits];
        for &(pc, way) in ways {
            cases[hash.case(pc)].push((pc, way));
        }
        let blocks = cases.iter().map(|ways| match ways.is_empty() {
            true => elsewhere,
            false => self.b.create_block(),
        });
        let blocks: Vec<Block> = blocks.collect();
        let calls = blocks.iter().map(|&b| self.b.func.dfg.block_call(b, &[]));
        let calls: Vec<_> = calls.collect();
        let otherwise = self.b.func.dfg.block_call(elsewhere, &[]);
        let table = self
            .b
            .create_jump_table(JumpTableData::new(otherwise, &calls));
        let product = self.b.ins().imul_imm_s(target, hash.multiplier as i64);
        let case = self.b.ins().ushr_imm_u(product, i64::from(64 - hash.bits));
        let case = self.b.ins().ireduce(types::I32, case);
        self.b.ins().br_table(case, table);
        for (block, ways) in blocks.into_iter().zip(cases) {
            if !ways.is_empty() {
                self.b.seal_block(block);
                self.aside(block, |t| t.tell_apart(target, &ways, elsewhere));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tells_most_targets_apart() {
        let targets: Vec<u64> = (0..100)
            .map(|n| 0x1_2344 + 26 * n + n * n % 7 * 2)
            .collect();
        let hash = Hash::of(&targets);
        assert!(targets.iter().all(|&target| hash.case(target) < 256));
        assert!(hash.collisions(&targets) < 150);
    }
}
