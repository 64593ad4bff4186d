//! Putting a machine together, and starting it again.

use super::clock::MachineClock;
use super::load::Loader;
use super::sbi::Sbi;
use super::signal::Signal;
use super::{ClockKind, MachineOptions, Stats};
use crate::Error;
use devices::stream::ByteQueue;
use devices::{Bus, Clint, HartLines, Plic, Rtc, Syscon, Uart, description, layout};
use hart::{HartState, Io, Privileged, SystemMemory};
use interp::Interp;
use memory::Ram;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an exact machine's wall clock shows at the start: 2026-01-01, in nanoseconds since 1970.
const EXACT_EPOCH: u64 = 1_767_225_600_000_000_000;

/// The ISA string of a hart: single-letter extensions and the others.
const LETTERS: &str = "rv64imafdc";
const EXTENSIONS: &[&str] = &[
    "zicbom", "zicboz", "zicntr", "zicsr", "zifencei", "zihpm", "zba", "zbb", "zbs", "sstc",
    "svade",
];

/// What a hart does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// It executes instructions.
    Running,
    /// wfi.
    Waiting,
    /// Not started yet, or stopped by SBI HSM.
    Stopped,
}

/// One hart.
pub(super) struct Hart {
    pub state: HartState,
    pub memory: SystemMemory,
    pub lines: Arc<HartLines>,
    pub status: Status,
}

/// A machine.
pub struct Machine {
    pub(super) options: MachineOptions,
    pub(super) ram: Arc<Ram>,
    pub(super) bus: Arc<Bus>,
    pub(super) clock: Arc<MachineClock>,
    pub(super) signal: Arc<Signal>,
    pub(super) harts: Vec<Hart>,
    pub(super) interp: Interp<SystemMemory>,
    /// Our own firmware, if there is no other.
    pub(super) sbi: Option<Sbi>,
    /// Instructions retired by all harts, and what they slept.
    pub(super) position: u64,
    /// Whose turn it is.
    pub(super) turn: usize,
    pub(super) stats: Stats,
    /// The device tree as the guest gets it.
    dtb: Vec<u8>,
}

/// Where a console's bytes come from and go.
pub struct Wires {
    /// What the guest's serial port reads.
    pub input: Box<dyn devices::Input>,
    /// What it writes.
    pub output: Box<dyn devices::Output>,
    /// What SBI writes.
    pub debug: Box<dyn devices::Output>,
}

impl Wires {
    /// Connected to nothing.
    pub fn none() -> Wires {
        let nowhere = ByteQueue::default;
        Wires {
            input: Box::new(nowhere()),
            output: Box::new(nowhere()),
            debug: Box::new(nowhere()),
        }
    }
}

impl Machine {
    /// A machine whose harts have not run yet. The signal is what the console's threads ring.
    pub fn new(
        options: MachineOptions,
        signal: Arc<Signal>,
        wires: Wires,
    ) -> Result<Machine, Error> {
        check(&options)?;
        let ram = Arc::new(Ram::new(layout::RAM, options.memory)?);
        let clock = Arc::new(MachineClock::new(options.clock));
        let lines: Vec<Arc<HartLines>> = (0..options.harts)
            .map(|_| HartLines::new(signal.clone()))
            .collect();
        let Wires {
            input,
            output,
            debug,
        } = wires;
        let bus = Arc::new(board(&options, &clock, &signal, &lines, input, output)?);
        let dtb = tree(&options, &bus, None)?;
        let io: Arc<dyn Io> = Arc::new(Board {
            bus: bus.clone(),
            clock: clock.clone(),
        });
        let hart = |(number, lines)| Hart {
            state: HartState::default(),
            memory: SystemMemory::new(ram.clone(), io.clone(), Privileged::reset(number as u64)),
            lines,
            status: Status::Stopped,
        };
        let harts = lines.into_iter().enumerate().map(hart).collect();
        let sbi = options.firmware.is_none().then(|| Sbi::new(debug));
        let mut machine = Machine {
            options,
            ram,
            bus,
            clock,
            signal,
            harts,
            interp: Interp::new(interp::Options::default()),
            sbi,
            position: 0,
            turn: 0,
            stats: Stats::default(),
            dtb,
        };
        machine.start()?;
        Ok(machine)
    }

    /// Loads everything and puts the harts where they begin.
    fn start(&mut self) -> Result<(), Error> {
        let mut loader = Loader::new(&self.ram, &self.options);
        let initrd = loader.initrd()?;
        self.dtb = tree(&self.options, &self.bus, initrd)?;
        let start = loader.finish(&self.dtb)?;
        for (number, hart) in self.harts.iter_mut().enumerate() {
            let mut privileged = Privileged::reset(number as u64);
            hart.state = HartState::default();
            hart.state.pc = start.pc;
            hart.state.x[10] = number as u64;
            hart.state.x[11] = start.dtb;
            hart.state.x[12] = start.information;
            hart.status = Status::Running;
            if self.sbi.is_some() {
                privileged.delegate();
                if number != 0 {
                    hart.status = Status::Stopped;
                }
            }
            hart.memory.change(|p| *p = privileged);
            hart.memory.forget();
        }
        Ok(())
    }

