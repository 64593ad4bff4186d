//! A region as the translator sees it: numbered nodes instead of addresses, short forward branches
//! folded into predicated steps, loops found.

use crate::analysis::stacks::is_on_stack;
use crate::analysis::streams::Plan;
use crate::strays::Stray;
use frontend::{Flow, Insn, Region};
use std::collections::HashMap;

/// Index of a node in its graph.
pub type NodeId = usize;

/// One guest instruction.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Where it is.
    pub pc: u64,
    /// What it does.
    pub insn: Insn,
    /// Its bytes.
    pub len: u8,
    /// Which step of the same node is the branch that, if taken, skips this one.
    pub skipped_by: Option<usize>,
    /// Whether its access goes through the stack pointer, which is known to be in bounds then: it cannot
    /// fault, see `analysis/stacks.rs`.
    pub on_stack: bool,
}

impl Step {
    /// Registers read, as bits: x1 to x31 at 1 to 31, f at 32 to 63. A step that may be skipped
    /// also reads what it writes, since it may have to keep it.
    pub fn uses(&self) -> u64 {
        let uses = match self.insn {
            Insn::FenceI(_) | Insn::Fence(_) => 0,
            insn => insn.uses().bits(),
        };
        if self.skipped_by.is_some() {
            uses | self.defs()
        } else {
            uses
        }
    }

    /// Registers written, as bits.
    pub fn defs(&self) -> u64 {
        match self.insn {
            Insn::FenceI(_) | Insn::Fence(_) => 0,
            insn => insn.defs().bits(),
        }
    }

    /// The address behind it.
    pub fn next(&self) -> u64 {
        self.pc.wrapping_add(u64::from(self.len))
    }
}

/// Where an edge leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// To a node of this graph.
    Node(NodeId),
    /// Out of the region, to this address.
    Outside(u64),
}

/// How a node ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Goes on there.
    Jump(Target),
    /// The last step is a branch.
    Branch {
        /// Where it goes if taken.
        taken: Target,
        /// Where if not.
        next: Target,
    },
    /// The last step is a jalr that returns to a caller that is elsewhere.
    Indirect,
    /// The last step is a jalr of this kind; it leaves the region, and is counted.
    Stray(Stray),
    /// The last step is a jalr that may stay in the region: the hub at that node finds out.
    Computed(NodeId),
    /// A node without steps that tells the targets of computed jumps, or of returns, apart; others
    /// leave the region. See `translate/hub.rs`.
    Hub {
        /// What leaves the region here is counted as that, unless it returns.
        stray: Option<Stray>,
    },
    /// A node without steps before the two copies of a loop, of which the strip of that number tells
    /// what they access. See `strips.rs`.
    Strip(usize),
    /// The last step is an ecall, ebreak or fence.i: back to the engine.
    System,
    /// Nothing can be decoded at this address: the interpreter raises the trap.
    Interpret(u64),
}

/// Steps that run one after the other.
#[derive(Clone, Debug)]
pub struct Node {
    /// Address of the first step.
    pub start: u64,
    /// The steps.
    pub steps: Vec<Step>,
    /// How it ends.
    pub end: End,
    /// The nodes that a hub leads to; or of a strip, the loop as it was, and its free copy.
    pub ways: Vec<NodeId>,
    /// Whether the region may be entered here.
    pub entry: bool,
    /// Whether an edge from a later node in the order comes back here.
    pub header: bool,
    /// The nodes of the loop that it is the header of, itself included.
    pub body: Vec<NodeId>,
    /// The nodes with an edge to it.
    pub preds: Vec<NodeId>,
    /// Whether it is part of a loop's free copy, whose accesses cannot fault.
    pub free: bool,
    /// At the end of a round of a free copy: the strip, where it goes when its rounds are over.
    pub over: Option<NodeId>,
    /// Whether it has no steps, and makes a checkpoint if there is none, see `anchors.rs`.
    pub anchor: bool,
}

impl Node {
    /// A node without steps or edges to it.
    pub fn new(start: u64, end: End) -> Node {
        Node {
            start,
            steps: Vec::new(),
            end,
            ways: Vec::new(),
            entry: false,
            header: false,
            body: Vec::new(),
            preds: Vec::new(),
            free: false,
            over: None,
            anchor: false,
        }
    }

