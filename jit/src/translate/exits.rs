//! Ways out of a region: to other regions, by slots and the jump cache, and back to `JitHart::run`.

use super::Translator;
use super::memory::trap_code;
use super::registers::trusted;
use crate::analysis::each;
use crate::analysis::facts::{Fact, STACK_REACH};
use crate::code::Descriptor;
use crate::context::{JUMP_CACHE_SLOTS, JumpSlot, code, offset};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block, InstBuilder, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use frontend::X;
use std::mem::{offset_of, size_of};

/// The signature of every region: context, which entry, sp, a0; returns an exit code.
pub fn signature(call_conv: CallConv) -> Signature {
    let mut signature = Signature::new(call_conv);
    signature.params = vec![AbiParam::new(types::I64); 4];
    signature.returns = vec![AbiParam::new(types::I64)];
    signature
}

/// Where the next instruction is.
#[derive(Clone, Copy)]
pub(super) enum Next {
    /// There.
    At(u64),
    /// Where the computed jump leads that has come to the hub.
    Computed,
}

impl From<u64> for Next {
    fn from(pc: u64) -> Next {
        Next::At(pc)
    }
}

impl Translator<'_, '_> {
    /// Goes on in a new block, and returns another for what happens rarely.
    pub(super) fn unless(&mut self, condition: Value) -> Block {
        let (next, cold) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        if self.cold {
            self.b.set_cold_block(next);
        }
        self.b.ins().brif(condition, next, &[], cold, &[]);
        self.b.seal_block(next);
        self.b.seal_block(cold);
        self.b.switch_to_block(next);
        cold
    }

    /// Emits something into another block, which it ends, and comes back; what is known is as
    /// before.
    pub(super) fn aside(&mut self, block: Block, emit: impl FnOnce(&mut Self)) {
        let here = self.b.current_block();
        let now = self.now.clone();
        self.b.switch_to_block(block);
        emit(self);
        self.now = now;
        if let Some(here) = here {
            self.b.switch_to_block(here);
        }
    }

    /// Unless the condition holds, leaves the next instruction to the interpreter.
    pub(super) fn require(&mut self, condition: Value, next: impl Into<Next>) {
        self.check_results();
        let cold = self.unless(condition);
        self.aside(cold, |t| t.leave(code::INTERPRET, next));
    }

    /// Makes the state in memory complete but for the pc.
    pub(super) fn finish(&mut self) {
        self.check_results();
        let context = self.context;
        self.store(self.now.registers.dirty);
        if self.settings.counting {
            let left = self.b.use_var(self.left);
            let left = self.b.ins().iadd_imm_s(left, -(self.now.retired as i64));
            self.b.ins().store(trusted(), left, context, offset::LEFT);
        }
        self.now.registers.dirty = 0;
    }

    /// The address of something in the region, or in a fixed distance from it.
    pub(super) fn pc_value(&mut self, pc: u64) -> Value {
        let address = self.b.ins().iconst(types::I64, pc as i64);
        if !self.settings.system {
            return address;
        }
        let moved = self.moved();
        self.b.ins().iadd(moved, address)
    }

    /// Returns to `JitHart::run`.
    pub(super) fn leave(&mut self, code: u64, next: impl Into<Next>) {
        let pc = match next.into() {
            Next::At(pc) => self.pc_value(pc),
            Next::Computed => {
                let target = self.b.use_var(self.target);
                self.b.ins().band_imm_s(target, -2)
            }
        };
        self.leave_to(code, pc);
    }

    pub(super) fn leave_to(&mut self, code: u64, pc: Value) {
        self.finish();
        let code = self.b.ins().iconst(types::I64, code as i64);
        let way_out = match self.way_out {
            Some(way_out) => way_out,
            None => self.shared(2),
        };
        self.way_out = Some(way_out);
        self.b.ins().jump(way_out, &[pc.into(), code.into()]);
    }

