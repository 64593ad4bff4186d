//! The two engines as machines for random programs.

#![allow(dead_code, reason = "each test file uses some of it")]

use frontend::generate::Random;
use fuzzing::machine::{self, Engine, LIMIT, Outcome};
use fuzzing::program::Program;
use hart::{HartState, Trap};
use interp::Interp;
use jit::{Jit, JitHart, Request};
use memory::UserSpace;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The interpreter alone.
pub struct Interpreter {
    interp: Interp<UserSpace>,
    space: Arc<UserSpace>,
    epoch: u64,
}

impl Interpreter {
    pub fn new(space: &Arc<UserSpace>) -> Interpreter {
        let epoch = space.stale_epoch();
        Interpreter {
            interp: Interp::new(interp::Options::default()),
            space: space.clone(),
            epoch,
        }
    }

    fn drop_stale(&mut self) -> Vec<u64> {
        self.space.fence_code();
        let (epoch, pages) = self.space.stale_since(self.epoch);
        self.epoch = epoch;
        self.interp.invalidate(pages.iter().copied());
        pages
    }
}

impl Engine for Interpreter {
    fn run(&mut self, hart: &mut HartState, limit: u64) -> Option<Trap> {
        let never = AtomicU32::new(0);
        while hart.instret < limit {
            match self.interp.run(hart, &*self.space, limit, &never) {
                interp::Exit::Trap(trap) => return Some(trap),
                interp::Exit::FenceI => drop(self.drop_stale()),
                interp::Exit::Limit | interp::Exit::Poll | interp::Exit::Hot => (),
                interp::Exit::Attention | interp::Exit::Wait => unreachable!("user mode"),
            }
        }
        None
    }
}

/// How compiled code is reached and left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Nearly everything is compiled before it runs.
    Compiled,
    /// Some of what is missing is interpreted for a while, so that code is entered in many places.
    Mixed,
    /// Also in pieces of random length, so that limits are met in many places.
    Pieces,
    /// Without counting: `instret` does not move.
    Uncounted,
    /// As drafts, and nothing is compiled.
    Drafted,
    /// As drafts until it is hot, which is soon.
    Tiers,
}

impl Way {
    /// Whether retired instructions are counted.
    fn counts(self) -> bool {
        match self {
            Way::Compiled | Way::Mixed | Way::Pieces => true,
            Way::Uncounted | Way::Drafted | Way::Tiers => false,
        }
    }
}

/// How many entries [`Way::Compiled`] asks for at once. Each may compile a whole region again.
const EAGER: u64 = 10;

/// Compiled code, and the interpreter for what that leaves to it.
pub struct Compiled {
    hart: JitHart,
    rest: Interpreter,
    random: Random,
    way: Way,
    /// How often code was missing.
    missing: u64,
    /// How many instructions were left to the interpreter.
    pub interpreted: u64,
    /// Stops code that runs away where nothing is counted.
    _watchdog: Option<Watchdog>,
}

impl Compiled {
    pub fn new(space: &Arc<UserSpace>, way: Way, options: jit::Options, seed: u64) -> Compiled {
        let counting = way.counts();
        let options = jit::Options {
            compute: Some(interp::compute),
            counting,
            background: false,
            // Slow, and nothing that depends on the program.
            verify: seed.is_multiple_of(16),
            code_bytes: 32 << 20,
            // Regions are joined at the first computed jump between them, or never.
            joining: if seed % 8 < 4 { 0 } else { u32::MAX / 4 },
            ..options
        };
        let mut hart = Jit::new(options, space.clone())
            .expect("a compiler for this host")
            .hart();
        match way {
            Way::Compiled | Way::Mixed | Way::Pieces | Way::Uncounted => {}
            Way::Drafted => hart.use_drafts(0, None),
            Way::Tiers => hart.use_drafts(1 + seed % 5, None),
        }
        let watchdog = (!counting).then(|| Watchdog::start(hart.poll()));
        let rest = Interpreter::new(space);
        Compiled {
            hart,
            rest,
            random: Random::new(seed),
            way,
            missing: 0,
            interpreted: 0,
            _watchdog: watchdog,
        }
    }

    /// How much there is that could have run.
    pub fn compiled_regions(&self) -> u64 {
        self.hart.jit().stats().regions
    }

