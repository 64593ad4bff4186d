//! The smallest engine on top of this crate: runs a static program that only writes and exits.
//!
//!     cargo run --release -p jit --example guest -- guests/bin/crc32 [ARGUMENT...]
//!
//! `JIT_STATS=1` prints what the compiler did, `JIT_EXPLAIN=10100,10200` what the regions around
//! these addresses became, `JIT_COUNTING=1` counts, `JIT_FOREGROUND=1` does without the thread.

use interp::Interp;
use jit::{Exit, Jit, Options, Request};
use memory::{Place, Protection, Sharing, UserSpace};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

const STACK: u64 = 0x3f_0000_0000;
const STACK_SIZE: u64 = 8 << 20;
const THRESHOLD: u64 = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = std::fs::read(&arguments[0]).expect("the program can be read");
    let space = Arc::new(UserSpace::reserve().expect("an address space"));
    let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().expect("8 bytes"));
    let (entry, headers) = (word(24), word(32) as usize);
    let count = u16::from_le_bytes(file[56..58].try_into().expect("2 bytes"));
    for header in (0..usize::from(count)).map(|n| headers + 56 * n) {
        if word(header) as u32 != 1 {
            continue;
        }
        let (offset, va) = (word(header + 8) as usize, word(header + 16));
        let (in_file, in_memory) = (word(header + 32) as usize, word(header + 40));
        let start = va & !4095;
        let all = Protection::READ_WRITE | Protection::EXECUTE;
        let end = (va + in_memory).next_multiple_of(4096);
        space
            .map_anonymous(
                Place::Fixed(start),
                end - start,
                all,
                Sharing::Private,
                None,
            )
            .expect("a segment");
        space
            .write_bytes(va, &file[offset..offset + in_file])
            .expect("a segment's bytes");
    }
    space
        .map_anonymous(
            Place::Fixed(STACK - STACK_SIZE),
            STACK_SIZE,
            Protection::READ_WRITE,
            Sharing::Private,
            None,
        )
        .expect("a stack");

    // argc, argv, a null, an empty environment, an empty auxiliary vector.
    let mut sp = STACK - 4096;
    let mut words = vec![arguments.len() as u64];
    let mut text = sp;
    for argument in &arguments {
        words.push(text);
        space
            .write_bytes(text, argument.as_bytes())
            .expect("arguments");
        text += argument.len() as u64 + 1;
    }
    words.extend([0, 0, 0, 0]);
    sp -= (8 * words.len() as u64).next_multiple_of(16);
    for (n, word) in words.iter().enumerate() {
        space.store::<u64>(sp + 8 * n as u64, *word).expect("stack");
    }

    let counting = std::env::var_os("JIT_COUNTING").is_some();
    let background = std::env::var_os("JIT_FOREGROUND").is_none();
    let explained: Vec<u64> = std::env::var("JIT_EXPLAIN")
        .unwrap_or_default()
        .split(',')
        .filter_map(|pc| u64::from_str_radix(pc, 16).ok())
        .collect();
    let listings = !explained.is_empty();
    let options = Options {
        counting,
        background,
        listings,
        ..Options::default()
    };
    let jit = Jit::new(options, space.clone()).expect("a compiler");
    let mut hart = jit.hart();
    let mut interp = Interp::new(interp::Options {
        threshold: THRESHOLD,
        ..interp::Options::default()
    });
    hart.state_mut().pc = entry;
    hart.state_mut().x[2] = sp;
    let poll = AtomicU32::new(0);
    let limit = u64::MAX;
    loop {
        let mut trap = match hart.run(limit) {
            Exit::Missing => None,
            Exit::Trap(trap) => Some(trap),
            Exit::Interpret | Exit::Hot | Exit::Limit | Exit::Rounding => {
                match interp.step(hart.state_mut(), &*space) {
                    interp::Exit::Trap(trap) => Some(trap),
                    _ => continue,
                }
            }
            Exit::FenceI => {
                jit.invalidate(&space.stale_since(0).1);
                continue;
            }
            Exit::Poll => continue,
            Exit::Replay => loop {
                match interp.run(hart.state_mut(), &*space, limit, &poll) {
                    interp::Exit::Trap(trap) => break Some(trap),
                    interp::Exit::Hot => interp.set_countdown(&*space, hart.state().pc, THRESHOLD),
                    _ => {}
                }
            },
        };
        while trap.is_none() {
            match interp.run(hart.state_mut(), &*space, limit, &poll) {
                interp::Exit::Hot => {
                    let pc = hart.state().pc;
                    match jit.request(pc) {
                        Request::Ready => {
                            interp.set_countdown(&*space, pc, 1);
                            break;
                        }
                        Request::Queued => interp.set_countdown(&*space, pc, 64),
                        Request::Later(arrivals) => {
                            interp.set_countdown(&*space, pc, arrivals.into())
                        }
                        Request::Refused | Request::Kept(_) => interp.set_countdown(&*space, pc, 0),
                    }
                }
                interp::Exit::Trap(reason) => trap = Some(reason),
                interp::Exit::FenceI => interp.clear(),
                interp::Exit::Attention | interp::Exit::Wait => unreachable!("user mode"),
                interp::Exit::Limit | interp::Exit::Poll => {}
            }
        }
        let Some(trap) = trap else { continue };
        let state = hart.state_mut();
        if trap.cause != hart::Cause::EcallFromU {
            eprintln!("{trap:x?} at {:#x}", state.pc);
            std::process::exit(1);
        }
        match state.x[17] {
            64 => {
                let mut bytes = vec![0; state.x[12] as usize];
                space
                    .read_bytes(state.x[11], &mut bytes)
                    .expect("readable bytes");
                std::io::stdout()
                    .write_all(&bytes)
                    .expect("a standard output");
                state.x[10] = bytes.len() as u64;
            }
            93 | 94 => {
                if std::env::var_os("JIT_STATS").is_some() {
                    eprintln!("{:?}", jit.stats());
                }
                let code = state.x[10] as i32;
                for listing in explained.iter().filter_map(|&pc| jit.explain(pc)) {
                    println!("region {:x?} {:x}", listing.entries, listing.address);
                    for line in &listing.lines {
                        println!("guest {:x} {:?}", line.pc, line.host);
                        for clif in &line.clif {
                            println!("    {clif}");
                        }
                    }
                    println!("code {:02x?}", listing.code);
                }
                std::process::exit(code);
            }
            call => panic!("system call {call}"),
        }
        state.pc += 4;
    }
}
