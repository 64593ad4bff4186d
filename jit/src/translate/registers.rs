//! Guest registers as variables: reading, writing, loading from and storing to the state.

use super::exits::Next;
use super::{Class, Translator};
use crate::analysis::each;
use crate::analysis::recipes;
use crate::analysis::registers::GUARD;
use crate::context::offset;
use crate::graph::{Graph, Node};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use frontend::{F, Op, X};

/// Flags of accesses to the context, which never fault.
pub fn trusted() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// Flags of a change of type between vectors of the same size.
fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

/// How each floating-point register is best kept: as what the region's instructions take it for.
pub fn classes(graph: &Graph) -> [Class; 32] {
    let (mut singles, mut doubles) = (0u32, 0u32);
    for &id in &graph.order {
        for step in &graph.nodes[id].steps {
            let uses = (step.insn.uses().bits() >> 32) as u32;
            let defs = (step.insn.defs().bits() >> 32) as u32;
            let (single_uses, single_defs) = widths(step.insn.op());
            *(if single_uses {
                &mut singles
            } else {
                &mut doubles
            }) |= uses;
            *(if single_defs {
                &mut singles
            } else {
                &mut doubles
            }) |= defs;
        }
    }
    std::array::from_fn(|f| match (singles >> f & 1, doubles >> f & 1) {
        (1, 1) => Class::Mixed,
        (1, _) => Class::Single,
        _ => Class::Double,
    })
}

/// Whether an instruction's floating-point sources, and its destination, are singles.
fn widths(op: Op) -> (bool, bool) {
    use Op::*;
    match op {
        FcvtSD => (false, true),
        FcvtDS => (true, false),
        _ => {
            let name = op.row().mnemonic;
            let single = name.contains(".s") || name == "flw" || name == "fsw";
            let moves = matches!(op, FmvXW | FmvWX);
            (single || moves, single || moves)
        }
    }
}

impl Translator<'_, '_> {
    /// The value of `x[r]`.
    pub(super) fn x(&mut self, r: X) -> Value {
        if r == X::ZERO {
            return self.b.ins().iconst(types::I64, 0);
        }
        match self.skipping.iter().find(|&&(written, _)| written == r) {
            Some(&(_, value)) => value,
            None => self.read(r.index()),
        }
    }

    /// Writes `x[rd]`.
    pub(super) fn set(&mut self, rd: X, value: Value) {
        if rd == X::ZERO {
            return;
        }
        if self.skip.is_none() {
            return self.write(rd.index(), value);
        }
        match self.skipping.iter_mut().find(|(written, _)| *written == rd) {
            Some((_, last)) => *last = value,
            None => self.skipping.push((rd, value)),
        }
    }

    /// Behind the last of the steps that one branch skips: chooses for each register that they write
    /// whether it keeps what it was.
    pub(super) fn end_skip(&mut self) {
        let Some(skip) = self.skip.take() else { return };
        for (rd, value) in std::mem::take(&mut self.skipping) {
            let old = self.x(rd);
            let value = self.b.ins().select(skip, old, value);
            self.set(rd, value);
        }
    }

    /// The variable of register `r` (an f register at 32 + n), whatever its type.
    fn variable(&mut self, r: usize) -> cranelift_frontend::Variable {
        if let Some(variable) = self.variables[r] {
            return variable;
        }
        let ty = self.kind(r);
        let variable = self.b.declare_var(ty);
        self.variables[r] = Some(variable);
        variable
    }

    fn kind(&self, r: usize) -> Type {
        if r < 32 {
            return types::I64;
        }
        match self.classes[r - 32] {
            Class::Double => types::F64,
            Class::Single => types::F32,
            Class::Mixed => types::F32X4,
        }
    }

    /// A register's value, loaded now if it is not there yet.
    pub(super) fn read(&mut self, r: usize) -> Value {
        if self.now.registers.available >> r & 1 == 0 {
            self.load(r, self.now.pc);
            self.now.registers.available |= 1 << r;
        }
        let variable = self.variable(r);
        self.b.use_var(variable)
    }

