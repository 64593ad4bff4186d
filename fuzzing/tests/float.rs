//! Every floating-point instruction, in every rounding mode, compiled, against Berkeley SoftFloat.
//! The interpreter's like test is `interp/tests/float.rs`.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod support;

use frontend::generate::Random;
use fuzzing::machine::{self, Engine, LIMIT};
use fuzzing::program::{CODE, Item, Program};
use fuzzing::{float, scale};
use hart::{Cause, HartState};
use support::{Compiled, Way};

/// Operand sets for each instruction and rounding mode in a full soak run.
const FULL: u64 = 1_000_000;

#[test]
fn jit_float_values_and_flags_are_those_of_softfloat() {
    let seed = scale::seed();
    let sets = scale::scaled(FULL);
    for insn in float::instructions() {
        let items = vec![(0, Item::Plain(insn))];
        let program = Program {
            items,
            start: HartState::default(),
            data: Vec::new(),
        };
        let space = machine::load(&program);
        let options = jit::Options {
            // There is no stack.
            stacks: false,
            ..jit::Options::default()
        };
        let mut engine = Compiled::new(&space, Way::Compiled, options, 0);
        let mut random = Random::new(seed);
        for _ in 0..sets {
            let before = HartState {
                pc: CODE,
                ..float::operands(&mut random)
            };
            let mut hart = before;
            let trap = engine.run(&mut hart, LIMIT);
            let after = float::expected(insn, &before).expect("a floating-point instruction");
            let expected = HartState {
                pc: CODE + 4,
                instret: 1,
                ..after
            };
            assert!(
                trap.is_some_and(|trap| trap.cause == Cause::Breakpoint) && hart == expected,
                "BHV_SEED={seed}: {insn:?}\n  before {before:x?}\n  got {trap:?} {hart:x?}\n  \
                 expected {expected:x?}",
            );
        }
        assert!(engine.compiled_regions() > 0, "{insn:?} was compiled");
    }
}