    /// A block for what happens rarely and in many places, with so many parameters.
    fn shared(&mut self, parameters: usize) -> Block {
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        for _ in 0..parameters {
            self.b.append_block_param(block, types::I64);
        }
        block
    }

    /// Emits what rare exits have in common: most of an exit's code.
    pub(super) fn shared_exits(&mut self) {
        if let Some(way_out) = self.way_out {
            self.b.switch_to_block(way_out);
            let parameters = self.b.block_params(way_out).to_vec();
            if let [pc, code] = parameters[..] {
                self.b.ins().store(trusted(), pc, self.context, offset::PC);
                self.b.ins().return_(&[code]);
            }
        }
        if let Some(way_on) = self.way_on {
            self.b.switch_to_block(way_on);
            let parameters = self.b.block_params(way_on).to_vec();
            if let [descriptor, sp, a0] = parameters[..] {
                self.enter_region_with(
                    descriptor,
                    offset_of!(Descriptor, function) as i32,
                    offset_of!(Descriptor, entry) as i32,
                    (sp, a0),
                );
            }
        }
    }

    /// Goes on at `pc` in another region.
    pub(super) fn chain(&mut self, pc: u64) {
        if !self.settings.system {
            let value = self.b.ins().iconst(types::I64, pc as i64);
            self.keep_promises(value);
        }
        self.finish();
        self.keep_stack(Next::At(pc));
        if let Some(entry) = self
            .graph
            .entries
            .iter()
            .position(|&(entry, _)| entry == pc)
        {
            // A call of itself needs no slot: whoever may run this code may run it again.
            let own = self.linker.own(self.b.func);
            let mut entry = self.b.ins().iconst(types::I64, entry as i64);
            if self.settings.system {
                let moved = self.moved();
                entry = self.b.ins().bor(moved, entry);
            }
            let (sp, a0) = (self.read(X::SP.index()), self.read(X::A0.index()));
            self.b
                .ins()
                .return_call(own, &[self.context, entry, sp, a0]);
            return;
        }
        if self.settings.system {
            let pc = self.pc_value(pc);
            return self.go_on(pc);
        }
        let slot = self.linker.slot(pc, self.b.func);
        let slot = self.b.ins().symbol_value(types::I64, slot);
        let descriptor = self.b.ins().load(types::I64, trusted(), slot, 0);
        if self.cold {
            let way_on = match self.way_on {
                Some(way_on) => way_on,
                None => self.shared(3),
            };
            self.way_on = Some(way_on);
            let (sp, a0) = (self.read(X::SP.index()), self.read(X::A0.index()));
            let arguments = [descriptor.into(), sp.into(), a0.into()];
            self.b.ins().jump(way_on, &arguments);
            return;
        }
        self.enter_region(
            descriptor,
            offset_of!(Descriptor, function) as i32,
            offset_of!(Descriptor, entry) as i32,
        );
    }

    /// Goes on at an address known only now, whose bit 0 counts as 0.
    pub(super) fn indirect(&mut self, target: Value) {
        if self.settings.system {
            self.finish();
            return self.go_on(target);
        }
        self.keep_promises(target);
        self.finish();
        self.b.def_var(self.target, target);
        self.keep_stack(Next::Computed);
        // Entry sizes and the address's unit are powers of two: one shift does for both. No slot
        // holds an odd address that belongs to it, so bit 0 need not be cleared first.
        const SHIFT: u32 = size_of::<JumpSlot>().trailing_zeros() - 1;
        const MASK: usize = (JUMP_CACHE_SLOTS - 1) * size_of::<JumpSlot>();
        let scaled = self.b.ins().ishl_imm_u(target, i64::from(SHIFT));
        let index = self.b.ins().band_imm_u(scaled, MASK as i64);
        let slot = self.b.ins().iadd(self.context, index);
        let at = |field: usize| offset::JUMP_CACHE + field as i32;
        let pc = offset_of!(JumpSlot, pc);
        let found = self.b.ins().load(types::I64, trusted(), slot, at(pc));
        let hit = self.b.ins().icmp(IntCC::Equal, found, target);
        let cold = self.unless(hit);
        self.aside(cold, |t| {
            let even = t.b.ins().band_imm_s(target, -2);
            t.leave_to(code::NO_TARGET, even);
        });
        self.enter_region(
            slot,
            at(offset_of!(JumpSlot, function)),
            at(offset_of!(JumpSlot, entry)),
        );
    }

