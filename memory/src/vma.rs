//! The list of mappings: what is mapped where, with which permissions, from what.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a mapping permits, as the guest asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Protection(u8);

impl Protection {
    /// No access.
    pub const NONE: Protection = Protection(0);
    /// Loads.
    pub const READ: Protection = Protection(1);
    /// Stores; implies loads, as on RISC-V Linux.
    pub const WRITE: Protection = Protection(2);
    /// Fetches, and nothing else: execute-only pages exist.
    pub const EXECUTE: Protection = Protection(4);
    /// Loads and stores.
    pub const READ_WRITE: Protection = Protection(3);
    /// Loads and fetches.
    pub const READ_EXECUTE: Protection = Protection(5);

    /// From bits that mean what Linux's `PROT_` bits mean: 1 read, 2 write, 4 execute. Others are
    /// ignored.
    pub fn from_bits(bits: u8) -> Protection {
        Protection(bits & 7)
    }
    /// As Linux's `PROT_` bits.
    pub fn bits(self) -> u8 {
        self.0
    }
    /// Whether everything in `other` is permitted as asked.
    pub fn contains(self, other: Protection) -> bool {
        self.0 & other.0 == other.0
    }
    /// Whether loads are permitted.
    pub fn readable(self) -> bool {
        self.0 & 3 != 0
    }
}

impl std::ops::BitOr for Protection {
    type Output = Protection;
    fn bitor(self, other: Protection) -> Protection {
        Protection(self.0 | other.0)
    }
}

/// Who sees what is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Sharing {
    /// This process alone.
    Private,
    /// Everybody who maps the same object.
    Shared,
}

/// Where a mapping's first contents come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Backing {
    /// Zeroes.
    Anonymous,
    /// A file.
    File {
        /// Which.
        file: Arc<FileInfo>,
        /// Where in it the mapping starts.
        offset: u64,
    },
}

/// What `/proc/self/maps` and snapshots tell of a mapped file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileInfo {
    /// The name by which the guest opened it.
    pub path: Vec<u8>,
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// So many bytes of it stay there while it is mapped, as is so of running programs and their
    /// libraries. 0 if nobody promises that.
    pub steady: u64,
}

/// One mapping: `start..end`, page-aligned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vma {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// What it permits.
    pub protection: Protection,
    /// Who sees its writes.
    pub sharing: Sharing,
    /// Where its contents come from.
    pub backing: Backing,
    /// A name such as `[heap]`.
    pub name: Option<Arc<str>>,
}

impl Vma {
    /// The part of it within `start..end`, which must overlap it.
    fn part(&self, start: u64, end: u64) -> Vma {
        let mut part = self.clone();
        part.start = self.start.max(start);
        part.end = self.end.min(end);
        if let Backing::File { offset, .. } = &mut part.backing {
            *offset += part.start - self.start;
        }
        part
    }

    /// Whether `next`, which starts where this ends, continues it in every respect.
    fn continues_in(&self, next: &Vma) -> bool {
        let backing = match (&self.backing, &next.backing) {
            // Each shared anonymous mapping is an object of its own.
            (Backing::Anonymous, Backing::Anonymous) => self.sharing == Sharing::Private,
            (
                Backing::File { file, offset },
                Backing::File {
                    file: other,
                    offset: next_offset,
                },
            ) => file == other && offset + (self.end - self.start) == *next_offset,
            _ => false,
        };
        backing
            && self.end == next.start
            && self.protection == next.protection
            && self.sharing == next.sharing
            && self.name == next.name
    }
}

/// All mappings, by start address. They never overlap, and neighbours that continue each other
/// are one.
#[derive(Default)]
pub(crate) struct VmaMap {
    by_start: BTreeMap<u64, Vma>,
    searched: Option<Searched>,
}

