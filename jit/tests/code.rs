//! Code that comes and goes: changes, the background thread, eviction, forks.

mod support;

use frontend::*;
use interp::Interp;
use jit::{Exit, Jit, Options, Request};
use std::time::{Duration, Instant};
use support::*;

/// `li a0, value; ecall`.
fn answer(value: i32) -> Vec<u8> {
    let ecall = decode::decode(0x73).unwrap().insn;
    assemble(&[
        Insn::Addi(I {
            rd: X::A0,
            rs1: X::ZERO,
            imm: value,
        }),
        ecall,
    ])
}

fn run(hart: &mut jit::JitHart) -> (Exit, u64) {
    *hart.state_mut() = start();
    let exit = hart.run(u64::MAX);
    (exit, hart.state().x[10])
}

fn is_trap(exit: Exit) -> bool {
    matches!(exit, Exit::Trap(_))
}

#[test]
fn changed_code_is_dropped_and_compiled_anew() {
    let space = space(&answer(1));
    let jit = Jit::new(options(false), space.clone()).unwrap();
    let mut hart = jit.hart();
    assert_eq!(run(&mut hart).0, Exit::Missing);
    assert_eq!(jit.request(CODE), Request::Ready);
    let (exit, value) = run(&mut hart);
    assert!(is_trap(exit) && value == 1);

    // Without fence.i the old code may run on; once told, it is gone.
    let epoch = space.stale_epoch();
    space.write_bytes(CODE, &answer(2)).unwrap();
    let (_, stale) = space.stale_since(epoch);
    assert_eq!(stale, [CODE >> memory::PAGE_BITS]);
    jit.invalidate(&stale);
    assert!(!jit.contains(CODE));
    assert_eq!(run(&mut hart).0, Exit::Missing);
    assert_eq!(jit.request(CODE), Request::Ready);
    assert_eq!(run(&mut hart).1, 2);
}

#[test]
fn a_dropped_callee_is_not_reached_by_old_links() {
    // A caller on one page jumps to a callee on another.
    let mut code = assemble(&[Insn::Jal(J {
        rd: X::RA,
        imm: 4096,
    })]);
    code.resize(4096, 0);
    code.extend(answer(1));
    let space = space(&code);
    let apart = Options {
        joining: u32::MAX,
        ..options(false)
    };
    let jit = Jit::new(apart, space.clone()).unwrap();
    let mut hart = jit.hart();
    assert_eq!(jit.request(CODE), Request::Ready);
    assert_eq!(jit.request(CODE + 4096), Request::Ready);
    assert_eq!(run(&mut hart).1, 1);
    jit.invalidate(&[(CODE + 4096) >> memory::PAGE_BITS]);
    let (exit, _) = run(&mut hart);
    assert_eq!((exit, hart.state().pc), (Exit::Missing, CODE + 4096));
}

#[test]
fn the_background_thread_delivers() {
    let space = space(&answer(7));
    let jit = Jit::new(
        Options {
            background: true,
            ..options(false)
        },
        space,
    )
    .unwrap();
    let mut hart = jit.hart();
    assert_eq!(jit.request(CODE), Request::Queued);
    let end = Instant::now() + Duration::from_secs(60);
    while !jit.contains(CODE) {
        assert!(Instant::now() < end, "nothing was compiled in a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(run(&mut hart).1, 7);
}

#[test]
fn full_memory_for_code_is_given_up_as_a_whole() {
    // Many small programs, far more code than a generation holds.
    let mut code = Vec::new();
    for value in 0..1500 {
        // Zeroes are no instruction: each program is a region of its own.
        code.extend(answer(value));
        code.extend([0; 8]);
    }
    let space = space(&code);
    let options = Options {
        code_bytes: 80 << 10,
        ..options(false)
    };
    let jit = Jit::new(options, space).unwrap();
    let mut hart = jit.hart();
    for round in 0..2 {
        for value in 0..1500 {
            let pc = CODE + 16 * value;
            if !jit.contains(pc) {
                assert_eq!(jit.request(pc), Request::Ready, "round {round}");
            }
            *hart.state_mut() = start();
            hart.state_mut().pc = pc;
            assert!(is_trap(hart.run(u64::MAX)));
            assert_eq!(hart.state().x[10], value);
        }
    }
    assert!(jit.stats().evictions > 0);
}

#[test]
fn a_poll_ends_an_endless_loop() {
    let code = assemble(&[jump(0)]);
    let space = space(&code);
    let jit = Jit::new(options(false), space).unwrap();
    let mut hart = jit.hart();
    assert_eq!(jit.request(CODE), Request::Ready);
    let poll = hart.poll();
    let waker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        poll.set();
    });
    *hart.state_mut() = start();
    assert_eq!(hart.run(u64::MAX), Exit::Poll);
    assert_eq!(hart.state().pc, CODE);
    waker.join().unwrap();
}

