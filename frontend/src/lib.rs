//! From guest bytes to instructions, blocks and regions.
//!
//! Data flows one way: bytes → [`Insn`] → [`Block`](block::Block) → [`Region`](region::Region).
//! This crate knows neither engine and depends on nothing.

pub mod operands;
pub mod table;

pub use operands::*;
pub use table::{Insn, Op};
