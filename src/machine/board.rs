//! Devices at their places.

use super::clock::MachineClock;
use super::crew::Crew;
use super::options::{DiskAccess, DiskOptions};
use super::signal::Signal;
use super::{ClockKind, MachineOptions, host};
use crate::Error;
use devices::disk::{self, Disk, Overlay};
use devices::net::{GUEST_MAC, Nat};
use devices::share::Server;
use devices::virtio::{Block, Entropy, Function, Net, Rng, Share, Virtio};
use devices::{
    Bus, Clint, Device, GuestMemory, HartLines, OutsideMemory, Pace, Place, Plic, Rtc, Syscon,
    TICKS_PER_SECOND, Uart, layout,
};
use hart::Io;
use memory::{Ram, Writer};
use std::fs::File;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an exact machine's wall clock shows at the start: 2026-01-01, in nanoseconds since 1970.
const EXACT_EPOCH: u64 = 1_767_225_600_000_000_000;
/// How long a disk takes on an exact clock: 100 µs.
const DISK_LATENCY: u64 = TICKS_PER_SECOND / 10_000;

/// The devices of a machine, and what to know of its disks.
pub struct Built {
    pub bus: Bus,
    /// For each disk the file of its overlay, if it has one.
    pub overlays: Vec<Option<File>>,
    pub disk_sizes: Vec<u64>,
}

/// The devices of a machine.
pub fn bus(
    options: &MachineOptions,
    ram: &Arc<Ram>,
    clock: &Arc<MachineClock>,
    signal: &Arc<Signal>,
    lines: &[Arc<HartLines>],
    input: Box<dyn devices::Input>,
    output: Box<dyn devices::Output>,
) -> Result<Built, Error> {
    let plic = Plic::new(lines.to_vec());
    let line = |place: &Place| {
        let line = place.interrupt.and_then(|source| plic.line(source));
        line.ok_or_else(|| internal("a device's interrupt has no number at the PLIC"))
    };
    let memory: Arc<dyn GuestMemory> = Arc::new(Dma(ram.clone()));
    let virtio = |slot: usize, function: Box<dyn Function>| {
        let place = layout::virtio(slot);
        let device = Virtio::new(function, memory.clone(), clock.clone(), line(&place)?);
        Ok::<_, Error>((place, Box::new(device) as Box<dyn Device>))
    };
    let (epoch, entropy) = match options.clock {
        ClockKind::Exact => (EXACT_EPOCH, Entropy::Seeded(options.seed)),
        ClockKind::Host => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(EXACT_EPOCH, |time| time.as_nanos() as u64);
            (now, Entropy::Host(host::entropy()?))
        }
    };
    let uart = Uart::new(line(&layout::UART)?, input, output);
    let rtc = Rtc::new(clock.clone(), line(&layout::RTC)?, epoch);
    let clint = Clint::new(clock.clone(), lines.to_vec());
    let mut devices: Vec<(Place, Box<dyn Device>)> = vec![
        (layout::SYSCON, Box::new(Syscon::new(signal.clone()))),
        (layout::RTC, Box::new(rtc)),
        (layout::CLINT, Box::new(clint)),
        (layout::UART, Box::new(uart)),
        virtio(0, Box::new(Rng::new(entropy)))?,
    ];
    let mut functions: Vec<Box<dyn Function>> = Vec::new();
    let (mut overlays, mut disk_sizes) = (Vec::new(), Vec::new());
    for (number, disk) in options.disks.iter().enumerate() {
        let (disk, overlay) = opened(disk)?;
        overlays.push(overlay);
        disk_sizes.push(disk.size());
        let read_only = options.disks[number].access == DiskAccess::Read;
        functions.push(Box::new(block(
            disk,
            read_only,
            number,
            options.clock,
            signal,
        )?));
    }
    if let Some(config) = &options.net {
        let network = Nat::start(config.clone(), signal.clone());
        let network = network
            .map_err(|error| Error::usage(error.to_string(), "look at --net and --forward"))?;
        functions.push(Box::new(Net::new(Box::new(network), GUEST_MAC)));
    }
    for share in &options.shares {
        let server = Server::new(&share.path, share.read_only)
            .map_err(|error| Error::usage(error.to_string(), "look at --share"))?;
        functions.push(Box::new(Share::new(server, &share.tag)));
    }
    for (number, function) in functions.into_iter().enumerate() {
        devices.push(virtio(1 + number, function)?);
    }
    devices.push((layout::PLIC, Box::new(plic)));
    let mut bus = Bus::default();
    for (place, device) in devices {
        bus.attach(place, device).map_err(internal)?;
    }
    Ok(Built {
        bus,
        overlays,
        disk_sizes,
    })
}

/// A disk, and the file of its overlay if it has one.
fn opened(image: &DiskOptions) -> Result<(Box<dyn Disk>, Option<File>), Error> {
    let read_only = image.access != DiskAccess::Write;
    let opened = disk::open(&image.path, read_only)
        .map_err(|error| Error::usage(error.to_string(), "look at --disk"))?;
    match image.access {
        DiskAccess::Read | DiskAccess::Write => Ok((opened, None)),
        DiskAccess::Overlay => {
            let made = Overlay::new(opened).and_then(|overlay| {
                let contents = overlay.contents()?;
                Ok((Box::new(overlay) as Box<dyn Disk>, Some(contents)))
            });
            made.map_err(|source| Error::File {
                path: image.path.clone(),
                source,
            })
        }
    }
}

fn block(
    disk: Box<dyn Disk>,
    read_only: bool,
    number: usize,
    clock: ClockKind,
    signal: &Arc<Signal>,
) -> Result<Block, Error> {
    let pace = match clock {
        ClockKind::Exact => Pace::Exact {
            latency: DISK_LATENCY,
        },
        ClockKind::Host => Pace::Host,
    };
    let name = format!("disk{number}");
    let made = Block::new(disk, read_only, &name, pace, signal.clone());
    made.map_err(|source| Error::File {
        path: name.into(),
        source,
    })
}

/// A mistake of ours that has to be told all the same.
fn internal(what: impl ToString) -> Error {
    Error::usage(what.to_string(), "report this: it is a bug in bhv")
}

/// RAM as devices reach it.
struct Dma(Arc<Ram>);

impl Dma {
    fn done(done: bool, pa: u64, length: u64) -> Result<(), OutsideMemory> {
        if done {
            Ok(())
        } else {
            Err(OutsideMemory { pa, length })
        }
    }
}

impl GuestMemory for Dma {
    fn read(&self, pa: u64, into: &mut [u8]) -> Result<(), OutsideMemory> {
        Dma::done(self.0.read(pa, into), pa, into.len() as u64)
    }

    fn write(&self, pa: u64, from: &[u8]) -> Result<(), OutsideMemory> {
        Dma::done(self.0.write(pa, from), pa, from.len() as u64)
    }

    fn check(&self, pa: u64, length: u64) -> Result<(), OutsideMemory> {
        Dma::done(self.0.contains(pa, length), pa, length)
    }
}

/// What lies outside RAM.
pub struct Board {
    pub bus: Arc<Bus>,
    pub clock: Arc<MachineClock>,
    /// The other harts, and the number of this one, if they run at the same time.
    pub crew: Option<(Arc<Crew>, usize)>,
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

    fn watched(&self, page: u64, writer: Writer) -> bool {
        if let Some((crew, hart)) = &self.crew {
            crew.watched(*hart, page, writer);
        }
        self.crew.is_some()
    }
}
