//! The loops of a region.

use super::ExplainedLine;
use std::ops::Range;

/// A backward branch and what lies between it and its target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loop {
    /// From the target to the end of the branch.
    pub range: Range<u64>,
}

/// The innermost loops, by address: those that no other loop lies within.
pub fn innermost(lines: &[ExplainedLine]) -> Vec<Loop> {
    let mut loops: Vec<Range<u64>> = lines
        .iter()
        .filter_map(|line| {
            let decoded = frontend::decode::decode(line.word)?;
            let target = decoded.insn.direct_target(line.pc)?;
            let call = !decoded.insn.defs().is_empty();
            (target <= line.pc && !call).then(|| target..line.pc + u64::from(decoded.len))
        })
        .collect();
    loops.sort_by_key(|range| (range.start, range.end));
    loops.dedup();
    let within = |inner: &Range<u64>, outer: &Range<u64>| {
        inner != outer && inner.start >= outer.start && inner.end <= outer.end
    };
    let innermost = loops
        .iter()
        .filter(|outer| !loops.iter().any(|inner| within(inner, outer)));
    innermost
        .map(|range| Loop {
            range: range.clone(),
        })
        .collect()
}
