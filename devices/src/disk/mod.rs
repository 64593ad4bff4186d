//! What is behind a block device: an image, in one of several forms.

mod overlay;
mod raw;

pub use overlay::Overlay;
pub use raw::Raw;

use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// Bytes that can be read and written by offset. Callers stay within [`Disk::size`].
pub trait Disk: Send {
    /// Bytes in all. Does not change.
    fn size(&self) -> u64;
    /// Fills `into`.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of `from`.
    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()>;
    /// Makes what was written last beyond a crash of the host.
    fn flush(&mut self) -> io::Result<()>;
    /// The bytes are no longer needed: they may read as anything that was there, or as zeros.
    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()>;
    /// Makes the bytes zeros, and with `unmap` gives their storage back if that is easy.
    fn zero(&mut self, offset: u64, length: u64, unmap: bool) -> io::Result<()>;
    /// What is not in the image's file.
    fn save(&mut self) -> io::Result<State>;
    /// Takes over what was saved of a disk on the same image.
    fn restore(&mut self, state: State) -> io::Result<()>;
}

/// What is saved of a disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum State {
    /// Everything is in the image's file, of this size; it must be as it was.
    InFile {
        /// Bytes.
        size: u64,
    },
    /// What has been written over the image, by offset.
    Overlay {
        /// Bytes.
        size: u64,
        /// Offset and bytes.
        pieces: Vec<(u64, Vec<u8>)>,
    },
}

/// A disk image that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The host refused it.
    #[error("disk image {}: cannot {what}: {source}", path.display())]
    Host {
        /// The image.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The host's answer.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "disk image {} is in use by another process. End that one, or attach it read-only or \
         with a throw-away overlay in both", path.display()
    )]
    InUse {
        /// The image.
        path: PathBuf,
    },
}

/// State that belongs to another disk.
fn mismatch(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("saved state {what}"))
}
