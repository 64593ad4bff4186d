//! Random programs on the tiers as `bhv run` uses them: code that gets hot is compiled in the
//! background, and a run is cut at exact counts. The interpreter alone says what must come out.
//!
//! The compiler by itself is tested like this in `fuzzing/tests/engines.rs`.

use baby_hypervisor::engine::EngineCpu;
use baby_hypervisor::{Engine, EngineKind, EngineOptions};
use frontend::generate::Random;
use fuzzing::generate::{self, Content};
use fuzzing::machine::{self, Outcome};
use fuzzing::program::Program;
use fuzzing::{scale, shrink};
use hart::{HartState, Trap};
use linux::{Cpu, Stop};
use std::io::Write;

/// Programs of a full soak run.
const FULL: u64 = 20_000;

/// A hart of the product, run in pieces.
struct Pieces {
    cpu: Box<EngineCpu>,
    random: Random,
}

impl machine::Engine for Pieces {
    fn run(&mut self, hart: &mut HartState, limit: u64) -> Option<Trap> {
        *self.cpu.state_mut() = *hart;
        let trap = loop {
            let retired = self.cpu.state().instret;
            if retired >= limit {
                break None;
            }
            let most = self.random.choose(&[1, 30, 1000, limit]);
            let piece = limit.min(retired + 1 + self.random.below(most));
            match self.cpu.run(Some(piece)) {
                Stop::Trap(trap) => break Some(trap),
                Stop::Limit => assert_eq!(self.cpu.state().instret, piece, "the count is exact"),
                Stop::Kicked => (),
            }
        };
        *hart = *self.cpu.state();
        trap
    }
}

fn outcome(program: &Program, kind: EngineKind, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut options = EngineOptions::new(kind, true);
    options.threshold = random.choose(&[1, 2, 5, 20]);
    options.jit.background = random.one_in(2);
    options.jit.code_bytes = 32 << 20;
    let space = machine::load(program);
    let engine = Engine::new(space.clone(), options).expect("an engine");
    machine::run(
        &mut Pieces {
            cpu: engine.cpu(),
            random,
        },
        &space,
        program,
    )
}

#[test]
fn random_programs_do_the_same_on_the_tiers_as_on_the_interpreter() {
    let first = scale::seed();
    let count = scale::scaled(FULL);
    // Not captured, so that a crash of the whole process leaves it behind.
    let _ = writeln!(
        std::io::stderr(),
        "tiers: BHV_SEED={first}, {count} programs"
    );
    for seed in first..first + count {
        let program = generate::program(Content::ALL, seed);
        let difference = |program: &Program| {
            let expected = outcome(program, EngineKind::Interp, seed);
            let got = outcome(program, EngineKind::Jit, seed);
            expected.difference(&got)
        };
        if difference(&program).is_some() {
            let shortest = shrink::shrink(&program, |program| difference(program).is_some());
            panic!(
                "BHV_SEED={seed} differs (interpreter and tiers)\n{}\n{}",
                shortest.listing(),
                difference(&shortest).unwrap_or_else(|| "not every time".into()),
            );
        }
    }
}
