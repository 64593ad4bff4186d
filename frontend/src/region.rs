//! What is compiled at once: a function or a closed nest of loops, as the blocks that can be
//! reached from a hot address without calling or returning.

use crate::block::Block;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Blocks with the edges between them, and the addresses at which it may be entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Where it may be entered, ascending; each is the start of a block. Return points of calls
    /// made in the region are among them.
    pub entries: Vec<u64>,
    /// Those entries to which jumps of the region to computed addresses are known to lead, ascending.
    /// Discovery finds none: who has seen such jumps says so.
    pub targets: Vec<u64>,
    /// Calls by a register, and the functions in this region that each is known to call; found in
    /// the same way.
    pub callees: Vec<(u64, Vec<u64>)>,
    /// Where loops begin that are known to run few rounds at a time, ascending; found in the same way.
    pub short: Vec<u64>,
    /// The blocks, by ascending start. A block ends where another begins unless one lies across
    /// the other's instructions.
    pub blocks: Vec<Block>,
    /// Addresses in other regions that discovery stopped at, ascending.
    pub borders: Vec<u64>,
    /// Whether discovery stopped because the region was large enough.
    pub truncated: bool,
}

impl Region {
    /// Follows control from `entries` until everything is found or more than `size` instructions
    /// are. It does not go into addresses for which `foreign` holds, which other regions have.
    pub fn discover<E>(
        entries: &[u64],
        size: usize,
        foreign: impl FnMut(u64) -> bool,
        fetch: impl FnMut(u64) -> Result<u16, E>,
    ) -> Region {
        Region::discover_within(entries, size, foreign, |_| true, fetch)
    }

    /// As [`Region::discover`], but follows jumps, branches and returns only to addresses for which
    /// `wanted` holds.
    pub fn discover_within<E>(
        entries: &[u64],
        size: usize,
        mut foreign: impl FnMut(u64) -> bool,
        mut wanted: impl FnMut(u64) -> bool,
        mut fetch: impl FnMut(u64) -> Result<u16, E>,
    ) -> Region {
        let mut blocks = BTreeMap::<u64, Block>::new();
        let mut found: BTreeSet<u64> = entries.iter().copied().collect();
        let mut returns = BTreeSet::new();
        let mut borders = BTreeSet::new();
        let mut queue: VecDeque<u64> = entries.iter().copied().collect();
        let (mut total, mut truncated) = (0, false);
        while let Some(start) = queue.pop_front() {
            if blocks.contains_key(&start) {
                continue;
            }
            if total >= size {
                truncated = true;
                break;
            }
            // The block that runs across this address, if it has an instruction there, is cut.
            if let Some((_, before)) = blocks.range_mut(..start).next_back()
                && let Some(tail) = split(before, start)
            {
                blocks.insert(start, tail);
                continue;
            }
            let next = blocks.range(start..).next().map(|(&at, _)| at);
            let mut border = None;
            let block = Block::decode(
                start,
                size - total,
                |pc| {
                    let other = next.is_some_and(|next| pc >= next && blocks.contains_key(&pc));
                    if !other && foreign(pc) {
                        border = Some(pc);
                    }
                    other || border.is_some()
                },
                &mut fetch,
            );
            borders.extend(border);
            total += block.insns.len();
            if block.returns_behind() {
                returns.insert(block.end);
            }
            for successor in block.successors() {
                if found.contains(&successor) || !wanted(successor) {
                    continue;
                }
                if foreign(successor) {
                    borders.insert(successor);
                } else {
                    found.insert(successor);
                    queue.push_back(successor);
                }
            }
            blocks.insert(start, block);
        }
        // A block that cannot even begin is no block, except that an entry must be one: then the
        // trap is raised from it.
        blocks.retain(|start, block| !block.insns.is_empty() || entries.contains(start));
        let mut entries: Vec<u64> = entries
            .iter()
            .copied()
            .chain(returns)
            .filter(|at| blocks.contains_key(at))
            .collect();
        entries.sort_unstable();
        entries.dedup();
        Region {
            entries,
            targets: Vec::new(),
            callees: Vec::new(),
            short: Vec::new(),
            blocks: blocks.into_values().collect(),
            borders: borders.into_iter().collect(),
            truncated,
        }
    }

