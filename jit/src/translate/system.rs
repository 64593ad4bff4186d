//! Whole machines: the memory path through the translation cache, jumps whose targets depend on
//! what is mapped, and the control and status registers.
//!
//! An access compares its page with the entry's tag and adds the entry's addend. Where the tag is
//! another one, a cold path calls a helper, which walks the page tables and returns the host address.
//! If the access is the interpreter's it does not return: the hart goes back to the last checkpoint,
//! see `analysis/windows.rs`. Nothing is passed to helpers in registers.

use super::Translator;
use super::memory::Address;
use super::registers::trusted;
use super::zicsr::{Change, Source};
use crate::context::{code, offset};
use crate::graph::Step;
use crate::helpers::{AccessSite, Csr, Helper};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use frontend::X;
use hart::system::tlb::{ENTRIES, Entry};
use memory::{PAGE, PAGE_BITS};
use std::mem::size_of;

/// What an access is.
#[derive(Clone, Copy)]
pub(super) struct Access {
    /// How many bytes, 1 to 8.
    pub bytes: u32,
    /// Whether memory is written.
    pub store: bool,
}

impl Access {
    /// A load.
    pub fn load(bits: u32) -> Access {
        Access {
            bytes: bits / 8,
            store: false,
        }
    }

    /// A store or an atomic.
    pub fn store(bits: u32) -> Access {
        Access {
            bytes: bits / 8,
            store: true,
        }
    }
}

