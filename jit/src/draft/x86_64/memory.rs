//! Loads and stores, and what atomics have in common with them.
//!
//! In a program the host's MMU checks the access, as in compiled code: what has to be seen to is that
//! the address cannot leave the window and its guard zones. A fault finds the state complete, and the
//! interpreter does the instruction again.
//!
//! In a machine the address is looked for in the translation cache, as in compiled code
//! (`translate/system.rs`), and a helper fills that. What is the interpreter's it does.

use super::assembler::{
    Condition, Label, R8, R9, R10, R11, RAX, RBP, RCX, RDI, RDX, RSI, RSP, Reg, at, at_sum, ins,
};
use super::{Drafter, Space};
use crate::context::offset;
use ::memory::{PAGE, PAGE_BITS};
use cranelift_assembler_x64::inst::retq_zo;
use cranelift_assembler_x64::{Amode, Scale};
use frontend::{F, I, S, X};
use hart::system::tlb::{ENTRIES, Entry};

/// How a load extends what it reads.
#[derive(Clone, Copy)]
pub enum Load {
    Signed8,
    Signed16,
    Signed32,
    Plain8,
    Plain16,
    Plain32,
    Plain64,
}

impl Load {
    fn bits(self) -> u32 {
        match self {
            Load::Signed8 | Load::Plain8 => 8,
            Load::Signed16 | Load::Plain16 => 16,
            Load::Signed32 | Load::Plain32 => 32,
            Load::Plain64 => 64,
        }
    }
}

impl Drafter {
    /// Where `x[base] + imm` is on the host, for an access of so many bits. The next host instruction
    /// has to be the access.
    pub fn address(&mut self, base: X, imm: i32, bits: u32, store: bool) -> Amode<Reg> {
        let reg = self.read(base);
        if self.space == Space::Machine {
            return self.translated(reg, imm, bits / 8, store);
        }
        if !self.held.is_checked(base) {
            ins!(self.code, movq_rm, RDX, reg);
            ins!(
                self.code,
                shrq_mi,
                RDX,
                ::memory::LIMIT.trailing_zeros() as u8
            );
            let out = self.interpret_aside();
            self.code.jump_if(Condition::NotEqual, out);
            self.held.set_checked(base);
        }
        if self.space == Space::Own {
            return at(reg, imm);
        }
        ins!(self.code, movq_rm, RDX, at(RDI, offset::WINDOW));
        at_sum(RDX, reg, Scale::One, imm)
    }

    /// The same through a machine's translation cache: the page of the last byte is what has to be the
    /// entry's, which it is not if the access crosses into the next page.
    fn translated(&mut self, base: Reg, imm: i32, bytes: u32, store: bool) -> Amode<Reg> {
        const SHIFT: u8 = (PAGE_BITS - size_of::<Entry>().trailing_zeros()) as u8;
        const MASK: u32 = ((ENTRIES - 1) * size_of::<Entry>()) as u32;
        let tag = if store { Entry::STORE } else { Entry::LOAD };
        ins!(self.code, leaq_rm, RDX, at(base, imm));
        ins!(self.code, movq_rm, RCX, RDX);
        ins!(self.code, shrq_mi, RCX, SHIFT);
        ins!(self.code, andl_mi, RCX, MASK);
        ins!(self.code, addq_rm, RCX, at(RDI, offset::ENTRIES));
        ins!(self.code, leaq_rm, RAX, at(RDX, bytes as i32 - 1));
        ins!(self.code, andq_mi_sxl, RAX, -(PAGE as i32));
        let (missing, found) = (self.code.label(), self.code.label());
        ins!(self.code, cmpq_rm, RAX, at(RCX, tag as i32));
        self.code.jump_if(Condition::NotEqual, missing);
        ins!(self.code, addq_rm, RDX, at(RCX, Entry::ADDEND as i32));
        self.code.bind(found);
        let out = self.interpret_aside();
        self.code.set_cold(true);
        self.code.bind(missing);
        ins!(self.code, movl_oi, RCX, bytes << 1 | u32::from(store));
        self.code.call(self.common.translate);
        ins!(self.code, movq_rm, RDX, RAX);
        ins!(self.code, testq_mr, RDX, RDX);
        self.code.jump_if(Condition::NotEqual, found);
        self.code.jump(out);
        self.code.set_cold(false);
        at(RDX, 0)
    }

