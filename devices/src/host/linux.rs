//! Linux: holes and zeros by fallocate.

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::io;

/// Gives the storage back if the file system can; the bytes may then read as zeros or as before.
pub(crate) fn punch(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(file, flags, offset, length) {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes the bytes zeros; gives their storage back with `unmap` if the file system can.
pub(crate) fn zero(file: &File, offset: u64, length: u64, unmap: bool) -> io::Result<()> {
    let how = if unmap {
        FallocateFlags::PUNCH_HOLE
    } else {
        FallocateFlags::ZERO_RANGE
    };
    match fallocate(file, how | FallocateFlags::KEEP_SIZE, offset, length) {
        Ok(()) => Ok(()),
        Err(_) => super::write_zeros(file, offset, length),
    }
}
