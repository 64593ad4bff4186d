//! Zbb's counts and the like, Zbs, and the host features that some of it takes.

use super::Drafter;
use super::assembler::{RAX, RCX, RDX, Reg, ins};
use cranelift_assembler_x64::Fixed;
use frontend::{R, R1, Sh6, X};

/// What is counted of bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Leading,
    Trailing,
    Ones,
}

/// What is done with one bit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bit {
    Clear,
    Extract,
    Invert,
    Set,
}

impl Drafter {
    /// Whether the host has the instruction.
    pub fn count(&mut self, o: R1, count: Count, word: bool) -> bool {
        let has = match count {
            Count::Leading => is_x86_feature_detected!("lzcnt"),
            Count::Trailing => is_x86_feature_detected!("bmi1"),
            Count::Ones => is_x86_feature_detected!("popcnt"),
        };
        if !has {
            return false;
        }
        self.unary(o, |t, to, from| match (count, word) {
            (Count::Leading, false) => ins!(t.code, lzcntq_rm, to, from),
            (Count::Trailing, false) => ins!(t.code, tzcntq_a, to, from),
            (Count::Ones, false) => ins!(t.code, popcntq_rm, to, from),
            (Count::Leading, true) => ins!(t.code, lzcntl_rm, to, from),
            (Count::Trailing, true) => ins!(t.code, tzcntl_a, to, from),
            (Count::Ones, true) => ins!(t.code, popcntl_rm, to, from),
        });
        true
    }

    /// orc.b: each byte that is not 0 becomes all ones.
    pub fn or_combine(&mut self, o: R1) {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        self.unary(o, |t, to, from| {
            // The highest bit of each byte: whether any of it is set.
            t.constant(RAX, LOW);
            ins!(t.code, movq_rm, to, from);
            ins!(t.code, andq_rm, to, RAX);
            ins!(t.code, addq_rm, to, RAX);
            ins!(t.code, orq_rm, to, from);
            ins!(t.code, notq_m, RAX);
            ins!(t.code, andq_rm, to, RAX);
            // 2^8 - 1 times the lowest bit of each byte.
            ins!(t.code, movq_rm, RDX, to);
            ins!(t.code, shrq_mi, RDX, 7u8);
            ins!(t.code, addq_rm, to, to);
            ins!(t.code, subq_rm, to, RDX);
        });
    }

    pub fn shift_left_unsigned(&mut self, o: Sh6) {
        if o.rd == X::ZERO {
            return;
        }
        let from = self.read(o.rs1);
        let to = self.fresh();
        ins!(self.code, movl_rm, to, from);
        ins!(self.code, shlq_mi, to, o.shamt & 63);
        self.write(o.rd, to);
    }

    /// With the bit in rax, or its number in cl.
    fn change_bit(&mut self, to: Reg, bit: Bit) {
        match bit {
            Bit::Set => ins!(self.code, orq_rm, to, RAX),
            Bit::Invert => ins!(self.code, xorq_rm, to, RAX),
            Bit::Clear => {
                ins!(self.code, notq_m, RAX);
                ins!(self.code, andq_rm, to, RAX);
            }
            Bit::Extract => {}
        }
    }

    pub fn bit(&mut self, o: R, bit: Bit) {
        if o.rd == X::ZERO {
            return;
        }
        let number = self.read(o.rs2);
        let to = self.copy(o.rs1);
        ins!(self.code, movl_rm, RCX, number);
        if bit == Bit::Extract {
            ins!(self.code, shrq_mc, to, Fixed(RCX));
            ins!(self.code, andl_mi, to, 1u32);
        } else {
            ins!(self.code, movl_oi, RAX, 1u32);
            ins!(self.code, shlq_mc, RAX, Fixed(RCX));
            self.change_bit(to, bit);
        }
        self.write(o.rd, to);
    }

    pub fn bit_immediate(&mut self, o: Sh6, bit: Bit) {
        if o.rd == X::ZERO {
            return;
        }
        let to = self.copy(o.rs1);
        if bit == Bit::Extract {
            ins!(self.code, shrq_mi, to, o.shamt & 63);
            ins!(self.code, andl_mi, to, 1u32);
        } else {
            self.constant(RAX, 1 << (o.shamt & 63));
            self.change_bit(to, bit);
        }
        self.write(o.rd, to);
    }
}
