//! Running: harts take turns, interrupts come at exact counts, idle time is skipped.

use super::build::Status;
use super::signal::Command;
use super::{Machine, TierStats};
use crate::Error;
use devices::syscon::Power;
use hart::privileged::interrupts;
use hart::{Cause, Memory, Mode, Trap};
use interp::Exit;
use serde::{Deserialize, Serialize};

/// Instructions that a hart may execute before the next one's turn.
const TURN: u64 = 20_000;
/// Instructions between two looks at the host's clock.
const HOST_TURN: u64 = 100_000;
/// Traps in a row without an instruction between them after which a guest counts as dead: its trap
/// vector faults.
const MOST_TRAPS: u32 = 100_000;

/// Why a machine stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// The guest switched it off, or asked for a reset.
    Power(Power),
    /// The user asked for something.
    Command(Command),
    /// The count of instructions was reached.
    Limit,
    /// The hart whose turn it is is at a breakpoint of a debugger's.
    Breakpoint,
    /// All harts wait for interrupts, and nothing is left that could raise one.
    Idle,
    /// A hart does nothing but trap; where.
    Trapped {
        /// Which hart.
        hart: usize,
        /// Its pc.
        pc: u64,
        /// The cause and value of the trap.
        trap: Trap,
    },
}

/// What a machine has done so far.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub struct Stats {
    /// Instructions retired by all harts.
    pub retired: u64,
    /// Exceptions taken, SBI calls included.
    pub exceptions: u64,
    /// Interrupts taken.
    pub interrupts: u64,
    /// SBI calls answered.
    pub sbi_calls: u64,
    /// Times that code was dropped because it was written to, and pages of it.
    pub code_drops: u64,
    /// Pages of code dropped.
    pub code_pages: u64,
    /// Turns that harts had.
    pub runs: u64,
}

impl Machine {
    /// Runs until something ends it, or all harts together have retired `limit` instructions.
    /// `can_wake` is whether anything from outside, such as input, may come and wake an idle
    /// machine.
    pub fn run(&mut self, limit: u64, can_wake: impl Fn() -> bool) -> Result<End, Error> {
        loop {
            if let Some(end) = self.look_around() {
                return Ok(end);
            }
            if self.stats.retired >= limit {
                return Ok(End::Limit);
            }
            match self.next_hart() {
                Some(hart) => {
                    if let Some(end) = self.turn(hart, limit) {
                        return Ok(end);
                    }
                }
                None if !self.idle(&can_wake) => return Ok(End::Idle),
                None => {}
            }
        }
    }

    /// What a machine has done so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What was executed how so far.
    pub fn tiers(&self) -> TierStats {
        self.tiers.stats()
    }

