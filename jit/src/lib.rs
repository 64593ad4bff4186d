//! The compiler: region → Cranelift IR → host code.
//!
//! [`Jit`] holds the compiled code of one address space and is shared by all harts; each thread
//! that runs guest code owns a [`JitHart`]. Compiled code keeps no state of its own: whenever it
//! returns, the [`HartState`](hart::HartState) is exact, so that an interpreter can go on from
//! there.
//!
//! [`SystemJit`] and [`SystemHart`] are the same for whole machines, where an address leads to other
//! code at other times.

mod analysis;
mod anchors;
mod background;
mod code;
mod compiler;
mod context;
mod draft;
mod error;
mod exit;
mod explain;
mod fixed;
pub mod foreign;
mod graph;
mod helpers;
mod host;
mod hubs;
mod jit;
mod jit_hart;
mod options;
mod portable;
mod request;
mod spent;
mod stacks;
mod strays;
mod strips;
mod system_hart;
mod system_jit;
mod system_kept;
mod table;
mod translate;

pub use context::Poll;
pub use draft::{Drafts, Space};
pub use error::Error;
pub use exit::Exit;
pub use explain::{Line, Listing};
pub use jit::Jit;
pub use jit_hart::JitHart;
pub use options::{Compute, Options, Stats};
pub use portable::{Installed, Portable};
pub use request::{Heat, Request};
pub use system_hart::{SystemExit, SystemHart};
pub use system_jit::SystemJit;
pub use system_kept::Candidate;
