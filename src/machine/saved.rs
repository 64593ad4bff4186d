//! Saving a machine into a snapshot, and going on from one.
//!
//! A snapshot names files of the host's (disks, shares) and ports, and may come from anywhere. So
//! it opens none of them by itself: whoever resumes gives them again, or says that the snapshot is
//! to be trusted.

use super::build::{Machine, Wires};
use super::description::{Description, Resume};
use super::harts::{Hart, Status};
use super::{ClockKind, Signal, Stats};
use crate::Error;
use crate::snapshot::space::pieces_of;
use crate::snapshot::{Cause, Kind, Meta, Reader, Run, Source, Subject, Writer};
use devices::bus::Saved;
use devices::{Clock, State, disk, virtio};
use hart::{HartState, Privileged};
use memory::PAGE;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes that are looked at together.
const CHUNK: usize = 1 << 20;
/// No count of a machine reaches this: sums of them don't overflow.
const MOST: u64 = 1 << 62;

/// The harts of a machine, and its clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HartsImage {
    /// By number.
    pub harts: Vec<HartImage>,
    position: u64,
    mtime: u64,
    turn: u64,
    left: u64,
    stats: Stats,
}

/// A hart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HartImage {
    /// Its registers.
    pub state: HartState,
    /// The privileged ones.
    pub privileged: Privileged,
    status: Status,
    traps: u32,
}

impl HartsImage {
    /// What could not come from [`Machine::save`], if anything.
    fn wrong(&self, harts: usize) -> Option<&'static str> {
        let mut stats = self.stats;
        if self.harts.len() != harts || self.turn >= harts as u64 {
            return Some("the number of harts");
        }
        if self.position > MOST || stats.counts().iter().any(|count| **count > MOST) {
            return Some("counts");
        }
        let sound = |(number, hart): (usize, &HartImage)| {
            let HartState {
                x,
                pc,
                instret,
                fflags,
                frm,
                reservation,
                ..
            } = hart.state;
            let registers = x[0] == 0 && pc & 1 == 0 && instret <= MOST && fflags < 32 && frm < 8;
            let reserved = [0, 4, 8].contains(&reservation.width);
            let own = hart.privileged.mhartid == number as u64;
            registers && reserved && own && hart.privileged.is_valid()
        };
        let all = self.harts.iter().enumerate().all(sound);
        (!all).then_some("registers")
    }
}

impl Machine {
    /// Writes the machine to a file, between two runs. It goes on unharmed afterwards; but what it
    /// then writes to its disks, the snapshot does not know, and is refused for.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let unsuitable = |what, why: String| Cause::Unsuitable { what, why }.of(path);
        // First of all: this waits until the disks have done what they were asked for.
        let devices = self.bus.save();
        if let Some(why) = devices.iter().find_map(|saved| disk_of(saved)?.err()) {
            return Err(unsuitable("disk", why.to_owned()).into());
        }
        let description = Description::of(&self.options, self.sbi.is_some())?;
        let image = |hart: &Hart| HartImage {
            state: *hart.state,
            privileged: *hart.memory.privileged(),
            status: hart.status,
            traps: hart.traps,
        };
        let harts = HartsImage {
            harts: self.harts.iter().map(image).collect(),
            position: self.position,
            mtime: self.now(),
            turn: self.turn as u64,
            left: self.left,
            stats: self.stats,
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let created = since_epoch.map_or(0, |time| time.as_secs());
        let instructions = self.stats.retired;
        let meta = Meta {
            id: RandomState::new().hash_one((created, std::process::id(), instructions)),
            subject: Subject::Machine,
            title: description.title(),
            writer: concat!("bhv ", env!("CARGO_PKG_VERSION")).to_owned(),
            created,
            instructions,
            parent: None,
        };
        let mut writer = Writer::create(path)?;
        writer.state(Kind::Meta, &meta)?;
        writer.state(Kind::Machine, &description)?;
        writer.state(Kind::Harts, &harts)?;
        writer.state(Kind::Devices, &devices)?;
        writer.pages::<Error>(|pages| {
            let mut put = |space, at, bytes: &[u8]| -> Result<(), Error> {
                Ok(used(at, bytes).try_for_each(|(at, bytes)| pages.put(space, at, bytes))?)
            };
            let mut chunk = vec![0; CHUNK];
            for pa in (self.ram.pa()..self.ram.pa() + self.ram.len()).step_by(CHUNK) {
                self.ram.read(pa, &mut chunk);
                put(0, pa, &chunk)?;
            }
            for (space, file, written) in self.overlays(&devices) {
                for &(start, end) in written {
                    for at in (start..end).step_by(CHUNK) {
                        let length = (end - at).min(CHUNK as u64) as usize;
                        read_part(file, at, &mut chunk[..length])
                            .map_err(|source| unsuitable("disk", source.to_string()))?;
                        let whole = length.next_multiple_of(PAGE as usize);
                        chunk[length..whole].fill(0);
                        put(space, at, &chunk[..whole])?;
                    }
                }
            }
            Ok(())
        })?;
        writer.finish()?;
        Ok(())
    }

