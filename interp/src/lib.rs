//! The interpreter: instruction × state → state.
//!
//! It is the oracle that the compiler is compared with, so what an instruction does is said once,
//! as plainly as the manual says it, in `execute`. Speed comes from around it: blocks are decoded
//! once (`block`, `cache`) and run by a handler an instruction (`handlers`), each calling the next
//! (`threaded`).

mod a;
mod block;
mod cache;
mod edge;
mod execute;
mod f;
mod fused;
mod handlers;
mod interp;
mod m;
mod quick;
mod threaded;
mod zb;
mod zicsr;

pub use execute::compute;
pub use interp::{Exit, Interp, Options};
