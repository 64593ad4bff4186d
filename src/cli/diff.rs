//! `bhv diff run` and `bhv diff boot`: both engines side by side.

use super::options::{EngineOptions, GuestOptions};
use crate::Error;
use crate::lockstep::{Difference, Lockstep, STRETCH};
use crate::machine::compare::{Comparison, Found};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

/// Run both engines side by side and stop at the first difference
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// A Linux riscv64 program
    Run(RunArgs),
    /// A whole machine
    Boot(BootArgs),
}

#[derive(clap::Args)]
struct RunArgs {
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    engine: EngineOptions,
    /// Instructions between two comparisons: a number (1 compiles each alone), `block`, or `syscall` (compare only where
    /// the kernel is called)
    #[arg(long, default_value = "50000", value_name = "N|block|syscall")]
    granularity: String,
    /// Seed of random numbers and addresses
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Translate this instruction wrongly, to see that it is found (for tests)
    #[arg(long, value_name = "MNEMONIC", hide = true)]
    sabotage: Option<String>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

#[derive(clap::Args)]
struct BootArgs {
    #[command(flatten)]
    machine: super::boot::Args,
    /// Instructions between two comparisons of the whole state
    #[arg(long, default_value = "50000000", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Translate this instruction wrongly, to see that it is found (for tests)
    #[arg(long, value_name = "MNEMONIC", hide = true)]
    sabotage: Option<String>,
}

/// Arrivals at a block before it is compiled: soon, since compiled code is what is tested.
const THRESHOLD: u64 = 50;
/// The exit code for a difference.
const DIFFERENT: i32 = 1;

/// `bhv diff`.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    match &args.what {
        What::Run(args) => run_program(args),
        What::Boot(args) => boot(args),
    }
}

fn run_program(args: &RunArgs) -> Result<ExitCode, Error> {
    let mut launch = args
        .guest
        .launch(&args.engine, &args.command)?
        .exact(args.seed);
    // What the engines do must not depend on when the compiler is done, and much is to be compiled.
    launch.engine.jit.background = false;
    launch.engine.threshold = args.engine.threshold.unwrap_or(THRESHOLD);
    launch.engine.jit.sabotage = args.sabotage.as_deref().map(instruction).transpose()?;
    let quantum = match args.granularity.as_str() {
        "block" => {
            launch.engine.by_block = true;
            launch.engine.eager = true;
            launch.engine.jit.one_block = true;
            STRETCH
        }
        "1" => {
            launch.engine.eager = true;
            launch.engine.jit.region_size = 1;
            1
        }
        "syscall" => u64::MAX,
        number => number.parse().ok().filter(|&n| n > 0).ok_or_else(|| {
            let what = format!("--granularity '{number}' is no number of instructions");
            Error::usage(
                what,
                format!("write a number such as {STRETCH}, block, or syscall"),
            )
        })?,
    };
    launch.config.schedule = linux::Schedule::Exact {
        seed: args.seed,
        quantum,
    };
    let options = launch.engine.clone();
    let mut running = launch.start()?;
    let symbols = running.symbols();
    let different = move |difference: &Difference| {
        eprint!("bhv diff: {}", difference.report(&|va| symbols.name(va)));
        std::process::exit(DIFFERENT);
    };
    let lockstep = Lockstep::new(running.engine().space(), &options, different)?;
    let lockstep = Arc::new(lockstep.trace(args.guest.trace));
    running.process().observe(lockstep.clone());
    let exit = running.run()?;
    lockstep.finish();
    let progress = lockstep.progress();
    eprintln!(
        "bhv diff: no difference in {} instructions; {} stretches, {} comparisons of the whole \
         memory",
        progress.instructions, progress.stretches, progress.memory
    );
    exit.finish()
}

fn boot(args: &BootArgs) -> Result<ExitCode, Error> {
    let mut machine = args.machine.machine()?;
    machine.tiers.threshold = args.machine.threshold.unwrap_or(THRESHOLD);
    machine.tiers.jit.sabotage = args.sabotage.as_deref().map(instruction).transpose()?;
    let comparison = Comparison {
        machine,
        every: args.every,
        stop_at: args.machine.stop_at.unwrap_or(u64::MAX),
    };
    let terminal = std::io::stderr().is_terminal();
    let found = comparison.run(|count| {
        if terminal {
            eprint!("\rno difference in {count} instructions");
        }
    })?;
    if terminal {
        eprint!("\r\x1b[K");
    }
    match found {
        Found::Nothing(count) => {
            eprintln!("bhv diff: no difference in {count} instructions");
            return Ok(ExitCode::SUCCESS);
        }
        Found::Instruction(difference, what) => {
            eprint!("bhv diff: {}", difference.report_of("hart", &|_| None));
            what.iter().for_each(|line| eprintln!("  {line}"));
        }
        Found::Stretch { from, to, pc, what } => {
            eprintln!(
                "bhv diff: the engines differ between {from} and {to} instructions of all harts, \
                 from {pc:#x} on\n  each of them compiled alone agrees, so the region's control \
                 flow, or what is left to a helper, is to blame"
            );
            what.iter().for_each(|line| eprintln!("  {line}"));
        }
    }
    Ok(ExitCode::from(DIFFERENT as u8))
}

/// The instruction of that name.
fn instruction(mnemonic: &str) -> Result<frontend::Op, Error> {
    let known = frontend::table::ROWS
        .iter()
        .find(|row| row.mnemonic == mnemonic);
    known.map(|row| row.op).ok_or_else(|| {
        let what = format!("there is no instruction '{mnemonic}'");
        Error::usage(what, "write a mnemonic of the manual, such as addw")
    })
}