    /// Gives a register a new value.
    pub(super) fn write(&mut self, r: usize, value: Value) {
        let variable = self.variable(r);
        self.b.def_var(variable, value);
        self.now.registers.available |= 1 << r;
        self.now.registers.dirty |= 1 << r;
        self.now.unchecked.overwritten(r);
    }

    /// Loads a register from the state. A single that is not boxed cannot be kept as such: then
    /// the next instruction is the interpreter's.
    pub(super) fn load(&mut self, r: usize, next: impl Into<Next>) {
        let context = self.context;
        let value = if r as u64 == u64::from(GUARD.trailing_zeros()) {
            self.guard()
        } else if r < 32 {
            self.b
                .ins()
                .load(types::I64, trusted(), context, offset::x(r))
        } else {
            let at = offset::f(r - 32);
            match self.classes[r - 32] {
                Class::Double => self.b.ins().load(types::F64, trusted(), context, at),
                Class::Single => {
                    let upper = self.b.ins().load(types::I32, trusted(), context, at + 4);
                    let boxed = self.b.ins().icmp_imm_s(IntCC::Equal, upper, -1);
                    self.require(boxed, next);
                    self.b.ins().load(types::F32, trusted(), context, at)
                }
                Class::Mixed => {
                    let value = self.b.ins().load(types::F64, trusted(), context, at);
                    let vector = self.b.ins().scalar_to_vector(types::F64X2, value);
                    self.b.ins().bitcast(types::F32X4, little(), vector)
                }
            }
        };
        let variable = self.variable(r);
        self.b.def_var(variable, value);
    }

    /// Whether floating point can take its fast path: 0 if NX has accrued and frm is nearest-even,
    /// a huge number otherwise.
    fn guard(&mut self) -> Value {
        let context = self.context;
        let flags = self
            .b
            .ins()
            .load(types::I32, trusted(), context, offset::FFLAGS);
        let frm = self
            .b
            .ins()
            .load(types::I32, trusted(), context, offset::FRM);
        let inexact = self.b.ins().band_imm_u(flags, 1);
        let missing = self.b.ins().bxor_imm_u(inexact, 1);
        let either = self.b.ins().bor(missing, frm);
        let wide = self.b.ins().uextend(types::I64, either);
        self.b.ins().ineg(wide)
    }

    /// Stores registers to the state.
    pub(super) fn store(&mut self, registers: u64) {
        let context = self.context;
        if self.now.unchecked.any(registers) {
            self.error = Some(format!("unchecked results at {:#x}", self.now.pc));
        }
        for r in each(registers) {
            let variable = self.variable(r);
            let value = self.b.use_var(variable);
            if r < 32 {
                self.b.ins().store(trusted(), value, context, offset::x(r));
                continue;
            }
            let at = offset::f(r - 32);
            match self.classes[r - 32] {
                Class::Double => {
                    self.b.ins().store(trusted(), value, context, at);
                }
                Class::Single => {
                    self.b.ins().store(trusted(), value, context, at);
                    let ones = self.b.ins().iconst(types::I32, -1);
                    self.b.ins().store(trusted(), ones, context, at + 4);
                }
                Class::Mixed => {
                    let doubles = self.b.ins().bitcast(types::F64X2, little(), value);
                    let low = self.b.ins().extractlane(doubles, 0);
                    self.b.ins().store(trusted(), low, context, at);
                }
            }
        }
    }

    /// Makes the state in memory complete, but for the pc and for instructions that `left` does not
    /// know of yet: a checkpoint.
    ///
    /// Registers that the interpreter can compute again from the steps of the node before step `end`
    /// are left out; the number of the recipe for that is returned.
    pub(super) fn flush(&mut self, node: &Node, end: usize) -> u32 {
        let (mut again, mut recipe) = (0, 0);
        if self.settings.recipes {
            let found = recipes::find(node, end, self.settings.host_flags);
            again = found.registers();
            if self.now.registers.dirty & again != 0 {
                recipe = self.recipes.len() as u32;
                self.recipes.push(found.instructions());
            }
        }
        if !self.are_checked_later(again) {
            self.check_results();
        }
        self.store(self.now.registers.dirty & !again);
        self.now.registers.dirty &= again;
        if self.settings.counting && !self.now.counted {
            let left = self.b.use_var(self.left);
            self.b
                .ins()
                .store(trusted(), left, self.context, offset::LEFT);
            self.now.counted = true;
        }
        recipe
    }

