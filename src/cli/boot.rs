//! `bhv boot`.

use crate::debugger::{self, Left, MachineDebuggee};
use crate::machine::{
    ClockKind, Command, DiskOptions, End, Image, KeepCode, Machine, MachineOptions, Schedule,
    ShareOptions, Signal, Terminal, Wires, config, size,
};
use crate::{EngineKind, Error};
use devices::syscon::Power;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Boot a whole machine
#[derive(clap::Args)]
pub struct Args {
    /// A machine as a file, or debian for what bhv image debian made; what is given beside it takes
    /// its place
    #[arg(value_name = "VM.toml")]
    file: Option<PathBuf>,
    /// RAM, such as 512M or 2G [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// How many harts [default: 1]
    #[arg(long, value_name = "N")]
    harts: Option<usize>,
    /// jit: the interpreter first, what runs often is compiled. interp: the interpreter alone; the
    /// machine ends in the same state [default: jit]
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<EngineKind>,
    /// Arrivals at a block before the code around it is compiled
    #[arg(long, value_name = "N", hide = true)]
    pub threshold: Option<u64>,
    /// exact: time is a function of instructions retired, idle time is skipped, two runs are the
    /// same bit for bit. host: the host's time, for working in the machine [default: exact]
    #[arg(long, value_enum, value_name = "CLOCK")]
    clock: Option<ClockKind>,
    /// turns: harts take turns on one thread of the host. threads: each has a thread of its own, for
    /// speed; no two runs are the same; needs --clock host [default: turns]
    #[arg(long, value_enum, value_name = "SCHEDULE")]
    schedule: Option<Schedule>,
    /// What runs first, in machine mode: OpenSBI's fw_dynamic.bin, or an ELF file. Without it bhv
    /// starts the kernel itself and answers its SBI calls
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,
    /// A Linux Image, or an ELF file
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The initial RAM disk
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    append: Option<String>,
    /// A disk image, raw or qcow2, repeatable; with :ro it is read-only, with :temp the image stays
    /// as it is
    #[arg(long = "disk", value_name = "FILE[:ro|:temp]", value_parser = DiskOptions::parse)]
    disks: Vec<DiskOptions>,
    /// A network card on a network of its own, which leads out through the host; needs --clock host
    #[arg(long)]
    net: bool,
    /// A port of the host that leads to one of the guest, repeatable (implies --net)
    #[arg(long = "forward", value_name = "[ADDRESS:]HOSTPORT:GUESTPORT[/udp]")]
    forwards: Vec<devices::net::Forward>,
    /// A folder that the guest can mount: mount -t 9p -o trans=virtio TAG /mnt (repeatable)
    #[arg(long = "share", value_name = "TAG=FOLDER[:ro]", value_parser = ShareOptions::parse)]
    shares: Vec<ShareOptions>,
    /// Where the random numbers of an exact machine come from [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where compiled code is kept for later boots; "none" keeps nothing
    /// [default: baby_hypervisor/translations in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    translations: Option<PathBuf>,
    /// Stop when all harts together have retired COUNT instructions
    #[arg(long, value_name = "COUNT")]
    pub stop_at: Option<u64>,
    /// Save the machine when all harts together have retired COUNT instructions, and end
    #[arg(
        long,
        value_name = "COUNT",
        requires = "snapshot",
        conflicts_with = "stop_at"
    )]
    snapshot_at: Option<u64>,
    /// The file that --snapshot-at and Ctrl-A s write [default of the latter: bhv-COUNT.snapshot]
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// End instead of starting again when the guest asks for a reset
    #[arg(long)]
    no_reboot: bool,
    /// Wait for a debugger at this port of 127.0.0.1 before the first instruction; harts are its
    /// threads. Any free port with 0
    #[arg(long, value_name = "PORT", conflicts_with_all = ["stop_at", "snapshot_at"])]
    gdb: Option<u16>,
    /// Write the device tree to FILE and end
    #[arg(long, value_name = "FILE")]
    dump_dtb: Option<PathBuf>,
    /// Print what was done and spent, and a checksum of the final state, at the end, to stderr
    #[arg(long)]
    stats: bool,
}

