//! Snapshots of running programs: going on from one is the same as never having stopped.

mod common;

use common::{Outcome, Scratch, skip, target_folder, wait};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const ENGINES: [&str; 2] = ["interp", "jit"];

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("guests/bin")
        .join(name)
}

fn bhv<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.args(arguments);
    wait(command, PATIENCE)
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Runs bhv, which must succeed, and gives its standard output.
fn succeed(arguments: &str) -> Vec<u8> {
    let done = bhv(words(arguments));
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.code, 0, "bhv {arguments}: {said}");
    done.stdout
}

/// Deterministic numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Instructions that an exact run of the program takes.
fn total(program: &str) -> u64 {
    let arguments = format!("run --exact --stats --engine jit {program}");
    let done = bhv(words(&arguments));
    retired(&String::from_utf8_lossy(&done.stderr))
}

/// The count of retired instructions in what `--stats` says.
fn retired(said: &str) -> u64 {
    let line = said
        .lines()
        .find(|line| line.trim_start().starts_with("retired"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no count: {said}"))
}

/// For each pair of engines: n instructions, saved, resumed in another process, m more, saved
/// again, and on to the end. State and output must be those of a run that was never stopped.
fn check(program: &str, seed: u64) {
    let scratch = Scratch::new(&format!("snapshot-{program}"));
    let file = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let path = guest(program);
    let path = path.to_str().unwrap();
    let total = total(path);
    let whole = succeed(&format!("run --exact {path}"));
    let mut random = Random(seed);
    for first in ENGINES {
        for second in ENGINES {
            let n = random.below(total);
            let sum = n + random.below(total - n);
            let (a, b, through) = (file("a"), file("b"), file("through"));
            let what = format!("{program} on {first} to {n}, then on {second} to {sum}");
            let before = succeed(&format!(
                "run --engine {first} --snapshot-at {n} --snapshot {a} {path}"
            ));
            succeed(&format!("snapshot verify {a}"));
            let resume = format!("resume --engine {second}");
            let between = succeed(&format!("{resume} --snapshot-at {sum} --snapshot {b} {a}"));
            let run = format!("run --engine {first} --snapshot-at {sum} --snapshot {through}");
            let straight = succeed(&format!("{run} {path}"));
            assert_eq!([before.clone(), between].concat(), straight, "{what}");
            let compared = bhv(["snapshot", "diff", &through, &b]);
            let differs = String::from_utf8_lossy(&compared.stdout).into_owned();
            assert_eq!((compared.code, differs.as_str()), (0, ""), "{what}");
            // From the first snapshot to the end.
            let rest = succeed(&format!("{resume} {a}"));
            assert_eq!([before, rest].concat(), whole, "{what}");
        }
    }
}

macro_rules! programs {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name), 1);
        }
    )*};
}
programs!(
    hello_pie,
    mixed,
    nbody,
    json,
    bytecode_goto,
    signals,
    strings,
    threads,
    sort,
    patch
);

/// Work for a real program: what it prints depends on all that it computed before.
const COMPUTATION: &str = "
import hashlib
digest, squares = b'', {}
for n in range(2000):
    squares[n] = n * n
    digest = hashlib.sha256(digest + str(sum(squares.values())).encode()).digest()
    if n % 400 == 0:
        print(n, digest.hex(), flush=True)
print('in all', digest.hex())
";

#[test]
fn python_stopped_in_the_middle_of_a_computation_resumes_to_the_same_output() {
    let root = target_folder().join("roots/debian-riscv64");
    if !root.with_extension("stamp").exists() {
        return skip(
            "python3 stopped and resumed",
            "the Debian root is missing: run `cargo xtask root`",
        );
    }
    let scratch = Scratch::new("snapshot-python");
    let script = scratch.path().join("computation.py");
    std::fs::write(&script, COMPUTATION).unwrap();
    let snapshot = scratch.path().join("snap");
    let python = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
        command.args(["run", "--exact", "--stats", "--root"]);
        command.arg(&root).arg("--dir").arg(scratch.path());
        command.args(options).arg("/usr/bin/python3").arg(&script);
        wait(command, PATIENCE)
    };
    let whole = python(&["--engine", "jit"]);
    let said = String::from_utf8_lossy(&whole.stderr).into_owned();
    assert_eq!(whole.code, 0, "{said}");
    let total = retired(&said);
    for (first, second, share) in [("jit", "interp", 9), ("interp", "jit", 6)] {
        let at = (total * share / 10).to_string();
        let save = ["--engine", first, "--snapshot-at", &at, "--snapshot"];
        let before = python(&[&save[..], &[snapshot.to_str().unwrap()]].concat());
        let said = String::from_utf8_lossy(&before.stderr);
        assert_eq!(before.code, 0, "{said}");
        assert!(
            !before.stdout.is_empty() && before.stdout.len() < whole.stdout.len(),
            "it was in the middle"
        );
        let resume = format!("resume --engine {second} {}", snapshot.display());
        let after = succeed(&resume);
        assert_eq!(
            String::from_utf8([before.stdout, after].concat()),
            String::from_utf8(whole.stdout.clone()),
            "{first} to {at}, then {second}"
        );
    }
}

#[test]
fn a_snapshot_on_exit_holds_the_process_just_before_it_ends() {
    let scratch = Scratch::new("snapshot-exit");
    let file = scratch.path().join("snap");
    let file = file.to_str().unwrap();
    let path = guest("hello");
    let path = path.to_str().unwrap();
    let printed = succeed(&format!("run --snapshot-on-exit {file} {path}"));
    assert_eq!(printed, b"Hello from RISC-V\n");
    succeed(&format!("snapshot verify {file}"));
    assert_eq!(
        succeed(&format!("resume {file}")),
        b"",
        "all that is left is to exit"
    );
    let shown = String::from_utf8(succeed(&format!("snapshot show {file}"))).unwrap();
    for part in [
        "hello",
        "process, saved",
        "sections",
        "thread ",
        "pc ",
        "[stack]",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let listed = String::from_utf8(succeed(&format!("snapshot list {file}"))).unwrap();
    assert!(listed.contains("hello"), "{listed}");
}

#[test]
fn damaged_snapshots_are_refused_with_a_message() {
    let scratch = Scratch::new("snapshot-damage");
    let file = scratch.path().join("snap");
    let path = guest("hello");
    let save = format!(
        "run --snapshot-at 100 --snapshot {} {}",
        file.display(),
        path.display()
    );
    succeed(&save);
    let bytes = std::fs::read(&file).unwrap();
    let damaged = scratch.path().join("damaged");
    let refused = |bytes: &[u8]| {
        std::fs::write(&damaged, bytes).unwrap();
        let done = bhv(["resume", damaged.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_ne!(done.code, 0, "{said}");
        assert!(
            said.contains("help: ") && !said.contains("panicked"),
            "{said}"
        );
        assert!(done.stdout.is_empty());
    };
    refused(b"");
    for cut in [1, 63, 64, bytes.len() / 2, bytes.len() - 1] {
        refused(&bytes[..cut]);
    }
    for at in [0, 8, 12, 24, 63, bytes.len() - 1, bytes.len() - 60] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        refused(&bytes);
    }
    refused(&std::fs::read(&path).unwrap());
}
