//! What a debugger needs of a process under exact scheduling: its threads, and breakpoints.

use crate::process::{Process, Run};
use crate::task::Task;
use hart::HartState;
use memory::Access;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

impl Process {
    /// The numbers of its threads.
    pub fn threads(&self) -> Vec<i32> {
        match &self.run {
            Run::Exact(run) => run.tasks().map(|task| task.tid).collect(),
            Run::Threads(_) => Vec::new(),
        }
    }

    /// The thread whose turn it is.
    pub fn current_thread(&self) -> i32 {
        match &self.run {
            Run::Exact(run) => run.tasks().nth(run.current()).map_or(0, |task| task.tid),
            Run::Threads(_) => 0,
        }
    }

    /// The registers of a thread.
    pub fn thread_state(&mut self, tid: i32) -> Option<&mut HartState> {
        let Run::Exact(run) = &mut self.run else {
            return None;
        };
        let task = run.tasks_mut().find(|task| task.tid == tid)?;
        Some(task.cpu.state_mut())
    }

    /// Has [`Process::run_until`] return before any thread executes an instruction at one of these
    /// addresses. Replaces the breakpoints that there were.
    pub fn set_breakpoints(&mut self, breakpoints: &BTreeSet<u64>) {
        if let Run::Exact(run) = &mut self.run {
            set(&self.kernel.space, breakpoints);
            run.tasks_mut().for_each(|task| task.cpu.code_changed());
        }
    }

    /// Whether this host process is a child that the guest has forked.
    pub fn is_forked(&self) -> bool {
        self.kernel.forked.load(Ordering::SeqCst)
    }
}

fn set(space: &memory::UserSpace, breakpoints: &BTreeSet<u64>) {
    let before = space.breakpoints().replace(breakpoints.clone());
    for &va in before.symmetric_difference(breakpoints) {
        // As if it were about to be written: what was decoded there is dropped.
        let _ = space.host_range(va, 2, Access::Store);
    }
}

/// Whether a thread that ran into an ebreak is at a breakpoint. A forked child has no debugger: it
/// goes on without.
pub(crate) fn is_at_breakpoint(task: &mut Task) -> bool {
    let pc = task.state().pc;
    if !task.kernel.space.breakpoints().contains(pc) {
        return false;
    }
    if task.kernel.forked.load(Ordering::SeqCst) {
        set(&task.kernel.space, &BTreeSet::new());
        task.cpu.code_changed();
    }
    true
}
