//! Small integer programs on compiled code, compared with the interpreter.

mod support;

use frontend::*;
use hart::{Cause, Trap};
use support::*;

fn jal(rd: u8, imm: i32) -> Insn {
    Insn::Jal(J { rd: x(rd), imm })
}
fn jalr(rd: u8, rs1: u8, imm: i32) -> Insn {
    Insn::Jalr(I {
        rd: x(rd),
        rs1: x(rs1),
        imm,
    })
}
fn ecall() -> Insn {
    // The only word of its row.
    decode::decode(0x73).unwrap().insn
}

#[test]
fn a_loop_sums() {
    let program = [
        addi(5, 0, 100),
        addi(6, 0, 0),
        add(6, 6, 5),
        addi(5, 5, -1),
        bne(5, 0, -8),
        ecall(),
    ];
    let outcome = check(&program, &start());
    assert_eq!(outcome.state.x[6], 5050);
    assert_eq!(outcome.state.instret, 302);
    assert_eq!(outcome.trap, Some(Trap::new(Cause::EcallFromU, 0)));
}

#[test]
fn a_loop_copies_memory() {
    let program = [
        addi(5, 10, 0),
        addi(6, 10, 1024),
        addi(7, 0, 64),
        ld(8, 5, 0),
        sd(8, 6, 0),
        addi(5, 5, 8),
        addi(6, 6, 8),
        addi(7, 7, -1),
        bne(7, 0, -20),
        ecall(),
    ];
    let outcome = check(&program, &start());
    assert_eq!(outcome.data[1024..1024 + 512], outcome.data[..512]);
}

#[test]
fn a_fault_in_a_loop_is_precise() {
    // Walks off the end of the data.
    let program = [
        addi(5, 10, 0),
        addi(9, 0, 0),
        ld(8, 5, 0),
        add(9, 9, 8),
        addi(5, 5, 8),
        sd(9, 5, -8),
        jal(0, -16),
    ];
    let outcome = check(&program, &start());
    let trap = Trap::new(Cause::LoadPageFault, DATA + DATA_SIZE);
    assert_eq!(outcome.trap, Some(trap));
    assert_eq!(outcome.state.pc, CODE + 8);
}

#[test]
fn wild_addresses_fault_as_the_interpreter_says() {
    for address in [
        0,
        8,
        !0,
        1 << 63,
        memory::LIMIT,
        memory::LIMIT - 4,
        !0 << 38,
        STACK - 4,
        1 << 40,
    ] {
        let mut state = start();
        state.x[5] = address;
        for imm in [0, 4, -8, 2047, -2048] {
            check(&[addi(6, 0, 7), ld(7, 5, imm), ecall()], &state);
            check(&[addi(6, 0, 7), sd(6, 5, imm), ecall()], &state);
        }
    }
}

#[test]
fn calls_return_through_the_jump_cache() {
    // A function called twice, which doubles x6.
    let program = [
        addi(6, 0, 3),
        jal(1, 16),
        jal(1, 12),
        ecall(),
        ecall(),
        add(6, 6, 6),
        jalr(0, 1, 0),
    ];
    let outcome = check(&program, &start());
    assert_eq!(outcome.state.x[6], 12);
}

#[test]
fn a_short_branch_becomes_a_select() {
    // Counts the odd numbers among 1..=100.
    let program = [
        addi(5, 0, 100),
        addi(6, 0, 0),
        Insn::Andi(I {
            rd: x(7),
            rs1: x(5),
            imm: 1,
        }),
        Insn::Beq(B {
            rs1: x(7),
            rs2: x(0),
            imm: 12,
        }),
        addi(6, 6, 1),
        add(8, 8, 5),
        addi(5, 5, -1),
        bne(5, 0, -20),
        ecall(),
    ];
    let outcome = check(&program, &start());
    assert_eq!((outcome.state.x[6], outcome.state.x[8]), (50, 2500));
}

#[test]
fn every_limit_is_exact() {
    let program = [
        addi(5, 0, 20),
        addi(6, 10, 0),
        Insn::Andi(I {
            rd: x(7),
            rs1: x(5),
            imm: 1,
        }),
        Insn::Beq(B {
            rs1: x(7),
            rs2: x(0),
            imm: 8,
        }),
        addi(8, 8, 3),
        sd(8, 6, 0),
        addi(6, 6, 8),
        addi(5, 5, -1),
        bne(5, 0, -24),
        ecall(),
    ];
    let code = assemble(&program);
    for limit in 0..160 {
        check_bytes(&code, &start(), limit);
    }
}

#[test]
fn a_wild_stack_pointer_is_left_to_the_interpreter() {
    let mut state = start();
    state.x[2] = 1 << 60;
    check(
        &[addi(5, 2, 8), jal(0, 8), ecall(), addi(2, 0, 64), ecall()],
        &state,
    );
    check(
        &[addi(2, 0, -1), jal(0, 8), ecall(), ld(5, 2, 0), ecall()],
        &start(),
    );
}

#[test]
fn an_illegal_instruction_traps_where_it_is() {
    let mut code = assemble(&[addi(5, 0, 1), addi(5, 5, 1)]);
    code.extend([0; 8]);
    let outcome = check_bytes(&code, &start(), 100);
    assert_eq!(outcome.trap, Some(Trap::new(Cause::IllegalInstruction, 0)));
}