    /// A machine from a snapshot: it goes on where it was saved.
    pub fn resume(
        path: &Path,
        resume: &Resume,
        signal: Arc<Signal>,
        wires: Wires,
    ) -> Result<Machine, Error> {
        let reader = Reader::open(path)?;
        let description: Description = reader.needed(Kind::Machine, "a machine")?;
        let own_firmware = description.own_firmware;
        let options = description.options(path, resume)?;
        let mut machine = Machine::assemble(options, own_firmware, signal, wires)?;
        let from_file = machine.options.kernel.is_some() || machine.options.firmware.is_some();
        machine.may_reset = resume.trust && from_file;
        let runs = reader.page_map()?;
        let (start, end) = (machine.ram.pa(), machine.ram.pa() + machine.ram.len());
        let (pieces, rest) = pieces_of(&runs, start, end);
        let inside = runs
            .first()
            .is_none_or(|run| run.space > 0 || run.start >= start);
        if !inside || rest.first().is_some_and(|run| run.space == 0) {
            return Err(outside(&reader, "memory"));
        }
        machine.ram.restore(&pieces, reader.file().as_fd())?;
        machine.restore_overlays(&reader, rest)?;
        machine.restore(&reader)?;
        Ok(machine)
    }

    /// Takes over the state of harts and devices: all but what is in memory and on disks.
    pub fn restore<S: Source>(&mut self, reader: &Reader<S>) -> Result<(), Error> {
        let unsuitable = |what, why: String| Cause::Unsuitable { what, why }.of(reader.path());
        let image: HartsImage = reader.needed(Kind::Harts, "a machine")?;
        let mut devices: Vec<Saved> = reader.needed(Kind::Devices, "a machine")?;
        if let Some(what) = image.wrong(self.harts.len()) {
            let why = format!("no machine is in this state: {what}");
            return Err(unsuitable("harts", why).into());
        }
        self.position = image.position;
        self.stats = image.stats;
        (self.turn, self.left) = (image.turn as usize, image.left);
        // Devices look at the clock.
        self.clock.begin(self.position, 0);
        self.clock.set_mtime(image.mtime);
        if self.options.clock == ClockKind::Host {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |time| time.as_nanos() as u64);
            for saved in &mut devices {
                if let State::Rtc(rtc) = &mut saved.state {
                    rtc.set_time(now, image.mtime);
                }
            }
        }
        let restored = self.bus.restore(devices);
        restored.map_err(|error| unsuitable("devices", error.to_string()))?;
        for (hart, image) in self.harts.iter_mut().zip(image.harts) {
            *hart.state = image.state;
            hart.status = image.status;
            hart.traps = image.traps;
            hart.memory.change(|p| *p = image.privileged);
        }
        self.forget();
        self.ram.take_stale();
        Ok(())
    }

    /// The disks that have something written over them: the space of their pages, the file that
    /// holds it, and where it is.
    fn overlays<'a>(
        &'a self,
        devices: &'a [Saved],
    ) -> impl Iterator<Item = (u32, &'a File, &'a [(u64, u64)])> {
        let disks = devices.iter().filter_map(disk_of);
        let numbered = self.overlays.iter().zip(disks).zip(1..);
        numbered.filter_map(|((file, state), space)| match (file, state) {
            (Some(file), Ok(disk::State::Overlay { written, .. })) => {
                Some((space, file, written.as_slice()))
            }
            _ => None,
        })
    }

    /// A checksum of what is written over the disks.
    pub(super) fn overlay_hashes(&self, devices: &[Saved]) -> Result<Vec<u64>, String> {
        let mut hashes = Vec::new();
        for (_, file, written) in self.overlays(devices) {
            let mut sum = crate::snapshot::checksum::Running::new();
            for &(start, end) in written {
                for at in (start..end).step_by(CHUNK) {
                    let mut bytes = vec![0; (end - at).min(CHUNK as u64) as usize];
                    read_part(file, at, &mut bytes).map_err(|error| error.to_string())?;
                    sum.add(&bytes);
                }
            }
            hashes.push(sum.value());
        }
        Ok(hashes)
    }

    /// Copies what was written over the disks into the overlays' files.
    fn restore_overlays(&self, reader: &Reader, runs: &[Run]) -> Result<(), Error> {
        let failed = |source: std::io::Error| {
            let why = source.to_string();
            Cause::Unsuitable { what: "disk", why }.of(reader.path())
        };
        let mut bytes = vec![0; CHUNK];
        for run in runs {
            let overlay = (run.space as usize)
                .checked_sub(1)
                .and_then(|n| self.overlays.get(n));
            let Some(Some(file)) = overlay else {
                return Err(outside(reader, "pages of a disk"));
            };
            let size = self.disk_sizes[run.space as usize - 1];
            if run.start + run.length > size.next_multiple_of(PAGE) {
                return Err(outside(reader, "pages of a disk"));
            }
            for at in (0..run.length).step_by(CHUNK) {
                let to = run.start + at;
                let length = (run.length - at).min(CHUNK as u64).min(size - to) as usize;
                let piece = &mut bytes[..length];
                reader
                    .file()
                    .read_exact_at(piece, run.offset + at)
                    .map_err(failed)?;
                file.write_all_at(piece, to).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Pages that belong nowhere.
fn outside(reader: &Reader, what: &'static str) -> Error {
    let why = "some of it lies where the machine has none".to_owned();
    Cause::Unsuitable { what, why }.of(reader.path()).into()
}

/// The saved disk of a block device.
fn disk_of(saved: &Saved) -> Option<Result<&disk::State, &str>> {
    match &saved.state {
        State::Virtio(device) => match device.function() {
            virtio::State::Block(block) => Some(block.disk()),
            _ => None,
        },
        _ => None,
    }
}

/// Stretches of pages that are not all zeros.
fn used(start: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let page = PAGE as usize;
    let is_used = move |at: usize| {
        let bytes = &bytes[at..at + page];
        bytes.iter().any(|byte| *byte != 0)
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_used(at) {
            at += page;
        }
        let from = at;
        while at < bytes.len() && is_used(at) {
            at += page;
        }
        (from < at).then(|| (start + from as u64, &bytes[from..at]))
    })
}

/// Reads; what lies behind the end of the file is zeros.
fn read_part(file: &File, mut at: u64, mut into: &mut [u8]) -> std::io::Result<()> {
    while !into.is_empty() {
        match FileExt::read_at(file, into, at) {
            Ok(0) => {
                into.fill(0);
                break;
            }
            Ok(read) => {
                into = &mut into[read..];
                at += read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
