//! The exact scheduler: two runs are the same, stopping does not change a run, and a process that
//! is saved and resumed goes on as if nothing had happened.

mod common;

use common::InterpCpu;
use common::script::isolated;
use linux::{Config, Exit, Process, ProcessImage, Program, Progress, Schedule};
use memory::{Place, Protection, Sharing, UserSpace};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../guests/bin")
        .join(name)
}

fn start(name: &str, seed: u64) -> Process {
    let config = Config {
        schedule: Schedule::Exact {
            seed,
            quantum: 5_000,
        },
        ..isolated()
    };
    let space = Arc::new(UserSpace::reserve().unwrap());
    let cpu = InterpCpu::boxed(space.clone(), true);
    let argv = vec![name.as_bytes().to_vec()];
    let program = Program {
        path: guest(name),
        argv,
        envp: Vec::new(),
    };
    Process::start(config, &program, space, cpu).unwrap()
}

/// Everything the guest has: its memory, and how it ended and when.
#[derive(PartialEq, Debug)]
struct End {
    exit: Exit,
    total: u64,
    memory: u64,
}

fn hash(space: &UserSpace) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for vma in space.vmas() {
        let mut page = [0; 4096];
        for va in (vma.start..vma.end).step_by(4096) {
            let word = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x100_0000_01b3);
            hash = word(hash, va);
            if space.read_bytes(va, &mut page).is_ok() && page.iter().any(|&byte| byte != 0) {
                for chunk in page.chunks_exact(8) {
                    hash = word(hash, u64::from_le_bytes(chunk.try_into().unwrap()));
                }
            }
        }
    }
    hash
}

/// Runs to the end, where memory can still be looked at.
fn end(mut process: Process) -> End {
    process.hold_exit(true);
    assert_eq!(process.run_until(u64::MAX).unwrap(), Progress::Reached);
    assert!(process.is_exiting());
    let (total, memory) = (process.total(), hash(process.space()));
    let exit = process.run().unwrap();
    End {
        exit,
        total,
        memory,
    }
}

/// A copy of a process in a fresh address space, by way of its image.
fn saved_and_resumed(process: Process) -> Process {
    let image: ProcessImage = process.save().unwrap();
    let config = process.config().clone();
    let space = Arc::new(UserSpace::reserve().unwrap());
    for vma in process.space().vmas() {
        let (len, name) = (vma.end - vma.start, vma.name.clone());
        let place = Place::Fixed(vma.start);
        space
            .map_anonymous(place, len, Protection::READ_WRITE, Sharing::Private, name)
            .unwrap();
        let mut page = [0; 4096];
        for va in (vma.start..vma.end).step_by(4096) {
            if process.space().read_bytes(va, &mut page).is_ok() && page.iter().any(|&b| b != 0) {
                space.write_bytes(va, &page).unwrap();
            }
        }
        space.protect(vma.start, len, vma.protection).unwrap();
    }
    drop(process);
    let cpu = InterpCpu::boxed(space.clone(), true);
    Process::resume(image, config, space, cpu).unwrap()
}

#[test]
fn two_runs_are_the_same() {
    for name in ["hello", "threads"] {
        assert_eq!(end(start(name, 7)), end(start(name, 7)), "{name}");
    }
}

#[test]
fn the_seed_is_what_random_numbers_depend_on() {
    // AT_RANDOM lies on the stack.
    assert_ne!(end(start("hello", 1)).memory, end(start("hello", 2)).memory);
}

#[test]
fn run_until_stops_at_exactly_the_count() {
    let mut process = start("threads", 1);
    for count in [1, 2, 1000, 4999, 5000, 5001, 12_345] {
        assert_eq!(process.run_until(count).unwrap(), Progress::Reached);
        assert_eq!(process.total(), count);
    }
}

#[test]
fn stopping_saving_and_resuming_change_nothing() {
    for name in ["hello", "threads", "signals"] {
        let whole = end(start(name, 3));
        for part in [1, 7, 13, 50, 90] {
            let mut process = start(name, 3);
            let count = whole.total * part / 100;
            assert_eq!(process.run_until(count).unwrap(), Progress::Reached);
            assert_eq!(
                end(saved_and_resumed(process)),
                whole,
                "{name} saved at {count}"
            );
        }
    }
}

#[test]
fn a_process_counts_its_own_instructions_alone() {
    let count = || {
        let space = Arc::new(UserSpace::reserve().unwrap());
        let cpu = InterpCpu::boxed(space.clone(), false);
        let program = Program {
            path: guest("hello"),
            argv: vec![b"hello".to_vec()],
            envp: Vec::new(),
        };
        let mut process = Process::start(isolated(), &program, space, cpu).unwrap();
        assert_eq!(process.run().unwrap(), Exit::Code(0));
        process.total()
    };
    let first = count();
    assert!(first > 50);
    assert_eq!(count(), first, "the second in the same host process");
}

#[test]
fn a_process_on_host_threads_refuses_to_be_saved() {
    let space = Arc::new(UserSpace::reserve().unwrap());
    let cpu = InterpCpu::boxed(space.clone(), false);
    let program = Program {
        path: guest("hello"),
        argv: vec![b"hello".to_vec()],
        envp: Vec::new(),
    };
    let process = Process::start(isolated(), &program, space, cpu).unwrap();
    let message = process.save().err().unwrap().to_string();
    assert!(message.contains("--exact"), "{message}");
}
