//! One hart: runs compiled code where there is some, interprets the rest, and asks for what runs
//! often to be compiled.

use super::{Engine, EngineKind};
use crate::translations::Kept;
use frontend::block::Block;
use hart::HartState;
use interp::Interp;
use jit::{Heat, Installed, Jit, JitHart, Poll, Request};
use linux::{Cpu, Kick, Stop};
use memory::UserSpace;
use rustc_hash::FxHashSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Arrivals at a block between two looks whether its code has been compiled meanwhile.
const LOOK_AGAIN: u64 = 64;

/// The threshold is halved with every run that compiled something and kept it, since it will pay
/// in later runs too, but not below this.
const LEAST_THRESHOLD: u64 = 300;

/// The same of what runs as drafts until then, which saves less.
const LEAST_DRAFT_THRESHOLD: u64 = 12_000;

/// Instructions interpreted at a stretch to find the trap that compiled code ran into. It may be
/// gone, because another thread has mapped the page.
const REPLAY: u64 = 1 << 28;

/// Instructions interpreted at a stretch while frm is a mode that compiled code cannot do.
const STRETCH: u64 = 1 << 14;

/// Instructions after which a block without a control transfer counts as ended.
const LONGEST_BLOCK: usize = 256;

/// One hart of an [`Engine`].
pub struct EngineCpu {
    engine: Arc<Engine>,
    interp: Interp<UserSpace>,
    hart: Hart,
    poll: PollFlag,
    /// The code changes of the address space that this hart has seen.
    epoch: u64,
    /// What was kept of the program.
    kept: Option<Arc<Kept>>,
    /// Addresses for which it had nothing that fits.
    refused: FxHashSet<u64>,
    /// Executions of a block before the region around it is compiled.
    threshold: u64,
    /// Where the interpreter took over from compiled code last.
    lead: Option<u64>,
    /// How many instructions of its drafts the engine has been told of.
    drafted: u64,
}

/// Who owns the hart's state: compiled code works on it in place.
enum Hart {
    Compiled(JitHart),
    Interpreted(Box<HartState>),
}

impl Hart {
    fn state(&self) -> &HartState {
        match self {
            Hart::Compiled(hart) => hart.state(),
            Hart::Interpreted(state) => state,
        }
    }

    fn state_mut(&mut self) -> &mut HartState {
        match self {
            Hart::Compiled(hart) => hart.state_mut(),
            Hart::Interpreted(state) => state,
        }
    }
}

/// The flag that makes a running hart return.
#[derive(Clone)]
enum PollFlag {
    Compiled(Poll),
    Interpreted(Arc<AtomicU32>),
}

impl PollFlag {
    fn flag(&self) -> &AtomicU32 {
        match self {
            PollFlag::Compiled(poll) => poll.flag(),
            PollFlag::Interpreted(flag) => flag,
        }
    }
}

impl PollFlag {
    /// Takes a kick back.
    fn clear(&self) {
        match self {
            PollFlag::Compiled(poll) => poll.clear(),
            PollFlag::Interpreted(flag) => flag.store(0, Ordering::Relaxed),
        }
    }
}

impl Kick for PollFlag {
    fn kick(&self) {
        match self {
            PollFlag::Compiled(poll) => poll.set(),
            PollFlag::Interpreted(flag) => flag.store(1, Ordering::Release),
        }
    }
}

