//! Every floating-point instruction, in every rounding mode, against Berkeley SoftFloat.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use frontend::generate::Random;
use fuzzing::float;
use hart::{Cause, HartState};
use interp::{Exit, Interp, Options};
use memory::{Place, Protection, Sharing, UserSpace};
use std::sync::atomic::AtomicU32;

const CODE: u64 = 0x1_0000;

/// Operand sets for each instruction and rounding mode in a full soak run.
const FULL: u64 = 1_000_000;

#[test]
fn interp_float_values_and_flags_are_those_of_softfloat() {
    let seed = fuzzing::scale::seed();
    let mem = UserSpace::reserve().unwrap();
    let rwx = Protection::READ_WRITE | Protection::EXECUTE;
    mem.map_anonymous(Place::Fixed(CODE), 0x1000, rwx, Sharing::Private, None)
        .unwrap();
    let never = AtomicU32::new(0);
    let instructions = float::instructions();
    assert_eq!(
        instructions.len(),
        2 * (4 + 4 + 1 + 4 + 4) * 6 + 2 * 6 + 2 * 6
    );

    for insn in instructions {
        let mut random = Random::new(seed);
        mem.store(CODE, insn.encode()).unwrap();
        mem.store(CODE + 4, 0x0010_0073_u32).unwrap(); // ebreak
        let mut interp = Interp::<UserSpace>::new(Options::default());
        for _ in 0..fuzzing::scale::scaled(FULL) {
            let before = HartState {
                pc: CODE,
                ..float::operands(&mut random)
            };
            let mut hart = before;
            let exit = interp.run(&mut hart, &mem, u64::MAX, &never);
            let expected = HartState {
                pc: CODE + 4,
                instret: 1,
                ..float::expected(insn, &before).unwrap()
            };
            assert!(
                matches!(exit, Exit::Trap(trap) if trap.cause == Cause::Breakpoint)
                    && hart == expected,
                "BHV_SEED={seed}: {insn:?}\n  before {before:x?}\n  got {exit:?} {hart:x?}\n  \
                 expected {expected:x?}",
            );
        }
    }
}

#[test]
fn interp_a_reserved_dynamic_rounding_mode_is_illegal() {
    let mem = UserSpace::reserve().unwrap();
    let rwx = Protection::READ_WRITE | Protection::EXECUTE;
    mem.map_anonymous(Place::Fixed(CODE), 0x1000, rwx, Sharing::Private, None)
        .unwrap();
    for insn in float::instructions() {
        mem.store(CODE, insn.encode()).unwrap();
        for frm in 5..8 {
            let before = HartState {
                pc: CODE,
                frm,
                ..HartState::default()
            };
            let mut hart = before;
            let exit = Interp::<UserSpace>::new(Options::default()).step(&mut hart, &mem);
            if insn.rm() == Some(frontend::Rm::Dyn) {
                let trap = hart::Trap::new(Cause::IllegalInstruction, u64::from(insn.encode()));
                assert_eq!((exit, hart), (Exit::Trap(trap), before), "{insn:?}");
            } else {
                assert_eq!(exit, Exit::Limit, "{insn:?}");
            }
        }
    }
}
