//! The ways to run a workload, and what this machine has of what they take.

use super::debian::Roots;
use super::native;
use crate::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a program can be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Way {
    /// `bhv run --engine jit`, with nothing kept from earlier starts.
    Jit,
    /// `bhv run --engine interp`.
    Interp,
    /// The same program built for this machine.
    Native,
    /// `qemu-riscv64`.
    Qemu,
    /// As `Jit`, with the code that earlier starts have kept.
    Again,
}

impl Way {
    /// Every way, in the order of a round.
    pub const ALL: [Way; 5] = [Way::Native, Way::Jit, Way::Again, Way::Interp, Way::Qemu];

    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Way::Jit => "jit",
            Way::Again => "again",
            Way::Interp => "interp",
            Way::Native => "native",
            Way::Qemu => "qemu",
        }
    }
}

/// Where compiled code is kept for `Way::Again`, within the folder that everything runs in.
pub const KEPT: &str = "translations";

/// What this machine has.
#[derive(Debug)]
pub struct Tools {
    bhv: PathBuf,
    /// `qemu-riscv64`.
    pub qemu: Option<PathBuf>,
    /// Whether there is a compiler for native twins.
    pub compiler: bool,
    /// Debian's files.
    pub roots: Roots,
}

impl Tools {
    /// Looks for everything. Roots are looked for in `roots`, or where `cargo xtask root` makes
    /// them.
    pub fn find(roots: Option<&Path>) -> Result<Tools, Error> {
        let bhv = std::env::current_exe().map_err(|source| Error::File {
            path: "bhv".into(),
            source,
        })?;
        // The binary is `<target>/<profile>/bhv`, the roots are in `<target>/roots`.
        let beside = bhv.ancestors().nth(2).map(|target| target.join("roots"));
        let folder = roots.map(Path::to_owned).or(beside).unwrap_or_default();
        Ok(Tools {
            roots: Roots::find(&folder),
            qemu: on_path("qemu-riscv64"),
            compiler: native::compiler_found(),
            bhv,
        })
    }

    /// `bhv run` on one engine, with statistics on stderr.
    pub fn bhv(&self, way: Way) -> Command {
        let mut command = Command::new(&self.bhv);
        command.args(["run", "--stats", "--engine"]);
        command.arg(if way == Way::Interp { "interp" } else { "jit" });
        let kept = if way == Way::Again { KEPT } else { "none" };
        command.args(["--translations", kept]);
        command
    }

    /// The first line of what a tool says about its version.
    pub fn qemu_version(&self) -> Option<String> {
        version(self.qemu.as_ref()?)
    }

    /// The compiler of native twins.
    pub fn compiler_version(&self) -> Option<String> {
        version(Path::new("gcc")).filter(|_| self.compiler)
    }
}

fn version(program: &Path) -> Option<String> {
    let out = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}

/// The file a shell would run for this name.
fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