impl EngineCpu {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        let (hart, poll, threshold) = match &engine.jit {
            Some(jit) => {
                let hart = jit.hart();
                let poll = PollFlag::Compiled(hart.poll());
                (Hart::Compiled(hart), poll, engine.options.threshold)
            }
            None => {
                let flag = Arc::new(AtomicU32::new(0));
                (
                    Hart::Interpreted(Box::default()),
                    PollFlag::Interpreted(flag),
                    0,
                )
            }
        };
        let epoch = engine.space.stale_epoch();
        let options = interp::Options {
            threshold,
            clock: engine.clock,
        };
        let mut cpu = EngineCpu {
            engine,
            interp: Interp::new(options),
            hart,
            poll,
            epoch,
            kept: None,
            refused: FxHashSet::default(),
            threshold,
            lead: None,
            drafted: 0,
        };
        cpu.use_kept();
        cpu
    }

    /// Has what was kept of the program used as soon as it is reached.
    fn use_kept(&mut self) {
        self.kept = self.engine.kept();
        self.refused.clear();
        let kept = self.kept.clone();
        let runs = kept.as_ref().map_or(0, |kept| kept.runs());
        let least = match self.wants_drafts() {
            true => LEAST_DRAFT_THRESHOLD,
            false => LEAST_THRESHOLD,
        };
        let least = least.min(self.engine.options.threshold);
        self.threshold = (self.engine.options.threshold >> runs.min(32)).max(least);
        self.interp
            .set_early(kept.map(|kept| Arc::new(move |pc| kept.has(pc)) as _));
        self.interp.set_threshold(self.threshold);
        self.use_drafts();
    }

    /// Whether what is not compiled is to run as drafts.
    fn wants_drafts(&self) -> bool {
        let options = &self.engine.options;
        let whole = !options.jit.counting && !options.eager && !options.by_block;
        options.drafts && whole && jit::Drafts::EXIST
    }

    /// Has what is not compiled run as drafts, if that is wanted.
    fn use_drafts(&mut self) {
        let drafts = self.wants_drafts();
        if let (Hart::Compiled(hart), true) = (&mut self.hart, drafts) {
            let kept = self.kept.clone();
            let early = kept.map(|kept| Arc::new(move |pc| kept.has(pc)) as _);
            hart.use_drafts(self.threshold, early);
        }
    }

    /// Makes the block at `pc` report itself hot at the `arrivals`-th arrival from now; 0 for never.
    fn set_countdown(&mut self, pc: u64, arrivals: u64) {
        if let Hart::Compiled(hart) = &mut self.hart
            && let Some(drafts) = hart.drafts_mut()
        {
            return drafts.set_countdown(pc, arrivals);
        }
        self.interp.set_countdown(&self.engine.space, pc, arrivals);
    }

    /// The engine that this hart belongs to.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Drops what was derived from the code on these pages (numbers, not addresses): decoded
    /// blocks, compiled code. It changes nothing but speed, which tests make use of.
    pub fn forget(&mut self, pages: std::ops::Range<u64>) {
        self.interp.invalidate(pages.clone());
        let pages = pages.collect::<Vec<_>>();
        self.drop_drafts(&pages);
        if let Some(jit) = &self.engine.jit {
            jit.invalidate(&pages);
        }
    }

    fn drop_drafts(&mut self, pages: &[u64]) {
        if let Hart::Compiled(hart) = &mut self.hart {
            hart.invalidate_drafts(pages);
        }
    }

    /// Takes note of code that was unmapped or written since the last time, if any was.
    fn catch_up(&mut self) {
        if self.engine.space.stale_epoch() != self.epoch {
            self.drop_stale();
        }
    }

    /// What fence.i promises: code that was written since the last time is translated anew.
    fn drop_stale(&mut self) {
        self.engine.space.fence_code();
        let (epoch, pages) = self.engine.space.stale_since(self.epoch);
        self.epoch = epoch;
        self.interp.invalidate(pages.iter().copied());
        self.drop_drafts(&pages);
        if let Some(jit) = &self.engine.jit {
            jit.invalidate(&pages);
        }
    }

    /// Runs compiled code if there is any at `state.pc`; what is left to do otherwise.
    fn run_compiled(&mut self, limit: u64) -> Step {
        let Hart::Compiled(hart) = &mut self.hart else {
            return Step::Interpret;
        };
        match hart.run(limit) {
            jit::Exit::Missing if self.engine.options.eager => {
                let pc = hart.state().pc;
                match hart.jit().request(pc) {
                    Request::Ready => Step::Compiled,
                    _ => Step::Single,
                }
            }
            jit::Exit::Missing => {
                self.lead = Some(hart.state().pc);
                Step::Interpret
            }
            jit::Exit::Hot => {
                self.lead = hart.take_lead();
                Step::Hot
            }
            jit::Exit::Limit => Step::Finish,
            jit::Exit::Poll => Step::Poll,
            jit::Exit::Interpret => Step::Single,
            jit::Exit::FenceI => Step::FenceI,
            jit::Exit::Replay => Step::Replay,
            jit::Exit::Rounding => Step::Stretch,
            jit::Exit::Trap(trap) => Step::Stop(Stop::Trap(trap)),
        }
    }

    /// Interprets until `limit` or until something else has to be done.
    fn interpret(&mut self, limit: u64, until: Until) -> Step {
        let state = self.hart.state_mut();
        let before = state.instret;
        let space = &*self.engine.space;
        let exit = match until {
            Until::Hot => self.interp.run(state, space, limit, self.poll.flag()),
            Until::Limit => loop {
                match self.interp.run(state, space, limit, self.poll.flag()) {
                    interp::Exit::Hot => self.interp.set_countdown(space, state.pc, LOOK_AGAIN),
                    exit => break exit,
                }
            },
            Until::Next => self.interp.step(state, space),
        };
        let retired = state.instret.wrapping_sub(before);
        self.engine
            .interpreted
            .fetch_add(retired, Ordering::Relaxed);
        match exit {
            interp::Exit::Limit if until == Until::Next => Step::Compiled,
            interp::Exit::Limit => Step::Stop(Stop::Limit),
            interp::Exit::Poll => Step::Poll,
            interp::Exit::Hot => Step::Hot,
            interp::Exit::FenceI => Step::FenceI,
            // Not in user mode.
            interp::Exit::Attention | interp::Exit::Wait => Step::Interpret,
            interp::Exit::Trap(trap) => Step::Stop(Stop::Trap(trap)),
        }
    }

    /// The block at `state.pc` ran often: has it compiled, or if it is, runs it.
    fn hot(&mut self) -> Step {
        let pc = self.hart.state().pc;
        let (arrivals, compiled) = self.hot_at(pc);
        self.set_countdown(pc, arrivals);
        match &self.hart {
            Hart::Compiled(hart) if compiled || hart.drafts().is_some() => Step::Compiled,
            _ => Step::Interpret,
        }
    }

    /// The same of `pc`: after how many arrivals it is hot again, 0 for never, and whether there is code.
    fn hot_at(&mut self, pc: u64) -> (u64, bool) {
        let Some(jit) = self.engine.jit.clone() else {
            return (0, false);
        };
        if let Hart::Compiled(hart) = &mut self.hart
            && hart.is_compiled(pc)
        {
            self.lead_in(pc);
            return (1, true);
        }
        match self.install_at(&jit, pc) {
            Some(Installed::Ready) => return (1, true),
            Some(Installed::Busy) => return (LOOK_AGAIN, false),
            Some(Installed::Refused) => return (self.threshold, false),
            None => {}
        }
        match self.request(&jit, pc) {
            Request::Ready => (1, true),
            Request::Queued => (LOOK_AGAIN, false),
            Request::Later(arrivals) => (arrivals.max(2).into(), false),
            Request::Refused | Request::Kept(_) => (0, false),
        }
    }
}

