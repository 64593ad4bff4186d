//! Makes the Debian roots that the real-program tests run in: riscv64, and its amd64 twin.
//!
//! The suite is trixie; while it cannot be had (see the crate `apt`), the next one stands in, for
//! both roots alike. Files are unpacked, nothing is installed: no script of a package runs.

use crate::command::{find, program, run as execute, target};
use apt::{Apt, SUITES};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What the tests run; their dependencies follow by themselves.
const PACKAGES: &[&str] = &[
    "base-files",
    "busybox",
    "dash",
    "coreutils",
    "diffutils",
    "findutils",
    "grep",
    "sed",
    "gawk",
    "perl",
    "lua5.4",
    "python3",
    "sqlite3",
    "bc",
    "xz-utils",
    "zstd",
    "bzip2",
    "7zip",
    "openssl",
    "git",
    "gcc",
    "libc-bin",
    "libc6-dev",
];
/// Raised when what a root holds changes, so that old ones are made anew.
const VERSION: &str = "4";

/// `cargo xtask root`: both roots under the target folder; nothing to do if they are there.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let architectures = match arguments.first().map(String::as_str) {
        None => vec!["riscv64", "amd64"],
        Some(one @ ("riscv64" | "amd64")) => vec![one],
        Some(other) => {
            return Err(format!(
                "takes riscv64 or amd64 or nothing, but got {other:?}"
            ));
        }
    };
    for architecture in architectures {
        println!("{}", make(architecture)?.display());
    }
    Ok(())
}

/// Where the root of an architecture is, or would be.
pub fn folder(architecture: &str) -> PathBuf {
    target()
        .join("roots")
        .join(format!("debian-{architecture}"))
}

/// Makes one root if it is not there already, and says where it is.
pub fn make(architecture: &str) -> Result<PathBuf, String> {
    let root = folder(architecture);
    // The twin is of the suite that the guest's root is of.
    let twin_of = made_of(&folder("riscv64")).filter(|_| architecture != "riscv64");
    if let Some(suite) = made_of(&root)
        && twin_of.is_none_or(|other| other == suite)
    {
        return Ok(root);
    }
    for tool in ["apt-get", "dpkg-deb"] {
        find(tool).ok_or(format!(
            "{tool} is missing: roots are made on a Debian-like machine"
        ))?;
    }
    let state = target().join("roots").join(format!("apt-{architecture}"));
    let apt = match twin_of {
        Some(suite) => Apt::of_suite(&state, architecture, suite)?,
        None => Apt::new(&state, architecture)?,
    };
    let suite = apt.suite;
    eprintln!(
        "downloading {} packages of {suite} for {architecture} …",
        PACKAGES.len()
    );
    execute(
        apt.get()
            .args(["--download-only", "install"])
            .args(PACKAGES)
            .stdout(std::process::Stdio::null()),
    )?;
    if root.exists() {
        fs::remove_dir_all(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    }
    lay_out(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    let mut count = 0;
    for package in entries(&apt.archives)?
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "deb"))
    {
        execute(program("dpkg-deb").arg("-x").arg(package).arg(&root))?;
        fs::remove_file(package).map_err(|e| format!("{}: {e}", package.display()))?;
        count += 1;
    }
    finish(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    let stamp = root.with_extension("stamp");
    fs::write(&stamp, stamp_of(suite)).map_err(|e| format!("{}: {e}", stamp.display()))?;
    eprintln!("unpacked {count} packages for {architecture}");
    Ok(root)
}

/// What the stamp beside a whole root says.
fn stamp_of(suite: &str) -> String {
    format!("{VERSION} {suite} {}\n", PACKAGES.join(" "))
}

/// The suite that a root was made of, if it is whole.
fn made_of(root: &Path) -> Option<&'static str> {
    let found = fs::read_to_string(root.with_extension("stamp")).ok()?;
    SUITES.into_iter().find(|suite| found == stamp_of(suite))
}

/// The folders that packages take for granted: a merged /usr, and places to write.
fn lay_out(root: &Path) -> std::io::Result<()> {
    for folder in [
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "etc",
        "dev",
        "proc",
        "tmp",
        "root",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link))?;
    }
    Ok(())
}

/// What the packages' scripts would have done, as far as the tests need it.
fn finish(root: &Path) -> std::io::Result<()> {
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;
    device(root, "null", "3", &[])?;
    device(root, "zero", "5", &[0; 4096])?;
    let mut noise = [0; 4096];
    fs::File::open("/dev/urandom")?.read_exact(&mut noise)?;
    device(root, "urandom", "9", &noise)?;
    if !root.join("usr/bin/awk").exists() {
        std::os::unix::fs::symlink("gawk", root.join("usr/bin/awk"))?;
    }
    for unread in [
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "usr/share/info",
    ] {
        if root.join(unread).exists() {
            fs::remove_dir_all(root.join(unread))?;
        }
    }
    Ok(())
}

/// A memory device for the twin, which has no other /dev; who may not make one gets a file.
fn device(root: &Path, name: &str, minor: &str, stand_in: &[u8]) -> std::io::Result<()> {
    let path = root.join("dev").join(name);
    let made = program("mknod")
        .args(["-m", "666"])
        .arg(&path)
        .args(["c", "1", minor])
        .output();
    if made.is_ok_and(|out| out.status.success()) {
        Ok(())
    } else {
        fs::write(path, stand_in)
    }
}

/// A folder's entries, in order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let list = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = list
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .collect();
    paths.sort();
    Ok(paths)
}
