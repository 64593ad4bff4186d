//! A: atomics are host atomics, sequentially consistent whatever aq and rl ask. Misaligned ones are
//! left to the interpreter, which raises the trap.

use super::Translator;
use super::registers::trusted;
use super::system::Access;
use crate::context::offset;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, Type, Value, types};
use frontend::{Amo, Lr, X};

impl Translator<'_, '_> {
    /// Unless the address is aligned, the interpreter takes over.
    fn require_aligned(&mut self, base: X, ty: Type) {
        let va = self.x(base);
        let odd = self.b.ins().band_imm_u(va, i64::from(ty.bytes()) - 1);
        let aligned = self.b.ins().icmp_imm_u(IntCC::Equal, odd, 0);
        self.require(aligned, self.now.pc);
    }

    /// A register's low bits as the atomic takes them.
    fn operand(&mut self, rs2: X, ty: Type) -> Value {
        let value = self.x(rs2);
        if ty == types::I64 {
            value
        } else {
            self.b.ins().ireduce(ty, value)
        }
    }

    fn extended(&mut self, value: Value, ty: Type) -> Value {
        if ty == types::I64 {
            value
        } else {
            self.b.ins().sextend(types::I64, value)
        }
    }

    pub(super) fn amo(&mut self, o: Amo, ty: Type, op: AtomicRmwOp) {
        self.require_aligned(o.rs1, ty);
        let operand = self.operand(o.rs2, ty);
        let address = self.address(o.rs1, 0, Access::store(ty.bits()));
        let address = self.flat(&address);
        let flags = self.guest();
        let old = self.b.ins().atomic_rmw(ty, flags, op, address, operand);
        let old = self.extended(old, ty);
        self.set(o.rd, old);
    }

    pub(super) fn load_reserved(&mut self, o: Lr, ty: Type) {
        self.require_aligned(o.rs1, ty);
        let va = self.x(o.rs1);
        let address = self.address(o.rs1, 0, Access::load(ty.bits()));
        let address = self.flat(&address);
        let flags = self.guest();
        let value = self.b.ins().atomic_load(ty, flags, address);
        let context = self.context;
        let bits = if ty == types::I64 {
            value
        } else {
            self.b.ins().uextend(types::I64, value)
        };
        let width = self.b.ins().iconst(types::I64, i64::from(ty.bytes()));
        self.b
            .ins()
            .store(trusted(), va, context, offset::RESERVED_ADDRESS);
        self.b
            .ins()
            .store(trusted(), bits, context, offset::RESERVED_VALUE);
        self.b
            .ins()
            .store(trusted(), width, context, offset::RESERVED_WIDTH);
        let value = self.extended(value, ty);
        self.set(o.rd, value);
    }

    /// Succeeds if address and width are those of the reservation and memory still holds its value.
    /// Without a reservation memory is not accessed.
    pub(super) fn store_conditional(&mut self, o: Amo, ty: Type) {
        self.require_aligned(o.rs1, ty);
        let context = self.context;
        let va = self.x(o.rs1);
        let new = self.operand(o.rs2, ty);
        let address = self
            .b
            .ins()
            .load(types::I64, trusted(), context, offset::RESERVED_ADDRESS);
        let width = self
            .b
            .ins()
            .load(types::I64, trusted(), context, offset::RESERVED_WIDTH);
        let same_address = self.b.ins().icmp(IntCC::Equal, address, va);
        let same_width = self
            .b
            .ins()
            .icmp_imm_u(IntCC::Equal, width, i64::from(ty.bytes()));
        let reserved = self.b.ins().band(same_address, same_width);
        let (attempt, done) = (self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(done, types::I64);
        let one = self.b.ins().iconst(types::I64, 1);
        self.b
            .ins()
            .brif(reserved, attempt, &[], done, &[one.into()]);
        self.b.seal_block(attempt);
        self.b.switch_to_block(attempt);
        let before = self.now.clone();
        let host = self.address(o.rs1, 0, Access::store(ty.bits()));
        let host = self.flat(&host);
        let expected = self
            .b
            .ins()
            .load(ty, trusted(), context, offset::RESERVED_VALUE);
        let flags = self.guest();
        let old = self.b.ins().atomic_cas(flags, host, expected, new);
        let failed = self.b.ins().icmp(IntCC::NotEqual, old, expected);
        let failed = self.b.ins().uextend(types::I64, failed);
        self.b.ins().jump(done, &[failed.into()]);
        self.b.seal_block(done);
        self.b.switch_to_block(done);
        // What the attempt learned about the address does not hold without it.
        self.now.facts = before.facts;
        let zero = self.b.ins().iconst(types::I64, 0);
        for field in [
            offset::RESERVED_ADDRESS,
            offset::RESERVED_VALUE,
            offset::RESERVED_WIDTH,
        ] {
            self.b.ins().store(trusted(), zero, context, field);
        }
        self.set(o.rd, result);
    }
}
