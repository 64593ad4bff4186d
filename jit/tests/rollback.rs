//! What a hart is rolled back to where compiled code cannot go on: registers that checkpoints do not
//! hold, addresses outside the window, and polls behind checkpoints.

mod support;

use frontend::*;
use hart::HartState;
use jit::{Exit, Jit, Request};
use std::time::Duration;
use support::*;

fn lui(rd: u8, imm: i32) -> Insn {
    Insn::Lui(U { rd: x(rd), imm })
}

fn xor(rd: u8, rs1: u8, rs2: u8) -> Insn {
    Insn::Xor(R {
        rd: x(rd),
        rs1: x(rs1),
        rs2: x(rs2),
    })
}

fn f(n: u8) -> F {
    F::new(n)
}

fn fadd(rd: u8, rs1: u8, rs2: u8) -> Insn {
    Insn::FaddD(Fr {
        rd: f(rd),
        rs1: f(rs1),
        rs2: f(rs2),
        rm: Rm::Dyn,
    })
}

fn fdiv(rd: u8, rs1: u8, rs2: u8) -> Insn {
    Insn::FdivD(Fr {
        rd: f(rd),
        rs1: f(rs1),
        rs2: f(rs2),
        rm: Rm::Dyn,
    })
}

/// Stores, so that the next access makes a checkpoint, and then loads from where nothing is, by the
/// address in a1.
fn fails(computed: &[Insn]) -> Vec<Insn> {
    let mut program = vec![sd(0, 10, 0)];
    program.extend(computed);
    program.push(ld(31, 11, 0));
    program
}

fn start_with(registers: &[(usize, u64)]) -> HartState {
    let mut state = start();
    for &(register, value) in registers {
        state.x[register] = value;
    }
    state.x[11] = 0x4000_0000;
    state
}

#[test]
fn what_a_checkpoint_does_not_hold_is_computed_again() {
    let program = fails(&[
        add(12, 13, 14),
        xor(15, 12, 13),
        addi(16, 15, 77),
        lui(17, 0x12345 << 12),
        add(17, 17, 16),
    ]);
    let outcome = check(&program, &start_with(&[(13, 5), (14, 9)]));
    assert!(outcome.trap.is_some());
    assert_eq!(outcome.state.x[12], 14);
    assert_eq!(outcome.state.x[17], 0x1234_5000 + (14 ^ 5) + 77);
}

#[test]
fn what_was_computed_from_a_value_that_is_gone_is_held() {
    // x12 comes from x13, which becomes something else before the checkpoint; x14 from itself.
    let program = fails(&[
        addi(12, 13, 1),
        ld(13, 10, 8),
        addi(14, 14, 1),
        addi(14, 14, 1),
        add(15, 15, 15),
    ]);
    let outcome = check(&program, &start_with(&[(13, 41), (14, 7), (15, 3)]));
    let found = &outcome.state.x;
    assert_eq!((found[12], found[14], found[15]), (42, 9, 6));
}

#[test]
fn a_chain_through_one_register_is_computed_again_as_a_whole() {
    let program = fails(&[
        add(12, 13, 14),
        add(15, 12, 12),
        addi(12, 15, 3),
        xor(15, 12, 14),
    ]);
    let outcome = check(&program, &start_with(&[(13, 1), (14, 2)]));
    assert_eq!((outcome.state.x[12], outcome.state.x[15]), (9, 9 ^ 2));
}

#[test]
fn skipped_instructions_before_a_checkpoint_are_not_done_again() {
    // A branch over two instructions, taken.
    let over = Insn::Beq(B {
        rs1: x(13),
        rs2: x(13),
        imm: 12,
    });
    let program = fails(&[addi(12, 14, 1), over, addi(12, 12, 5), add(12, 12, 12)]);
    let outcome = check(&program, &start_with(&[(14, 20)]));
    assert_eq!(outcome.state.x[12], 21);
    // Not taken: all of them are.
    let over = Insn::Bne(B {
        rs1: x(13),
        rs2: x(13),
        imm: 12,
    });
    let program = fails(&[addi(12, 14, 1), over, addi(12, 12, 5), add(12, 12, 12)]);
    let outcome = check(&program, &start_with(&[(14, 20)]));
    assert_eq!(outcome.state.x[12], 52);
}