    /// The number of instructions in all blocks.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.insns.len()).sum()
    }

    /// Whether it holds no instruction.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the 4 KiB pages that its instructions lie on, ascending.
    pub fn pages(&self) -> Vec<u64> {
        let mut pages: Vec<u64> = self
            .blocks
            .iter()
            .flat_map(|block| pages(block.start, block.end))
            .collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    /// The block that starts at `pc`.
    pub fn block(&self, pc: u64) -> Option<&Block> {
        let index = self
            .blocks
            .binary_search_by_key(&pc, |block| block.start)
            .ok()?;
        Some(&self.blocks[index])
    }
}

/// The numbers of the 4 KiB pages from `start` to before `end`, at least one.
pub fn pages(start: u64, end: u64) -> std::ops::RangeInclusive<u64> {
    start >> 12..=(end.max(start + 1) - 1) >> 12
}

/// Cuts `block` before `pc`, if one of its instructions but the first begins there, and returns
/// the rest.
fn split(block: &mut Block, pc: u64) -> Option<Block> {
    if pc >= block.end {
        return None;
    }
    let index = block.iter().position(|(at, _)| at == pc)?;
    let tail = Block {
        start: pc,
        end: block.end,
        insns: block.insns.split_off(index),
        flow: block.flow,
    };
    block.end = pc;
    block.flow = crate::block::Flow::Fallthrough;
    Some(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(words: &[u32], entries: &[u64], size: usize, foreign: &[u64]) -> Region {
        Region::discover(
            entries,
            size,
            |pc| foreign.contains(&pc),
            |pc| {
                let parcel = (pc - 0x1000) as usize / 2;
                let word = words.get(parcel / 2).ok_or(())?;
                Ok::<u16, ()>((word >> (16 * (parcel % 2))) as u16)
            },
        )
    }

    const ADDI: u32 = 0x0015_0513;
    const BACK_4: u32 = 0xfe05_0ee3; // beq a0, zero, -4
    const CALL: u32 = 0x0100_00ef; // jal ra, +16
    const RET: u32 = 0x0000_8067;

    fn starts(region: &Region) -> Vec<u64> {
        region.blocks.iter().map(|block| block.start).collect()
    }

    #[test]
    fn a_branch_into_a_block_cuts_it() {
        let region = discover(&[ADDI, ADDI, BACK_4, RET], &[0x1000], 100, &[]);
        assert_eq!(starts(&region), [0x1000, 0x1004, 0x100c]);
        assert_eq!(region.entries, [0x1000]);
        assert_eq!(region.len(), 4);
        assert_eq!(region.block(0x1000).unwrap().end, 0x1004);
    }

    #[test]
    fn the_address_behind_a_call_is_an_entry_and_the_callee_is_not_followed() {
        let region = discover(&[CALL, RET, ADDI, ADDI, RET], &[0x1000], 100, &[]);
        assert_eq!(region.entries, [0x1000, 0x1004]);
        assert_eq!(starts(&region), [0x1000, 0x1004]);
    }

    #[test]
    fn discovery_stops_at_other_regions() {
        let region = discover(&[ADDI, ADDI, BACK_4, RET], &[0x1000], 100, &[0x1008]);
        assert_eq!(starts(&region), [0x1000]);
        assert_eq!(region.borders, [0x1008]);
    }

    #[test]
    fn what_is_not_wanted_is_not_followed() {
        let words = [BACK_4, CALL, RET, ADDI, ADDI, RET];
        let fetch = |pc: u64| {
            let word = words[(pc - 0x1000) as usize / 4];
            Ok::<u16, ()>((word >> (16 * (pc / 2 % 2))) as u16)
        };
        let region = Region::discover_within(&[0x1000], 100, |_| false, |pc| pc == 0x1004, fetch);
        assert_eq!(starts(&region), [0x1000, 0x1004]);
        assert_eq!(region.entries, [0x1000]);
    }

    #[test]
    fn a_large_region_is_cut_short() {
        let region = discover(&[ADDI; 64], &[0x1000], 10, &[]);
        assert!(region.truncated && region.len() == 10);
    }

    #[test]
    fn pages_are_those_of_the_first_and_last_byte() {
        let region = discover(&[ADDI; 4096], &[0x1ffe], 2, &[]);
        assert_eq!(region.pages(), [1, 2]);
    }
}
