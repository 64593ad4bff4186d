//! The memory path: how a guest access becomes a host access. All that knows that a program's memory
//! is a window of host memory is here and in `analysis/window.rs`; a machine's is in `system.rs`.
//!
//! The host's MMU checks the access. What the code must see to is that the address cannot leave
//! the window and its guard zones. A fault rolls the hart back, see `analysis/windows.rs`.

use super::Translator;
use super::registers::trusted;
use super::system::Access;
use crate::context::offset;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, TrapCode, Type, Value, types};
use frontend::X;

/// How many different numbers an access is marked with. Cranelift may let a later instruction do
/// a load; the number then tells which access faulted.
pub const TRAP_CODES: usize = 200;

/// A host address: a value and a constant.
pub(super) struct Address {
    pub(super) base: Value,
    pub(super) offset: i32,
}

/// The mark of the access that is site number `site`.
pub fn trap_code(site: usize) -> TrapCode {
    TrapCode::user((site % TRAP_CODES) as u8 + 1).unwrap_or(TrapCode::HEAP_OUT_OF_BOUNDS)
}

impl Translator<'_, '_> {
    /// Whether an address is in the window.
    pub(super) fn in_window(&mut self, va: Value) -> Value {
        let limit = self.b.ins().iconst(types::I64, memory::LIMIT as i64);
        self.b.ins().icmp(IntCC::UnsignedLessThan, va, limit)
    }

    /// Ends compiled code unless an address about to be accessed is in the window: the hart is rolled
    /// back as by a fault.
    fn demand_window(&mut self, va: Value) {
        let limit = self.b.ins().iconst(types::I64, memory::LIMIT as i64);
        let outside = self
            .b
            .ins()
            .icmp(IntCC::UnsignedGreaterThanOrEqual, va, limit);
        self.b
            .ins()
            .trapnz(outside, trap_code(self.sites.len() - 1));
    }

    /// Where `x[base] + imm` is on the host; the access may be made, and must be the next thing
    /// that is.
    pub(super) fn address(&mut self, base: X, imm: i32, access: Access) -> Address {
        if self.settings.system {
            return self.translated(base, imm, access);
        }
        let va = self.x(base);
        let free = self.graph.nodes[self.now.node].free;
        if !free && !self.now.facts.get(base).is_near() {
            self.demand_window(va);
        }
        self.now.facts.accessed(base, imm);
        let base = match self.settings.own_addresses {
            true => va,
            false => {
                let window = self.window();
                self.b.ins().iadd(window, va)
            }
        };
        Address { base, offset: imm }
    }

    /// Host address of guest address 0.
    fn window(&mut self) -> Value {
        let flags = trusted().with_readonly().with_can_move();
        self.b
            .ins()
            .load(types::I64, flags, self.context, offset::WINDOW)
    }

    /// Flags of the current instruction's access.
    pub(super) fn guest(&self) -> MemFlagsData {
        if self.settings.system {
            // What could fault has been found out before.
            return MemFlagsData::new().with_notrap();
        }
        MemFlagsData::new().with_trap_code(Some(trap_code(self.sites.len() - 1)))
    }

    /// The address as one value, for atomics, which take no offset.
    pub(super) fn flat(&mut self, address: &Address) -> Value {
        self.b
            .ins()
            .iadd_imm_s(address.base, i64::from(address.offset))
    }

    /// Loads `bits` bits into an integer register's width.
    pub(super) fn load_x(&mut self, base: X, imm: i32, bits: u32, signed: bool) -> Value {
        let Address { base, offset } = self.address(base, imm, Access::load(bits));
        let flags = self.guest();
        let ins = self.b.ins();
        match (bits, signed) {
            (8, true) => ins.sload8(types::I64, flags, base, offset),
            (8, false) => ins.uload8(types::I64, flags, base, offset),
            (16, true) => ins.sload16(types::I64, flags, base, offset),
            (16, false) => ins.uload16(types::I64, flags, base, offset),
            (32, true) => ins.sload32(flags, base, offset),
            (32, false) => ins.uload32(flags, base, offset),
            (_, _) => ins.load(types::I64, flags, base, offset),
        }
    }

    /// Keeps Cranelift from leaving a store out because memory has the value already: it may fault,
    /// and other harts see it.
    pub(super) fn keep_store(&mut self) {
        self.b.ins().sequence_point();
    }

    /// Stores the low `bits` bits.
    pub(super) fn store_x(&mut self, base: X, imm: i32, bits: u32, value: Value) {
        let Address { base, offset } = self.address(base, imm, Access::store(bits));
        self.keep_store();
        let flags = self.guest();
        let ins = self.b.ins();
        match bits {
            8 => ins.istore8(flags, value, base, offset),
            16 => ins.istore16(flags, value, base, offset),
            32 => ins.istore32(flags, value, base, offset),
            _ => ins.store(flags, value, base, offset),
        };
    }

    /// Loads a floating-point number.
    pub(super) fn load_f(&mut self, base: X, imm: i32, ty: Type) -> Value {
        let Address { base, offset } = self.address(base, imm, Access::load(ty.bits()));
        let flags = self.guest();
        self.b.ins().load(ty, flags, base, offset)
    }

    /// Stores a floating-point number.
    pub(super) fn store_f(&mut self, base: X, imm: i32, value: Value) {
        let bits = self.b.func.dfg.value_type(value).bits();
        let Address { base, offset } = self.address(base, imm, Access::store(bits));
        self.keep_store();
        let flags = self.guest();
        self.b.ins().store(flags, value, base, offset);
        // A load of it is done, and not taken for the number that was stored: what is made of it
        // must stay where it is, see `analysis/placement.rs`.
        self.b.ins().sequence_point();
    }
}