impl Args {
    /// The machine that the file and the options describe.
    pub fn machine(&self) -> Result<MachineOptions, Error> {
        let mut options = match &self.file {
            Some(path) if path.exists() => config::read(path)?,
            Some(path) => config::read(&crate::image::named(path).unwrap_or(path.clone()))?,
            None => MachineOptions {
                translations: KeepCode::Usual,
                ..MachineOptions::default()
            },
        };
        let image = |path: &Option<PathBuf>| path.clone().map(Image::File);
        options.memory = self.memory.unwrap_or(options.memory);
        options.harts = self.harts.unwrap_or(options.harts);
        options.engine = self.engine.unwrap_or(options.engine);
        options.tiers.threshold = self.threshold.unwrap_or(options.tiers.threshold);
        options.clock = self.clock.unwrap_or(options.clock);
        options.schedule = self.schedule.unwrap_or(options.schedule);
        options.firmware = image(&self.firmware).or(options.firmware);
        options.kernel = image(&self.kernel).or(options.kernel);
        options.initrd = image(&self.initrd).or(options.initrd);
        options.append = self.append.clone().unwrap_or(options.append);
        options.seed = self.seed.unwrap_or(options.seed);
        if let Some(path) = &self.translations {
            options.translations = KeepCode::parse(path.clone());
        }
        if !self.disks.is_empty() {
            options.disks = self.disks.clone();
        }
        if !self.shares.is_empty() {
            options.shares = self.shares.clone();
        }
        if self.net || !self.forwards.is_empty() {
            let net = options.net.get_or_insert_default();
            net.forwards.extend(&self.forwards);
        }
        Ok(options)
    }
}

/// `bhv boot`.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let signal = Arc::new(Signal::default());
    let options = args.machine()?;
    if let Some(path) = &args.dump_dtb {
        let machine = Machine::new(options, signal, Wires::none())?;
        std::fs::write(path, machine.dtb()).map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.schedule == Schedule::Threads {
        check_count("--stop-at", args.stop_at)?;
        check_count("--snapshot-at", args.snapshot_at)?;
    }
    let terminal = Terminal::open(&signal);
    let machine = Machine::new(options, signal, terminal.wires())?;
    if let Some(file) = machine.damaged_code() {
        eprint!(
            "bhv: {}: the compiled code that was kept here is damaged and not used\r\n  help: nothing \
             is lost but time; the file is written anew when the machine ends\r\n",
            file.display()
        );
    }
    let run = Run {
        stop_at: args.stop_at,
        snapshot_at: args.snapshot_at,
        snapshot: args.snapshot.clone(),
        no_reboot: args.no_reboot,
        stats: args.stats,
        gdb: args.gdb,
        started,
    };
    run.run(machine, terminal)
}

/// Harts that run at the same time stop at no exact count.
pub fn check_count(option: &str, count: Option<u64>) -> Result<(), Error> {
    match count {
        None => Ok(()),
        Some(count) => Err(Error::usage(
            format!(
                "{option} {count} is a count of instructions, and harts with threads of their own \
                 have no order in which to count"
            ),
            "leave out --schedule threads, or save by Ctrl-A s",
        )),
    }
}

/// How a machine is run.
pub struct Run {
    pub stop_at: Option<u64>,
    pub snapshot_at: Option<u64>,
    pub snapshot: Option<PathBuf>,
    pub no_reboot: bool,
    pub stats: bool,
    pub gdb: Option<u16>,
    pub started: Instant,
}

impl Run {
    /// Runs it to its end.
    pub fn run(self, mut machine: Machine, terminal: Terminal) -> Result<ExitCode, Error> {
        if terminal.is_terminal() {
            eprint!("[{}]\r\n", crate::machine::KEYS);
        }
        let (network, open) = (machine.has_network(), terminal.is_open());
        let can_wake = || network || open.load(Ordering::Acquire);
        let limit = self.stop_at.or(self.snapshot_at).unwrap_or(u64::MAX);
        let debugged = match self.gdb {
            Some(port) => self.debug(&mut machine, port)?,
            None => None,
        };
        let end = loop {
            if let Some(end) = debugged {
                break end;
            }
            match machine.run(limit, can_wake)? {
                End::Command(Command::Info) => eprint!("\r\n{}", machine.describe()),
                End::Command(Command::Reset) => machine.reset()?,
                End::Command(Command::Save) => self.save(&machine),
                End::Power(Power::Reset) if !self.no_reboot => machine.reset()?,
                end => break end,
            }
        };
        machine.keep_code();
        // Ours is the terminal's usual mode.
        drop(terminal);
        if let (Some(count), Some(file)) = (self.snapshot_at, &self.snapshot) {
            let retired = machine.stats().retired;
            if end == End::Limit && retired == count {
                machine.save(file)?;
                eprintln!("bhv: saved at {count} instructions to {}", file.display());
            } else {
                eprintln!(
                    "bhv: the machine ended after {retired} instructions, not at {count}; nothing \
                     was saved"
                );
            }
        }
        if self.stats {
            print_stats(&machine, self.started);
        }
        Ok(finish(&machine, &end))
    }

