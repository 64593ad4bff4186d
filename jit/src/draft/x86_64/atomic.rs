//! Atomics, as the interpreter does them: sequentially consistent, and a store-conditional succeeds if
//! memory holds what was reserved. Misaligned ones are the interpreter's, which knows the trap.

use super::Drafter;
use super::assembler::{Condition, RAX, RDI, Reg, at, ins};
use crate::context::offset;
use cranelift_assembler_x64::Fixed;
use cranelift_assembler_x64::inst::mfence_zo;
use frontend::{Amo, Lr, X};

/// What a read-modify-write makes of the old word and the register's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Modify {
    Swap,
    Add,
    Xor,
    And,
    Or,
    Min,
    Max,
    MinUnsigned,
    MaxUnsigned,
}

impl Drafter {
    fn demand_aligned(&mut self, address: Reg, bits: u32) {
        let out = self.interpret_aside();
        ins!(self.code, testl_mi, address, bits / 8 - 1);
        self.code.jump_if(Condition::NotEqual, out);
    }

    pub fn modify(&mut self, o: Amo, bits: u32, modify: Modify) {
        let address = self.read(o.rs1);
        self.demand_aligned(address, bits);
        let operand = self.read(o.rs2);
        let new = self.fresh();
        let place = self.address(o.rs1, 0, bits, true);
        match (modify, bits) {
            (Modify::Swap, 32) => {
                ins!(self.code, movq_rm, new, operand);
                self.site();
                ins!(self.code, xchgl_rm, new, place);
                ins!(self.code, movslq_rm, new, new);
            }
            (Modify::Swap, _) => {
                ins!(self.code, movq_rm, new, operand);
                self.site();
                ins!(self.code, xchgq_rm, new, place);
            }
            (Modify::Add, 32) => {
                ins!(self.code, movq_rm, new, operand);
                self.site();
                ins!(self.code, lock_xaddl_mr, place, new);
                ins!(self.code, movslq_rm, new, new);
            }
            (Modify::Add, _) => {
                ins!(self.code, movq_rm, new, operand);
                self.site();
                ins!(self.code, lock_xaddq_mr, place, new);
            }
            _ => {
                self.site();
                match bits {
                    32 => ins!(self.code, movl_rm, RAX, place),
                    _ => ins!(self.code, movq_rm, RAX, place),
                }
                let again = self.code.here();
                self.modified(new, operand, bits, modify);
                self.site();
                match bits {
                    32 => ins!(self.code, lock_cmpxchgl_mr, place, new, Fixed(RAX)),
                    _ => ins!(self.code, lock_cmpxchgq_mr, place, new, Fixed(RAX)),
                }
                self.code.jump_if(Condition::NotEqual, again);
                match bits {
                    32 => ins!(self.code, movslq_rm, new, RAX),
                    _ => ins!(self.code, movq_rm, new, RAX),
                }
            }
        }
        self.write(o.rd, new);
    }

    /// What becomes of the word in rax.
    fn modified(&mut self, new: Reg, operand: Reg, bits: u32, modify: Modify) {
        ins!(self.code, movq_rm, new, operand);
        match modify {
            Modify::Swap => {}
            Modify::Add => ins!(self.code, addq_rm, new, RAX),
            Modify::Xor => ins!(self.code, xorq_rm, new, RAX),
            Modify::And => ins!(self.code, andq_rm, new, RAX),
            Modify::Or => ins!(self.code, orq_rm, new, RAX),
            Modify::Min | Modify::Max | Modify::MinUnsigned | Modify::MaxUnsigned => {
                match bits {
                    32 => ins!(self.code, cmpl_rm, RAX, new),
                    _ => ins!(self.code, cmpq_rm, RAX, new),
                }
                match modify {
                    Modify::Min => ins!(self.code, cmovlq_rm, new, RAX),
                    Modify::Max => ins!(self.code, cmovgq_rm, new, RAX),
                    Modify::MinUnsigned => ins!(self.code, cmovbq_rm, new, RAX),
                    _ => ins!(self.code, cmovaq_rm, new, RAX),
                }
            }
        }
    }

    pub fn load_reserved(&mut self, o: Lr, bits: u32) {
        let address = self.read(o.rs1);
        self.demand_aligned(address, bits);
        let value = self.fresh();
        let place = self.address(o.rs1, 0, bits, false);
        // No store may be done after it that comes before it.
        mfence_zo::new().encode(self.code.buffer());
        self.site();
        match bits {
            32 => ins!(self.code, movl_rm, value, place),
            _ => ins!(self.code, movq_rm, value, place),
        }
        ins!(
            self.code,
            movq_mr,
            at(RDI, offset::RESERVED_ADDRESS),
            address
        );
        ins!(self.code, movq_mr, at(RDI, offset::RESERVED_VALUE), value);
        ins!(
            self.code,
            movq_mi_sxl,
            at(RDI, offset::RESERVED_WIDTH),
            bits as i32 / 8
        );
        if bits == 32 {
            ins!(self.code, movslq_rm, value, value);
        }
        self.write(o.rd, value);
    }

    pub fn store_conditional(&mut self, o: Amo, bits: u32) {
        let address = self.read(o.rs1);
        self.demand_aligned(address, bits);
        let value = self.read(o.rs2);
        let failed = self.fresh();
        let (not_reserved, done) = (self.code.label(), self.code.label());
        let width = at(RDI, offset::RESERVED_WIDTH);
        ins!(self.code, cmpq_mi_sxb, width, bits as i8 / 8);
        self.code.jump_if(Condition::NotEqual, not_reserved);
        ins!(
            self.code,
            cmpq_rm,
            address,
            at(RDI, offset::RESERVED_ADDRESS)
        );
        self.code.jump_if(Condition::NotEqual, not_reserved);
        // Whoever holds no reservation has not had the address checked.
        let checked = self.held.is_checked(o.rs1);
        let place = self.address(o.rs1, 0, bits, true);
        if !checked {
            self.held.set_unchecked(o.rs1);
        }
        // Makes no difference to what is in memory if it fails there.
        ins!(self.code, movq_rm, RAX, at(RDI, offset::RESERVED_VALUE));
        self.site();
        match bits {
            32 => ins!(self.code, lock_cmpxchgl_mr, place, value, Fixed(RAX)),
            _ => ins!(self.code, lock_cmpxchgq_mr, place, value, Fixed(RAX)),
        }
        ins!(self.code, setne_m, RAX);
        ins!(self.code, movzbl_rm, failed, RAX);
        self.code.jump(done);
        self.code.bind(not_reserved);
        ins!(self.code, movl_oi, failed, 1u32);
        self.code.bind(done);
        for field in [
            offset::RESERVED_ADDRESS,
            offset::RESERVED_VALUE,
            offset::RESERVED_WIDTH,
        ] {
            ins!(self.code, movq_mi_sxl, at(RDI, field), 0);
        }
        if o.rd != X::ZERO {
            self.write(o.rd, failed);
        }
    }
}
