//! From guest bytes to instructions, blocks and regions.
//!
//! Data flows one way: bytes → [`Insn`] → `Block` → `Region`.
//! This crate knows neither engine and depends on nothing.

pub mod compressed;
pub mod decode;
pub mod operands;
pub mod registers;
pub mod table;

pub use decode::Decoded;
pub use operands::*;
pub use registers::{F, RegisterSet, X};
pub use table::{Insn, Op};
