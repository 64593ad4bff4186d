//! Chores that start a part of the workspace with the right settings.

use crate::command::{cargo, find, run as execute};

/// `cargo xtask soak [NAME]`: the tests with a hundred times CI's random programs.
///
/// Tests that draw random cases take `BHV_SOAK` per cent of their full number; CI leaves it at 1.
pub fn soak(arguments: &[String]) -> Result<(), String> {
    let test = ["test", "--workspace", "--release", "--no-fail-fast", "--"];
    execute(
        cargo()
            .args(test)
            .args(arguments)
            .args(["--nocapture"])
            .env("BHV_SOAK", "100"),
    )
}

/// `cargo xtask bench …`: the same as `bhv bench …`, built first.
pub fn bench(arguments: &[String]) -> Result<(), String> {
    execute(
        cargo()
            .args(["run", "--release", "--", "bench"])
            .args(arguments),
    )
}

/// `cargo xtask fuzz TARGET [SECONDS]`: one fuzzer of `fuzz/` for a while, a minute by default.
pub fn fuzz(arguments: &[String]) -> Result<(), String> {
    let [target, rest @ ..] = arguments else {
        return Err("name a target: one of the files in fuzz/fuzz_targets".into());
    };
    if find("cargo-fuzz").is_none() {
        return Err("cargo-fuzz is missing; cargo install cargo-fuzz --locked".into());
    }
    let seconds = rest.first().map_or("60", String::as_str);
    let limit = format!("-max_total_time={seconds}");
    execute(cargo().args(["+nightly", "fuzz", "run", target, "--", &limit]))
}
