//! Makes the Debian roots that the real-program tests run in: riscv64, and its amd64 twin.
//!
//! The suite is trixie; while a mirror's index of it does not fit its signature, as happens for
//! hours while a mirror is brought up to date, the next suite stands in, for both roots alike.
//!
//! Packages come from the mirror this machine's apt already uses, through an apt state of our
//! own, checked against Debian's keyring; the host's package database is not touched. Files are
//! unpacked, nothing is installed: no script of a package runs.

use crate::command::{find, output, program, run as execute, target};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Debian's suites, in the order in which they are tried.
const SUITES: [&str; 2] = ["trixie", "forky"];
const KEYRING: &str = crate::tools::KEYRING.0;
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
    if !Path::new(KEYRING).exists() {
        return Err(format!(
            "{KEYRING} is missing; apt-get install debian-archive-keyring"
        ));
    }
    let state = target().join("roots").join(format!("apt-{architecture}"));
    let (suite, options) = match twin_of {
        Some(suite) => (suite, updated(&state, architecture, suite)?),
        None => any_suite(&state, architecture)?,
    };
    eprintln!(
        "downloading {} packages of {suite} for {architecture} …",
        PACKAGES.len()
    );
    execute(
        program("apt-get")
            .args(&options)
            .args([
                "-q",
                "-q",
                "-y",
                "--download-only",
                "--no-install-recommends",
                "install",
            ])
            .args(PACKAGES)
            .stdout(std::process::Stdio::null()),
    )?;
    if root.exists() {
        fs::remove_dir_all(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    }
    lay_out(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    let archives = state.join("archives");
    let mut count = 0;
    for package in entries(&archives)?
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

/// The first suite whose index can be had, and apt's options for it.
pub(crate) fn any_suite(
    state: &Path,
    architecture: &str,
) -> Result<(&'static str, Vec<String>), String> {
    let mut reasons = Vec::new();
    for suite in SUITES {
        match updated(state, architecture, suite) {
            Ok(options) => return Ok((suite, options)),
            Err(reason) => {
                eprintln!("the index of {suite} for {architecture} cannot be had now");
                reasons.push(format!("{suite}: {reason}"));
            }
        }
    }
    Err(reasons.join("; "))
}

/// apt's options for a suite whose index has been fetched.
fn updated(state: &Path, architecture: &str, suite: &str) -> Result<Vec<String>, String> {
    let options = apt_options(state, architecture, suite)?;
    execute(
        program("apt-get")
            .args(&options)
            .args(["-q", "-q", "update"]),
    )?;
    Ok(options)
}

/// apt's options for a state of our own: nothing of the host's lists, caches or database.
fn apt_options(state: &Path, architecture: &str, suite: &str) -> Result<Vec<String>, String> {
    for part in ["lists/partial", "archives/partial", "etc"] {
        fs::create_dir_all(state.join(part)).map_err(|e| format!("{}: {e}", state.display()))?;
    }
    let sources = state.join("etc/sources.list");
    let line = format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror()?);
    fs::write(&sources, line).map_err(|e| format!("{}: {e}", sources.display()))?;
    let status = state.join("status");
    fs::write(&status, "").map_err(|e| format!("{}: {e}", status.display()))?;
    let state = state.display();
    Ok([
        format!("APT::Architecture={architecture}"),
        format!("APT::Architectures={architecture}"),
        "APT::Sandbox::User=".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::Retries=3".to_owned(),
        "Debug::NoLocking=true".to_owned(),
        format!("Dir::State={state}"),
        format!("Dir::State::Lists={state}/lists"),
        format!("Dir::State::status={state}/status"),
        format!("Dir::Cache={state}"),
        format!("Dir::Cache::archives={state}/archives"),
        format!("Dir::Etc::SourceList={state}/etc/sources.list"),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        "Dir::Etc::Preferences=/dev/null".to_owned(),
        "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect())
}

/// The Debian mirror this machine's apt uses, or what `BHV_DEBIAN_MIRROR` says.
fn mirror() -> Result<String, String> {
    if let Ok(mirror) = std::env::var("BHV_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let list = |filter: &[&str]| {
        output(
            program("apt-get")
                .args([
                    "indextargets",
                    "--format",
                    "$(REPO_URI)",
                    "Created-By: Packages",
                ])
                .args(filter),
        )
    };
    // The origin is known only once the lists were fetched; before that the address has to do.
    let named = list(&["Origin: Debian"])?;
    let all = list(&[])?;
    let is_archive = |uri: &&str| uri.trim_end_matches('/').ends_with("/debian");
    let found = named
        .lines()
        .find(is_archive)
        .or_else(|| all.lines().find(is_archive));
    found.map(str::to_owned).ok_or_else(|| {
        "apt's configuration names no Debian mirror; set BHV_DEBIAN_MIRROR to one's address".into()
    })
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
