//! Single instructions of every row with random operands, on both engines.

mod support;

use frontend::generate::{Bias, Random};
use frontend::*;
use fuzzing::generate::random_data;
use fuzzing::machine::{self, Engine};
use fuzzing::program::{CODE, DATA, DATA_LENGTH, Item, Program};
use fuzzing::scale;
use hart::HartState;
use support::{Compiled, Interpreter, Way};

/// Instructions executed in a full soak run.
const FULL: u64 = 10_000_000;
/// States in which each is executed.
const STATES: u64 = 100;

/// Instructions from one state, should it jump to itself.
const MOST: u64 = 1000;

/// Registers that are not free: the addresses of memory accesses are mostly good ones.
const BASE: X = X::X10;

fn state(random: &mut Random) -> HartState {
    let mut hart = HartState {
        pc: CODE,
        ..HartState::default()
    };
    for n in 1..32 {
        hart.x[n] = random.integer();
    }
    // An aligned address, one that crosses pages, or the last bytes before what is not mapped.
    let place = match random.below(4) {
        0 => random.below(DATA_LENGTH),
        1 => 0xff8 + random.below(16),
        2 => DATA_LENGTH - random.below(16),
        _ => random.below(DATA_LENGTH / 8) * 8,
    };
    hart.set(BASE, DATA + place);
    hart.f.fill_with(|| random.float());
    hart.fflags = if random.one_in(2) {
        random.below(32) as u32
    } else {
        0
    };
    // Once in a while a reserved mode.
    hart.frm = if random.one_in(20) {
        5
    } else {
        random.below(5) as u32
    };
    if random.one_in(4) {
        let (width, value) = if random.one_in(2) { (4, 0) } else { (8, 0) };
        hart.reservation = hart::Reservation {
            address: hart.x(BASE),
            value,
            width,
        };
    }
    hart
}

/// The instruction with a good address, if it has one at all.
fn with_base(insn: Insn) -> Insn {
    let op = insn.op();
    let access = op >= Op::Lb && op <= Op::Sd
        || op >= Op::LrW && op <= Op::AmomaxuD
        || matches!(op, Op::Flw | Op::Fsw | Op::Fld | Op::Fsd);
    if !access {
        return insn;
    }
    // rs1 is bits 19:15 in all of them.
    let word = insn.encode() & !(31 << 15) | u32::from(BASE.number()) << 15;
    (op.row().decode)(word).unwrap_or(insn)
}

#[test]
fn each_instruction_does_the_same_on_both_engines() {
    compare(Way::Compiled, FULL);
}

#[test]
fn each_instruction_does_the_same_as_a_draft() {
    compare(Way::Drafted, FULL);
}

fn compare(way: Way, full: u64) {
    let seed = scale::seed();
    let mut random = Random::new(seed);
    let bias = Bias::default();
    let mut executed = 0;
    let mut round = 0;
    while executed < scale::scaled(full) {
        for &op in Op::ALL {
            let insn = with_base(bias.instruction(op, &mut random));
            let items = vec![(0, Item::Plain(insn))];
            let data = random_data(&mut random);
            let program = Program {
                items,
                start: HartState::default(),
                data,
            };
            let spaces = [machine::load(&program), machine::load(&program)];
            let options = jit::Options {
                compute: Some(interp::compute),
                optimize: round % 2 == 0,
                // It is anywhere.
                stacks: false,
                ..jit::Options::default()
            };
            let mut interpreter = Interpreter::new(&spaces[0]);
            let mut compiled = Compiled::new(&spaces[1], way, options, 1);
            for _ in 0..STATES {
                let before = state(&mut random);
                let (mut a, mut b) = (before, before);
                // To the ebreak, or to wherever a jump leads: to a fault, most likely.
                let expected = interpreter.run(&mut a, MOST);
                if way == Way::Drafted && expected.is_none() {
                    // It goes on for ever, and drafts do not count.
                    continue;
                }
                let traps = [expected, compiled.run(&mut b, MOST)];
                if way == Way::Drafted {
                    b.instret = a.instret;
                }
                assert!(
                    a == b && traps[0] == traps[1],
                    "BHV_SEED={seed}: {insn:?}\n  before {before:x?}\n  interpreter {:x?} {a:x?}\n  \
                     compiled {:x?} {b:x?}",
                    traps[0],
                    traps[1],
                );
            }
            let data = |n: usize| {
                let mut data = vec![0; DATA_LENGTH as usize];
                spaces[n]
                    .read_bytes(DATA, &mut data)
                    .expect("the data is mapped");
                data
            };
            assert_eq!(data(0), data(1), "BHV_SEED={seed}: {insn:?} memory");
            executed += STATES;
        }
        round += 1;
    }
    println!("BHV_SEED={seed}: {executed} instructions");
}
