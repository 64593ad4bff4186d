//! A program in a debugger's hands. Its threads take turns, so that all stand still together.

use super::{Debuggee, Happened};
use crate::{Error, Exit, Progress, Running};
use hart::HartState;
use std::collections::BTreeSet;

/// A program.
pub struct ProgramDebuggee<'a> {
    running: &'a mut Running,
    breakpoints: BTreeSet<u64>,
    /// How it ended, if it has.
    pub ended: Option<Exit>,
}

impl<'a> ProgramDebuggee<'a> {
    /// Takes a program, which must have been launched with [`crate::Launch::exact`].
    pub fn new(running: &'a mut Running) -> Self {
        ProgramDebuggee {
            running,
            breakpoints: BTreeSet::new(),
            ended: None,
        }
    }
}

impl Debuggee for ProgramDebuggee<'_> {
    fn threads(&self) -> Vec<usize> {
        let threads = self.running.process.threads();
        threads
            .into_iter()
            .filter_map(|tid| usize::try_from(tid).ok())
            .collect()
    }

    fn current(&self) -> usize {
        let current = self.running.process.current_thread();
        usize::try_from(current).unwrap_or(1)
    }

    fn describe(&self, _: usize) -> String {
        String::new()
    }

    fn state(&mut self, thread: usize) -> Option<&mut HartState> {
        self.running
            .process
            .thread_state(i32::try_from(thread).ok()?)
    }

    fn read(&mut self, _: usize, va: u64, into: &mut [u8]) -> usize {
        match self.running.process.space().read_bytes(va, into) {
            Ok(()) => into.len(),
            Err(fault) => usize::try_from(fault.va.saturating_sub(va)).unwrap_or(0),
        }
    }

    /// As far as the program could: its code is read-only.
    fn write(&mut self, _: usize, va: u64, from: &[u8]) -> bool {
        self.running.process.space().write_bytes(va, from).is_ok()
    }

    fn set_breakpoints(&mut self, breakpoints: &BTreeSet<u64>) {
        self.breakpoints.clone_from(breakpoints);
        self.running.process.set_breakpoints(breakpoints);
    }

    fn run(&mut self, instructions: u64) -> Result<Happened, Error> {
        let limit = self.running.total().saturating_add(instructions);
        match self.running.run_until(limit)? {
            Progress::Exited(exit) => {
                let code = exit.code() as u8;
                self.ended = Some(exit);
                Ok(Happened::Exited(code))
            }
            Progress::Reached if self.running.process.is_forked() => {
                // A child of the program's, in a process of its own: it ends there.
                self.running.run()?.finish()
            }
            Progress::Reached if self.running.total() < limit => Ok(Happened::Breakpoint),
            Progress::Reached => Ok(Happened::Nothing),
        }
    }

    fn step(&mut self, _: usize) -> Result<Happened, Error> {
        self.run(1)
    }
}
