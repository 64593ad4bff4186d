//! Compiled code that is kept between runs, as users see it: later starts compile nothing and do
//! the same, and what is damaged, foreign or not ours alone is not used.

mod common;

use common::{Outcome, Scratch, wait};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
/// More starts than any of these programs needs until all that is worth it is compiled.
const STARTS: usize = 20;

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("guests/bin")
        .join(name)
}

/// A run that keeps its code in `folder`.
fn run(folder: &Path, program: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.args(["run", "--stats", "--foreground", "--threshold", "300"]);
    command.arg("--translations").arg(folder);
    command.arg(program).args(arguments);
    wait(command, PATIENCE)
}

/// A number that --stats prints, by the word before it; 0 if the line is missing.
fn stat(done: &Outcome, word: &str) -> u64 {
    let text = String::from_utf8_lossy(&done.stderr);
    let mut lines = text.lines().map(str::trim);
    let line = lines.find_map(|line| line.strip_prefix(word));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Starts a program until it compiles nothing more; what it said then.
fn settle(folder: &Path, program: &Path, arguments: &[&str]) -> Outcome {
    let first = run(folder, program, arguments);
    assert!(stat(&first, "compiled") > 0, "{first:?}");
    for _ in 1..STARTS {
        let again = run(folder, program, arguments);
        assert_eq!((again.code, &again.stdout), (first.code, &first.stdout));
        assert!(stat(&again, "kept") > 0, "{again:?}");
        if stat(&again, "compiled") == 0 {
            return again;
        }
    }
    panic!("{program:?} compiles something at every one of {STARTS} starts");
}

/// The only file in a folder.
fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let file = files.next().expect("a file");
    assert!(files.next().is_none(), "more than one file");
    file.path()
}

#[test]
fn programs_that_were_started_before_compile_nothing_and_do_the_same() {
    let scratch = Scratch::new("started-again");
    for (name, count) in [
        ("mixed", "100"),
        ("nbody", "2000"),
        ("lisp", "3"),
        ("containers", "1"),
        ("bytecode_goto", "5"),
        ("fft", "50"),
    ] {
        let folder = scratch.path().join(name);
        let settled = settle(&folder, &guest(name), &[count]);
        let text = String::from_utf8_lossy(&settled.stdout);
        assert!(text.ends_with("right\n"), "{text}");
    }
}

#[test]
fn exact_runs_have_the_same_count_with_code_that_was_kept() {
    let scratch = Scratch::new("kept-exact");
    let count = |engine: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
        command.args(["run", "--exact", "--stats", "--threshold", "300"]);
        command.args(engine).arg("--translations");
        command.arg(scratch.path().join("code"));
        command.arg(guest("lisp")).arg("3");
        let done = wait(command, PATIENCE);
        (stat(&done, "retired"), stat(&done, "kept"))
    };
    let (expected, _) = count(&["--engine", "interp"]);
    assert!(expected > 0);
    assert_eq!(count(&[]).0, expected);
    let (again, kept) = count(&[]);
    assert!(kept > 0);
    assert_eq!(again, expected);
}

#[test]
fn code_of_an_exact_run_is_not_used_by_one_that_does_not_count() {
    let scratch = Scratch::new("kept-counting");
    let folder = scratch.path().join("code");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.args(["run", "--exact", "--threshold", "300", "--translations"]);
    command.arg(&folder).arg(guest("mixed")).arg("50");
    assert_eq!(wait(command, PATIENCE).code, 0);
    let other = run(&folder, &guest("mixed"), &["50"]);
    assert_eq!((other.code, stat(&other, "kept")), (0, 0), "{other:?}");
}

#[test]
fn damaged_files_are_not_used_and_are_written_anew() {
    let scratch = Scratch::new("kept-damaged");
    let folder = scratch.path().join("code");
    let settled = settle(&folder, &guest("mixed"), &["50"]);
    let file = only_file(&folder);
    let whole = fs::read(&file).unwrap();
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 0x10;
    for (what, bytes) in [
        ("cut in the middle", whole[..middle].to_vec()),
        ("one bit flipped", flipped),
        ("empty", Vec::new()),
        ("something else", b"#!/bin/sh\n".repeat(100)),
    ] {
        fs::write(&file, &bytes).unwrap();
        let done = run(&folder, &guest("mixed"), &["50"]);
        assert_eq!((done.code, &done.stdout), (0, &settled.stdout), "{what}");
        let mended = settle_again(&folder);
        assert_eq!(mended.stdout, settled.stdout, "{what}");
    }
}

