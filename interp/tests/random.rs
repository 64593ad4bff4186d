//! Random programs: blocks and handlers against single steps, and runs cut into pieces against
//! whole ones.

use frontend::generate::Random;
use fuzzing::generate::{self, Content};
use fuzzing::machine::{self, Engine, Outcome};
use fuzzing::program::Program;
use fuzzing::{scale, shrink};
use hart::{HartState, Trap};
use interp::{Exit, Interp, Options};
use memory::UserSpace;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

static NEVER: AtomicU32 = AtomicU32::new(0);

/// The interpreter, run in the way under test.
struct Machine<'a> {
    interp: Interp<UserSpace>,
    space: Arc<UserSpace>,
    epoch: u64,
    way: Way<'a>,
}

enum Way<'a> {
    /// From trap to trap.
    Whole,
    /// Instruction by instruction.
    Steps,
    /// In pieces of random length, sometimes polled, blocks sometimes reported as hot, code
    /// sometimes dropped.
    Pieces(&'a mut Random),
}

impl Engine for Machine<'_> {
    fn run(&mut self, hart: &mut HartState, limit: u64) -> Option<Trap> {
        while hart.instret < limit {
            match self.piece(hart, limit) {
                Exit::Attention | Exit::Wait => unreachable!("user mode"),
                Exit::Trap(trap) => return Some(trap),
                Exit::FenceI => self.drop_stale(),
                Exit::Limit | Exit::Poll | Exit::Hot => (),
            }
        }
        None
    }
}

impl Machine<'_> {
    fn piece(&mut self, hart: &mut HartState, limit: u64) -> Exit {
        let (interp, space) = (&mut self.interp, &*self.space);
        let random = match &mut self.way {
            Way::Whole => return interp.run(hart, space, limit, &NEVER),
            Way::Steps => return interp.step(hart, space),
            Way::Pieces(random) => random,
        };
        if random.one_in(50) {
            interp.clear();
        }
        if random.one_in(20) {
            interp.invalidate([hart.pc >> memory::PAGE_BITS]);
        }
        if random.one_in(4) {
            interp.set_countdown(space, hart.pc, random.below(3));
        }
        let most = random.choose(&[1, 2, 10, 300]);
        let limit = limit.min(hart.instret + 1 + random.below(most));
        let poll = AtomicU32::new(u32::from(random.one_in(10)));
        let before = *hart;
        let exit = interp.run(hart, space, limit, &poll);
        match exit {
            Exit::Limit => assert_eq!(hart.instret, limit, "a limit is met exactly"),
            Exit::Poll => assert_eq!((*hart, poll.load(Ordering::Relaxed)), (before, 1)),
            _ => assert!(hart.instret <= limit),
        }
        exit
    }

    fn drop_stale(&mut self) {
        let (epoch, pages) = self.space.stale_since(self.epoch);
        self.epoch = epoch;
        self.interp.invalidate(pages);
    }
}

fn outcome(program: &Program, way: Way<'_>) -> Outcome {
    let space = machine::load(program);
    let interp = Interp::new(Options::default());
    let epoch = space.stale_epoch();
    let mut engine = Machine {
        interp,
        space: space.clone(),
        epoch,
        way,
    };
    machine::run(&mut engine, &space, program)
}

/// Compares two ways over random programs; reports the shortest program on which they differ.
fn compare(name: &str, other: impl Fn(&Program, u64) -> Outcome) {
    let first = scale::seed();
    let mut retired = 0;
    for seed in first..first + scale::scaled(100_000) {
        let program = generate::program(Content::ALL, seed);
        let difference =
            |program: &Program| outcome(program, Way::Whole).difference(&other(program, seed));
        if difference(&program).is_some() {
            let shortest = shrink::shrink(&program, |program| difference(program).is_some());
            panic!(
                "{name}: BHV_SEED={seed} differs\n{}\n{}",
                shortest.listing(),
                difference(&shortest).unwrap_or_default(),
            );
        }
        retired += outcome(&program, Way::Whole).hart.instret;
    }
    println!("{name}: {retired} instructions");
}

#[test]
fn interp_blocks_do_what_single_steps_do() {
    compare("steps", |program, _| outcome(program, Way::Steps));
}

#[test]
fn interp_pieces_add_up_to_the_whole() {
    compare("pieces", |program, seed| {
        outcome(program, Way::Pieces(&mut Random::new(seed)))
    });
}
