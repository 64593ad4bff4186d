//! Where a fault rolls back to.
//!
//! A fault in compiled code does not find the guest's registers: they are somewhere in the host's.
//! Instead the hart goes back to the last *checkpoint*, where the state in memory was complete, and
//! the interpreter runs from there into the same fault. Loads may be done twice, so they need no
//! checkpoint, in a loop either. Stores may not, since another hart may have stored to the same
//! place in between; after a store, an atomic or a CSR access, the next access first makes a
//! checkpoint: all registers newer than memory are stored.
//!
//! The free copies of loops cannot fault (`strips.rs`); behind them there is no checkpoint.
//!
//! If another hart makes the second run differ, that is as if it had been the only one: nothing of
//! the first was seen by anybody.

use crate::analysis::registers::{accesses, is_csr, is_store};
use crate::graph::{Graph, Node, NodeId};
use frontend::Op;

/// A checkpoint: before this step of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Origin {
    /// The node.
    pub node: NodeId,
    /// The step's index.
    pub step: usize,
}

impl Origin {
    /// Before a node's first step.
    pub fn start(node: NodeId) -> Origin {
        Origin { node, step: 0 }
    }
}

/// The checkpoint that a fault would roll back to; none if one has to be made before the next
/// access. While there is one, registers in memory must be left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window(pub Option<Origin>);

impl Window {
    /// What is in force behind the start of a node, given what is on all ways to it: an anchor makes
    /// a checkpoint if there is none.
    pub fn at_start(self, id: NodeId, node: &Node) -> Window {
        match self.0 {
            None if node.anchor => Window(Some(Origin::start(id))),
            _ => self,
        }
    }

    /// Follows the step at `at`, which is in `node`. Whether a checkpoint must be made before it.
    pub fn step(&mut self, at: Origin, node: &Node) -> bool {
        let step = &node.steps[at.step];
        let op = step.insn.op();
        let faults = accesses(step.insn) && !step.on_stack && !node.free;
        let checkpoint = faults && self.0.is_none();
        if checkpoint {
            self.0 = Some(at);
        }
        // A reservation is part of the state too.
        if is_store(op) || is_csr(op) || matches!(op, Op::LrW | Op::LrD) {
            self.0 = None;
        }
        checkpoint
    }
}

/// The window at the start of each node.
pub fn analyze(graph: &Graph) -> Vec<Window> {
    let mut start: Vec<Option<Window>> = vec![None; graph.nodes.len()];
    let mut end = start.clone();
    let mut position = vec![0; graph.nodes.len()];
    for (at, &id) in graph.order.iter().enumerate() {
        position[id] = at;
    }
    loop {
        let mut changed = false;
        for &id in &graph.order {
            let node = &graph.nodes[id];
            let outside = node.entry.then_some(Window(Some(Origin::start(id))));
            let incoming = node
                .preds
                .iter()
                .filter_map(|&pred| end[pred])
                .chain(outside);
            // Different checkpoints, or none on some path: then none.
            let merged = incoming.reduce(|a, b| if a == b { a } else { Window(None) });
            let Some(merged) = merged else {
                // Nothing is known yet.
                continue;
            };
            // One that comes later in the order is not there yet when this is translated. What
            // cannot fault needs none, and may store without.
            let usable = |origin: &Origin| {
                let earlier = position[origin.node] < position[id];
                (earlier || *origin == Origin::start(id)) && !node.free
            };
            let window = Window(merged.0.filter(usable));
            let mut after = window.at_start(id, node);
            for index in 0..node.steps.len() {
                after.step(
                    Origin {
                        node: id,
                        step: index,
                    },
                    node,
                );
            }
            changed |= start[id] != Some(window) || end[id] != Some(after);
            start[id] = Some(window);
            end[id] = Some(after);
        }
        // States only ever lose their checkpoint, so this ends.
        if !changed {
            break;
        }
    }
    start
        .into_iter()
        .map(|window| window.unwrap_or(Window(None)))
        .collect()
}
