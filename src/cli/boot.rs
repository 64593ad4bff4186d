//! `bhv boot`.

use crate::machine::{
    ClockKind, Command, DiskOptions, End, Image, Machine, MachineOptions, Signal, Terminal, Wires,
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
    /// RAM, such as 512M or 2G
    #[arg(long, default_value = "1G", value_name = "SIZE", value_parser = size)]
    memory: u64,
    /// How many harts
    #[arg(long, default_value_t = 1, value_name = "N")]
    harts: usize,
    /// Only interp so far: the compiler runs programs, no machines
    #[arg(long, value_enum, default_value_t = EngineKind::Interp, value_name = "ENGINE")]
    engine: EngineKind,
    /// exact: time is a function of instructions retired, idle time is skipped, two runs are the
    /// same bit for bit. host: the host's time, for working in the machine
    #[arg(long, value_enum, default_value_t = ClockKind::Exact, value_name = "CLOCK")]
    clock: ClockKind,
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
    #[arg(
        long,
        default_value = "",
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    append: String,
    /// A raw disk image, repeatable; with :ro it is read-only, with :temp the image stays as it is
    #[arg(long = "disk", value_name = "FILE[:ro|:temp]", value_parser = DiskOptions::parse)]
    disks: Vec<DiskOptions>,
    /// Where the random numbers of an exact machine come from
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Stop when all harts together have retired COUNT instructions
    #[arg(long, value_name = "COUNT")]
    stop_at: Option<u64>,
    /// End instead of starting again when the guest asks for a reset
    #[arg(long)]
    no_reboot: bool,
    /// Write the device tree to FILE and end
    #[arg(long, value_name = "FILE")]
    dump_dtb: Option<PathBuf>,
    /// Print what was done and spent, and a checksum of the final state, at the end, to stderr
    #[arg(long)]
    stats: bool,
}

/// `bhv boot`.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let signal = Arc::new(Signal::default());
    let image = |path: &Option<PathBuf>| path.clone().map(Image::File);
    let options = MachineOptions {
        memory: args.memory,
        harts: args.harts,
        engine: args.engine,
        clock: args.clock,
        firmware: image(&args.firmware),
        kernel: image(&args.kernel),
        initrd: image(&args.initrd),
        append: args.append.clone(),
        disks: args.disks.clone(),
        seed: args.seed,
    };
    if let Some(path) = &args.dump_dtb {
        let machine = Machine::new(options, signal, Wires::none())?;
        std::fs::write(path, machine.dtb()).map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let terminal = Terminal::open(&signal);
    if terminal.is_terminal() {
        eprint!("[{}]\r\n", crate::machine::KEYS);
    }
    let mut machine = Machine::new(options, signal, terminal.wires())?;
    let open = terminal.is_open();
    let can_wake = || open.load(Ordering::Acquire);
    let end = loop {
        match machine.run(args.stop_at.unwrap_or(u64::MAX), can_wake)? {
            End::Command(Command::Info) => eprint!("\r\n{}", machine.describe()),
            End::Command(Command::Reset) => machine.reset()?,
            End::Power(Power::Reset) if !args.no_reboot => machine.reset()?,
            end => break end,
        }
    };
    // Ours is the terminal's usual mode.
    drop(terminal);
    if args.stats {
        print_stats(&machine, started);
    }
    Ok(finish(&machine, &end))
}

/// The exit code, and what there is to say about it.
fn finish(machine: &Machine, end: &End) -> ExitCode {
    match end {
        End::Power(Power::Off) | End::Limit | End::Command(_) => ExitCode::SUCCESS,
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
    match machine.state_hash() {
        Ok(hash) => eprintln!("  state         {hash:016x}"),
        Err(error) => eprintln!("  state         unknown: {error}"),
    }
}

/// A size in bytes, or with K, M or G.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size: write a number of bytes, or one with K, M or G");
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1u64 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in ["", "M", "1T", "-1", "0x10", "99999999999G", "1.5G", "é"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
