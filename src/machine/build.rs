//! Putting a machine together, and starting it again.

use super::board::{self, Board};
use super::clock::MachineClock;
use super::crew::Crew;
use super::harts::{Hart, Status};
use super::kept;
use super::load::Loader;
use super::sbi::Sbi;
use super::signal::Signal;
use super::tiers::{TierOptions, Tiers};
use super::{ClockKind, MachineOptions, Schedule, Stats};
use crate::translations::KeptMachine;
use crate::{EngineKind, Error};
use devices::stream::ByteQueue;
use devices::{Bell, Bus, HartLines, description, layout};
use hart::{HartState, Io, Privileged, SystemMemory};
use jit::SystemHart;
use memory::Ram;
use std::fs::File;
use std::sync::Arc;

/// The ISA string of a hart: single-letter extensions and the others.
const LETTERS: &str = "rv64imafdc";
const EXTENSIONS: &[&str] = &[
    "zicbom", "zicboz", "zicntr", "zicsr", "zifencei", "zihpm", "zba", "zbb", "zbs", "sstc",
    "svade",
];

/// A machine.
pub struct Machine {
    pub(super) options: MachineOptions,
    pub(super) ram: Arc<Ram>,
    pub(super) bus: Arc<Bus>,
    /// For each disk the file of its overlay, if it has one.
    pub(super) overlays: Vec<Option<File>>,
    /// Their sizes in bytes.
    pub(super) disk_sizes: Vec<u64>,
    pub(super) clock: Arc<MachineClock>,
    pub(super) signal: Arc<Signal>,
    pub(super) harts: Vec<Hart>,
    /// What executes them: all of them, or one each if they have threads of their own.
    pub(super) tiers: Vec<Tiers>,
    /// How they reach each other, if they have threads of their own.
    pub(super) crew: Option<Arc<Crew>>,
    /// They take turns all the same, for a debugger.
    pub(super) one_by_one: bool,
    /// What earlier boots compiled, if compiled code is kept.
    pub(super) kept: Option<Arc<KeptMachine>>,
    /// Our own firmware, if there is no other.
    pub(super) sbi: Option<Arc<Sbi>>,
    /// Instructions retired by all harts, and what they slept.
    pub(super) position: u64,
    /// Whose turn it is, and how many instructions are left of it.
    pub(super) turn: usize,
    pub(super) left: u64,
    pub(super) stats: Stats,
    /// Whether its files may be read again.
    pub(super) may_reset: bool,
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
        let own_firmware = options.firmware.is_none();
        let mut machine = Machine::assemble(options, own_firmware, signal, wires)?;
        machine.start()?;
        Ok(machine)
    }

    /// A machine with nothing in its memory.
    pub(super) fn assemble(
        options: MachineOptions,
        own_firmware: bool,
        signal: Arc<Signal>,
        wires: Wires,
    ) -> Result<Machine, Error> {
        check(&options)?;
        let folder = kept::folder(&options)?;
        let ram = Arc::new(Ram::new(layout::RAM, options.memory)?);
        let clock = Arc::new(MachineClock::new(options.clock));
        let threads = options.schedule == Schedule::Threads;
        let crew = threads.then(|| Arc::new(Crew::new(options.harts)));
        let bell = |number: usize| match &crew {
            Some(crew) => crew.posts[number].clone() as Arc<dyn Bell>,
            None => signal.clone(),
        };
        let lines: Vec<Arc<HartLines>> = (0..options.harts)
            .map(|number| HartLines::new(bell(number)))
            .collect();
        let Wires {
            input,
            output,
            debug,
        } = wires;
        let built = board::bus(&options, &ram, &clock, &signal, &lines, input, output)?;
        let bus = Arc::new(built.bus);
        let dtb = tree(&options, &bus, None)?;
        let io = |number: usize| -> Arc<dyn Io> {
            Arc::new(Board {
                bus: bus.clone(),
                clock: clock.clone(),
                crew: crew.clone().map(|crew| (crew, number)),
            })
        };
        let hart = |(number, lines)| Hart {
            state: SystemHart::default(),
            memory: SystemMemory::new(ram.clone(), io(number), Privileged::reset(number as u64)),
            lines,
            status: Status::Stopped,
            traps: 0,
        };
        let harts = lines.into_iter().enumerate().map(hart).collect();
        let sbi = own_firmware.then(|| Arc::new(Sbi::new(debug)));
        let tiers = match options.engine {
            EngineKind::Jit => Some(options.tiers.clone()),
            EngineKind::Interp => None,
        };
        let tiers = tiers.map(|mut tiers| {
            tiers.jit.keep = folder.is_some();
            tiers
        });
        let mut tiers = Tiers::all(tiers, crew.as_ref().map(|_| options.harts))?;
        let kept = folder.and_then(|folder| kept::look_up(&folder, &options, &mut tiers));
        Ok(Machine {
            options,
            ram,
            bus,
            overlays: built.overlays,
            disk_sizes: built.disk_sizes,
            clock,
            signal,
            harts,
            tiers,
            crew,
            one_by_one: false,
            kept,
            sbi,
            position: 0,
            turn: 0,
            left: 0,
            stats: Stats::default(),
            may_reset: true,
            dtb,
        })
    }

    /// Loads everything and puts the harts where they begin.
    fn start(&mut self) -> Result<(), Error> {
        let mut loader = Loader::new(&self.ram, &self.options);
        let initrd = loader.initrd()?;
        self.dtb = tree(&self.options, &self.bus, initrd)?;
        let start = loader.finish(&self.dtb)?;
        for (number, hart) in self.harts.iter_mut().enumerate() {
            let mut privileged = Privileged::reset(number as u64);
            *hart.state = HartState::default();
            hart.state.pc = start.pc;
            hart.state.x[10] = number as u64;
            hart.state.x[11] = start.dtb;
            hart.state.x[12] = start.information;
            hart.status = Status::Running;
            hart.traps = 0;
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

    /// Starts again, as by its reset button: harts, devices and memory are as after power-on, and
    /// all files are read again. Time and the count of instructions go on.
    pub fn reset(&mut self) -> Result<(), Error> {
        if !self.may_reset {
            return Err(Error::usage(
                "the guest wants to start again, and its kernel is not at hand: a machine from a \
                 snapshot opens no file by itself",
                "resume it with --trust, boot it anew, or end it there with --no-reboot",
            ));
        }
        self.bus.reset();
        self.ram.clear()?;
        (self.turn, self.left) = (0, 0);
        self.tiers.iter_mut().for_each(Tiers::clear);
        self.ram.take_stale();
        self.start()
    }

    /// Has it executed so from now on: on the interpreter alone, or with the compiler.
    pub fn set_tiers(&mut self, options: Option<TierOptions>) -> Result<(), Error> {
        let threads = self.crew.as_ref().map(|_| self.harts.len());
        self.tiers = Tiers::all(options, threads)?;
        self.forget();
        Ok(())
    }

    /// Drops all that is derived from the guest's state: translations, decoded code. Changes
    /// nothing but speed.
    pub fn forget(&mut self) {
        self.tiers.iter_mut().for_each(Tiers::clear);
        self.harts.iter().for_each(|hart| hart.memory.forget());
    }

    /// Whether harts take turns from now on although the options give each a thread of its own: so that
    /// they can be stopped at an instruction.
    pub fn take_turns(&mut self, turns: bool) {
        self.one_by_one = turns;
        for tiers in &mut self.tiers {
            tiers.exact = turns || self.crew.is_none();
        }
    }

    /// Whether something may come in by a network.
    pub fn has_network(&self) -> bool {
        self.options.net.is_some()
    }

    /// The device tree as the guest gets it.
    pub fn dtb(&self) -> &[u8] {
        &self.dtb
    }
}

fn check(options: &MachineOptions) -> Result<(), Error> {
    const MIB: u64 = 1 << 20;
    if !options.memory.is_multiple_of(MIB) || options.memory < 32 * MIB || options.memory > 1 << 40
    {
        return Err(Error::usage(
            format!("a machine cannot have {} bytes of memory", options.memory),
            "give --memory a number of MiB from 32M up, such as 512M or 2G",
        ));
    }
    if options.net.is_some() && options.clock == ClockKind::Exact {
        return Err(Error::usage(
            "a machine with an exact clock cannot have a network: it skips idle time, so that \
             seconds of its time pass while an answer is on its way, and every connection times out",
            "add --clock host, or clock = \"host\" to the file",
        ));
    }
    if options.schedule == Schedule::Threads && options.clock == ClockKind::Exact {
        return Err(Error::usage(
            "harts with threads of their own cannot have an exact clock: it counts the instructions \
             of all of them, in the order in which they are executed",
            "add --clock host (clock = \"host\" in the file), or leave out --schedule threads",
        ));
    }
    let slots = options.disks.len() + options.shares.len() + usize::from(options.net.is_some());
    if slots > layout::VIRTIO_SLOTS - 1 {
        let most = layout::VIRTIO_SLOTS - 1;
        return Err(Error::usage(
            format!("a machine cannot have {slots} disks, networks and shares"),
            format!("leave some out: there is room for {most}"),
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
