//! Edges: into the region, between its nodes, and out of it.

use super::Translator;
use super::registers::trusted;
use crate::analysis::facts::Facts;
use crate::analysis::registers::{PASSED, State};
use crate::context::{code, offset};
use crate::graph::{End, NodeId, Step, Target};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, InstBuilder, JumpTableData, Value, types};
use frontend::{Insn, X};

/// Up to this many entries are told apart by comparing, one after the other.
const FEW_ENTRIES: usize = 4;

impl Translator<'_, '_> {
    /// Emits the way from the function's start to the entries' nodes.
    pub(super) fn enter(&mut self, start: Block) {
        let params = self.b.block_params(start).to_vec();
        self.now.registers = State::default();
        self.write(X::SP.index(), params[2]);
        self.write(X::A0.index(), params[3]);
        self.now.registers = State {
            available: PASSED,
            dirty: 0,
            boxed: 0,
        };
        self.now.facts = Facts::outside();
        if self.settings.counting {
            let left = self
                .b
                .ins()
                .load(types::I64, trusted(), self.context, offset::LEFT);
            self.b.def_var(self.left, left);
        }
        let mut which = params[1];
        if self.settings.system {
            which = self.settle_down(which);
            self.check_all(which);
        }
        let entries = self.graph.entries.clone();
        let Some((&(_, last), others)) = entries.split_last() else {
            self.error = Some("no entry".into());
            let code = self.b.ins().iconst(types::I64, code::MISSING as i64);
            self.b.ins().return_(&[code]);
            return;
        };
        if others.len() < FEW_ENTRIES {
            for (index, &(_, id)) in others.iter().enumerate() {
                let meant = self
                    .b
                    .ins()
                    .icmp_imm_u(IntCC::NotEqual, which, index as i64);
                let edge = self.unless(meant);
                self.aside(edge, |t| t.enter_at(id));
            }
            return self.enter_at(last);
        }
        let edges: Vec<Block> = entries.iter().map(|_| self.b.create_block()).collect();
        let calls: Vec<_> = edges
            .iter()
            .map(|&edge| self.b.func.dfg.block_call(edge, &[]))
            .collect();
        let default = calls[calls.len() - 1];
        let table = JumpTableData::new(default, &calls[..calls.len() - 1]);
        let table = self.b.create_jump_table(table);
        let entry = self.b.ins().ireduce(types::I32, which);
        self.b.ins().br_table(entry, table);
        for (edge, (_, id)) in edges.into_iter().zip(entries) {
            self.b.seal_block(edge);
            self.aside(edge, |t| t.enter_at(id));
        }
    }

    /// The way to one entry.
    fn enter_at(&mut self, id: NodeId) {
        if !self.settings.system {
            self.check(self.checks.from_start[id], self.graph.nodes[id].start);
        }
        // The state in memory is complete: a checkpoint costs nothing here.
        self.now.window = self.windows[id];
        self.meet(id);
        self.b.ins().jump(self.blocks[id], &[]);
    }

    /// Brings `left` up to date, as the start of every node wants it.
    fn settle(&mut self) {
        if self.settings.counting && self.now.retired > 0 {
            let left = self.b.use_var(self.left);
            let left = self.b.ins().iadd_imm_s(left, -(self.now.retired as i64));
            self.b.def_var(self.left, left);
            self.now.retired = 0;
            self.now.counted = false;
        }
    }

    /// Ends a node.
    pub(super) fn jump(&mut self, target: Target) {
        match target {
            Target::Node(id) => {
                self.settle();
                if let Some(strip) = self.next_round(id) {
                    return self.tick(id, strip);
                }
                self.meet(id);
                self.b.ins().jump(self.blocks[id], &[]);
            }
            Target::Outside(pc) => self.chain(pc),
        }
    }

