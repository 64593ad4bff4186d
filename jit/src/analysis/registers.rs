//! Which guest registers are in SSA values at the start of each node, and which of those are newer
//! than their memory.
//!
//! A register is loaded where it is first used, but before the outermost loop that uses it, and
//! wherever paths meet of which one has it already. It is stored before the next access that may
//! fault, and at exits. Where a stored and an unstored version meet, the unstored one is stored
//! on its edge: carrying it on as unstored would make an inner loop store what an outer one wrote.

use crate::graph::{Graph, Node, NodeId, Step};
use frontend::{Insn, Op};

/// The bit of no register (x0 needs none): whether floating point can take its fast path, see
/// `translate/float.rs`.
pub const GUARD: u64 = 1;
/// sp and a0 come and go in host registers.
pub const PASSED: u64 = 1 << 2 | 1 << 10;

/// What holds at the start of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// In SSA values.
    pub available: u64,
    /// Of those, newer than memory.
    pub dirty: u64,
    /// Floating-point registers (bit n for f[n]) known to hold boxed singles.
    pub boxed: u32,
}

/// What a node does to registers.
#[derive(Clone, Copy, Default)]
struct Effect {
    /// Read before written.
    uses: u64,
    defs: u64,
    /// Whether some access stores all dirty registers, and which are written after the last one.
    flushes: bool,
    written_since: u64,
    /// What makes `GUARD` unavailable.
    kills: u64,
    boxes: u32,
    unboxes: u32,
}

/// Whether a step accesses memory and may fault.
pub fn accesses(insn: Insn) -> bool {
    is_load(insn.op()) || is_store(insn.op())
}

fn is_load(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Lb | Lh | Lw | Ld | Lbu | Lhu | Lwu | Flw | Fld | LrW | LrD
    )
}

/// Whether a step writes memory, atomics included.
pub fn is_store(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Sb | Sh
            | Sw
            | Sd
            | Fsw
            | Fsd
            | ScW
            | ScD
            | AmoswapW
            | AmoaddW
            | AmoxorW
            | AmoandW
            | AmoorW
            | AmominW
            | AmomaxW
            | AmominuW
            | AmomaxuW
            | AmoswapD
            | AmoaddD
            | AmoxorD
            | AmoandD
            | AmoorD
            | AmominD
            | AmomaxD
            | AmominuD
            | AmomaxuD
    )
}

/// Whether a step's fast path asks `GUARD`.
pub fn asks_guard(insn: Insn) -> bool {
    insn.rm().is_some() && !matches!(insn.op(), Op::FcvtDW | Op::FcvtDWu | Op::FcvtDS)
}

/// Whether a step may change fflags or frm as a CSR.
pub fn is_csr(op: Op) -> bool {
    use Op::*;
    matches!(op, Csrrw | Csrrs | Csrrc | Csrrwi | Csrrsi | Csrrci)
}

/// What a step does to the knowledge of boxed singles.
pub fn boxes(step: &Step) -> Option<bool> {
    use Op::*;
    let single = matches!(
        step.insn.op(),
        Flw | FmaddS
            | FmsubS
            | FnmsubS
            | FnmaddS
            | FaddS
            | FsubS
            | FmulS
            | FdivS
            | FsqrtS
            | FsgnjS
            | FsgnjnS
            | FsgnjxS
            | FminS
            | FmaxS
            | FcvtSW
            | FcvtSWu
            | FcvtSL
            | FcvtSLu
            | FmvWX
            | FcvtSD
    );
    (step.defs() >> 32 != 0).then_some(single)
}

fn effect(node: &Node) -> Effect {
    let mut effect = Effect::default();
    for step in &node.steps {
        let uses = step.uses() | if asks_guard(step.insn) { GUARD } else { 0 };
        let defs = step.defs();
        effect.uses |= uses & !effect.defs & !effect.kills;
        if accesses(step.insn) {
            effect.flushes = true;
            effect.written_since = 0;
        }
        effect.defs |= defs;
        effect.written_since |= defs;
        let floats = (defs >> 32) as u32;
        match boxes(step) {
            Some(true) => {
                effect.boxes |= floats;
                effect.unboxes &= !floats;
            }
            Some(false) => {
                effect.unboxes |= floats;
                effect.boxes &= !floats;
            }
            None => {}
        }
        if is_csr(step.insn.op()) {
            effect.kills |= GUARD;
        }
    }
    effect
}

/// The states at the start of all nodes.
pub fn analyze(graph: &Graph) -> Vec<State> {
    let effects: Vec<Effect> = graph.nodes.iter().map(effect).collect();
    let live = live(graph, &effects);
    let (hoisted, kept) = loop_needs(graph, &effects, &live);

    let top = State {
        available: !0,
        dirty: !0,
        boxed: !0,
    };
    let mut start = vec![top; graph.nodes.len()];
    let mut end = vec![top; graph.nodes.len()];
    for round in 0.. {
        let mut changed = false;
        for &id in &graph.order {
            let node = &graph.nodes[id];
            let outside = State {
                available: PASSED,
                dirty: 0,
                boxed: 0,
            };
            let incoming = node
                .preds
                .iter()
                .map(|&pred| end[pred])
                .chain(node.entry.then_some(outside));
            let (mut all, mut any) = (top, 0);
            for state in incoming {
                all.available &= state.available;
                all.dirty &= state.dirty;
                all.boxed &= state.boxed;
                // What has not been visited yet says nothing.
                any |= if state.available == !0 {
                    0
                } else {
                    state.available
                };
            }
            let available = all.available | any & live[id] | hoisted[id] | kept[id];
            let state = State {
                available,
                dirty: (all.dirty | kept[id]) & available & !GUARD,
                boxed: all.boxed,
            };
            let effect = &effects[id];
            let after = State {
                available: (available | effect.uses | effect.defs) & !effect.kills,
                dirty: if effect.flushes {
                    effect.written_since
                } else {
                    state.dirty | effect.defs
                },
                boxed: state.boxed & !effect.unboxes | effect.boxes,
            };
            changed |= start[id] != state || end[id] != after;
            start[id] = state;
            end[id] = after;
        }
        // The bound only matters for speed: any states do.
        if !changed || round == 20 {
            return start;
        }
    }
    start
}

/// Registers that some path from the start of a node reads before writing.
fn live(graph: &Graph, effects: &[Effect]) -> Vec<u64> {
    let mut live = vec![0; graph.nodes.len()];
    loop {
        let mut changed = false;
        for &id in graph.order.iter().rev() {
            let out = graph.nodes[id]
                .successors()
                .fold(0, |out, next| out | live[next]);
            let effect = &effects[id];
            let new = effect.uses | out & !(effect.defs | effect.kills);
            changed |= live[id] != new;
            live[id] = new;
        }
        if !changed {
            return live;
        }
    }
}

/// For loop headers: what its loop reads, to be loaded before the loop; and what it writes, to stay
/// unstored around the loop if nothing in it forces stores.
fn loop_needs(graph: &Graph, effects: &[Effect], live: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let mut hoisted = vec![0; graph.nodes.len()];
    let mut kept = vec![0; graph.nodes.len()];
    for (id, node) in graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.header)
    {
        let body = |f: fn(&Effect) -> u64| -> u64 {
            node.body
                .iter()
                .fold(0, |all, &inside: &NodeId| all | f(&effects[inside]))
        };
        hoisted[id] = live[id] & body(|effect| effect.uses);
        if !node.body.iter().any(|&inside| effects[inside].flushes) {
            kept[id] = body(|effect| effect.defs);
        }
    }
    (hoisted, kept)
}
