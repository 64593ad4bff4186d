//! Privileged behaviour: programs of ours that own a whole machine and check themselves. Each prints
//! what is not as the manual says, and switches off with the number of such things.

mod common;

use baby_hypervisor::machine::{End, Image, Machine, MachineOptions, Wires};
use common::{Outcome, Scratch, wait};
use devices::Power;
use frontend::generate::Random;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn bhv(options: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.arg("boot").args(options);
    wait(command, PATIENCE)
}

/// The program finds nothing wrong, whatever is decoded when: also in pieces of any length.
fn check(name: &str) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("guests/bin")
        .join(name);
    let program = program.display().to_string();
    for harts in ["1", "3"] {
        let got = bhv(&["--firmware", &program, "--harts", harts]);
        let printed = String::from_utf8_lossy(&got.stdout);
        let said = String::from_utf8_lossy(&got.stderr);
        assert_eq!(
            (got.code, &*printed),
            (0, ""),
            "{name}, {harts} harts: {said}"
        );
    }
}

#[test]
fn traps_have_their_causes_and_values() {
    check("machine_traps");
}

#[test]
fn traps_and_interrupts_go_where_they_are_delegated() {
    check("machine_delegation");
}

#[test]
fn pages_are_walked_and_fenced() {
    check("machine_paging");
}

#[test]
fn physical_memory_is_protected() {
    check("machine_pmp");
}

#[test]
fn counters_and_timers_are_exact() {
    check("machine_time");
}

/// Runs a program to its end, in pieces of any length, dropping what is derived from its state now
/// and then; what there is to compare.
fn in_pieces(name: &str, harts: usize, mut random: Option<Random>) -> (u64, u64, End) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("guests/bin")
        .join(name);
    let options = MachineOptions {
        memory: 64 << 20,
        harts,
        firmware: Some(Image::File(program)),
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(options, Arc::default(), Wires::none()).unwrap();
    loop {
        let most = random.as_mut().map_or(u64::MAX, |random| {
            let scale = random.choose(&[2, 30, 3000, 100_000]);
            machine.stats().retired + 1 + random.below(scale)
        });
        match machine.run(most, || false).unwrap() {
            End::Limit => {}
            end => return (machine.stats().retired, machine.state_hash().unwrap(), end),
        }
        if random.as_mut().is_some_and(|random| random.one_in(3)) {
            machine.forget();
        }
    }
}

#[test]
fn pieces_and_dropped_caches_change_nothing() {
    let mut random = Random::new(11);
    for (name, harts) in [
        ("machine_paging", 1),
        ("machine_delegation", 3),
        ("machine_pmp", 2),
        ("machine_time", 1),
        ("machine_time", 3),
        ("machine_traps", 2),
    ] {
        let straight = in_pieces(name, harts, None);
        assert_eq!(straight.2, End::Power(Power::Off), "{name}");
        for _ in 0..3 {
            let seed = random.bits();
            let pieces = in_pieces(name, harts, Some(Random::new(seed)));
            assert_eq!(pieces, straight, "{name} on {harts} harts, seed {seed}");
        }
    }
}

#[test]
fn a_program_that_fails_says_so() {
    // lui a0, 0x100; lui a1, 0x73; addi a1, a1, 0x333; sw a1, 0(a0): failure 7.
    let words = [
        0x0010_0537u32,
        0x0007_35b7,
        0x3335_8593,
        0x00b5_2023,
        0x0000_006f,
    ];
    let scratch = Scratch::new("machine-fails");
    let program = scratch.file("fails", &words.map(u32::to_le_bytes).concat());
    let got = bhv(&["--firmware", &program.display().to_string()]);
    assert_eq!(got.code, 7, "{}", String::from_utf8_lossy(&got.stderr));
}

#[test]
fn a_machine_as_a_file() {
    let scratch = Scratch::new("machine-file");
    scratch.file(
        "idle",
        &[0x1050_0073u32, 0xffdf_f06f].map(u32::to_le_bytes).concat(),
    );
    let check = |text: &str, more: &[&str], code: i32, word: &str| {
        let file = scratch
            .file("vm.toml", text.as_bytes())
            .display()
            .to_string();
        let got = bhv(&[&[file.as_str()], more].concat());
        let said = String::from_utf8_lossy(&got.stderr);
        assert_eq!(got.code, code, "{text}: {said}");
        assert!(said.contains(word), "{text}: {word:?} is not in: {said}");
    };
    let two = "kernel = \"idle\"\nharts = 2\nmemory = \"64M\"\n";
    check(two, &[], 11, "hart 1: Stopped");
    check(two, &["--harts", "1"], 11, "hart 0: Waiting");
    check(two, &["--kernel", "/nonexistent"], 125, "/nonexistent");
    check("kernel = \"missing\"", &[], 125, "missing");
    check("kernel = \"idle\"\nhart = 2", &[], 2, "line 2");
    check("memory = \"1T\"", &[], 2, "vm.toml");
    check(
        &format!("{two}[[disk]]\npath = \"missing.img\""),
        &[],
        2,
        "missing.img",
    );
    check(
        &format!("{two}[[share]]\ntag = \"a\"\npath = \"missing\""),
        &[],
        2,
        "missing",
    );
}
