//! Whole machines: the memory path through the translation cache, jumps whose targets depend on
//! what is mapped, and the control and status registers.
//!
//! An access compares its page with the entry's tag and adds the entry's addend. Where the tag is
//! another one, a cold path calls a helper, which walks the page tables and returns the host address,
//! or says that this access is the interpreter's: then the hart goes back to the last checkpoint,
//! see `analysis/windows.rs`. Nothing is passed to helpers in registers.

use super::Translator;
use super::memory::Address;
use super::registers::trusted;
use super::zicsr::{Change, Source};
use crate::context::{JUMP_CACHE_SLOTS, JumpSlot, code, jump_slot, offset};
use crate::helpers::{Csr, Translate};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};
use frontend::X;
use hart::system::tlb::{ENTRIES, Entry};
use memory::{PAGE, PAGE_BITS};
use std::mem::{offset_of, size_of};

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
        let replay = self.replay();
        self.b.ins().brif(host, join, &[host.into()], replay, &[]);
        self.b.seal_block(join);
        self.b.switch_to_block(join);
        Address {
            base: found,
            offset: 0,
        }
    }

    /// Asks the helper for the host address of an access; 0 if the hart was rolled back.
    fn call_translate(&mut self, va: Value, access: Access) -> Value {
        let left = self.left_now();
        let checkpoint = self.now.checkpoint;
        let pc = self.b.ins().iconst(types::I64, checkpoint.pc as i64);
        let operation = Translate {
            bytes: access.bytes,
            store: access.store,
            retired: checkpoint.retired,
        };
        self.call_helper(&[va, left, pc], operation.pack());
        let thunk = self.linker.translate_thunk(self.b.func);
        self.b.ins().call(thunk, &[]);
        self.b
            .ins()
            .load(types::I64, trusted(), self.context, offset::RESULT)
    }

    /// Stores a helper's operands.
    fn call_helper(&mut self, operands: &[Value], operation: u64) {
        let context = self.context;
        for (index, &operand) in operands.iter().enumerate() {
            let at = offset::SCRATCH + 8 * index as i32;
            self.b.ins().store(trusted(), operand, context, at);
        }
        let operation = self.b.ins().iconst(types::I64, operation as i64);
        self.b
            .ins()
            .store(trusted(), operation, context, offset::OPERATION);
    }

    /// What `left` is before the current instruction.
    fn left_now(&mut self) -> Value {
        let left = self.b.use_var(self.left);
        match self.now.retired {
            0 => left,
            retired => self.b.ins().iadd_imm_s(left, -(retired as i64)),
        }
    }

    /// The block that returns after a rollback; made when first asked for.
    fn replay(&mut self) -> Block {
        if let Some(block) = self.replay {
            return block;
        }
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        let here = self.b.current_block();
        self.b.switch_to_block(block);
        let code = self.b.ins().iconst(types::I64, code::REPLAY as i64);
        self.b.ins().return_(&[code]);
        if let Some(here) = here {
            self.b.switch_to_block(here);
        }
        self.replay = Some(block);
        block
    }

    /// Goes on at `pc` in another region, after `finish`: by the jump cache, since where the address
    /// leads is not known here.
    pub(super) fn chain_by_key(&mut self, pc: u64) {
        let target = self.b.ins().iconst(types::I64, pc as i64);
        let at = offset::JUMP_CACHE as usize + jump_slot(pc) * size_of::<JumpSlot>();
        self.follow(self.context, at as i32, target, code::MISSING);
    }

    /// Goes on at an address known only now, whose bit 0 counts as 0.
    pub(super) fn indirect_by_key(&mut self, target: Value) {
        self.finish();
        const SHIFT: u32 = size_of::<JumpSlot>().trailing_zeros() - 1;
        const MASK: usize = (JUMP_CACHE_SLOTS - 1) * size_of::<JumpSlot>();
        let scaled = self.b.ins().ishl_imm_u(target, i64::from(SHIFT));
        let index = self.b.ins().band_imm_u(scaled, MASK as i64);
        let slot = self.b.ins().iadd(self.context, index);
        self.follow(slot, offset::JUMP_CACHE, target, code::NO_TARGET);
    }

    /// Goes where a slot leads if it is the target's and still holds.
    fn follow(&mut self, slot: Value, at: i32, target: Value, otherwise: u64) {
        let field = |field: usize| at + field as i32;
        let pc = offset_of!(JumpSlot, pc);
        let found = self.b.ins().load(types::I64, trusted(), slot, field(pc));
        let other = self.b.ins().bxor(found, target);
        let key = self
            .b
            .ins()
            .load(types::I64, trusted(), self.context, offset::KEY);
        let noted = offset_of!(JumpSlot, key);
        let noted = self.b.ins().load(types::I64, trusted(), slot, field(noted));
        let changed = self.b.ins().bxor(noted, key);
        let either = self.b.ins().bor(other, changed);
        let hit = self.b.ins().icmp_imm_u(IntCC::Equal, either, 0);
        let cold = self.unless(hit);
        self.aside(cold, |t| {
            let even = t.b.ins().band_imm_s(target, -2);
            t.leave_to(otherwise, even);
        });
        self.enter_region(
            slot,
            field(offset_of!(JumpSlot, function)),
            field(offset_of!(JumpSlot, entry)),
        );
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
        self.call_helper(&[operand, left], operation.pack());
        let thunk = self.linker.csr_thunk(self.b.func);
        self.b.ins().call(thunk, &[]);
        let old = self
            .b
            .ins()
            .load(types::I64, trusted(), self.context, offset::RESULT);
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
            let next = t.b.ins().iconst(types::I64, next as i64);
            t.b.ins().store(trusted(), next, t.context, offset::PC);
            t.b.ins().return_(&[status]);
        });
        self.set(rd, old);
    }
}
