//! `cargo xtask test`: everything that has to hold before a change goes in; CI calls just this.
//!
//! What cannot run on this machine is named with its reason. In CI nothing may be skipped.

use crate::command::{cargo, target};
use crate::{boot, efi, guests, isa, lint, root, tools};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

/// What has been counted so far.
#[derive(Default)]
struct Tally {
    passed: u64,
    failures: Vec<String>,
    skipped: Vec<String>,
}

/// Runs every check and prints the sum; the last line is "N passed, N failed".
pub fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("takes no arguments, but got {unknown:?}"));
    }
    let start = Instant::now();
    let mut tally = Tally::default();
    prepare(&mut tally);
    tally.check("rustfmt", lint::format);
    tally.check("clippy", lint::clippy);
    for tool in tools::missing() {
        tally
            .skipped
            .push(format!("{}: {} is missing", tool.purpose, tool.name));
    }
    if tools::missing().is_empty() {
        tally.check("guest programs are built from their sources", || {
            guests::run(&["--check".into()])
        });
        tally.check("instruction tests hold what GNU as makes", || isa::run(&[]));
    }
    tally.tests();
    tally.print(start)
}

/// Gets tools and Debian roots; what cannot be got shows later as skipped tests.
fn prepare(tally: &mut Tally) {
    if let Err(reason) = tools::install() {
        println!("could not install what is missing: {reason}");
    }
    for architecture in ["riscv64", "amd64"] {
        if let Err(reason) = root::make(architecture) {
            tally
                .skipped
                .push(format!("Debian programs: no {architecture} root: {reason}"));
        }
    }
    if let Err(reason) = boot::make() {
        tally
            .skipped
            .push(format!("booting Debian's kernel: {reason}"));
    }
    if let Err(reason) = efi::make() {
        tally
            .skipped
            .push(format!("booting through U-Boot and GRUB: {reason}"));
    }
}

impl Tally {
    /// One check that either holds or not.
    fn check(&mut self, name: &str, check: impl FnOnce() -> Result<(), String>) {
        let start = Instant::now();
        let result = check();
        println!(
            "{name} … {} ({:.0?})",
            if result.is_ok() { "ok" } else { "FAILED" },
            start.elapsed()
        );
        match result {
            Ok(()) => self.passed += 1,
            Err(message) => self.failures.push(format!("{name}: {message}")),
        }
    }

    /// `cargo test` over the workspace, doc tests too, its lines passed through and counted.
    fn tests(&mut self) {
        let list = target().join("skipped-tests");
        let _ = std::fs::remove_file(&list);
        let kept = target().join("test-cache");
        let _ = std::fs::remove_dir_all(&kept);
        let before = self.failures.len();
        let status = self.cargo_test(&list, &kept);
        match status {
            Ok(true) => {}
            Ok(false) if self.failures.len() > before => {}
            Ok(false) => self
                .failures
                .push("cargo test failed without naming a test".into()),
            Err(message) => self.failures.push(message),
        }
        let skipped = std::fs::read_to_string(&list).unwrap_or_default();
        self.skipped.extend(skipped.lines().map(str::to_owned));
    }

    /// The tests' `bhv run` keeps compiled code, as users' does, but none of another day.
    fn cargo_test(&mut self, skipped: &Path, caches: &Path) -> Result<bool, String> {
        let mut child = cargo()
            .args(["test", "--workspace", "--release", "--no-fail-fast"])
            .env("BHV_SKIPPED", skipped)
            .env("XDG_CACHE_HOME", caches)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start cargo test: {e}"))?;
        let stdout = child.stdout.take().ok_or("cargo test has no output")?;
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|e| format!("reading cargo test's output: {e}"))?;
            println!("{line}");
            self.count(&line);
        }
        Ok(child
            .wait()
            .map_err(|e| format!("waiting for cargo test: {e}"))?
            .success())
    }

    /// Reads a line of the test runner: a failed test's name, or a sum.
    fn count(&mut self, line: &str) {
        if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|l| l.strip_suffix(" ... FAILED"))
        {
            self.failures.push(format!("test {name}"));
        }
        if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|l| l.strip_suffix(" ... ignored"))
        {
            self.skipped.push(format!("{name}: marked as ignored"));
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            let passed = rest.split([' ', ';']).zip(rest.split([' ', ';']).skip(1));
            let sum = passed
                .filter(|(_, word)| *word == "passed")
                .find_map(|(n, _)| n.parse().ok());
            self.passed += sum.unwrap_or(0);
        }
    }

    fn print(self, start: Instant) -> Result<(), String> {
        println!("\nafter {:.0?}:", start.elapsed());
        for failure in &self.failures {
            println!("  failed: {failure}");
        }
        for skipped in &self.skipped {
            println!("  skipped: {skipped}");
        }
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        let skipped_too_much = in_ci && !self.skipped.is_empty();
        if skipped_too_much {
            println!("  CI is set, and there nothing may be skipped");
        }
        print!("{} passed, {} failed", self.passed, self.failures.len());
        match self.skipped.len() {
            0 => println!(),
            n => println!(", {n} skipped"),
        }
        if self.failures.is_empty() && !skipped_too_much {
            Ok(())
        } else {
            // The last line stays the sum; the exit code says the rest.
            std::process::exit(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_runners_lines_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test a::d ... ignored",
            "test result: FAILED. 12 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.count(line);
        }
        assert_eq!(tally.passed, 42);
        assert_eq!(tally.failures, ["test a::c"]);
        assert_eq!(tally.skipped, ["a::d: marked as ignored"]);
    }
}
