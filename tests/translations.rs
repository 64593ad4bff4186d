//! Compiled code that is kept between runs, as users see it: later starts compile nothing and do
//! the same, and what is damaged, foreign or not ours alone is not used.

mod common;
#[path = "../linux/tests/common/mod.rs"]
mod guest_script;

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

/// The directory that a program is started in is its own to write, and may be the user's home.
#[test]
fn a_guest_started_in_the_home_directory_does_not_get_at_the_code_that_is_kept_there() {
    const HERE: i32 = -100;
    const CREATE: i32 = 0o102;
    let mut script = guest_script::script::Script::new();
    let mut call = |number: u64, arguments: &[Result<i32, &str>]| {
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| match argument {
                Ok(number) => (*number).into(),
                Err(text) => script.text(text).into(),
            })
            .collect();
        script.call(number, &arguments);
    };
    let here = Ok(HERE);
    let (caches, ours) = (".cache", ".cache/baby_hypervisor");
    let code = ".cache/baby_hypervisor/translations";
    let new = ".cache/baby_hypervisor/translations/planted";
    // openat, linkat, mkdirat, renameat2, symlinkat.
    call(56, &[here, Err("mine/planted"), Ok(CREATE), Ok(0o600)]);
    call(34, &[here, Err("reached"), Ok(0o700)]);
    call(56, &[here, Err(new), Ok(CREATE), Ok(0o600)]);
    call(37, &[here, Err("mine/planted"), here, Err(new), Ok(0)]);
    for (name, away) in [(code, "away1"), (ours, "away2"), (caches, "away3")] {
        call(276, &[here, Err(name), here, Err(away), Ok(0)]);
        call(276, &[here, Err("mine"), here, Err(name), Ok(0)]);
        call(36, &[Err("mine"), here, Err(name)]);
        call(34, &[here, Err(name), Ok(0o700)]);
    }
    call(56, &[here, Err(new), Ok(CREATE), Ok(0o600)]);
    for made in [false, true] {
        let scratch = Scratch::new(&format!("kept-home-{made}"));
        let attack = scratch.file("attack", &script.elf());
        let home = scratch.path().join("home");
        let saved = scratch.path().join("saved");
        let at_home = |arguments: &[&str], file: &Path| {
            fs::create_dir_all(home.join("mine")).unwrap();
            if made {
                fs::create_dir_all(home.join(ours)).unwrap();
            }
            let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
            command.args(arguments).arg(file).current_dir(&home);
            command.env_remove("XDG_CACHE_HOME").env("HOME", &home);
            let done = wait(command, PATIENCE);
            assert_eq!(done.code, 0, "{done:?}");
        };
        let attacked = |arguments: &[&str], file: &Path| {
            at_home(arguments, file);
            let names = |path: &Path| -> Vec<String> {
                let mut names: Vec<String> = fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                names.sort();
                names
            };
            assert_eq!(names(&home), [".cache", "mine", "reached"], "{arguments:?}");
            for name in [caches, ours, code] {
                let about = fs::symlink_metadata(home.join(name)).unwrap();
                assert!(about.is_dir(), "{name} after {arguments:?}");
            }
            assert_eq!(names(&home.join(code)), [""; 0], "{arguments:?}");
            assert_eq!(names(&home.join("mine")), ["planted"], "{arguments:?}");
            fs::remove_dir_all(&home).unwrap();
        };
        attacked(&["run"], &attack);
        attacked(&["run", "--translations", "none"], &attack);
        let snapshot = saved.to_str().unwrap();
        let save = ["--exact", "--snapshot-at", "1", "--snapshot", snapshot];
        at_home(&[&["run"], &save[..]].concat(), &attack);
        attacked(&["resume"], &saved);
    }
}

#[test]
fn a_mount_of_the_home_directory_elsewhere_does_not_lead_to_the_code_that_is_kept() {
    const NAME: &str = "a_mount_of_the_home_directory_elsewhere";
    let scratch = Scratch::new("kept-mounted");
    let (home, work) = (scratch.path().join("home"), scratch.path().join("work"));
    for folder in [&home, &work.join("there")] {
        fs::create_dir_all(folder).unwrap();
    }
    let mut script = guest_script::script::Script::new();
    for path in [
        "there/planted",
        "there/.cache/baby_hypervisor/translations/planted",
    ] {
        let path = script.text(path);
        script.call(
            56,
            &[(-100).into(), path.into(), 0o102.into(), 0o600.into()],
        );
    }
    let attack = scratch.file("attack", &script.elf());
    let mounted = |then: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec"]);
        command.arg(format!("mount --bind \"$HOME\" there; {then}"));
        command
            .arg("sh")
            .arg(env!("CARGO_BIN_EXE_bhv"))
            .arg(&attack);
        command.env_remove("XDG_CACHE_HOME").env("HOME", &home);
        command.current_dir(&work);
        command.stdin(std::process::Stdio::null()).status()
    };
    if !mounted("true").is_ok_and(|status| status.success()) {
        return common::skip(NAME, "this user may mount nothing, or unshare is missing");
    }
    assert!(mounted("exec \"$1\" run \"$2\"").unwrap().success());
    let code = home.join(".cache/baby_hypervisor/translations");
    assert!(code.is_dir() && home.join("planted").exists());
    assert!(!code.join("planted").exists());
}

#[test]
fn a_link_to_the_kept_code_is_not_the_guest_s_to_change() {
    let (scratch, elsewhere) = (Scratch::new("kept-link"), Scratch::new("kept-linked"));
    let caches = scratch.path().join("caches");
    std::os::unix::fs::symlink(elsewhere.path(), &caches).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command
        .args(["boot", "--kernel"])
        .arg(guest("machine_traps"));
    let share = format!("files={}", scratch.path().display());
    command
        .args(["--share", &share])
        .env("XDG_CACHE_HOME", &caches);
    let refused = wait(command, PATIENCE);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.code, 2, "{said}");
    assert!(said.contains("runs on the host"), "{said}");
}

#[test]
fn a_file_that_has_another_name_elsewhere_is_not_used_and_left_alone() {
    let scratch = Scratch::new("kept-twice");
    let folder = scratch.path().join("code");
    settle(&folder, &guest("mixed"), &["50"]);
    let backup = scratch.path().join("backup");
    fs::hard_link(only_file(&folder), &backup).unwrap();
    let before = fs::read(&backup).unwrap();
    let done = run(&folder, &guest("mixed"), &["50"]);
    assert_eq!((done.code, stat(&done, "kept")), (0, 0), "{done:?}");
    assert!(stat(&settle_again(&folder), "kept") > 0);
    assert_eq!(fs::read(&backup).unwrap(), before);
}
