//! Random programs on both engines: registers, flags, memory, traps and counts must agree. What
//! does not is reduced to the shortest program.
//!
//! `BHV_SEED=n BHV_SOAK=0` runs the program of one seed.

mod support;

use fuzzing::generate::{self, Content};
use fuzzing::{scale, shrink};
use std::io::Write;
use support::{Way, difference};

/// Programs of a full soak run, for all ways together.
const FULL: u64 = 100_000;

fn compare(name: &str, content: Content, way: Way, share: u64) {
    let first = scale::seed();
    let count = scale::scaled(FULL / share);
    // Not captured, so that a crash of the whole process leaves it behind.
    let _ = writeln!(
        std::io::stderr(),
        "{name}: BHV_SEED={first}, {count} programs"
    );
    let (mut retired, mut interpreted) = (0, 0);
    for seed in first..first + count {
        // Both optimisation levels, about alike often.
        let options = jit::Options {
            compute: Some(interp::compute),
            optimize: seed % 2 == 0,
            ..jit::Options::default()
        };
        let program = generate::program(content, seed);
        let both = support::compare(&program, way, &options, seed);
        retired += both.retired;
        interpreted += both.interpreted;
        if both.difference.is_none() {
            continue;
        }
        let fails = |program: &_| difference(program, way, &options, seed).is_some();
        let shortest = shrink::shrink(&program, fails);
        panic!(
            "{name}: BHV_SEED={seed} differs (interpreter and compiled code, {way:?}, optimize: \
             {})\n{}\n{}",
            options.optimize,
            shortest.listing(),
            difference(&shortest, way, &options, seed).unwrap_or_default(),
        );
    }
    println!("{name}: {retired} instructions, {interpreted} of them left to the interpreter");
    if way == Way::Compiled && count > 100 {
        assert!(
            interpreted < retired / 2,
            "compiled code does most of the work"
        );
    }
}

#[test]
fn random_programs_compiled_at_once() {
    compare("compiled", Content::ALL, Way::Compiled, 3);
}

#[test]
fn random_programs_compiled_here_and_there() {
    compare("mixed", Content::ALL, Way::Mixed, 3);
}

#[test]
fn random_programs_in_pieces_of_exact_length() {
    compare("pieces", Content::ALL, Way::Pieces, 6);
}

#[test]
fn random_programs_without_counting() {
    let content = Content {
        counters: false,
        ..Content::ALL
    };
    compare("uncounted", content, Way::Uncounted, 6);
}

#[test]
fn random_programs_as_drafts() {
    let content = Content {
        counters: false,
        ..Content::ALL
    };
    compare("drafted", content, Way::Drafted, 6);
}

#[test]
fn random_programs_as_drafts_until_they_are_hot() {
    let content = Content {
        counters: false,
        ..Content::ALL
    };
    compare("tiers", content, Way::Tiers, 6);
}

#[test]
fn a_wrong_instruction_is_found_and_reduced() {
    let options = jit::Options {
        compute: Some(interp::compute),
        sabotage: Some(frontend::Op::Xor),
        ..jit::Options::default()
    };
    let found = (0..1000).find_map(|seed| {
        let program = generate::program(Content::PORTABLE, seed);
        difference(&program, Way::Compiled, &options, seed).map(|_| (seed, program))
    });
    let (seed, program) = found.expect("one of a thousand programs has an xor that matters");
    let fails = |program: &_| difference(program, Way::Compiled, &options, seed).is_some();
    let shortest = shrink::shrink(&program, fails);
    let listing = shortest.listing();
    assert!(
        shortest.items.len() <= 2 && listing.contains("xor"),
        "not short:\n{listing}"
    );
}
