//! Accesses through the stack pointer, which compiled code relies on, where they fault after all.

mod support;

use frontend::*;
use hart::{Cause, HartState, Trap};
use interp::Interp;
use jit::{Exit, Jit, JitHart, Request};
use memory::UserSpace;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::*;

const SP: u8 = 2;

fn at(sp: u64) -> HartState {
    let mut state = start();
    state.x[2] = sp;
    state
}

fn jal(rd: u8, imm: i32) -> Insn {
    Insn::Jal(J { rd: x(rd), imm })
}

fn ret() -> Insn {
    Insn::Jalr(I {
        rd: X::ZERO,
        rs1: X::RA,
        imm: 0,
    })
}

fn ecall() -> Insn {
    decode::decode(0x73).expect("an ecall").insn
}

#[test]
fn a_recursion_without_end_faults_where_its_stack_ends() {
    for frame in [16, 32, 64, 2032] {
        let program = [
            addi(SP, SP, -frame),
            sd(1, SP, 0),
            addi(10, 10, 1),
            sd(10, SP, 8),
            jal(1, -16),
        ];
        let outcome = check(&program, &start());
        let cause = outcome.trap.map(|trap| trap.cause);
        assert_eq!(cause, Some(Cause::StorePageFault), "{frame}");
        assert!(outcome.state.x[2] < STACK - 0x1_0000, "{frame}");
    }
}

#[test]
fn a_loop_that_runs_free_says_nothing_of_the_stack() {
    // Each call goes through so many words of data, and looks at its frame meanwhile.
    let program = [
        addi(SP, SP, -64),
        sd(1, SP, 0),
        addi(6, 0, 200),
        add(7, 10, 0),
        ld(5, 7, 0),
        ld(8, SP, 0),
        addi(7, 7, 8),
        addi(6, 6, -1),
        bne(6, 0, -16),
        addi(11, 11, 1),
        jal(1, -40),
    ];
    let outcome = check(&program, &start());
    let cause = outcome.trap.map(|trap| trap.cause);
    assert_eq!(cause, Some(Cause::StorePageFault));
    assert!(outcome.state.x[11] > 900);
}

#[test]
fn a_stack_pointer_that_has_passed_the_end_of_all_addresses_is_looked_at() {
    // So many steps down, or up, that it comes out on the other side.
    for (step, rounds) in [(-2048, 0x30_0000 / 2048), (-2048, 600), (2032, 70_000)] {
        let program = [
            addi(SP, SP, step),
            addi(6, 6, -1),
            bne(6, 0, -8),
            sd(10, SP, 0),
            ld(5, SP, 8),
            ecall(),
        ];
        let mut state = start();
        state.x[6] = rounds;
        let outcome = check(&program, &state);
        let cause = outcome.trap.map(|trap| trap.cause);
        assert_eq!(cause, Some(Cause::StorePageFault), "{step} {rounds}");
    }
}

#[test]
fn an_atomic_through_a_wild_stack_pointer_faults() {
    for sp in [1 << 50, !7, memory::LIMIT] {
        let amo = decode::decode(0x0051_22af).expect("amoadd.w t0, t0, (sp)");
        let program = [add(SP, 11, 0), amo.insn, ecall()];
        let mut state = start();
        state.x[11] = sp;
        let outcome = check(&program, &state);
        let cause = outcome.trap.map(|trap| trap.cause);
        assert!(
            cause.is_some_and(|cause| cause != Cause::EcallFromU),
            "{sp:#x}"
        );
    }
}

#[test]
fn a_recursion_that_returns_leaves_what_it_found() {
    // f(n) = n + f(n - 1), with n on the stack meanwhile.
    let program = [
        jal(1, 8),
        ecall(),
        addi(SP, SP, -16),
        sd(1, SP, 0),
        sd(10, SP, 8),
        bne(10, 0, 8),
        jump(12),
        addi(10, 10, -1),
        jal(1, -24),
        ld(5, SP, 8),
        ld(1, SP, 0),
        add(10, 10, 5),
        addi(SP, SP, 16),
        ret(),
    ];
    let mut state = start();
    state.x[10] = 100;
    let outcome = check(&program, &state);
    assert_eq!(outcome.state.x[10], 5050);
    assert_eq!(outcome.state.x[2], start().x[2]);
}

#[test]
fn a_stack_pointer_that_rises_faults_where_its_stack_ends() {
    for step in [8, 16, 2040] {
        for above in [0, 2040] {
            let program = [ld(5, SP, above), addi(SP, SP, step), jump(-8)];
            let outcome = check(&program, &start());
            let trap = outcome.trap.expect("a trap");
            assert_eq!(trap.cause, Cause::LoadPageFault, "{step} {above}");
            assert!(trap.tval >= STACK, "{step} {above}: {:#x}", trap.tval);
        }
    }
}

