//! What differs between two snapshots.

use super::command::{line, size};
use super::layout::Source;
use super::process::{Thread, threads};
use super::space::{Mapping, Mappings};
use super::{Error, Kind, Reader, Run};
use hart::HartState;
use memory::PAGE;
use std::fmt::Write;

/// Pages listed by address before the rest is only counted.
const LISTED: usize = 16;

/// What differs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// A line a register that differs, by thread.
    pub registers: Vec<String>,
    /// A line a mapping that is not in both, with - or + in front.
    pub mappings: Vec<String>,
    /// Addresses of pages whose contents differ.
    pub pages: Vec<u64>,
    /// Names of other sections that differ.
    pub sections: Vec<&'static str>,
}

impl Changes {
    /// Compares.
    pub fn between(before: &Reader, after: &Reader) -> Result<Changes, crate::Error> {
        let mut changes = Changes::default();
        changes.compare_threads(&threads(before)?, &threads(after)?);
        let mappings = |reader: &Reader| -> Result<Vec<Mapping>, Error> {
            let mappings = reader.state::<Mappings>(Kind::Mappings)?;
            Ok(mappings.map_or_else(Vec::new, |mappings| mappings.list))
        };
        let (old, new) = (mappings(before)?, mappings(after)?);
        for gone in old.iter().filter(|mapping| !new.contains(mapping)) {
            changes.mappings.push(format!("- {}", line(gone)));
        }
        for come in new.iter().filter(|mapping| !old.contains(mapping)) {
            changes.mappings.push(format!("+ {}", line(come)));
        }
        changes.pages = pages(before, after)?;
        for kind in [
            Kind::Config,
            Kind::Process,
            Kind::Machine,
            Kind::Harts,
            Kind::Devices,
        ] {
            let sum = |reader: &Reader| reader.section(kind, 0).map(|section| section.checksum);
            if sum(before) != sum(after) {
                changes.sections.push(kind.name());
            }
        }
        if other_pages(before)? != other_pages(after)? {
            changes.sections.push("disks");
        }
        Ok(changes)
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut chapter = |name: &str, lines: &[String]| {
            if !lines.is_empty() {
                let _ = writeln!(text, "{name}");
                lines.iter().for_each(|line| {
                    let _ = writeln!(text, "  {line}");
                });
            }
        };
        chapter("registers", &self.registers);
        chapter("mappings", &self.mappings);
        let mut pages: Vec<String> = self
            .pages
            .iter()
            .take(LISTED)
            .map(|page| format!("{page:#x}"))
            .collect();
        if let Some(more) = self
            .pages
            .len()
            .checked_sub(LISTED)
            .filter(|&more| more > 0)
        {
            let bytes = size(self.pages.len() as u64 * PAGE);
            pages.push(format!("and {more} more; {bytes} in all"));
        }
        chapter("pages", &pages);
        let sections: Vec<String> = self.sections.iter().map(|&name| name.into()).collect();
        chapter("state of", &sections);
        text
    }

    fn compare_threads(&mut self, before: &[Thread], after: &[Thread]) {
        for old in before {
            let Some(new) = after.iter().find(|new| new.tid == old.tid) else {
                self.registers.push(format!("thread {} ended", old.tid));
                continue;
            };
            for ((name, old_value), (_, new_value)) in named(&old.state).zip(named(&new.state)) {
                if old_value != new_value {
                    let tid = old.tid;
                    self.registers.push(format!(
                        "thread {tid}  {name:<9} {old_value:016x} -> {new_value:016x}"
                    ));
                }
            }
        }
        for new in after
            .iter()
            .filter(|new| before.iter().all(|old| old.tid != new.tid))
        {
            self.registers.push(format!("thread {} began", new.tid));
        }
    }
}

