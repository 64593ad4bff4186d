//! Which registers hold addresses that need no check, at each node of a region: what [`Facts`] come
//! over all ways into it, and which registers are worth a check before a loop.

use crate::analysis::facts::{Fact, Facts, address};
use crate::graph::{Graph, Node, NodeId};
use Fact::{Range, Unknown, Unreached, Window};
use frontend::*;

/// What is known at the start of each node.
pub fn analyze(graph: &Graph) -> Vec<Facts> {
    let none = vec![0; graph.nodes.len()];
    let first = solve(graph, &none);
    let wanted = wanted(graph, &first);
    if wanted == none {
        return first;
    }
    let mut second = solve(graph, &wanted);
    // Where the loop does not keep what was wanted, the check belongs at the access.
    for (facts, wanted) in second.iter_mut().zip(&wanted) {
        for register in crate::analysis::each(u64::from(*wanted)) {
            if facts.0[register] == Unreached {
                facts.0[register] = Window(0);
            }
        }
    }
    second
}

/// Rounds after which what is known of a register may not grow any more.
const GROWING: usize = 4;

/// Meets over all edges until nothing changes. In `checked` are registers (one bit each) that are
/// checked on the edges into a loop.
fn solve(graph: &Graph, checked: &[u32]) -> Vec<Facts> {
    let count = graph.nodes.len();
    let mut start = vec![Facts([Unreached; 32]); count];
    let mut end = start.clone();
    let mut position = vec![0; count];
    for (at, &id) in graph.order.iter().enumerate() {
        position[id] = at;
    }
    for round in 0..4 * GROWING {
        let mut changed = false;
        for &id in &graph.order {
            let node = &graph.nodes[id];
            let mut facts = Facts([Unreached; 32]);
            let outside = node.entry.then(Facts::outside);
            for &pred in &node.preds {
                let back = position[pred] >= position[id];
                for (register, fact) in facts.0.iter_mut().enumerate() {
                    let incoming = end[pred].0[register];
                    let check = checked[id] >> register & 1 == 1 && !back;
                    *fact = fact.meet(if check {
                        after_check(incoming)
                    } else {
                        incoming
                    });
                }
            }
            if let Some(outside) = outside {
                for (register, fact) in facts.0.iter_mut().enumerate() {
                    let check = checked[id] >> register & 1 == 1;
                    let incoming = outside.0[register];
                    *fact = fact.meet(if check {
                        after_check(incoming)
                    } else {
                        incoming
                    });
                }
            }
            // What still grows after some rounds would grow for long. A number that does, and is
            // an address, may be one that each iteration accesses: as such it keeps where it is.
            if round >= GROWING {
                for (new, old) in facts.0.iter_mut().zip(&start[id].0) {
                    if *old != Unreached && new != old {
                        *new = if round < 2 * GROWING {
                            new.as_address()
                        } else {
                            Unknown
                        };
                    }
                }
            }
            let mut after = facts.clone();
            for step in &node.steps {
                after.step(step);
            }
            changed |= facts != start[id] || after != end[id];
            start[id] = facts;
            end[id] = after;
        }
        if !changed {
            return start;
        }
    }
    // Did not settle: know nothing.
    vec![Facts([Unknown; 32]); count]
}

fn after_check(fact: Fact) -> Fact {
    match fact {
        Unreached => Unreached,
        fact if fact.is_near() => fact,
        _ => Window(0),
    }
}

/// For each loop header the registers worth checking before the loop: nothing is known of them
/// there, every iteration accesses memory through them, and between accesses they move by little
/// or not at all.
fn wanted(graph: &Graph, known: &[Facts]) -> Vec<u32> {
    let mut wanted = vec![0; graph.nodes.len()];
    for (header, node) in graph
        .nodes
        .iter()
        .enumerate()
        // Free copies of loops need no checks.
        .filter(|(_, node)| node.header && !node.free)
    {
        let written = node.body.iter().fold(0u64, |all, &id| {
            graph.nodes[id]
                .steps
                .iter()
                .fold(all, |all, step| all | step.defs())
        });
        let mut ordered: Vec<NodeId> = node.body.clone();
        let position = |id: NodeId| graph.order.iter().position(|&other| other == id);
        ordered.sort_by_key(|&id| std::cmp::Reverse(position(id)));
        let mut needed = vec![!0u32; graph.nodes.len()];
        for id in ordered {
            let inside = &graph.nodes[id];
            let out = inside
                .successors()
                .filter(|next| node.body.contains(next))
                // Around the loop and into inner loops' headers again: nothing more is needed.
                .map(|next| if next == header { 0 } else { needed[next] })
                .fold(!0, |all, next| all & next);
            needed[id] = before(inside, &known[id], out, written as u32);
        }
        for register in crate::analysis::each(u64::from(needed[header] & !1)) {
            if known[header].0[register] == Unknown {
                wanted[header] |= 1 << register;
            }
        }
    }
    wanted
}

/// The address registers that a node needs at its start, given those needed at its end.
fn before(node: &Node, known: &Facts, out: u32, written: u32) -> u32 {
    let mut facts = vec![known.clone()];
    for step in &node.steps {
        let mut next = facts[facts.len() - 1].clone();
        next.step(step);
        facts.push(next);
    }
    let mut needed = out;
    for (step, known) in node.steps.iter().zip(&facts).rev() {
        let defs = step.defs() as u32;
        if needed & defs != 0 && step.skipped_by.is_none() {
            needed &= !defs;
            let invariant = |x: X| written >> x.index() & 1 == 0;
            let small = |x: X| matches!(known.get(x), Range(..));
            let base = match step.insn {
                Insn::Addi(o) => Some(o.rs1),
                Insn::Add(o) if small(o.rs2) && invariant(o.rs1) => Some(o.rs1),
                Insn::Add(o) if small(o.rs1) && invariant(o.rs2) => Some(o.rs2),
                Insn::Sh1add(o) | Insn::Sh2add(o) | Insn::Sh3add(o)
                    if small(o.rs1) && invariant(o.rs2) =>
                {
                    Some(o.rs2)
                }
                Insn::AddUw(o) | Insn::Sh1addUw(o) | Insn::Sh2addUw(o) | Insn::Sh3addUw(o)
                    if invariant(o.rs2) =>
                {
                    Some(o.rs2)
                }
                _ => None,
            };
            if let Some(base) = base {
                needed |= 1 << base.index();
            }
        }
        needed &= !defs | if step.skipped_by.is_some() { defs } else { 0 };
        if step.skipped_by.is_none()
            && let Some((base, _)) = address(step.insn)
        {
            needed |= 1 << base.index();
        }
    }
    needed
}
