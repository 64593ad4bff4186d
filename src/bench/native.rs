//! Native twins: the same sources built by this machine's compiler with the same flags.

use super::programs::{Program, RUNTIME};
use crate::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMPILE: &str = include_str!("../../guests/compile.flags");
const LINK: &str = include_str!("../../guests/link.flags");

/// Whether there is a compiler to build twins with.
pub fn compiler_found() -> bool {
    Command::new("gcc")
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success())
}

/// Builds a program's twin in a folder and says where it is; `None` if the compiler refuses.
pub fn build(program: &Program, folder: &Path) -> Result<Option<PathBuf>, Error> {
    let sources = RUNTIME.iter().chain(std::iter::once(&program.source));
    for (name, text) in sources {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| Error::File { path, source })?;
    }
    let is_cxx = program.source.0.ends_with(".cc");
    let gcc = |arguments: &[&str]| {
        Command::new("gcc")
            .current_dir(folder)
            .args(COMPILE.lines())
            .args(["-fno-pic", "-no-pie", "-static", "-w"])
            .args(arguments)
            .output()
            .is_ok_and(|out| out.status.success())
    };
    let extra = if is_cxx {
        ["-fno-rtti"].as_slice()
    } else {
        &[]
    };
    let twin = format!("{}.native", program.name);
    let compiled = gcc(&[extra, &["-c", program.source.0, "-o", "program.o"]].concat());
    // The runtime's loops are memcpy and memset themselves: they must not become calls of them.
    let mut link = vec!["-fno-tree-loop-distribute-patterns"];
    link.extend(["runtime.c", "math.c", "start.S", "program.o", "-o", &twin]);
    link.extend(LINK.lines());
    Ok((compiled && gcc(&link)).then(|| folder.join(twin)))
}
