//! Whole machines: control and status registers and cache blocks, by the helpers that compiled code has
//! for them (`helpers.rs`). What changes where code lies, or may end a run, is the interpreter's.

use super::assembler::{Condition, RAX, RCX, RDI, Reg, at, ins};
use super::{After, Drafter, Exit};
use crate::context::{code, offset};
use crate::helpers::{self, Csr};
use cranelift_assembler_x64::inst::retq_zo;
use frontend::{Insn, X};
use hart::csr::{FCSR, FFLAGS, FRM};

/// Where the new value of a register comes from.
#[derive(Clone, Copy)]
pub enum Source {
    Register(X),
    Immediate(u8),
}

/// What is done with it, as [`Csr::change`] says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Write = 1,
    Set = 2,
    Clear = 3,
}

impl Drafter {
    /// An access to a control and status register. Those of floating point belong to the host while a
    /// draft runs, and a program has no others but counters.
    pub fn csr(&mut self, rd: X, csr: u16, source: Source, change: Change) -> After {
        if !self.system() || matches!(csr, FFLAGS | FRM | FCSR) {
            return self.or_interpret(false);
        }
        let nothing = matches!(source, Source::Register(X::ZERO) | Source::Immediate(0));
        let access = Csr {
            csr,
            reads: change != Change::Write || rd != X::ZERO,
            change: match change {
                Change::Set | Change::Clear if nothing => 0,
                change => change as u8,
            },
        };
        match source {
            Source::Register(rs1) => {
                let operand = self.read(rs1);
                ins!(self.code, movq_mr, at(RDI, offset::SCRATCH), operand);
            }
            Source::Immediate(value) => {
                ins!(
                    self.code,
                    movq_mi_sxl,
                    at(RDI, offset::SCRATCH),
                    i32::from(value)
                );
            }
        }
        // What is left before this instruction.
        ins!(self.code, movq_rm, RAX, at(RDI, offset::LEFT));
        self.add_not_done(RAX);
        ins!(self.code, movq_mr, at(RDI, offset::SCRATCH + 8), RAX);
        self.constant(RAX, access.pack());
        ins!(self.code, movq_mr, at(RDI, offset::OPERATION), RAX);
        self.call_helper(helpers::csr as *const () as u64);
        let out = self.interpret_aside();
        ins!(self.code, movq_rm, RCX, at(RDI, offset::STATUS));
        ins!(self.code, cmpq_mi_sxb, RCX, code::INTERPRET as i8);
        self.code.jump_if(Condition::Equal, out);
        let to = self.fresh();
        ins!(self.code, movq_rm, to, at(RDI, offset::RESULT));
        self.write(rd, to);
        self.go_back_behind();
        After::Next
    }

    /// cbo.zero: the helper does it on the state in memory.
    pub fn cache_block(&mut self, insn: Insn) -> After {
        if !self.system() {
            return self.or_interpret(false);
        }
        let next = self.pc.wrapping_add(self.len.into());
        self.say_pc(self.pc);
        ins!(self.code, movq_mr, at(RDI, offset::PC), RAX);
        self.say_pc(next);
        ins!(self.code, movq_mr, at(RDI, offset::SCRATCH), RAX);
        self.constant(RAX, insn.encode().into());
        ins!(self.code, movq_mr, at(RDI, offset::OPERATION), RAX);
        // The helper takes what is left as it is before the instruction, and counts it.
        ins!(self.code, movq_rm, RAX, at(RDI, offset::LEFT));
        self.add_not_done(RAX);
        ins!(self.code, movq_mr, at(RDI, offset::LEFT), RAX);
        self.call_helper(helpers::privileged as *const () as u64);
        ins!(self.code, movq_rm, RCX, at(RDI, offset::STATUS));
        let out = self.code.label();
        ins!(self.code, testq_mr, RCX, RCX);
        self.code.jump_if(Condition::NotEqual, out);
        // As if the whole block had been executed, as in all of it.
        ins!(self.code, movq_rm, RAX, at(RDI, offset::LEFT));
        self.subtract_to_come(RAX);
        ins!(self.code, movq_mr, at(RDI, offset::LEFT), RAX);
        // The helper has said where to go on, and for whom.
        self.code.set_cold(true);
        self.code.bind(out);
        ins!(self.code, movq_rm, RAX, RCX);
        retq_zo::new().encode(self.code.buffer());
        self.code.set_cold(false);
        After::Next
    }

    /// Adds the instructions of the block that have not been executed, this one included.
    fn add_not_done(&mut self, to: Reg) {
        ins!(self.code, addq_mi_sxl, to, i32::MAX);
        self.patch_count(self.done);
    }

    /// Subtracts those that come behind this one.
    fn subtract_to_come(&mut self, from: Reg) {
        ins!(self.code, subq_mi_sxl, from, i32::MAX);
        self.patch_count(self.done + 1);
    }

    /// The number at the end of the hot buffer shall be the block's length without so many.
    fn patch_count(&mut self, but: u32) {
        let at = self.code.hot_len() - 4;
        if let Some(head) = self.heads.last_mut() {
            head.counts.push((at, but));
        }
    }

    /// Calls a helper that takes the context alone; all but rax, rcx and rdx is as before.
    fn call_helper(&mut self, function: u64) {
        ins!(self.code, movabsq_oi, RAX, function);
        self.code.call(self.common.call);
    }

    /// Goes back to the engine behind this instruction if rcx holds a code to do so with.
    fn go_back_behind(&mut self) {
        let next = self.pc.wrapping_add(self.len.into());
        self.done += 1;
        let out = self.leave_aside(Exit::Status, next);
        self.done -= 1;
        ins!(self.code, testq_mr, RCX, RCX);
        self.code.jump_if(Condition::NotEqual, out);
    }
}