    /// Where its edges lead.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let (first, second) = match self.end {
            End::Jump(target) => (Some(target), None),
            End::Branch { taken, next } => (Some(taken), Some(next)),
            End::Computed(hub) => (Some(Target::Node(hub)), None),
            End::Indirect
            | End::Stray(_)
            | End::Hub { .. }
            | End::Strip(_)
            | End::System
            | End::Interpret(_) => (None, None),
        };
        let ways = self.ways.iter().chain(&self.over);
        let ways = ways.map(|&way| Target::Node(way));
        first.into_iter().chain(second).chain(ways)
    }

    /// The nodes that its edges lead to.
    pub fn successors(&self) -> impl Iterator<Item = NodeId> {
        self.targets().filter_map(|target| match target {
            Target::Node(node) => Some(node),
            Target::Outside(_) => None,
        })
    }
}

/// A region's nodes.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The nodes. Those folded into others are unreachable and not in `order`.
    pub nodes: Vec<Node>,
    /// Entry addresses and their nodes.
    pub entries: Vec<(u64, NodeId)>,
    /// Reachable nodes in reverse postorder: without retreating edges, each comes after all
    /// that lead to it.
    pub order: Vec<NodeId>,
    /// What the loops that have a free copy access.
    pub strips: Vec<Plan>,
}

/// What a region is part of.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// A program, whose calls of functions in the region, and returns from them, stay in it, and whose
    /// loops may have free copies.
    pub program: bool,
    /// Accesses through the stack pointer need no checkpoint.
    pub stacks: bool,
}

/// A branch over at most this many instructions becomes selects.
const LONGEST_SKIP: usize = 4;

impl Graph {
    /// The graph of a region.
    pub fn new(region: &Region, kind: Kind) -> Graph {
        let program = kind.program;
        let ids: HashMap<u64, NodeId> = region
            .blocks
            .iter()
            .enumerate()
            .map(|(id, block)| (block.start, id))
            .collect();
        let target = |pc: u64| {
            ids.get(&pc)
                .map_or(Target::Outside(pc), |&id| Target::Node(id))
        };
        let nodes = region.blocks.iter().map(|block| {
            let steps = block.iter().map(|(pc, decoded)| Step {
                pc,
                insn: decoded.insn,
                len: decoded.len,
                skipped_by: None,
                on_stack: kind.stacks && is_on_stack(decoded.insn),
            });
            let end = match block.flow {
                Flow::Fallthrough => End::Jump(target(block.end)),
                Flow::Jump(to) => End::Jump(target(to)),
                Flow::Branch(to) => End::Branch {
                    taken: target(to),
                    next: target(block.end),
                },
                Flow::Call(callee) if program => End::Jump(target(callee)),
                Flow::Call(callee) => End::Jump(Target::Outside(callee)),
                Flow::Return => End::Indirect,
                Flow::IndirectCall => End::Stray(Stray::IndirectCall),
                Flow::Indirect => End::Stray(Stray::Jump),
                Flow::System => End::System,
                Flow::Illegal => End::Interpret(block.end),
            };
            Node {
                steps: steps.collect(),
                ..Node::new(block.start, end)
            }
        });
        let mut graph = Graph {
            nodes: nodes.collect(),
            entries: Vec::new(),
            order: Vec::new(),
            strips: Vec::new(),
        };
        for &pc in &region.entries {
            if let Target::Node(id) = target(pc) {
                graph.nodes[id].entry = true;
                graph.entries.push((pc, id));
            }
        }
        graph.add_hubs(region);
        if program {
            graph.add_indirect_calls(region, &ids);
            graph.add_returns(region, &ids);
        }
        graph.find_predecessors();
        graph.fold_short_branches();
        graph.find_structure();
        if program && graph.add_strips(&region.short) {
            graph.find_structure();
        }
        if program && graph.add_anchors() {
            graph.find_structure();
        }
        graph
    }

    /// Finds order, predecessors and loops.
    fn find_structure(&mut self) {
        self.find_order();
        self.find_predecessors();
        self.find_loops();
    }

    /// Whether a node is a hub.
    pub fn is_hub(&self, id: NodeId) -> bool {
        matches!(self.nodes[id].end, End::Hub { .. })
    }

    /// Where control goes from a node, but for the ways out of a hub: every cycle through one
    /// would be a loop that is as large as an interpreter.
    fn nearby(&self, id: NodeId) -> Vec<NodeId> {
        match self.is_hub(id) {
            true => Vec::new(),
            false => self.nodes[id].successors().collect(),
        }
    }

