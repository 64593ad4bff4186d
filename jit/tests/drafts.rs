//! Drafts: code that comes and goes, faults, and the ways between drafts and compiled code.

#![cfg(target_arch = "x86_64")]

mod support;

use frontend::*;
use hart::{Cause, Trap};
use interp::Interp;
use jit::{Exit, Jit, JitHart, Options, Request};
use memory::{PAGE, PAGE_BITS, Place, Protection, Sharing, UserSpace};
use std::sync::Arc;
use std::time::Duration;
use support::*;

const T0: X = X::X5;
const T1: X = X::X6;

fn addi(rd: X, rs1: X, imm: i32) -> Insn {
    Insn::Addi(I { rd, rs1, imm })
}

fn ecall() -> Insn {
    decode::decode(0x73).expect("an ecall").insn
}

fn jal(rd: X, imm: i32) -> Insn {
    Insn::Jal(J { rd, imm })
}

fn ret() -> Insn {
    Insn::Jalr(I {
        rd: X::ZERO,
        rs1: X::RA,
        imm: 0,
    })
}

/// A hart at the start of a program that runs as drafts, which are hot after so many arrivals.
fn hart(code: &[Insn], threshold: u64) -> (Arc<UserSpace>, JitHart) {
    let space = space(&assemble(code));
    let apart = Options {
        joining: u32::MAX,
        ..options(false)
    };
    let mut hart = Jit::new(apart, space.clone()).unwrap().hart();
    hart.use_drafts(threshold, None);
    *hart.state_mut() = start();
    (space, hart)
}

/// Runs to the ecall, which drafts leave to the interpreter.
fn to_ecall(hart: &mut JitHart) -> u64 {
    let ecall = Trap::new(Cause::EcallFromU, 0);
    loop {
        match hart.run(u64::MAX) {
            // A region ran long, and whoever compiles could have a look at what led there.
            Exit::Hot => continue,
            exit if exit == Exit::Interpret || exit == Exit::Trap(ecall) => break,
            exit => panic!("{exit:?}"),
        }
    }
    hart.state().x[10]
}

#[test]
fn code_that_was_written_is_drafted_anew_and_old_jumps_lead_there() {
    // The caller's draft jumps to the callee's directly.
    let callee = 2 * PAGE as i32;
    let mut code = vec![jal(X::RA, callee), ecall()];
    code.resize(callee as usize / 4, ecall());
    code.extend([addi(X::A0, X::ZERO, 1), ret()]);
    let (space, mut hart) = hart(&code, 0);
    for _ in 0..3 {
        hart.state_mut().pc = CODE;
        assert_eq!(to_ecall(&mut hart), 1);
    }
    let changed = CODE + callee as u64;
    for value in 2..6 {
        let epoch = space.stale_epoch();
        let new = assemble(&[addi(X::A0, X::ZERO, value)]);
        space.write_bytes(changed, &new).unwrap();
        let (_, stale) = space.stale_since(epoch);
        assert_eq!(stale, [changed >> PAGE_BITS]);
        hart.invalidate_drafts(&stale);
        for _ in 0..3 {
            hart.state_mut().pc = CODE;
            assert_eq!(to_ecall(&mut hart), value as u64);
        }
    }
}

