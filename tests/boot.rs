//! Whole machines: Debian's kernel from its first instruction to poweroff, and what goes wrong
//! before.

mod common;

use common::{Outcome, Scratch, skip, target_folder, wait};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(300);
/// Of Debian's opensbi package.
const OPENSBI: &str = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";

fn bhv(options: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.arg("boot").args(options);
    wait(command, PATIENCE)
}

/// What `cargo xtask boot` made, if it did.
fn file(test: &str, name: &str) -> Option<String> {
    let path: PathBuf = target_folder().join("roots/boot").join(name);
    if !path.exists() {
        skip(test, "cargo xtask boot has not fetched a kernel");
        return None;
    }
    Some(path.display().to_string())
}

/// What a boot printed: the console, and count and state from the statistics.
fn boot(test: &str, options: &[&str]) -> Option<(String, Vec<String>)> {
    let (kernel, initrd) = (file(test, "Image")?, file(test, "initrd.cpio")?);
    let files = ["--kernel", &kernel, "--initrd", &initrd];
    Some(powers_off(&[&files, options].concat()))
}

/// The console of a boot to the end, and count and state.
fn powers_off(options: &[&str]) -> (String, Vec<String>) {
    let got = bhv(&[options, &["--stats"]].concat());
    let console = String::from_utf8_lossy(&got.stdout).into_owned();
    let said = String::from_utf8_lossy(&got.stderr);
    assert_eq!(got.code, 0, "{options:?}: {said}\n{console}");
    let facts = said.lines().filter(|line| {
        ["  retired", "  state"]
            .iter()
            .any(|name| line.starts_with(name))
    });
    (console, facts.map(str::to_owned).collect())
}

fn boots(test: &str, harts: usize, options: &[&str]) {
    let harts = harts.to_string();
    let options = [
        &["--harts", &harts, "--append", "console=ttyS0 quiet"],
        options,
    ]
    .concat();
    let Some((console, facts)) = boot(test, &options) else {
        return;
    };
    assert!(
        console.contains(&format!("BOOT-OK harts {harts}\r\n")),
        "{console}"
    );
    // Again, and on the other engine.
    for engine in ["interp", "jit"] {
        let options = [&options, &["--engine", engine][..]].concat();
        let (again, same) = boot(test, &options).unwrap();
        assert_eq!(again, console, "{engine}");
        assert_eq!((same.len(), same), (2, facts.clone()), "{engine}");
    }
}

#[test]
fn debian_boots_twice_the_same() {
    boots("debian_boots_twice_the_same", 1, &[]);
}

#[test]
fn debian_boots_on_two_harts_twice_the_same() {
    boots("debian_boots_on_two_harts_twice_the_same", 2, &[]);
}

#[test]
fn debian_boots_on_four_harts_of_opensbi_twice_the_same() {
    let test = "debian_boots_on_four_harts_of_opensbi_twice_the_same";
    if !PathBuf::from(OPENSBI).exists() {
        return skip(test, "opensbi is not installed");
    }
    boots(test, 4, &["--firmware", OPENSBI]);
}

#[test]
fn debian_boots_the_same_with_code_that_was_kept() {
    let test = "debian_boots_the_same_with_code_that_was_kept";
    let scratch = Scratch::new("boot-kept");
    let folder = scratch.path().join("code").display().to_string();
    let with = |folder: &str| {
        let options = ["--translations", folder, "--append", "console=ttyS0 quiet"];
        boot(test, &options)
    };
    let Some(expected) = with("none") else {
        return;
    };
    for boot in 0..4 {
        assert_eq!(with(&folder).as_ref(), Some(&expected), "boot {boot}");
    }
}

/// What a machine prints that is not the same twice is not compared.
fn boots_on_threads(test: &str, harts: usize, options: &[&str]) {
    let count = harts.to_string();
    for engine in ["jit", "interp"] {
        let threads = [
            "--schedule",
            "threads",
            "--clock",
            "host",
            "--harts",
            &count,
        ];
        let append = ["--append", "console=ttyS0 quiet", "--engine", engine];
        let Some((console, _)) = boot(test, &[&threads[..], &append, options].concat()) else {
            return;
        };
        let harts = format!("BOOT-OK harts {harts}\r\n");
        assert!(console.contains(&harts), "{engine}: {console}");
        for trouble in ["WARNING", "BUG", "Oops", "rcu:", "soft lockup"] {
            assert!(!console.contains(trouble), "{engine}: {console}");
        }
    }
}

#[test]
fn debian_boots_on_two_harts_at_the_same_time() {
    boots_on_threads("debian_boots_on_two_harts_at_the_same_time", 2, &[]);
}

