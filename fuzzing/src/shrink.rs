//! Reduces a program that fails to a short one that still does.

use crate::program::{Item, Program};

/// The shortest program that can be found from `program` by taking away, for which `fails` still
/// holds. `program` itself fails.
pub fn shrink(program: &Program, mut fails: impl FnMut(&Program) -> bool) -> Program {
    let mut best = program.clone();
    loop {
        let before = best.clone();
        remove_items(&mut best, &mut fails);
        simplify_items(&mut best, &mut fails);
        clear_state(&mut best, &mut fails);
        if best == before {
            return best;
        }
    }
}

/// Keeps a candidate if it fails.
fn take(best: &mut Program, candidate: Program, fails: &mut impl FnMut(&Program) -> bool) -> bool {
    let better = candidate != *best && fails(&candidate);
    if better {
        *best = candidate;
    }
    better
}

/// Takes out items: halves, quarters and so on down to single ones.
fn remove_items(best: &mut Program, fails: &mut impl FnMut(&Program) -> bool) {
    let mut size = best.items.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.items.len() {
            let mut candidate = best.clone();
            let end = (at + size).min(candidate.items.len());
            candidate.items.drain(at..end);
            if !take(best, candidate, fails) {
                at += size;
            }
        }
        size /= 2;
    }
}

/// Runs loops once, calls directly, and uses instructions in full length.
fn simplify_items(best: &mut Program, fails: &mut impl FnMut(&Program) -> bool) {
    for at in 0..best.items.len() {
        let mut candidate = best.clone();
        match &mut candidate.items[at].1 {
            Item::Count { times, .. } => *times = 1,
            Item::Call { indirect, .. } => *indirect = false,
            Item::Jump { short, .. } | Item::Return { short, .. } => *short = false,
            item => {
                if let Item::Short(insn) = *item {
                    *item = Item::Plain(insn.expand());
                }
            }
        }
        take(best, candidate, fails);
    }
}

/// Clears registers and data that do not matter.
fn clear_state(best: &mut Program, fails: &mut impl FnMut(&Program) -> bool) {
    for n in 0..32 {
        let mut candidate = best.clone();
        candidate.start.x[n] = 0;
        take(best, candidate, fails);
        let mut candidate = best.clone();
        candidate.start.f[n] = 0;
        take(best, candidate, fails);
    }
    let mut candidate = best.clone();
    candidate.start.fflags = 0;
    take(best, candidate, fails);
    let mut candidate = best.clone();
    candidate.start.frm = 0;
    take(best, candidate, fails);

    let mut size = best.data.len();
    while size >= 8 {
        for at in (0..best.data.len()).step_by(size) {
            let mut candidate = best.clone();
            let end = (at + size).min(candidate.data.len());
            candidate.data[at..end].fill(0);
            take(best, candidate, fails);
        }
        // In eighths: most of the data never matters.
        size /= 8;
    }
}
