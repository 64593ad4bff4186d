//! Running harts on threads of their own, at the same time.
//!
//! The thread that runs the machine services its devices and listens to the user meanwhile. Whatever
//! needs the machine to stand still, such as saving it, ends the run: harts leave their threads between
//! two instructions, with nothing under way.

use super::Machine;
use super::crew::Crew;
use super::run::End;
use super::runner::{Runner, World};
use crate::Error;
use devices::syscon::Power;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

/// Bytes of a hart's stack: compiling takes some.
const STACK: usize = 8 << 20;

impl Machine {
    /// As [`Machine::run`].
    pub(super) fn run_threads(
        &mut self,
        crew: &Crew,
        limit: u64,
        can_wake: impl Fn() -> bool,
    ) -> Result<End, Error> {
        if self.stats.retired >= limit {
            return Ok(End::Limit);
        }
        crew.begin();
        for (hart, post) in self.harts.iter().zip(&crew.posts) {
            post.set_status(hart.status);
        }
        let world = World {
            crew,
            bus: &self.bus,
            clock: &self.clock,
            signal: &self.signal,
            ram: &self.ram,
            sbi: self.sbi.as_deref(),
            sleeps_until: AtomicU64::new(0),
            retired: AtomicU64::new(self.stats.retired),
            limit,
            end: Mutex::new(None),
        };
        let harts = self.harts.iter_mut().zip(&mut self.tiers).enumerate();
        let ran = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            let mut failed = None;
            for (number, (hart, tiers)) in harts {
                let runner = Runner::new(&world, number, hart, tiers);
                let thread = Builder::new()
                    .name(format!("hart {number}"))
                    .stack_size(STACK)
                    .spawn_scoped(scope, || runner.run());
                match thread {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        failed = Some(refused(number, &error));
                        break;
                    }
                }
            }
            let end = match failed {
                Some(error) => Err(error),
                None => Ok(listen(&world, can_wake)),
            };
            crew.stop();
            let mut all = Vec::new();
            for thread in threads {
                match thread.join() {
                    Ok(stats) => all.push(stats),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            end.map(|end| (end, all))
        });
        // What they asked of each other while some had left already.
        for (number, (hart, tiers)) in self.harts.iter_mut().zip(&mut self.tiers).enumerate() {
            crew.posts[number].attend(|request| {
                hart.obey(request);
            });
            let written: Vec<u64> = crew.written(number, &self.ram).into_iter().collect();
            tiers.invalidate(&written);
            if crew.posts[number].take_interrupt() {
                let pending = hart::privileged::interrupts::SSIP;
                hart.memory.change(|p| p.mip |= pending);
            }
        }
        let (end, stats) = ran?;
        stats.into_iter().for_each(|stats| self.stats.add(stats));
        Ok(end)
    }
}

fn refused(number: usize, error: &io::Error) -> Error {
    Error::usage(
        format!("there is no thread for hart {number}: {error}"),
        "give the machine fewer harts, or leave out --schedule threads",
    )
}

/// Services devices and listens to the user while harts run; why that is over.
fn listen(world: &World<'_>, can_wake: impl Fn() -> bool) -> End {
    loop {
        let now = world.now();
        if world.signal.take_rung() {
            world.bus.attend(now);
        }
        // Whoever stops the harts has said why before, and rings after: a bell that was taken above is seen
        // here, one that comes later ends the wait below.
        let stopping = world.crew.is_stopping();
        if let Some(command) = world.signal.take_command() {
            return End::Command(command);
        }
        if let Some(power) = world.signal.take_power() {
            return End::Power(power);
        }
        if stopping {
            let mut end = world.end.lock().unwrap_or_else(PoisonError::into_inner);
            // Without a reason a thread has died, which is found when it is joined.
            return end.take().unwrap_or(End::Power(Power::Off));
        }
        let next = world.bus.next_event();
        if next.is_some_and(|due| due <= now) {
            world.bus.run_due(now);
            continue;
        }
        let next = next.filter(|mtime| world.clock.reaches(*mtime));
        world
            .sleeps_until
            .store(next.unwrap_or(u64::MAX), Ordering::SeqCst);
        // Either this is seen by a hart that sets an earlier time, or that time is seen here.
        fence(Ordering::SeqCst);
        if world.bus.next_event().filter(|m| world.clock.reaches(*m)) != next {
            continue;
        }
        if next.is_none() && !can_wake() && world.crew.is_idle() {
            return End::Idle;
        }
        world
            .signal
            .wait(next.map(|mtime| world.clock.until(mtime)));
    }
}
