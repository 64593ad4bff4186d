//! Running: harts take turns, interrupts come at exact counts, idle time is skipped.

use super::harts::{Hart, Status};
use super::others::Others;
use super::sbi::{self, Call};
use super::signal::Command;
use super::tiers::Tiers;
use super::{Machine, TierStats};
use crate::Error;
use devices::syscon::Power;
use hart::Trap;
use hart::privileged::interrupts;
use interp::Exit;
use serde::{Deserialize, Serialize};

/// Instructions that a hart may execute before the next one's turn.
const TURN: u64 = 20_000;
/// Instructions between two looks at the host's clock.
const HOST_TURN: u64 = 100_000;
/// Traps in a row without an instruction between them after which a guest counts as dead: its trap
/// vector faults.
pub(super) const MOST_TRAPS: u32 = 100_000;

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

impl Stats {
    /// All counts.
    pub(super) fn counts(&mut self) -> [&mut u64; 7] {
        let Stats {
            retired,
            exceptions,
            interrupts,
            sbi_calls,
            code_drops,
            code_pages,
            runs,
        } = self;
        [
            retired, exceptions, interrupts, sbi_calls, code_drops, code_pages, runs,
        ]
    }

    /// Adds what has been done besides.
    pub(super) fn add(&mut self, mut more: Stats) {
        for (count, more) in self.counts().into_iter().zip(more.counts()) {
            *count += *more;
        }
    }
}

impl Machine {
    /// Runs until something ends it, or all harts together have retired `limit` instructions; harts that
    /// run at the same time may have retired some more by then. `can_wake` is whether anything from
    /// outside, such as input, may come and wake an idle machine.
    pub fn run(&mut self, limit: u64, can_wake: impl Fn() -> bool) -> Result<End, Error> {
        if let Some(crew) = self.crew.clone().filter(|_| !self.one_by_one) {
            return self.run_threads(&crew, limit, can_wake);
        }
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
        self.tiers.iter().map(Tiers::stats).sum()
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
            let now = self.now();
            let hart = &mut self.harts[number];
            hart.set_lines(now);
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

    /// A hart's turn, or what is left of it.
    fn turn(&mut self, number: usize, limit: u64) -> Option<End> {
        let alone = self.harts.len() == 1;
        loop {
            let now = self.now();
            let hart = &mut self.harts[number];
            hart.set_lines(now);
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
                Exit::Trap(trap) if self.harts[number].is_breakpoint(trap) => {
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
        if let Some(crew) = &self.crew {
            crew.posts[number].attend(|request| {
                hart.obey(request);
            });
        }
        let poll = &self.signal.poll;
        let tiers = number % self.tiers.len();
        let exit = self.tiers[tiers].run(hart, limit, poll);
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
        let next = timers
            .filter_map(Hart::timer)
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

    /// Takes an exception, or answers it if it is a call of our firmware.
    fn trap(&mut self, number: usize, trap: Trap) {
        self.stats.exceptions += 1;
        // A trap takes time: one that leads to itself does not stop the clock.
        self.position += 1;
        let hart = &mut self.harts[number];
        if let Some(trap) = hart.completed(trap, self.sbi.is_some()) {
            hart.memory
                .change(|p| p.take_exception(&mut hart.state, trap));
        } else if let Some(sbi) = self.sbi.clone() {
            self.stats.sbi_calls += 1;
            let call = Call::of(&mut hart.state);
            let caller = number;
            let mut around = Others {
                machine: self,
                caller,
            };
            let answer = sbi.answer(&call, &mut around);
            sbi::answered(&mut self.harts[number].state, answer);
        }
    }

    /// What fence.i promises: code that was written since the last time is decoded anew.
    pub(super) fn drop_stale(&mut self) {
        let pages = self.ram.take_stale();
        if !pages.is_empty() {
            self.stats.code_drops += 1;
            self.stats.code_pages += pages.len() as u64;
            for tiers in &mut self.tiers {
                tiers.invalidate(&pages);
            }
        }
    }
}
