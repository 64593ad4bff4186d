//! Programs of the host's that an image is made with.

use crate::Error;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Which of Debian's packages has a program.
const PACKAGES: [(&str, &str); 7] = [
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
    ("mke2fs", "e2fsprogs"),
    ("gzip", "gzip"),
    ("md5sum", "coreutils"),
];

/// A file that could not be read or written.
pub fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        path: path.clone(),
        source,
    }
}

/// Whether all of them are there; which are missing otherwise.
pub fn check(programs: &[&str]) -> Result<(), Error> {
    let there = |name: &str| {
        let mut command = command(name);
        let started = command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        started.is_ok()
    };
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|name| !there(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = PACKAGES.iter().filter(|(name, _)| missing.contains(name));
    let mut packages: Vec<&str> = packages.map(|(_, package)| *package).collect();
    packages.dedup();
    Err(Error::usage(
        format!("{} is missing on this host", missing.join(", ")),
        format!(
            "on a Debian-like host: apt-get install {}",
            packages.join(" ")
        ),
    ))
}

/// A program, looked for where administrators' programs are too.
pub fn command(name: &str) -> Command {
    let found = ["/usr/sbin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name));
    let found = found.into_iter().find(|path| path.exists());
    let mut command = found.map_or_else(|| Command::new(name), Command::new);
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// A program to which the files of `folder`, which are this user's, look like root's.
pub fn as_owner(name: &str, folder: &Path) -> Result<Command, Error> {
    if std::fs::metadata(folder).map_err(failed(folder))?.uid() == 0 {
        return Ok(command(name));
    }
    let inner = command(name);
    let mut outer = command("unshare");
    outer
        .args(["--map-root-user", "--"])
        .arg(inner.get_program());
    Ok(outer)
}

/// Runs a program to its end; what it said if it failed.
pub fn run(command: &mut Command) -> Result<(), Error> {
    output(command).map(drop)
}

/// Runs a program; what it printed.
pub fn output(command: &mut Command) -> Result<String, Error> {
    let why = "what it says above is the reason; try again if it is the network's";
    apt::output(command).map_err(|said| Error::usage(said, why))
}