#[test]
fn a_fault_finds_what_was_done_before_it_and_nothing_after() {
    let hole = 0x30_0000;
    let code = [
        Insn::Lui(U { rd: T0, imm: hole }),
        addi(X::A0, X::A0, 8),
        Insn::Sd(S {
            rs1: X::A0,
            rs2: T0,
            imm: 0,
        }),
        addi(T1, X::ZERO, 5),
        Insn::Ld(I {
            rd: T1,
            rs1: T0,
            imm: 16,
        }),
        addi(T1, T1, 1),
        ecall(),
    ];
    let (space, mut hart) = hart(&code, 0);
    assert_eq!(hart.run(u64::MAX), Exit::Interpret);
    let state = *hart.state();
    assert_eq!(state.pc, CODE + 16);
    assert_eq!((state.x[10], state.x[6]), (DATA + 8, 5));
    assert_eq!(space.load::<u64>(DATA + 8), Ok(hole as u64));
    // The interpreter finds the trap; once the page is there, all goes on.
    let mut interp = Interp::new(interp::Options::default());
    let trap = Trap::new(Cause::LoadPageFault, hole as u64 + 16);
    assert_eq!(
        interp.step(hart.state_mut(), &*space),
        interp::Exit::Trap(trap)
    );
    let place = Place::Fixed(hole as u64);
    space
        .map_anonymous(place, PAGE, Protection::READ_WRITE, Sharing::Private, None)
        .unwrap();
    assert_eq!(to_ecall(&mut hart), DATA + 8);
    assert_eq!(hart.state().x[6], 1);
}

#[test]
fn an_address_outside_the_window_is_the_interpreters() {
    for address in [memory::LIMIT, 1 << 47, u64::MAX, 1 << 63] {
        let code = [
            Insn::Ld(I {
                rd: T1,
                rs1: T0,
                imm: -8,
            }),
            ecall(),
        ];
        let (_, mut hart) = hart(&code, 0);
        hart.state_mut().x[5] = address;
        hart.state_mut().x[6] = 7;
        assert_eq!(hart.run(u64::MAX), Exit::Interpret, "{address:#x}");
        assert_eq!((hart.state().pc, hart.state().x[6]), (CODE, 7));
    }
}

#[test]
fn a_stack_pointer_that_leaves_the_window_is_not_used_unchecked() {
    let code = [
        Insn::Add(R {
            rd: X::SP,
            rs1: X::SP,
            rs2: T0,
        }),
        Insn::Sd(S {
            rs1: X::SP,
            rs2: T0,
            imm: 0,
        }),
        ecall(),
    ];
    let (_, mut hart) = hart(&code, 0);
    hart.state_mut().x[5] = 1 << 46;
    assert_eq!(hart.run(u64::MAX), Exit::Interpret);
    assert_eq!(hart.state().pc, CODE + 4);
}

#[test]
fn a_loop_of_drafts_ends_when_it_is_asked_to() {
    for code in [
        vec![jal(X::ZERO, 0)],
        // By computed jumps alone.
        vec![Insn::Jalr(I {
            rd: X::ZERO,
            rs1: T0,
            imm: 0,
        })],
    ] {
        let (_, mut hart) = hart(&code, 0);
        hart.state_mut().x[5] = CODE;
        let poll = hart.poll();
        let asking = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            poll.set();
        });
        assert_eq!(hart.run(u64::MAX), Exit::Poll);
        asking.join().unwrap();
    }
}

#[test]
fn what_is_hot_says_so_until_it_is_told_otherwise() {
    let code = [addi(T0, T0, -1), ecall()];
    let (_, mut hart) = hart(&code, 3);
    let arrive = |hart: &mut JitHart| {
        hart.state_mut().pc = CODE;
        hart.run(u64::MAX)
    };
    assert_eq!(arrive(&mut hart), Exit::Interpret);
    assert_eq!(arrive(&mut hart), Exit::Interpret);
    assert_eq!(arrive(&mut hart), Exit::Hot);
    assert_eq!(arrive(&mut hart), Exit::Hot);
    assert_eq!(hart.state().x[5], 2_u64.wrapping_neg());
    let drafts = hart.drafts_mut().unwrap();
    assert_eq!(drafts.arrivals(CODE), Some(4));
    drafts.set_countdown(CODE, 2);
    assert_eq!(arrive(&mut hart), Exit::Interpret);
    assert_eq!(arrive(&mut hart), Exit::Hot);
    assert_eq!(hart.drafts().unwrap().arrivals(CODE), Some(6));
    hart.drafts_mut().unwrap().set_countdown(CODE, 0);
    assert_eq!(arrive(&mut hart), Exit::Interpret);
}

