//! The tiers of a machine: an interpreter that runs everything, and a compiler for what runs often.
//! All harts share both.

use super::harts::Hart;
use crate::Error;
use crate::translations::KeptMachine;
use hart::{Memory, SystemMemory};
use interp::{Exit, Interp};
use jit::{Drafts, Installed, Portable, Space, SystemExit, SystemJit};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Instructions interpreted at a stretch while frm is a mode that compiled code cannot do.
const STRETCH: u64 = 1 << 14;
/// The same for an access that is the interpreter's: it is seldom farther from the last checkpoint,
/// and if it is, the way becomes shorter.
const REPLAY: u64 = 64;
/// Arrivals at a block that cannot be compiled before that is tried again.
const LATER: u64 = 1 << 20;

/// Arrivals at a block before it is looked for in what was kept.
const PREVIEW: u64 = 1;
/// The same if its code was dropped, or not all of its pages are mapped yet.
const PREVIEW_AGAIN: u64 = 64;
/// The threshold is halved with every boot that compiled something and kept it, since it will pay in
/// later ones too, but not below this.
const LEAST_THRESHOLD: u64 = 1250;

/// Arrivals at a block that is interpreted before compiling it pays.
const THRESHOLD: u64 = 5000;

/// Arrivals at a block that runs as a draft before compiling it pays, see ARCHITECTURE.md.
const DRAFT_THRESHOLD: u64 = 30_000;

/// How a machine's code is executed.
#[derive(Clone, Debug)]
pub struct TierOptions {
    /// Arrivals at a block before the region around it is compiled.
    pub threshold: u64,
    /// Run what is not compiled as drafts, where the host has them, instead of interpreting it.
    pub drafts: bool,
    /// How many arrivals it counts for if compiled code is left for a block that has none: going
    /// from one engine to the other takes as long as many instructions.
    pub exit_weight: u64,
    /// Blocks with a smaller part of that, one in so many, are left out of regions.
    pub warmth: u64,
    /// Compile what is reached at once, however rarely it runs: for comparing engines.
    pub eager: bool,
    /// The compiler's options.
    pub jit: jit::Options,
}

impl Default for TierOptions {
    fn default() -> Self {
        TierOptions {
            threshold: match jit::Drafts::EXIST {
                true => DRAFT_THRESHOLD,
                false => THRESHOLD,
            },
            drafts: true,
            exit_weight: 4,
            warmth: 16,
            eager: false,
            jit: jit::Options {
                region_size: 500,
                // Most of what a machine runs is not run for long.
                optimize: false,
                ..jit::Options::default()
            },
        }
    }
}

/// What was executed how.
#[derive(Clone, Copy, Default, Debug)]
pub struct TierStats {
    /// Instructions interpreted.
    pub interpreted: u64,
    /// Instructions that drafts were made of.
    pub drafted: u64,
    /// Times that compiled code was left for lack of more.
    pub missing: u64,
    /// Times that it was left because of the limit.
    pub limits: u64,
    /// Times that one instruction was left to the interpreter.
    pub single: u64,
    /// Times that an access was.
    pub replays: u64,
    /// The compiler's.
    pub jit: jit::Stats,
}

impl TierStats {
    /// The sum of both.
    fn plus(self, other: TierStats) -> TierStats {
        TierStats {
            interpreted: self.interpreted + other.interpreted,
            drafted: self.drafted + other.drafted,
            missing: self.missing + other.missing,
            limits: self.limits + other.limits,
            single: self.single + other.single,
            replays: self.replays + other.replays,
            jit: self.jit.plus(other.jit),
        }
    }
}

impl std::iter::Sum for TierStats {
    fn sum<I: Iterator<Item = TierStats>>(all: I) -> TierStats {
        all.fold(TierStats::default(), TierStats::plus)
    }
}

/// Both tiers.
pub struct Tiers {
    options: TierOptions,
    interp: Interp<SystemMemory>,
    jit: Option<SystemJit>,
    drafts: Option<Drafts>,
    /// Whether limits are obeyed exactly.
    pub exact: bool,
    stats: TierStats,
    /// What earlier boots compiled, if anything.
    kept: Option<Arc<KeptMachine>>,
}

impl Tiers {
    /// The interpreter, and with `options` the compiler.
    pub fn new(options: Option<TierOptions>) -> Result<Tiers, Error> {
        let jit = options.as_ref().map(|o| SystemJit::new(o.jit.clone()));
        let threshold = options.as_ref().map_or(0, |options| options.threshold);
        let wanted = options.as_ref().is_some_and(|o| o.drafts && !o.eager);
        let drafts = wanted.then(|| Drafts::new(Space::Machine)).flatten();
        Ok(Tiers {
            options: options.unwrap_or_default(),
            interp: Interp::new(interp::Options {
                threshold,
                ..interp::Options::default()
            }),
            jit: jit.transpose()?,
            drafts: drafts.map(|mut drafts| {
                drafts.threshold = threshold;
                drafts
            }),
            exact: true,
            stats: TierStats::default(),
            kept: None,
        })
    }

