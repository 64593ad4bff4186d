//! Builds the guest programs: riscv64 files into `guests/bin`, native twins into the target folder.
//!
//! Both come from the same sources with the same flags; contraction is off so that both round
//! after every operation and print the same checksums.

use crate::command::{find, output, program, run as execute, target, workspace};
use std::path::{Path, PathBuf};

const CROSS: &str = "riscv64-linux-gnu-gcc";
/// One flag a line; `bhv bench` builds native twins with the same ones.
const COMPILE: &str = include_str!("../../guests/compile.flags");
const LINK: &str = include_str!("../../guests/link.flags");
/// Our own sources compile without a warning.
const STRICT: &[&str] = &["-Wall", "-Wextra", "-Werror", "-Iguests/runtime"];
/// The runtime's loops are memcpy and memset themselves: they must not become calls of them.
const RUNTIME: &[&str] = &["-fno-tree-loop-distribute-patterns"];

/// `cargo xtask guests`: everything for the guest, and what has a native twin for the host.
/// With `--check` the committed files stay as they are and are compared with a fresh build.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [one] if one == "--check" => true,
        other => return Err(format!("takes --check or nothing, but got {other:?}")),
    };
    if find(CROSS).is_none() {
        return Err(format!(
            "{CROSS} is missing; apt-get install gcc-riscv64-linux-gnu g++-riscv64-linux-gnu"
        ));
    }
    let committed = workspace().join("guests/bin");
    let native = target().join("guests");
    let bin = if check {
        native.join("fresh")
    } else {
        committed.clone()
    };
    for folder in [&bin, &native] {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let mut built = 0;
    let mut expected = String::new();
    for (folder, has_twin) in [("programs", true), ("features", false), ("faults", false)] {
        for source in sources(&workspace().join("guests").join(folder))? {
            let name = source.file_stem().unwrap_or_default();
            compile(
                CROSS,
                &["-march=rv64gc", "-mabi=lp64d"],
                &source,
                &bin.join(name),
            )?;
            built += 1;
            if has_twin {
                compile("gcc", &[], &source, &native.join(name))?;
                let printed = output(&mut program(native.join(name)))?;
                same_output(&committed.join(name), &printed)?;
                expected += &printed;
            }
        }
    }
    for source in sources(&workspace().join("guests/machine/tests"))? {
        let name = source.file_stem().unwrap_or_default();
        compile_for_machine(&source, &bin.join(name))?;
        built += 1;
    }
    let version = output(program(CROSS).arg("--version"))?;
    let version = version.lines().next().unwrap_or(CROSS);
    let line = format!("Built by `cargo xtask guests` with {version}\n");
    let record = committed.join("BUILT");
    // What the tests compare with: the word of the native twins.
    let outputs = workspace().join("guests/expected.txt");
    if check {
        if std::fs::read_to_string(&outputs).ok().as_ref() != Some(&expected) {
            return Err("guests/expected.txt is not what the native twins print".into());
        }
        // Another compiler makes other bytes; then only the output could be compared, and was.
        if std::fs::read_to_string(&record).is_ok_and(|built| built == line) {
            same_files(&bin, &committed)?;
        }
    } else {
        std::fs::write(&outputs, expected).map_err(|e| format!("{}: {e}", outputs.display()))?;
        std::fs::write(&record, line).map_err(|e| format!("{}: {e}", record.display()))?;
    }
    println!(
        "{built} guest programs in {}, native twins in {}",
        bin.display(),
        native.display()
    );
    Ok(())
}

