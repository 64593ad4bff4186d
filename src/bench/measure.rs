//! Running every way of every program, round by round, and keeping the samples.

use super::programs::{Group, Program};
use super::{host, native};
use crate::Error;
use std::fs::Permissions;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How a program can be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Way {
    /// `bhv run --engine jit`.
    Jit,
    /// `bhv run --engine interp`.
    Interp,
    /// The native twin.
    Native,
    /// `qemu-riscv64`.
    Qemu,
}

impl Way {
    /// Every way, in the order of a round.
    pub const ALL: [Way; 4] = [Way::Native, Way::Jit, Way::Interp, Way::Qemu];

    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Way::Jit => "jit",
            Way::Interp => "interp",
            Way::Native => "native",
            Way::Qemu => "qemu",
        }
    }
}

/// One run of one program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// CPU seconds, user and system.
    pub cpu: f64,
    /// Seconds on the clock.
    pub wall: f64,
    /// Peak memory in bytes.
    pub peak: u64,
}

/// What was seen of one program.
#[derive(Debug)]
pub struct Measured {
    /// The program.
    pub program: &'static Program,
    /// The samples of each way, one a round; empty for a way that could not run.
    pub samples: [Vec<Sample>; Way::ALL.len()],
    /// Instructions it retires, counted by the interpreter.
    pub instructions: Option<u64>,
    /// The first thing that went wrong: another output than the first way's, a failure.
    pub wrong: Option<String>,
}

impl Measured {
    /// The samples of a way.
    pub fn samples(&self, way: Way) -> &[Sample] {
        &self.samples[way as usize]
    }

