//! Bad input: damaged ELF files, and guests that go wrong. Each ends with a message or the guest's
//! own signal and the exit code Linux would give; nothing panics, nothing leaves the guest.

mod common;

use common::{Outcome, Scratch, wait};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const ENGINES: [&str; 2] = ["jit", "interp"];
const PATIENCE: Duration = Duration::from_secs(60);
/// How a shell tells SIGILL, SIGTRAP and SIGSEGV.
const ILLEGAL: i32 = 128 + 4;
const TRAP: i32 = 128 + 5;
const SEGMENT: i32 = 128 + 11;

fn bhv(engine: &str, program: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command
        .args(["run", "--engine", engine])
        .arg(program)
        .args(arguments);
    wait(command, PATIENCE)
}

fn guest(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("guests/bin")
        .join(name)
}

/// A file that is refused: 126 as a shell would, and a message that names the file and more.
fn check_refused(what: &str, path: &Path, code: i32, said: &[&str]) {
    let got = bhv("jit", path, &[]);
    let message = String::from_utf8_lossy(&got.stderr).into_owned();
    assert_eq!(got.code, code, "{what}: {message}");
    assert!(!message.contains("panicked"), "{what}: {message}");
    let file = path.file_name().unwrap().to_str().unwrap();
    assert!(
        message.contains(file),
        "{what}: the message names no file: {message}"
    );
    for part in said {
        assert!(
            message.contains(part),
            "{what}: the message lacks {part:?}: {message}"
        );
    }
    assert!(got.stdout.is_empty(), "{what}: something ran");
}

/// hello with some bytes replaced, as (offset, bytes).
fn changed(changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut file = std::fs::read(guest("hello")).unwrap();
    for (offset, bytes) in changes {
        file[*offset..][..bytes.len()].copy_from_slice(bytes);
    }
    file
}

/// Offset of a field in the n-th loadable program header of hello.
fn load(n: usize, field: usize) -> usize {
    let file = std::fs::read(guest("hello")).unwrap();
    let start = u64::from_le_bytes(file[32..40].try_into().unwrap()) as usize;
    let count = usize::from(file[56]);
    let mut loads = (0..count)
        .map(|i| start + 56 * i)
        .filter(|&at| file[at..at + 4] == [1, 0, 0, 0]);
    loads.nth(n).expect("hello has enough segments") + field
}

const OFFSET: usize = 8;
const VADDR: usize = 16;
const FILESZ: usize = 32;
const MEMSZ: usize = 40;

#[test]
fn elf_files_that_are_wrong_are_refused_with_place_and_remedy() {
    let folder = Scratch::new("bad-elf");
    let huge = u64::MAX.to_le_bytes();
    let wide = (1u64 << 60).to_le_bytes();
    let (first, second) = (load(0, 0), load(1, 0));
    let first_address = changed(&[])[first + VADDR..][..8].to_vec();
    let whole = changed(&[]);
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("empty", vec![], &[]),
        (
            "text",
            b"just some text, long enough to hold a header, but it is not one at all".to_vec(),
            &[],
        ),
        ("no-magic", changed(&[(0, b"\x7fELG")]), &["offset"]),
        ("class-32", changed(&[(4, &[1])]), &["32"]),
        ("big-endian", changed(&[(5, &[2])]), &["endian"]),
        ("x86-64", changed(&[(18, &[62, 0])]), &["x86-64"]),
        ("aarch64", changed(&[(18, &[183, 0])]), &["183"]),
        ("object-file", changed(&[(16, &[1, 0])]), &["offset"]),
        ("core-file", changed(&[(16, &[4, 0])]), &["offset"]),
        ("no-headers", changed(&[(56, &[0, 0])]), &["offset"]),
        (
            "headers-beyond-the-end",
            changed(&[(32, &wide)]),
            &["offset"],
        ),
        ("headers-that-wrap", changed(&[(32, &huge)]), &["offset"]),
        ("headers-of-wrong-size", changed(&[(54, &[57, 0])]), &["57"]),
        (
            "too-many-headers",
            changed(&[(56, &[0xff, 0xff])]),
            &["offset"],
        ),
        (
            "segment-beyond-the-file",
            changed(&[(second + OFFSET, &wide)]),
            &["offset"],
        ),
        (
            "segment-offset-wraps",
            changed(&[(second + OFFSET, &huge)]),
            &["offset"],
        ),
        (
            "more-file-than-memory",
            changed(&[(second + MEMSZ, &[1, 0, 0, 0])]),
            &["offset"],
        ),
        (
            "huge-memory",
            changed(&[(second + MEMSZ, &wide)]),
            &["offset"],
        ),
        (
            "memory-that-wraps",
            changed(&[(second + MEMSZ, &huge)]),
            &["offset"],
        ),
        (
            "huge-file-size",
            changed(&[(second + FILESZ, &wide), (second + MEMSZ, &wide)]),
            &["offset"],
        ),
        (
            "address-beyond-the-guest",
            changed(&[(second + VADDR, &wide)]),
            &["offset"],
        ),
        (
            "address-that-wraps",
            changed(&[(second + VADDR, &huge)]),
            &["offset"],
        ),
        (
            "overlap",
            changed(&[(second + VADDR, &first_address)]),
            &["overlap"],
        ),
        ("header-cut", whole[..40].to_vec(), &["offset"]),
        ("headers-cut", whole[..100].to_vec(), &["offset"]),
        ("segment-cut", whole[..0x1010].to_vec(), &["offset"]),
    ];
    for (name, bytes, said) in cases {
        check_refused(name, &folder.file(name, &bytes), 126, said);
    }
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let folder = Scratch::new("unreadable");
    check_refused("missing", &folder.path().join("missing"), 127, &[]);
    check_refused("a folder", folder.path(), 126, &[]);
    // A dynamic program without its interpreter: the message has to say what to give.
    let interpreter = b"/lib/ld-linux-riscv64-lp64d.so.1\0";
    let mut file = changed(&[(load(0, 0), &[3, 0, 0, 0])]);
    let offset = file.len() as u64;
    file.extend(interpreter);
    let header = load(0, 0);
    file[header + OFFSET..][..8].copy_from_slice(&offset.to_le_bytes());
    file[header + FILESZ..][..8].copy_from_slice(&(interpreter.len() as u64).to_le_bytes());
    file[header + MEMSZ..][..8].copy_from_slice(&(interpreter.len() as u64).to_le_bytes());
    let path = folder.file("dynamic", &file);
    let got = bhv("jit", &path, &[]);
    let message = String::from_utf8_lossy(&got.stderr);
    assert!(got.code == 126 || got.code == 127, "{message}");
    assert!(
        message.contains("ld-linux-riscv64") && message.contains("--root"),
        "{message}"
    );
}

