//! A machine's compiled code that is kept between boots, as users see it: later boots find it and do the
//! same; what changed is not taken for what it was, and what is damaged is refused.

mod common;

use common::{Outcome, Scratch, wait};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// Where the program's numbers lie in its code, see [`program`].
const STEP: usize = 2;

/// A program that adds `step` to a0 `rounds` times, in a function of its own, and switches off with a
/// failure of a0's lowest bits.
fn program(rounds: u32, step: u32) -> Vec<u8> {
    let words = [
        0x0000_0513u32,             // li a0, 0
        0x0100_006f,                // j 0x14
        0x0005_0513 | step << 20,   // 0x08: addi a0, a0, step
        0x0075_7513,                // andi a0, a0, 7
        0x0000_8067,                // ret
        0x0000_0293 | rounds << 20, // 0x14: li t0, rounds
        0xff1f_f0ef,                // 0x18: jal ra, 0x08
        0xfff2_8293,                // addi t0, t0, -1
        0xfe02_9ce3,                // bnez t0, 0x18
        0x0010_05b7,                // lui a1, 0x100: the switch
        0x0105_1513,                // slli a0, a0, 16
        0x0000_3637,                // lui a2, 0x3
        0x3336_0613,                // addi a2, a2, 0x333
        0x00c5_0533,                // add a0, a0, a2
        0x00a5_a023,                // sw a0, 0(a1)
        0x0000_006f,                // j .
    ];
    words.map(u32::to_le_bytes).concat()
}

/// A boot that keeps its code in `folder`.
fn boot(folder: &Path, program: &Path, more: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.args(["boot", "--stats", "--threshold", "100", "--translations"]);
    command
        .arg(folder)
        .arg("--firmware")
        .arg(program)
        .args(more);
    wait(command, PATIENCE)
}

fn said(done: &Outcome) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// A number that --stats prints, by the word before it; 0 if the line is missing.
fn stat(done: &Outcome, word: &str) -> u64 {
    let text = said(done);
    let mut lines = text.lines().map(str::trim);
    let line = lines.find_map(|line| line.strip_prefix(word));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// What has to be the same each time.
fn facts(done: &Outcome) -> (i32, Vec<u8>, Vec<String>) {
    let text = said(done);
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| line.starts_with("retired") || line.starts_with("state"));
    (
        done.code,
        done.stdout.clone(),
        lines.map(str::to_owned).collect(),
    )
}

/// The only file in a folder.
fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let file = files.next().expect("a file");
    assert!(files.next().is_none(), "more than one file");
    file.path()
}

#[test]
fn a_second_boot_finds_what_the_first_compiled_and_does_the_same() {
    let scratch = Scratch::new("boot-again");
    let folder = scratch.path().join("code");
    let kernel = scratch.file("program", &program(1001, 3));
    let first = boot(&folder, &kernel, &[]);
    assert_eq!(
        (first.code, stat(&first, "kept")),
        (3, 0),
        "{}",
        said(&first)
    );
    assert!(stat(&first, "compiled") > 0, "{}", said(&first));
    let interpreted = boot(&folder, &kernel, &["--engine", "interp"]);
    assert_eq!(facts(&interpreted), facts(&first));
    let again = boot(&folder, &kernel, &[]);
    assert_eq!(facts(&again), facts(&first));
    assert!(stat(&again, "kept") > 0, "{}", said(&again));
    let (before, now) = (stat(&first, "compiled"), stat(&again, "compiled"));
    assert!(now < before, "{}", said(&again));
    // Harts that run at the same time find it too.
    let threads = ["--schedule", "threads", "--clock", "host", "--harts", "2"];
    let done = boot(&folder, &kernel, &threads);
    assert!(done.code == 3 && stat(&done, "kept") > 0, "{}", said(&done));
    let none = boot(Path::new("none"), &kernel, &[]);
    assert_eq!((facts(&none), stat(&none, "kept")), (facts(&first), 0));
}

#[test]
fn a_page_that_changed_is_not_taken_for_what_it_was() {
    let scratch = Scratch::new("boot-changed");
    let folder = scratch.path().join("code");
    let kernel = scratch.file("program", &program(1001, 3));
    assert_eq!(boot(&folder, &kernel, &[]).code, 3);
    // One bit of one instruction, in a kernel that is told from the other by nothing else: as if its
    // file had the other's name.
    let mut changed = program(1001, 3);
    changed[4 * STEP + 2] ^= 0x20;
    assert_eq!(changed, program(1001, 1));
    let other = scratch.path().join("other");
    let second = scratch.file("changed", &changed);
    let expected = boot(&other, &second, &[]);
    fs::copy(only_file(&folder), only_file(&other)).unwrap();
    let done = boot(&other, &second, &[]);
    assert_eq!(facts(&done), facts(&expected));
    assert_ne!(done.code, 3);
}

#[test]
fn damaged_code_is_refused_with_a_word_and_written_anew() {
    let scratch = Scratch::new("boot-damaged");
    let folder = scratch.path().join("code");
    let kernel = scratch.file("program", &program(1001, 3));
    let first = boot(&folder, &kernel, &[]);
    let file = only_file(&folder);
    let whole = fs::read(&file).unwrap();
    for (what, at) in [
        ("header", 3),
        ("length", 8),
        ("sum", 17),
        ("body", whole.len() / 2),
    ] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&file, &damaged).unwrap();
        let done = boot(&folder, &kernel, &[]);
        assert_eq!(
            (facts(&done), stat(&done, "kept")),
            (facts(&first), 0),
            "{what}"
        );
        let text = said(&done);
        let name = file.display().to_string();
        assert!(
            text.contains(&name) && text.contains("is damaged"),
            "{what}: {text}"
        );
        let mended = boot(&folder, &kernel, &[]);
        assert_eq!(facts(&mended), facts(&first), "{what}");
        let text = said(&mended);
        assert!(
            stat(&mended, "kept") > 0 && !text.contains("damaged"),
            "{what}: {text}"
        );
    }
}

#[test]
fn a_guest_cannot_be_let_at_the_code_that_is_kept() {
    let scratch = Scratch::new("boot-granted");
    let folder = scratch.path().join("code");
    let kernel = scratch.file("program", &program(1001, 3));
    assert_eq!(boot(&folder, &kernel, &[]).code, 3);
    let share = format!("files={}", scratch.path().display());
    let disk = only_file(&folder).display().to_string();
    for (option, value) in [("--share", &share), ("--disk", &disk)] {
        let done = boot(&folder, &kernel, &[option, value]);
        assert_eq!(done.code, 2, "{}", said(&done));
        assert!(said(&done).contains("runs on the host"), "{}", said(&done));
    }
    let read = boot(&folder, &kernel, &["--share", &format!("{share}:ro")]);
    assert_eq!(read.code, 3, "{}", said(&read));
}
