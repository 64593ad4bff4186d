//! What a process asks of an engine: run one guest thread until the kernel is needed.

use hart::{HartState, Trap};
use std::fs::File;
use std::sync::Arc;

/// One guest thread's hart, on whatever engine. It shares the guest's memory (and translated
/// code) with the other harts of the process.
pub trait Cpu: Send {
    /// The registers. Valid between two calls of [`Cpu::run`].
    fn state(&self) -> &HartState;

    /// The registers, to change: system call results, signal frames, a restored snapshot.
    fn state_mut(&mut self) -> &mut HartState;

    /// Runs guest code from `state().pc`.
    ///
    /// With a limit it stops when `state().instret` equals it exactly ([`Stop::Limit`], also at
    /// once when it is already reached). Without one it need not count exactly.
    fn run(&mut self, limit: Option<u64>) -> Stop;

    /// A handle that stops this hart from another thread or from a host signal handler.
    fn kicker(&self) -> Arc<dyn Kick>;

    /// A hart for another thread of the same process, with an all-zero state.
    fn new_thread(&self) -> Box<dyn Cpu>;

    /// Forgets translations of code that was written to since the last time, on this hart and for
    /// the process: what `fence.i` and the system call `riscv_flush_icache` promise.
    fn code_changed(&mut self);

    /// Forks the host process by calling `fork` once, which says whether this is the child, and
    /// returns what it said. Around the call the engine holds its locks, so that nothing is half
    /// done in the child, where only the calling thread exists: there it makes translated code
    /// its own and starts helper threads anew when they are next needed.
    fn fork(&mut self, fork: &mut dyn FnMut() -> bool) -> bool;

    /// The program in this file has been loaded, and is about to begin: whoever keeps something of
    /// programs may look for it now.
    fn program_starts(&mut self, _program: &File) {}

    /// The program has run: it has ended, or another takes its place. Its code is still there.
    fn program_ends(&mut self) {}
}

/// Why [`Cpu::run`] returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The instruction at `state().pc` raised an exception and did not retire; a system call is
    /// `Cause::EcallFromU`.
    Trap(Trap),
    /// The limit is reached.
    Limit,
    /// Somebody kicked.
    Kicked,
}

/// Stops a hart soon.
pub trait Kick: Send + Sync {
    /// Makes the hart's current, or if it does not run its next, [`Cpu::run`] return
    /// [`Stop::Kicked`] soon. That return takes the kick back. Called in host signal handlers: it
    /// may do no more than store to atomics.
    fn kick(&self);
}
