//! The programs of other projects that chores and tests call, and how to get them.

use crate::command::{find, output, program};
use apt::KEYRING;
use std::process::{Command, Stdio};

/// A program or another file, the Debian package that holds it, and what is lost without it.
pub struct Tool {
    /// The program's name, or the file's path.
    pub name: &'static str,
    /// The Debian package.
    pub package: &'static str,
    /// What it is for.
    pub purpose: &'static str,
}

const fn tool(name: &'static str, package: &'static str, purpose: &'static str) -> Tool {
    Tool {
        name,
        package,
        purpose,
    }
}

/// Everything that the tests can use; building and running `bhv` needs none of it.
pub const TOOLS: &[Tool] = &[
    tool(
        "gcc",
        "gcc",
        "native twins of the guest programs, the soft-float oracle",
    ),
    tool("g++", "g++", "native twins of the guest programs in C++"),
    tool(
        "riscv64-linux-gnu-gcc",
        "gcc-riscv64-linux-gnu",
        "building the guest programs",
    ),
    tool(
        "riscv64-linux-gnu-g++",
        "g++-riscv64-linux-gnu",
        "building the guest programs in C++",
    ),
    tool(
        "riscv64-linux-gnu-as",
        "binutils-riscv64-linux-gnu",
        "the bytes in tests/isa",
    ),
    tool(
        "qemu-riscv64",
        "qemu-user",
        "comparing with an emulator that is not ours",
    ),
    tool(
        "chroot",
        "coreutils",
        "running the amd64 twins of Debian programs",
    ),
    tool("gdb-multiarch", "gdb-multiarch", "the debugging tests"),
    tool("dpkg-deb", "dpkg", "unpacking Debian packages"),
    tool("mknod", "coreutils", "the twin's /dev"),
    tool("grub-mkimage", "grub-common", "booting through GRUB"),
    tool("mformat", "mtools", "the disk that GRUB boots from"),
    tool(
        "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin",
        "opensbi",
        "booting machines through OpenSBI",
    ),
];

/// The tools that are not there.
pub fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|t| find(t.name).is_none()).collect()
}

/// Installs what is missing through apt where this user may; `Err` says why it could not.
pub fn install() -> Result<(), String> {
    let mut packages: Vec<&str> = missing().iter().map(|t| t.package).collect();
    if !std::path::Path::new(KEYRING.0).exists() {
        packages.push(KEYRING.1);
    }
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    println!("installing {}", packages.join(" "));
    let mut update = apt_get()?;
    quietly(update.args(["-q", "-q", "update"]))?;
    let mut install = apt_get()?;
    install
        .args(["-q", "-q", "-y", "--no-install-recommends", "install"])
        .args(&packages);
    quietly(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// apt-get with the rights to install: as root, or through a sudo that asks nothing.
fn apt_get() -> Result<Command, String> {
    if find("apt-get").is_none() {
        return Err("there is no apt-get on this machine".into());
    }
    if output(program("id").arg("-u"))?.trim() == "0" {
        return Ok(program("apt-get"));
    }
    let mut sudo = program("sudo");
    if output(program("sudo").args(["-n", "true"])).is_err() {
        return Err("installing needs root, and sudo asks for a password".into());
    }
    sudo.args(["-n", "apt-get"]);
    Ok(sudo)
}

/// Runs a command whose output matters only if it fails.
fn quietly(command: &mut Command) -> Result<(), String> {
    output(command.stdin(Stdio::null())).map(drop)
}