    /// Where the harts are, a line each.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (number, hart) in self.harts.iter().enumerate() {
            let p = hart.memory.privileged();
            text.push_str(&format!(
                "hart {number}: {:?} in {:?}, pc {:#x}, ra {:#x}, {} instructions\r\n",
                hart.status,
                p.mode(),
                hart.state.pc,
                hart.state.x[1],
                hart.state.instret,
            ));
        }
        text
    }

    /// Does what is asked for from outside, and what is due.
    fn look_around(&mut self) -> Option<End> {
        if self.signal.take_rung() {
            self.bus.attend(self.now());
        }
        if let Some(command) = self.signal.take_command() {
            return Some(End::Command(command));
        }
        if let Some(power) = self.signal.take_power() {
            return Some(End::Power(power));
        }
        let now = self.now();
        if self.bus.next_event().is_some_and(|due| due <= now) {
            self.bus.run_due(now);
        }
        None
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.begin(self.position, 0);
        self.clock.time(0)
    }

    /// The hart that has something to do: the one whose turn it is, or the next.
    fn next_hart(&mut self) -> Option<usize> {
        let count = self.harts.len();
        if self.left > 0 && self.harts[self.turn].status == Status::Running {
            return Some(self.turn);
        }
        for step in 1..=count {
            let number = (self.turn + step) % count;
            self.set_lines(number);
            let hart = &mut self.harts[number];
            if hart.status == Status::Waiting && hart.memory.privileged().is_woken() {
                hart.status = Status::Running;
            }
            if hart.status == Status::Running {
                self.turn = number;
                self.left = if self.clock.is_host() {
                    HOST_TURN
                } else {
                    TURN
                };
                return Some(number);
            }
        }
        None
    }

    /// Shows a hart its interrupt lines as they are now.
    fn set_lines(&mut self, number: usize) {
        let now = self.now();
        let hart = &self.harts[number];
        let (levels, p) = (hart.lines.levels(), hart.memory.privileged());
        let timer = p.has_stimecmp() && now >= p.stimecmp;
        let mut shown = *p;
        drop(p);
        if shown.set_lines(levels, timer) {
            hart.memory.change(|p| p.lines = shown.lines);
        }
    }

    /// A hart's turn, or what is left of it.
    fn turn(&mut self, number: usize, limit: u64) -> Option<End> {
        let alone = self.harts.len() == 1;
        loop {
            self.set_lines(number);
            let hart = &mut self.harts[number];
            if hart.memory.change(|p| p.take_interrupt(&mut hart.state)) {
                self.stats.interrupts += 1;
            }
            let before = self.harts[number].state.instret;
            let most = self.until_event(number).min(limit - self.stats.retired);
            let most = if alone && !self.clock.is_host() {
                most
            } else {
                most.min(self.left)
            };
            let exit = self.execute(number, before.saturating_add(most));
            let retired = self.harts[number].state.instret - before;
            self.position += retired;
            self.stats.retired += retired;
            self.stats.runs += 1;
            self.left = self.left.saturating_sub(retired);
            if retired > 0 {
                self.harts[number].traps = 0;
            }
            match exit {
                Exit::Limit | Exit::Poll | Exit::Attention | Exit::Hot => {}
                Exit::FenceI => self.drop_stale(),
                Exit::Wait => {
                    self.harts[number].status = Status::Waiting;
                    return None;
                }
                Exit::Trap(trap) if self.is_breakpoint(number, trap) => {
                    return Some(End::Breakpoint);
                }
                Exit::Trap(trap) => {
                    self.harts[number].traps += 1;
                    // One that leads to itself does not keep the others waiting.
                    self.left = self.left.saturating_sub(1);
                    self.trap(number, trap);
                    if self.harts[number].traps > MOST_TRAPS {
                        let pc = self.harts[number].state.pc;
                        return Some(End::Trapped {
                            hart: number,
                            pc,
                            trap,
                        });
                    }
                    if self.harts[number].status != Status::Running {
                        return None;
                    }
                }
            }
            if let Some(end) = self.look_around() {
                return Some(end);
            }
            let over = self.left == 0 && !alone;
            if over || self.stats.retired >= limit || self.clock.is_host() {
                return None;
            }
        }
    }

    /// Executes until a hart has retired `limit` instructions, or something is to be done.
    fn execute(&mut self, number: usize, limit: u64) -> Exit {
        let hart = &mut self.harts[number];
        self.clock.begin(self.position, hart.state.instret);
        let poll = &self.signal.poll;
        let exit = self.tiers.run(hart, limit, poll);
        let protected = hart.memory.take_protected();
        if !protected.is_empty() && self.harts.len() > 1 {
            for (other, hart) in self.harts.iter().enumerate() {
                if other != number {
                    for &(page, writer) in &protected {
                        hart.memory.protect(page, writer);
                    }
                }
            }
        }
        exit
    }

    /// How many instructions a hart may retire before the time of its next interrupt comes.
    fn until_event(&self, number: usize) -> u64 {
        if self.clock.is_host() {
            return HOST_TURN;
        }
        let p = self.harts[number].memory.privileged();
        let timer = (p.has_stimecmp() && p.pending() & interrupts::STIP == 0).then_some(p.stimecmp);
        let event = timer.into_iter().chain(self.bus.next_event()).min();
        event.map_or(u64::MAX, |mtime| {
            // What is due already is done by the time this is asked.
            self.clock
                .position_of(mtime)
                .saturating_sub(self.position)
                .max(1)
        })
    }

    /// Nobody has anything to do: goes to the time when somebody has. Whether there will be one.
    fn idle(&mut self, can_wake: &impl Fn() -> bool) -> bool {
        let timers = self
            .harts
            .iter()
            .filter(|hart| hart.status == Status::Waiting);
        let timers = timers.filter_map(|hart| {
            let p = hart.memory.privileged();
            let enabled = p.has_stimecmp() && p.mie & interrupts::STIP != 0;
            enabled.then_some(p.stimecmp)
        });
        let next = timers
            .chain(self.bus.next_event())
            .min()
            .filter(|mtime| self.clock.reaches(*mtime));
        match next {
            Some(mtime) if self.clock.is_host() => {
                self.signal.wait(Some(self.clock.until(mtime)));
            }
            Some(mtime) => self.position = self.position.max(self.clock.position_of(mtime)),
            None if can_wake() => self.signal.wait(None),
            None => return false,
        }
        true
    }

    /// Whether a trap is a debugger's, which the guest must not see.
    fn is_breakpoint(&self, number: usize, trap: Trap) -> bool {
        let hart = &self.harts[number];
        trap.cause == Cause::Breakpoint && hart.memory.breakpoints().contains(hart.state.pc)
    }

    /// Takes an exception, or answers it if it is a call of our firmware.
    fn trap(&mut self, number: usize, trap: Trap) {
        self.stats.exceptions += 1;
        // A trap takes time: one that leads to itself does not stop the clock.
        self.position += 1;
        let hart = &mut self.harts[number];
        let mode = hart.memory.privileged().mode();
        let mut trap = trap;
        match trap.cause {
            // Engines know no modes: they report any environment call as U's.
            Cause::EcallFromU => trap.cause = hart.memory.privileged().ecall(),
            Cause::IllegalInstruction => trap.tval = bits(&hart.memory, hart.state.pc, trap.tval),
            _ => {}
        }
        if self.sbi.is_some() && trap.cause == Cause::EcallFromS && mode == Mode::Supervisor {
            self.stats.sbi_calls += 1;
            return self.sbi_call(number);
        }
        hart.memory
            .change(|p| p.take_exception(&mut hart.state, trap));
    }

    /// What fence.i promises: code that was written since the last time is decoded anew.
    pub(super) fn drop_stale(&mut self) {
        let pages = self.ram.take_stale();
        if !pages.is_empty() {
            self.stats.code_drops += 1;
            self.stats.code_pages += pages.len() as u64;
            self.tiers.invalidate(pages);
        }
    }
}

/// The bits of the instruction at `pc`, which may be a compressed one; `known` if they can't be
/// read any more.
fn bits(memory: &impl Memory, pc: u64, known: u64) -> u64 {
    let Ok(low) = memory.fetch(pc) else {
        return known;
    };
    if low & 3 != 3 {
        return u64::from(low);
    }
    memory
        .fetch(pc.wrapping_add(2))
        .map_or(known, |high| u64::from(high) << 16 | u64::from(low))
}