/// Checks that every freshly built file is the committed one.
fn same_files(fresh: &Path, committed: &Path) -> Result<(), String> {
    let entries = std::fs::read_dir(fresh).map_err(|e| format!("{}: {e}", fresh.display()))?;
    for name in entries.flatten().map(|entry| entry.file_name()) {
        let read = |folder: &Path| {
            let path = folder.join(&name);
            std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
        };
        if read(fresh)? != read(committed)? {
            let name = name.display();
            return Err(format!(
                "guests/bin/{name} is not what its source gives; run `cargo xtask guests`"
            ));
        }
    }
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

/// Compiles one source and the runtime and links them.
///
/// Each file becomes an object of a fixed name: those names end up in the symbol table, and the
/// same sources have to give the same bytes.
fn compile(compiler: &str, machine: &[&str], source: &Path, to: &Path) -> Result<(), String> {
    let (code, place): (&str, &[&str]) = if source.file_stem().is_some_and(|n| n == "hello_pie") {
        ("-fPIE", &["-static-pie", "-Wl,--no-dynamic-linker"])
    } else {
        ("-fno-pic", &["-static", "-no-pie"])
    };
    let runtime = ["runtime.c", "math.c", "start.S"];
    let objects = target().join("guests").join(format!("{compiler}{code}"));
    std::fs::create_dir_all(&objects).map_err(|e| format!("{}: {e}", objects.display()))?;
    let compile = |file: &Path, object: &Path, extra: &[&str]| {
        execute(
            program(compiler)
                .args(COMPILE.lines())
                .args(STRICT)
                .args(machine)
                .args(extra)
                .args([code, "-c"])
                .arg(file)
                .arg("-o")
                .arg(object),
        )
    };
    for file in runtime {
        let object = objects.join(file).with_extension("o");
        if !is_newer(&object) {
            compile(&Path::new("guests/runtime").join(file), &object, RUNTIME)?;
        }
    }
    let is_cxx = source.extension().is_some_and(|e| e == "cc");
    compile(
        source,
        &objects.join("program.o"),
        if is_cxx { &["-fno-rtti"] } else { &[] },
    )?;
    let mut link = program(compiler);
    link.args(machine)
        .args(place)
        .arg(objects.join("program.o"));
    link.args(runtime.map(|file| objects.join(file).with_extension("o")));
    execute(link.arg("-o").arg(to).args(LINK.lines()))
}

/// Compiles a program that owns a whole machine, and links it to the start of RAM.
fn compile_for_machine(source: &Path, to: &Path) -> Result<(), String> {
    let machine = Path::new("guests/machine/runtime");
    let objects = target().join("guests").join("machine");
    std::fs::create_dir_all(&objects).map_err(|e| format!("{}: {e}", objects.display()))?;
    let flags = [
        "-march=rv64gc_zicbom_zicboz",
        "-mabi=lp64d",
        "-mcmodel=medany",
        "-fno-pic",
        "-fno-strict-aliasing",
    ];
    let start = machine.join("start.S");
    let sources = [(source, "program.o"), (&start, "start.o")];
    for (file, object) in sources {
        let mut cross = program(CROSS);
        cross.args(COMPILE.lines()).args(STRICT).args(flags);
        cross.arg("-I").arg(machine).arg("-c").arg(file);
        execute(cross.arg("-o").arg(objects.join(object)))?;
    }
    let mut link = program(CROSS);
    link.args(flags)
        .args(["-static", "-no-pie", "-Wl,-z,norelro"]);
    link.arg("-T").arg(machine.join("machine.ld"));
    link.args(sources.map(|(_, object)| objects.join(object)));
    execute(link.arg("-o").arg(to).args(LINK.lines()))
}

/// Whether an object of the runtime is newer than all of the runtime and this program itself.
fn is_newer(object: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let Some(made) = time(object) else {
        return false;
    };
    let Ok(entries) = std::fs::read_dir(workspace().join("guests/runtime")) else {
        return false;
    };
    let sources = entries.flatten().map(|entry| entry.path());
    sources
        .chain(std::env::current_exe())
        .all(|path| time(&path).is_some_and(|t| t < made))
}

/// Checks that the guest file under qemu, where there is one, prints what the native twin prints.
fn same_output(guest: &Path, expected: &str) -> Result<(), String> {
    if find("qemu-riscv64").is_none() {
        return Ok(());
    }
    let got = output(program("qemu-riscv64").arg(guest))?;
    if got == expected {
        Ok(())
    } else {
        Err(format!(
            "{} prints {got:?}, its native twin {expected:?}",
            guest.display()
        ))
    }
}
