//! `bhv demo`: a tour on guest programs built into the binary.
//!
//! Each station runs `bhv` itself, and shows the command, so that what is seen can be done again.

use crate::Error;
use crate::bench::programs::{PROGRAMS, Program};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A tour on guest programs built into this binary
#[derive(clap::Args)]
pub struct Args {
    /// Keep the folder with the guest programs, to go on with them
    #[arg(long)]
    keep: bool,
}

/// The programs of the speed table.
const SHOWN: [&str; 8] = [
    "mixed",
    "sha256",
    "crc32",
    "nbody",
    "matmul64",
    "sort",
    "bytecode_goto",
    "fib",
];

/// `bhv demo`. Fails if anything is not as it should be.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let tour = Tour::new()?;
    let all_well = tour.walk();
    if args.keep {
        println!("\nThe programs are in {}.", tour.folder.display());
    } else {
        let removed = std::fs::remove_dir_all(&tour.folder);
        removed.map_err(|source| Error::File {
            path: tour.folder.clone(),
            source,
        })?;
    }
    Ok(if all_well? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The guest programs, unpacked, and the `bhv` to run them with.
struct Tour {
    folder: PathBuf,
    bhv: PathBuf,
}

/// What a run printed and took.
struct Seen {
    code: Option<i32>,
    out: String,
    err: String,
    time: Duration,
}

impl Tour {
    fn new() -> Result<Tour, Error> {
        let folder = std::env::temp_dir().join(format!("bhv-demo-{}", std::process::id()));
        let bhv = std::env::current_exe().map_err(|source| Error::File {
            path: "bhv".into(),
            source,
        })?;
        let tour = Tour { folder, bhv };
        tour.unpack().map_err(|source| Error::File {
            path: tour.folder.clone(),
            source,
        })?;
        Ok(tour)
    }

    fn unpack(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        for program in PROGRAMS {
            let path = self.folder.join(program.name);
            std::fs::write(&path, program.elf)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// The stations, one after the other; whether all was well.
    fn walk(&self) -> Result<bool, Error> {
        println!("baby_hypervisor runs RISC-V Linux programs on this machine. A short tour.");
        let mut well = self.hello()?;
        well &= self.speed()?;
        well &= self.agree()?;
        well &= self.snapshot()?;
        well &= self.sabotage()?;
        well &= self.explain()?;
        println!(
            "\n{}",
            match well {
                true => "That was the tour: everything was as it should be. Next: bhv help run",
                false => "Something was not as it should be: see above.",
            }
        );
        Ok(well)
    }

    fn hello(&self) -> Result<bool, Error> {
        station("A RISC-V program, compiled for this machine as it runs");
        let seen = self.bhv(&["run", "hello"])?;
        print!("{}", seen.out);
        Ok(verdict(seen.code == Some(0), "it ran"))
    }

    fn speed(&self) -> Result<bool, Error> {
        station("Two engines: the interpreter is plain and right, compiled code is fast");
        println!(
            "  {:<15} {:>9} {:>9} {:>8}   output",
            "program", "interp", "jit", "faster"
        );
        let mut well = true;
        let mut product = 1.0;
        for name in SHOWN {
            let program = program(name);
            // A small part of what `bhv bench` runs: the tour is to be short.
            let count = (program.count / 90).max(1).to_string();
            let interp = self.quiet(&["run", "--engine", "interp", name, &count])?;
            let jit = self.quiet(&["run", "--engine", "jit", name, &count])?;
            let same = interp.out == jit.out && jit.code == Some(0) && jit.out.contains("right");
            let faster = interp.time.as_secs_f64() / jit.time.as_secs_f64();
            product *= faster;
            println!(
                "  {name:<15} {:>7.3} s {:>7.3} s {faster:>7.1}x   {}",
                interp.time.as_secs_f64(),
                jit.time.as_secs_f64(),
                if same { "the same" } else { "DIFFERENT" }
            );
            well &= same;
        }
        let mean = f64::powf(product, 1.0 / SHOWN.len() as f64);
        println!(
            "  {:<15} {:>9} {:>9} {mean:>7.1}x",
            "geometric mean", "", ""
        );
        Ok(verdict(well, "both engines print the same"))
    }

    fn agree(&self) -> Result<bool, Error> {
        station("The engines side by side: every register and byte compared");
        let seen = self.bhv(&["diff", "run", "mixed", "40"])?;
        print!("{}{}", seen.out, seen.err);
        Ok(verdict(seen.code == Some(0), "no difference"))
    }

    fn snapshot(&self) -> Result<bool, Error> {
        station("Stopped in the middle, saved, and gone on with on the other engine");
        let straight = self.quiet(&["run", "--exact", "sort", "2"])?;
        let at = ["--snapshot-at", "10000000", "--snapshot", "sort.snap"];
        let saved = self.bhv(&[&["run"], &at[..], &["sort", "2"]].concat())?;
        print!("{}", saved.err);
        let resumed = self.bhv(&["resume", "--engine", "interp", "sort.snap"])?;
        print!("{}", resumed.out);
        let same = format!("{}{}", saved.out, resumed.out) == straight.out;
        Ok(verdict(
            same && resumed.code == Some(0),
            "it ends as if it had not been stopped",
        ))
    }

    fn sabotage(&self) -> Result<bool, Error> {
        station("A compiler that is wrong on purpose (xor), and what is said about it");
        let seen = self.bhv(&["diff", "run", "--sabotage", "xor", "mixed", "40"])?;
        let head: Vec<&str> = seen.err.lines().take(4).collect();
        println!("{}\n  …", head.join("\n"));
        let found = seen.code == Some(1) && seen.err.contains("xor");
        Ok(verdict(found, "it was found and named"))
    }

    fn explain(&self) -> Result<bool, Error> {
        station("What becomes of guest code");
        let seen = self.bhv(&["explain", "crc32", "--at", "main", "--loop"])?;
        let head: Vec<&str> = seen.out.lines().take(24).collect();
        println!("{}\n  …", head.join("\n"));
        Ok(verdict(
            seen.code == Some(0) && !seen.out.is_empty(),
            "there it is",
        ))
    }

    /// Runs `bhv` in the folder, and shows the command.
    fn bhv(&self, args: &[&str]) -> Result<Seen, Error> {
        println!("$ bhv {}", args.join(" "));
        self.quiet(args)
    }

    fn quiet(&self, args: &[&str]) -> Result<Seen, Error> {
        let _ = std::io::stdout().flush();
        let start = Instant::now();
        let mut command = Command::new(&self.bhv);
        command
            .args(args)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        let output = command.output().map_err(|source| Error::File {
            path: self.bhv.clone(),
            source,
        })?;
        Ok(Seen {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            time: start.elapsed(),
        })
    }
}

fn program(name: &str) -> &'static Program {
    let found = PROGRAMS.iter().find(|program| program.name == name);
    found.unwrap_or(&PROGRAMS[0])
}

fn station(title: &str) {
    println!("\n── {title}");
}

fn verdict(well: bool, what: &str) -> bool {
    println!("{} {what}", if well { "✓" } else { "✗ not so:" });
    well
}