    /// Ends a node with a branch: to `taken` if the condition holds.
    pub(super) fn branch(&mut self, condition: Value, taken: Target, next: Target) {
        self.settle();
        let (taken_block, next_block) = (self.edge(taken), self.edge(next));
        self.b
            .ins()
            .brif(condition, taken_block, &[], next_block, &[]);
        for (block, target) in [(taken_block, taken), (next_block, next)] {
            let direct = matches!(target, Target::Node(id) if self.blocks[id] == block);
            if !direct {
                self.b.seal_block(block);
                let rare = matches!(target, Target::Outside(_));
                self.aside(block, |t| {
                    let cold = t.cold;
                    t.cold |= rare;
                    t.jump(target);
                    t.cold = cold;
                });
            }
        }
    }

    /// If the edge from the current node to that one begins another round of a free copy: the strip
    /// of that.
    pub(super) fn next_round(&self, id: NodeId) -> Option<NodeId> {
        let strip = self.graph.nodes[self.now.node].over?;
        (self.graph.nodes[strip].ways.last() == Some(&id)).then_some(strip)
    }

    /// The block that an edge of a branch leads to: the target's own if nothing is to be done on
    /// the way.
    fn edge(&mut self, target: Target) -> Block {
        match target {
            Target::Node(id) if self.next_round(id).is_none() && self.is_met(id) => self.blocks[id],
            Target::Node(_) => self.b.create_block(),
            // What is not part of the region mostly never ran.
            Target::Outside(_) => {
                let block = self.b.create_block();
                self.b.set_cold_block(block);
                block
            }
        }
    }

    /// Whether a branch is taken; or if `inverse`, whether it is not.
    pub(super) fn condition(&mut self, insn: Insn, inverse: bool) -> Value {
        let (cc, o) = match insn {
            Insn::Beq(o) => (IntCC::Equal, o),
            Insn::Bne(o) => (IntCC::NotEqual, o),
            Insn::Blt(o) => (IntCC::SignedLessThan, o),
            Insn::Bge(o) => (IntCC::SignedGreaterThanOrEqual, o),
            Insn::Bltu(o) => (IntCC::UnsignedLessThan, o),
            Insn::Bgeu(o) => (IntCC::UnsignedGreaterThanOrEqual, o),
            other => {
                self.error = Some(format!("{other:?} is no branch"));
                return self.b.ins().iconst(types::I8, 0);
            }
        };
        let cc = if self.sabotaged(insn.op()) != inverse {
            cc.complement()
        } else {
            cc
        };
        let (a, b) = (self.x(o.rs1), self.x(o.rs2));
        self.b.ins().icmp(cc, a, b)
    }

    /// A jalr ends a node.
    pub(super) fn jalr(&mut self, step: &Step, end: End) {
        let Insn::Jalr(o) = step.insn else {
            self.error = Some(format!("{:?} is no jalr", step.insn));
            return self.leave(code::INTERPRET, step.pc);
        };
        let base = self.x(o.rs1);
        let offset = super::imm(o.imm) + if self.sabotaged(step.insn.op()) { 4 } else { 0 };
        let target = if offset == 0 {
            base
        } else {
            self.b.ins().iadd_imm_s(base, offset)
        };
        let link = self.pc_value(step.next());
        self.set(o.rd, link);
        self.retire();
        self.now.facts.step(step);
        match end {
            End::Computed(hub) => {
                self.b.def_var(self.target, target);
                self.jump(Target::Node(hub));
            }
            End::Stray(stray) => self.stray(target, stray, step.pc),
            _ => self.indirect(target),
        }
    }

    /// An ecall, ebreak or fence.i ends a node. The interpreter raises ebreak's trap.
    pub(super) fn system(&mut self, step: &Step) {
        match step.insn {
            Insn::Ecall(_) => {
                let zero = self.b.ins().iconst(types::I64, 0);
                self.b
                    .ins()
                    .store(trusted(), zero, self.context, offset::TVAL);
                self.leave(code::TRAP, step.pc);
            }
            Insn::FenceI(_) => {
                self.retire();
                self.leave(code::FENCE_I, step.next());
            }
            insn if self.settings.system && insn.op().is_privileged() => self.privileged(step),
            _ => self.leave(code::INTERPRET, step.pc),
        }
    }
}