    /// What is called for an access that the translation cache does not have: rdx holds its address, ecx
    /// what it is; afterwards rax the host address, or 0. What comes behind calls the function in rax with
    /// the context and those two, and preserves all registers but rax, rcx and rdx; where it begins.
    pub fn call_for_translate(&mut self) -> Label {
        // What holds guest registers or the context and does not survive a call by the host's ABI.
        const SAVED: [Reg; 6] = [RDI, RSI, R8, R9, R10, R11];
        let helper = crate::helpers::draft_address as *const () as u64;
        ins!(self.code, movabsq_oi, RAX, helper);
        let call = self.code.here();
        ins!(self.code, pushq_o, RBP);
        ins!(self.code, movq_rm, RBP, RSP);
        for reg in SAVED {
            ins!(self.code, pushq_o, reg);
        }
        ins!(self.code, andq_mi_sxb, RSP, -16i8);
        ins!(self.code, movq_rm, RSI, RDX);
        ins!(self.code, movq_rm, RDX, RCX);
        ins!(self.code, callq_m, RAX);
        ins!(self.code, leaq_rm, RSP, at(RBP, -8 * SAVED.len() as i32));
        for reg in SAVED.into_iter().rev() {
            ins!(self.code, popq_o, reg);
        }
        ins!(self.code, popq_o, RBP);
        retq_zo::new().encode(self.code.buffer());
        call
    }

    /// Notes that the next host instruction accesses guest memory.
    pub fn site(&mut self) {
        if self.system() {
            // It has been found out before that it can be accessed.
            return;
        }
        let site = (self.code.hot_len() as u32, self.pc);
        self.sites.push(site);
    }

    pub fn load(&mut self, o: I, kind: Load) {
        let from = self.address(o.rs1, o.imm, kind.bits(), false);
        let to = match o.rd {
            // The access has to be made.
            X::ZERO => RAX,
            _ => self.fresh(),
        };
        self.site();
        match kind {
            Load::Signed8 => ins!(self.code, movsbq_rm, to, from),
            Load::Signed16 => ins!(self.code, movswq_rm, to, from),
            Load::Signed32 => ins!(self.code, movslq_rm, to, from),
            Load::Plain8 => ins!(self.code, movzbl_rm, to, from),
            Load::Plain16 => ins!(self.code, movzwl_rm, to, from),
            Load::Plain32 => ins!(self.code, movl_rm, to, from),
            Load::Plain64 => ins!(self.code, movq_rm, to, from),
        }
        self.write(o.rd, to);
    }

    pub fn store(&mut self, o: S, bits: u32) {
        let value = self.read(o.rs2);
        let to = self.address(o.rs1, o.imm, bits, true);
        self.site();
        match bits {
            8 => ins!(self.code, movb_mr, to, value),
            16 => ins!(self.code, movw_mr, to, value),
            32 => ins!(self.code, movl_mr, to, value),
            _ => ins!(self.code, movq_mr, to, value),
        }
    }

    /// Loads bits of a floating-point number.
    pub fn load_float(&mut self, rd: F, base: X, imm: i32, bits: u32) {
        let from = self.address(base, imm, bits, false);
        self.site();
        match bits {
            32 => ins!(self.code, movl_rm, RAX, from),
            _ => ins!(self.code, movq_rm, RAX, from),
        }
        self.write_bits(rd, bits);
    }

    pub fn store_float(&mut self, rs2: F, base: X, imm: i32, bits: u32) {
        let to = self.address(base, imm, bits, true);
        ins!(self.code, movq_rm, RAX, at(RDI, offset::f(rs2.index())));
        self.site();
        match bits {
            32 => ins!(self.code, movl_mr, to, RAX),
            _ => ins!(self.code, movq_mr, to, RAX),
        }
    }
}
