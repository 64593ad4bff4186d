//! Calls that stay in a region: functions that are found one by one become one region with those that
//! call them, and returns find out where to.

mod support;

use frontend::*;
use support::*;

/// `jal ra` to an address so many bytes from it.
fn call(imm: i32) -> Insn {
    Insn::Jal(J { rd: X::RA, imm })
}

/// `jalr rd, imm(rs1)`.
fn jalr(rd: u8, rs1: u8, imm: i32) -> Insn {
    Insn::Jalr(I {
        rd: x(rd),
        rs1: x(rs1),
        imm,
    })
}

fn ret() -> Insn {
    jalr(0, 1, 0)
}

/// Puts the address `bytes` behind this instruction into a register.
fn address(rd: u8, bytes: i32) -> [Insn; 2] {
    [Insn::Auipc(U { rd: x(rd), imm: 0 }), addi(rd, rd, bytes)]
}

/// The Fibonacci number of x12 into x13, by a function that calls itself; x14 counts its calls. It
/// keeps ra and two registers on a stack in the data, as compilers do.
fn fibonacci(n: i32) -> Vec<Insn> {
    let push = |rs2: u8, imm: i32| sd(rs2, 8, imm);
    let pop = |rd: u8, imm: i32| ld(rd, 8, imm);
    vec![
        addi(8, 10, 2040),
        addi(12, 0, n),
        addi(14, 0, 0),
        call(8),
        Insn::Ebreak(None0),
        // The function.
        addi(14, 14, 1),
        addi(16, 0, 2),
        Insn::Bge(B {
            rs1: x(12),
            rs2: x(16),
            imm: 12,
        }),
        addi(13, 12, 0),
        ret(),
        addi(8, 8, -24),
        push(1, 0),
        push(12, 8),
        addi(12, 12, -1),
        call(-36),
        pop(12, 8),
        push(13, 16),
        addi(12, 12, -2),
        call(-52),
        pop(16, 16),
        add(13, 13, 16),
        pop(1, 0),
        addi(8, 8, 24),
        ret(),
    ]
}

#[test]
fn a_function_that_calls_itself() {
    let outcome = check(&fibonacci(12), &start());
    assert!(outcome.trap.is_some());
    assert_eq!((outcome.state.x[13], outcome.state.x[14]), (144, 465));
}

#[test]
fn every_limit_is_exact_in_a_function_that_calls_itself() {
    let code = assemble(&fibonacci(6));
    for limit in 1..260 {
        check_bytes(&code, &start(), limit);
    }
}

#[test]
fn a_stack_that_runs_into_memory_that_is_not_there_faults_where_it_should() {
    let mut program = fibonacci(1000);
    program[0] = addi(8, 10, 160);
    let outcome = check(&program, &start());
    let trap = outcome.trap.expect("the stack is too small");
    assert!(outcome.state.x[14] > 3, "{trap:?}");
}

/// A loop that calls `functions` small ones in turn, and `sites` times the first of them.
fn many(functions: i32, sites: i32) -> Vec<Insn> {
    let body = functions + sites;
    let mut program = vec![addi(12, 0, 200)];
    let first = 4 * (1 + body + 3);
    for n in 0..body {
        let here = 4 * (1 + n);
        let function = if n < functions { n } else { 0 };
        program.push(call(first + 12 * function - here));
    }
    program.push(addi(12, 12, -1));
    program.push(bne(12, 0, -4 * (body + 1)));
    program.push(Insn::Ebreak(None0));
    for n in 0..functions {
        program.extend([addi(13, 13, n + 1), sd(13, 10, 8 * n), ret()]);
    }
    program
}

#[test]
fn a_function_called_from_one_place_and_from_many() {
    for (functions, sites) in [(1, 0), (1, 3), (3, 20)] {
        let outcome = check(&many(functions, sites), &start());
        let each = (1..=functions).sum::<i32>() + sites;
        let before = start().x[13];
        let sum = before.wrapping_add(200 * each as u64);
        assert_eq!(
            outcome.state.x[13], sum,
            "{functions} functions, {sites} sites"
        );
    }
}

