//! Snapshots of whole machines: going on from one is the same as never having stopped, and what
//! is not sound, or asks for files of the host's, is refused.

mod common;

use baby_hypervisor::EngineKind;
use baby_hypervisor::machine::{
    DiskAccess, DiskOptions, End, Image, Machine, MachineOptions, Resume, Schedule, Wires,
};
use baby_hypervisor::snapshot::{Kind, Reader, checksum};
use common::{Outcome, Scratch, skip, target_folder, wait};
use devices::{Output, Power};
use frontend::generate::Random;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(300);
/// Of Debian's opensbi package.
const OPENSBI: &str = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";

fn bhv(arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.args(arguments);
    wait(command, PATIENCE)
}

/// What bhv said; it must have ended with this code.
fn says(arguments: &[&str], code: i32) -> String {
    let got = bhv(arguments);
    let said = String::from_utf8_lossy(&got.stderr).into_owned();
    assert_eq!(got.code, code, "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Count and state of what `--stats` says.
fn facts(said: &str) -> Vec<String> {
    let lines = said.lines().map(str::trim_start);
    let wanted = lines.filter(|line| line.starts_with("retired") || line.starts_with("state"));
    wanted
        .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
        .collect()
}

/// Keeps what a machine prints.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Output for Printed {
    fn put(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend(bytes);
    }
}

impl Printed {
    fn wires(&self) -> Wires {
        let mut wires = Wires::none();
        wires.output = Box::new(self.clone());
        wires.debug = Box::new(self.clone());
        wires
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// Boots once without a stop, then with a stop at each of so many counts, where the machine is
/// saved, resumed by another process and has to end as the first one did.
fn boots(test: &str, harts: usize, engine: EngineKind, firmware: Option<Image>, counts: u64) {
    let folder = target_folder().join("roots/boot");
    if !folder.join("Image").exists() {
        return skip(test, "cargo xtask boot has not fetched a kernel");
    }
    let options = MachineOptions {
        harts,
        engine,
        firmware,
        kernel: Some(Image::File(folder.join("Image"))),
        initrd: Some(Image::File(folder.join("initrd.cpio"))),
        append: "console=ttyS0 quiet".into(),
        ..MachineOptions::default()
    };
    let straight = Printed::default();
    let mut machine = Machine::new(options.clone(), Arc::default(), straight.wires()).unwrap();
    let end = machine.run(u64::MAX, || false).unwrap();
    assert_eq!(end, End::Power(Power::Off));
    let total = machine.stats().retired;
    let state = format!("{:016x}", machine.state_hash().unwrap());
    let expected = [total.to_string(), state];
    drop(machine);

    let scratch = Scratch::new(test);
    let file = scratch.path().join("saved");
    let printed = Printed::default();
    let mut machine = Machine::new(options, Arc::default(), printed.wires()).unwrap();
    let mut random = Random::new(counts + harts as u64);
    for n in 0..counts {
        let count = total * n / counts + random.below(total / counts);
        assert_eq!(machine.run(count, || false).unwrap(), End::Limit);
        assert_eq!(machine.stats().retired, count);
        machine.save(&file).unwrap();
        let engine = if n % 2 == 0 { "jit" } else { "interp" };
        let got = bhv(&[
            "resume",
            "--engine",
            engine,
            "--stats",
            file.to_str().unwrap(),
        ]);
        let said = String::from_utf8_lossy(&got.stderr);
        assert_eq!(got.code, 0, "from {count} on {engine}: {said}");
        assert_eq!(facts(&said), expected, "from {count}");
        let whole = [printed.bytes(), got.stdout].concat();
        assert_eq!(whole, straight.bytes(), "from {count}");
    }
    // Saving has not disturbed it.
    assert_eq!(
        machine.run(u64::MAX, || false).unwrap(),
        End::Power(Power::Off)
    );
    let state = format!("{:016x}", machine.state_hash().unwrap());
    assert_eq!([machine.stats().retired.to_string(), state], expected);
}

/// How many counts: the full number in a soak run.
fn counts(full: u64) -> u64 {
    let soak = std::env::var("BHV_SOAK")
        .ok()
        .and_then(|soak| soak.parse::<u64>().ok());
    if soak.is_some_and(|soak| soak >= 100) {
        full
    } else {
        full.div_ceil(5)
    }
}

#[test]
fn a_boot_saved_at_exact_counts_ends_the_same() {
    boots(
        "a_boot_saved_at_exact_counts_ends_the_same",
        1,
        EngineKind::Interp,
        None,
        counts(20),
    );
}

#[test]
fn a_boot_on_two_harts_of_opensbi_saved_at_exact_counts_ends_the_same() {
    let test = "a_boot_on_two_harts_of_opensbi_saved_at_exact_counts_ends_the_same";
    if !Path::new(OPENSBI).exists() {
        return skip(test, "opensbi is not installed");
    }
    boots(
        test,
        2,
        EngineKind::Jit,
        Some(Image::File(OPENSBI.into())),
        counts(10),
    );
}

/// A machine that does nothing for ever, saved; the options beside the kernel.
fn looping(scratch: &Scratch, options: &[&str]) -> String {
    let kernel = scratch.file("loop", &0x0000_006fu32.to_le_bytes());
    let saved = scratch.path().join("saved").display().to_string();
    let start = [
        "boot",
        "--memory",
        "32M",
        "--kernel",
        kernel.to_str().unwrap(),
    ];
    let save = ["--snapshot-at", "1000", "--snapshot", &saved];
    let said = says(&[&start[..], options, &save].concat(), 0);
    assert!(said.contains("saved at 1000"), "{said}");
    saved
}

#[test]
fn files_named_by_a_snapshot_are_opened_only_as_the_user_allows() {
    let scratch = Scratch::new("snapshot-files");
    let image = scratch.file("disk.img", &[7; 8192]).display().to_string();
    let folder = scratch.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let (disk, share) = (
        format!("{image}:temp"),
        format!("home={}", folder.display()),
    );
    let saved = looping(&scratch, &["--disk", &disk, "--share", &share]);
    let resume = ["resume", "--stop-at", "2000", &saved];
    let with = |options: &[&str], code| says(&[&resume[..], options].concat(), code);
    let said = with(&[], 125);
    assert!(
        said.contains(&format!("--disk {disk} --share {share}")),
        "{said}"
    );
    assert!(with(&["--disk", &disk], 125).contains("--share"));
    assert!(with(&["--disk", &image, "--share", &share], 125).contains(":temp"));
    assert!(with(&["--trust", "--net"], 125).contains("no --net"));
    with(&["--disk", &disk, "--share", &share], 0);
    with(&["--trust"], 0);
    // Another folder under the tag, a copy of the disk with its time: both as the user says.
    let copy = scratch.path().join("copy.img").display().to_string();
    assert!(
        Command::new("cp")
            .args(["-p", &image, &copy])
            .status()
            .unwrap()
            .success()
    );
    let elsewhere = format!("home={}", scratch.path().display());
    with(
        &["--disk", &format!("{copy}:temp"), "--share", &elsewhere],
        0,
    );
    std::fs::write(&image, [8; 8192]).unwrap();
    let said = with(&["--trust"], 2);
    assert!(
        said.contains("not as it was") && said.contains("--changed-disks"),
        "{said}"
    );
    with(&["--trust", "--changed-disks"], 0);
    std::fs::remove_file(&image).unwrap();
    assert!(with(&["--trust"], 125).contains("disk.img"));
}

#[test]
fn a_machine_is_saved_again_and_looked_into() {
    let scratch = Scratch::new("snapshot-again");
    let saved = looping(&scratch, &["--harts", "2"]);
    let again = scratch.path().join("again").display().to_string();
    let said = says(
        &[
            "resume",
            "--snapshot-at",
            "3000",
            "--snapshot",
            &again,
            &saved,
        ],
        0,
    );
    assert!(said.contains("saved at 3000"), "{said}");
    let shown = bhv(&["snapshot", "show", &again]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for word in [
        "machine, saved",
        "3000 instructions",
        "thread 1",
        "devices",
        "loop",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    says(&["snapshot", "verify", &saved, &again], 0);
    assert_eq!(bhv(&["snapshot", "diff", &saved, &again]).code, 1);
    assert_eq!(bhv(&["snapshot", "diff", &again, &again]).code, 0);
    let said = says(
        &[
            "resume",
            "--snapshot-at",
            "10",
            "--snapshot",
            &again,
            &saved,
        ],
        0,
    );
    assert!(said.contains("nothing was saved"), "{said}");
    assert!(says(&["resume", "--trust", &guest_snapshot(&scratch)], 2).contains("holds a program"));
}

/// A snapshot of a program.
fn guest_snapshot(scratch: &Scratch) -> String {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/hello");
    let saved = scratch.path().join("program").display().to_string();
    says(
        &["run", "--snapshot-at", "10", "--snapshot", &saved, program],
        0,
    );
    saved
}

fn nothing() -> Resume {
    Resume {
        engine: EngineKind::Interp,
        schedule: Schedule::Turns,
        trust: false,
        disks: Vec::new(),
        changed_disks: false,
        net: None,
        shares: Vec::new(),
    }
}

/// A machine of random code in the middle of its run, as bytes, with an overlay for a disk.
fn sample(scratch: &Scratch) -> (Vec<u8>, Resume, PathBuf) {
    let disk = DiskOptions {
        path: scratch.file("disk.img", &[7; 8192]),
        access: DiskAccess::Overlay,
    };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/bin/machine_time");
    let options = MachineOptions {
        memory: 32 << 20,
        harts: 2,
        firmware: Some(Image::File(program)),
        disks: vec![disk.clone()],
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(options, Arc::default(), Wires::none()).unwrap();
    assert_eq!(machine.run(5000, || false).unwrap(), End::Limit);
    let file = scratch.path().join("sample");
    machine.save(&file).unwrap();
    let mut resume = nothing();
    resume.disks = vec![disk];
    (std::fs::read(&file).unwrap(), resume, file)
}

/// The machine of these bytes, run for a while, if it is believed.
fn resumed(bytes: &[u8], file: &Path, resume: &Resume) -> bool {
    std::fs::write(file, bytes).unwrap();
    let machine = Machine::resume(file, resume, Arc::default(), Wires::none());
    machine.is_ok_and(|mut machine| {
        machine
            .run(machine.stats().retired + 5000, || false)
            .unwrap();
        true
    })
}

#[test]
fn damaged_machines_are_refused() {
    let scratch = Scratch::new("snapshot-damaged");
    let (bytes, resume, file) = sample(&scratch);
    assert!(resumed(&bytes, &file, &resume));
    let reader = Reader::open(&file).unwrap();
    let mut random = Random::new(31);
    for kind in [Kind::Machine, Kind::Harts, Kind::Devices, Kind::PageMap] {
        let section = *reader.section(kind, 0).unwrap();
        for _ in 0..40 {
            let at = section.offset + random.below(section.length);
            let mut damaged = bytes.clone();
            damaged[at as usize] ^= 1 << random.below(8);
            assert!(!resumed(&damaged, &file, &resume), "{kind:?}: byte {at:#x}");
        }
    }
    for _ in 0..20 {
        let length = random.below(bytes.len() as u64) as usize;
        assert!(!resumed(&bytes[..length], &file, &resume), "{length} bytes");
    }
}

/// Whoever forges a snapshot makes the checksums right. It may be believed then, but nothing may
/// panic, and nothing outside the machine be touched.
#[test]
fn hostile_machines_bring_nothing_down() {
    let scratch = Scratch::new("snapshot-hostile");
    let (bytes, resume, file) = sample(&scratch);
    let sections = Reader::open(&file).unwrap().sections().to_vec();
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let table = word(&bytes, 24) as usize;
    let mut random = Random::new(32);
    let mut believed = 0;
    for round in 0..400 {
        let mut forged = bytes.clone();
        let kinds = [Kind::Machine, Kind::Harts, Kind::Devices, Kind::PageMap];
        let kind = kinds[round % kinds.len()];
        let index = sections
            .iter()
            .position(|s| s.kind == kind.number())
            .unwrap();
        let section = sections[index];
        let range = section.offset as usize..(section.offset + section.length) as usize;
        for _ in 0..1 + random.below(4) {
            let at = range.start + random.below(section.length) as usize;
            forged[at] = match random.below(3) {
                0 => random.bits() as u8,
                1 => 0xff,
                _ => forged[at] ^ 1 << random.below(8),
            };
        }
        let entry = table + index * 64;
        let sum = checksum::of(&forged[range]);
        forged[entry + 24..entry + 32].copy_from_slice(&sum.to_le_bytes());
        let sum = checksum::of(&forged[table..table + sections.len() * 64]);
        forged[32..40].copy_from_slice(&sum.to_le_bytes());
        let sum = checksum::of(&forged[..56]);
        forged[56..64].copy_from_slice(&sum.to_le_bytes());
        believed += u32::from(resumed(&forged, &file, &resume));
    }
    assert!(
        believed > 10 && believed < 390,
        "{believed} of 400 were believed"
    );
}
