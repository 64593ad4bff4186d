//! Random programs on the tiers as `bhv run` uses them: code that gets hot is compiled in the
//! background, and a run is cut at exact counts. The interpreter alone says what must come out.
//!
//! Two things are done to them at random counts, the same on both: everything derived from the
//! guest's code is dropped, which must change nothing, and pages of data lose their permissions,
//! so that any access may fault, wherever the compiler has put it.
//!
//! The compiler by itself is tested like this in `fuzzing/tests/engines.rs`.

mod common;

use baby_hypervisor::engine::{EngineCpu, Stats};
use baby_hypervisor::translations::Folder;
use baby_hypervisor::{Engine, EngineKind, EngineOptions};
use common::Scratch;
use frontend::generate::Random;
use fuzzing::generate::{self, Content};
use fuzzing::machine::{self, Outcome};
use fuzzing::program::{CODE, DATA, DATA_LENGTH, Program};
use fuzzing::{scale, shrink};
use hart::{HartState, Trap};
use linux::{Cpu, Stop};
use memory::{PAGE_BITS, Protection, UserSpace};
use std::fs::File;
use std::io::Write;

/// Programs of a full soak run.
const FULL: u64 = 20_000;

/// Pages that hold a program's code and data.
const PAGES: std::ops::Range<u64> = CODE >> PAGE_BITS..(DATA + DATA_LENGTH) >> PAGE_BITS;

/// A page of data to get another protection when so many instructions have retired.
type Change = (u64, u64, Protection);

/// A hart of the product, run in pieces.
struct Pieces<'a> {
    cpu: Box<EngineCpu>,
    random: Random,
    space: &'a UserSpace,
    /// The next change is the last one.
    changes: Vec<Change>,
}

impl Pieces<'_> {
    /// Makes the changes that are due, and gives the count at which the next one is.
    fn change(&mut self, retired: u64) -> u64 {
        while let Some(&(at, page, protection)) = self.changes.last() {
            if at > retired {
                return at;
            }
            self.changes.pop();
            let changed = self
                .space
                .protect(page << PAGE_BITS, 1 << PAGE_BITS, protection);
            changed.expect("the page is mapped");
        }
        u64::MAX
    }
}

impl machine::Engine for Pieces<'_> {
    fn run(&mut self, hart: &mut HartState, limit: u64) -> Option<Trap> {
        *self.cpu.state_mut() = *hart;
        let trap = loop {
            let retired = self.cpu.state().instret;
            if retired >= limit {
                break None;
            }
            if self.random.one_in(4) {
                self.cpu.forget(PAGES);
            }
            let change = self.change(retired);
            let most = self.random.choose(&[1, 30, 1000, limit]);
            let piece = limit.min(change).min(retired + 1 + self.random.below(most));
            match self.cpu.run(Some(piece)) {
                Stop::Trap(trap) => break Some(trap),
                Stop::Limit => assert_eq!(self.cpu.state().instret, piece, "the count is exact"),
                Stop::Kicked => (),
            }
        };
        *hart = *self.cpu.state();
        trap
    }
}

/// Every other program has its pages of data protected now and then.
fn changes(seed: u64) -> Vec<Change> {
    let mut random = Random::new(seed ^ 0x9e37_79b9);
    let count = random.below(16) * (seed & 1);
    let span = random.choose(&[50, 1000, 20_000]);
    let protections = [
        Protection::NONE,
        Protection::READ,
        Protection::READ_WRITE,
        Protection::READ_WRITE,
    ];
    let mut changes: Vec<Change> = (0..count)
        .map(|_| {
            let page = (DATA + random.below(DATA_LENGTH)) >> PAGE_BITS;
            (random.below(span), page, random.choose(&protections))
        })
        .collect();
    changes.sort_by_key(|&(at, page, _)| std::cmp::Reverse((at, page)));
    changes
}

fn outcome(program: &Program, kind: EngineKind, seed: u64) -> Outcome {
    outcome_and_stats(program, kind, seed, None).0
}