/// What the last search for room from the top found: between `top` and `high` no gap holds
/// `length` bytes. Spares a process with thousands of mappings from passing them all each time.
#[derive(Clone, Copy)]
struct Searched {
    length: u64,
    high: u64,
    top: u64,
}

impl VmaMap {
    /// The mappings that overlap `start..end`, in order, cut to it.
    pub(crate) fn parts(&self, start: u64, end: u64) -> Vec<Vma> {
        let first = self
            .by_start
            .range(..=start)
            .next_back()
            .map_or(start, |(&s, _)| s);
        self.by_start
            .range(first..end.max(first))
            .map(|(_, vma)| vma)
            .filter(|vma| vma.end > start)
            .map(|vma| vma.part(start, end))
            .collect()
    }

    pub(crate) fn is_free(&self, start: u64, end: u64) -> bool {
        self.by_start
            .range(..end)
            .next_back()
            .is_none_or(|(_, vma)| vma.end <= start)
    }

    /// The mapping that holds `va`.
    pub(crate) fn at(&self, va: u64) -> Option<&Vma> {
        self.by_start
            .range(..=va)
            .next_back()
            .map(|(_, vma)| vma)
            .filter(|vma| va < vma.end)
    }

    /// Removes whatever lies in `start..end`, cutting what reaches out of it.
    pub(crate) fn remove(&mut self, start: u64, end: u64) {
        self.searched = None;
        self.take_out(start, end);
    }

    fn take_out(&mut self, start: u64, end: u64) {
        for boundary in [start, end] {
            if let Some(vma) = self
                .at(boundary)
                .filter(|vma| vma.start < boundary)
                .cloned()
            {
                self.by_start
                    .insert(vma.start, vma.part(vma.start, boundary));
                self.by_start.insert(boundary, vma.part(boundary, vma.end));
            }
        }
        let gone: Vec<u64> = self.by_start.range(start..end).map(|(&s, _)| s).collect();
        for s in gone {
            self.by_start.remove(&s);
        }
    }

    /// Puts `vma` in, in place of whatever is there.
    pub(crate) fn insert(&mut self, mut vma: Vma) {
        self.take_out(vma.start, vma.end);
        if let Some((&s, before)) = self.by_start.range(..vma.start).next_back()
            && before.continues_in(&vma)
        {
            vma = Vma {
                end: vma.end,
                ..before.clone()
            };
            self.by_start.remove(&s);
        }
        if let Some(after) = self.by_start.get(&vma.end)
            && vma.continues_in(after)
        {
            let end = after.end;
            self.by_start.remove(&vma.end);
            vma.end = end;
        }
        self.by_start.insert(vma.start, vma);
    }

    /// The highest free range of `length` bytes within `low..high`.
    pub(crate) fn highest_free(&mut self, length: u64, low: u64, high: u64) -> Option<u64> {
        let mut top = match self.searched {
            Some(last) if last.high == high && last.length <= length => last.top,
            _ => high,
        };
        for (_, vma) in self.by_start.range(..top).rev() {
            if vma.end < top && top - vma.end >= length {
                break;
            }
            top = top.min(vma.start);
        }
        self.searched = Some(Searched { length, high, top });
        top.checked_sub(length)
            .filter(|&start| start >= low && self.is_free(start, top))
    }

    /// The lowest free range of `length` bytes within `low..high`.
    pub(crate) fn lowest_free(&self, length: u64, low: u64, high: u64) -> Option<u64> {
        let mut bottom = low;
        let first = self
            .by_start
            .range(..=low)
            .next_back()
            .map_or(low, |(&s, _)| s);
        for (_, vma) in self.by_start.range(first..) {
            if vma.start >= bottom && vma.start - bottom >= length {
                break;
            }
            bottom = bottom.max(vma.end);
        }
        let end = bottom.checked_add(length)?;
        (end <= high).then_some(bottom)
    }

    pub(crate) fn all(&self) -> Vec<Vma> {
        self.by_start.values().cloned().collect()
    }
}
