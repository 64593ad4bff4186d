//! Loops that run without checkpoints for as long as their accesses cannot fault.

mod support;

use frontend::*;
use hart::HartState;
use jit::{Exit, Jit, Options};
use memory::PAGE;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::*;

fn lbu(rd: u8, rs1: u8, imm: i32) -> Insn {
    Insn::Lbu(I {
        rd: x(rd),
        rs1: x(rs1),
        imm,
    })
}

fn sb(rs2: u8, rs1: u8, imm: i32) -> Insn {
    Insn::Sb(S {
        rs1: x(rs1),
        rs2: x(rs2),
        imm,
    })
}

fn slli(rd: u8, rs1: u8, shamt: u8) -> Insn {
    Insn::Slli(Sh6 {
        rd: x(rd),
        rs1: x(rs1),
        shamt,
    })
}

fn sub(rd: u8, rs1: u8, rs2: u8) -> Insn {
    Insn::Sub(R {
        rd: x(rd),
        rs1: x(rs1),
        rs2: x(rs2),
    })
}

fn lui(rd: u8, imm: i32) -> Insn {
    Insn::Lui(U { rd: x(rd), imm })
}

fn end() -> Insn {
    Insn::Ebreak(None0)
}

/// Whether compiled code of this program looks at pages before a loop.
fn has_strip(program: &[Insn]) -> bool {
    let options = Options {
        listings: true,
        ..options(false)
    };
    let (jit, _) = compiled_by(&assemble(program), &start(), 1_000_000, options);
    looks_at_pages(&jit)
}

fn looks_at_pages(jit: &Jit) -> bool {
    let listing = jit.explain(CODE).expect("the program is compiled");
    // No guest instruction here counts zeros.
    let lines = listing.lines.iter().flat_map(|line| &line.clif);
    let mut lines = lines.chain(&listing.preamble);
    lines.any(|line| line.contains(" ctz ") || line.contains(" clz "))
}

fn check_strip(program: &[Insn]) -> Outcome {
    assert!(has_strip(program));
    check(program, &start())
}

/// Stores a counter (x12) at x11, `rounds` times, `stride` bytes apart.
fn fill(rounds: i32, stride: i32) -> Vec<Insn> {
    vec![
        addi(11, 10, 0),
        addi(12, 0, 0),
        addi(13, 0, rounds),
        sd(12, 11, 0),
        addi(11, 11, stride),
        addi(12, 12, 1),
        bne(12, 13, -12),
        end(),
    ]
}

#[test]
fn a_loop_that_stores_every_word() {
    let outcome = check_strip(&fill(2000, 8));
    let last = u64::from_le_bytes(outcome.data[1999 * 8..][..8].try_into().unwrap());
    assert_eq!(last, 1999);
}

#[test]
fn a_loop_that_runs_out_of_memory_faults_where_it_should() {
    // -1: it goes on until it faults.
    let outcome = check_strip(&fill(-1, 8));
    assert_eq!(outcome.trap.unwrap().tval, DATA + DATA_SIZE);
    assert_eq!(outcome.state.x[12], DATA_SIZE / 8);
}

#[test]
fn a_loop_that_runs_out_of_memory_with_half_an_access() {
    let mut program = fill(-1, 24);
    program[0] = addi(11, 10, 5);
    let outcome = check_strip(&program);
    assert!(outcome.trap.unwrap().tval >= DATA + DATA_SIZE - 8);
}

#[test]
fn a_loop_that_goes_down_faults_where_it_should() {
    let mut program = fill(-1, -16);
    program[0] = lui(11, (DATA + DATA_SIZE) as i32 - 0x1000);
    let outcome = check_strip(&program);
    assert_eq!(outcome.trap.unwrap().tval, DATA - 16);
}

#[test]
fn every_limit_is_exact_in_a_loop_without_checkpoints() {
    let code = assemble(&fill(80, 104));
    for limit in 1..340 {
        check_bytes(&code, &start(), limit);
    }
}

/// Adds up a word in every x14 bytes.
fn strided(stride: i32, rounds: i32) -> Vec<Insn> {
    vec![
        addi(11, 10, 0),
        addi(14, 0, stride),
        addi(13, 0, rounds),
        ld(15, 11, 0),
        add(16, 16, 15),
        sd(16, 11, 0),
        add(11, 11, 14),
        addi(13, 13, -1),
        bne(13, 0, -20),
        end(),
    ]
}

#[test]
fn strides_that_a_register_holds() {
    for stride in [8, 136, 1024, 1032, 2040, 0, -8, 1] {
        check_strip(&strided(stride, 60));
        check_strip(&strided(stride, 600));
    }
}

