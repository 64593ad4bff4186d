//! `bhv diff run`: quiet where the engines agree, and right about where they do not.

mod common;

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

fn diff(options: &[&str], name: &str, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command
        .args(["diff", "run"])
        .args(options)
        .arg(guest(name))
        .args(arguments);
    wait(command, PATIENCE)
}

fn said(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stderr).into_owned()
}

/// The engines agree on this program, at this granularity.
#[track_caller]
fn agree(granularity: &str, name: &str, arguments: &[&str]) {
    let outcome = diff(&["--granularity", granularity], name, arguments);
    let said = said(&outcome);
    assert_eq!(outcome.code, 0, "{name}: {said}");
    assert!(said.contains("no difference in"), "{name}: {said}");
}

/// With this instruction compiled wrongly the difference is found and the instruction named.
#[track_caller]
fn found(mnemonic: &str, name: &str, arguments: &[&str]) {
    let outcome = diff(&["--sabotage", mnemonic], name, arguments);
    let said = said(&outcome);
    assert_eq!(outcome.code, 1, "{mnemonic} in {name}: {said}");
    let headline = said.lines().next().unwrap_or_default();
    // A compressed instruction is shown by its own name: c.xor for xor.
    let named = headline
        .split([' ', '\t', '.'])
        .any(|word| word == mnemonic);
    let named = named || headline.contains(&format!(": {mnemonic}\t"));
    assert!(
        headline.starts_with("bhv diff: the engines differ at 0x") && named,
        "{said}"
    );
    for needed in [
        "the way there:",
        "before",
        "jit",
        "interp",
        "<-- differ",
        "instret",
    ] {
        assert!(said.contains(needed), "{needed} is missing: {said}");
    }
}

#[test]
fn programs_agree() {
    agree("50000", "mixed", &["60"]);
    agree("50000", "nbody", &["200"]);
    agree("50000", "json", &["30"]);
    agree("50000", "strings", &["2"]);
    agree("1000", "virtual", &["2000"]);
}

#[test]
fn threads_and_signals_agree() {
    agree("5000", "threads", &[]);
    agree("5000", "signals", &[]);
    agree("5000", "patch", &[]);
}

#[test]
fn any_granularity_agrees() {
    agree("syscall", "sort", &["1"]);
    agree("block", "hello", &[]);
    agree("1", "hello", &[]);
}

#[test]
fn a_wrong_instruction_is_found_and_named() {
    found("xor", "mixed", &["20"]);
    found("addiw", "crc32", &["1"]);
    found("mulhu", "bigint", &["1"]);
    found("sltu", "bigint", &["1"]);
    found("fmul.d", "nbody", &["50"]);
    found("fadd.s", "matmul32", &["1"]);
}

#[test]
fn an_instruction_that_does_not_exist_is_refused() {
    let outcome = diff(&["--sabotage", "frobnicate"], "hello", &[]);
    assert_eq!(outcome.code, 2);
    assert!(said(&outcome).contains("there is no instruction 'frobnicate'"));
}

#[test]
fn a_granularity_of_nothing_is_refused() {
    for text in ["0", "-1", "some"] {
        let option = format!("--granularity={text}");
        let outcome = diff(&[&option], "hello", &[]);
        assert_eq!(outcome.code, 2, "{text}: {}", said(&outcome));
    }
}
