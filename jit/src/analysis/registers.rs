//! Which guest registers are in SSA values at the start of each node, and which of those are newer
//! than their memory.
//!
//! A register is loaded where it is first used, but before the outermost loop that uses it, and
//! wherever paths meet of which one has it already. Registers are stored at checkpoints and at
//! exits, see `windows.rs`. Where a stored and an unstored version meet and no checkpoint is in
//! force, the unstored one is stored on its edge: carrying it on would make an inner loop
//! store again and again what an outer one wrote.

use crate::analysis::recipes;
use crate::analysis::windows::{Origin, Window};
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
    /// Whether a checkpoint stores all dirty registers, and which are written after the last one.
    stores: bool,
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

fn effect(id: NodeId, node: &Node, stored: &Window, guarded: bool, recipes: bool) -> Effect {
    let mut effect = Effect::default();
    let mut window = stored.at_start(id, node);
    effect.stores = node.anchor && stored.0.is_none();
    for (index, step) in node.steps.iter().enumerate() {
        let asks = guarded && asks_guard(step.insn);
        let uses = step.uses() | if asks { GUARD } else { 0 };
        let defs = step.defs();
        effect.uses |= uses & !effect.defs & !effect.kills;
        if window.step(
            Origin {
                node: id,
                step: index,
            },
            node,
        ) {
            effect.stores = true;
            effect.written_since = match recipes {
                true => recipes::find(node, index, !guarded).registers(),
                false => 0,
            };
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

/// The states at the start of all nodes. `guarded`: whether floating point asks `GUARD`. `recipes`:
/// whether checkpoints have them.
pub fn analyze(graph: &Graph, windows: &[Window], guarded: bool, recipes: bool) -> Vec<State> {
    let effects: Vec<Effect> = graph
        .nodes
        .iter()
        .enumerate()
        .map(|(id, node)| effect(id, node, &windows[id], guarded, recipes))
        .collect();
    let live = live(graph, &effects);
    let hoisted = hoisted(graph, &effects, &live);

    let top = State {
        available: !0,
        dirty: 0,
        boxed: !0,
    };
    let mut start = vec![top; graph.nodes.len()];
    let mut end: Vec<Option<State>> = vec![None; graph.nodes.len()];
    for round in 0.. {
        let mut changed = false;
        for &id in &graph.order {
            let node = &graph.nodes[id];
            if !node.entry && node.preds.iter().all(|&pred| end[pred].is_none()) {
                // Nothing is known yet.
                continue;
            }
            let outside = State {
                available: PASSED,
                dirty: 0,
                boxed: 0,
            };
            let incoming = node
                .preds
                .iter()
                .filter_map(|&pred| end[pred])
                .chain(node.entry.then_some(outside));
            let (mut all, mut any, mut common) = (top, 0, !0);
            for state in incoming {
                all.available &= state.available;
                all.dirty |= state.dirty;
                all.boxed &= state.boxed;
                any |= state.available;
            }
            // Whoever enters from outside, where all is stored, loads what others have not stored:
            // a loop goes around more often, and a function is called more often, than that.
            let inside = node.preds.iter().filter_map(|&pred| end[pred]);
            let mut inside = inside.map(|state| state.dirty).peekable();
            if inside.peek().is_some() {
                common = inside.fold(!0, |common, dirty| common & dirty);
            } else if node.entry {
                common = 0;
            }
            // A free copy stores when it is left.
            let dirty = if windows[id].0.is_some() || node.free {
                all.dirty
            } else {
                common
            };
            // Before a computed jump nobody knows what will be needed.
            let wanted = match graph.is_hub(id) {
                true => 0,
                false => any & live[id],
            };
            let available = all.available | wanted | hoisted[id] | dirty;
            let state = State {
                available,
                dirty,
                boxed: all.boxed,
            };
            let effect = &effects[id];
            let written = effect.written_since;
            let after = State {
                available: (available | effect.uses | effect.defs) & !effect.kills,
                dirty: if effect.stores {
                    written
                } else {
                    dirty | written
                },
                boxed: state.boxed & !effect.unboxes | effect.boxes,
            };
            changed |= start[id] != state || end[id] != Some(after);
            start[id] = state;
            end[id] = Some(after);
        }
        // The bound only matters for speed: any states do.
        if !changed || round == 20 {
            break;
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

/// For loop headers what the loop reads, to be loaded before it.
fn hoisted(graph: &Graph, effects: &[Effect], live: &[u64]) -> Vec<u64> {
    let mut hoisted = vec![0; graph.nodes.len()];
    for (id, node) in graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.header)
    {
        let used = node
            .body
            .iter()
            .fold(0, |all, &inside| all | effects[inside].uses);
        hoisted[id] = live[id] & used;
    }
    hoisted
}
