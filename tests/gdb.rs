//! Debugging by gdb-multiarch: a kernel from its first instruction on, and a program of ours.

mod common;

use baby_hypervisor::machine::{End, Image, Machine, MachineOptions, Wires};
use common::{Outcome, skip, target_folder, wait};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const GDB: &str = "gdb-multiarch";

/// A bhv that waits for a debugger.
struct Waiting {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Waiting {
    fn start(arguments: &[&str]) -> Waiting {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bhv"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(line.contains("waiting for gdb"), "{line}");
        Waiting {
            child,
            said,
            address,
        }
    }

    /// What gdb prints of these commands, after it has connected.
    fn gdb(&self, file: Option<&Path>, commands: &[&str]) -> String {
        let mut command = Command::new(GDB);
        command.args([
            "--nx",
            "--batch",
            "-ex",
            "set confirm off",
            "-ex",
            "set pagination off",
        ]);
        command.args([
            "-ex",
            "set architecture riscv:rv64",
            "-ex",
            "set remotetimeout 60",
        ]);
        command.args(["-ex", &format!("target remote {}", self.address)]);
        for text in commands {
            command.args(["-ex", text]);
        }
        command.args(file);
        let Outcome { stdout, stderr, .. } = wait(command, PATIENCE);
        let (out, err) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        format!("{out}{err}")
    }

    /// Its exit code, and what it printed, once it has ended.
    fn end(mut self) -> (i32, String, String) {
        let mut out = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        let mut err = String::new();
        self.said.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), out, err)
    }
}

fn has_gdb(test: &str) -> bool {
    let found = Command::new(GDB)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if found.is_err() {
        skip(test, "gdb-multiarch is not installed");
    }
    found.is_ok()
}

/// All of these lines are in what was printed, in this order.
fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word);
        let at = at.unwrap_or_else(|| panic!("{word:?} is missing, or out of order, in:\n{text}"));
        rest = &rest[at + word.len()..];
    }
}

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("guests/bin")
        .join(name)
}

/// The value behind `$1 = ` and so on.
fn values(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with('$'));
    lines
        .filter_map(|line| line.split_once("= "))
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[test]
fn a_kernel_is_stopped_at_its_functions() {
    let test = "a_kernel_is_stopped_at_its_functions";
    let folder = target_folder().join("roots/boot");
    if !folder.join("Image").exists() {
        return skip(test, "cargo xtask boot has not fetched a kernel");
    }
    if !has_gdb(test) {
        return;
    }
    let path = |name: &str| folder.join(name).display().to_string();
    let (kernel, initrd) = (path("Image"), path("initrd.cpio"));
    let boot = [
        "boot",
        "--kernel",
        &kernel,
        "--initrd",
        &initrd,
        "--append",
        "console=ttyS0 quiet",
    ];
    let straight = Waiting::start(&[&boot[..], &["--stats", "--gdb", "0"]].concat());
    assert!(straight.gdb(None, &["detach"]).contains("detached"));
    let (code, printed, said) = straight.end();
    assert_eq!(code, 0, "{said}");
    let state = |said: &str| {
        let line = said
            .lines()
            .find(|line| line.starts_with("  state"))
            .map(str::to_owned);
        line.unwrap_or_else(|| panic!("{said}"))
    };

    // Somewhere in the kernel, in the middle of its boot: a virtual address, and what is there.
    let options = MachineOptions {
        kernel: Some(Image::File(folder.join("Image"))),
        initrd: Some(Image::File(folder.join("initrd.cpio"))),
        append: "console=ttyS0 quiet".into(),
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(options, Arc::default(), Wires::none()).unwrap();
    assert_eq!(machine.run(300_000_000, || false).unwrap(), End::Limit);
    let at = machine.hart_state(0).unwrap().pc;
    assert!(at > 1 << 63, "{at:#x} is an address of the kernel's");
    let mut code = [0; 4];
    assert_eq!(machine.peek(0, at, &mut code), 4);
    let code = format!("{:#x}", u32::from_le_bytes(code));
    drop(machine);

    for engine in ["interp", "jit"] {
        let waiting =
            Waiting::start(&[&boot[..], &["--engine", engine, "--stats", "--gdb", "0"]].concat());
        let text = waiting.gdb(
            None,
            &[
                "print/x $pc",
                // As loads see it, with a breakpoint at it.
                "hbreak *($pc + 4)",
                "print/x *(unsigned int *)($pc + 4)",
                "stepi",
                "delete",
                &format!("break *{at:#x}"),
                "continue",
                "print/x $pc",
                "print/x *(unsigned int *)$pc",
                "stepi",
                "stepi",
                "info threads",
                "detach",
            ],
        );
        let found = values(&text);
        let image = std::fs::read(&kernel).unwrap();
        let second = u32::from_le_bytes(image[4..8].try_into().unwrap());
        let expected = [
            "0x80200000".into(),
            format!("{second:#x}"),
            format!("{at:#x}"),
            code.clone(),
        ];
        assert_eq!(found, expected, "{text}");
        in_order(&text, &["Breakpoint 2", "Thread 1", "hart 0", "detached"]);
        let (exit, again, said_again) = waiting.end();
        assert_eq!((exit, &again), (0, &printed), "{said_again}");
        // Nothing that was looked at has left a trace.
        assert_eq!(state(&said_again), state(&said));
    }
}

#[test]
fn a_machine_with_paging_is_stopped_at_symbols_stepped_and_read() {
    let test = "a_machine_with_paging_is_stopped_at_symbols_stepped_and_read";
    if !has_gdb(test) {
        return;
    }
    let program = guest("machine_paging");
    let waiting = Waiting::start(&[
        "boot",
        "--firmware",
        program.to_str().unwrap(),
        "--gdb",
        "0",
    ]);
    let text = waiting.gdb(
        Some(&program),
        &[
            "break *main",
            "continue",
            "print $pc == (long)&main",
            "stepi",
            "print $pc != (long)&main",
            "info registers pc",
            // Traps, first with paging off and then on.
            "break *trapped",
            "continue",
            "backtrace 1",
            "x/i $pc",
            "kill",
        ],
    );
    in_order(
        &text,
        &[
            "Breakpoint 1",
            "= 1",
            "= 1",
            "pc ",
            "Breakpoint 2",
            "trapped",
        ],
    );
    assert_eq!(waiting.end().0, 0);
}

#[test]
fn a_program_is_stopped_stepped_watched_and_changed() {
    if !has_gdb("a_program_is_stopped_stepped_watched_and_changed") {
        return;
    }
    let program = guest("mixed");
    for engine in ["interp", "jit"] {
        let path = program.to_str().unwrap();
        let waiting = Waiting::start(&["run", "--engine", engine, "--gdb", "0", path, "40"]);
        let text = waiting.gdb(
            Some(&program),
            &[
                "break *main",
                "continue",
                "print $pc == (long)&main",
                "stepi",
                "print/x $sp & 15",
                "watch -location *(unsigned long *)($sp - 8)",
                "continue",
                "delete",
                "set $t6 = 0x1234",
                "print/x $t6",
                "detach",
            ],
        );
        in_order(
            &text,
            &[
                "Breakpoint 1",
                "= 1",
                "Hardware watchpoint 2",
                "Old value",
                "0x1234",
                "detached",
            ],
        );
        let (code, printed, said) = waiting.end();
        let plain = Command::new(env!("CARGO_BIN_EXE_bhv"))
            .args(["run", path, "40"])
            .output();
        assert_eq!(code, 0, "{engine}: {said}");
        assert_eq!(printed.as_bytes(), plain.unwrap().stdout, "{engine}");
    }
}
