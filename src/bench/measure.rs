//! Running every way of every workload, round by round, and keeping the samples.

use super::process::{Output, Run, Sample, run};
use super::statistics::Spread;
use super::tools::{KEPT, Tools, Way};
use super::workload::{What, Workload};
use super::{inputs, native};
use crate::Error;
use std::fs::{File, Permissions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What was seen of one workload.
#[derive(Debug)]
pub struct Measured {
    /// The workload.
    pub workload: Workload,
    /// The samples of each way, one a round; empty for a way that could not run.
    pub samples: [Vec<Sample>; Way::ALL.len()],
    /// Instructions it retires, counted by the interpreter.
    pub instructions: Option<u64>,
    /// The first thing that went wrong: another output than the first way's, a failure.
    pub wrong: Option<String>,
}

impl Measured {
    /// A workload of which nothing was seen yet.
    pub fn new(workload: Workload) -> Measured {
        Measured {
            workload,
            samples: Default::default(),
            instructions: None,
            wrong: None,
        }
    }

    /// The samples of a way.
    pub fn samples(&self, way: Way) -> &[Sample] {
        &self.samples[way as usize]
    }

    /// The ratio of CPU seconds of two ways, round by round.
    pub fn ratio(&self, over: Way, under: Way) -> Option<Spread> {
        let pairs = self.samples(over).iter().zip(self.samples(under));
        Spread::of(pairs.map(|(a, b)| a.cpu / b.cpu.max(1e-6)))
    }

    /// One figure of a way over the rounds.
    pub fn figure(&self, way: Way, of: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples(way).iter().map(of))
    }

    /// The share of the CPU time under the JIT that compiling took.
    pub fn compile_share(&self) -> Option<f64> {
        let share = self.figure(Way::Jit, |s| s.compile / s.cpu.max(1e-6));
        share.map(|share| share.median)
    }

    /// Instructions per second of a way, by the interpreter's count.
    pub fn rate(&self, way: Way) -> Option<f64> {
        let seconds = self.figure(way, |s| s.cpu)?.median;
        Some(self.instructions? as f64 / seconds.max(1e-6))
    }
}

/// What to run, and with what.
#[derive(Debug)]
pub struct Plan {
    /// Rounds.
    pub rounds: usize,
    /// The ways that were not left out and can run on this machine.
    pub ways: Vec<Way>,
    /// Whether each workload does a tenth of its work.
    pub quick: bool,
    /// What this machine has.
    pub tools: Tools,
    /// What cannot be measured here, why, and what to do about it.
    pub notes: Vec<String>,
}

/// The folder of this process, which goes away at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the system's folder for such files harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::File {
        path: path.to_owned(),
        source,
    }
}

impl Plan {
    /// Finds the ways there are on this machine.
    pub fn new(tools: Tools, rounds: usize, quick: bool, without: &[Way]) -> Plan {
        let mut ways = Way::ALL.to_vec();
        ways.retain(|way| !without.contains(way));
        let mut notes = Vec::new();
        if ways.contains(&Way::Qemu) && tools.qemu.is_none() {
            notes.push("qemu: qemu-riscv64 is not installed (package qemu-user)".to_owned());
            ways.retain(|way| *way != Way::Qemu);
        }
        if ways.contains(&Way::Native) && !tools.compiler {
            notes.push("native, programs of ours: gcc is not installed (package gcc)".to_owned());
        }
        Plan {
            rounds,
            ways,
            quick,
            tools,
            notes,
        }
    }

    /// The workloads that this machine can run at all; the others are noted.
    pub fn runnable(&mut self, workloads: Vec<Workload>) -> Vec<Workload> {
        let is_debian = |w: &Workload| matches!(w.what, What::Debian(_));
        let count = workloads.iter().filter(|w| is_debian(w)).count();
        let remedy = "`cargo xtask root` makes them, --roots names the folder they are in";
        if count == 0 {
            return workloads;
        }
        if self.tools.roots.guest.is_none() {
            self.notes.push(format!(
                "{count} workloads with Debian's programs: the roots are missing; {remedy}"
            ));
            return workloads.into_iter().filter(|w| !is_debian(w)).collect();
        }
        if self.tools.roots.twin.is_none() && self.ways.contains(&Way::Native) {
            self.notes.push(format!(
                "native, Debian's programs: this machine's root is missing; {remedy}"
            ));
        }
        workloads
    }

