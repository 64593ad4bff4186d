//! What a process asks of an engine: run one guest thread until the kernel is needed.

use hart::{HartState, Trap};
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

    /// Called by the forking thread just before the host process forks: takes the engine's
    /// locks and brings its helper threads to a point where they hold none.
    fn before_fork(&mut self);

    /// Undoes [`Cpu::before_fork`] in the parent.
    fn after_fork_in_parent(&mut self);

    /// Undoes [`Cpu::before_fork`] in the child, where only the calling thread exists: helper
    /// threads are started anew when they are next needed.
    fn after_fork_in_child(&mut self);
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
