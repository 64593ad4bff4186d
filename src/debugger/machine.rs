//! A machine in a debugger's hands: its harts are threads, addresses are those of the hart.

use super::{Debuggee, Happened};
use crate::Error;
use crate::machine::{Command, End, Machine};
use devices::Power;
use hart::HartState;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long to wait when no hart has anything to do before the debugger is listened to again.
const PAUSE: Duration = Duration::from_millis(5);

/// A machine.
pub struct MachineDebuggee<'a> {
    machine: &'a mut Machine,
    /// How it ended, if it has.
    pub ended: Option<End>,
    /// Whether it starts again when the guest asks for it.
    reboots: bool,
}

impl<'a> MachineDebuggee<'a> {
    /// Takes a machine, which starts again after a reset if `reboots`.
    pub fn new(machine: &'a mut Machine, reboots: bool) -> Self {
        MachineDebuggee {
            machine,
            ended: None,
            reboots,
        }
    }

    fn happened(&mut self, end: End) -> Result<Happened, Error> {
        let code = match &end {
            End::Limit => return Ok(Happened::Nothing),
            End::Breakpoint => return Ok(Happened::Breakpoint),
            End::Idle => {
                std::thread::sleep(PAUSE);
                return Ok(Happened::Nothing);
            }
            End::Command(Command::Info) => {
                eprint!("\r\n{}", self.machine.describe());
                return Ok(Happened::Nothing);
            }
            // Under a debugger a machine is not saved: which of its counts it would be is chance.
            End::Command(Command::Save) => return Ok(Happened::Nothing),
            End::Command(Command::Reset) => {
                self.machine.reset()?;
                return Ok(Happened::Nothing);
            }
            End::Power(Power::Reset) if self.reboots => {
                self.machine.reset()?;
                return Ok(Happened::Nothing);
            }
            End::Command(Command::Quit) | End::Power(Power::Off) => 0,
            End::Power(Power::Reset | Power::Failed(_)) | End::Trapped { .. } => 1,
        };
        self.ended = Some(end);
        Ok(Happened::Exited(code))
    }
}

impl Debuggee for MachineDebuggee<'_> {
    fn threads(&self) -> Vec<usize> {
        (1..=self.machine.harts()).collect()
    }

    fn current(&self) -> usize {
        self.machine.current_hart() + 1
    }

    fn describe(&self, thread: usize) -> String {
        let text = self.machine.describe();
        text.lines().nth(thread - 1).unwrap_or("").to_owned()
    }

    fn state(&mut self, thread: usize) -> Option<&mut HartState> {
        self.machine.hart_state(thread.checked_sub(1)?)
    }

    fn read(&mut self, thread: usize, va: u64, into: &mut [u8]) -> usize {
        self.machine.peek(thread.saturating_sub(1), va, into)
    }

    fn write(&mut self, thread: usize, va: u64, from: &[u8]) -> bool {
        self.machine.poke(thread.saturating_sub(1), va, from)
    }

    fn set_breakpoints(&mut self, breakpoints: &BTreeSet<u64>) {
        self.machine.set_breakpoints(breakpoints);
    }

    fn run(&mut self, instructions: u64) -> Result<Happened, Error> {
        let limit = self.machine.stats().retired.saturating_add(instructions);
        let end = self.machine.run(limit, || false)?;
        self.happened(end)
    }

    fn step(&mut self, thread: usize) -> Result<Happened, Error> {
        self.machine.prefer_hart(thread.saturating_sub(1));
        self.run(1)
    }
}
