//! The project's chores: `cargo xtask` lists them, nothing needs a wiki.
//!
//! No dependencies: a chore starts in a second on a fresh clone.

mod command;
mod guests;
mod root;

use std::process::ExitCode;

/// What a chore is called, what it does, and the function that does it with the rest of the line.
struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const CHORES: &[Chore] = &[
    Chore { name: "guests", about: "build guests/bin from our own sources", run: guests::run },
    Chore { name: "root", about: "make the Debian roots that real-program tests use", run: root::run },
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
