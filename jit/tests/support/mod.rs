//! Runs a program on compiled code alone and on the interpreter, and compares.

#![allow(dead_code, reason = "each test file uses some of it")]

use frontend::{B, I, Insn, J, R, S, X};
use hart::{HartState, Trap};
use interp::Interp;
use jit::{Exit, Jit, Options, Request};
use memory::{Place, Protection, Sharing, UserSpace};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Where programs are.
pub const CODE: u64 = 0x1_0000;
/// Where their data is.
pub const DATA: u64 = 0x10_0000;
/// Bytes of it.
pub const DATA_SIZE: u64 = 0x1_0000;
/// The highest address of the stack.
pub const STACK: u64 = 0x20_0000;

/// How a run ended, with everything that it left.
#[derive(PartialEq, Debug)]
pub struct Outcome {
    pub trap: Option<Trap>,
    pub state: HartState,
    pub data: Vec<u8>,
}

/// Options for tests: everything at once and checked.
pub fn options(counting: bool) -> Options {
    Options {
        counting,
        background: false,
        joining: 0,
        verify: true,
        code_bytes: 32 << 20,
        ..Options::default()
    }
}

/// The program's bytes.
pub fn assemble(program: &[Insn]) -> Vec<u8> {
    program
        .iter()
        .flat_map(|insn| insn.encode().to_le_bytes())
        .collect()
}

