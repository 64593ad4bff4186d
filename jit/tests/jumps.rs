//! Computed jumps that stay in a region: a small interpreter, whose handlers are found one by one and
//! become one region.

mod support;

use frontend::*;
use support::*;

/// Where the handlers begin, behind the start; and how far they are from each other.
const FIRST: i32 = 8 * 4;
const APART: i32 = 11 * 4;
/// Bytes of bytecode, each a handler's number.
const LENGTH: i32 = 1500;

/// An interpreter with so many handlers, each with a dispatch of its own. A handler stores, changes
/// three registers of which two are its own business, and goes on. The last one ends it all.
fn interpreter(handlers: i32) -> Vec<Insn> {
    let rrr = |rd: u8, rs1: u8, rs2: u8| R {
        rd: x(rd),
        rs1: x(rs1),
        rs2: x(rs2),
    };
    // x10 is the bytecode, x6 the present byte's address, x7 the handlers' and x9 their distance.
    let dispatch = [
        Insn::Lbu(I {
            rd: x(8),
            rs1: x(6),
            imm: 0,
        }),
        Insn::Mul(rrr(8, 8, 9)),
        add(8, 8, 7),
        Insn::Jalr(I {
            rd: X::ZERO,
            rs1: x(8),
            imm: 0,
        }),
    ];
    let mut program = vec![
        add(6, 10, 0),
        Insn::Auipc(U { rd: x(7), imm: 0 }),
        addi(7, 7, FIRST - 4),
        addi(9, 0, APART),
    ];
    program.extend(dispatch);
    for handler in 0..handlers - 1 {
        let (own, other) = (16 + handler as u8 % 14, 16 + (handler as u8 + 5) % 14);
        program.extend([
            addi(6, 6, 1),
            Insn::Mul(rrr(11, 11, 9)),
            addi(own, other, handler + 1),
            add(11, 11, own),
            sd(11, 10, 2040),
            addi(12, 12, 1),
            addi(13, 11, handler),
        ]);
        program.extend(dispatch);
    }
    program.push(Insn::Ebreak(None0));
    program
}

/// Writes the bytecode into the data, then interprets it: byte n is n * n % (handlers - 1), the last
/// is the last handler.
fn program(handlers: i32) -> Vec<Insn> {
    let rrr = |rd: u8, rs1: u8, rs2: u8| R {
        rd: x(rd),
        rs1: x(rs1),
        rs2: x(rs2),
    };
    let byte = |rs2: u8, rs1: u8| {
        Insn::Sb(S {
            rs1: x(rs1),
            rs2: x(rs2),
            imm: 0,
        })
    };
    let mut program = vec![
        addi(14, 0, handlers - 1),
        addi(15, 0, LENGTH),
        addi(8, 0, 0),
        add(6, 10, 0),
        // The loop.
        Insn::Mul(rrr(7, 8, 8)),
        Insn::Remu(rrr(7, 7, 14)),
        byte(7, 6),
        addi(6, 6, 1),
        addi(8, 8, 1),
        bne(8, 15, -20),
        byte(14, 6),
    ];
    program.extend(interpreter(handlers));
    program
}

fn run(handlers: i32) {
    let outcome = check(&program(handlers), &start());
    assert!(outcome.trap.is_some(), "the last handler ends it");
    assert_eq!(
        outcome.state.x[12], LENGTH as u64,
        "each byte is one handler"
    );
}

#[test]
fn few_handlers_are_told_apart_one_after_the_other() {
    run(5);
}

#[test]
fn many_handlers_are_told_apart_by_a_table() {
    run(40);
}

#[test]
fn every_limit_is_exact_in_a_region_with_computed_jumps() {
    let code = assemble(&program(4));
    let first = 4 + 6 * LENGTH as u64;
    for limit in first..first + 100 {
        check_bytes(&code, &start(), 2000 + limit);
    }
}

#[test]
fn handlers_become_one_region() {
    let code = assemble(&program(12));
    let (jit, outcome) = compiled_by(&code, &start(), 1_000_000, options(true));
    assert!(outcome.trap.is_some(), "the last handler ends it");
    let first = CODE + 4 * (11 + 8);
    let handler = |n: u64| first + n * APART as u64;
    let region = jit.region(handler(0)).expect("it is compiled");
    // The squares modulo 11.
    for n in [1, 3, 4, 5, 9] {
        assert_eq!(jit.region(handler(n)), Some(region), "handler {n}");
    }
}

/// Twelve jumps behind one load share its checkpoint, so that what one of them wrote is still in a
/// host register where they meet, and the others load it there. If it cannot be loaded, since it is
/// no boxed single, the next instruction is the one that they jump to.
#[test]
fn a_jump_that_cannot_stay_goes_where_it_leads_and_does_nothing_twice() {
    const JUMPS: i32 = 12;
    // Sizes in bytes: the dispatcher, a jump's block, a handler.
    let (dispatcher, block, handler) = (4 * (4 + 2 * JUMPS), 4 * 4, 4 * 2);
    let start_of_blocks = dispatcher;
    let handlers = start_of_blocks + block * JUMPS;
    // x7 is the dispatcher's address, x9 counts rounds, x14 their number.
    let mut program = vec![
        Insn::Auipc(U { rd: x(7), imm: 0 }),
        addi(14, 0, 400),
        addi(7, 7, 12),
        // The dispatcher: x8 is a number below 11.
        Insn::Lbu(I {
            rd: x(8),
            rs1: x(10),
            imm: 0,
        }),
        addi(9, 9, 1),
        Insn::Add(R {
            rd: x(8),
            rs1: x(9),
            rs2: x(8),
        }),
        Insn::Remu(R {
            rd: x(8),
            rs1: x(8),
            rs2: x(15),
        }),
    ];
    for n in 0..JUMPS {
        let here = 16 + 8 * n;
        program.push(addi(16, 0, n));
        program.push(Insn::Beq(B {
            rs1: x(8),
            rs2: x(16),
            imm: start_of_blocks + block * n - (here + 4),
        }));
    }
    for n in 0..JUMPS {
        // The one that is never reached writes a single.
        program.push(addi(12, 12, 1));
        program.push(match n {
            11 => Insn::FmvWX(XmvF {
                rd: F::new(10),
                rs1: x(12),
            }),
            _ => addi(13, 13, 1),
        });
        program.push(addi(17, 7, handlers + handler * n));
        program.push(Insn::Jalr(I {
            rd: X::ZERO,
            rs1: x(17),
            imm: 0,
        }));
    }
    for n in 0..JUMPS {
        let here = handlers + handler * n;
        program.push(Insn::Beq(B {
            rs1: x(9),
            rs2: x(14),
            imm: handlers + handler * JUMPS - here,
        }));
        program.push(jump(-(here + 4)));
    }
    program.push(Insn::Ebreak(None0));
    let mut start = start();
    start.x[15] = JUMPS as u64 - 1;
    start.f[10] = 1.5f64.to_bits();
    let outcome = check(&program, &start);
    assert_eq!(outcome.state.x[12], 400, "once a round");
}
