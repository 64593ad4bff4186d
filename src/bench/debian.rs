//! Programs from Debian packages: how each way starts them.
//!
//! The riscv64 build runs from its root under `bhv run --root` and `qemu-riscv64 -L`, the build
//! for this machine from its own root through that root's loader, so that nothing is installed
//! and no root is changed into. `cargo xtask root` makes the roots.

use super::cases::Case;
use super::tools::{Tools, Way};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The guest's architecture, as Debian calls its folders.
const GUEST: &str = "riscv64-linux-gnu";

/// What the programs see of the world: nothing of this machine's environment.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/bin"),
    ("HOME", "/nowhere"),
    ("LC_ALL", "C.UTF-8"),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("OPENSSL_CONF", "openssl.cnf"),
];

/// Where the roots are.
#[derive(Debug, Default)]
pub struct Roots {
    /// The riscv64 files.
    pub guest: Option<PathBuf>,
    /// This machine's.
    pub twin: Option<Twin>,
}

/// A root with programs for this machine.
#[derive(Debug)]
pub struct Twin {
    root: PathBuf,
    loader: PathBuf,
    triple: &'static str,
}

impl Roots {
    /// What there is in this folder: finished roots have a stamp beside them.
    pub fn find(folder: &Path) -> Roots {
        let finished = |architecture: &str| {
            let root = folder.join(format!("debian-{architecture}"));
            let root = std::path::absolute(root).ok()?;
            root.with_extension("stamp").exists().then_some(root)
        };
        // xtask makes roots for these two, so only one of them can be this machine's.
        let twin = cfg!(target_arch = "x86_64")
            .then(|| finished("amd64"))
            .flatten();
        Roots {
            guest: finished("riscv64"),
            twin: twin.and_then(|root| {
                let triple = "x86_64-linux-gnu";
                let loader = root
                    .join("usr/lib")
                    .join(triple)
                    .join("ld-linux-x86-64.so.2");
                loader.exists().then_some(Twin {
                    root,
                    loader,
                    triple,
                })
            }),
        }
    }
}

impl Case {
    /// The command for one way; none if this machine lacks what it takes.
    pub fn command(&self, way: Way, tools: &Tools, amount: u64) -> Option<Command> {
        self.with(way, tools, &expand(self.arguments, amount))
    }

    /// The command that makes an input; it runs compiled, whatever ways are measured.
    pub fn preparation(&self, tools: &Tools) -> Option<(&'static str, Command)> {
        let (file, arguments) = self.prepare?;
        Some((file, self.with(Way::Jit, tools, &expand(arguments, 1))?))
    }

    fn with(&self, way: Way, tools: &Tools, arguments: &[String]) -> Option<Command> {
        let guest = tools.roots.guest.as_ref()?;
        let program = self.program_in(guest, GUEST);
        let environment = |home: &str| {
            let home = ("PYTHONHOME", home.to_owned());
            let rest = ENVIRONMENT
                .iter()
                .map(|&(name, value)| (name, value.to_owned()));
            rest.chain([home])
        };
        let mut command = match way {
            Way::Native => {
                let twin = tools.roots.twin.as_ref()?;
                let program = self.program_in(&twin.root, twin.triple);
                let mut command = Command::new(&twin.loader);
                command
                    .arg("--library-path")
                    .arg(twin.root.join("usr/lib").join(twin.triple));
                command.arg(twin.root.join(program));
                let home = twin.root.join("usr");
                command
                    .env_clear()
                    .envs(environment(&home.to_string_lossy()));
                command
            }
            Way::Qemu => {
                let mut command = Command::new(tools.qemu.as_ref()?);
                command.env_clear().envs(environment("/usr"));
                command.arg("-L").arg(guest).arg(guest.join(program));
                command
            }
            Way::Jit | Way::Again | Way::Interp => {
                let mut command = tools.bhv(way);
                command.env_clear().arg("--root").arg(guest);
                for (name, value) in environment("/usr") {
                    command.arg("--env").arg(format!("{name}={value}"));
                }
                command.arg("--").arg(format!("/{program}"));
                command
            }
        };
        for argument in arguments {
            match (argument.as_str(), way) {
                // The compiler proper takes from its driver which processor to compile for.
                ("{march}", Way::Native) => {}
                ("{march}", _) => {
                    command.args(["-march=rv64gc", "-mabi=lp64d"]);
                }
                (other, _) => {
                    command.arg(other);
                }
            }
        }
        Some(command)
    }
}

impl Case {
    /// The program's path in a root.
    fn program_in(&self, root: &Path, triple: &str) -> String {
        let program = self.program.replace("{triple}", triple);
        let Some((folder, _)) = program.split_once("{version}") else {
            return program;
        };
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten();
        let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        // Without one the name stays as it is, for whoever reads that there is no such file.
        names.next().map_or(program.clone(), |version| {
            program.replace("{version}", &version)
        })
    }
}

/// Arguments with the amount filled in.
fn expand(arguments: &[&str], amount: u64) -> Vec<String> {
    // 2^1279 - 1 in hexadecimal, a prime.
    let mersenne = format!("7{}", "f".repeat(319));
    let mut all = Vec::new();
    for argument in arguments {
        match argument
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix("*}"))
        {
            Some(file) => all.extend((0..amount).map(|_| file.replace("mersenne", &mersenne))),
            None => all.push(argument.replace("{n}", &amount.to_string())),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_or_files() {
        let got = expand(&["-c", "select {n} as n", "{text.dat*}"], 3);
        let files = ["text.dat"; 3];
        assert_eq!(got, [&["-c", "select 3 as n"], &files[..]].concat());
    }

    #[test]
    fn a_folder_without_finished_roots_holds_none() {
        let folder = std::env::temp_dir().join(format!("bhv-no-roots-{}", std::process::id()));
        // A root that is still being unpacked has no stamp.
        std::fs::create_dir_all(folder.join("debian-riscv64")).unwrap();
        let roots = Roots::find(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(roots.guest.is_none() && roots.twin.is_none());
    }
}