    /// What tells the hosts and options apart whose compiled code fits these.
    pub fn fits(&self) -> String {
        self.jit.as_ref().map(SystemJit::fits).unwrap_or_default()
    }

    /// Looks for what earlier boots compiled before compiling.
    pub fn use_kept(&mut self, kept: Arc<KeptMachine>) {
        if kept.is_empty() {
            return;
        }
        let usual = self.options.threshold;
        let halved = usual >> kept.runs().min(32);
        self.options.threshold = halved.max(LEAST_THRESHOLD.min(usual));
        self.interp.set_threshold(self.options.threshold);
        self.interp.set_preview(PREVIEW);
        if let Some(drafts) = &mut self.drafts {
            (drafts.threshold, drafts.preview) = (self.options.threshold, PREVIEW);
        }
        self.kept = Some(kept);
    }

    /// What was compiled, if it is to be kept.
    pub fn portables(&self) -> &[Arc<Portable>] {
        self.jit.as_ref().map_or(&[], SystemJit::portables)
    }

    /// For all harts, or one for each of so many that run at the same time. Those need not stop exactly.
    pub fn all(options: Option<TierOptions>, threads: Option<usize>) -> Result<Vec<Tiers>, Error> {
        let one = |_| {
            let mut tiers = Tiers::new(options.clone())?;
            tiers.exact = threads.is_none();
            Ok(tiers)
        };
        (0..threads.unwrap_or(1)).map(one).collect()
    }

    /// What was executed how so far; without a compiler nothing is counted.
    pub fn stats(&self) -> TierStats {
        let jit = self.jit.as_ref().map(SystemJit::stats);
        TierStats {
            jit: jit.unwrap_or_default(),
            drafted: self.drafts.as_ref().map_or(0, |drafts| drafts.instructions),
            ..self.stats
        }
    }

    /// Drops what was made from the code on these pages.
    pub fn invalidate(&mut self, pages: &[u64]) {
        self.interp.invalidate(pages.iter().copied());
        if let Some(drafts) = &mut self.drafts {
            drafts.invalidate(pages);
        }
        let Some(jit) = &mut self.jit else {
            return;
        };
        for (pc, page) in jit.invalidate(pages) {
            // It has to prove itself anew: what is patched again and again is then interpreted as long
            // as it takes to compile, and no longer.
            let arrivals = self.options.threshold;
            match &self.kept {
                None => self.interp.set_countdown_on(page, pc, arrivals),
                // What it is now may have been compiled before, too.
                Some(_) => {
                    let first = PREVIEW_AGAIN.min(arrivals);
                    self.interp.set_preview_on(page, pc, first, arrivals);
                }
            }
        }
    }

    /// Drops all that is derived from the guest's state.
    pub fn clear(&mut self) {
        self.interp.clear();
        if let Some(drafts) = &mut self.drafts {
            drafts.clear();
        }
        if let Some(jit) = &mut self.jit {
            jit.clear();
        }
    }

