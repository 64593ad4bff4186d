//! Compiled code that is kept between boots of a machine: where, and of what.

use super::options::{Image, KeepCode, MachineOptions};
use super::tiers::Tiers;
use super::{DiskAccess, Machine};
use crate::translations::{self, Folder, KeptMachine};
use crate::{EngineKind, Error};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Bytes at the beginning of a kernel that tell it from others.
const HEAD: usize = 4096;

impl KeepCode {
    /// The folder, if there is to be one. What nobody asked for is left out if it cannot be had.
    fn folder(&self) -> Result<Option<Folder>, Error> {
        Ok(match self {
            KeepCode::Nowhere => None,
            KeepCode::Usual => Folder::usual().and_then(|folder| Folder::open(&folder).ok()),
            KeepCode::In(folder) => Some(Folder::open(folder)?),
        })
    }
}

/// The folder for a machine's code, if any is to be kept. A guest that could write there is refused,
/// and one that could where later machines look.
pub fn folder(options: &MachineOptions) -> Result<Option<Folder>, Error> {
    let folder = options.translations.folder()?;
    let shares = options.shares.iter().filter(|share| !share.read_only);
    let disks = options.disks.iter();
    let disks = disks.filter(|disk| disk.access == DiskAccess::Write);
    let written = shares.map(|share| &share.path);
    for path in written.chain(disks.map(|disk| &disk.path)) {
        translations::refuse_writing(path, folder.as_ref())?;
    }
    let compiles = options.engine == EngineKind::Jit;
    let usual = !options.tiers.eager && options.tiers.jit.sabotage.is_none();
    Ok(folder.filter(|_| compiles && usual))
}

/// Has a machine's harts use what was kept of what it boots.
pub fn look_up(
    folder: &Folder,
    options: &MachineOptions,
    tiers: &mut [Tiers],
) -> Option<Arc<KeptMachine>> {
    let mut head = Vec::new();
    let mut length = 0;
    for image in [&options.firmware, &options.kernel].into_iter().flatten() {
        // What cannot be read is reported when it is loaded.
        length += begin(image, &mut head)?;
    }
    let how = format!("{} {}", translations::build(), tiers.first()?.fits());
    let kept = Arc::new(KeptMachine::of(folder, &head, length, &how));
    for tiers in tiers {
        tiers.use_kept(kept.clone());
    }
    Some(kept)
}

/// Adds the beginning of an image to `head`; its length.
fn begin(image: &Image, head: &mut Vec<u8>) -> Option<u64> {
    match image {
        Image::Bytes(_, bytes) => {
            head.extend_from_slice(&bytes[..bytes.len().min(HEAD)]);
            Some(bytes.len() as u64)
        }
        Image::File(path) => {
            let file = File::open(path).ok()?;
            let mut bytes = [0; HEAD];
            let read = file.read_at(&mut bytes, 0).ok()?;
            head.extend_from_slice(&bytes[..read]);
            Some(file.metadata().ok()?.len())
        }
    }
}

impl Machine {
    /// The file that compiled code was kept in, if it is damaged.
    pub fn damaged_code(&self) -> Option<&Path> {
        self.kept.as_ref()?.damaged()
    }

    /// Regions that earlier boots kept.
    pub fn kept_regions(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.regions())
    }

    /// Keeps what was compiled for later boots, if that is wanted.
    pub fn keep_code(&self) {
        if let Some(kept) = &self.kept {
            kept.add(self.tiers.iter().flat_map(Tiers::portables));
        }
    }
}