/// An address space with code, data and stack.
pub fn space(code: &[u8]) -> Arc<UserSpace> {
    let space = UserSpace::reserve().unwrap();
    let map = |at: u64, length: u64, protection| {
        space
            .map_anonymous(Place::Fixed(at), length, protection, Sharing::Private, None)
            .unwrap();
    };
    let all = Protection::READ_WRITE | Protection::EXECUTE;
    map(CODE, (code.len() as u64).max(1).next_multiple_of(4096), all);
    map(DATA, DATA_SIZE, Protection::READ_WRITE);
    map(STACK - 0x1_0000, 0x1_0000, Protection::READ_WRITE);
    space.write_bytes(CODE, code).unwrap();
    for at in (0..DATA_SIZE).step_by(8) {
        space
            .store::<u64>(DATA + at, at.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .unwrap();
    }
    Arc::new(space)
}

/// A state at the program's start.
pub fn start() -> HartState {
    let mut state = HartState {
        pc: CODE,
        ..HartState::default()
    };
    // Far enough from both ends for compiled code to rely on it, see jit/src/stacks.rs.
    state.x[2] = STACK - 4096;
    state.x[10] = DATA;
    state
}

fn outcome(trap: Option<Trap>, state: HartState, space: &UserSpace) -> Outcome {
    let mut data = vec![0; DATA_SIZE as usize];
    space.read_bytes(DATA, &mut data).unwrap();
    Outcome { trap, state, data }
}

/// Interprets until a trap or until `limit` instructions have retired.
pub fn interpret(code: &[u8], start: &HartState, limit: u64) -> Outcome {
    let space = space(code);
    let mut state = *start;
    let mut interp = Interp::new(interp::Options::default());
    let poll = AtomicU32::new(0);
    let trap = loop {
        match interp.run(&mut state, &*space, limit, &poll) {
            interp::Exit::Trap(trap) => break Some(trap),
            interp::Exit::Limit => break None,
            interp::Exit::FenceI => interp.clear(),
            other => unreachable!("{other:?} was not asked for"),
        }
    };
    outcome(trap, state, &space)
}

/// Compiles everything before it runs; interprets what compiled code leaves to the interpreter.
pub fn compiled(code: &[u8], start: &HartState, limit: u64, options: Options) -> Outcome {
    compiled_by(code, start, limit, options).1
}

/// The same, with the compiler.
pub fn compiled_by(
    code: &[u8],
    start: &HartState,
    limit: u64,
    options: Options,
) -> (Arc<Jit>, Outcome) {
    let space = space(code);
    let options = Options {
        compute: Some(interp::compute),
        ..options
    };
    let jit = Jit::new(options, space.clone()).unwrap();
    let mut hart = jit.hart();
    *hart.state_mut() = *start;
    let mut interp = Interp::new(interp::Options::default());
    let trap = loop {
        let single = match hart.run(limit) {
            Exit::Trap(trap) => break Some(trap),
            Exit::Limit if hart.state().instret >= limit => break None,
            Exit::Missing => match jit.request(hart.state().pc) {
                Request::Ready => false,
                Request::Queued | Request::Later(_) | Request::Refused | Request::Kept(_) => true,
            },
            Exit::Limit | Exit::Interpret | Exit::Hot | Exit::Rounding => true,
            Exit::Replay => {
                let poll = AtomicU32::new(0);
                match interp.run(hart.state_mut(), &*space, limit, &poll) {
                    interp::Exit::Trap(trap) => break Some(trap),
                    interp::Exit::Limit => break None,
                    exit => panic!("the fault does not come again but {exit:?}"),
                }
            }
            Exit::FenceI => {
                jit.invalidate(&space.stale_since(0).1);
                false
            }
            Exit::Poll => unreachable!("nobody polls"),
        };
        if single && let interp::Exit::Trap(trap) = interp.step(hart.state_mut(), &*space) {
            break Some(trap);
        }
    };
    let outcome = outcome(trap, *hart.state(), &space);
    (jit, outcome)
}

/// Both engines must do the same; what they did is returned.
pub fn check(program: &[Insn], start: &HartState) -> Outcome {
    check_bytes(&assemble(program), start, 1_000_000)
}

/// The same for bytes.
pub fn check_bytes(code: &[u8], start: &HartState, limit: u64) -> Outcome {
    let expected = interpret(code, start, limit);
    for counting in [true, false] {
        if !counting && expected.trap.is_none() {
            // Without counting nothing would stop it.
            continue;
        }
        let mut found = compiled(code, start, limit, options(counting));
        if !counting {
            found.state.instret = expected.state.instret;
        }
        compare(&expected, &found, counting);
    }
    expected
}

fn compare(expected: &Outcome, found: &Outcome, counting: bool) {
    if expected == found {
        return;
    }
    let mut report = format!("counting: {counting}\n");
    if expected.trap != found.trap {
        report += &format!("trap: {:x?} but {:x?}\n", expected.trap, found.trap);
    }
    for n in 0..32 {
        let (a, b) = (expected.state.x[n], found.state.x[n]);
        if a != b {
            report += &format!("x{n}: {a:#x} but {b:#x}\n");
        }
        let (a, b) = (expected.state.f[n], found.state.f[n]);
        if a != b {
            report += &format!("f{n}: {a:#x} but {b:#x}\n");
        }
    }
    let rest = |state: &HartState| {
        format!(
            "pc {:#x} instret {} fflags {:#x} frm {} {:?}",
            state.pc, state.instret, state.fflags, state.frm, state.reservation
        )
    };
    report += &format!("{}\n{}\n", rest(&expected.state), rest(&found.state));
    if let Some(at) = (0..expected.data.len()).find(|&at| expected.data[at] != found.data[at]) {
        report += &format!("data differ at {:#x}\n", DATA + at as u64);
    }
    panic!("expected, but found:\n{report}");
}

/// Register number `n`.
pub fn x(n: u8) -> X {
    X::new(n)
}

/// `addi rd, rs1, imm`.
pub fn addi(rd: u8, rs1: u8, imm: i32) -> Insn {
    Insn::Addi(I {
        rd: x(rd),
        rs1: x(rs1),
        imm,
    })
}

/// `add rd, rs1, rs2`.
pub fn add(rd: u8, rs1: u8, rs2: u8) -> Insn {
    Insn::Add(R {
        rd: x(rd),
        rs1: x(rs1),
        rs2: x(rs2),
    })
}

/// `ld rd, imm(rs1)`.
pub fn ld(rd: u8, rs1: u8, imm: i32) -> Insn {
    Insn::Ld(I {
        rd: x(rd),
        rs1: x(rs1),
        imm,
    })
}

/// `sd rs2, imm(rs1)`.
pub fn sd(rs2: u8, rs1: u8, imm: i32) -> Insn {
    Insn::Sd(S {
        rs1: x(rs1),
        rs2: x(rs2),
        imm,
    })
}

/// `jal x0, imm`.
pub fn jump(imm: i32) -> Insn {
    Insn::Jal(J { rd: X::ZERO, imm })
}

/// `bne rs1, rs2, imm`.
pub fn bne(rs1: u8, rs2: u8, imm: i32) -> Insn {
    Insn::Bne(B {
        rs1: x(rs1),
        rs2: x(rs2),
        imm,
    })
}
