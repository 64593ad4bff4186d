//! Chores that start a part of the workspace with the right settings.

use crate::command::{cargo, find, run as execute};

/// `cargo xtask soak [NAME]`: the random tests in full; `NAME` is a part of a test's name.
///
/// They take `BHV_SOAK` per cent of their full number of cases; CI leaves it at 1.
pub fn soak(arguments: &[String]) -> Result<(), String> {
    for what in [
        ["-p", "fuzzing", "-p", "interp"],
        ["-p", "baby_hypervisor", "--test", "random*"],
    ] {
        let mut test = cargo();
        test.args(["test", "--release", "--no-fail-fast"])
            .args(what)
            .env("BHV_SOAK", "100");
        execute(test.arg("--").args(arguments).arg("--nocapture"))?;
    }
    Ok(())
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
