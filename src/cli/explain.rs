//! `bhv explain`.

use crate::engine::EngineKind;
use crate::explain::{self, Subject};
use crate::{EngineOptions, Error, Launch};
use std::path::PathBuf;
use std::process::ExitCode;

/// Show guest code, Cranelift IR and host code of a region side by side
#[derive(clap::Args)]
pub struct Args {
    /// The symbol or address whose region is shown
    #[arg(long, value_name = "SYMBOL|ADDRESS")]
    at: String,
    /// Only the innermost loops of it
    #[arg(long = "loop")]
    loops: bool,
    /// The whole region, not the symbol's part of it
    #[arg(long, conflicts_with = "loops")]
    region: bool,
    /// Count instructions as --exact and diff do
    #[arg(long)]
    exact: bool,
    /// Folder that holds the guest's libraries
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The program
    program: PathBuf,
}

/// `bhv explain`.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let mut launch = Launch::new(&args.program);
    launch.config.root = args.root.clone();
    launch.engine = EngineOptions::new(EngineKind::Jit, args.exact);
    let subject = explain::explain(launch, &args.at)?;
    let Subject {
        explained,
        symbols,
        at,
        end,
    } = &subject;
    let whole = if args.region || *end == 0 {
        0..u64::MAX
    } else {
        *at..*end
    };
    if !args.loops {
        print!("{}", explained.table(whole, symbols));
        println!(
            "besides: {} host instructions of the region's entries and exits",
            explained.rest
        );
        return Ok(ExitCode::SUCCESS);
    }
    let loops = subject.innermost_loops();
    if loops.is_empty() {
        return Err(Error::usage(
            format!("there is no loop at {}", args.at),
            "leave --loop out to see all of it",
        ));
    }
    for (number, found) in loops.iter().enumerate() {
        println!("loop {} of {}", number + 1, loops.len());
        print!("{}", explained.table(found.range.clone(), symbols));
    }
    Ok(ExitCode::SUCCESS)
}