#[test]
fn a_loop_sees_what_another_thread_stores() {
    // Waits until the first word of the data is 0.
    let ecall = decode::decode(0x73).unwrap().insn;
    let load = Insn::Ld(I {
        rd: x(5),
        rs1: X::A0,
        imm: 0,
    });
    let code = assemble(&[
        load,
        load,
        Insn::Bne(B {
            rs1: x(5),
            rs2: X::ZERO,
            imm: -4,
        }),
        ecall,
    ]);
    let space = space(&code);
    space.store::<u64>(DATA, 1).unwrap();
    let jit = Jit::new(options(false), space.clone()).unwrap();
    let mut hart = jit.hart();
    assert_eq!(jit.request(CODE), Request::Ready);
    let waker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        space.store::<u64>(DATA, 0).unwrap();
    });
    *hart.state_mut() = start();
    assert!(is_trap(hart.run(u64::MAX)));
    waker.join().unwrap();
}

#[test]
fn storing_what_was_just_loaded_still_faults_where_that_is_not_allowed() {
    // The code itself is readable and, once protected, not writable.
    let ecall = decode::decode(0x73).unwrap().insn;
    let code = assemble(&[
        Insn::Ld(I {
            rd: x(5),
            rs1: x(6),
            imm: 0,
        }),
        Insn::Sd(S {
            rs2: x(5),
            rs1: x(6),
            imm: 0,
        }),
        ecall,
    ]);
    let space = space(&code);
    space
        .protect(DATA, DATA_SIZE, memory::Protection::READ)
        .unwrap();
    let jit = Jit::new(options(true), space.clone()).unwrap();
    let mut hart = jit.hart();
    assert_eq!(jit.request(CODE), Request::Ready);
    *hart.state_mut() = start();
    hart.state_mut().x[6] = DATA;
    assert_eq!(hart.run(u64::MAX), Exit::Replay);
    let mut interp = Interp::new(interp::Options::default());
    let poll = std::sync::atomic::AtomicU32::new(0);
    let exit = interp.run(hart.state_mut(), &*space, u64::MAX, &poll);
    let trap = hart::Trap::new(hart::Cause::StorePageFault, DATA);
    assert_eq!(exit, interp::Exit::Trap(trap));
    assert_eq!((hart.state().pc, hart.state().instret), (CODE + 4, 1));
}

#[test]
fn a_forked_child_compiles_for_itself() {
    let mut code = answer(1);
    code.resize(64, 0);
    code.extend(answer(2));
    let space = space(&code);
    let jit = Jit::new(options(false), space).unwrap();
    let mut hart = jit.hart();
    assert_eq!(jit.request(CODE), Request::Ready);
    // SAFETY: the child only runs code of ours and leaves by _exit.
    let pid = jit.fork(|| unsafe { libc::fork() }, |&pid| pid == 0);
    if pid == 0 {
        let first = run(&mut hart).1 == 1;
        let second = jit.request(CODE + 64) == Request::Ready;
        hart.state_mut().pc = CODE + 64;
        let third = is_trap(hart.run(u64::MAX)) && hart.state().x[10] == 2;
        // SAFETY: ends the child at once, without running the parent's destructors.
        unsafe { libc::_exit(i32::from(!(first && second && third))) };
    }
    // The parent compiles over the place where the child put its own.
    assert!(!jit.contains(CODE + 64));
    let mut status = 0;
    // SAFETY: waits for the child that was just forked.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
    assert_eq!(jit.request(CODE + 64), Request::Ready);
    assert_eq!(run(&mut hart).1, 1);
}

