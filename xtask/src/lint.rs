//! Formatting, lints and licences.

use crate::command::{cargo, find, run as execute};

/// `cargo xtask lint`: rustfmt, clippy, and cargo-deny if it is installed.
pub fn run(_: &[String]) -> Result<(), String> {
    format()?;
    clippy()?;
    if find("cargo-deny").is_some() {
        execute(cargo().args(["deny", "check"]))
    } else {
        println!("cargo-deny is not installed, so deny.toml was not checked");
        Ok(())
    }
}

/// Every file stands as rustfmt would leave it.
pub fn format() -> Result<(), String> {
    execute(cargo().args(["fmt", "--all", "--check"]))
}

/// No lint of the workspace fires, in tests and benches too.
pub fn clippy() -> Result<(), String> {
    let lints = [
        "clippy",
        "--quiet",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    execute(cargo().args(lints))
}
