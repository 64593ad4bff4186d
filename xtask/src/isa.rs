//! Keeps the bytes in `tests/isa/*.ins` equal to what GNU as makes of the text beside them.

use crate::command::{find, output, program, run as execute, target, workspace};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const AS: &str = "riscv64-linux-gnu-as";
const OBJCOPY: &str = "riscv64-linux-gnu-objcopy";
/// What the instruction table holds, as GNU as names it; Zicntr is part of I there.
const MARCH: &str = "-march=rv64imafdc_zicsr_zifencei_zicbom_zicboz_zba_zbb_zbs";
/// Each instruction is assembled into a slot of its own, so that its length shows.
const SLOT: usize = 16;

/// `cargo xtask isa`: fails where bytes and text differ; with `BLESS=1` writes the bytes.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("takes no arguments, but got {unknown:?}"));
    }
    for tool in [AS, OBJCOPY] {
        if find(tool).is_none() {
            return Err(format!(
                "{tool} is missing; apt-get install binutils-riscv64-linux-gnu"
            ));
        }
    }
    let folder = workspace().join("tests/isa");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ins"));
    files.sort();
    let bless = std::env::var_os("BLESS").is_some();
    let (mut checked, mut wrong) = (0, String::new());
    for file in &files {
        let old = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let (new, count) = assemble(file, &old)?;
        checked += count;
        if new == old {
            continue;
        }
        if bless {
            std::fs::write(file, new).map_err(|e| format!("{}: {e}", file.display()))?;
            continue;
        }
        for (number, (old, new)) in old.lines().zip(new.lines()).enumerate() {
            if old != new {
                let name = file.strip_prefix(workspace()).unwrap_or(file).display();
                let _ = write!(
                    wrong,
                    "\n{name}:{}: {old}\n  should begin {new}",
                    number + 1
                );
            }
        }
    }
    if !wrong.is_empty() {
        return Err(format!(
            "bytes differ from what {AS} makes; BLESS=1 writes them:{wrong}"
        ));
    }
    println!(
        "{checked} instructions in {} files have the bytes that {AS} makes",
        files.len()
    );
    Ok(())
}

/// The file with its bytes as the assembler makes them, and how many instructions it holds.
fn assemble(file: &Path, text: &str) -> Result<(String, usize), String> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let shown = file
        .strip_prefix(workspace())
        .unwrap_or(file)
        .display()
        .to_string();
    let mut source = ".option norelax\n".to_owned();
    let mut count = 0;
    for (number, line) in text.lines().enumerate() {
        let Some((_, instruction, _)) = split(line) else {
            continue;
        };
        let compressed = if instruction.starts_with("c.") {
            "rvc"
        } else {
            "norvc"
        };
        // The line marker makes the assembler's messages point into our file.
        let at = SLOT * count;
        let marker = number + 1;
        let _ = write!(
            source,
            ".org {at}\n.option {compressed}\n# {marker} \"{shown}\"\n{instruction}\n"
        );
        count += 1;
    }
    let _ = writeln!(source, ".org {}", SLOT * count);
    let folder = target().join("isa");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let path = |extension: &str| folder.join(format!("{stem}.{extension}"));
    let (assembly, object, binary) = (path("s"), path("o"), path("bin"));
    std::fs::write(&assembly, source).map_err(|e| format!("{}: {e}", assembly.display()))?;
    output(program(AS).arg(MARCH).arg(&assembly).arg("-o").arg(&object))?;
    execute(
        program(OBJCOPY)
            .args(["-O", "binary", "-j", ".text"])
            .arg(&object)
            .arg(&binary),
    )?;
    let bytes = std::fs::read(&binary).map_err(|e| format!("{}: {e}", binary.display()))?;

    let (mut new, mut slots) = (String::new(), bytes.chunks(SLOT));
    for line in text.lines() {
        let Some((_, instruction, rest)) = split(line) else {
            new.push_str(line);
            new.push('\n');
            continue;
        };
        let slot = slots.next().ok_or("the assembler made too little code")?;
        let length = if slot[0] & 3 == 3 { 4 } else { 2 };
        if slot[length..].iter().any(|&byte| byte != 0) {
            return Err(format!(
                "{shown}: {instruction:?} is more than one instruction"
            ));
        }
        let hex: Vec<String> = slot[..length]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let _ = writeln!(new, "[{}] \"{instruction}\"{rest}", hex.join(" "));
    }
    Ok((new, count))
}

/// A line's bytes, its instruction, and what follows; `None` for a comment or an empty line.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let (bytes, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (instruction, rest) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    Some((bytes, instruction, rest))
}