    /// Has a debugger run it; how it ended, if it did meanwhile.
    fn debug(&self, machine: &mut Machine, port: u16) -> Result<Option<End>, Error> {
        // So that they stop at an instruction.
        machine.take_turns(true);
        let mut debuggee = MachineDebuggee::new(machine, !self.no_reboot);
        let left = debugger::serve(&mut debuggee, port)?;
        let ended = debuggee.ended;
        machine.take_turns(false);
        Ok(match left {
            Left::Running => ended,
            Left::Ended | Left::Killed => ended.or(Some(End::Command(Command::Quit))),
        })
    }

    /// What the key asks for. A failure does not stop the machine.
    fn save(&self, machine: &Machine) {
        let count = machine.stats().retired;
        let usual = || format!("bhv-{count}.snapshot").into();
        let file = self.snapshot.clone().unwrap_or_else(usual);
        match machine.save(&file) {
            Ok(()) => eprint!(
                "\r\n[saved at {count} instructions to {}]\r\n",
                file.display()
            ),
            Err(error) => eprint!("\r\n{}\r\n", error.report().replace('\n', "\r\n")),
        }
    }
}

/// The exit code, and what there is to say about it.
fn finish(machine: &Machine, end: &End) -> ExitCode {
    match end {
        End::Power(Power::Off) | End::Limit | End::Breakpoint | End::Command(_) => {
            ExitCode::SUCCESS
        }
        End::Power(Power::Reset) => ExitCode::from(RESET),
        End::Power(Power::Failed(code)) => {
            eprintln!("bhv: the guest reported failure {code} and switched off");
            ExitCode::from(u8::try_from(*code).unwrap_or(u8::MAX).max(1))
        }
        End::Idle => {
            eprintln!(
                "bhv: every hart waits for an interrupt, and none will come: no timer is set and \
                 the input has ended\n{}  help: keep stdin open, or have the guest power off",
                machine.describe()
            );
            ExitCode::from(STUCK)
        }
        End::Trapped { hart, pc, trap } => {
            eprintln!(
                "bhv: hart {hart} does nothing but trap: {:?} (value {:#x}) again and again at \
                 {pc:#x}\n{}  help: nothing can be executed where its trap vector points; look \
                 for what sets mtvec or stvec",
                trap.cause,
                trap.tval,
                machine.describe()
            );
            ExitCode::from(STUCK)
        }
    }
}

/// The exit code when the guest asked for a reset under --no-reboot.
const RESET: u8 = 10;
/// The exit code when the guest cannot go on.
const STUCK: u8 = 11;

fn print_stats(machine: &Machine, started: Instant) {
    let stats = machine.stats();
    eprintln!("bhv: {:.3} s", started.elapsed().as_secs_f64());
    eprintln!("  retired       {:>14} instructions", stats.retired);
    eprintln!(
        "  traps         {:>14} exceptions, {} interrupts, {} SBI calls",
        stats.exceptions, stats.interrupts, stats.sbi_calls
    );
    eprintln!(
        "  code dropped  {:>14} times, {} pages; {} runs",
        stats.code_drops, stats.code_pages, stats.runs
    );
    let tiers = machine.tiers();
    let jit = tiers.jit;
    if tiers.drafted + jit.regions + jit.installed > 0 {
        eprintln!("  drafted       {:>14} instructions", tiers.drafted);
        eprintln!(
            "  compiled      {:>14} regions of {} instructions to {} bytes in {:.3} s; {} dropped",
            jit.regions,
            jit.guest_instructions,
            jit.host_bytes,
            jit.compile_ns as f64 / 1e9,
            jit.dropped
        );
        eprintln!(
            "  interpreted   {:>14} instructions: {} times no code, {} limits, {} single \
             instructions, {} accesses",
            tiers.interpreted, tiers.missing, tiers.limits, tiers.single, tiers.replays
        );
    }
    if machine.kept_regions() > 0 {
        eprintln!(
            "  kept          {:>14} regions of {} that earlier boots compiled, in {:.3} s",
            jit.installed,
            machine.kept_regions(),
            jit.install_ns as f64 / 1e9
        );
    }
    match machine.state_hash() {
        Ok(hash) => eprintln!("  state         {hash:016x}"),
        Err(error) => eprintln!("  state         unknown: {error}"),
    }
}