impl Translator<'_, '_> {
    /// The host address of an access to `x[base] + imm`.
    pub(super) fn translated(&mut self, base: X, imm: i32, access: Access) -> Address {
        const SHIFT: u32 = PAGE_BITS - size_of::<Entry>().trailing_zeros();
        const MASK: usize = (ENTRIES - 1) * size_of::<Entry>();
        let mut va = self.x(base);
        if imm != 0 {
            va = self.b.ins().iadd_imm_s(va, super::imm(imm));
        }
        let scaled = self.b.ins().ushr_imm_u(va, i64::from(SHIFT));
        let index = self.b.ins().band_imm_u(scaled, MASK as i64);
        let entries = self
            .b
            .ins()
            .load(types::I64, trusted(), self.context, offset::ENTRIES);
        let entry = self.b.ins().iadd(entries, index);
        // The page of the last byte: an access that crosses into the next page has another tag than
        // any entry at its first page's place.
        let last = match access.bytes {
            1 => va,
            bytes => self.b.ins().iadd_imm_u(va, i64::from(bytes) - 1),
        };
        let page = self.b.ins().band_imm_s(last, -(PAGE as i64));
        let field = if access.store {
            Entry::STORE
        } else {
            Entry::LOAD
        };
        let tag = self
            .b
            .ins()
            .load(types::I64, trusted(), entry, field as i32);
        let hit = self.b.ins().icmp(IntCC::Equal, page, tag);
        let addend = self
            .b
            .ins()
            .load(types::I64, trusted(), entry, Entry::ADDEND as i32);
        let host = self.b.ins().iadd(va, addend);
        let (join, cold) = (self.b.create_block(), self.b.create_block());
        let found = self.b.append_block_param(join, types::I64);
        self.b.set_cold_block(cold);
        if self.cold {
            self.b.set_cold_block(join);
        }
        self.b.ins().brif(hit, join, &[host.into()], cold, &[]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        let host = self.call_translate(va, access);
        self.b.ins().jump(join, &[host.into()]);
        self.b.seal_block(join);
        self.b.switch_to_block(join);
        Address {
            base: found,
            offset: 0,
        }
    }

    /// Asks the helper for the host address of an access. It does not come back if the hart has to be
    /// rolled back.
    fn call_translate(&mut self, va: Value, access: Access) -> Value {
        let site = AccessSite {
            bytes: access.bytes,
            store: access.store,
            checkpoint: self.now.checkpoint,
        };
        let packed = site.pack().unwrap_or_else(|| {
            self.error = Some(format!("{site:?} does not fit into a word"));
            0
        });
        self.call_helper(Helper::Translate, &[va], packed)
    }

    /// Calls a helper; its result.
    fn call_helper(&mut self, helper: Helper, operands: &[Value], operation: u64) -> Value {
        let context = self.context;
        for (index, &operand) in operands.iter().enumerate() {
            let at = offset::SCRATCH + 8 * index as i32;
            self.b.ins().store(trusted(), operand, context, at);
        }
        let operation = self.b.ins().iconst(types::I64, operation as i64);
        self.b
            .ins()
            .store(trusted(), operation, context, offset::OPERATION);
        let thunk = self.linker.thunk(helper, self.b.func);
        self.b.ins().call(thunk, &[]);
        self.b
            .ins()
            .load(types::I64, trusted(), context, offset::RESULT)
    }

    /// What `left` is before the current instruction.
    fn left_now(&mut self) -> Value {
        let left = self.b.use_var(self.left);
        match self.now.retired {
            0 => left,
            retired => self.b.ins().iadd_imm_s(left, -(retired as i64)),
        }
    }

    /// Goes on at an address, whose bit 0 counts as 0, after `finish`.
    pub(super) fn go_on(&mut self, target: Value) {
        let dispatch = self.linker.dispatch(self.b.func);
        let (sp, a0) = (self.read(X::SP.index()), self.read(X::A0.index()));
        self.b
            .ins()
            .return_call(dispatch, &[self.context, target, sp, a0]);
    }

    /// Where the region is entered: takes note of where it lies now. The number of the entry.
    pub(super) fn settle_down(&mut self, entry: Value) -> Value {
        let moved = self.b.ins().band_imm_s(entry, -(PAGE as i64));
        self.b
            .ins()
            .store(trusted(), moved, self.context, offset::MOVED);
        self.b.ins().band_imm_u(entry, PAGE as i64 - 1)
    }

    /// How far the region lies from where it lay when it was compiled.
    pub(super) fn moved(&mut self) -> Value {
        self.b
            .ins()
            .load(types::I64, trusted(), self.context, offset::MOVED)
    }

    /// Where the region is entered: comes back to the engine if what is left does not cover the way
    /// from any entry to the next check.
    pub(super) fn check_all(&mut self, entry: Value) {
        let entries = &self.graph.entries;
        let far = entries.iter().map(|&(_, id)| self.checks.from_start[id]);
        let far = far.max().unwrap_or(0);
        let left = self.b.use_var(self.left);
        let enough = IntCC::UnsignedGreaterThanOrEqual;
        let enough = self.b.ins().icmp_imm_u(enough, left, far as i64);
        let cold = self.unless(enough);
        let table = self.linker.entries(self.b.func);
        self.aside(cold, |t| {
            let table = t.b.ins().symbol_value(types::I64, table);
            let offset = t.b.ins().ishl_imm_u(entry, 3);
            let at = t.b.ins().iadd(table, offset);
            let pc = t.b.ins().load(types::I64, trusted(), at, 0);
            let moved = t.moved();
            let pc = t.b.ins().iadd(pc, moved);
            t.leave_to(code::LIMIT, pc);
        });
    }

    /// An access to a control and status register other than fcsr's: a helper does it.
    pub(super) fn system_csr(
        &mut self,
        (pc, next): (u64, u64),
        rd: X,
        csr: u16,
        source: &Source,
        change: &Change,
    ) {
        let nothing = matches!(source, Source::Register(X::ZERO) | Source::Immediate(0));
        let operation = Csr {
            csr,
            reads: *change != Change::Write || rd != X::ZERO,
            change: match change {
                Change::Write => 1,
                Change::Set | Change::Clear if nothing => 0,
                Change::Set => 2,
                Change::Clear => 3,
            },
        };
        let operand = match *source {
            Source::Register(rs1) => self.x(rs1),
            Source::Immediate(value) => self.b.ins().iconst(types::I64, i64::from(value)),
        };
        let left = self.left_now();
        let old = self.call_helper(Helper::Csr, &[operand, left], operation.pack());
        let status = self
            .b
            .ins()
            .load(types::I64, trusted(), self.context, offset::STATUS);
        let quiet = self.b.ins().icmp_imm_u(IntCC::Equal, status, 0);
        let cold = self.unless(quiet);
        self.aside(cold, |t| {
            let legal = code::INTERPRET as i64;
            let legal = t.b.ins().icmp_imm_u(IntCC::NotEqual, status, legal);
            let illegal = t.unless(legal);
            t.aside(illegal, |t| t.leave(code::INTERPRET, pc));
            t.set(rd, old);
            t.now.retired += 1;
            t.finish();
            let next = t.pc_value(next);
            t.b.ins().store(trusted(), next, t.context, offset::PC);
            t.b.ins().return_(&[status]);
        });
        self.set(rd, old);
    }

    /// A privileged instruction ends a node: a helper executes it on the state in memory.
    pub(super) fn privileged(&mut self, step: &Step) {
        self.finish();
        let context = self.context;
        let pc = self.pc_value(step.pc);
        self.b.ins().store(trusted(), pc, context, offset::PC);
        let next = self.pc_value(step.next());
        let bits = u64::from(step.insn.encode());
        self.call_helper(Helper::Privileged, &[next], bits);
        let status = self
            .b
            .ins()
            .load(types::I64, trusted(), context, offset::STATUS);
        let quiet = self.b.ins().icmp_imm_u(IntCC::Equal, status, 0);
        let cold = self.unless(quiet);
        self.aside(cold, |t| {
            t.b.ins().return_(&[status]);
        });
        let pc = self
            .b
            .ins()
            .load(types::I64, trusted(), context, offset::PC);
        self.go_on(pc);
    }
}
