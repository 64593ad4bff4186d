//! Says what this machine has of what chores and tests can use.

use crate::command::{find, output, program};
use crate::{root, tools};

/// `cargo xtask doctor`: one line a tool, with its version or how to get it.
pub fn run(_: &[String]) -> Result<(), String> {
    for (name, what) in [
        ("cargo", "everything"),
        ("rustfmt", "formatting"),
        ("cargo-clippy", "lints"),
    ] {
        line(
            name,
            what,
            "rustup component add, or rust-toolchain.toml does it",
        );
    }
    for tool in tools::TOOLS {
        line(
            tool.name,
            tool.purpose,
            &format!("apt-get install {}", tool.package),
        );
    }
    line(
        "cargo-deny",
        "licences and advisories",
        "cargo install cargo-deny --locked",
    );
    line(
        "cargo-fuzz",
        "fuzzing",
        "cargo install cargo-fuzz --locked, and a nightly toolchain",
    );
    for architecture in ["riscv64", "amd64"] {
        let there = root::folder(architecture).with_extension("stamp").exists();
        let state = if there {
            "made"
        } else {
            "missing: cargo xtask root"
        };
        println!("{:24} {state}", format!("Debian root {architecture}"));
    }
    Ok(())
}

fn line(name: &str, purpose: &str, remedy: &str) {
    if find(name).is_none() {
        println!("{name:24} missing, for {purpose}: {remedy}");
        return;
    }
    let version = output(program(name).arg("--version")).unwrap_or_default();
    println!("{name:24} {}", version.lines().next().unwrap_or("there"));
}