    /// The ratio of CPU seconds of two ways in each round, smallest first.
    pub fn ratios(&self, over: Way, under: Way) -> Vec<f64> {
        let pairs = self.samples(over).iter().zip(self.samples(under));
        let mut ratios: Vec<f64> = pairs.map(|(a, b)| a.cpu / b.cpu.max(1e-6)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// The median of a way's CPU seconds.
    pub fn cpu(&self, way: Way) -> Option<f64> {
        let mut seconds: Vec<f64> = self.samples(way).iter().map(|s| s.cpu).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied()
    }
}

/// What to run, and with what.
pub struct Plan {
    /// Rounds.
    pub rounds: usize,
    /// The ways that can run on this machine.
    pub ways: Vec<Way>,
    /// The ways that cannot, and why.
    pub absent: Vec<(Way, String)>,
    /// Whether each program does a tenth of its work.
    pub quick: bool,
    bhv: PathBuf,
}

/// Start-up is too short to measure once: a sample is the mean of this many runs.
const STARTS: u32 = 20;

impl Plan {
    /// Finds the ways there are on this machine.
    pub fn new(rounds: usize, quick: bool, without: &[Way]) -> Result<Plan, Error> {
        let bhv = std::env::current_exe().map_err(|source| Error::File {
            path: "bhv".into(),
            source,
        })?;
        let qemu = Command::new("qemu-riscv64")
            .arg("--version")
            .output()
            .is_ok();
        let mut plan = Plan {
            rounds,
            ways: Vec::new(),
            absent: Vec::new(),
            quick,
            bhv,
        };
        for way in Way::ALL {
            let reason = match way {
                _ if without.contains(&way) => Some("left out by --without"),
                Way::Native if !native::compiler_found() => Some("gcc is not installed"),
                Way::Qemu if !qemu => Some("qemu-riscv64 is not installed (package qemu-user)"),
                Way::Native | Way::Qemu | Way::Jit | Way::Interp => None,
            };
            match reason {
                None => plan.ways.push(way),
                Some(reason) => plan.absent.push((way, reason.to_owned())),
            }
        }
        Ok(plan)
    }

    /// The repeat count of a program under this plan.
    pub fn count(&self, program: &Program) -> u64 {
        if self.quick {
            (program.count / 10).max(1)
        } else {
            program.count
        }
    }

    /// Runs everything. The files lie in a folder of this process, which goes away at the end.
    pub fn measure(&self, programs: &[&'static Program]) -> Result<Vec<Measured>, Error> {
        let folder = std::env::temp_dir().join(format!("bhv-bench-{}", std::process::id()));
        let failed = |source| Error::File {
            path: folder.clone(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let results = programs
            .iter()
            .enumerate()
            .map(|(i, program)| self.program(program, &folder, (i + 1, programs.len())))
            .collect();
        progress("");
        std::fs::remove_dir_all(&folder).map_err(failed)?;
        results
    }

    /// All rounds of one program.
    fn program(
        &self,
        program: &'static Program,
        folder: &Path,
        (number, total): (usize, usize),
    ) -> Result<Measured, Error> {
        let guest = folder.join(program.name);
        // qemu-riscv64 runs only what is marked as executable.
        std::fs::write(&guest, program.elf)
            .and_then(|()| std::fs::set_permissions(&guest, Permissions::from_mode(0o700)))
            .map_err(|source| Error::File {
                path: guest.clone(),
                source,
            })?;
        let twin = if self.ways.contains(&Way::Native) {
            native::build(program, folder)?
        } else {
            None
        };
        let mut measured = Measured {
            program,
            samples: Default::default(),
            instructions: None,
            wrong: None,
        };
        let mut expected: Option<(Way, String)> = None;
        for round in 0..self.rounds {
            for &way in &self.ways {
                progress(&format!(
                    "{number}/{total} {}: round {} of {}, {}",
                    program.name,
                    round + 1,
                    self.rounds,
                    way.name()
                ));
                let mut command = match way {
                    Way::Native => match &twin {
                        Some(twin) => Command::new(twin),
                        None => continue,
                    },
                    Way::Qemu => with(Command::new("qemu-riscv64"), &[], &guest),
                    Way::Jit => with(Command::new(&self.bhv), &["run", "--engine", "jit"], &guest),
                    Way::Interp => {
                        let options = ["run", "--engine", "interp", "--stats"];
                        with(Command::new(&self.bhv), &options, &guest)
                    }
                };
                if program.group != Group::StartUp {
                    command.arg(self.count(program).to_string());
                }
                let run = sample(command, program.group == Group::StartUp)?;
                let note = match (&run.failure, &expected) {
                    (Some(failure), _) => Some(format!("{} {failure}", way.name())),
                    (None, Some((first, text))) if *text != run.stdout => Some(format!(
                        "{} prints {:?}, {} {text:?}",
                        way.name(),
                        run.stdout,
                        first.name()
                    )),
                    (None, _) => None,
                };
                let failed = run.failure.is_some();
                measured.wrong = measured.wrong.take().or(note);
                if failed {
                    continue;
                }
                measured.samples[way as usize].push(run.sample);
                if way == Way::Interp {
                    measured.instructions = instructions(&run.stderr);
                }
                expected = expected.or(Some((way, run.stdout)));
            }
        }
        Ok(measured)
    }
}

/// A command with options and a program.
fn with(mut command: Command, options: &[&str], program: &Path) -> Command {
    command.args(options).arg(program);
    command
}

/// One sample and what was printed.
struct Run {
    sample: Sample,
    stdout: String,
    stderr: String,
    failure: Option<String>,
}

/// Runs a command to its end: once, or often enough that its start can be measured.
fn sample(mut command: Command, is_start: bool) -> Result<Run, Error> {
    let runs = if is_start { STARTS } else { 1 };
    let mut total = Run {
        sample: Sample::default(),
        stdout: String::new(),
        stderr: String::new(),
        failure: None,
    };
    let failed = |source| Error::File {
        path: "a benchmark's process".into(),
        source,
    };
    for _ in 0..runs {
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (mut out, mut err) = (String::new(), String::new());
        // Programs print a line; stderr is read after stdout, and neither fills a pipe.
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_string(&mut out).map_err(failed)?;
        }
        if let Some(mut pipe) = child.stderr.take() {
            pipe.read_to_string(&mut err).map_err(failed)?;
        }
        let (status, usage) = host::wait(child).map_err(failed)?;
        total.sample.wall += start.elapsed().as_secs_f64() / f64::from(runs);
        total.sample.cpu += usage.cpu / f64::from(runs);
        total.sample.peak = total.sample.peak.max(usage.peak);
        if !status.success() {
            total.failure = Some(format!("ends with {status}: {}", err.trim()));
        }
        (total.stdout, total.stderr) = (out, err);
    }
    Ok(total)
}

/// The count in what `--stats` prints: the number after the word "interpreted".
fn instructions(stats: &str) -> Option<u64> {
    let mut words = stats
        .split_whitespace()
        .skip_while(|word| *word != "interpreted");
    words.nth(1)?.parse().ok()
}

/// Shows what is under way on a terminal; quiet in a pipe.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}
