//! Our own guest programs on both engines: each prints what its native twin prints.

mod common;

use baby_hypervisor::bench::programs::PROGRAMS;
use common::{Outcome, wait};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("guests/bin")
        .join(name)
}

fn bhv(engine: &str, options: &[&str], name: &str, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command
        .args(["run", "--engine", engine])
        .args(options)
        .arg(guest(name))
        .args(arguments);
    wait(command, PATIENCE)
}

/// Both engines print this and end with this code.
fn check(name: &str, arguments: &[&str], code: i32, expected: &str) {
    for engine in ["jit", "interp"] {
        for options in [[].as_slice(), &["--exact"]] {
            let got = bhv(engine, options, name, arguments);
            let printed = String::from_utf8_lossy(&got.stdout);
            let said = String::from_utf8_lossy(&got.stderr);
            assert_eq!(printed, expected, "{name} on {engine} {options:?}: {said}");
            assert_eq!(got.code, code, "{name} on {engine} {options:?}: {said}");
        }
    }
}

/// The word a program's output starts with.
fn word(name: &str) -> &str {
    if name == "hello" { "Hello" } else { name }
}

/// What each program prints for a demo's worth of work: what the native build printed.
const EXPECTED: &str = include_str!("../guests/expected.txt");

#[test]
fn every_program_prints_what_its_native_twin_prints() {
    for program in PROGRAMS {
        let line = EXPECTED
            .lines()
            .find(|line| line.split(' ').next() == Some(word(program.name)));
        let line = line.unwrap_or_else(|| panic!("{} is not in guests/expected.txt", program.name));
        check(program.name, &[], 0, &format!("{line}\n"));
    }
}

#[test]
fn hello_runs_wherever_it_is_put() {
    check("hello", &[], 0, "Hello from RISC-V\n");
    check("hello_pie", &[], 0, "Hello from anywhere\n");
}

#[test]
fn threads_count_together() {
    check("threads", &[], 0, "threads 0000000000004e20 right\n");
}

#[test]
fn fused_operations_round_as_the_manual_says() {
    check("fused", &[], 0, "fused 5dbfd9af4a463a15 right\n");
}

#[test]
fn rewritten_code_is_seen_after_fence_i() {
    check("patch", &[], 0, "patch fc943b52a63c3936 right\n");
    check(
        "patch_silent",
        &[],
        0,
        "patch_silent 0000000000000000 right\n",
    );
}

#[test]
fn a_fault_handler_sees_every_register_and_can_go_on() {
    check("signals", &[], 0, include_str!("../guests/signals.txt"));
}

#[test]
fn arguments_and_exit_codes_pass_through() {
    for engine in ["jit", "interp"] {
        let options = ["--env", "ONE=1", "--env", "EMPTY="];
        let got = bhv(engine, &options, "arguments", &["a b", "", "ü", "42"]);
        let printed = String::from_utf8_lossy(&got.stdout);
        assert!(printed.starts_with("a b\n\nü\n42\n"), "{printed}");
        assert!(printed.lines().any(|line| line == "ONE=1"), "{printed}");
        assert!(printed.lines().any(|line| line == "EMPTY="), "{printed}");
        assert_eq!(got.code, 42);
    }
}

#[test]
fn the_demo_finds_everything_as_it_should_be() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.arg("demo");
    let got = wait(command, PATIENCE);
    let printed = String::from_utf8_lossy(&got.stdout);
    assert_eq!(
        got.code,
        0,
        "{printed}{}",
        String::from_utf8_lossy(&got.stderr)
    );
    assert!(printed.contains('✓') && !printed.contains('✗'), "{printed}");
}