/// The same, with what was kept of the program in `file` by earlier runs, and kept for later ones.
fn outcome_and_stats(
    program: &Program,
    kind: EngineKind,
    seed: u64,
    kept: Option<(&Folder, &File)>,
) -> (Outcome, Stats) {
    let mut random = Random::new(seed);
    let mut options = EngineOptions::new(kind, true);
    options.threshold = random.choose(&[1, 2, 5, 20]);
    options.jit.joining = random.choose(&[0, 1, 256]);
    options.jit.background = random.one_in(2);
    options.jit.code_bytes = 32 << 20;
    options.translations = kept.map(|(folder, _)| folder.clone());
    let space = machine::load(program);
    let engine = Engine::new(space.clone(), options).expect("an engine");
    let mut cpu = engine.cpu();
    if let Some((_, file)) = kept {
        cpu.program_starts(file);
    }
    let mut pieces = Pieces {
        cpu,
        random,
        space: &space,
        changes: changes(seed),
    };
    let outcome = machine::run(&mut pieces, &space, program);
    pieces.cpu.program_ends();
    (outcome, engine.stats())
}

#[test]
fn random_programs_do_the_same_on_the_tiers_as_on_the_interpreter() {
    let first = scale::seed();
    let count = scale::scaled(FULL);
    // Not captured, so that a crash of the whole process leaves it behind.
    let _ = writeln!(
        std::io::stderr(),
        "tiers: BHV_SEED={first}, {count} programs"
    );
    let mut faults = 0;
    for seed in first..first + count {
        let program = generate::program(Content::ALL, seed);
        let both = |program: &Program| {
            [EngineKind::Interp, EngineKind::Jit].map(|kind| outcome(program, kind, seed))
        };
        let difference = |program: &Program| {
            let [expected, got] = both(program);
            expected.difference(&got)
        };
        let [expected, got] = both(&program);
        let data = DATA..DATA + DATA_LENGTH;
        let in_data = |trap: &&(u64, u64, Trap)| data.contains(&trap.2.tval);
        faults += expected.traps.iter().filter(in_data).count();
        if expected.difference(&got).is_some() {
            let shortest = shrink::shrink(&program, |program| difference(program).is_some());
            panic!(
                "BHV_SEED={seed} differs (interpreter and tiers)\n{}\n{}",
                shortest.listing(),
                difference(&shortest).unwrap_or_else(|| "not every time".into()),
            );
        }
    }
    println!("tiers: {faults} faults in protected data");
    assert!(faults > 0 || count < 100, "no access to protected data");
}

/// Programs of a full soak run, each on one run of the interpreter and some that keep code.
const FULL_KEPT: u64 = 5_000;

/// Many programs lie at the same addresses and keep their code in the same file, so that most of
/// what is found there is another's, or an older state of code that rewrites itself.
#[test]
fn random_programs_do_the_same_with_code_that_earlier_runs_kept() {
    let first = scale::seed();
    let count = scale::scaled(FULL_KEPT);
    let _ = writeln!(
        std::io::stderr(),
        "kept: BHV_SEED={first}, {count} programs"
    );
    let scratch = Scratch::new("kept");
    let folder = Folder::open(&scratch.path().join("translations")).expect("a folder of our own");
    let mut installed = 0;
    for seed in first..first + count {
        let program = generate::program(Content::ALL, seed);
        let name = scratch.file("program", &(seed / 8).to_le_bytes());
        let name = File::open(name).expect("it was just written");
        let expected = outcome(&program, EngineKind::Interp, seed);
        for run in 0..3 {
            let kept = Some((&folder, &name));
            let (got, stats) = outcome_and_stats(&program, EngineKind::Jit, seed, kept);
            installed += stats.jit.installed;
            assert_eq!(
                expected.difference(&got),
                None,
                "BHV_SEED={} is one of 8 programs whose runs lead here; run {run} of {seed}",
                seed / 8 * 8
            );
        }
    }
    println!("kept: {installed} regions of earlier runs");
    assert!(installed > 0, "no code of earlier runs was used");
}
