//! What a debugger needs of a machine: its harts, memory as they see it, breakpoints.

use super::Machine;
use hart::HartState;
use std::collections::BTreeSet;

impl Machine {
    /// How many harts there are.
    pub fn harts(&self) -> usize {
        self.harts.len()
    }

    /// The hart that ran last.
    pub fn current_hart(&self) -> usize {
        self.turn
    }

    /// Gives a hart the next turn, if it can run.
    pub fn prefer_hart(&mut self, hart: usize) {
        if hart < self.harts.len() {
            (self.turn, self.left) = (hart, self.left.max(1));
        }
    }

    /// The registers of a hart.
    pub fn hart_state(&mut self, hart: usize) -> Option<&mut HartState> {
        self.harts.get_mut(hart).map(|hart| &mut *hart.state)
    }

    /// Reads memory at a hart's virtual address, without a trace in the guest; how many bytes could
    /// be read. Devices are left alone.
    pub fn peek(&self, hart: usize, va: u64, into: &mut [u8]) -> usize {
        self.pieces(hart, va, into.len(), |pa, range| {
            self.ram.read(pa, &mut into[range])
        })
    }

    /// Writes memory, read-only pages too: whether all of it could be written.
    pub fn poke(&mut self, hart: usize, va: u64, from: &[u8]) -> bool {
        let written = self.pieces(hart, va, from.len(), |pa, range| {
            self.ram.write(pa, &from[range])
        });
        self.drop_stale();
        written == from.len()
    }

    /// Calls `act` with the physical address of each piece of a range that lies on one page, and
    /// where it is in the range, until it fails; how far it got.
    fn pieces(
        &self,
        hart: usize,
        va: u64,
        length: usize,
        mut act: impl FnMut(u64, std::ops::Range<usize>) -> bool,
    ) -> usize {
        let Some(hart) = self.harts.get(hart) else {
            return 0;
        };
        let mut done = 0;
        while done < length {
            let at = va.wrapping_add(done as u64);
            let count = (memory::PAGE - at % memory::PAGE).min((length - done) as u64) as usize;
            let pa = hart.memory.look_up(at);
            if !pa.is_some_and(|pa| act(pa, done..done + count)) {
                break;
            }
            done += count;
        }
        done
    }

    /// Has [`Machine::run`] return [`super::End::Breakpoint`] before any hart executes an
    /// instruction at one of these virtual addresses. Replaces those that there were.
    pub fn set_breakpoints(&mut self, breakpoints: &BTreeSet<u64>) {
        for hart in &self.harts {
            hart.memory.breakpoints().replace(breakpoints.clone());
        }
        self.forget();
    }
}