    fn find_predecessors(&mut self) {
        for node in &mut self.nodes {
            node.preds.clear();
        }
        let all: Vec<NodeId> = if self.order.is_empty() {
            (0..self.nodes.len()).collect()
        } else {
            self.order.clone()
        };
        for id in all {
            let successors: Vec<NodeId> = self.nodes[id].successors().collect();
            for successor in successors {
                if !self.nodes[successor].preds.contains(&id) {
                    self.nodes[successor].preds.push(id);
                }
            }
        }
    }

    /// Appends to a node what only it leads to, and makes branches over a few harmless
    /// instructions into predicates.
    fn fold_short_branches(&mut self) {
        let mut folded = vec![false; self.nodes.len()];
        for id in 0..self.nodes.len() {
            while !folded[id] {
                let next = match self.nodes[id].end {
                    End::Jump(Target::Node(next)) if self.only_from(next, id) => next,
                    End::Branch {
                        taken: Target::Node(taken),
                        next: Target::Node(next),
                    } if next != taken
                        && self.only_from(next, id)
                        && self.skippable(next, taken) =>
                    {
                        let branch = self.nodes[id].steps.len() - 1;
                        let mut steps = std::mem::take(&mut self.nodes[next].steps);
                        for step in &mut steps {
                            step.skipped_by = Some(branch);
                        }
                        self.nodes[id].steps.append(&mut steps);
                        self.nodes[id].end = End::Jump(Target::Node(taken));
                        self.nodes[taken].preds.retain(|&pred| pred != next);
                        folded[next] = true;
                        continue;
                    }
                    End::Jump(_)
                    | End::Branch { .. }
                    | End::Indirect
                    | End::Stray(_)
                    | End::Computed(_)
                    | End::Hub { .. }
                    | End::Strip(_)
                    | End::System
                    | End::Interpret(_) => break,
                };
                let base = self.nodes[id].steps.len();
                let mut steps = std::mem::take(&mut self.nodes[next].steps);
                for step in &mut steps {
                    step.skipped_by = step.skipped_by.map(|branch| branch + base);
                }
                self.nodes[id].steps.append(&mut steps);
                self.nodes[id].end = self.nodes[next].end;
                folded[next] = true;
                let successors: Vec<NodeId> = self.nodes[id].successors().collect();
                for successor in successors {
                    for pred in &mut self.nodes[successor].preds {
                        if *pred == next {
                            *pred = id;
                        }
                    }
                }
            }
        }
    }

    /// Whether `node` can only be reached from `from`.
    fn only_from(&self, node: NodeId, from: NodeId) -> bool {
        node != from && !self.nodes[node].entry && self.nodes[node].preds == [from]
    }

    /// Whether `node` is short and harmless and goes on at `join`.
    fn skippable(&self, node: NodeId, join: NodeId) -> bool {
        let node = &self.nodes[node];
        node.end == End::Jump(Target::Node(join))
            && node.steps.len() <= LONGEST_SKIP
            && node
                .steps
                .iter()
                .all(|step| step.skipped_by.is_none() && harmless(step.insn))
    }

    /// What can be reached from some nodes, each after all that it leads to, but for retreating edges.
    fn postorder(&self, beginnings: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
        let mut seen = vec![false; self.nodes.len()];
        let mut postorder = Vec::new();
        for beginning in beginnings {
            if std::mem::replace(&mut seen[beginning], true) {
                continue;
            }
            let mut stack = vec![(beginning, self.nearby(beginning))];
            while let Some((node, successors)) = stack.last_mut() {
                // The fallthrough is the last successor: visited first it ends up last in the
                // postorder's reverse, next to its predecessor it shall be; so visit it last.
                if successors.is_empty() {
                    postorder.push(*node);
                    stack.pop();
                } else {
                    let successor = successors.remove(0);
                    if !std::mem::replace(&mut seen[successor], true) {
                        stack.push((successor, self.nearby(successor)));
                    }
                }
            }
        }
        postorder
    }

    fn find_order(&mut self) {
        let mut beginnings = self.beginnings();
        beginnings.sort_by_key(|&id| self.nodes[id].start);
        let entries = self.entries.iter().map(|&(_, id)| id);
        self.order = self.postorder(beginnings.into_iter().chain(entries));
        self.order.reverse();
    }

