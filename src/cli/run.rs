//! `bhv run`.

use super::options::{EngineOptions, GuestOptions};
use crate::debugger::{self, Left, ProgramDebuggee};
use crate::translations::Folder;
use crate::{Error, Exit, Launch, Progress, Running};
use linux::observer::{Event, Observer};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Run a Linux riscv64 program
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    engine: EngineOptions,
    /// Seed of random numbers and addresses under --exact
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Save the process when it has retired COUNT instructions, and end (implies --exact)
    #[arg(long, value_name = "COUNT", requires = "snapshot")]
    snapshot_at: Option<u64>,
    /// Save the process as it is just before it exits (implies --exact)
    #[arg(long, value_name = "FILE", conflicts_with = "snapshot")]
    snapshot_on_exit: Option<PathBuf>,
    /// The file that --snapshot-at writes
    #[arg(long, value_name = "FILE", requires = "snapshot_at")]
    snapshot: Option<PathBuf>,
    /// Wait for a debugger at this port of 127.0.0.1 before the first instruction, or any free one
    /// with 0 (implies --exact)
    #[arg(long, value_name = "PORT", conflicts_with_all = ["snapshot_at", "snapshot_on_exit"])]
    gdb: Option<u16>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// `bhv run`.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let stats = Stats::wanted(args.engine.stats);
    let exact = args.engine.exact
        || args.snapshot_at.is_some()
        || args.snapshot_on_exit.is_some()
        || args.gdb.is_some();
    let mut launch = args.guest.launch(&args.engine, &args.command)?;
    if exact {
        launch = launch.exact(args.seed);
    }
    if args.guest.trace {
        launch = launch.observe(Arc::new(Tracer));
    }
    let mut running = launch.start()?;
    if let Some(port) = args.gdb {
        let mut debuggee = ProgramDebuggee::new(&mut running);
        let left = debugger::serve(&mut debuggee, port)?;
        match (debuggee.ended, left) {
            (Some(exit), _) => end(&running, &exit, stats),
            (None, Left::Running) => {}
            // As if the debugger had sent SIGKILL.
            (None, Left::Killed | Left::Ended) => {
                let (number, report) = (9, None);
                end(&running, &Exit::Signal { number, report }, stats)
            }
        }
    }
    if let Some(file) = &args.snapshot_on_exit {
        let exit = running.run_and_save(file)?;
        end(&running, &exit, stats);
    }
    let until = args.snapshot_at.zip(args.snapshot.as_ref());
    finish(&mut running, until, stats)
}

/// Runs to the end, or to the count at which to save; ends as the guest ended.
pub fn finish(
    running: &mut Running,
    until: Option<(u64, &PathBuf)>,
    stats: Option<Stats>,
) -> Result<ExitCode, Error> {
    let exit = match until {
        None => running.run()?,
        Some((count, file)) => match running.run_until(count)? {
            Progress::Exited(exit) => {
                eprintln!(
                    "bhv: the program ended after {} instructions, before the snapshot at {count}; \
                     nothing was saved",
                    running.total()
                );
                exit
            }
            Progress::Reached => {
                running.save(file)?;
                eprintln!("bhv: saved at {count} instructions to {}", file.display());
                Exit::Code(0)
            }
        },
    };
    end(running, &exit, stats)
}

/// Ends as the guest ended.
fn end(running: &Running, exit: &Exit, stats: Option<Stats>) -> ! {
    if let Some(mut stats) = stats {
        // Nobody is left to be told that they could not be printed.
        let _ = stats.print(running);
    }
    exit.finish()
}

/// What --stats prints at the end.
pub struct Stats {
    started: Instant,
    /// Standard error, under a number of our own: the guest may close its own.
    to: File,
}

impl Stats {
    /// If they are wanted.
    pub fn wanted(wanted: bool) -> Option<Stats> {
        let started = Instant::now();
        let to = std::io::stderr().as_fd().try_clone_to_owned();
        let to = wanted.then_some(to)?.ok()?;
        Some(Stats {
            started,
            to: File::from(linux::move_high(to)),
        })
    }