#[test]
fn a_stride_that_runs_out_of_memory() {
    let outcome = check_strip(&strided(512, -1));
    assert_eq!(outcome.trap.unwrap().tval, DATA + DATA_SIZE);
}

#[test]
fn a_copy_that_overlaps_itself() {
    let program = [
        addi(11, 10, 0),
        addi(12, 10, 3),
        addi(13, 0, 1500),
        lbu(15, 11, 0),
        sb(15, 12, 0),
        addi(11, 11, 1),
        addi(12, 12, 1),
        addi(13, 13, -1),
        bne(13, 0, -20),
        end(),
    ];
    check_strip(&program);
}

/// Counts bytes in a table of words, at most `shift` bits apart.
fn histogram(shift: u8) -> Vec<Insn> {
    vec![
        addi(11, 10, 0),
        lui(12, (DATA + DATA_SIZE) as i32 - 0x1000),
        addi(13, 0, 1900),
        lbu(15, 11, 0),
        addi(11, 11, 1),
        slli(15, 15, shift),
        add(15, 15, 12),
        ld(16, 15, 0),
        addi(16, 16, 1),
        sd(16, 15, 0),
        addi(13, 13, -1),
        bne(13, 0, -32),
        end(),
    ]
}

#[test]
fn a_table_looked_up_by_bytes() {
    check_strip(&histogram(3));
    // Half of the table is not there.
    assert!(check_strip(&histogram(5)).trap.unwrap().tval >= DATA + DATA_SIZE);
}

#[test]
fn an_address_that_moves_in_some_rounds() {
    let program = [
        addi(11, 10, 0),
        addi(13, 0, 1900),
        Insn::Andi(I {
            rd: x(15),
            rs1: x(13),
            imm: 3,
        }),
        sd(13, 11, 0),
        bne(15, 0, 16),
        addi(11, 11, 40),
        ld(14, 11, 8),
        add(16, 16, 14),
        addi(13, 13, -1),
        bne(13, 0, -28),
        end(),
    ];
    check_strip(&program);
}

#[test]
fn a_loop_in_a_loop_that_runs_few_and_many_rounds() {
    for most in [3, 40, 300] {
        let program = [
            addi(17, 0, most),
            addi(11, 10, 0),
            addi(13, 17, 0),
            ld(15, 11, 0),
            add(16, 16, 15),
            sd(16, 11, 0),
            addi(11, 11, 8),
            addi(13, 13, -1),
            bne(13, 0, -20),
            addi(17, 17, -1),
            bne(17, 0, -36),
            end(),
        ];
        check_strip(&program);
    }
}

#[test]
fn a_loop_that_was_seen_to_run_few_rounds_has_no_copy() {
    let program = [
        addi(17, 0, 500),
        addi(11, 10, 0),
        addi(13, 17, 0),
        sd(13, 11, 0),
        addi(11, 11, 8),
        addi(13, 13, -1),
        bne(13, 0, -12),
        addi(17, 17, -1),
        bne(17, 0, -28),
        end(),
    ];
    let (outer, inner) = (CODE + 4, CODE + 12);
    for (rounds, times, copied) in [(9000, 1000, false), (9000, 100, true), (9000, 0, true)] {
        let options = Options {
            listings: true,
            ..options(false)
        };
        let jit = Jit::new(options, space(&assemble(&program))).unwrap();
        let arrivals = |pc: u64| match pc {
            _ if pc == inner => Some(rounds),
            _ if pc == outer => Some(times),
            _ => None,
        };
        let heat = jit::Heat {
            arrivals: &arrivals,
            ran: &|_| true,
            spent: &|_| 0,
        };
        jit.request_hot(CODE, &heat);
        assert_eq!(
            looks_at_pages(&jit),
            copied,
            "{rounds} rounds, {times} times"
        );
    }
}

#[test]
fn an_address_that_cannot_be_told_beforehand() {
    // A list is followed: each word leads to the next.
    let program = [
        addi(11, 10, 8),
        sd(10, 10, 0),
        sd(10, 10, 8),
        addi(13, 0, 90),
        ld(11, 11, 0),
        addi(13, 13, -1),
        bne(13, 0, -8),
        end(),
    ];
    assert!(!has_strip(&program));
    check(&program, &start());
}

#[test]
fn a_loop_that_writes_the_page_that_its_code_is_on() {
    // Behind the program.
    let program = [
        Insn::Auipc(U { rd: x(11), imm: 0 }),
        addi(13, 0, 200),
        sd(13, 11, 1024),
        addi(11, 11, 8),
        addi(13, 13, -1),
        bne(13, 0, -12),
        end(),
    ];
    check_strip(&program);
}

