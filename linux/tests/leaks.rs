//! A process that is gone leaves nothing behind, whatever became of it.

mod common;

use common::InterpCpu;
use common::script::isolated;
use linux::{Config, Exit, Kick, Process, Program, Schedule};
use memory::UserSpace;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

fn prepare(schedule: Schedule) -> (Process, Weak<dyn Kick>, Weak<UserSpace>) {
    let config = Config {
        schedule,
        ..isolated()
    };
    let space = Arc::new(UserSpace::reserve().unwrap());
    let cpu = InterpCpu::boxed(space.clone(), schedule != Schedule::Threads);
    // What the process's side of the main thread holds, and nobody else once that is gone.
    let kick = Arc::downgrade(&cpu.kicker());
    let program = Program {
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/bin/threads"),
        argv: vec![b"threads".to_vec()],
        envp: Vec::new(),
    };
    let weak = Arc::downgrade(&space);
    let process = Process::start(config, &program, space, cpu).unwrap();
    (process, kick, weak)
}

/// Threads that have ended for the guest may be about to end on the host.
fn assert_gone(kick: &Weak<dyn Kick>, space: &Weak<UserSpace>) {
    let start = Instant::now();
    while kick.strong_count() + space.strong_count() > 0 {
        let (kick, space) = (kick.strong_count(), space.strong_count());
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{kick} references to the main thread are left, {space} to the memory"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_process_that_ran_is_freed() {
    for schedule in [Schedule::Threads, Schedule::exact(1)] {
        let (mut process, kick, space) = prepare(schedule);
        assert_eq!(process.run().unwrap(), Exit::Code(0));
        drop(process);
        assert_gone(&kick, &space);
    }
}

#[test]
fn a_process_that_never_ran_or_was_stopped_is_freed() {
    for (schedule, until) in [
        (Schedule::Threads, 0),
        (Schedule::exact(1), 0),
        (Schedule::exact(1), 50_000),
    ] {
        let (mut process, kick, space) = prepare(schedule);
        if until > 0 {
            process.run_until(until).unwrap();
            assert_eq!(process.total(), until);
        }
        drop(process);
        assert_gone(&kick, &space);
    }
}
