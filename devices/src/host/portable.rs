//! Hosts without fallocate.

use std::fs::File;
use std::io;

/// Discarding is advice: nothing is given back here.
pub(crate) fn punch(_file: &File, _offset: u64, _length: u64) -> io::Result<()> {
    Ok(())
}

/// Makes the bytes zeros.
pub(crate) fn zero(file: &File, offset: u64, length: u64, _unmap: bool) -> io::Result<()> {
    super::write_zeros(file, offset, length)
}