    /// The tail call itself. sp and a0 go along in host registers.
    fn enter_region(&mut self, from: Value, function: i32, entry: i32) {
        let sp = self.read(X::SP.index());
        let a0 = self.read(X::A0.index());
        self.enter_region_with(from, function, entry, (sp, a0));
    }

    fn enter_region_with(
        &mut self,
        from: Value,
        function: i32,
        entry: i32,
        (sp, a0): (Value, Value),
    ) {
        let function = self.b.ins().load(types::I64, trusted(), from, function);
        let entry = self.b.ins().load(types::I64, trusted(), from, entry);
        self.b
            .ins()
            .return_call_indirect(self.region, function, &[self.context, entry, sp, a0]);
    }

    /// Checks what the next region takes for granted, see `Facts::outside`. `pc` is where it is.
    fn keep_promises(&mut self, pc: Value) {
        for (register, fact) in [
            (X::SP, Fact::Window(STACK_REACH)),
            (X::new(3), Fact::Window(0)),
            (X::TP, Fact::Window(0)),
        ] {
            // Of sp more is promised.
            let more = register == X::SP && self.settings.stacks;
            if !more && !self.now.facts.get(register).implies(fact) {
                let value = self.x(register);
                let near = self.in_window(value);
                let cold = self.unless(near);
                self.aside(cold, |t| {
                    let even = t.b.ins().band_imm_s(pc, -2);
                    t.leave_to(code::INTERPRET, even);
                });
                self.now.facts.set(register, Fact::Window(0));
            }
        }
    }

    /// At the end of a node that leads back to a loop header: comes back to the engine if that
    /// wants to. `pc` is the next instruction.
    pub(super) fn check_at_end(&mut self, id: usize, pc: u64) {
        if let Some(far) = self.checks.from_end[id] {
            // What was loaded in this iteration may have changed by the next.
            self.b.ins().sequence_point();
            // Rounds of a free copy are few, and counted.
            if self.polls.is_covered(id) {
                return;
            }
            if self.settings.counting || self.graph.nodes[id].over.is_none() {
                if self.is_renewed(id) {
                    self.poll_or_roll_back();
                } else {
                    self.check(far, pc);
                }
            }
        }
    }

    /// Whether rolling back from the end of a node costs little, and gets the hart on: its checkpoint
    /// is made anew before it can come here again.
    fn is_renewed(&self, id: usize) -> bool {
        let kept = |next: usize| self.windows[next] == self.now.window;
        !self.settings.counting
            && self.now.window.0.is_some()
            && !self.graph.nodes[id].successors().any(kept)
    }

    /// If the engine wants something, ends compiled code at the last checkpoint: nothing has to be
    /// kept for that, and it takes no instruction of the usual way but the test.
    pub(super) fn poll_or_roll_back(&mut self) {
        // Another thread may have changed it since it was last loaded.
        self.b.ins().sequence_point();
        let calm = self
            .b
            .ins()
            .load(types::I64, trusted(), self.context, offset::CALM);
        // In this order the host compares a register with memory.
        let wanted = self.b.ins().icmp(IntCC::NotEqual, self.context, calm);
        let code = trap_code(self.sites.len() - 1);
        self.b.ins().trapnz(wanted, code);
    }