/// Names of the integer registers in the calling convention.
const ABI: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// All of a hart's state, by name.
fn named(state: &HartState) -> impl Iterator<Item = (String, u64)> + '_ {
    let reservation = state.reservation;
    let x = state
        .x
        .iter()
        .zip(ABI)
        .map(|(&value, name)| (name.to_owned(), value));
    let f = state
        .f
        .iter()
        .enumerate()
        .map(|(n, &value)| (format!("f{n}"), value));
    let rest = [
        ("pc", state.pc),
        ("instret", state.instret),
        ("fflags", state.fflags.into()),
        ("frm", state.frm.into()),
        ("reserved", reservation.address),
        ("res.value", reservation.value),
        ("res.width", reservation.width),
    ];
    x.chain(f)
        .chain(rest.map(|(name, value)| (name.to_owned(), value)))
}

/// Registers in columns; floating-point registers only if one is used.
pub(super) fn registers(state: &HartState) -> String {
    let floats = state.f.iter().any(|&value| value != 0);
    let shown: Vec<_> = named(state)
        .enumerate()
        .filter(|&(i, _)| i != 0 && (floats || !(32..64).contains(&i)))
        .map(|(_, named)| named)
        .collect();
    let mut text = String::new();
    for row in shown.chunks(4) {
        for (name, value) in row {
            let _ = write!(text, "  {name:<9} {value:016x}");
        }
        text.push('\n');
    }
    text
}

/// Bytes of the runs that lie in `start..end`.
pub(super) fn bytes_within(runs: &[Run], start: u64, end: u64) -> u64 {
    let within = |run: &Run| {
        (run.start + run.length)
            .min(end)
            .saturating_sub(run.start.max(start))
    };
    runs.iter().filter(|run| run.space == 0).map(within).sum()
}

/// The runs of memory.
fn memory(reader: &Reader) -> Result<Vec<Run>, Error> {
    let mut runs = reader.page_map()?;
    runs.retain(|run| run.space == 0);
    Ok(runs)
}

/// Checksums of the pages of other spaces: of what a machine wrote over its disks.
fn other_pages(reader: &Reader) -> Result<Vec<(u32, u64, u64, u64)>, Error> {
    let runs = reader.page_map()?;
    let other = runs.iter().filter(|run| run.space != 0);
    Ok(other
        .map(|run| (run.space, run.start, run.length, run.checksum))
        .collect())
}

/// Addresses of the pages that differ; a page that is not there is zero.
fn pages(before: &Reader, after: &Reader) -> Result<Vec<u64>, Error> {
    let (old, new) = (memory(before)?, memory(after)?);
    let mut addresses: Vec<u64> = Vec::new();
    let both = [(&old, &new), (&new, &old)];
    for (these, others) in both {
        for run in these {
            let same = |other: &&Run| (other.start, other.length) == (run.start, run.length);
            let unchanged = others
                .iter()
                .find(same)
                .is_some_and(|o| o.checksum == run.checksum);
            if !unchanged {
                addresses.extend((run.start..run.start + run.length).step_by(PAGE as usize));
            }
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    let (mut a, mut b) = (vec![0; PAGE as usize], vec![0; PAGE as usize]);
    let mut differ = Vec::new();
    for page in addresses {
        read_page(before, &old, page, &mut a)?;
        read_page(after, &new, page, &mut b)?;
        if a != b {
            differ.push(page);
        }
    }
    Ok(differ)
}

/// Reads the page at a guest address.
fn read_page(reader: &Reader, runs: &[Run], page: u64, into: &mut [u8]) -> Result<(), Error> {
    let after = runs.partition_point(|run| run.start <= page);
    let run = after.checked_sub(1).map(|i| &runs[i]);
    match run.filter(|run| page < run.start + run.length) {
        None => into.fill(0),
        Some(run) => {
            let read = reader.file().read_at(into, run.offset + (page - run.start));
            read.map_err(super::error::io("read it"))
                .map_err(|c| c.of(reader.path()))?;
        }
    }
    Ok(())
}
