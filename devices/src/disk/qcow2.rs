//! qcow2 images, by imago. An image that names another file is refused: whoever made the image
//! would choose a file of the host's for the guest to read.

use super::{Disk, DiskError, State, mismatch};
use imago::qcow2::Qcow2 as Image;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The first bytes of a qcow2 image.
const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Where the header says where the name of the backing file lies, and its length.
const BACKING: usize = 8;
const BACKING_SIZE: usize = 16;
/// Where the header says its version, and its length: extensions come behind it, each with its kind and
/// length, in the first cluster.
const VERSION: u64 = 4;
const HEADER_LENGTH: u64 = 100;
const LARGEST_CLUSTER: u64 = 2 << 20;
/// The extension that ends them, and the one that names features, in so many bytes each.
const END: u32 = 0;
const NAMES: u32 = 0x6803_f857;
const NAME: u32 = 48;
/// Bytes of a name that an error shows.
const SHOWN: usize = 256;

/// An image whose blocks are allocated when they are written.
pub struct Qcow2 {
    image: FormatAccess<imago::file::File>,
}

/// Whether a file begins like a qcow2 image.
pub(super) fn is_qcow2(file: &File) -> bool {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == MAGIC
}

impl Qcow2 {
    /// Takes over an open and locked file.
    pub(super) fn new(path: &Path, file: File, read_only: bool) -> Result<Qcow2, DiskError> {
        if let Some(backing) = backing(&file) {
            return Err(DiskError::Backing {
                path: path.to_owned(),
                backing,
            });
        }
        let open = || {
            demand_whole_names(&file)?;
            let storage = imago::file::File::try_from(file)?;
            let builder = Image::<imago::file::File>::builder(storage).write(!read_only);
            builder.open(DenyImplicitOpenGate::default())
        };
        let image = open().map_err(super::host_error(path, "open it as qcow2"))?;
        Ok(Qcow2 {
            image: FormatAccess::new(image),
        })
    }
}

/// Refuses an image whose table of names of features ends within a name, which imago does not expect.
/// All else that is wrong with the header it finds itself.
fn demand_whole_names(file: &File) -> io::Result<()> {
    let word = |at: u64| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, at)?;
        io::Result::Ok(u32::from_be_bytes(bytes))
    };
    if word(VERSION).is_ok_and(|version| version < 3) {
        return Ok(());
    }
    let Ok(mut at) = word(HEADER_LENGTH).map(u64::from) else {
        return Ok(());
    };
    while at < LARGEST_CLUSTER {
        let (Ok(kind), Ok(length)) = (word(at), word(at + 4)) else {
            break;
        };
        match kind {
            END => break,
            NAMES if !length.is_multiple_of(NAME) => {
                let what = "its table of names of features ends within a name";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            _ => at += 8 + u64::from(length).next_multiple_of(8),
        }
    }
    Ok(())
}

/// The backing file that an image names.
fn backing(file: &File) -> Option<String> {
    let mut header = [0; 24];
    file.read_exact_at(&mut header, 0).ok()?;
    let offset = u64::from_be_bytes(header[BACKING..BACKING_SIZE].try_into().ok()?);
    let size = u32::from_be_bytes(header[BACKING_SIZE..BACKING_SIZE + 4].try_into().ok()?);
    if offset == 0 {
        return None;
    }
    let mut name = vec![0; SHOWN.min(size as usize)];
    let read = file.read_at(&mut name, offset).unwrap_or(0);
    Some(String::from_utf8_lossy(&name[..read]).into_owned())
}

impl Disk for Qcow2 {
    fn size(&self) -> u64 {
        self.image.size()
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.image.read(into, offset)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()> {
        self.image.write(from, offset)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.image.flush()?;
        self.image.sync()
    }

    fn discard(&mut self, offset: u64, length: u64) -> io::Result<()> {
        match self.image.discard_to_any(offset, length) {
            // Discarding is advice.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            done => done,
        }
    }

    fn zero(&mut self, offset: u64, length: u64, unmap: bool) -> io::Result<()> {
        if unmap {
            match self.image.discard_to_zero(offset, length) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                done => return done,
            }
        }
        self.image.write_zeroes(offset, length)
    }

    /// What was written is in the file from here on.
    fn save(&mut self) -> io::Result<State> {
        self.image.flush()?;
        let size = self.size();
        Ok(State::InFile { size })
    }

    fn restore(&mut self, state: State) -> io::Result<()> {
        match state {
            State::InFile { size } if size == self.size() => Ok(()),
            State::InFile { .. } => Err(mismatch("is of a disk of another size")),
            State::Overlay { .. } => Err(mismatch("is of a disk with an overlay")),
        }
    }
}
