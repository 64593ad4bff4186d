//! Ways out of a block: to others, by jumps that are known, slots or the cache of computed jumps, and
//! back to the engine.

use super::assembler::{Condition, Label, R15, RAX, RCX, RDI, RDX, RSI, at, at_sum, ins};
use super::{After, Aside, Drafter, Exit};
use crate::context::{JUMP_CACHE_SLOTS, JUMP_SLOTS, JumpSlot, offset};
use crate::draft::{Known, data};
use cranelift_assembler_x64::Scale;
use cranelift_assembler_x64::inst::mfence_zo;
use frontend::{B, Fence, I, J, X};
use std::mem::offset_of;

impl Drafter {
    /// A cold piece of code that goes back to the engine with the hart at `pc`.
    pub fn leave_aside(&mut self, exit: Exit, pc: u64) -> Label {
        let label = self.code.label();
        self.asides.push(Aside {
            label,
            exit,
            pc,
            head: self.heads.len() - 1,
            done: self.done,
        });
        label
    }

    /// The same for the present instruction, which the interpreter shall do.
    pub fn interpret_aside(&mut self) -> Label {
        match self.aside {
            Some(label) => label,
            None => {
                let label = self.leave_aside(Exit::Interpret, self.pc);
                self.aside = Some(label);
                label
            }
        }
    }

    /// A cold piece of code that has the engine look up how to go on at `pc`.
    pub fn go_on_elsewhere(&mut self, pc: u64) -> Label {
        self.leave_aside(Exit::Next, pc)
    }

    /// Ends the block: the present instruction is the interpreter's.
    pub fn interpret(&mut self) {
        let out = self.interpret_aside();
        self.code.jump(out);
    }

    /// Before a jump that may be part of a loop: goes back if the engine wants something. Where
    /// instructions are counted it waits for the count to end.
    fn poll(&mut self) {
        if self.system() {
            return;
        }
        let out = self.leave_aside(Exit::Poll, self.pc);
        ins!(self.code, cmpq_mr, at(RDI, offset::CALM), RDI);
        self.code.jump_if(Condition::NotEqual, out);
    }

    /// A slot that leads to `pc` once that is known, and to the engine until then.
    fn link(&mut self, pc: u64) -> i32 {
        let slot = self.first_link + self.links.len();
        let label = self.code.label();
        self.links.push((label, pc));
        data::link(slot)
    }

    /// Goes on at `pc`.
    pub fn go_on(&mut self, pc: u64) {
        let Some(code) = self.code_at(pc) else {
            self.say_pc(pc);
            return self.code.jump_to(self.common.dispatch);
        };
        match self.known.get(&code) {
            Some(&Known { entry, .. }) => self.code.jump_to(entry),
            None => {
                let link = self.link(pc);
                ins!(self.code, jmpq_m, at(R15, link));
            }
        }
    }

    /// Goes on at `pc` if a condition holds.
    fn go_on_if(&mut self, condition: Condition, pc: u64) {
        let known = self.code_at(pc).and_then(|code| self.known.get(&code));
        if let Some(&Known { entry, .. }) = known {
            let label = self.code.label_at(entry);
            return self.code.jump_if(condition, label);
        }
        let label = self.code.label();
        self.code.jump_if(condition, label);
        self.code.set_cold(true);
        self.code.bind(label);
        self.go_on(pc);
        self.code.set_cold(false);
    }

    /// The way into compiled code: by the context's jump cache, or else by the engine, which also has
    /// a look now and then.
    pub fn enter_region(&mut self, elsewhere: Label) {
        if self.system() {
            return self.dispatch(elsewhere, true);
        }
        const SHIFT: u8 = (size_of::<JumpSlot>().trailing_zeros() - 1) as u8;
        ins!(self.code, cmpq_mr, at(RDI, offset::CALM), RDI);
        self.code.jump_if(Condition::NotEqual, elsewhere);
        ins!(self.code, subq_mi_sxb, at(RDI, offset::CROSSINGS), 1i8);
        self.code.jump_if(Condition::Negative, elsewhere);
        ins!(self.code, movl_rm, RCX, RAX);
        ins!(self.code, andl_mi, RCX, (JUMP_CACHE_SLOTS as u32 - 1) << 1);
        ins!(self.code, shll_mi, RCX, SHIFT);
        let slot = |field: usize| {
            let offset = offset::JUMP_CACHE + field as i32;
            at_sum(RDI, RCX, Scale::One, offset)
        };
        ins!(self.code, cmpq_rm, RAX, slot(offset_of!(JumpSlot, pc)));
        self.code.jump_if(Condition::NotEqual, elsewhere);
        ins!(self.code, movq_rm, RSI, slot(offset_of!(JumpSlot, entry)));
        ins!(
            self.code,
            movq_rm,
            RAX,
            slot(offset_of!(JumpSlot, function))
        );
        self.enter();
    }

