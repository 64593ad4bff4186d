//! Memory in a snapshot: raw pages, sparse, and the map that says where each is.
//!
//! A run of pages lies in the file so that its offset and its guest address are equal modulo
//! 64 KiB: any host can map it. Zero pages within a run are holes in the file; longer stretches of
//! them end the run.

use super::checksum;
use super::error::{self, Error};
use super::layout::ALIGNMENT;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a guest page.
const PAGE: u64 = memory::PAGE;
/// Zero bytes that end a run. Each run is a mapping of its own when it is restored.
const LONGEST_HOLE: u64 = 256 << 10;
/// Bytes after which a run ends, so that damage is found near its place and a later snapshot can
/// leave out runs that have not changed. The next run goes on without a gap, and both are mapped
/// as one.
const LONGEST_RUN: u64 = 4 << 20;

/// All runs, in order of space and address.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PageMap {
    /// See [`Run`].
    pub runs: Vec<Run>,
}

/// Pages that follow each other in memory and in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Which address space: 0 for a process and for a machine's RAM; n for what was written over
    /// disk n - 1 of a machine.
    pub space: u32,
    /// First guest address.
    pub start: u64,
    /// Bytes, a multiple of a page.
    pub length: u64,
    /// Where in the file.
    pub offset: u64,
    /// Of its bytes in the file.
    pub checksum: u64,
}

impl PageMap {
    /// Whether it describes pages in `file`, the range of the pages section; if not, why not.
    pub fn check(&self, file: std::ops::Range<u64>) -> Result<(), String> {
        let mut before: Option<&Run> = None;
        for (i, run) in self.runs.iter().enumerate() {
            let aligned = [run.start, run.length, run.offset]
                .iter()
                .all(|n| n % PAGE == 0);
            if !aligned || run.length == 0 || run.start % ALIGNMENT != run.offset % ALIGNMENT {
                return Err(format!("run {i} is not aligned"));
            }
            let end = run.offset.checked_add(run.length);
            if run.offset < file.start || end.is_none_or(|end| end > file.end) {
                return Err(format!("run {i} lies outside the pages section"));
            }
            if run.start.checked_add(run.length).is_none() {
                return Err(format!("run {i} reaches beyond the last address"));
            }
            if let Some(before) = before {
                let apart = (before.space, before.start + before.length) <= (run.space, run.start);
                if !apart || before.offset + before.length > run.offset {
                    return Err(format!(
                        "run {i} overlaps the one before, or is out of order"
                    ));
                }
            }
            before = Some(run);
        }
        Ok(())
    }
}

/// Takes pages and writes them.
pub struct PageWriter<'a> {
    file: &'a File,
    path: &'a Path,
    runs: Vec<Run>,
    /// Where the last run ends in the file.
    end: u64,
    sum: checksum::Running,
}

impl<'a> PageWriter<'a> {
    pub(super) fn new(file: &'a File, path: &'a Path, offset: u64) -> PageWriter<'a> {
        PageWriter {
            file,
            path,
            runs: Vec::new(),
            end: offset,
            sum: checksum::Running::new(),
        }
    }

    /// Adds whole pages from guest address `start` of `space` on. They must come in order.
    pub fn put(&mut self, space: u32, start: u64, bytes: &[u8]) -> Result<(), Error> {
        debug_assert!(start.is_multiple_of(PAGE) && (bytes.len() as u64).is_multiple_of(PAGE));
        let mut at = start;
        for bytes in bytes.chunks(LONGEST_RUN as usize) {
            let offset = self.place(space, at);
            let written = self.file.write_all_at(bytes, offset);
            written
                .map_err(error::io("write it"))
                .map_err(|c| c.of(self.path))?;
            self.sum.add(bytes);
            at += bytes.len() as u64;
            self.end = offset + bytes.len() as u64;
            if let Some(run) = self.runs.last_mut() {
                run.length = at - run.start;
                run.checksum = self.sum.value();
            }
        }
        Ok(())
    }

    /// Where in the file the page at `start` goes: into the last run, or a new one.
    fn place(&mut self, space: u32, start: u64) -> u64 {
        if let Some(run) = self.runs.last() {
            let gap = start.wrapping_sub(run.start + run.length);
            let near = run.space == space && gap <= LONGEST_HOLE;
            if near && run.length + gap < LONGEST_RUN {
                (0..gap / PAGE).for_each(|_| self.sum.add(&[0; PAGE as usize]));
                return self.end + gap;
            }
            if near && gap == 0 {
                return self.begin(space, start, self.end);
            }
        }
        let aligned = self.end.next_multiple_of(ALIGNMENT) + start % ALIGNMENT;
        self.begin(space, start, aligned)
    }

    fn begin(&mut self, space: u32, start: u64, offset: u64) -> u64 {
        self.sum = checksum::Running::new();
        self.runs.push(Run {
            space,
            start,
            length: 0,
            offset,
            checksum: self.sum.value(),
        });
        offset
    }

    /// The runs, and where they end in the file.
    pub(super) fn finish(self) -> (Vec<Run>, u64) {
        (self.runs, self.end)
    }
}