#[test]
fn debian_boots_on_four_harts_of_opensbi_at_the_same_time() {
    let test = "debian_boots_on_four_harts_of_opensbi_at_the_same_time";
    if !PathBuf::from(OPENSBI).exists() {
        return skip(test, "opensbi is not installed");
    }
    boots_on_threads(test, 4, &["--firmware", OPENSBI]);
}

/// As a distribution's image boots: firmware reads GRUB off the disk, GRUB the kernel.
#[test]
fn u_boot_and_grub_lead_to_debian_twice_the_same() {
    let folder = target_folder().join("roots/efi");
    if !folder.join("stamp").exists() {
        let test = "u_boot_and_grub_lead_to_debian_twice_the_same";
        return skip(test, "cargo xtask test has not made a disk with GRUB");
    }
    let firmware = folder.join("u-boot.bin").display().to_string();
    let disk = format!("{}:temp", folder.join("disk.img").display());
    let run = |engine| powers_off(&["--kernel", &firmware, "--disk", &disk, "--engine", engine]);
    let (console, facts) = run("jit");
    for words in ["U-Boot 20", "GRUB is here", "BOOT-OK harts 1\r\n"] {
        assert!(console.contains(words), "{words:?} is not in: {console}");
    }
    let (again, same) = run("interp");
    assert_eq!(again, console);
    assert_eq!((same.len(), same), (2, facts));
}

