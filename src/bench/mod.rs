//! `bhv bench`: workloads on JIT, interpreter, natively and under QEMU, in one run.
//!
//! Every round runs all ways of one workload after each other, so that a machine that slows down
//! slows all of them; the ratio of two ways is taken within a round. PERFORMANCE.md says what the
//! figures mean.

mod cases;
mod chart;
mod debian;
mod figures;
pub mod group;
mod host;
mod html;
mod inputs;
mod json;
mod measure;
mod native;
mod process;
pub mod programs;
mod statistics;
mod summary;
mod table;
mod tools;
mod workload;

use crate::Error;
pub use host::peak_memory;

use host::Machine;
use measure::{Measured, Plan};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use summary::Summary;
use tools::{Tools, Way};
use workload::Workload;

/// Measure: JIT, interpreter, native and QEMU where they are found
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Rounds: each runs every way once, the interpreter in the first only
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only these workloads or groups, by name (see --list)
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    only: Vec<String>,
    /// Leave out these ways: jit, again, interp, native, qemu
    #[arg(long, value_delimiter = ',', value_enum, value_name = "WAY,…")]
    without: Vec<Way>,
    /// A tenth of the work: quick, and unfair to whoever compiles
    #[arg(long)]
    quick: bool,
    /// Folder with Debian's files, debian-riscv64 and debian-amd64, as `cargo xtask root` makes it
    #[arg(long, value_name = "DIR")]
    roots: Option<PathBuf>,
    /// Write every sample to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with charts to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// List the workloads and end
    #[arg(long)]
    list: bool,
}

/// `bhv bench`. Fails if two ways print different things.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    if args.list {
        for w in workload::all() {
            println!("{:15} {:14} {}", w.name, w.group.name(), w.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&args.only)?;
    if let Some(folder) = args.roots.as_ref().filter(|folder| !folder.is_dir()) {
        let what = format!("--roots {}: there is no such folder", folder.display());
        return Err(Error::usage(
            what,
            "name the folder that holds debian-riscv64",
        ));
    }
    // A file that cannot be written is to be told now, not when all has been measured.
    for file in args.json.iter().chain(&args.html) {
        write(file, "")?;
    }
    let tools = Tools::find(args.roots.as_deref())?;
    let mut plan = Plan::new(tools, args.rounds.into(), args.quick, &args.without);
    let chosen = plan.runnable(chosen);
    let machine = Machine::this(&plan.tools);
    // A run takes long: what it has so far is there to be read, and to be kept if it is ended.
    let keep = |results: &[Measured]| {
        let report = Report {
            plan: &plan,
            machine: &machine,
            planned: chosen.len(),
            results,
            summary: &Summary::new(results),
        };
        if let Some(file) = &args.json {
            write(file, &json::text(&report))?;
        }
        args.html
            .as_ref()
            .map_or(Ok(()), |file| write(file, &html::text(&report)))
    };
    let results = plan.measure(&chosen, keep)?;
    let summary = Summary::new(&results);
    print!("{}", table::text(&plan, &results, &summary));
    match results.iter().all(|m| m.wrong.is_none()) {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

/// What a report is made of.
struct Report<'a> {
    plan: &'a Plan,
    machine: &'a Machine,
    /// Workloads in the whole run; fewer results mean that it goes on.
    planned: usize,
    results: &'a [Measured],
    summary: &'a Summary,
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(file, text).map_err(|source| Error::File {
        path: file.to_owned(),
        source,
    })
}

/// The workloads of these names and groups; all of them if none is named.
fn choose(only: &[String]) -> Result<Vec<Workload>, Error> {
    let all = workload::all();
    let named = |w: &Workload, name: &str| w.name == name || w.group.name() == name;
    for name in only {
        if !all.iter().any(|w| named(w, name)) {
            let what = format!("no workload or group is called '{name}'");
            return Err(Error::usage(what, "bhv bench --list names them"));
        }
    }
    let wanted = |w: &Workload| only.is_empty() || only.iter().any(|name| named(w, name));
    Ok(all.into_iter().filter(wanted).collect())
}