    /// What was run, compiled and spent.
    fn print(&mut self, running: &Running) -> std::io::Result<()> {
        let to = &mut self.to;
        let stats = running.engine().stats();
        let jit = stats.jit;
        writeln!(to, "bhv: {:.3} s", self.started.elapsed().as_secs_f64())?;
        writeln!(to, "  interpreted   {:>12} instructions", stats.interpreted)?;
        writeln!(to, "  drafted       {:>12} instructions", stats.drafted)?;
        if running.is_exact() {
            writeln!(to, "  retired       {:>12} instructions", running.total())?;
        }
        writeln!(
            to,
            "  compiled      {:>12} regions, {} instructions to {} bytes in {:.1} ms of CPU time",
            jit.regions,
            jit.guest_instructions,
            jit.host_bytes,
            jit.compile_ns as f64 / 1e6
        )?;
        if jit.installed > 0 {
            writeln!(
                to,
                "  kept          {:>12} regions of earlier runs",
                jit.installed
            )?;
        }
        writeln!(
            to,
            "  dropped       {:>12} regions, {} times all; code was missing {} times",
            jit.dropped, jit.evictions, jit.missing
        )?;
        if let Some(peak) = crate::bench::peak_memory() {
            writeln!(to, "  peak          {peak:>12} bytes of memory")?;
        }
        Ok(())
    }
}

/// Prints system calls.
pub struct Tracer;

impl Observer for Tracer {
    fn event(&self, event: &Event<'_>) {
        if let Event::Trace { tid, line } = event {
            eprintln!("[{tid}] {line}");
        }
    }
    fn wants_trace(&self) -> bool {
        true
    }
    fn wants_changes(&self) -> bool {
        false
    }
}

impl GuestOptions {
    /// What these options and a command line start.
    pub fn launch(&self, engine: &EngineOptions, command: &[OsString]) -> Result<Launch, Error> {
        let [program, arguments @ ..] = command else {
            return Err(Error::usage(
                "no program is named",
                "write bhv run PROG [ARGS…]",
            ));
        };
        let mut launch = Launch::new(program);
        launch
            .program
            .argv
            .extend(arguments.iter().map(|a| a.clone().into_vec()));
        launch.program.envp = self.environment()?;
        launch.config.root = self.root.clone();
        launch.config.host = self.host;
        launch.config.network = self.host;
        for dir in &self.dirs {
            launch.config.grants.push(linux::Grant::parse(dir)?);
        }
        launch.engine = engine.engine(engine.exact)?;
        Ok(launch)
    }

    /// The guest's environment: with `--host` ours, else a small clean one; `--env` adds to it.
    fn environment(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut environment: Vec<Vec<u8>> = Vec::new();
        if self.host {
            for (name, value) in std::env::vars_os() {
                environment.push([name.into_vec(), value.into_vec()].join(&b'='));
            }
        } else {
            let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
            environment.push(format!("PATH={path}").into_bytes());
            for name in ["HOME", "TERM", "LANG", "TZ", "USER", "PWD"] {
                if let Some(value) = std::env::var_os(name) {
                    environment.push([name.into(), value.into_vec()].join(&b'='));
                }
            }
        }
        for text in &self.env {
            let Some((name, _)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
                let what = format!("--env '{text}' sets nothing");
                return Err(Error::usage(what, "write --env NAME=VALUE"));
            };
            let prefix = [name.as_bytes(), b"="].concat();
            environment.retain(|old| !old.starts_with(&prefix));
            environment.push(text.clone().into_bytes());
        }
        Ok(environment)
    }
}

impl EngineOptions {
    /// These options for the library.
    pub fn engine(&self, exact: bool) -> Result<crate::EngineOptions, Error> {
        let mut options = crate::EngineOptions::new(self.engine, exact);
        options.jit.background = !self.foreground;
        options.translations = self.translations()?;
        if let Some(threshold) = self.threshold {
            options.threshold = threshold;
        }
        Ok(options)
    }

    /// Where compiled code is kept. What nobody asked for is left out if it cannot be had.
    fn translations(&self) -> Result<Option<Folder>, Error> {
        match &self.translations {
            Some(none) if none.as_os_str() == "none" => Ok(None),
            Some(folder) => Ok(Some(Folder::open(folder)?)),
            None => Ok(Folder::usual().and_then(|folder| Folder::open(&folder).ok())),
        }
    }
}