#[test]
fn side_by_side_the_engines_boot_debian_without_a_difference() {
    let test = "side_by_side_the_engines_boot_debian_without_a_difference";
    let (Some(kernel), Some(initrd)) = (file(test, "Image"), file(test, "initrd.cpio")) else {
        return;
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.args(["diff", "boot", "--append", "console=ttyS0 quiet"]);
    command.args(["--kernel", &kernel, "--initrd", &initrd]);
    let got = wait(command, PATIENCE);
    let said = String::from_utf8_lossy(&got.stderr);
    assert_eq!(got.code, 0, "{said}");
    assert!(said.contains("no difference in"), "{said}");
}

#[test]
fn a_reset_under_no_reboot_ends_with_its_own_code() {
    let test = "a_reset_under_no_reboot_ends_with_its_own_code";
    let (Some(kernel), Some(initrd)) = (file(test, "Image"), file(test, "initrd.cpio")) else {
        return;
    };
    let append = ["--append", "console=ttyS0 reboot", "--no-reboot"];
    let got = bhv(&[&["--kernel", &kernel, "--initrd", &initrd], &append[..]].concat());
    assert_eq!(got.code, 10, "{}", String::from_utf8_lossy(&got.stderr));
}

/// The exit code, and what is said.
fn refused(options: &[&str], code: i32, words: &[&str]) {
    let got = bhv(options);
    let said = String::from_utf8_lossy(&got.stderr);
    assert_eq!(got.code, code, "{options:?}: {said}");
    for word in words {
        assert!(
            said.contains(word),
            "{options:?}: {word:?} is not in: {said}"
        );
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn what_cannot_be_booted_is_told() {
    let scratch = Scratch::new("boot-refused");
    let path = |name: &str, bytes: &[u8]| scratch.file(name, bytes).display().to_string();
    refused(&[], 2, &["nothing to boot", "--kernel"]);
    refused(
        &["--kernel", "/nonexistent/Image"],
        125,
        &["/nonexistent/Image"],
    );
    refused(&["--kernel", &path("empty", b"")], 2, &["is empty"]);
    refused(
        &["--kernel", &path("gzip", b"\x1f\x8b\x08")],
        2,
        &["gzip -dc"],
    );
    let large = path("large", &vec![0; 40 << 20]);
    refused(
        &["--kernel", &large, "--memory", "32M"],
        2,
        &["does not fit", "--memory"],
    );
    let elf = path("elf", b"\x7fELF\x02\x01\x01");
    refused(&["--kernel", &elf], 2, &["no ELF file for a machine"]);
    let raw = path("raw", &[0; 64]);
    refused(
        &["--kernel", &raw, "--memory", "31M"],
        2,
        &["bytes of memory", "32M"],
    );
    refused(&["--kernel", &raw, "--memory", "lots"], 2, &["is no size"]);
    refused(&["--kernel", &raw, "--harts", "0"], 2, &["0 harts"]);
    refused(
        &["--kernel", &raw, "--disk", "/nonexistent"],
        2,
        &["/nonexistent", "--disk"],
    );
    refused(
        &["--kernel", &raw, "--initrd", &large, "--memory", "32M"],
        2,
        &["does not fit"],
    );
    for net in [&["--net"][..], &["--forward", "0:22"]] {
        let options = [&["--kernel", &raw], net].concat();
        refused(&options, 2, &["exact clock", "--clock host"]);
    }
    let threads = ["--kernel", &raw, "--schedule", "threads"];
    refused(&threads, 2, &["exact clock", "--clock host"]);
    for count in ["--stop-at", "--snapshot-at"] {
        let options = [&threads[..], &["--clock", "host", count, "5"]].concat();
        let options = [&options[..], &["--snapshot", "/nonexistent"]].concat();
        refused(&options, 2, &[count, "leave out --schedule threads"]);
    }
    let firmware = path("firmware", &vec![0; 3 << 20]);
    refused(
        &["--kernel", &raw, "--firmware", &firmware],
        2,
        &["would overlap", &firmware],
    );
}

#[test]
fn a_guest_that_cannot_go_on_is_told_apart() {
    let scratch = Scratch::new("boot-stuck");
    // Zeros are no instruction, and mtvec is 0, where nothing can be executed.
    let zeros = scratch.file("zeros", &[0; 64]).display().to_string();
    refused(
        &["--firmware", &zeros],
        11,
        &["does nothing but trap", "InstructionAccessFault"],
    );
    // wfi, and a jump back to it.
    let wfi = [0x1050_0073u32, 0xffdf_f06f].map(u32::to_le_bytes).concat();
    let wfi = scratch.file("wfi", &wfi).display().to_string();
    refused(&["--firmware", &wfi], 11, &["waits for an interrupt"]);
    refused(
        &["--kernel", &wfi],
        11,
        &["waits for an interrupt", "Supervisor"],
    );
    let threads = ["--schedule", "threads", "--clock", "host", "--harts", "3"];
    refused(
        &[&["--kernel", &wfi], &threads[..]].concat(),
        11,
        &["waits for an interrupt", "hart 2: Stopped"],
    );
    refused(
        &[&["--firmware", &zeros], &threads[..]].concat(),
        11,
        &["does nothing but trap", "InstructionAccessFault"],
    );
}

#[test]
fn a_timer_that_is_set_for_the_end_of_time_never_comes() {
    let scratch = Scratch::new("boot-timer");
    // li a0,1; slli a0,a0,63: some 29,000 years. And li a0,-1; srli a0,a0,7: 456 years.
    for (name, time) in [
        ("far", [0x0010_0513, 0x03f5_1513]),
        ("near", [0xfff0_0513, 0x0075_5513]),
    ] {
        let code = [
            // SBI's set_timer: lui a7,0x54495; addi a7,a7,-699; li a6,0.
            [0x5449_58b7, 0xd458_8893, 0x0000_0813].as_slice(),
            &time,
            // ecall; li t0,32; csrs sie,t0; wfi; and a jump back to it.
            &[0x73, 0x0200_0293, 0x1042_a073, 0x1050_0073, 0xffdf_f06f],
        ];
        let code = code.concat().into_iter().flat_map(u32::to_le_bytes);
        let code = scratch.file(name, &code.collect::<Vec<u8>>());
        refused(
            &["--kernel", &code.display().to_string()],
            11,
            &["waits for an interrupt", "Supervisor"],
        );
    }
}

#[test]
fn the_device_tree_can_be_had() {
    let scratch = Scratch::new("boot-dtb");
    let raw = scratch.file("raw", &[0; 64]).display().to_string();
    let to = scratch.path().join("tree.dtb");
    let to = to.display().to_string();
    refused(
        &["--kernel", &raw, "--append", "quick=1", "--dump-dtb", &to],
        0,
        &[],
    );
    let tree = std::fs::read(&to).unwrap();
    assert!(tree.starts_with(&0xd00d_feedu32.to_be_bytes()));
    let has = |text: &[u8]| tree.windows(text.len()).any(|window| window == text);
    assert!(has(b"quick=1\0") && has(b"ns16550a") && has(b"riscv,sv48"));
}

#[test]
fn an_image_that_cannot_be_made_is_told() {
    let scratch = Scratch::new("image-refused");
    let folder = scratch.path().display().to_string();
    let image = |options: &[&str], path: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
        command
            .args(["image", "debian", "--folder", &folder])
            .args(options)
            .env("PATH", path);
        let got = wait(command, PATIENCE);
        (got.code, String::from_utf8_lossy(&got.stderr).into_owned())
    };
    let (code, said) = image(&["--password", "a'b"], "/usr/bin");
    assert!(code == 2 && said.contains("--password"), "{said}");
    let (code, said) = image(&[], "/nonexistent");
    assert!(
        code == 2 && said.contains("apt-get") && said.contains("is missing"),
        "{said}"
    );
}
