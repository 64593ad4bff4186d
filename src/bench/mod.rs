//! `bhv bench`: the guest programs on JIT, interpreter, natively and under QEMU, in one run.
//!
//! Every round runs all ways of one program after each other, so that a machine that slows down
//! slows all of them; the ratio of two ways is taken within a round.

mod host;
mod json;
mod measure;
mod native;
pub mod programs;
mod table;

use crate::Error;
use measure::{Measured, Plan, Way};
use programs::{PROGRAMS, Program};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure: JIT, interpreter, native and QEMU where they are found
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Rounds: each runs every way once
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// Only these programs or groups, by name (see --list)
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    only: Vec<String>,
    /// Leave out these ways: jit, interp, native, qemu
    #[arg(long, value_delimiter = ',', value_enum, value_name = "WAY,…")]
    without: Vec<Way>,
    /// A tenth of the work: quick, and unfair to whoever compiles
    #[arg(long)]
    quick: bool,
    /// Write every sample to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the programs and end
    #[arg(long)]
    list: bool,
}

/// `bhv bench`. Fails if two ways print different things.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    if args.list {
        for p in PROGRAMS {
            println!("{:16} {:14} {}", p.name, p.group.name(), p.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&args.only)?;
    let plan = Plan::new(args.rounds.max(1), args.quick, &args.without)?;
    let results: Vec<Measured> = plan.measure(&chosen)?;
    if let Some(file) = &args.json {
        std::fs::write(file, json::text(&plan, &results)).map_err(|source| Error::File {
            path: file.clone(),
            source,
        })?;
    }
    print!("{}", table::text(&plan, &results));
    let wrong: Vec<&str> = results
        .iter()
        .filter(|m| m.wrong.is_some())
        .map(|m| m.program.name)
        .collect();
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for m in &results {
        if let Some(what) = &m.wrong {
            eprintln!("bhv bench: {}: {what}", m.program.name);
        }
    }
    Ok(ExitCode::FAILURE)
}

/// The programs of these names and groups; all of them if none is named.
fn choose(only: &[String]) -> Result<Vec<&'static Program>, Error> {
    let named = |p: &Program, name: &str| p.name == name || p.group.name() == name;
    for name in only {
        if !PROGRAMS.iter().any(|p| named(p, name)) {
            let what = format!("no program or group is called '{name}'");
            return Err(Error::usage(what, "bhv bench --list names them"));
        }
    }
    let wanted = |p: &&Program| only.is_empty() || only.iter().any(|name| named(p, name));
    Ok(PROGRAMS.iter().filter(wanted).collect())
}
