//! Random programs on the interpreter and on qemu-riscv64: registers, flags and memory must agree.

mod support;

use fuzzing::bundle::{self, EXIT};
use fuzzing::generate::{self, Content};
use fuzzing::machine::{self, LIMIT, Outcome};
use fuzzing::program::Program;
use fuzzing::{scale, shrink};
use hart::{HartState, Reservation};
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use support::Interpreter;

/// Programs of a full soak run: more than 10 million instructions.
const FULL: u64 = 25_000;
/// Programs of one executable.
const BUNDLE: u64 = 250;

const QEMU: &str = "qemu-riscv64";

/// Whether QEMU is there. If not, `cargo xtask test` is told so.
fn has_qemu() -> bool {
    let found = Command::new(QEMU).arg("--version").output().is_ok();
    if !found && let Some(list) = std::env::var_os("BHV_SKIPPED") {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(list);
        let mut file = file.expect("the list of skipped tests");
        writeln!(file, "random programs against {QEMU}: it is missing").expect("room for a line");
    }
    found
}

/// What QEMU makes of programs; `None` if it does not get through them.
fn emulated(programs: &[Program], name: &str) -> Option<Vec<Outcome>> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("{name}-{}", std::process::id()));
    std::fs::write(&file, bundle::executable(programs)).expect("room for an executable");
    // QEMU refuses what is not executable.
    std::fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("the file is ours");
    let output = Command::new(QEMU)
        .args(["-cpu", "rv64,zba=true,zbb=true,zbs=true"])
        .arg(&file)
        .output()
        .expect("QEMU starts");
    std::fs::remove_file(&file).expect("the executable is ours");
    let outcomes = bundle::outcomes(&output.stdout);
    (output.status.success() && outcomes.len() == programs.len()).then_some(outcomes)
}

/// What the interpreter makes of a program, as far as QEMU tells; `None` if it does not end.
fn interpreted(program: &Program) -> Option<(Outcome, u64)> {
    let space = machine::load_with_exit(program, Some(EXIT));
    let mut outcome = machine::run(&mut Interpreter::new(&space), &space, program);
    let retired = outcome.hart.instret;
    let ended = retired < LIMIT && outcome.hart.pc == EXIT && outcome.traps.len() == 1;
    outcome.traps.clear();
    outcome.hart = HartState {
        pc: 0,
        instret: 0,
        reservation: Reservation::default(),
        ..outcome.hart
    };
    outcome.hart.x[31] = 0;
    ended.then_some((outcome, retired))
}

/// What the two disagree on.
fn difference(program: &Program) -> Option<String> {
    let (expected, _) = interpreted(program)?;
    match emulated(std::slice::from_ref(program), "one").as_deref() {
        Some([got]) => expected.difference(got),
        _ => Some("QEMU did not get through it".into()),
    }
}

#[test]
fn random_programs_as_qemu_runs_them() {
    if !has_qemu() {
        return;
    }
    let first = scale::seed();
    let (mut instructions, mut seed) = (0, first);
    let end = first + scale::scaled(FULL);
    while seed < end {
        let seeds: Vec<u64> = (seed..end.min(seed + BUNDLE)).collect();
        let program = |&seed: &u64| generate::program(Content::PORTABLE, seed);
        let programs: Vec<Program> = seeds.iter().map(program).collect();
        let got = emulated(&programs, "bundle");
        for (n, program) in programs.iter().enumerate() {
            let (expected, retired) = interpreted(program).expect("portable programs end");
            instructions += retired;
            let same = got
                .as_ref()
                .is_some_and(|got| expected.difference(&got[n]).is_none());
            if !same && difference(program).is_some() {
                let shortest = shrink::shrink(program, |program| difference(program).is_some());
                panic!(
                    "BHV_SEED={} differs (interpreter and QEMU)\n{}\n{}",
                    seeds[n],
                    shortest.listing(),
                    difference(&shortest).unwrap_or_default(),
                );
            }
        }
        assert!(
            got.is_some(),
            "QEMU did not get through BHV_SEED={seed}, but through each alone"
        );
        seed += BUNDLE;
    }
    println!("BHV_SEED={first}: {instructions} instructions as on QEMU");
}
