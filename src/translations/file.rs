//! The form of a file: segments, each with what one run added. A run only appends; after some, the
//! next writes the whole anew without what later runs compiled again.
//!
//! A segment is a header (magic, bytes that follow, their checksum) and an index, behind which lie
//! the records that it tells of. All integers are little-endian.

use crate::snapshot::{checksum, codec};
use jit::Portable;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"bhvcode1";
/// Bytes of a segment's header.
const HEADER: usize = 24;
/// Segments after which a file is written anew.
const MANY: usize = 16;

/// What a segment holds.
#[derive(Serialize, Deserialize)]
struct Index {
    /// How many runs added to it.
    runs: u32,
    entries: Vec<Entry>,
}

/// What an index says of a region.
#[derive(Serialize, Deserialize)]
struct Entry {
    entries: Vec<u64>,
    blocks: Vec<(u64, u64)>,
    /// Bytes of what describes it, of its guest code, and of its host code.
    lengths: [u64; 3],
}

/// A region in a file.
pub struct Record {
    /// Where it may be entered.
    pub entries: Vec<u64>,
    /// First and behind last address of its blocks.
    pub blocks: Vec<(u64, u64)>,
    about: Range<usize>,
    guest: Range<usize>,
    code: Range<usize>,
}

/// A file, read.
#[derive(Default)]
pub struct Contents {
    bytes: Vec<u8>,
    /// Its regions, the oldest first.
    pub records: Vec<Record>,
    segments: usize,
    /// How many runs added to it.
    pub runs: u32,
    /// Whether it ends in something that is no segment.
    damaged: bool,
}

/// The bytes of a segment with these regions; `None` if they cannot be written.
pub fn segment(regions: &[Arc<Portable>]) -> Option<Vec<u8>> {
    let abouts: Vec<Vec<u8>> = regions
        .iter()
        .map(|region| codec::encode(&**region).ok())
        .collect::<Option<_>>()?;
    let mut bodies: Vec<&[u8]> = Vec::new();
    let mut entries = Vec::new();
    for (region, about) in regions.iter().zip(&abouts) {
        entries.push(Entry {
            entries: region.entries.clone(),
            blocks: region.blocks.clone(),
            lengths: [about, &region.guest, &region.code].map(|part| part.len() as u64),
        });
        bodies.extend([&about[..], &region.guest, &region.code]);
    }
    let index = codec::encode(&Index { runs: 1, entries }).ok()?;
    Some(framed(&index, &bodies))
}

fn framed(index: &[u8], bodies: &[&[u8]]) -> Vec<u8> {
    let length = 8 + index.len() + bodies.iter().map(|body| body.len()).sum::<usize>();
    // The largest thing there is at the end of a run: made once.
    let mut segment = Vec::with_capacity(HEADER + length);
    segment.extend(MAGIC);
    segment.extend((length as u64).to_le_bytes());
    segment.extend([0; 8]);
    segment.extend((index.len() as u64).to_le_bytes());
    segment.extend_from_slice(index);
    for body in bodies {
        segment.extend_from_slice(body);
    }
    let sum = checksum::of(&segment[HEADER..]);
    segment[HEADER - 8..HEADER].copy_from_slice(&sum.to_le_bytes());
    segment
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// The range of the next `length` bytes of `bytes`, which begin at `at`; moves `at` behind them.
fn next(bytes: &[u8], at: &mut usize, length: u64) -> Option<Range<usize>> {
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    let range = *at..end;
    bytes.get(range.clone())?;
    *at = end;
    Some(range)
}

/// Adds a segment's records. Where it ends, and how many runs added to it; `None` if it is none.
fn read_segment(bytes: &[u8], start: usize, records: &mut Vec<Record>) -> Option<(usize, u32)> {
    let mut at = start + HEADER;
    if bytes.get(start..start + MAGIC.len())? != MAGIC {
        return None;
    }
    let payload = next(bytes, &mut at, number(bytes, start + 8)?)?;
    if checksum::of(&bytes[payload.clone()]) != number(bytes, start + 16)? {
        return None;
    }
    let mut at = payload.start + 8;
    let index = next(bytes, &mut at, number(bytes, payload.start)?)?;
    let index: Index = codec::decode(&bytes[index]).ok()?;
    for entry in index.entries {
        let [about, guest, code] = entry.lengths;
        records.push(Record {
            entries: entry.entries,
            blocks: entry.blocks,
            about: next(bytes, &mut at, about)?,
            guest: next(bytes, &mut at, guest)?,
            code: next(bytes, &mut at, code)?,
        });
    }
    Some((payload.end, index.runs))
}

impl Contents {
    /// Takes a file apart, as far as it is whole.
    pub fn parse(bytes: Vec<u8>) -> Contents {
        let (mut at, mut segments, mut runs, mut records) = (0, 0, 0u32, Vec::new());
        while at < bytes.len() {
            let known = records.len();
            let Some((end, more)) = read_segment(&bytes, at, &mut records) else {
                records.truncate(known);
                break;
            };
            at = end;
            segments += 1;
            runs = runs.saturating_add(more);
        }
        Contents {
            damaged: at < bytes.len(),
            bytes,
            records,
            segments,
            runs,
        }
    }

    /// A region; `None` if it makes no sense.
    pub fn portable(&self, number: usize) -> Option<Portable> {
        let record = self.records.get(number)?;
        let mut portable: Portable = codec::decode(&self.bytes[record.about.clone()]).ok()?;
        portable.guest = self.bytes[record.guest.clone()].to_vec();
        portable.code = self.bytes[record.code.clone()].to_vec();
        Some(portable)
    }

    /// What a region was made from.
    pub fn guest(&self, number: usize) -> &[u8] {
        let record = self.records.get(number);
        record.map_or(&[], |record| &self.bytes[record.guest.clone()])
    }

    /// Bytes in the file.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it ends in something that is no segment.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Whether the file is better written anew than appended to.
    pub fn wants_rewriting(&self) -> bool {
        self.damaged || self.segments >= MANY
    }

    /// The bytes of one segment with the regions of this file, but for those that may be entered
    /// nowhere but where later ones or `newer` may be too.
    pub fn without(&self, newer: &[Arc<Portable>]) -> Option<Vec<u8>> {
        let mut seen: HashSet<u64> = newer
            .iter()
            .flat_map(|region| region.entries.iter().copied())
            .collect();
        let mut kept: HashSet<usize> = HashSet::new();
        for (number, record) in self.records.iter().enumerate().rev() {
            if record.entries.iter().any(|entry| !seen.contains(entry)) {
                seen.extend(&record.entries);
                kept.insert(number);
            }
        }
        self.only(|number| kept.contains(&number))
    }

    /// The bytes of one segment with some regions of this file.
    pub fn only(&self, wanted: impl Fn(usize) -> bool) -> Option<Vec<u8>> {
        let (mut entries, mut bodies) = (Vec::new(), Vec::<&[u8]>::new());
        let records = self.records.iter().enumerate();
        for (_, record) in records.filter(|(number, _)| wanted(*number)) {
            let parts = [&record.about, &record.guest, &record.code];
            entries.push(Entry {
                entries: record.entries.clone(),
                blocks: record.blocks.clone(),
                lengths: parts.map(|part| part.len() as u64),
            });
            for part in parts {
                bodies.push(&self.bytes[part.clone()]);
            }
        }
        let runs = self.runs;
        let index = codec::encode(&Index { runs, entries }).ok()?;
        Some(framed(&index, &bodies))
    }
}