#[test]
fn floating_point_done_again_raises_its_flags_and_canonical_nans() {
    let mut state = start_with(&[]);
    state.f[1] = 1f64.to_bits();
    state.f[2] = 3f64.to_bits();
    state.f[3] = f64::INFINITY.to_bits();
    // A quotient that is inexact, infinity minus infinity, and what comes of both.
    let program = fails(&[
        fdiv(4, 1, 2),
        Insn::FsubD(Fr {
            rd: f(5),
            rs1: f(3),
            rs2: f(3),
            rm: Rm::Dyn,
        }),
        fadd(6, 5, 4),
    ]);
    let outcome = check(&program, &state);
    assert_eq!(outcome.state.f[5], 0x7ff8_0000_0000_0000);
    assert_eq!(outcome.state.f[6], 0x7ff8_0000_0000_0000);
    assert_eq!(outcome.state.fflags, 0x11);
}

#[test]
fn the_flags_of_a_result_that_is_overwritten_before_a_fault_are_raised() {
    let mut state = start_with(&[]);
    state.f[1] = 1f64.to_bits();
    state.f[2] = 3f64.to_bits();
    let program = fails(&[fdiv(4, 1, 2), fadd(4, 2, 2)]);
    let outcome = check(&program, &state);
    assert_eq!(outcome.state.fflags, 1);
    assert_eq!(outcome.state.f[4], 6f64.to_bits());
}

#[test]
fn addresses_outside_the_window_trap_with_exact_registers() {
    for outside in [
        memory::LIMIT,
        memory::LIMIT + (1 << 20),
        1 << 47,
        1 << 63,
        u64::MAX - 4095,
    ] {
        for access in [ld(31, 13, -8), sd(31, 13, -8), ld(31, 13, 2040)] {
            let program = [
                sd(0, 10, 0),
                addi(12, 14, 1),
                add(13, 13, 14),
                addi(15, 12, 2),
                access,
            ];
            let outcome = check(&program, &start_with(&[(13, outside - 100), (14, 100)]));
            let trap = outcome.trap.expect("nothing is there");
            assert!(matches!(
                trap.cause,
                hart::Cause::LoadPageFault | hart::Cause::StorePageFault
            ));
            assert_eq!(outcome.state.x[15], 103);
        }
    }
}

#[test]
fn floating_point_before_flags_were_cleared_or_the_mode_changed_is_not_done_again() {
    let mut state = start_with(&[]);
    state.f[1] = 1f64.to_bits();
    state.f[2] = 3f64.to_bits();
    // One flag, and none.
    for (fcsr, fflags) in [(4, 4), (0, 0)] {
        let write = Insn::Csrrwi(CsrI {
            rd: X::ZERO,
            uimm: fcsr,
            csr: hart::csr::FCSR,
        });
        let program = fails(&[fdiv(4, 1, 2), write, fadd(5, 2, 2)]);
        let outcome = check(&program, &state);
        assert_eq!(outcome.state.fflags, fflags);
        assert_eq!(outcome.state.f[4], (1.0f64 / 3.0).to_bits());
        assert_eq!(outcome.state.f[5], 6f64.to_bits());
    }
}

/// Counts in memory for ever, with a few registers on the way.
fn counter() -> Vec<Insn> {
    vec![
        ld(12, 10, 0),
        addi(12, 12, 1),
        add(13, 12, 12),
        sd(12, 10, 0),
        sd(13, 10, 8),
        jump(-20),
    ]
}

