//! Why compiled code returned.

use hart::Trap;

/// Why [`JitHart::run`](crate::JitHart::run) returned. The state is exact in every case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// No compiled code begins at `state.pc`.
    Missing,
    /// The draft of the block at `state.pc`, not yet executed, has been arrived at as often as its
    /// countdown said. It reports that again until told otherwise.
    Hot,
    /// The limit is too near for the code at `state.pc`: interpret until it is reached.
    Limit,
    /// The poll flag is set.
    Poll,
    /// Interpret the one instruction at `state.pc`, then go on.
    Interpret,
    /// The host has no rounding mode like frm's: interpret for a while, until it may have changed.
    Rounding,
    /// A fence.i has retired.
    FenceI,
    /// A memory access faulted, and the hart was rolled back to before it: interpret until the
    /// trap comes, whatever is hot on the way. In a long loop that may take as many instructions
    /// as the loop has executed. (It does not come if another hart has mapped the page meanwhile.)
    Replay,
    /// The instruction at `state.pc` trapped.
    Trap(Trap),
}