#[test]
fn functions_become_one_region_with_their_caller() {
    let code = assemble(&many(3, 0));
    let (jit, outcome) = compiled_by(&code, &start(), 1_000_000, options(true));
    assert!(outcome.trap.is_some());
    let first = CODE + 4 * (1 + 3 + 3);
    let region = jit.region(CODE + 4).expect("it is compiled");
    for n in 0..3 {
        assert_eq!(jit.region(first + 12 * n), Some(region), "function {n}");
    }
}

/// Calls through a table of addresses in registers, in a loop: two functions in turn, of which one
/// ends by jumping to the other.
#[test]
fn calls_by_a_register_and_a_jump_as_the_last_act() {
    let mut program = vec![addi(12, 0, 300)];
    program.extend(address(16, 13 * 4));
    program.extend(address(17, 9 * 4));
    program.extend([
        // The loop.
        jalr(1, 16, 0),
        addi(7, 16, 0),
        addi(16, 17, 0),
        addi(17, 7, 0),
        addi(12, 12, -1),
        bne(12, 0, -20),
        Insn::Ebreak(None0),
        // The second function, then the first.
        addi(14, 14, 1),
        ret(),
        addi(13, 13, 1),
        jump(-12),
    ]);
    let outcome = check(&program, &start());
    assert!(outcome.trap.is_some());
    let (before, after) = (start(), outcome.state);
    let more = |r: usize| after.x[r].wrapping_sub(before.x[r]);
    assert_eq!((more(13), more(14)), (150, 300));
}

/// A function that returns behind where it was called every other time: to a place that nobody
/// called from.
#[test]
fn a_return_to_elsewhere_leaves_the_region() {
    let program = [
        addi(12, 0, 300),
        call(20),
        addi(13, 13, 1),
        addi(12, 12, -1),
        bne(12, 0, -12),
        Insn::Ebreak(None0),
        // The function.
        Insn::Andi(I {
            rd: x(7),
            rs1: x(12),
            imm: 1,
        }),
        addi(14, 14, 1),
        Insn::Slli(Sh6 {
            rd: x(7),
            rs1: x(7),
            shamt: 2,
        }),
        add(1, 1, 7),
        ret(),
    ];
    let outcome = check(&program, &start());
    let (before, after) = (start(), outcome.state);
    let more = |r: usize| after.x[r].wrapping_sub(before.x[r]);
    assert_eq!((more(13), more(14)), (150, 300));
}

/// t0 is a link register too: compilers call what saves registers by it.
#[test]
fn a_call_by_t0_inside_a_call() {
    let program = [
        addi(12, 0, 200),
        call(16),
        addi(12, 12, -1),
        bne(12, 0, -8),
        Insn::Ebreak(None0),
        // The function.
        Insn::Jal(J { rd: x(5), imm: 12 }),
        add(13, 13, 12),
        ret(),
        // What it calls by t0.
        addi(14, 14, 1),
        jalr(0, 5, 0),
    ];
    let outcome = check(&program, &start());
    let (before, after) = (start(), outcome.state);
    let more = |r: usize| after.x[r].wrapping_sub(before.x[r]);
    assert_eq!((more(13), more(14)), (20_100, 200));
}

/// A register that the callee writes as a single and the caller takes for a double, and one that is
/// no boxed single where the region is entered.
#[test]
fn floating_point_registers_across_calls() {
    let program = [
        addi(12, 0, 200),
        call(20),
        Insn::FaddD(Fr {
            rd: F::new(11),
            rs1: F::new(11),
            rs2: F::new(10),
            rm: Rm::Dyn,
        }),
        addi(12, 12, -1),
        bne(12, 0, -12),
        Insn::Ebreak(None0),
        // The function.
        Insn::FcvtSW(XtoF {
            rd: F::new(12),
            rs1: x(12),
            rm: Rm::Dyn,
        }),
        Insn::FcvtDS(Fr1 {
            rd: F::new(10),
            rs1: F::new(12),
            rm: Rm::Dyn,
        }),
        ret(),
    ];
    let mut start = start();
    start.f[10] = 1.5f64.to_bits();
    start.f[11] = 0f64.to_bits();
    start.f[12] = 2.5f64.to_bits();
    let outcome = check(&program, &start);
    assert_eq!(f64::from_bits(outcome.state.f[11]), 20_100.0);
}
