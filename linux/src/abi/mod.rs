//! The riscv64 kernel's interface as data: numbers, structure layouts, constants.

pub mod calls;
pub mod consts;
pub mod structs;

pub use consts::*;