    /// The entries; but for one at the beginning of a loop that lies in another, the address where
    /// that other one begins. Starting from such an entry the two would look like one loop.
    fn beginnings(&self) -> Vec<NodeId> {
        let cycles = self.cycles();
        let start = |id: NodeId| self.nodes[id].start;
        let mut lowest: HashMap<NodeId, NodeId> = HashMap::new();
        for (id, &cycle) in cycles.iter().enumerate() {
            let known = lowest.entry(cycle).or_insert(id);
            if (start(id), id) < (start(*known), *known) {
                *known = id;
            }
        }
        let mut looped = vec![false; self.nodes.len()];
        for (id, &cycle) in cycles.iter().enumerate() {
            for next in self.nearby(id) {
                looped[next] |= cycles[next] == cycle && start(next) <= start(id);
            }
        }
        let entries = self.entries.iter();
        let beginning = |&(_, id): &(u64, NodeId)| match looped[id] {
            true => lowest[&cycles[id]],
            false => id,
        };
        entries.map(beginning).collect()
    }

    /// For each node one that stands for all that it leads to and that lead back to it (Kosaraju).
    fn cycles(&self) -> Vec<NodeId> {
        let order = self.postorder(self.entries.iter().map(|&(_, id)| id));
        let mut preds = vec![Vec::new(); self.nodes.len()];
        for &id in &order {
            for next in self.nearby(id) {
                preds[next].push(id);
            }
        }
        let mut cycles: Vec<Option<NodeId>> = vec![None; self.nodes.len()];
        for &first in order.iter().rev() {
            let mut found = vec![first];
            while let Some(id) = found.pop() {
                if cycles[id].is_none() {
                    cycles[id] = Some(first);
                    found.extend(&preds[id]);
                }
            }
        }
        let own = cycles.into_iter().enumerate();
        own.map(|(id, cycle)| cycle.unwrap_or(id)).collect()
    }

    /// Marks the targets of retreating edges, and collects for each the nodes that lead back to it
    /// without passing through it. Every cycle has such an edge, whatever its shape.
    fn find_loops(&mut self) {
        for node in &mut self.nodes {
            node.header = false;
            node.body.clear();
        }
        let mut position = vec![0; self.nodes.len()];
        for (at, &id) in self.order.iter().enumerate() {
            position[id] = at;
        }
        for &header in &self.order.clone() {
            let back: Vec<NodeId> = self.nodes[header]
                .preds
                .iter()
                .copied()
                .filter(|&pred| position[pred] >= position[header] && !self.is_hub(pred))
                .collect();
            if back.is_empty() {
                continue;
            }
            let mut body = vec![header];
            let mut inside = vec![false; self.nodes.len()];
            inside[header] = true;
            let mut stack = back;
            while let Some(node) = stack.pop() {
                // What comes before the header in the order is not in its loop: such a path
                // enters an irreducible loop from the side.
                if inside[node] || position[node] < position[header] || self.is_hub(node) {
                    continue;
                }
                inside[node] = true;
                body.push(node);
                stack.extend(&self.nodes[node].preds);
            }
            self.nodes[header].header = true;
            self.nodes[header].body = body;
        }
    }
}

/// Whether executing an instruction where it should have been skipped, its result thrown away,
/// goes unnoticed: integer computations that cost little.
fn harmless(insn: Insn) -> bool {
    use frontend::Op::*;
    let defs = insn.defs();
    // One integer register is written.
    if defs.x_bits() == 0 || defs.f_bits() != 0 {
        return false;
    }
    matches!(
        insn.op(),
        Lui | Auipc
            | Addi
            | Slti
            | Sltiu
            | Xori
            | Ori
            | Andi
            | Slli
            | Srli
            | Srai
            | Add
            | Sub
            | Sll
            | Slt
            | Sltu
            | Xor
            | Srl
            | Sra
            | Or
            | And
            | Addiw
            | Slliw
            | Srliw
            | Sraiw
            | Addw
            | Subw
            | Sllw
            | Srlw
            | Sraw
            | AddUw
            | Sh1add
            | Sh2add
            | Sh3add
            | Sh1addUw
            | Sh2addUw
            | Sh3addUw
            | SlliUw
            | Andn
            | Orn
            | Xnor
            | SextB
            | SextH
            | ZextH
            | Min
            | Minu
            | Max
            | Maxu
            | Rol
            | Ror
            | Rori
            | Rolw
            | Rorw
            | Roriw
            | Bclr
            | Bext
            | Binv
            | Bset
            | Bclri
            | Bexti
            | Binvi
            | Bseti
    )
}
