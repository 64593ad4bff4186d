//! Random programs stopped at random counts, saved, and resumed by another process: on every pair
//! of engines, what they leave is what an undisturbed run leaves, bit for bit.
//!
//! The programs are those of `fuzzing`, one to an executable. `BHV_SEED=n BHV_SOAK=0` repeats one.

mod common;

use common::{Outcome, Scratch, wait};
use frontend::generate::Random;
use fuzzing::generate::{self, Content};
use fuzzing::{bundle, scale};
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

/// Programs of a full soak run.
const FULL: u64 = 1000;
/// Programs at the least, however small a part of the soak run is asked for.
const LEAST: u64 = 20;

const PATIENCE: Duration = Duration::from_secs(120);
/// A program that has not ended by then never does, and is left out.
const LIMIT: u64 = 2_000_000;
/// Code is compiled on its second execution, before the guest goes on, so that short programs
/// are stopped in compiled code too.
const ENGINES: [&str; 2] = ["interp", "jit --threshold 2 --foreground"];
/// Everything but what ends a process: counters are virtual under `--exact`.
const CONTENT: Content = Content {
    traps: false,
    ..Content::ALL
};

fn bhv(arguments: &str) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.args(arguments.split(' '));
    wait(command, PATIENCE)
}

/// What bhv wrote to standard output; it must have succeeded.
fn succeed(arguments: &str) -> Vec<u8> {
    let done = bhv(arguments);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.code, 0, "bhv {arguments}: {said}");
    done.stdout
}

/// A program's whole run and how many instructions it took, if it ends. Code that rewrites itself
/// may end by a signal, which is as good an end as any.
fn whole(elf: &str, scratch: &str) -> Option<(Outcome, u64)> {
    let run = format!("run --engine interp --snapshot-at {LIMIT} --snapshot {scratch} {elf}");
    let done = bhv(&run);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let (_, count) = said.split_once("the program ended after ")?;
    let count = count.split(' ').next()?.parse().ok()?;
    Some((done, count))
}

/// Whether the program of this seed ends; panics if stopping it changes what it does.
fn check(seed: u64, scratch: &Scratch) -> bool {
    let file = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (elf, a, b, through) = (file("elf"), file("a"), file("b"), file("through"));
    let program = generate::program(CONTENT, seed);
    std::fs::write(&elf, bundle::executable(&[program])).unwrap();
    std::fs::set_permissions(&elf, Permissions::from_mode(0o755)).unwrap();
    let Some((undisturbed, total)) = whole(&elf, &a) else {
        return false;
    };
    let mut random = Random::new(seed);
    for first in ENGINES {
        for second in ENGINES {
            let n = random.below(total);
            let sum = n + random.below(total - n);
            let what = format!("BHV_SEED={seed}: {first} to {n}, {second} to {sum} of {total}");
            let run = format!("run --engine {first}");
            let resume = format!("resume --engine {second}");
            let before = succeed(&format!("{run} --snapshot-at {n} --snapshot {a} {elf}"));
            let between = succeed(&format!("{resume} --snapshot-at {sum} --snapshot {b} {a}"));
            let straight = succeed(&format!(
                "{run} --snapshot-at {sum} --snapshot {through} {elf}"
            ));
            assert_eq!([before.clone(), between].concat(), straight, "{what}");
            let compared = bhv(&format!("snapshot diff {through} {b}"));
            let differs = String::from_utf8_lossy(&compared.stdout).into_owned();
            assert_eq!((compared.code, differs.as_str()), (0, ""), "{what}");
            let rest = bhv(&format!("{resume} {a}"));
            let (printed, code) = ([before, rest.stdout].concat(), rest.code);
            let expected = (&undisturbed.stdout, undisturbed.code);
            assert_eq!((&printed, code), expected, "{what}: from {n} to the end");
        }
    }
    true
}

#[test]
fn random_programs_stopped_at_random_go_on_as_if_they_had_not_been() {
    let first = scale::seed();
    let count = match std::env::var("BHV_SOAK").as_deref() {
        Ok("0") => 1,
        _ => scale::scaled(FULL).max(LEAST),
    };
    // Not captured, so that it is there whatever ends this process.
    let _ = writeln!(
        std::io::stderr(),
        "snapshots: BHV_SEED={first}, {count} programs"
    );
    let scratch = Scratch::new("random-snapshots");
    let ended = (first..first + count)
        .filter(|seed| check(*seed, &scratch))
        .count();
    assert!(
        ended as u64 * 2 > count,
        "most programs end: {ended} of {count}"
    );
}