    /// Comes back to the engine if it wants that; the next check is up to `far` instructions from
    /// here.
    pub(super) fn check(&mut self, far: u64, next: impl Into<Next>) {
        let (code, go_on) = if self.settings.counting {
            let left = self.b.use_var(self.left);
            let far = (far + self.now.retired) as i64;
            let enough = self
                .b
                .ins()
                .icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, left, far);
            (code::LIMIT, enough)
        } else {
            let poll = self
                .b
                .ins()
                .load(types::I32, trusted(), self.context, offset::POLL);
            (code::POLL, self.b.ins().icmp_imm_u(IntCC::Equal, poll, 0))
        };
        let cold = self.unless(go_on);
        self.aside(cold, |t| t.leave(code, next));
    }

    /// The same of the stack pointer, which every region, and every draft, finds in bounds.
    fn keep_stack(&mut self, next: Next) {
        if self.settings.stacks {
            self.compare_stack(self.now.room.lacks_promised(), next);
        }
    }

    /// Comes back to the engine unless the stack pointer is in bounds: the lower, the upper one.
    pub(super) fn compare_stack(&mut self, (low, high): (bool, bool), next: impl Into<Next>) {
        let next = next.into();
        let bounds = [
            (low, offset::STACK_LOW, IntCC::UnsignedGreaterThanOrEqual),
            (high, offset::STACK_HIGH, IntCC::UnsignedLessThanOrEqual),
        ];
        for (wanted, bound, cc) in bounds {
            if wanted {
                let sp = self.x(X::SP);
                let bound = self
                    .b
                    .ins()
                    .load(types::I64, trusted(), self.context, bound);
                let holds = self.b.ins().icmp(cc, sp, bound);
                let cold = self.unless(holds);
                self.aside(cold, |t| t.leave(code::STACK, next));
            }
        }
    }

    /// Makes true what the target of an edge takes for granted. Whether it emitted anything.
    pub(super) fn meet(&mut self, id: usize) {
        let state = self.states[id];
        let pc = self.graph.nodes[id].start;
        let next = match self.graph.is_hub(id) {
            true => Next::Computed,
            false => Next::At(pc),
        };
        match self.windows[id].0 {
            // No checkpoint is in force there, so that registers may be stored.
            None => {
                let excess = self.now.registers.dirty & !state.dirty;
                self.store(excess);
                self.now.registers.dirty &= !excess;
            }
            Some(_) if self.now.window == self.windows[id] => {}
            Some(_) => self.error = Some(format!("{pc:#x} is reached with another checkpoint")),
        }
        if self.now.registers.dirty & !state.dirty != 0 {
            self.error = Some(format!("{pc:#x} does not know of all newer registers"));
        }
        for register in each(state.available & !self.now.registers.available) {
            self.load(register, next);
            self.now.registers.available |= 1 << register;
            let variable = self.variables[register];
            if let Some(variable) = variable {
                let value = self.b.use_var(variable);
                self.hoisted.push(value);
            }
        }
        for register in 1..32 {
            let register = X::new(register);
            let wanted = self.facts[id].get(register);
            let known = self.now.facts.get(register);
            if known.implies(wanted) {
                continue;
            }
            if let Fact::Range(..) = wanted {
                self.error = Some(format!("{register} is not known at {pc:#x}: {known:?}"));
            }
            let value = self.x(register);
            let near = self.in_window(value);
            self.require(near, next);
        }
        if state.boxed & !self.now.registers.boxed != 0 {
            self.error = Some(format!("singles are not known to be boxed at {pc:#x}"));
        }
    }

    /// Whether an edge to a node needs anything emitted.
    pub(super) fn is_met(&self, id: usize) -> bool {
        let (state, now) = (self.states[id], &self.now.registers);
        let checkpoint = self.windows[id].0.is_none() || self.now.window == self.windows[id];
        checkpoint
            && now.dirty & !state.dirty == 0
            && state.available & !now.available == 0
            && (0..32).all(|r| self.now.facts.0[r].implies(self.facts[id].0[r]))
            && state.boxed & !now.boxed == 0
    }
}
