//! C programs that check the kernel from the inside (`tests/guest`), under both schedulers.
//!
//! They are built with `riscv64-linux-gnu-gcc` (Debian: gcc-riscv64-linux-gnu); without it the
//! tests say so and pass.

mod common;

use common::InterpCpu;
use common::script::{Folder, isolated};
use linux::{Config, Exit, Grant, Process, Program, Schedule};
use memory::UserSpace;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// One at a time: they fork, and what a child inherits must not depend on other tests.
static ALONE: Mutex<()> = Mutex::new(());

/// Builds and runs a program; its exit code counts what it found wrong.
fn check(name: &str, schedule: Schedule) {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = Folder::new();
    let program = folder.path.join(name);
    let source = format!("{}/tests/guest/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let built = Command::new("riscv64-linux-gnu-gcc")
        .args(["-O1", "-Wall", "-static", "-pthread", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    match built {
        Ok(status) => assert!(status.success(), "{name} does not build"),
        Err(_) => return eprintln!("{name}: skipped, install gcc-riscv64-linux-gnu"),
    }
    let mut config = Config {
        schedule,
        cwd: Some("/box".into()),
        ..isolated()
    };
    config.grants.push(Grant {
        host: folder.path.clone(),
        guest: "/box".into(),
        writable: true,
        implicit: false,
    });
    let space = Arc::new(UserSpace::reserve().unwrap());
    let cpu = InterpCpu::boxed(space.clone(), schedule != Schedule::Threads);
    let path = format!("/box/{name}");
    let argv = vec![path.clone().into_bytes()];
    let program = Program {
        path: path.into(),
        argv,
        envp: Vec::new(),
    };
    let mut process = Process::start(config, &program, space, cpu).unwrap();
    assert_eq!(
        process.run().unwrap(),
        Exit::Code(0),
        "see what it said on stderr"
    );
}

#[test]
fn signals() {
    // Not under the exact scheduler: it races real children against virtual alarms.
    check("signals", Schedule::Threads);
}

#[test]
fn threads() {
    check("threads", Schedule::Threads);
}

#[test]
fn threads_in_turn() {
    check("threads", Schedule::exact(1));
    check(
        "threads",
        Schedule::Exact {
            seed: 1,
            quantum: 97,
        },
    );
}

#[test]
fn files() {
    check("files", Schedule::Threads);
    check("files", Schedule::exact(1));
}
