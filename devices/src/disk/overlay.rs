//! A throw-away overlay: what is written goes to a nameless file, and the image stays as it is.

use super::{Disk, State, mismatch};
use crate::host;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The unit in which the overlay replaces the image.
const BLOCK: u64 = 4096;

/// A disk on top of another.
pub struct Overlay {
    base: Box<dyn Disk>,
    /// Sparse; holds at their own offset the blocks that have a bit in `written`.
    file: File,
    written: Vec<u64>,
}

impl Overlay {
    /// An overlay with nothing in it. The file lies where the host keeps temporary files.
    pub fn new(base: Box<dyn Disk>) -> io::Result<Overlay> {
        let blocks = base.size().div_ceil(BLOCK);
        Ok(Overlay {
            base,
            file: host::nameless_file()?,
            written: vec![0; blocks.div_ceil(64) as usize],
        })
    }

    /// The file that holds what was written, each byte at its own offset, for whoever saves and
    /// restores it: which of its bytes count is in [`State::Overlay`].
    pub fn contents(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn is_written(&self, block: u64) -> bool {
        self.written[block as usize / 64] >> (block % 64) & 1 != 0
    }

    fn mark(&mut self, block: u64) {
        self.written[block as usize / 64] |= 1 << (block % 64);
    }

    /// The bytes of a block that are on the disk.
    fn block(&self, block: u64) -> Range<u64> {
        block * BLOCK..(block * BLOCK + BLOCK).min(self.base.size())
    }

    /// Takes a block over from the base if only a part of it will be written.
    fn keep_rest(&mut self, block: u64, part: &Range<u64>) -> io::Result<()> {
        let whole = self.block(block);
        if !self.is_written(block) && (part.start > whole.start || part.end < whole.end) {
            let mut bytes = vec![0; (whole.end - whole.start) as usize];
            self.base.read(whole.start, &mut bytes)?;
            self.file.write_all_at(&bytes, whole.start)?;
        }
        Ok(())
    }

    /// Changes these bytes by `act`, and has them from then on.
    fn change(
        &mut self,
        range: Range<u64>,
        act: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (first, last) = (range.start / BLOCK, (range.end - 1) / BLOCK);
        self.keep_rest(first, &range)?;
        self.keep_rest(last, &range)?;
        act(&self.file)?;
        (first..=last).for_each(|block| self.mark(block));
        Ok(())
    }
}

impl Disk for Overlay {
    fn size(&self) -> u64 {
        self.base.size()
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let (mut at, end) = (offset, offset + into.len() as u64);
        while at < end {
            let written = self.is_written(at / BLOCK);
            let mut until = self.block(at / BLOCK).end.min(end);
            while until < end && self.is_written(until / BLOCK) == written {
                until = self.block(until / BLOCK).end.min(end);
            }
            let piece = &mut into[(at - offset) as usize..(until - offset) as usize];
            if written {
                self.file.read_exact_at(piece, at)?;
            } else {
                self.base.read(at, piece)?;
            }
            at = until;
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()> {
        let range = offset..offset + from.len() as u64;
        self.change(range, |file| file.write_all_at(from, offset))
    }

    /// Nothing here outlives the process.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What was discarded stays readable.
    fn discard(&mut self, _offset: u64, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn zero(&mut self, offset: u64, length: u64, unmap: bool) -> io::Result<()> {
        self.change(offset..offset + length, |file| {
            // A hole at the end of the file would otherwise be beyond it.
            let end = offset + length;
            if file.metadata()?.len() < end {
                file.set_len(end)?;
            }
            host::zero(file, offset, length, unmap)
        })
    }

    fn save(&mut self) -> io::Result<State> {
        let size = self.size();
        let mut written: Vec<(u64, u64)> = Vec::new();
        for block in (0..size.div_ceil(BLOCK)).filter(|block| self.is_written(*block)) {
            let range = self.block(block);
            match written.last_mut() {
                Some((_, end)) if *end == range.start => *end = range.end,
                _ => written.push((range.start, range.end)),
            }
        }
        Ok(State::Overlay { size, written })
    }

    /// What was written is in the file already.
    fn restore(&mut self, state: State) -> io::Result<()> {
        let State::Overlay { size, written } = state else {
            return Err(mismatch("is of a disk without an overlay"));
        };
        let fits = |(start, end): &(u64, u64)| {
            let whole = end.is_multiple_of(BLOCK) || *end == size;
            start.is_multiple_of(BLOCK) && start < end && *end <= size && whole
        };
        if size != self.size() || !written.iter().all(fits) {
            return Err(mismatch("is of a disk of another size"));
        }
        // Reading may reach the end of the last block.
        if let Some(end) = written.iter().map(|(_, end)| *end).max()
            && self.file.metadata()?.len() < end
        {
            self.file.set_len(end)?;
        }
        self.written.fill(0);
        for (start, end) in written {
            (start / BLOCK..end.div_ceil(BLOCK)).for_each(|block| self.mark(block));
        }
        Ok(())
    }
}
