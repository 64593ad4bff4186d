//! The project's chores: `cargo xtask` lists them, nothing needs a wiki.
//!
//! No dependencies of others': a chore starts in a second on a fresh clone.

mod boot;
mod command;
mod doctor;
mod efi;
mod guests;
mod isa;
mod lint;
mod root;
mod run;
mod test;
mod tools;

use std::process::ExitCode;

/// What a chore is called, what it does, and the function that does it with the rest of the line.
struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const fn chore(
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<(), String>,
) -> Chore {
    Chore { name, about, run }
}

const CHORES: &[Chore] = &[
    chore(
        "test",
        "everything that has to hold; CI runs this",
        test::run,
    ),
    chore("lint", "rustfmt, clippy, licences", lint::run),
    chore(
        "guests",
        "build guests/bin from our own sources; --check only compares",
        guests::run,
    ),
    chore(
        "isa",
        "check the bytes in tests/isa against GNU as; BLESS=1 renews them",
        isa::run,
    ),
    chore(
        "root",
        "make the Debian roots that real-program tests use",
        root::run,
    ),
    chore(
        "boot",
        "fetch Debian's riscv64 kernel and make an initial RAM disk for it",
        boot::run,
    ),
    chore(
        "soak",
        "the random tests in full, a hundred times CI's",
        run::soak,
    ),
    chore("fuzz", "run one fuzzer for some seconds", run::fuzz),
    chore(
        "bench",
        "measure: JIT, interpreter, native, QEMU",
        run::bench,
    ),
    chore(
        "doctor",
        "what this machine has of what chores and tests can use",
        doctor::run,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = arguments.first() else {
        list();
        return ExitCode::SUCCESS;
    };
    let Some(chore) = CHORES.iter().find(|c| c.name == name) else {
        eprintln!("cargo xtask: there is no chore called {name:?}\n");
        list();
        return ExitCode::from(2);
    };
    match (chore.run)(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cargo xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("cargo xtask CHORE, where CHORE is");
    for chore in CHORES {
        println!("  {:8} {}", chore.name, chore.about);
    }
}