/// Starts `mixed` until nothing is compiled.
fn settle_again(folder: &Path) -> Outcome {
    (0..STARTS)
        .map(|_| run(folder, &guest("mixed"), &["50"]))
        .find(|done| stat(done, "compiled") == 0 && stat(done, "kept") > 0)
        .expect("the file is mended")
}

#[test]
fn a_program_that_changed_is_compiled_anew() {
    let scratch = Scratch::new("kept-changed");
    let folder = scratch.path().join("code");
    let program = scratch.file("program", &fs::read(guest("mixed")).unwrap());
    settle(&folder, &program, &["50"]);
    let kept = only_file(&folder);
    // As if the other program had the name of this one's code: everything in it is foreign.
    let other = settle(&scratch.path().join("other"), &guest("records"), &["20000"]);
    fs::copy(&kept, only_file(&scratch.path().join("other"))).unwrap();
    let done = run(&scratch.path().join("other"), &guest("records"), &["20000"]);
    assert_eq!((done.code, &done.stdout), (0, &other.stdout));
    assert!(stat(&done, "compiled") > 0, "{done:?}");
}

#[test]
fn what_others_can_write_is_not_used() {
    let scratch = Scratch::new("kept-open");
    let folder = scratch.path().join("code");
    settle(&folder, &guest("mixed"), &["50"]);
    let file = only_file(&folder);
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    let done = run(&folder, &guest("mixed"), &["50"]);
    assert_eq!((done.code, stat(&done, "kept")), (0, 0), "{done:?}");
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let done = run(&folder, &guest("mixed"), &["50"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_ne!(done.code, 0);
    assert!(
        said.contains("may be written by others") && said.contains("help:"),
        "{said}"
    );
}

#[test]
fn a_guest_cannot_be_let_at_the_code_that_is_kept() {
    let scratch = Scratch::new("kept-granted");
    let folder = scratch.path().join("code");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let with = |grant: &Path, mode: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
        let grant = format!("{}:/data{mode}", grant.display());
        command.args(["run", "--dir", &grant, "--translations"]);
        command.arg(&folder).arg(guest("hello"));
        wait(command, PATIENCE)
    };
    for grant in [scratch.path(), &folder] {
        let done = with(grant, "");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.code, 2, "{said}");
        assert!(said.contains("runs on the host"), "{said}");
        assert_eq!(with(grant, ":ro").code, 0);
    }
}

/// Later runs use the folder, so it does not matter that this one keeps nothing there.
#[test]
fn no_guest_may_write_where_later_runs_look_for_code() {
    let scratch = Scratch::new("kept-usual");
    let shared = scratch.path().to_str().unwrap();
    let machine = guest("machine_traps");
    let machine = machine.to_str().unwrap();
    let hello = guest("hello");
    let hello = hello.to_str().unwrap();
    let bhv = |arguments: &[&str], caches: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
        command.args(arguments).env("XDG_CACHE_HOME", caches);
        wait(command, PATIENCE)
    };
    let run = ["run", "--translations", "none", "--dir", shared, hello];
    let share = format!("files={shared}");
    let boot = ["boot", "--kernel", machine, "--share", &share];
    let elsewhere = Scratch::new("kept-elsewhere");
    for arguments in [&run[..], &boot[..]] {
        // There is nothing yet at either place: the guest could make it.
        let refused = bhv(arguments, &scratch.path().join("caches"));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.code, 2, "{said}");
        assert!(said.contains("runs on the host"), "{said}");
        let done = bhv(arguments, elsewhere.path());
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!said.contains("runs on the host"), "{said}");
    }
    assert_eq!(bhv(&run, elsewhere.path()).code, 0);
}
