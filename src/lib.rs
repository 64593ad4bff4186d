//! A RISC-V virtual machine that compiles guest code to native code with Cranelift, beside an
//! interpreter that leaves the same state bit for bit.
//!
//! [`Launch`] starts a Linux riscv64 program:
//!
//! ```
//! use baby_hypervisor::{EngineKind, Exit, Launch};
//!
//! # fn main() -> Result<(), baby_hypervisor::Error> {
//! let hello = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/hello");
//! for engine in [EngineKind::Jit, EngineKind::Interp] {
//!     let exit = Launch::new(hello).engine(engine).start()?.run()?;
//!     assert_eq!(exit, Exit::Code(0));
//! }
//! # Ok(())
//! # }
//! ```

pub mod bench;
pub mod cli;
pub mod debugger;
pub mod engine;
mod error;
pub mod explain;
pub mod image;
mod launch;
pub mod lockstep;
pub mod machine;
mod saved;
pub mod snapshot;
pub mod symbols;
pub mod translations;

pub use engine::{Engine, EngineKind, EngineOptions};
pub use error::Error;
pub use launch::{Launch, Running};
pub use linux::{Exit, Progress};
pub use saved::resume;
