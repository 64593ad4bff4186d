//! Loops that get a second copy, which runs while no access can fault.
//!
//! ```text
//!   before ──▶ strip ──▶ free copy ──▶ behind the loop
//!                │  ▲        │              ▲
//!                │  └────────┘ after some   │
//!                │             rounds       │
//!                └─────▶ loop as it was ────┘
//! ```
//!
//! Where the loop was entered there is a node that looks at the pages ahead and decides how many
//! rounds cannot fault. The free copy runs so many, without checkpoints, without checks of
//! addresses, and without asking whether the engine wants something; then the pages are looked at
//! again. If not a single round is safe, or only a few are left, the loop as it was goes on to its
//! end.

use crate::analysis::registers::is_csr;
use crate::analysis::streams::{self, Plan};
use crate::graph::{End, Graph, Node, NodeId, Target};
use frontend::Op;
use std::collections::HashMap;

/// Rounds without asking whether the engine wants something.
pub const MOST_ROUNDS: u64 = 1024;
/// Longer loops have no copy: their accesses are a small part of them.
const LONGEST: usize = 300;
/// Instructions of all copies in a region.
const MOST_COPIED: usize = 1000;

impl Graph {
    /// Adds a free copy of each innermost loop that can have one, but for those that begin at one of
    /// the addresses `short`. Whether there are any; then order, predecessors and loops are to be
    /// found anew.
    pub(crate) fn add_strips(&mut self, short: &[u64]) -> bool {
        let mut copied = 0;
        for header in self.order.clone() {
            let few = short.binary_search(&self.nodes[header].start).is_ok();
            if few || !self.nodes[header].header || !self.is_simple(header) {
                continue;
            }
            let body = self.nodes[header].body.clone();
            let steps = body.iter().map(|&id| self.nodes[id].steps.len());
            let longer = copied + steps.sum::<usize>();
            if longer <= MOST_COPIED
                && let Some(plan) = streams::find(self, header)
            {
                copied = longer;
                self.add_strip(header, &body, plan);
            }
        }
        !self.strips.is_empty()
    }

    /// Whether a loop holds no other, is not too long, and does nothing but compute and access.
    fn is_simple(&self, header: NodeId) -> bool {
        let body = &self.nodes[header].body;
        let mut nodes = body.iter().map(|&id| &self.nodes[id]);
        let steps: usize = nodes.clone().map(|node| node.steps.len()).sum();
        let single = body
            .iter()
            .all(|&id| id == header || !self.nodes[id].header);
        // One that may end early mostly does.
        let inside = |target: &Target| body.iter().any(|&id| *target == Target::Node(id));
        let ways = body.iter().flat_map(|&id| self.nodes[id].targets());
        let one_way_out = ways.filter(|target| !inside(target)).count() == 1;
        single
            && one_way_out
            && steps <= LONGEST
            && nodes.all(|node| {
                matches!(node.end, End::Jump(_) | End::Branch { .. })
                    && node.steps.iter().all(|step| {
                        let op = step.insn.op();
                        !is_csr(op) && !matches!(op, Op::Fence | Op::FenceI)
                    })
            })
    }

    fn add_strip(&mut self, header: NodeId, body: &[NodeId], plan: Plan) {
        let strip = self.nodes.len();
        let copies: HashMap<NodeId, NodeId> = body
            .iter()
            .enumerate()
            .map(|(index, &id)| (id, strip + 1 + index))
            .collect();
        let free = copies[&header];
        for id in 0..self.nodes.len() {
            if !body.contains(&id) {
                self.nodes[id].redirect(&HashMap::from([(header, strip)]));
            }
        }
        for (_, entry) in &mut self.entries {
            if *entry == header {
                *entry = strip;
            }
        }
        let entry = std::mem::take(&mut self.nodes[header].entry);
        let end = End::Strip(self.strips.len());
        self.nodes.push(Node {
            // What is visited last comes next in the order.
            ways: vec![header, free],
            entry,
            ..Node::new(self.nodes[header].start, end)
        });
        self.strips.push(plan);
        for &id in body {
            let mut copy = self.nodes[id].clone();
            copy.redirect(&copies);
            copy.entry = false;
            copy.free = true;
            if copy.successors().any(|next| next == free) {
                copy.over = Some(strip);
            }
            self.nodes.push(copy);
        }
    }
}

impl Node {
    /// Leads its edges elsewhere.
    pub(crate) fn redirect(&mut self, nodes: &HashMap<NodeId, NodeId>) {
        let moved = |id: &mut NodeId| {
            if let Some(&to) = nodes.get(id) {
                *id = to;
            }
        };
        let target = |target: &mut Target| {
            if let Target::Node(id) = target {
                moved(id);
            }
        };
        match &mut self.end {
            End::Jump(to) => target(to),
            End::Branch { taken, next } => {
                target(taken);
                target(next);
            }
            End::Computed(hub) => moved(hub),
            End::Indirect
            | End::Stray(_)
            | End::Hub { .. }
            | End::Strip(_)
            | End::System
            | End::Interpret(_) => {}
        }
        self.ways.iter_mut().for_each(moved);
    }
}