#[test]
fn a_poll_behind_a_checkpoint_ends_a_loop_that_stores() {
    let space = space(&assemble(&counter()));
    let options = jit::Options {
        compute: Some(interp::compute),
        ..options(false)
    };
    let jit = Jit::new(options, space.clone()).unwrap();
    let mut hart = jit.hart();
    *hart.state_mut() = start();
    assert_eq!(jit.request(CODE), Request::Ready);
    let (mut last, mut got_on) = (0, 0);
    for _ in 0..20 {
        let poll = hart.poll();
        let poller = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(2));
            poll.set();
        });
        // A poll stops it anywhere; the interpreter goes on to where it can be entered again.
        while hart.run(u64::MAX) != Exit::Poll {
            let mut interp = interp::Interp::new(interp::Options::default());
            assert_eq!(
                interp.step(hart.state_mut(), &*space),
                interp::Exit::Limit,
                "no instruction of it traps"
            );
        }
        poller.join().unwrap();
        hart.poll().clear();
        let state = *hart.state();
        let counted = space.load::<u64>(DATA).unwrap();
        // On a busy host it may be asked before it has begun.
        got_on += u32::from(counted > last);
        assert!(counted >= last);
        last = counted;
        // Whatever was done is in registers and in memory alike.
        let steps = (state.pc - CODE) / 4;
        let written = u64::from(steps == 2 || steps == 3);
        assert_eq!(state.x[12], counted + written, "at instruction {steps}");
        if steps > 4 || steps == 0 {
            assert_eq!(space.load::<u64>(DATA + 8).unwrap(), 2 * counted);
        }
    }
    assert!(got_on > 0, "it goes on");
}

#[test]
fn a_loop_that_goes_around_its_checkpoint_is_polled_too() {
    // loop { if a0 == 0 { store, load }; a2 += 1 }, and around that a loop that never ends a round.
    let code = assemble(&[
        bne(10, 0, 12),
        sd(12, 11, 0),
        ld(13, 11, 8),
        addi(12, 12, 1),
        jump(-16),
    ]);
    for a0 in [0, 1] {
        let space = space(&code);
        let jit = Jit::new(options(false), space.clone()).unwrap();
        let mut hart = jit.hart();
        *hart.state_mut() = start();
        hart.state_mut().x[10] = a0;
        hart.state_mut().x[11] = DATA;
        assert_eq!(jit.request(CODE), Request::Ready);
        let poll = hart.poll();
        let poller = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            poll.set();
        });
        assert_eq!(hart.run(u64::MAX), Exit::Poll);
        poller.join().unwrap();
        assert!(hart.state().x[12] > 0);
    }
}

/// Runs a loop that only calls a function until a poll ends it. No checkpoint is made anywhere, and the
/// way around leads by a return.
fn polled_among_calls(code: &[Insn], from: u64, function: u64) {
    let space = space(&assemble(code));
    let jit = Jit::new(options(false), space.clone()).unwrap();
    let mut hart = jit.hart();
    *hart.state_mut() = start();
    hart.state_mut().pc = from;
    let poll = hart.poll();
    let poller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        poll.set();
    });
    loop {
        match hart.run(u64::MAX) {
            Exit::Poll => break,
            Exit::Missing => assert_eq!(jit.request(hart.state().pc), Request::Ready),
            other => panic!("{other:?}"),
        }
    }
    poller.join().unwrap();
    assert!(hart.state().x[12] > 0);
    assert_eq!(
        jit.region(from),
        jit.region(function),
        "they are one region"
    );
}

#[test]
fn a_loop_that_only_calls_a_function_is_polled() {
    let call = |imm| Insn::Jal(J { rd: X::RA, imm });
    let ret = Insn::Jalr(I {
        rd: X::ZERO,
        rs1: X::RA,
        imm: 0,
    });
    // The function behind the loop, and before it.
    let code = [call(8), jump(-4), addi(12, 12, 1), ret];
    polled_among_calls(&code, CODE, CODE + 8);
    let code = [addi(12, 12, 1), ret, call(-8), jump(-4)];
    polled_among_calls(&code, CODE + 8, CODE);
    // The loop goes back over what is behind the call.
    let code = [jump(8), jump(4), call(8), jump(-8), addi(12, 12, 1), ret];
    polled_among_calls(&code, CODE, CODE + 16);
    let code = [addi(12, 12, 1), ret, jump(8), jump(4), call(-16), jump(-8)];
    polled_among_calls(&code, CODE + 8, CODE);
}