    /// Enters the function in rax as every region is entered: context, entry, sp, a0.
    fn enter(&mut self) {
        ins!(self.code, movq_rm, RDX, at(RDI, offset::x(X::SP.index())));
        ins!(self.code, movq_rm, RCX, at(RDI, offset::x(X::A0.index())));
        ins!(self.code, jmpq_m, RAX);
    }

    /// Whole machines: the way to code at any address, as `fixed::dispatch` goes it; or to a region
    /// alone, since a draft that leads here would be come back to.
    pub fn dispatch(&mut self, elsewhere: Label, regions: bool) {
        const SHIFT: u8 = (size_of::<JumpSlot>().trailing_zeros() - 1) as u8;
        const MASK: u32 = ((JUMP_SLOTS - 1) * size_of::<JumpSlot>()) as u32;
        let slot = |field: usize| at(RCX, field as i32);
        ins!(self.code, movl_rm, RCX, RAX);
        ins!(self.code, shll_mi, RCX, SHIFT);
        ins!(self.code, xorl_rm, RCX, at(RDI, offset::SPREAD as i32));
        ins!(self.code, andl_mi, RCX, MASK);
        ins!(self.code, addq_rm, RCX, at(RDI, offset::JUMPS as i32));
        ins!(self.code, cmpq_rm, RAX, slot(offset_of!(JumpSlot, pc)));
        self.code.jump_if(Condition::NotEqual, elsewhere);
        ins!(self.code, movq_rm, RDX, at(RDI, offset::KEY as i32));
        ins!(self.code, cmpq_rm, RDX, slot(offset_of!(JumpSlot, key)));
        self.code.jump_if(Condition::NotEqual, elsewhere);
        ins!(self.code, movq_rm, RSI, slot(offset_of!(JumpSlot, entry)));
        ins!(
            self.code,
            movq_rm,
            RDX,
            slot(offset_of!(JumpSlot, function))
        );
        if regions {
            ins!(self.code, cmpq_rm, RDX, at(RDI, offset::DOOR));
            self.code.jump_if(Condition::Equal, elsewhere);
        }
        ins!(self.code, movq_mr, at(RDI, offset::TARGET), RAX);
        ins!(self.code, movq_rm, RAX, RDX);
        self.enter();
    }

    pub fn branch(&mut self, o: B, condition: Condition) -> After {
        let target = self.pc.wrapping_add_signed(o.imm.into());
        if target <= self.pc {
            self.poll();
        }
        let a = self.read(o.rs1);
        if o.rs2 == X::ZERO {
            ins!(self.code, testq_mr, a, a);
            // Nothing carries: below never, above or equal always.
            match condition {
                Condition::Below => return After::Falls,
                Condition::AboveOrEqual => ins!(self.code, cmpq_rm, a, a),
                _ => {}
            }
        } else {
            let b = self.read(o.rs2);
            ins!(self.code, cmpq_rm, a, b);
        }
        self.go_on_if(condition, target);
        After::Falls
    }

    /// The host lets nothing but a load overtake an earlier store.
    pub fn fence(&mut self, o: Fence) {
        const PRED_W: u16 = 1 << 4;
        const SUCC_R: u16 = 1 << 1;
        if o.order & PRED_W != 0 && o.order & SUCC_R != 0 {
            mfence_zo::new().encode(self.code.buffer());
        }
    }

    pub fn jal(&mut self, o: J) {
        let target = self.pc.wrapping_add_signed(o.imm.into());
        if target <= self.pc {
            self.poll();
        }
        self.set_pc(o.rd, self.pc.wrapping_add(self.len.into()));
        self.go_on(target);
    }

    pub fn jalr(&mut self, o: I) {
        self.poll();
        let to = self.read(o.rs1);
        ins!(self.code, leaq_rm, RAX, at(to, o.imm));
        ins!(self.code, andq_mi_sxb, RAX, -2i8);
        self.set_pc(o.rd, self.pc.wrapping_add(self.len.into()));
        if self.system() {
            return self.code.jump_to(self.common.dispatch);
        }
        let out = self.code.label_at(self.common.of(Exit::Next));
        ins!(self.code, movl_rm, RCX, RAX);
        ins!(self.code, andl_mi, RCX, data::CACHE_MASK);
        let entry = |offset| at_sum(R15, RCX, Scale::Eight, data::CACHE + offset);
        ins!(self.code, cmpq_rm, RAX, entry(0));
        self.code.jump_if(Condition::NotEqual, out);
        ins!(self.code, jmpq_m, entry(8));
    }
}