/// Adds a0's multiples up: a loop on one page that calls a function on another.
fn calling_loop() -> Vec<Insn> {
    let mut code = vec![
        jal(X::RA, PAGE as i32),
        addi(T0, T0, -1),
        Insn::Bne(B {
            rs1: T0,
            rs2: X::ZERO,
            imm: -8,
        }),
        ecall(),
    ];
    code.resize(PAGE as usize / 4, ecall());
    code.extend([addi(X::A0, X::A0, 3), ret()]);
    code
}

fn run_loop(hart: &mut JitHart, rounds: u64) {
    *hart.state_mut() = start();
    hart.state_mut().x[5] = rounds;
    assert_eq!(to_ecall(hart), DATA + 3 * rounds);
}

#[test]
fn drafts_call_compiled_functions_and_are_called_by_compiled_code() {
    let (loop_at, function) = (CODE, CODE + PAGE);
    for compiled in [loop_at, function] {
        let (_, mut hart) = hart(&calling_loop(), 0);
        run_loop(&mut hart, 100);
        assert_eq!(hart.jit().request(compiled), Request::Ready);
        // Only what reports itself hot makes way for it.
        hart.drafts_mut().unwrap().set_countdown(compiled, 1);
        run_loop(&mut hart, 1);
        let before = hart.jit().stats().missing;
        run_loop(&mut hart, 100_000);
        let missing = hart.jit().stats().missing - before;
        // Now and then the engine has a look, and a loop is entered in its middle.
        assert!(missing < 1000, "{compiled:#x}: {missing}");
        assert_eq!(hart.jit().stats().regions, 1);
    }
}

#[test]
fn a_draft_takes_over_again_where_a_region_was_dropped() {
    let (space, mut hart) = hart(&calling_loop(), 0);
    let function = CODE + PAGE;
    for _ in 0..3 {
        assert_eq!(hart.jit().request(function), Request::Ready);
        hart.drafts_mut().unwrap().set_countdown(function, 1);
        run_loop(&mut hart, 1000);
        // The region goes, the drafts stay.
        hart.jit().invalidate(&[function >> PAGE_BITS]);
        assert!(!hart.jit().contains(function));
        hart.drafts_mut().unwrap().set_countdown(function, 0);
        run_loop(&mut hart, 1000);
    }
    // Both go, and the code is another.
    let twice = assemble(&[addi(X::A0, X::A0, 4)]);
    let epoch = space.stale_epoch();
    space.write_bytes(function, &twice).unwrap();
    let (_, stale) = space.stale_since(epoch);
    hart.jit().invalidate(&stale);
    hart.invalidate_drafts(&stale);
    *hart.state_mut() = start();
    hart.state_mut().x[5] = 10;
    assert_eq!(to_ecall(&mut hart), DATA + 40);
}

#[test]
fn more_code_than_there_is_room_for_drops_what_is_there() {
    // Each block is followed by one that it does not fall through to.
    let blocks = 600_000;
    let code: Vec<Insn> = std::iter::repeat_n(jal(X::ZERO, 4), blocks)
        .chain([ecall()])
        .collect();
    let space = UserSpace::reserve().unwrap();
    let (far, length) = (0x100_0000, (4 * code.len() as u64).next_multiple_of(PAGE));
    let all = Protection::READ_WRITE | Protection::EXECUTE;
    let place = Place::Fixed(far);
    space
        .map_anonymous(place, length, all, Sharing::Private, None)
        .unwrap();
    space.write_bytes(far, &assemble(&code)).unwrap();
    let mut hart = Jit::new(options(false), Arc::new(space)).unwrap().hart();
    hart.use_drafts(0, None);
    for _ in 0..2 {
        hart.state_mut().pc = far;
        hart.state_mut().x[2] = far + 4096;
        assert_eq!(hart.run(u64::MAX), Exit::Interpret);
        assert_eq!(hart.state().pc, far + 4 * blocks as u64);
    }
    assert!(hart.drafts().unwrap().instructions > 2 * blocks as u64 - 10);
}