impl EngineCpu {
    /// Uses code that was kept of what begins at `pc`. `None` if there is none that has not been
    /// tried before.
    fn install_at(&mut self, jit: &Jit, pc: u64) -> Option<Installed> {
        let kept = self.kept.as_ref().filter(|kept| kept.has(pc))?;
        let installed = kept.install(pc, |portable| jit.install(portable));
        // What was refused counts as what was never kept; this is the first arrival there.
        (installed != Installed::Refused || self.refused.insert(pc)).then_some(installed)
    }

    /// Asks for code at `pc`; what was kept of the code that it leads to comes first.
    fn request(&self, jit: &Jit, pc: u64) -> Request {
        loop {
            let request = self.with_heat(|heat| jit.request_hot(pc, heat));
            match (request, &self.kept) {
                (Request::Kept(at), Some(kept)) => {
                    if kept.install(at, |portable| jit.install(portable)) == Installed::Busy {
                        return Request::Queued;
                    }
                }
                (request, _) => return request,
            }
        }
    }

    /// The interpreter has come to code at `pc`. If that has run long, has it compiled together with
    /// what led there.
    fn lead_in(&mut self, pc: u64) {
        let (Some(lead), Some(jit)) = (self.lead.take(), self.engine.jit.clone()) else {
            return;
        };
        let Hart::Compiled(hart) = &mut self.hart else {
            return;
        };
        let Some(function) = hart.ran_long(pc) else {
            return;
        };
        if self.with_heat(|heat| jit.lead_in(lead, pc, heat)) {
            self.set_countdown(lead, LOOK_AGAIN);
            if let Hart::Compiled(hart) = &mut self.hart {
                hart.forget_spent(function);
            }
        }
    }

    /// Calls the compiler with what is known of how often code runs.
    fn with_heat<T>(&self, ask: impl FnOnce(&Heat<'_>) -> T) -> T {
        let space = &*self.engine.space;
        let drafts = match &self.hart {
            Hart::Compiled(hart) => hart.drafts(),
            Hart::Interpreted(_) => None,
        };
        let countdown = |pc: u64| {
            let page = hart::Memory::code_page(space, pc).ok()?;
            self.interp.countdown(page, pc)
        };
        let arrivals = |pc: u64| match drafts {
            Some(drafts) => drafts.arrivals(pc),
            None => self.threshold.checked_sub(countdown(pc)?),
        };
        let ran = |pc: u64| match drafts {
            Some(drafts) => drafts.arrivals(pc).is_some_and(|arrivals| arrivals > 0),
            None => countdown(pc).is_some(),
        };
        let spent = |function: u64| match &self.hart {
            Hart::Compiled(hart) => hart.spent_on(function),
            Hart::Interpreted(_) => 0,
        };
        ask(&Heat {
            arrivals: &arrivals,
            ran: &ran,
            spent: &spent,
        })
    }
}

/// What a hart does next.
enum Step {
    /// Enter compiled code.
    Compiled,
    /// Interpret until something is hot.
    Interpret,
    /// Interpret up to the limit, however hot it is.
    Finish,
    /// Interpret one instruction.
    Single,
    /// Interpret up to the trap that compiled code ran into, however hot it is.
    Replay,
    /// Interpret for a while, however hot it is.
    Stretch,
    /// The block at `state.pc` is hot.
    Hot,
    /// Somebody set the poll flag.
    Poll,
    /// fence.i has retired.
    FenceI,
    /// Nothing.
    Stop(Stop),
}

/// How far to interpret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Hot,
    Limit,
    Next,
}

