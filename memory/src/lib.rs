//! What the guest sees as memory. The only crate that maps memory.

pub mod fault;
pub mod word;

pub use fault::{Access, Fault, FaultKind};
pub use word::{AtomicWord, Word};
