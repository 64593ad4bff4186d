//! Builds the guest programs: riscv64 files into `guests/bin`, native twins into the target folder.
//!
//! Both come from the same sources with the same flags; contraction is off so that both round
//! after every operation and print the same checksums.

use crate::command::{find, output, program, run as execute, target, workspace};
use std::path::{Path, PathBuf};

const CROSS: &str = "riscv64-linux-gnu-gcc";
const FLAGS: &[&str] = &[
    "-O2",
    "-ffreestanding",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-exceptions",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Iguests/runtime",
];
const LINK: &[&str] =
    &["-nostdlib", "-Wl,--build-id=none,--gc-sections", "-Wl,-z,separate-code", "-lgcc"];
/// The runtime's loops are memcpy and memset themselves: they must not become calls of them.
const RUNTIME: &[&str] = &["-fno-tree-loop-distribute-patterns"];

/// `cargo xtask guests`: everything for the guest, and what has a native twin for the host.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("takes no arguments, but got {unknown:?}"));
    }
    if find(CROSS).is_none() {
        return Err(format!("{CROSS} is missing; apt-get install gcc-riscv64-linux-gnu g++-riscv64-linux-gnu"));
    }
    let bin = workspace().join("guests/bin");
    let native = target().join("guests");
    for folder in [&bin, &native] {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let mut built = 0;
    for (folder, has_twin) in [("programs", true), ("features", false), ("faults", false)] {
        for source in sources(&workspace().join("guests").join(folder))? {
            let name = source.file_stem().unwrap_or_default();
            compile(CROSS, &["-march=rv64gc", "-mabi=lp64d"], &source, &bin.join(name))?;
            built += 1;
            if has_twin {
                compile("gcc", &[], &source, &native.join(name))?;
                same_output(&bin.join(name), &native.join(name))?;
            }
        }
    }
    let version = output(program(CROSS).arg("--version"))?;
    let line = format!("Built by `cargo xtask guests` with {}\n", version.lines().next().unwrap_or(CROSS));
    std::fs::write(bin.join("BUILT"), line).map_err(|e| format!("guests/bin/BUILT: {e}"))?;
    println!("{built} guest programs in guests/bin, native twins in {}", native.display());
    Ok(())
}

/// The C and C++ files of a folder, in order.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "c" || e == "cc"))
        .collect();
    files.sort();
    Ok(files)
}

/// One source and the runtime, compiled and linked by one call of the compiler.
fn compile(compiler: &str, machine: &[&str], source: &Path, to: &Path) -> Result<(), String> {
    let object = target().join("guests").join(format!("{compiler}.o"));
    let language: &[&str] =
        if source.extension().is_some_and(|e| e == "cc") { &["-fno-rtti"] } else { &[] };
    let place: [&str; 3] = if source.file_stem().is_some_and(|n| n == "hello_pie") {
        ["-fPIE", "-static-pie", "-Wl,--no-dynamic-linker"]
    } else {
        ["-fno-pic", "-no-pie", "-static"]
    };
    execute(
        program(compiler)
            .args(FLAGS)
            .args(machine)
            .args(language)
            .arg(place[0])
            .arg("-c")
            .arg(source)
            .arg("-o")
            .arg(&object),
    )?;
    execute(
        program(compiler)
            .args(FLAGS)
            .args(machine)
            .args(RUNTIME)
            .args(place)
            .args(["guests/runtime/runtime.c", "guests/runtime/math.c", "guests/runtime/start.S"])
            .arg(&object)
            .arg("-o")
            .arg(to)
            .args(LINK),
    )
}

/// Checks that the guest file under qemu, where there is one, prints what the native twin prints.
fn same_output(guest: &Path, native: &Path) -> Result<(), String> {
    if find("qemu-riscv64").is_none() {
        return Ok(());
    }
    let expected = output(&mut program(native))?;
    let got = output(program("qemu-riscv64").arg(guest))?;
    if got == expected {
        Ok(())
    } else {
        Err(format!("{} prints {got:?}, its native twin {expected:?}", guest.display()))
    }
}