    /// As after power-on; all files are read again.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.bus.reset();
        self.ram.clear()?;
        self.interp.clear();
        self.ram.take_stale();
        self.start()
    }

    /// The device tree as the guest gets it.
    pub fn dtb(&self) -> &[u8] {
        &self.dtb
    }
}

fn check(options: &MachineOptions) -> Result<(), Error> {
    const MIB: u64 = 1 << 20;
    if options.memory % MIB != 0 || options.memory < 32 * MIB || options.memory > 1 << 40 {
        return Err(Error::usage(
            format!("a machine cannot have {} bytes of memory", options.memory),
            "give --memory a number of MiB from 32M up, such as 512M or 2G",
        ));
    }
    if options.harts == 0 || options.harts > layout::MOST_HARTS {
        return Err(Error::usage(
            format!("a machine cannot have {} harts", options.harts),
            format!("give --harts a number from 1 to {}", layout::MOST_HARTS),
        ));
    }
    Ok(())
}

/// The devices at their places.
fn board(
    options: &MachineOptions,
    clock: &Arc<MachineClock>,
    signal: &Arc<Signal>,
    lines: &[Arc<HartLines>],
    input: Box<dyn devices::Input>,
    output: Box<dyn devices::Output>,
) -> Result<Bus, Error> {
    let plic = Plic::new(lines.to_vec());
    let line = |place: &devices::Place| {
        let line = place.interrupt.and_then(|source| plic.line(source));
        line.ok_or_else(|| internal("a device's interrupt has no number at the PLIC"))
    };
    let epoch = match options.clock {
        ClockKind::Exact => EXACT_EPOCH,
        ClockKind::Host => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(EXACT_EPOCH, |time| time.as_nanos() as u64),
    };
    let uart = Uart::new(line(&layout::UART)?, input, output);
    let rtc = Rtc::new(clock.clone(), line(&layout::RTC)?, epoch);
    let clint = Clint::new(clock.clone(), lines.to_vec());
    let mut bus = Bus::default();
    let devices: [(devices::Place, Box<dyn devices::Device>); 5] = [
        (layout::SYSCON, Box::new(Syscon::new(signal.clone()))),
        (layout::RTC, Box::new(rtc)),
        (layout::CLINT, Box::new(clint)),
        (layout::PLIC, Box::new(plic)),
        (layout::UART, Box::new(uart)),
    ];
    for (place, device) in devices {
        bus.attach(place, device).map_err(internal)?;
    }
    Ok(bus)
}

fn tree(
    options: &MachineOptions,
    bus: &Bus,
    initrd: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, Error> {
    let letters = LETTERS["rv64".len()..].char_indices();
    let letters = letters.map(|(at, _)| &LETTERS["rv64".len()..][at..=at]);
    let hart = description::Hart {
        isa: [&[LETTERS], EXTENSIONS].concat().join("_"),
        extensions: letters.chain(EXTENSIONS.iter().copied()).collect(),
        mmu: "riscv,sv48",
        cache_block: Some(hart::system::CACHE_BLOCK as u32),
    };
    let mut random = frontend::generate::Random::new(options.seed);
    let mut rng_seed = [0u8; 32];
    match options.clock {
        ClockKind::Exact => {
            for chunk in rng_seed.chunks_mut(8) {
                chunk.copy_from_slice(&random.bits().to_le_bytes());
            }
        }
        ClockKind::Host => super::host::random(&mut rng_seed),
    }
    let description = description::Description {
        memory: layout::RAM..layout::RAM + options.memory,
        harts: vec![hart; options.harts],
        command_line: options.append.clone(),
        initrd,
        rng_seed: rng_seed.to_vec(),
    };
    devices::blob(&description, bus).map_err(|error| {
        Error::usage(
            format!("the device tree cannot be made: {error}"),
            "look for a zero byte in --append",
        )
    })
}

/// A mistake of ours that has to be told all the same.
fn internal(what: impl ToString) -> Error {
    Error::usage(what.to_string(), "report this: it is a bug in bhv")
}

/// What lies outside RAM.
struct Board {
    bus: Arc<Bus>,
    clock: Arc<MachineClock>,
}

impl Io for Board {
    fn load(&self, pa: u64, bytes: u64, instret: u64) -> Option<u64> {
        self.clock.advance(instret);
        self.bus.read(pa, devices::Width::of(bytes)?).ok()
    }

    fn store(&self, pa: u64, bytes: u64, value: u64, instret: u64) -> bool {
        self.clock.advance(instret);
        devices::Width::of(bytes).is_some_and(|width| self.bus.write(pa, width, value).is_ok())
    }

    fn time(&self, instret: u64) -> u64 {
        self.clock.time(instret)
    }
}
