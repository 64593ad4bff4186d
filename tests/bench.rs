//! `bhv bench` from end to end: small runs, what it writes, and what it refuses.

mod common;

use common::{Outcome, Scratch, wait};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(300);

fn bench(arguments: &[&str], path: Option<&Path>) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhv"));
    command.arg("bench").args(arguments);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    wait(command, PATIENCE)
}

fn printed(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

fn said(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stderr).into_owned()
}

const TWO: &str = "--only=hello,short-records";

#[test]
fn two_small_workloads_from_end_to_end() {
    let folder = Scratch::new("bench-two");
    let (json, html) = (folder.path().join("a.json"), folder.path().join("a.html"));
    let files = [
        format!("--json={}", json.display()),
        format!("--html={}", html.display()),
    ];
    let got = bench(&["--rounds=2", "--quick", TWO, &files[0], &files[1]], None);
    assert_eq!(got.code, 0, "{}{}", printed(&got), said(&got));
    let text = printed(&got);
    for part in [
        "hello",
        "short-records",
        "start-up",
        "hello, CPU time",
        "geometric means",
    ] {
        assert!(text.contains(part), "the table lacks {part:?}:\n{text}");
    }
    assert!(
        said(&got).is_empty(),
        "progress belongs on terminals only: {}",
        said(&got)
    );

    let json = std::fs::read_to_string(json).unwrap();
    let count = |part: &str| json.matches(part).count();
    assert_eq!(
        count("\"name\": \"hello\""),
        1 + count("{\"name\": \"hello\", \"qemu_over_jit\"")
    );
    assert_eq!(
        (count("\"jit\": {"), count("\"interp\": {")),
        (2, 2),
        "{json}"
    );
    // Two rounds of the JIT, one of the interpreter.
    let samples = |way: &str| {
        let (_, rest) = json
            .split_once(&format!("\"{way}\": {{\"cpu_s\": ["))
            .unwrap();
        rest.split(']').next().unwrap().split(", ").count()
    };
    assert_eq!((samples("jit"), samples("interp")), (2, 1));
    let depth = json.chars().try_fold(0_i32, |depth, ch| match ch {
        '{' | '[' => Some(depth + 1),
        '}' | ']' => Some(depth - 1).filter(|depth| *depth >= 0),
        _ => Some(depth),
    });
    assert_eq!(depth, Some(0), "brackets do not match: {json}");

    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains("short-records") && html.contains("<svg"));
    assert!(html.trim_end().ends_with("</html>"));
}

#[test]
fn without_compiler_and_qemu_the_rest_is_measured_and_the_gap_is_told() {
    let empty = Scratch::new("bench-no-tools");
    let got = bench(&["--rounds=1", "--only=hello"], Some(empty.path()));
    let text = printed(&got);
    assert_eq!(got.code, 0, "{text}{}", said(&got));
    assert!(text.contains("gcc is not installed"), "{text}");
    assert!(text.contains("qemu-riscv64 is not installed"), "{text}");
}

#[test]
fn without_roots_debian_programs_are_skipped_with_the_remedy() {
    let empty = Scratch::new("bench-no-roots");
    let roots = format!("--roots={}", empty.path().display());
    let got = bench(
        &[
            "--rounds=1",
            "--only=lua-short,hello",
            "--without=interp",
            &roots,
        ],
        None,
    );
    let text = printed(&got);
    assert_eq!(got.code, 0, "{text}{}", said(&got));
    assert!(
        text.contains("cargo xtask root") && !text.contains("lua-short  "),
        "{text}"
    );
}

/// It ends with this code and says these words, before it measures anything.
fn check_refused(arguments: &[&str], code: i32, words: &[&str]) {
    let got = bench(arguments, None);
    let message = said(&got);
    assert_eq!(got.code, code, "{arguments:?}: {message}");
    assert!(
        got.stdout.is_empty() && !message.contains("panicked"),
        "{message}"
    );
    for word in words {
        assert!(
            message.contains(word),
            "{arguments:?}: the message lacks {word:?}: {message}"
        );
    }
}

#[test]
fn bad_arguments_are_refused_with_a_remedy() {
    check_refused(&["--only=nonsense"], 2, &["nonsense", "--list"]);
    check_refused(&["--only=hello", "--rounds=0"], 2, &["--rounds", "0"]);
    check_refused(&["--only=hello", "--rounds=many"], 2, &["many"]);
    check_refused(&["--without=valgrind"], 2, &["valgrind", "qemu"]);
    check_refused(
        &["--only=hello", "--roots=/nonexistent/roots"],
        2,
        &["/nonexistent/roots"],
    );
    let file = "--json=/nonexistent/folder/file";
    check_refused(&["--only=hello", file], 125, &["/nonexistent/folder/file"]);
    let file = "--html=/nonexistent/folder/file";
    check_refused(&["--only=hello", file], 125, &["/nonexistent/folder/file"]);
}

#[test]
fn the_list_names_every_group() {
    let got = bench(&["--list"], None);
    let text = printed(&got);
    for group in [
        "integer",
        "floating point",
        "memory",
        "indirect",
        "scripts",
        "tools",
        "short",
    ] {
        assert!(text.contains(group), "{text}");
    }
    assert!(text.lines().count() >= 50, "{text}");
}