/// How hot code is, where everything ran but what lies at `cold`, and compiled code ran for ever.
fn with_cold<T>(cold: u64, ask: impl FnOnce(&jit::Heat<'_>) -> T) -> T {
    ask(&jit::Heat {
        arrivals: &|_| None,
        ran: &|pc| pc != cold,
        spent: &|_| u64::MAX,
    })
}

#[test]
fn what_never_ran_is_not_compiled_and_comes_in_when_it_does() {
    let ecall = decode::decode(0x73).unwrap().insn;
    // if (a0 != 0) goto rare; a1 = 1; end: ecall; rare: a1 = 2; goto end
    let code = assemble(&[
        bne(10, 0, 12),
        addi(11, 0, 1),
        ecall,
        addi(11, 0, 2),
        jump(-8),
    ]);
    let rare = CODE + 12;
    let space = space(&code);
    let jit = Jit::new(options(false), space.clone()).unwrap();
    let mut hart = jit.hart();
    let asked = with_cold(rare, |heat| jit.request_hot(CODE, heat));
    assert_eq!(asked, Request::Ready);
    assert_eq!(jit.region(rare), None);
    let run = |hart: &mut jit::JitHart, a0: u64| {
        *hart.state_mut() = start();
        hart.state_mut().x[10] = a0;
        let exit = hart.run(u64::MAX);
        (exit, hart.state().x[11], hart.state().pc)
    };
    let (exit, a1, _) = run(&mut hart, 0);
    assert!(is_trap(exit) && a1 == 1);
    assert_eq!(run(&mut hart, 1), (Exit::Missing, 0, rare));
    // Once it has run it is asked for like anything else, and joins what it leads to.
    let asked = |jit: &Jit| with_cold(0, |heat| jit.request_hot(rare, heat));
    while asked(&jit) != Request::Ready {}
    let (exit, a1, _) = run(&mut hart, 1);
    assert!(is_trap(exit) && a1 == 2);
    assert_eq!(jit.region(rare), jit.region(CODE));
}

#[test]
fn what_leads_into_a_loop_that_ran_long_is_compiled_with_it() {
    let ecall = decode::decode(0x73).unwrap().insn;
    // a1 = 5; do { a0 += a1; a1 -= 1 } while (a1 != 0); ecall
    let code = assemble(&[
        addi(11, 0, 5),
        add(10, 10, 11),
        addi(11, 11, -1),
        bne(11, 0, -8),
        ecall,
    ]);
    let space = space(&code);
    let jit = Jit::new(options(false), space.clone()).unwrap();
    let mut hart = jit.hart();
    assert_eq!(jit.request(CODE + 4), Request::Ready);
    let never = jit::Heat {
        arrivals: &|_| None,
        ran: &|_| true,
        spent: &|_| 0,
    };
    assert!(!jit.lead_in(CODE, CODE + 4, &never), "it has not paid yet");
    assert!(!jit.contains(CODE));
    assert!(with_cold(0, |heat| jit.lead_in(CODE, CODE + 4, heat)));
    assert!(jit.contains(CODE));
    *hart.state_mut() = start();
    hart.state_mut().x[10] = 0;
    assert!(is_trap(hart.run(u64::MAX)));
    assert_eq!(hart.state().x[10], 15);
    // What does not lead there stays apart.
    assert!(!with_cold(0, |heat| jit.lead_in(CODE + 4, CODE, heat)));
}
