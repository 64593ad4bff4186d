//! Raw images: the file is the disk.

use super::{Disk, DiskError, State, mismatch};
use crate::host;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file or block device, locked against other processes that would write to it.
pub struct Raw {
    file: File,
    size: u64,
}

impl Raw {
    /// Opens an image. Several may read it at once, one alone may write.
    pub fn open(path: &Path, read_only: bool) -> Result<Raw, DiskError> {
        Raw::new(path, super::lock(path, read_only)?)
    }

    /// Takes over an open and locked file.
    pub(super) fn new(path: &Path, mut file: File) -> Result<Raw, DiskError> {
        // A block device has no length among its metadata.
        let size = file.seek(SeekFrom::End(0));
        let size = size.map_err(super::host_error(path, "find its size"))?;
        Ok(Raw { file, size })
    }
}

impl Disk for Raw {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()> {
        self.file.write_all_at(from, offset)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()> {
        host::punch(&self.file, offset, length)
    }

    fn zero(&mut self, offset: u64, length: u64, unmap: bool) -> io::Result<()> {
        host::zero(&self.file, offset, length, unmap)
    }

    fn save(&mut self) -> io::Result<State> {
        let size = self.size;
        Ok(State::InFile { size })
    }

    fn restore(&mut self, state: State) -> io::Result<()> {
        match state {
            State::InFile { size } if size == self.size => Ok(()),
            State::InFile { .. } => Err(mismatch("is of a disk of another size")),
            State::Overlay { .. } => Err(mismatch("is of a disk with an overlay")),
        }
    }
}