    /// The register as a double.
    pub(super) fn f64(&mut self, r: F) -> Value {
        self.check_result(r);
        self.f64_unchecked(r)
    }

    /// The register as a double, for arithmetic: it may be a NaN that is not the canonical one.
    pub(super) fn f64_unchecked(&mut self, r: F) -> Value {
        let value = self.read(32 + r.index());
        match self.classes[r.index()] {
            Class::Double => value,
            // A double's use makes a register mixed.
            Class::Single | Class::Mixed => {
                let doubles = self.b.ins().bitcast(types::F64X2, little(), value);
                self.b.ins().extractlane(doubles, 0)
            }
        }
    }

    /// Writes a double.
    pub(super) fn set_f64(&mut self, rd: F, value: Value) {
        let value = match self.classes[rd.index()] {
            Class::Double => value,
            Class::Single | Class::Mixed => {
                let doubles = self.b.ins().scalar_to_vector(types::F64X2, value);
                self.b.ins().bitcast(types::F32X4, little(), doubles)
            }
        };
        self.write(32 + rd.index(), value);
        self.now.registers.boxed &= !(1 << rd.index());
    }

    /// The low half of the register, boxed or not.
    pub(super) fn f32_raw(&mut self, r: F) -> Value {
        self.check_result(r);
        let value = self.read(32 + r.index());
        match self.classes[r.index()] {
            Class::Single => value,
            Class::Double | Class::Mixed => self.b.ins().extractlane(value, 0),
        }
    }

    /// The register as a single. One that is not boxed counts as NaN, which is the interpreter's
    /// business. This is for arithmetic: it may be a NaN that is not the canonical one.
    pub(super) fn f32_unchecked(&mut self, r: F) -> Value {
        let value = self.read(32 + r.index());
        if self.classes[r.index()] == Class::Single {
            return value;
        }
        if self.now.registers.boxed >> r.index() & 1 == 0 {
            let words = self.b.ins().bitcast(types::I32X4, little(), value);
            let upper = self.b.ins().extractlane(words, 1);
            let boxed = self.b.ins().icmp_imm_s(IntCC::Equal, upper, -1);
            self.require(boxed, self.now.pc);
            self.now.registers.boxed |= 1 << r.index();
        }
        self.b.ins().extractlane(value, 0)
    }

    /// Writes a single, boxed.
    pub(super) fn set_f32(&mut self, rd: F, value: Value) {
        let value = match self.classes[rd.index()] {
            Class::Single => value,
            Class::Double | Class::Mixed => {
                let ones = self
                    .b
                    .func
                    .dfg
                    .constants
                    .insert([0xff; 16].as_slice().into());
                let ones = self.b.ins().vconst(types::F32X4, ones);
                self.b.ins().insertlane(ones, value, 0)
            }
        };
        self.write(32 + rd.index(), value);
        self.now.registers.boxed |= 1 << rd.index();
    }

    /// Removes loads placed before loops and at merges that nothing uses after all.
    pub(super) fn drop_unused_loads(&mut self) {
        // Values are used by instructions, as branch arguments, and through aliases.
        let mut used = vec![false; self.b.func.dfg.num_values()];
        let func = &self.b.func;
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                for value in func.dfg.inst_values(inst) {
                    used[func.dfg.resolve_aliases(value).as_u32() as usize] = true;
                }
            }
        }
        for value in std::mem::take(&mut self.hoisted) {
            if !used[value.as_u32() as usize]
                && let Some(inst) = self.b.func.dfg.value_def(value).inst()
            {
                self.b.func.layout.remove_inst(inst);
            }
        }
    }
}
