//! What is behind a block device: an image, in one of several forms.

mod overlay;
mod qcow2;
mod raw;

pub use overlay::Overlay;
pub use qcow2::Qcow2;
pub use raw::Raw;

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

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
    /// What has been written over the image is in the overlay's file, which is to be saved beside
    /// this; see [`Overlay::contents`].
    Overlay {
        /// Bytes.
        size: u64,
        /// Which bytes have been written, in order: from there, to there.
        written: Vec<(u64, u64)>,
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
    /// It would have the guest read another file.
    #[error(
        "disk image {} names another file, {backing:?}, which is not opened for it. Make one \
         image of both: qemu-img convert -O qcow2 IMAGE NEW", path.display()
    )]
    Backing {
        /// The image.
        path: PathBuf,
        /// The file that it names.
        backing: String,
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

/// Opens an image: qcow2 if it begins like one, else raw. Several may read an image at once, one
/// alone may write.
///
/// A guest that writes a qcow2 header to its raw disk gains nothing by it: an image that names
/// other files is refused.
pub fn open(path: &Path, read_only: bool) -> Result<Box<dyn Disk>, DiskError> {
    let file = lock(path, read_only)?;
    if qcow2::is_qcow2(&file) {
        return Ok(Box::new(Qcow2::new(path, file, read_only)?));
    }
    Ok(Box::new(Raw::new(path, file)?))
}

/// Opens a file and locks it against other processes that would write to it.
fn lock(path: &Path, read_only: bool) -> Result<File, DiskError> {
    let host = |what| host_error(path, what);
    let opened = OpenOptions::new().read(true).write(!read_only).open(path);
    let file = opened.map_err(host("open it"))?;
    let locked = if read_only {
        file.try_lock_shared()
    } else {
        file.try_lock()
    };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DiskError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(host("lock it")(source)),
    }
}

fn host_error(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |source| DiskError::Host { path, what, source }
}

/// State that belongs to another disk.
fn mismatch(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("saved state {what}"))
}