    /// Runs a hart until it has retired `limit` instructions, or something has to be done. As
    /// [`Interp::run`], but never [`Exit::Hot`]; and [`Exit::Poll`] some instructions before the limit if
    /// that need not be exact.
    pub fn run(&mut self, hart: &mut Hart, limit: u64, poll: &AtomicU32) -> Exit {
        let Some(jit) = &mut self.jit else {
            return self.interp.run(&mut hart.state, &hart.memory, limit, poll);
        };
        let begun = hart.state.instret;
        // Where a block has just reported itself hot.
        let mut reported = None;
        loop {
            let drafts = self.drafts.as_mut();
            let exit = hart.state.run(jit, drafts, &hart.memory, limit, poll);
            let near = |count: u64| hart.state.instret.saturating_add(count).min(limit);
            let before = hart.state.instret;
            let over = before >= limit;
            match exit {
                SystemExit::Missing => self.stats.missing += 1,
                SystemExit::Limit => self.stats.limits += 1,
                SystemExit::Interpret => self.stats.single += 1,
                SystemExit::Replay => self.stats.replays += 1,
                SystemExit::Poll | SystemExit::Rounding | SystemExit::FenceI | SystemExit::Hot => {}
                SystemExit::Attention | SystemExit::Wait | SystemExit::Trap(_) => {}
            }
            let exit = match exit {
                // Whatever comes next is not to be executed any more.
                SystemExit::Interpret | SystemExit::Trap(_) if over => Exit::Limit,
                SystemExit::Missing if self.options.eager => {
                    let pc = hart.state.pc;
                    let ready = jit.request(pc, &hart.memory, |_, _| true);
                    hart.state.look_again();
                    match ready {
                        true => Exit::Hot,
                        false => self.interp.step(&mut hart.state, &hart.memory),
                    }
                }
                SystemExit::Hot => {
                    if let Some(drafts) = &mut self.drafts {
                        let kept = self.kept.as_deref();
                        hot_draft(drafts, jit, kept, &self.options, hart);
                    }
                    Exit::Hot
                }
                SystemExit::Missing if reported == Some((hart.state.pc, before)) => {
                    let kept = self.kept.as_deref();
                    if !show(&mut self.interp, jit, kept, hart) {
                        hot(&mut self.interp, jit, &self.options, hart);
                    }
                    reported = None;
                    Exit::Hot
                }
                SystemExit::Missing => {
                    let (state, memory) = (&mut hart.state, &hart.memory);
                    let arrivals = self.options.exit_weight;
                    let exit = self.interp.run_on(state, memory, limit, poll, arrivals);
                    reported = (exit == Exit::Hot).then_some((state.pc, state.instret));
                    exit
                }
                SystemExit::Limit if !self.exact && before > begun => Exit::Poll,
                SystemExit::Limit => finish(&mut self.interp, hart, limit, poll),
                SystemExit::Replay => {
                    let count = near(REPLAY);
                    finish(&mut self.interp, hart, count, poll)
                }
                SystemExit::Rounding => {
                    let count = near(STRETCH);
                    finish(&mut self.interp, hart, count, poll)
                }
                SystemExit::Interpret => self.interp.step(&mut hart.state, &hart.memory),
                SystemExit::Poll => Exit::Poll,
                SystemExit::FenceI => Exit::FenceI,
                SystemExit::Attention => Exit::Attention,
                SystemExit::Wait => Exit::Wait,
                SystemExit::Trap(trap) => Exit::Trap(trap),
            };
            self.stats.interpreted += hart.state.instret - before;
            match exit {
                Exit::Hot => {}
                Exit::Limit if hart.state.instret < limit => {}
                exit => return exit,
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

/// If the block at a hart's pc has reported itself to be looked for in what was kept: does so. Whether
/// it was that.
fn show(
    interp: &mut Interp<SystemMemory>,
    jit: &mut SystemJit,
    kept: Option<&KeptMachine>,
    hart: &mut Hart,
) -> bool {
    let pc = hart.state.pc;
    let Some((kept, left)) = kept.zip(interp.take_preview(&hart.memory, pc)) else {
        return false;
    };
    match kept.install(pc, jit, &hart.memory) {
        Installed::Ready => {
            hart.state.look_again();
            interp.set_countdown(&hart.memory, pc, 1);
        }
        Installed::Busy if left > PREVIEW_AGAIN => {
            if let Ok(page) = hart.memory.code_page(pc) {
                interp.set_preview_on(page, pc, PREVIEW_AGAIN, left - PREVIEW_AGAIN);
            }
        }
        Installed::Busy | Installed::Refused => {}
    }
    true
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
            .is_some_and(|left| left <= cold || left > options.threshold)
    };
    let ready = jit.request(pc, &hart.memory, warm);
    hart.state.look_again();
    let wait = if ready { 1 } else { LATER };
    interp.set_countdown(&hart.memory, pc, wait);
}

/// The draft of the block at a hart's pc has run often, or is new, to be looked for in what was kept.
fn hot_draft(
    drafts: &mut Drafts,
    jit: &mut SystemJit,
    kept: Option<&KeptMachine>,
    options: &TierOptions,
    hart: &mut Hart,
) {
    let pc = hart.state.pc;
    let Some(page) = hart.memory.code_page_of(pc) else {
        return;
    };
    let code = Drafts::code(pc, page);
    if let Some(left) = drafts.take_preview(code) {
        match kept.map(|kept| kept.install(pc, jit, &hart.memory)) {
            Some(Installed::Ready) => {
                hart.state.look_again();
                drafts.set_countdown(code, 1);
            }
            Some(Installed::Busy) if left > PREVIEW_AGAIN => {
                drafts.set_preview(code, PREVIEW_AGAIN, left - PREVIEW_AGAIN);
            }
            Some(Installed::Busy | Installed::Refused) | None => {}
        }
        return;
    }
    let warm = |pc, page| {
        let arrivals = drafts.arrivals(Drafts::code(pc, page));
        arrivals.is_some_and(|arrivals| arrivals >= options.threshold / options.warmth.max(1))
    };
    let ready = jit.request(pc, &hart.memory, warm);
    hart.state.look_again();
    drafts.set_countdown(code, if ready { 1 } else { LATER });
}
