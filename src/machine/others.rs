//! The harts of a machine that take turns, as one of them reaches the others by our firmware.

use super::Machine;
use super::harts::Status;
use super::sbi::Surroundings;
use devices::syscon::{Power, PowerSwitch};
use hart::privileged::interrupts;
use memory::Ram;

/// A machine's harts.
pub(super) struct Others<'a> {
    pub machine: &'a mut Machine,
    /// Whose turn it is.
    pub caller: usize,
}

impl Surroundings for Others<'_> {
    fn harts(&self) -> usize {
        self.machine.harts.len()
    }

    fn ram(&self) -> &Ram {
        &self.machine.ram
    }

    fn set_timer(&mut self, time: u64) {
        let caller = &self.machine.harts[self.caller];
        caller.memory.change(|p| p.stimecmp = time);
    }

    fn interrupt(&mut self, hart: usize) {
        let hart = &self.machine.harts[hart];
        hart.memory.change(|p| p.mip |= interrupts::SSIP);
    }

    fn fence_i(&mut self, _: &[usize]) {
        self.machine.drop_stale();
    }

    fn fence(&mut self, harts: &[usize], start: u64, size: u64, asid: Option<u64>) {
        for hart in harts {
            self.machine.harts[*hart].fence(start, size, asid);
        }
    }

    fn status(&self, hart: usize) -> Status {
        self.machine.harts[hart].status
    }

    fn start(&mut self, hart: usize, pc: u64, opaque: u64) -> bool {
        let hart = &mut self.machine.harts[hart];
        let stopped = hart.status == Status::Stopped;
        if stopped {
            hart.start(pc, opaque);
        }
        stopped
    }

    fn set_status(&mut self, status: Status) {
        self.machine.harts[self.caller].status = status;
    }

    fn power(&mut self, power: Power) {
        self.machine.signal.request(power);
    }
}
