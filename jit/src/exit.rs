//! Why compiled code returned.

use hart::Trap;

/// Why [`JitHart::run`](crate::JitHart::run) returned. The state is exact in every case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// No compiled code begins at `state.pc`.
    Missing,
    /// The limit is too near for the code at `state.pc`: interpret until it is reached.
    Limit,
    /// The poll flag is set.
    Poll,
    /// Interpret the one instruction at `state.pc`, then go on.
    Interpret,
    /// A fence.i has retired.
    FenceI,
    /// The instruction at `state.pc` trapped.
    Trap(Trap),
}
