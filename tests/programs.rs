//! Real programs from Debian packages: the riscv64 build on both engines against the amd64 build.
//!
//! Each case is a script in `tests/programs/`. It runs in an empty folder: once by the amd64 twin
//! of the root, natively, and once on each engine; what it prints and its exit code must agree.
//! `cargo xtask root` makes the roots; without them every case here is skipped and says so.

mod common;

use common::{Outcome, skip, target_folder, wait};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// What every run sees of the world: nothing of the host's environment.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/bin:/usr/sbin"),
    ("HOME", "/nowhere"),
    ("LC_ALL", "C.UTF-8"),
    ("TMPDIR", "."),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_AUTHOR_DATE", "1700000000 +0000"),
    ("GIT_COMMITTER_DATE", "1700000000 +0000"),
];
/// An interpreter on a busy machine gets this long for one script.
const PATIENCE: Duration = Duration::from_secs(900);

macro_rules! cases {
    ($($name:ident)*) => {
        $(mod $name {
            #[test]
            fn jit() { super::check(stringify!($name), "jit"); }
            #[test]
            fn interp() { super::check(stringify!($name), "interp"); }
        })*

        #[test]
        fn every_script_is_a_case() {
            let listed = [$(concat!(stringify!($name), ".sh")),*];
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs");
            for entry in fs::read_dir(folder).unwrap() {
                let file = entry.unwrap().file_name().into_string().unwrap();
                assert!(listed.contains(&file.as_str()), "{file} is no case");
            }
        }
    };
}

cases! {
    busybox coreutils grep sed gawk perl lua
    python_json_re python_threading python_subprocess python_hashlib python_decimal
    sqlite bc xz zstd seven_zip openssl git gcc
}

/// Runs one script by the twin and on one engine and compares.
fn check(name: &str, engine: &str) {
    let roots = target_folder().join("roots");
    let (guest, twin) = (roots.join("debian-riscv64"), roots.join("debian-amd64"));
    if !guest.with_extension("stamp").exists() || !twin.with_extension("stamp").exists() {
        return skip(name, "the Debian roots are missing: run `cargo xtask root`");
    }
    if let Err(reason) = chroot() {
        return skip(name, reason);
    }
    let script = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/programs")
            .join(format!("{name}.sh")),
    )
    .unwrap();
    let shell: &[&str] = if name == "busybox" {
        &["busybox", "sh"]
    } else {
        &["sh"]
    };

    let expected = natively(&twin, name, engine, shell, &script);
    let folder = empty_folder(&target_folder().join("tmp"), name, engine);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command
        .args(["run", "--engine", engine, "--root"])
        .arg(&guest)
        .env_clear();
    for (variable, value) in ENVIRONMENT {
        command.args(["--env", &format!("{variable}={value}")]);
    }
    let program = format!("/usr/bin/{}", shell[0]);
    command
        .arg("--")
        .arg(program)
        .args(&shell[1..])
        .args(["-c", &script])
        .current_dir(&folder);
    let got = wait(command, PATIENCE);
    fs::remove_dir_all(&folder).unwrap();

    if (&got.stdout, got.code) != (&expected.stdout, expected.code) {
        let (left, right) = (lines(&expected), lines(&got));
        let same = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
        panic!(
            "{name} on {engine} differs from the amd64 build after {same} equal lines\n\
             amd64: {:?}, exit code {:?}\n{engine}: {:?}, exit code {:?}\n\
             what bhv and the program said on stderr:\n{}",
            left.get(same),
            expected.code,
            right.get(same),
            got.code,
            String::from_utf8_lossy(&got.stderr),
        );
    }
}

fn lines(outcome: &Outcome) -> Vec<String> {
    String::from_utf8_lossy(&outcome.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Runs the script by the amd64 programs in their own root.
fn natively(twin: &Path, name: &str, engine: &str, shell: &[&str], script: &str) -> Outcome {
    let folder = empty_folder(&twin.join("tmp"), name, engine);
    let inside = Path::new("/tmp").join(folder.file_name().unwrap());
    let mut command = chroot().expect("asked before");
    command
        .arg(twin)
        .args(["/usr/bin/env", "-i", "-C"])
        .arg(inside);
    command.args(
        ENVIRONMENT
            .iter()
            .map(|(variable, value)| format!("{variable}={value}")),
    );
    command.args(shell).args(["-c", script]);
    let outcome = wait(command, PATIENCE);
    fs::remove_dir_all(&folder).unwrap();
    assert!(
        !outcome.stdout.is_empty(),
        "the amd64 build prints nothing: {}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    outcome
}

/// A fresh folder for one run; `engine` keeps tests that run at the same time apart.
fn empty_folder(under: &Path, name: &str, engine: &str) -> PathBuf {
    let folder = under.join(format!("case-{name}-{engine}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The command that changes the root, by itself or in a user namespace; or why neither works.
fn chroot() -> Result<Command, &'static str> {
    static WAY: OnceLock<Option<&[&str]>> = OnceLock::new();
    let ways: [&[&str]; 2] = [&["chroot"], &["unshare", "--map-root-user", "chroot"]];
    let way = WAY.get_or_init(|| {
        ways.into_iter().find(|way| {
            let trial = Command::new(way[0])
                .args(&way[1..])
                .args(["/", "true"])
                .output();
            trial.is_ok_and(|out| out.status.success())
        })
    });
    let way = way.ok_or("chroot is not permitted here, so the amd64 twin cannot run")?;
    let mut command = Command::new(way[0]);
    command.args(&way[1..]);
    Ok(command)
}
