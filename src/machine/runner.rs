//! A hart on a thread of its own.

use super::End;
use super::clock::MachineClock;
use super::crew::Crew;
use super::harts::{Hart, Status};
use super::post::{Post, Request};
use super::run::{MOST_TRAPS, Stats};
use super::sbi::{self, Call, Sbi, Surroundings};
use super::signal::Signal;
use super::tiers::Tiers;
use devices::syscon::{Power, PowerSwitch};
use devices::{Bell, Bus};
use hart::Trap;
use hart::privileged::interrupts;
use interp::Exit;
use memory::Ram;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Instructions between two looks at the clock.
const RUN: u64 = 1 << 17;
/// Instructions of compiled code between two looks at what others ask for: some ten microseconds.
const SLICE: u64 = 1 << 15;
/// How often to look whether others are done before time is given to them.
const PATIENCE: u32 = 100;
/// How long to wait then between two looks.
const PAUSE: Duration = Duration::from_micros(50);

/// What all harts share while they run.
pub struct World<'a> {
    pub crew: &'a Crew,
    pub bus: &'a Bus,
    pub clock: &'a MachineClock,
    pub signal: &'a Signal,
    pub ram: &'a Ram,
    pub sbi: Option<&'a Sbi>,
    /// Until when whoever services devices sleeps at most, in `mtime`.
    pub sleeps_until: AtomicU64,
    /// Instructions retired by all harts, counted if there is a limit.
    pub retired: AtomicU64,
    pub limit: u64,
    /// Why a hart has stopped the machine.
    pub end: Mutex<Option<End>>,
}

impl World<'_> {
    pub fn now(&self) -> u64 {
        self.clock.time(0)
    }

    /// Stops the machine for a reason.
    fn stop(&self, end: Option<End>) {
        if let Some(end) = end {
            let mut place = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            place.get_or_insert(end);
        }
        self.crew.stop();
        self.signal.ring();
    }
}

/// A hart while it has a thread.
pub struct Runner<'a> {
    world: &'a World<'a>,
    number: usize,
    hart: &'a mut Hart,
    tiers: &'a mut Tiers,
    stats: Stats,
}

/// Stops all others if a thread dies of a mistake of ours: they would wait for it.
struct Watch<'a>(&'a World<'a>);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(None);
        }
    }
}