#[test]
fn a_stack_pointer_at_either_end_of_its_mapping_is_as_good_as_another() {
    let bottom = STACK - 0x1_0000;
    for sp in [
        bottom,
        bottom + 8,
        STACK - 16,
        STACK - 8,
        STACK,
        DATA,
        0,
        !7,
    ] {
        let program = [sd(10, SP, 0), ld(5, SP, 8), ld(6, SP, -8), ecall()];
        check(&program, &at(sp));
    }
}

#[test]
fn a_stack_pointer_that_comes_from_memory_is_looked_at() {
    for sp in [0, DATA, DATA + 4096, STACK - 8, STACK - 4096, 1 << 50] {
        let program = [
            sd(11, 10, 0),
            ld(SP, 10, 0),
            sd(10, SP, 16),
            ld(5, SP, 16),
            ecall(),
        ];
        let mut state = start();
        state.x[11] = sp;
        check(&program, &state);
    }
}

/// Runs until a trap; how many instructions were interpreted one by one.
fn to_trap(jit: &Arc<Jit>, hart: &mut JitHart, space: &UserSpace) -> (Trap, u64) {
    let mut interp = Interp::new(interp::Options::default());
    let mut single = 0;
    loop {
        let interpret = match hart.run(u64::MAX) {
            Exit::Trap(trap) => return (trap, single),
            Exit::Missing => jit.request(hart.state().pc) != Request::Ready,
            Exit::Poll => {
                hart.poll().clear();
                false
            }
            Exit::Replay | Exit::Interpret | Exit::Hot => true,
            exit => panic!("{exit:?}"),
        };
        if interpret {
            single += 1;
            if let interp::Exit::Trap(trap) = interp.step(hart.state_mut(), space) {
                return (trap, single);
            }
        }
    }
}

/// A loop that counts in memory and on the stack, at `sp`.
fn counting(rounds: i32) -> [Insn; 5] {
    [
        addi(5, 5, 1),
        sd(5, 10, 0),
        sd(5, SP, 0),
        bne(5, rounds as u8, -12),
        ecall(),
    ]
}

#[test]
fn a_stack_that_another_thread_unmaps_is_missed_at_the_next_access() {
    for protect in [false, true] {
        let space = space(&assemble(&counting(0)));
        let jit = Jit::new(options(false), space.clone()).unwrap();
        // Not alone.
        let _other = jit.hart();
        let mut hart = jit.hart();
        *hart.state_mut() = start();
        let sp = start().x[2];
        let running = Arc::new(AtomicBool::new(false));
        let (seen, theirs) = (running.clone(), space.clone());
        let thread = std::thread::spawn(move || {
            while theirs.load::<u64>(DATA).unwrap() == 0 || !seen.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(5));
            let (bottom, length) = (STACK - 0x1_0000, 0x1_0000);
            match protect {
                true => theirs.protect(bottom, length, memory::Protection::READ),
                false => theirs.unmap(bottom, length),
            }
            .unwrap();
        });
        running.store(true, Ordering::Release);
        let (trap, _) = to_trap(&jit, &mut hart, &space);
        thread.join().unwrap();
        assert_eq!((trap.cause, trap.tval), (Cause::StorePageFault, sp));
        assert_eq!(hart.state().pc, CODE + 8);
        // Everything before the access has been done, and nothing twice.
        assert_eq!(space.load::<u64>(DATA), Ok(hart.state().x[5]));
    }
}

#[test]
fn a_program_whose_stack_cannot_be_relied_on_is_compiled_without() {
    let program = counting(6);
    let space = space(&assemble(&program));
    let jit = Jit::new(options(false), space.clone()).unwrap();
    let mut hart = jit.hart();
    // Too near the end.
    *hart.state_mut() = at(STACK - 8);
    hart.state_mut().x[6] = 100_000;
    let (trap, single) = to_trap(&jit, &mut hart, &space);
    assert_eq!(trap.cause, Cause::EcallFromU);
    assert_eq!(space.load::<u64>(STACK - 8), Ok(100_000));
    assert!(single < 1000, "{single}");
}

#[test]
fn two_stacks_take_turns() {
    // Swaps sp with a register, as coroutines do.
    let program = [
        sd(5, SP, -16),
        add(7, SP, 0),
        add(SP, 6, 0),
        add(6, 7, 0),
        addi(5, 5, -1),
        bne(5, 0, -20),
        ecall(),
    ];
    let mut state = start();
    (state.x[5], state.x[6]) = (1000, DATA + 8192);
    let outcome = check(&program, &state);
    assert_eq!(outcome.trap.map(|trap| trap.cause), Some(Cause::EcallFromU));
}