    /// Runs up to a limit, which need not be the last; `None` if it is reached.
    fn piece(&mut self, limit: u64) -> Option<Trap> {
        loop {
            let exit = match self.hart.run(limit) {
                jit::Exit::Trap(trap) => return Some(trap),
                // The limit comes before what there is to do.
                _ if self.hart.state().instret >= limit => return None,
                jit::Exit::Poll => return None,
                jit::Exit::FenceI => interp::Exit::FenceI,
                jit::Exit::Limit | jit::Exit::Replay => self.interpret(limit),
                jit::Exit::Hot => {
                    self.hot();
                    continue;
                }
                jit::Exit::Interpret => self.step(),
                // Nothing that the compiler could do better.
                jit::Exit::Rounding => {
                    let exit = self.step();
                    self.interpreted -= 1;
                    exit
                }
                jit::Exit::Missing => {
                    self.missing += 1;
                    let few = self.way == Way::Compiled && self.missing < EAGER;
                    if few || self.random.one_in(4) {
                        let pc = self.hart.state().pc;
                        match self.hart.jit().request(pc) {
                            Request::Ready => continue,
                            _ => self.step(),
                        }
                    } else {
                        let most = if self.way == Way::Compiled { 4 } else { 30 };
                        let until = self.hart.state().instret + 1 + self.random.below(most);
                        self.interpret(until.min(limit))
                    }
                }
            };
            match exit {
                interp::Exit::Trap(trap) => return Some(trap),
                interp::Exit::FenceI => {
                    let pages = self.rest.drop_stale();
                    self.hart.jit().invalidate(&pages);
                    self.hart.invalidate_drafts(&pages);
                }
                interp::Exit::Limit | interp::Exit::Poll | interp::Exit::Hot => (),
                interp::Exit::Attention | interp::Exit::Wait => unreachable!("user mode"),
            }
            if self.hart.state().instret >= limit {
                return None;
            }
        }
    }

    /// The draft at pc is hot: has it compiled, or says when to ask again.
    fn hot(&mut self) {
        let pc = self.hart.state().pc;
        let ready = self.hart.is_compiled(pc) || self.hart.jit().request(pc) == Request::Ready;
        let arrivals = if ready { 1 } else { 1 + self.random.below(8) };
        if let Some(drafts) = self.hart.drafts_mut() {
            drafts.set_countdown(pc, arrivals);
        }
    }

    fn interpret(&mut self, limit: u64) -> interp::Exit {
        let never = AtomicU32::new(0);
        let state = self.hart.state_mut();
        let before = state.instret;
        let exit = self
            .rest
            .interp
            .run(state, &*self.rest.space, limit, &never);
        self.interpreted += state.instret - before;
        exit
    }

    fn step(&mut self) -> interp::Exit {
        self.interpreted += 1;
        self.rest
            .interp
            .step(self.hart.state_mut(), &*self.rest.space)
    }
}

impl Engine for Compiled {
    fn run(&mut self, hart: &mut HartState, limit: u64) -> Option<Trap> {
        *self.hart.state_mut() = *hart;
        let trap = loop {
            let next = match self.way {
                Way::Pieces => {
                    let most = self.random.choose(&[1, 5, 50, 500]);
                    limit.min(self.hart.state().instret + 1 + self.random.below(most))
                }
                _ => limit,
            };
            let trap = self.piece(next);
            let retired = self.hart.state().instret;
            assert!(
                retired <= next,
                "ran to {retired}, beyond the limit of {next}"
            );
            if trap.is_some() || retired >= limit || !self.way.counts() {
                break trap;
            }
        };
        *hart = *self.hart.state();
        trap
    }
}

/// Sets a poll flag if it is not dropped in time.
struct Watchdog(Arc<AtomicU32>);

impl Watchdog {
    fn start(poll: jit::Poll) -> Watchdog {
        let done = Arc::new(AtomicU32::new(0));
        let seen = done.clone();
        std::thread::spawn(move || {
            for _ in 0..200 {
                std::thread::sleep(Duration::from_millis(50));
                if seen.load(Ordering::Relaxed) != 0 {
                    return;
                }
            }
            poll.set();
        });
        Watchdog(done)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Relaxed);
    }
}

/// What the interpreter makes of a program.
pub fn interpreted(program: &Program) -> Outcome {
    let space = machine::load(program);
    machine::run(&mut Interpreter::new(&space), &space, program)
}

/// What compiled code makes of it, and how many instructions were left to the interpreter.
pub fn compiled(program: &Program, way: Way, options: jit::Options, seed: u64) -> (Outcome, u64) {
    let space = machine::load(program);
    let mut engine = Compiled::new(&space, way, options, seed);
    let outcome = machine::run(&mut engine, &space, program);
    (outcome, engine.interpreted)
}

/// A program's run on both engines.
pub struct Comparison {
    /// What they disagree on; `None` if nothing, or if the program does not end.
    pub difference: Option<String>,
    /// Instructions retired.
    pub retired: u64,
    /// Those of them that compiled code left to the interpreter.
    pub interpreted: u64,
}

/// Runs a program on both engines.
pub fn compare(program: &Program, way: Way, options: &jit::Options, seed: u64) -> Comparison {
    let mut expected = interpreted(program);
    let retired = expected.hart.instret;
    if retired >= LIMIT {
        return Comparison {
            difference: None,
            retired,
            interpreted: retired,
        };
    }
    let (mut got, interpreted) = compiled(program, way, options.clone(), seed);
    if !way.counts() {
        for outcome in [&mut expected, &mut got] {
            outcome.hart.instret = 0;
            outcome
                .traps
                .iter_mut()
                .for_each(|(_, instret, _)| *instret = 0);
        }
    }
    Comparison {
        difference: expected.difference(&got),
        retired,
        interpreted,
    }
}

/// What the two engines disagree on.
pub fn difference(
    program: &Program,
    way: Way,
    options: &jit::Options,
    seed: u64,
) -> Option<String> {
    compare(program, way, options, seed).difference
}
