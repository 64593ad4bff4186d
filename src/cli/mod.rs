//! The command line: what `bhv` understands, and which module answers.

mod boot;
mod demo;
mod diff;
mod explain;
mod options;
mod resume;
mod run;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

pub use options::{EngineOptions, GuestOptions};

/// Runs RISC-V programs on this machine, fast and exactly.
#[derive(Parser)]
#[command(name = "bhv", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A tour on guest programs built into this binary
    Demo(demo::Args),
    /// Run a Linux riscv64 program
    Run(run::Args),
    /// Boot a whole machine
    Boot(boot::Args),
    /// Make a disk image that boots
    Image(crate::image::Args),
    /// Go on with a program or a machine from a snapshot
    Resume(resume::Args),
    /// Run both engines side by side and stop at the first difference
    Diff(diff::Args),
    /// Show guest code, Cranelift IR and host code of a region side by side
    Explain(explain::Args),
    /// Look into snapshots
    Snapshot(crate::snapshot::command::Args),
    /// Measure against native code and QEMU
    Bench(crate::bench::Args),
}

/// Runs the command line of this process; the exit code is the guest's where a guest ran.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if !matches!(
        cli.command,
        Command::Run(_) | Command::Boot(_) | Command::Resume(_) | Command::Diff(_)
    ) {
        end_with_the_reader();
    }
    let result = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Boot(args) => boot::run(&args),
        Command::Image(args) => crate::image::run_command(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Snapshot(args) => crate::snapshot::command::run(&args),
        Command::Bench(args) => crate::bench::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{}", error.report());
        ExitCode::from(error.exit_code())
    })
}

/// Ends this process when whoever reads its output has gone, as other commands do. Not for
/// commands that run guests in this process: there the guest is told, by EPIPE and its own signal.
fn end_with_the_reader() {
    // SAFETY: no handler is installed, only the default action.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
