//! From guest bytes to instructions, blocks and regions.
//!
//! Data flows one way: bytes → [`Insn`] → `Block` → `Region`.
//! This crate knows neither engine and depends on nothing.

// The tables come first: their `for_each_…` macros are in scope from here on.
#[macro_use]
pub mod table;
#[macro_use]
pub mod compressed;

pub mod block;
pub mod csr_names;
pub mod decode;
pub mod disasm;
pub mod generate;
pub mod operands;
pub mod region;
pub mod registers;

pub use block::{Block, Flow};
pub use decode::Decoded;
pub use operands::*;
pub use region::Region;
pub use registers::{F, RegisterSet, X};
pub use table::{Insn, Op};
