//! Privileged behaviour: programs of ours that own a whole machine and check themselves. Each prints
//! what is not as the manual says, and switches off with the number of such things.

mod common;

use baby_hypervisor::EngineKind;
use baby_hypervisor::machine::{End, Image, KeepCode, Machine, MachineOptions, Wires};
use common::{Outcome, Scratch, wait};
use devices::Power;
use frontend::generate::{Bias, Random};
use frontend::{Csr, I, Insn, Op, U, X};
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
    for (harts, engine) in [("1", "interp"), ("3", "interp"), ("1", "jit"), ("3", "jit")] {
        let engine = ["--engine", engine, "--threshold", "2"];
        let got = bhv(&[&["--firmware", &program, "--harts", harts], &engine[..]].concat());
        let printed = String::from_utf8_lossy(&got.stdout);
        let said = String::from_utf8_lossy(&got.stderr);
        assert_eq!(
            (got.code, &*printed),
            (0, ""),
            "{name}, {harts} harts, {engine:?}: {said}"
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
fn code_is_what_the_tables_and_fences_say() {
    check("machine_code");
}

#[test]
fn physical_memory_is_protected() {
    check("machine_pmp");
}

#[test]
fn counters_and_timers_are_exact() {
    check("machine_time");
}

#[test]
fn harts_share_memory_and_code() {
    check("machine_harts");
}

/// Runs a program to its end, or for so long, in pieces of any length, dropping what is derived from
/// its state now and then; what there is to compare. With a threshold, code that ran so often is
/// compiled.
fn in_pieces(
    image: &Image,
    harts: usize,
    threshold: Option<u64>,
    longest: u64,
    random: Option<Random>,
) -> (u64, u64, End) {
    let nowhere = KeepCode::Nowhere;
    in_pieces_with(image, harts, threshold, longest, random, nowhere).0
}

/// The same with code that was kept; also how many regions of that were put in place.
fn in_pieces_with(
    image: &Image,
    harts: usize,
    threshold: Option<u64>,
    longest: u64,
    mut random: Option<Random>,
    translations: KeepCode,
) -> ((u64, u64, End), u64) {
    let mut options = MachineOptions {
        memory: 64 << 20,
        harts,
        firmware: Some(image.clone()),
        engine: EngineKind::Interp,
        translations,
        ..MachineOptions::default()
    };
    if let Some(threshold) = threshold {
        options.engine = EngineKind::Jit;
        options.tiers.threshold = threshold;
        options.tiers.jit.verify = true;
        if threshold == 1 {
            // So little that all code has to go now and then.
            options.tiers.jit.code_bytes = 160 << 10;
        }
    }
    let mut machine = Machine::new(options, Arc::default(), Wires::none()).unwrap();
    loop {
        let most = random.as_mut().map_or(u64::MAX, |random| {
            let scale = random.choose(&[2, 30, 3000, 100_000]);
            machine.stats().retired + 1 + random.below(scale)
        });
        let end = machine.run(most.min(longest), || false).unwrap();
        let retired = machine.stats().retired;
        if end != End::Limit || retired >= longest {
            let jit = machine.tiers().jit;
            let large = jit.host_bytes > 400 << 10 && threshold == Some(1);
            assert!(jit.evictions > 0 || !large, "{jit:?}");
            machine.keep_code();
            let facts = (retired, machine.state_hash().unwrap(), end);
            return (facts, jit.installed);
        }
        if random.as_mut().is_some_and(|random| random.one_in(3)) {
            machine.forget();
        }
    }
}

/// Code that a generator made, behind a few instructions that give it a trap vector, a stack and
/// pointers.
fn random_code(random: &mut Random) -> Image {
    let x = |n| X::new(n);
    let mut code = vec![
        Insn::Auipc(U { rd: x(5), imm: 0 }),
        Insn::Addi(I {
            rd: x(5),
            rs1: x(5),
            imm: 0x400,
        }),
        Insn::Csrrw(Csr {
            rd: x(0),
            rs1: x(5),
            csr: 0x305,
        }),
        Insn::Lui(U {
            rd: x(6),
            imm: 0x6000,
        }),
        Insn::Csrrs(Csr {
            rd: x(0),
            rs1: x(6),
            csr: 0x300,
        }),
    ];
    for n in 8..16 {
        code.push(Insn::Auipc(U {
            rd: x(n),
            imm: 0x1000 * i32::from(n),
        }));
    }
    let bias = Bias {
        x: (0..16).map(X::new).collect(),
        ..Bias::default()
    };
    // It must not change itself: without fence.i either version may be executed.
    let stores = ["sb", "sh", "sw", "sd", "fsw", "fsd", "cbo.zero"];
    let stores = |op: Op| {
        let name = op.row().mnemonic;
        stores.contains(&name) || name.starts_with("sc.") || name.starts_with("amo")
    };
    let any = std::iter::repeat_with(|| bias.any(random));
    code.extend(any.filter(|insn| !stores(insn.op())).take(2000));
    let bytes = code
        .into_iter()
        .flat_map(|insn| insn.encode().to_le_bytes());
    Image::Bytes("random code".into(), bytes.collect())
}

#[test]
fn random_code_brings_nothing_down_and_is_executed_the_same_in_pieces() {
    let mut random = Random::new(12);
    for round in 0..20 {
        let image = random_code(&mut random);
        let harts = 1 + round % 3;
        let straight = in_pieces(&image, harts, None, 300_000, None);
        // Interpreted; compiled at once and soon; as drafts alone.
        for threshold in [None, Some(1), Some(1 + random.below(30)), Some(0)] {
            let pieces = Random::new(random.bits());
            let pieces = in_pieces(&image, harts, threshold, 300_000, Some(pieces));
            assert_eq!(pieces, straight, "round {round}, {threshold:?}");
        }
        let compiled = in_pieces(&image, harts, Some(3), 300_000, None);
        assert_eq!(compiled, straight, "round {round}, compiled");
    }
}

/// Each program boots several times, with what the boots before compiled, in pieces of any length and
/// with all other settings.
#[test]
fn code_that_was_kept_changes_nothing() {
    let scratch = Scratch::new("machine-kept");
    let mut random = Random::new(14);
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/bin");
    let program = |name: &str| Image::File(bin.join(name));
    let mut images: Vec<(Image, usize, u64)> = vec![
        (program("machine_paging"), 1, u64::MAX),
        (program("machine_code"), 2, u64::MAX),
        (program("machine_harts"), 3, u64::MAX),
        (program("machine_traps"), 1, u64::MAX),
    ];
    images.extend((0..10).map(|round| (random_code(&mut random), 1 + round % 3, 300_000)));
    for (number, (image, harts, longest)) in images.iter().enumerate() {
        let folder = scratch.path().join(number.to_string());
        let straight = in_pieces(image, *harts, None, *longest, None);
        let mut found = 0;
        for boot in 0..5 {
            let threshold = Some(random.choose(&[1, 2, 5, 30]));
            let seed = random.bits();
            let pieces = (boot > 0).then(|| Random::new(seed));
            let kept = KeepCode::In(folder.clone());
            let (facts, installed) =
                in_pieces_with(image, *harts, threshold, *longest, pieces, kept);
            let what = format!("{number}, boot {boot}, {threshold:?}, seed {seed}");
            assert_eq!(facts, straight, "{what}");
            found += installed;
        }
        assert!(found > 0, "{number}");
    }
}

#[test]
fn pieces_and_dropped_caches_change_nothing() {
    let mut random = Random::new(11);
    for (name, harts) in [
        ("machine_paging", 1),
        ("machine_code", 1),
        ("machine_code", 2),
        ("machine_delegation", 3),
        ("machine_harts", 3),
        ("machine_pmp", 2),
        ("machine_time", 1),
        ("machine_time", 3),
        ("machine_traps", 2),
    ] {
        let program = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("guests/bin")
            .join(name);
        let image = Image::File(program);
        let straight = in_pieces(&image, harts, None, u64::MAX, None);
        assert_eq!(straight.2, End::Power(Power::Off), "{name}");
        let compiled = in_pieces(&image, harts, Some(2), u64::MAX, None);
        assert_eq!(compiled, straight, "{name} on {harts} harts, compiled");
        for threshold in [None, None, Some(1), Some(5), Some(20)] {
            let seed = random.bits();
            let pieces = Some(Random::new(seed));
            let pieces = in_pieces(&image, harts, threshold, u64::MAX, pieces);
            let what = format!("{name} on {harts} harts, {threshold:?}, seed {seed}");
            assert_eq!(pieces, straight, "{what}");
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

/// `bhv diff boot` of one of our programs: the exit code, and what it says.
fn diff(name: &str, options: &[&str]) -> (i32, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/bin");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.args(["diff", "boot", "--memory", "64M", "--firmware"]);
    command.arg(program.join(name)).args(options);
    let got = wait(command, PATIENCE);
    (got.code, String::from_utf8_lossy(&got.stderr).into_owned())
}

#[test]
fn machines_are_compared_to_their_end() {
    for (name, options) in [
        ("machine_code", &["--threshold", "2"][..]),
        ("machine_delegation", &["--harts", "3", "--every", "10000"]),
        ("machine_paging", &["--every", "100000"]),
    ] {
        let (code, said) = diff(name, options);
        assert_eq!(code, 0, "{name}: {said}");
        assert!(said.contains("no difference in"), "{name}: {said}");
    }
}

#[test]
fn a_wrongly_compiled_instruction_of_a_machine_is_named() {
    for (mnemonic, shown) in [("or", "or"), ("ld", "ld")] {
        let (code, said) = diff("machine_paging", &["--sabotage", mnemonic]);
        assert_eq!(code, 1, "{mnemonic}: {said}");
        let headline = said.lines().next().unwrap_or_default();
        assert!(
            headline.starts_with("bhv diff: the engines differ at 0x") && headline.contains(shown),
            "{mnemonic}: {said}"
        );
        for needed in ["the way there:", "before", "jit", "interp", "<-- differ"] {
            assert!(
                said.contains(needed),
                "{mnemonic}: {needed:?} is not in: {said}"
            );
        }
    }
}
