//! `bhv resume`.

use super::boot::{self, Run};
use super::options::EngineOptions;
use super::run::{self, Stats, Tracer};
use crate::Error;
use crate::machine::{DiskOptions, Machine, Resume, Schedule, ShareOptions, Signal, Terminal};
use crate::snapshot::{Kind, Meta, Reader, Subject};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Go on with a program or a machine from a snapshot
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    engine: EngineOptions,
    /// Save it again when it has retired COUNT instructions in all, and end
    #[arg(long, value_name = "COUNT", requires = "snapshot")]
    snapshot_at: Option<u64>,
    /// The file that --snapshot-at writes, and Ctrl-A s in a machine
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Name every system call of a program with its arguments and result, on stderr
    #[arg(long)]
    trace: bool,
    #[command(flatten, next_help_heading = "Machines")]
    machine: MachineArgs,
    /// The snapshot
    file: PathBuf,
}

/// What a machine gets of the host.
#[derive(clap::Args)]
struct MachineArgs {
    /// Give the machine back the disks, shares and network that the snapshot names, and its kernel
    /// when it starts again: for snapshots of your own
    #[arg(long)]
    trust: bool,
    /// A disk in place of the machine's own, repeatable, in their order
    #[arg(long = "disk", value_name = "FILE[:ro|:temp]", value_parser = DiskOptions::parse)]
    disks: Vec<DiskOptions>,
    /// Go on although a disk image was modified since
    #[arg(long)]
    changed_disks: bool,
    /// A network in place of the machine's own
    #[arg(long)]
    net: bool,
    /// A port of the host that leads to one of the guest, repeatable (implies --net)
    #[arg(long = "forward", value_name = "[ADDRESS:]HOSTPORT:GUESTPORT[/udp]")]
    forwards: Vec<devices::net::Forward>,
    /// A folder in place of the machine's own, repeatable, in their order
    #[arg(long = "share", value_name = "TAG=FOLDER[:ro]", value_parser = ShareOptions::parse)]
    shares: Vec<ShareOptions>,
    /// How harts share the host: as of bhv boot
    #[arg(long, value_enum, value_name = "SCHEDULE")]
    schedule: Option<Schedule>,
    /// Stop when all harts together have retired COUNT instructions
    #[arg(long, value_name = "COUNT", conflicts_with = "snapshot_at")]
    stop_at: Option<u64>,
    /// End instead of starting again when the guest asks for a reset
    #[arg(long)]
    no_reboot: bool,
    /// Wait for a debugger at this port of 127.0.0.1, or any free one with 0
    #[arg(long, value_name = "PORT", conflicts_with_all = ["stop_at", "snapshot_at"])]
    gdb: Option<u16>,
}

impl MachineArgs {
    /// Whether there is anything.
    fn is_given(&self) -> bool {
        let lists = self.disks.len() + self.forwards.len() + self.shares.len();
        let flags = self.trust | self.changed_disks | self.net | self.no_reboot;
        let numbers = self.stop_at.is_some() || self.gdb.is_some();
        flags || lists > 0 || numbers || self.schedule.is_some()
    }
}

/// `bhv resume`.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let meta: Meta = Reader::open(&args.file)?.needed(Kind::Meta, "a snapshot")?;
    match meta.subject {
        Subject::Machine => machine(args),
        Subject::Process => process(args),
    }
}

fn process(args: &Args) -> Result<ExitCode, Error> {
    if args.snapshot.is_some() && args.snapshot_at.is_none() {
        let what = "--snapshot names a file, and nothing says when to save a program";
        return Err(Error::usage(what, "add --snapshot-at COUNT"));
    }
    if args.machine.is_given() {
        return Err(Error::usage(
            format!(
                "{} holds a program, and programs have no disks",
                args.file.display()
            ),
            "leave out what the help lists under Machines",
        ));
    }
    let stats = Stats::wanted(args.engine.stats);
    let mut running = crate::resume(&args.file, args.engine.engine(true)?)?;
    if args.trace {
        running.process().observe(Arc::new(Tracer));
    }
    let until = args.snapshot_at.zip(args.snapshot.as_ref());
    run::finish(&mut running, until, stats)
}

fn machine(args: &Args) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let given = &args.machine;
    let net = (given.net || !given.forwards.is_empty()).then(|| devices::net::Config {
        forwards: given.forwards.clone(),
        host_loopback: false,
    });
    let resume = Resume {
        engine: args.engine.engine,
        schedule: given.schedule.unwrap_or(Schedule::Turns),
        trust: given.trust,
        disks: given.disks.clone(),
        changed_disks: given.changed_disks,
        net,
        shares: given.shares.clone(),
    };
    let signal = Arc::new(Signal::default());
    if resume.schedule == Schedule::Threads {
        boot::check_count("--stop-at", given.stop_at)?;
        boot::check_count("--snapshot-at", args.snapshot_at)?;
    }
    let terminal = Terminal::open(&signal);
    let machine = Machine::resume(&args.file, &resume, signal, terminal.wires())?;
    let run = Run {
        stop_at: given.stop_at,
        snapshot_at: args.snapshot_at,
        snapshot: args.snapshot.clone(),
        no_reboot: given.no_reboot,
        stats: args.engine.stats,
        gdb: given.gdb,
        started,
    };
    run.run(machine, terminal)
}
