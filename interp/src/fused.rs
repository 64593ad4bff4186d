//! Handlers for two instructions at once, for the pairs that programs execute most: the jump
//! between their handlers is saved. What each instruction does still comes from `execute`.
//!
//! The list is from counting pairs over the programs in `guests/`.

use crate::block::{Block, Record, is_exact};
use crate::execute::{Flow, one};
use crate::handlers::{Destination, perform, short};
use crate::quick::Quick;
use crate::threaded::{Context, Handler, again, handler};
use frontend::{Insn, Op, X};
use hart::{HartState, Memory};
use std::ptr::NonNull;

macro_rules! pairs {
    ($($first:ident: $($second:ident)*;)*) => {
        $(
            #[expect(non_snake_case, reason = "the names of the table")]
            mod $first {
                use super::*;
                $(handler! {
                    pub fn $second<M, const RD: bool>(hart, mem, cx, budget, block, record) {
                        match perform!($first, true, hart, &Quick(mem), cx, budget, block, record) {
                            Ok(Flow::Next) => {
                                // SAFETY: `pair` is given two records in a row.
                                let record = unsafe { record.add(1) };
                                // SAFETY: the caller's promise.
                                unsafe {
                                    short::$second::<M, RD>(hart, mem, cx, budget, block, record);
                                }
                            }
                            // SAFETY: the caller's promise.
                            _ => unsafe { again(hart, mem, cx, budget, block, record) },
                        }
                    }
                })*
            }
        )*

        /// The handler of two instructions that follow each other in a block, if there is one.
        pub(crate) fn pair<M: Memory>(first: &Insn, second: &Insn) -> Option<Handler<M>> {
            match (first, second) {
                $($(
                    (Insn::$first(a), Insn::$second(b)) if a.rd() != X::ZERO => {
                        Some(if b.rd() == X::ZERO {
                            $first::$second::<M, false>
                        } else {
                            $first::$second::<M, true>
                        })
                    }
                )*)*
                _ => None,
            }
        }
    };
}

pairs! {
    Add: Add Addi Ld Lw Lbu Bne Bgeu Bltu Slli Jal;
    Addi: Addi Add Addiw Slli Xor Sd Beq Bne Bltu Jal Jalr;
    Addiw: Addi Add Addiw Andi Xor Bne Beq;
    Addw: Add Addw Addiw;
    Andi: Addiw Add Beq Bne;
    Slli: Add Addi Xor Srli;
    Srli: Xor Andi;
    Xor: Addiw Xor Andi Srli;
    Or: Or;
    Lui: Addi Addiw;
    Auipc: Addi Ld Jalr;
    Ld: Ld Add Addi Jalr Beq Bne;
    Lw: Lw Addi Addw Add Beq Bne;
    Lbu: Addi Lbu Add Beq Bne Sb;
    Sd: Sd Addi Ld;
    Sw: Addi Addiw;
    Sb: Add Addi Bne;
}