    /// Runs everything; after each workload `so_far` is told what was seen until then.
    pub fn measure(
        &self,
        workloads: &[Workload],
        mut so_far: impl FnMut(&[Measured]) -> Result<(), Error>,
    ) -> Result<Vec<Measured>, Error> {
        let folder = std::env::temp_dir().join(format!("bhv-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let folder = Folder(folder);
        inputs::write(&folder.0).map_err(failed(&folder.0))?;
        let started = Instant::now();
        let mut results = Vec::new();
        for (i, workload) in workloads.iter().enumerate() {
            let place = format!("{}/{} {}", i + 1, workloads.len(), workload.name);
            results.push(self.workload(workload, &folder.0, &place, started)?);
            so_far(&results)?;
        }
        progress("");
        Ok(results)
    }

    /// All rounds of one workload.
    fn workload(
        &self,
        workload: &Workload,
        folder: &Path,
        place: &str,
        started: Instant,
    ) -> Result<Measured, Error> {
        let mut measured = Measured::new(*workload);
        if let What::Debian(case) = workload.what
            && let Some((file, command)) = case.preparation(&self.tools)
        {
            progress(&format!("{place}: preparing {file}"));
            let path = folder.join(file);
            let mut kept = File::create(&path).map_err(failed(&path))?;
            let run = start(command, folder, 1, &mut kept)?;
            measured.wrong = run
                .failure
                .map(|failure| format!("preparing {file}: {failure}"));
        }
        let own = match workload.what {
            What::Own(program) => Some(Own::new(program, folder, self)?),
            What::Debian(_) => None,
        };
        let amount = workload.amount(self.quick);
        let mut expected: Vec<(Way, Output)> = Vec::new();
        let command = |way: Way| {
            let mut command = match (&own, workload.what) {
                (Some(own), _) => own.command(way, &self.tools),
                (None, What::Debian(case)) => case.command(way, &self.tools, amount),
                (None, What::Own(_)) => None,
            }?;
            if own.is_some() && workload.group != super::group::Group::StartUp {
                command.arg(amount.to_string());
            }
            Some(command)
        };
        if self.ways.contains(&Way::Again) && measured.wrong.is_none() {
            progress(&format!("{place}: starting it until its code is kept"));
            settle(|| command(Way::Again), folder)?;
        }
        for round in 0..self.rounds {
            for &way in &self.ways {
                // The interpreter is slow and its times are steady: the first round has to do.
                if measured.wrong.is_some() || way == Way::Interp && round > 0 {
                    continue;
                }
                let Some(command) = command(way) else {
                    continue;
                };
                let seconds = started.elapsed().as_secs();
                let (minutes, seconds) = (seconds / 60, seconds % 60);
                let rounds = self.rounds;
                progress(&format!(
                    "{minutes}:{seconds:02}  {place}: round {} of {rounds}, {}",
                    round + 1,
                    way.name()
                ));
                let runs = if way == Way::Interp { 1 } else { workload.runs };
                let run = start(command, folder, runs, &mut std::io::sink())?;
                measured.take(way, run, &mut expected);
            }
        }
        Ok(measured)
    }
}

impl Measured {
    /// Keeps a sample, if the run went as the ones before it.
    fn take(&mut self, way: Way, run: Run, expected: &mut Vec<(Way, Output)>) {
        if let Some(failure) = run.failure {
            self.wrong = Some(format!("{} {failure}", way.name()));
            return;
        }
        let is_comparable = |other: Way| match self.workload.what {
            What::Debian(case) if !case.same_everywhere => {
                (way == Way::Native) == (other == Way::Native)
            }
            What::Debian(_) | What::Own(_) => true,
        };
        match expected.iter().find(|(other, _)| is_comparable(*other)) {
            Some((other, text)) if *text != run.stdout => {
                let (ours, theirs) = (excerpt(&run.stdout), excerpt(text));
                let (way, other) = (way.name(), other.name());
                self.wrong = Some(format!("{way} prints {ours}, {other} {theirs}"));
                return;
            }
            Some(_) => {}
            None => expected.push((way, run.stdout)),
        }
        if way == Way::Interp {
            self.instructions = run.interpreted;
        }
        self.samples[way as usize].push(run.sample);
    }
}

/// The beginning of an output, and its length.
fn excerpt(output: &Output) -> String {
    let head = String::from_utf8_lossy(&output.head);
    format!("{head:?} ({} bytes)", output.length)
}

/// A program of ours, unpacked, and its native twin.
struct Own {
    guest: PathBuf,
    twin: Option<PathBuf>,
}

impl Own {
    fn new(program: &super::programs::Program, folder: &Path, plan: &Plan) -> Result<Own, Error> {
        let guest = folder.join(program.name);
        // qemu-riscv64 runs only what is marked as executable.
        std::fs::write(&guest, program.elf)
            .and_then(|()| std::fs::set_permissions(&guest, Permissions::from_mode(0o700)))
            .map_err(failed(&guest))?;
        let wanted = plan.tools.compiler && plan.ways.contains(&Way::Native);
        let twin = if wanted {
            native::build(program, folder)?
        } else {
            None
        };
        Ok(Own { guest, twin })
    }

    fn command(&self, way: Way, tools: &Tools) -> Option<Command> {
        let mut command = match way {
            Way::Native => return self.twin.as_ref().map(Command::new),
            Way::Qemu => Command::new(tools.qemu.as_ref()?),
            Way::Jit | Way::Again | Way::Interp => tools.bhv(way),
        };
        command.arg(&self.guest);
        Some(command)
    }
}

fn start(
    mut command: Command,
    folder: &Path,
    runs: u32,
    keep: &mut dyn Write,
) -> Result<Run, Error> {
    let program = PathBuf::from(command.get_program());
    command.current_dir(folder);
    run(command, runs, keep).map_err(failed(&program))
}

/// Starts of a workload before `Way::Again` is measured: compiled code is kept by then.
const STARTS_BEFORE: usize = 8;

/// Starts a workload until it keeps no more code, but not too often.
fn settle(command: impl Fn() -> Option<Command>, folder: &Path) -> Result<(), Error> {
    let kept = || -> u64 {
        let files = std::fs::read_dir(folder.join(KEPT)).into_iter().flatten();
        let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        sizes.sum()
    };
    let mut before = kept();
    for _ in 0..STARTS_BEFORE {
        let Some(command) = command() else { break };
        start(command, folder, 1, &mut std::io::sink())?;
        let after = kept();
        if after == before {
            break;
        }
        before = after;
    }
    Ok(())
}

/// Shows what is under way on a terminal; quiet in a pipe.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}