#[test]
fn every_truncation_is_refused_or_harmless() {
    let folder = Scratch::new("truncated");
    let whole = changed(&[]);
    for length in (0..whole.len()).step_by(173) {
        let path = folder.file("cut", &whole[..length]);
        let got = bhv("jit", &path, &[]);
        let message = String::from_utf8_lossy(&got.stderr);
        assert!(!message.contains("panicked"), "{length} bytes: {message}");
        // Symbols and sections are not needed to run.
        let ran = got.code == 0 && got.stdout == b"Hello from RISC-V\n";
        assert!(
            ran || got.code == 126,
            "{length} bytes: {} {message}",
            got.code
        );
    }
}

#[test]
fn every_damaged_header_byte_is_refused_or_contained() {
    let folder = Scratch::new("damaged");
    let whole = changed(&[]);
    let headers = 64 + 56 * usize::from(whole[56]);
    for (at, byte) in whole.iter().enumerate().take(headers) {
        for bits in [0xff, 0x80, 0x01] {
            let path = folder.file("damaged", &changed(&[(at, &[byte ^ bits])]));
            let got = bhv("interp", &path, &[]);
            let message = String::from_utf8_lossy(&got.stderr);
            assert!(
                !message.contains("panicked"),
                "byte {at} ^ {bits:#x}: {message}"
            );
            let contained = [0, 126, 127, ILLEGAL, TRAP, SEGMENT, 128 + 7].contains(&got.code);
            assert!(contained, "byte {at} ^ {bits:#x}: {} {message}", got.code);
        }
    }
}

/// A guest that goes wrong: its signal's exit code, and a message with the parts named.
fn check_fault(program: &str, arguments: &[&str], code: i32, said: &[&str]) {
    for engine in ENGINES {
        let got = bhv(engine, &guest(program), arguments);
        let message = String::from_utf8_lossy(&got.stderr);
        let what = format!("{program} {arguments:?} on {engine}");
        assert_eq!(got.code, code, "{what}: {message}");
        assert_eq!(String::from_utf8_lossy(&got.stdout), "before\n", "{what}");
        assert!(!message.contains("panicked"), "{what}: {message}");
        for part in said {
            assert!(
                message.contains(part),
                "{what}: the message lacks {part:?}: {message}"
            );
        }
    }
}

#[test]
fn an_unknown_instruction_is_named_with_its_symbol() {
    check_fault(
        "unknown_instruction",
        &[],
        ILLEGAL,
        &["SIGILL", "no_such_instruction", "ffffffff"],
    );
}

#[test]
fn a_breakpoint_is_a_trap() {
    check_fault("break", &[], TRAP, &["SIGTRAP", "main"]);
}

#[test]
fn a_stack_overflow_is_named() {
    check_fault(
        "stack_overflow",
        &[],
        SEGMENT,
        &["SIGSEGV", "deeper", "stack"],
    );
}

#[test]
fn a_jump_to_nowhere_is_named() {
    check_fault("jump_nowhere", &[], SEGMENT, &["SIGSEGV", "12344321000"]);
    check_fault("jump_data", &[], SEGMENT, &["SIGSEGV", "data"]);
}

/// Addresses at every edge: page zero, the end of the window and beyond it, where hosts keep their
/// own code and stacks, and where an offset would wrap around.
const ADDRESSES: &[&str] = &[
    "0",
    "1000",
    "3fffff0000",
    "3ffffffff8",
    "4000000000",
    "4080000000",
    "555555554000",
    "7ffff7dd0000",
    "7fffffffe000",
    "ffff000000000000",
    "8000000000000000",
    "ffffffff80000000",
    "ffffffffffff0000",
    "fffffffffffffff8",
];

#[test]
fn wild_accesses_stay_in_the_guest() {
    for kind in ["load", "store", "atomic", "double", "jump"] {
        for address in ADDRESSES {
            check_fault("wild", &[kind, address], SEGMENT, &["SIGSEGV", address]);
        }
    }
}

#[test]
fn wild_pointers_in_system_calls_are_errors() {
    // At page zero several calls take the pointer for none at all, and succeed as they should.
    for address in &ADDRESSES[1..] {
        check_fault("wild", &["calls", address], 0, &[]);
    }
}