impl<'a> Runner<'a> {
    pub fn new(
        world: &'a World<'a>,
        number: usize,
        hart: &'a mut Hart,
        tiers: &'a mut Tiers,
    ) -> Runner<'a> {
        Runner {
            world,
            number,
            hart,
            tiers,
            stats: Stats::default(),
        }
    }

    fn post(&self) -> &'a Post {
        &self.world.crew.posts[self.number]
    }

    /// Runs the hart until all stop. What it has done.
    pub fn run(mut self) -> Stats {
        let _watch = Watch(self.world);
        let post = self.post();
        self.hart.state.set_slice(Some(SLICE));
        post.unpark();
        loop {
            // What was set before this is seen below; what is set later ends the run.
            post.poll.swap(0, Ordering::AcqRel);
            if self.world.crew.is_stopping() {
                break;
            }
            self.attend();
            self.hart.set_lines(self.world.now());
            match self.hart.status {
                Status::Running => self.execute(),
                Status::Waiting | Status::Stopped => self.idle(),
            }
        }
        self.park();
        self.hart.state.set_slice(None);
        self.stats
    }

    /// Does what others ask for.
    fn attend(&mut self) {
        let mut fence_i = false;
        self.post()
            .attend(|request| fence_i |= self.hart.obey(request));
        if fence_i {
            self.drop_written();
        }
        if self.post().take_interrupt() {
            self.hart.memory.change(|p| p.mip |= interrupts::SSIP);
        }
    }

    /// Stands still from now on, as far as others are concerned.
    fn park(&mut self) {
        let mut fence_i = false;
        self.post()
            .park(|request| fence_i |= self.hart.obey(request));
        if fence_i {
            self.drop_written();
        }
    }

    /// Waits for an interrupt, or to be started.
    fn idle(&mut self) {
        let world = self.world;
        self.park();
        loop {
            self.attend();
            self.hart.set_lines(world.now());
            let waits = self.hart.status == Status::Waiting;
            if waits && self.hart.memory.privileged().is_woken() {
                self.set_status(Status::Running);
            }
            if self.hart.status == Status::Running || world.crew.is_stopping() {
                return self.post().unpark();
            }
            let timer = self.hart.timer().filter(|_| waits);
            let timer = timer.filter(|mtime| world.clock.reaches(*mtime));
            self.post().settle(timer.is_none());
            if world.crew.is_idle() {
                // It was the last that did anything: the machine has a look.
                world.signal.ring();
            }
            self.post()
                .wait(timer.map(|mtime| world.clock.until(mtime)));
        }
    }

    fn set_status(&mut self, status: Status) {
        self.hart.status = status;
        self.post().set_status(status);
    }

    /// Executes for a while, and acts on why it ended.
    fn execute(&mut self) {
        let hart = &mut *self.hart;
        if hart.memory.change(|p| p.take_interrupt(&mut hart.state)) {
            self.stats.interrupts += 1;
        }
        let before = hart.state.instret;
        let limit = before.saturating_add(RUN);
        let poll = &self.world.crew.posts[self.number].poll;
        let exit = self.tiers.run(hart, limit, poll);
        let retired = hart.state.instret - before;
        self.stats.retired += retired;
        self.stats.runs += 1;
        if retired > 0 {
            hart.traps = 0;
        }
        match exit {
            Exit::Limit | Exit::Poll | Exit::Hot => {}
            Exit::Attention => self.look_at_devices(),
            Exit::FenceI => self.fence_i(),
            Exit::Wait => self.set_status(Status::Waiting),
            Exit::Trap(trap) => self.trap(trap),
        }
        if self.world.limit != u64::MAX {
            let all = &self.world.retired;
            if all.fetch_add(retired, Ordering::Relaxed) + retired >= self.world.limit {
                self.world.stop(Some(End::Limit));
            }
        }
    }

    /// After an access to a device, perhaps.
    fn look_at_devices(&mut self) {
        if self.world.signal.has_power() {
            return self.world.stop(None);
        }
        let Some(due) = self.world.bus.next_event() else {
            return;
        };
        let now = self.world.now();
        // The access came first, then this look; see `listen`.
        fence(Ordering::SeqCst);
        if due <= now {
            self.world.bus.run_due(now);
        } else if due < self.world.sleeps_until.load(Ordering::SeqCst) {
            self.world.signal.ring();
        }
    }

    fn trap(&mut self, trap: Trap) {
        self.stats.exceptions += 1;
        self.hart.traps += 1;
        if self.hart.traps > MOST_TRAPS {
            let (hart, pc) = (self.number, self.hart.state.pc);
            return self.world.stop(Some(End::Trapped { hart, pc, trap }));
        }
        let hart = &mut *self.hart;
        if let Some(trap) = hart.completed(trap, self.world.sbi.is_some()) {
            hart.memory
                .change(|p| p.take_exception(&mut hart.state, trap));
        } else if let Some(sbi) = self.world.sbi {
            self.stats.sbi_calls += 1;
            let call = Call::of(&mut self.hart.state);
            let answer = sbi.answer(&call, self);
            sbi::answered(&mut self.hart.state, answer);
        }
    }

    /// What fence.i promises: what was written before, by whichever hart, is decoded anew.
    fn fence_i(&mut self) {
        // Whoever was asked to give a page up may have been storing there until it does.
        let unfinished = self.world.crew.unfinished(self.number);
        self.wait_for(unfinished);
        self.drop_written();
    }

    fn drop_written(&mut self) {
        let pages = self.world.crew.written(self.number, self.world.ram);
        if !pages.is_empty() {
            self.stats.code_drops += 1;
            self.stats.code_pages += pages.len() as u64;
            let pages: Vec<u64> = pages.into_iter().collect();
            self.tiers.invalidate(&pages);
        }
    }

    /// Waits until other harts have done what they were asked, and does what they ask for meanwhile.
    fn wait_for(&mut self, mut unfinished: Vec<(usize, u64)>) {
        let mut looks = 0;
        loop {
            self.attend();
            unfinished.retain(|(hart, ticket)| !self.world.crew.posts[*hart].has_done(*ticket));
            if unfinished.is_empty() {
                return;
            }
            looks += 1;
            if looks < PATIENCE {
                std::thread::yield_now();
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

impl Surroundings for Runner<'_> {
    fn harts(&self) -> usize {
        self.world.crew.posts.len()
    }

    fn ram(&self) -> &Ram {
        self.world.ram
    }

    fn set_timer(&mut self, time: u64) {
        self.hart.memory.change(|p| p.stimecmp = time);
    }

    fn interrupt(&mut self, hart: usize) {
        self.world.crew.posts[hart].interrupt();
    }

    fn fence_i(&mut self, harts: &[usize]) {
        // What is written to whose code is known from here on, for all of them.
        Runner::fence_i(self);
        self.ask(harts, Request::FenceI);
    }

    fn fence(&mut self, harts: &[usize], start: u64, size: u64, asid: Option<u64>) {
        self.ask(harts, Request::Fence { start, size, asid });
    }

    fn status(&self, hart: usize) -> Status {
        self.world.crew.posts[hart].status()
    }

    fn start(&mut self, hart: usize, pc: u64, opaque: u64) -> bool {
        self.world.crew.posts[hart].start(pc, opaque)
    }

    fn set_status(&mut self, status: Status) {
        Runner::set_status(self, status);
    }

    fn power(&mut self, power: Power) {
        self.world.signal.request(power);
        self.world.stop(None);
    }
}

impl Runner<'_> {
    /// Asks harts for something, this one perhaps included, and waits until they have done it.
    fn ask(&mut self, harts: &[usize], request: Request) {
        let posts = &self.world.crew.posts;
        let asked = harts
            .iter()
            .filter_map(|hart| Some((*hart, posts[*hart].ask(request)?)));
        let asked = asked.collect();
        self.wait_for(asked);
    }
}
