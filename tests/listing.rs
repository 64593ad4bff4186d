//! How much host code guest loops become, kept in a golden file so that a loss shows in review.
//! `BLESS=1` writes the file anew.

use baby_hypervisor::explain::{self, Host};
use baby_hypervisor::{Error, Launch};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Loops: program, function, and which of its innermost loops.
const LOOPS: [(&str, &str, usize); 10] = [
    ("crc32", "main", 0),
    ("sha256", "main", 1),
    ("sieve", "main", 0),
    ("fft", "main", 0),
    ("nbody", "main", 0),
    ("matmul64", "row_by_column", 0),
    ("matmul32", "row_by_column", 0),
    ("bigint", "multiply", 0),
    ("stream", "main", 0),
    ("strings", "strlen", 0),
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Guest and host instructions of a loop, on a host.
fn counts(program: &str, function: &str, number: usize, host: Host) -> Result<String, Error> {
    let launch = Launch::new(file("guests/bin").join(program));
    let subject = explain::explain_for(launch, function, host)?;
    let loops = subject.innermost_loops();
    let Some(found) = loops.get(number) else {
        return Ok(format!("{function} has {} loops", loops.len()));
    };
    let (guest, host) = subject.explained.counts(found.range.clone());
    Ok(format!(
        "{host:4} / {guest:3} = {:5.2}",
        host as f64 / guest as f64
    ))
}

#[test]
fn host_instructions_for_each_guest_instruction_are_as_recorded() {
    let mut text = String::from(
        "# Host instructions / guest instructions of ten loops, cold code included.\n\
         # Written by: BLESS=1 cargo test --release --test listing\n",
    );
    let _ = writeln!(text, "{:<26} {:<18} {:<18}", "loop", "x86-64", "aarch64");
    for (program, function, number) in LOOPS {
        let on = |host| counts(program, function, number, host).unwrap();
        let name = format!("{program} {function} {number}");
        let (x86, arm) = (on(Host::X86_64), on(Host::Aarch64));
        assert!(
            x86.contains('=') && arm.contains('='),
            "{name}: {x86}, {arm}"
        );
        let _ = writeln!(text, "{name:<26} {x86:<18} {arm:<18}");
    }
    let golden = file("tests/listing.golden");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, &text).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        text, recorded,
        "host code changed; look at it, then BLESS=1"
    );
}

#[test]
fn a_region_is_shown_in_three_columns_with_a_total() {
    let subject = explain::explain(Launch::new(file("guests/bin/crc32")), "main").unwrap();
    let found = &subject.innermost_loops()[0];
    let table = subject
        .explained
        .table(found.range.clone(), &subject.symbols);
    let mut lines = table.lines();
    let head = lines.next().unwrap();
    for column in ["guest code", "Cranelift IR", "host code"] {
        assert!(head.contains(column), "{head}");
    }
    let rows: Vec<&str> = lines
        .clone()
        .filter(|line| line.matches('│').count() == 2)
        .collect();
    let (guest, host) = subject.explained.counts(found.range.clone());
    let shown = rows.iter().filter(|row| !row.starts_with(' ')).count();
    assert!(shown >= guest && guest > 0 && host > 0, "{table}");
    let total = format!("total: {guest} guest instructions, {host} host instructions");
    assert!(lines.next_back().unwrap().starts_with(&total), "{table}");
}

#[test]
fn a_symbol_that_does_not_exist_is_refused_with_what_is_like_it() {
    let Err(error) = explain::explain(Launch::new(file("guests/bin/crc32")), "mai") else {
        panic!("there is no such symbol");
    };
    let text = error.to_string();
    assert!(
        text.contains("no symbol 'mai'") && text.contains("main"),
        "{text}"
    );
}