#[test]
fn memory_that_another_hart_takes_away_while_a_loop_runs() {
    // x12 counts all stores, x11 is where the next goes; round and round on half of the data.
    let program = [
        addi(13, 0, 1024),
        addi(11, 10, 0),
        sd(12, 11, 0),
        addi(11, 11, 8),
        addi(12, 12, 1),
        addi(13, 13, -1),
        bne(13, 0, -16),
        jump(-28),
    ];
    let space = space(&assemble(&program));
    let jit = Jit::new(options(false), space.clone()).unwrap();
    let _other = jit.hart();
    let mut hart = jit.hart();
    *hart.state_mut() = start();
    let running = Arc::new(AtomicU32::new(0));
    let (seen, taken) = (running.clone(), space.clone());
    let other = std::thread::spawn(move || {
        while seen.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        taken.unmap(DATA + PAGE, PAGE).unwrap();
    });
    let mut interp = interp::Interp::new(interp::Options::default());
    let trap = loop {
        match hart.run(u64::MAX) {
            Exit::Missing => {
                jit.request(hart.state().pc);
                running.store(1, Ordering::Release);
            }
            Exit::Replay => {
                let poll = AtomicU32::new(0);
                match interp.run(hart.state_mut(), &*space, u64::MAX, &poll) {
                    interp::Exit::Trap(trap) => break trap,
                    exit => panic!("the fault does not come again but {exit:?}"),
                }
            }
            exit => panic!("{exit:?}"),
        }
    };
    other.join().unwrap();
    let x = hart.state().x;
    assert_eq!(trap.tval, x[11]);
    assert_eq!((x[11] - DATA) / 8, x[12] % 1024, "after {} stores", x[12]);
    assert_eq!(1024 - x[13], x[12] % 1024);
}

/// A random loop of loads, stores and steps, which may run out of the data.
fn random(seed: u64) -> (Vec<Insn>, HartState) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = move |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % n
    };
    let mut at_start = start();
    // x20 to x23 are addresses, x24 to x26 strides, x12 counts down.
    for register in 20..24 {
        let near = [0, DATA_SIZE, DATA_SIZE / 2, PAGE, DATA_SIZE - 3 * PAGE];
        let away = below(128).wrapping_sub(64) & !(below(2) * 7);
        at_start.x[register] = DATA + near[below(5) as usize].wrapping_add(away);
    }
    for register in 24..27 {
        at_start.x[register] = below(80).wrapping_sub(16);
    }
    at_start.x[12] = 1 + below(400);
    let mut body = Vec::new();
    for _ in 0..2 + below(7) {
        let base = 20 + below(4) as u8;
        let value = 14 + below(4) as u8;
        let imm = below(64) as i32 - 32;
        match below(9) {
            0 | 1 => body.push(ld(value, base, imm)),
            2 | 3 => body.push(sd(value, base, imm)),
            4 => body.push(addi(base, base, [8, 16, -8, 40, 2040][below(5) as usize])),
            5 => body.push(add(base, base, 24 + below(3) as u8)),
            6 => body.extend([
                lbu(18, base, imm),
                slli(18, 18, 2),
                add(18, 18, 20 + below(4) as u8),
                sb(value, 18, imm),
            ]),
            7 => body.extend([
                bne(value, 0, 4 * (2 + below(2) as i32)),
                addi(base, base, imm & !7),
                sub(value, value, 12),
            ]),
            _ => body.push(add(value, value, 14 + below(4) as u8)),
        }
    }
    // Something to jump over for each branch.
    body.push(addi(19, 19, 1));
    body.push(addi(12, 12, -1));
    let mut program = vec![addi(19, 0, 0)];
    let back = -4 * body.len() as i32;
    program.extend(body);
    program.extend([bne(12, 0, back), end()]);
    (program, at_start)
}

#[test]
fn random_loops_do_the_same_on_both_engines() {
    let count = std::env::var("BHV_LOOPS").ok();
    let count: u64 = count.map_or(300, |count| count.parse().unwrap());
    let mut strips = 0;
    for seed in 1..=count {
        let (program, at_start) = random(seed);
        strips += u64::from(seed <= 40 && has_strip(&program));
        let result = std::panic::catch_unwind(|| check(&program, &at_start));
        assert!(result.is_ok(), "seed {seed}: {program:#?}");
    }
    assert!(strips > 5, "hardly any has a copy: {strips} of 40");
}