impl Cpu for EngineCpu {
    fn state(&self) -> &HartState {
        self.hart.state()
    }

    fn state_mut(&mut self) -> &mut HartState {
        self.hart.state_mut()
    }

    fn run(&mut self, limit: Option<u64>) -> Stop {
        let limit = limit.unwrap_or(u64::MAX);
        self.catch_up();
        let stop = self.run_or_block(limit);
        self.count_drafted();
        stop
    }

    fn kicker(&self) -> Arc<dyn Kick> {
        Arc::new(self.poll.clone())
    }

    fn new_thread(&self) -> Box<dyn Cpu> {
        self.engine.cpu()
    }

    fn code_changed(&mut self) {
        self.drop_stale();
    }

    fn program_starts(&mut self, program: &File) {
        self.engine.look_up(program);
        self.interp.clear();
        self.use_kept();
    }

    fn program_ends(&mut self) {
        self.engine.keep();
    }

    fn fork(&mut self, fork: &mut dyn FnMut() -> bool) -> bool {
        // Held, so that the child does not find it taken by a thread that it has not got.
        let kept = self.engine.lock_kept();
        let is_child = match &self.engine.jit {
            Some(jit) => jit.fork(fork, |&child| child),
            None => fork(),
        };
        drop(kept);
        if let (true, Hart::Compiled(hart)) = (is_child, &mut self.hart) {
            hart.forget_others();
            self.use_drafts();
        }
        is_child
    }
}

impl EngineCpu {
    fn run_or_block(&mut self, limit: u64) -> Stop {
        if self.engine.options.by_block {
            let end = self.hart.state().instret + self.block_length();
            return match self.run_to(limit.min(end)) {
                Stop::Limit if end < limit => Stop::Kicked,
                stop => stop,
            };
        }
        self.run_to(limit)
    }

    /// Tells the engine what has been drafted since the last time.
    fn count_drafted(&mut self) {
        if let Hart::Compiled(hart) = &self.hart
            && let Some(drafts) = hart.drafts()
        {
            let new = drafts.instructions.saturating_sub(self.drafted);
            self.drafted = drafts.instructions;
            if new > 0 {
                self.engine.drafted.fetch_add(new, Ordering::Relaxed);
            }
        }
    }

    /// Runs until `instret` is `limit` or something else stops it.
    fn run_to(&mut self, limit: u64) -> Stop {
        let mut step = match self.engine.options.kind {
            EngineKind::Jit => Step::Compiled,
            EngineKind::Interp => Step::Interpret,
        };
        loop {
            step = match step {
                _ if self.hart.state().instret >= limit => return Stop::Limit,
                Step::Compiled => self.run_compiled(limit),
                Step::Interpret => self.interpret(limit, Until::Hot),
                Step::Finish => self.interpret(limit, Until::Limit),
                Step::Single => self.interpret(limit, Until::Next),
                Step::Replay | Step::Stretch => {
                    let length = if matches!(step, Step::Replay) {
                        REPLAY
                    } else {
                        STRETCH
                    };
                    let most = self.hart.state().instret.saturating_add(length);
                    match self.interpret(limit.min(most), Until::Limit) {
                        Step::Stop(Stop::Limit) => Step::Compiled,
                        step => step,
                    }
                }
                Step::Hot => self.hot(),
                Step::FenceI => {
                    self.drop_stale();
                    Step::Compiled
                }
                Step::Poll => {
                    self.poll.clear();
                    return Stop::Kicked;
                }
                Step::Stop(stop) => return stop,
            }
        }
    }

    /// Instructions in the block at `state.pc`, at least 1.
    fn block_length(&self) -> u64 {
        let fetch = |va| self.engine.space.fetch(va);
        let block = Block::decode(self.hart.state().pc, LONGEST_BLOCK, |_| false, fetch);
        block.insns.len().max(1) as u64
    }
}
