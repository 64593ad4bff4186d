//! The tiers of a machine: an interpreter that runs everything, and a compiler for what runs often.
//! All harts share both.

use super::build::Hart;
use crate::Error;
use hart::SystemMemory;
use interp::{Exit, Interp};
use jit::{SystemExit, SystemJit};
use std::collections::HashMap;
use std::sync::atomic::AtomicU32;

/// Instructions interpreted at a stretch while frm is a mode that compiled code cannot do.
const STRETCH: u64 = 1 << 14;
/// Arrivals at a block that cannot be compiled before that is tried again.
const LATER: u64 = 1 << 20;
/// Code that was dropped so often waits no longer than it does.
const MOST_DROPS: u32 = 6;

/// How a machine's code is executed.
#[derive(Clone, Debug)]
pub struct TierOptions {
    /// Arrivals at a block before the region around it is compiled.
    pub threshold: u64,
    /// Blocks with a smaller part of that, one in so many, are left out of regions.
    pub warmth: u64,
    /// The compiler's options.
    pub jit: jit::Options,
}

impl Default for TierOptions {
    fn default() -> Self {
        TierOptions {
            threshold: 10_000,
            warmth: 16,
            jit: jit::Options {
                region_size: 500,
                ..jit::Options::default()
            },
        }
    }
}

/// Both tiers.
pub struct Tiers {
    options: TierOptions,
    interp: Interp<SystemMemory>,
    jit: Option<SystemJit>,
    /// How often code was dropped, by page.
    drops: HashMap<u64, u32>,
}

impl Tiers {
    /// The interpreter, and with `options` the compiler.
    pub fn new(options: Option<TierOptions>) -> Result<Tiers, Error> {
        let jit = options.as_ref().map(|o| SystemJit::new(o.jit.clone()));
        let threshold = options.as_ref().map_or(0, |options| options.threshold);
        Ok(Tiers {
            options: options.unwrap_or_default(),
            interp: Interp::new(interp::Options {
                threshold,
                ..interp::Options::default()
            }),
            jit: jit.transpose()?,
            drops: HashMap::new(),
        })
    }

    /// What the compiler has done so far.
    pub fn stats(&self) -> jit::Stats {
        self.jit.as_ref().map(SystemJit::stats).unwrap_or_default()
    }

    /// Drops what was made from the code on these pages.
    pub fn invalidate(&mut self, pages: Vec<u64>) {
        self.interp.invalidate(pages.iter().copied());
        let Some(jit) = &mut self.jit else {
            return;
        };
        for (pc, page) in jit.invalidate(&pages) {
            // What is patched often is not worth compiling at once again.
            let drops = self.drops.entry(page).or_default();
            *drops = (*drops + 1).min(MOST_DROPS);
            let wait = self.options.threshold << *drops;
            self.interp.set_countdown_on(page, pc, wait);
        }
    }

    /// Drops all that is derived from the guest's state.
    pub fn clear(&mut self) {
        self.interp.clear();
        if let Some(jit) = &mut self.jit {
            jit.clear();
        }
    }

    /// Runs a hart until it has retired `limit` instructions, or something has to be done. As
    /// [`Interp::run`], but never [`Exit::Hot`].
    pub fn run(&mut self, hart: &mut Hart, limit: u64, poll: &AtomicU32) -> Exit {
        let Some(jit) = &mut self.jit else {
            return self.interp.run(&mut hart.state, &hart.memory, limit, poll);
        };
        loop {
            let exit = hart.state.run(jit, &hart.memory, limit, poll);
            let near = |count: u64| hart.state.instret.saturating_add(count).min(limit);
            let over = hart.state.instret >= limit;
            let exit = match exit {
                // Whatever comes next is not to be executed any more.
                SystemExit::Interpret | SystemExit::Trap(_) if over => Exit::Limit,
                SystemExit::Missing => {
                    match self.interp.run(&mut hart.state, &hart.memory, limit, poll) {
                        Exit::Hot => {
                            hot(&mut self.interp, jit, &self.options, hart);
                            continue;
                        }
                        exit => return exit,
                    }
                }
                SystemExit::Limit => finish(&mut self.interp, hart, limit, poll),
                SystemExit::Replay(count) => finish(&mut self.interp, hart, count.min(limit), poll),
                SystemExit::Rounding => {
                    let count = near(STRETCH);
                    finish(&mut self.interp, hart, count, poll)
                }
                SystemExit::Interpret => self.interp.step(&mut hart.state, &hart.memory),
                SystemExit::Poll => Exit::Poll,
                SystemExit::FenceI => Exit::FenceI,
                SystemExit::Attention => Exit::Attention,
                SystemExit::Trap(trap) => Exit::Trap(trap),
            };
            if exit != Exit::Limit || hart.state.instret >= limit {
                return exit;
            }
        }
    }
}

/// Interprets until so many instructions have retired, whatever is hot.
fn finish(
    interp: &mut Interp<SystemMemory>,
    hart: &mut Hart,
    count: u64,
    poll: &AtomicU32,
) -> Exit {
    loop {
        match interp.run(&mut hart.state, &hart.memory, count, poll) {
            // The next arrival but one reports it again.
            Exit::Hot => interp.set_countdown(&hart.memory, hart.state.pc, 2),
            exit => return exit,
        }
    }
}

/// The block at a hart's pc has run often, or is known to be compiled.
fn hot(
    interp: &mut Interp<SystemMemory>,
    jit: &mut SystemJit,
    options: &TierOptions,
    hart: &mut Hart,
) {
    let pc = hart.state.pc;
    let cold = options.threshold - options.threshold / options.warmth.max(1);
    // What has run often enough, or has reported itself hot.
    let warm = |pc, page| {
        interp
            .countdown(page, pc)
            .is_some_and(|left| left <= cold || left > options.threshold << MOST_DROPS)
    };
    let ready = jit.request(pc, &hart.memory, warm);
    let wait = if ready { 1 } else { LATER };
    interp.set_countdown(&hart.memory, pc, wait);
}
