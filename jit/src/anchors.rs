//! Checkpoints before loops that only load.
//!
//! A loop without stores can be rolled back to before it, if there is a checkpoint then. Where there
//! is none, because something was stored before, its first access would make one in each round: a
//! node in front of the loop makes it once.

use crate::analysis::registers::{accesses, is_csr, is_store};
use crate::graph::{End, Graph, Node, NodeId, Target};
use frontend::Op;
use std::collections::HashMap;

impl Graph {
    /// Puts a node in front of each loop that loads and does not store, but for those in others of
    /// that kind. Whether there are any; then order, predecessors and loops are to be found anew.
    pub(crate) fn add_anchors(&mut self) -> bool {
        let mut headers: Vec<NodeId> = self.order.clone();
        headers.retain(|&id| self.nodes[id].header && !self.nodes[id].free);
        headers.sort_by_key(|&id| std::cmp::Reverse(self.nodes[id].body.len()));
        let mut inside = vec![false; self.nodes.len()];
        let mut any = false;
        for header in headers {
            if inside[header] || !self.only_loads(header) {
                continue;
            }
            let body = self.nodes[header].body.clone();
            for &id in &body {
                inside[id] = true;
            }
            let strips = self.nodes[header].preds.iter();
            let mut strips = strips.filter(|&&pred| matches!(self.nodes[pred].end, End::Strip(_)));
            // The slow copy of a loop with a free one runs few rounds.
            if strips.next().is_none() {
                self.add_anchor(header, &body);
                any = true;
            }
        }
        any
    }

    /// Whether a loop accesses memory, and does nothing that ends a checkpoint.
    fn only_loads(&self, header: NodeId) -> bool {
        let body = self.nodes[header].body.iter();
        let mut steps = body.flat_map(|&id| &self.nodes[id].steps);
        let ends = |op: Op| is_store(op) || is_csr(op) || matches!(op, Op::LrW | Op::LrD);
        let loads = steps
            .clone()
            .any(|step| accesses(step.insn) && !step.on_stack);
        loads && !steps.any(|step| ends(step.insn.op()))
    }

    fn add_anchor(&mut self, header: NodeId, body: &[NodeId]) {
        let anchor = self.nodes.len();
        for id in 0..self.nodes.len() {
            if !body.contains(&id) {
                self.nodes[id].redirect(&HashMap::from([(header, anchor)]));
            }
        }
        for (_, entry) in &mut self.entries {
            if *entry == header {
                *entry = anchor;
            }
        }
        let entry = std::mem::take(&mut self.nodes[header].entry);
        self.nodes.push(Node {
            entry,
            anchor: true,
            ..Node::new(self.nodes[header].start, End::Jump(Target::Node(header)))
        });
    }
}
