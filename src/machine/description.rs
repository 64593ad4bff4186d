//! What a saved machine is made of, and whether it may have that again.

use super::{
    ClockKind, DiskAccess, DiskOptions, Image, KeepCode, MachineOptions, Schedule, ShareOptions,
    TierOptions,
};
use crate::snapshot::Cause;
use crate::{EngineKind, Error};
use devices::net;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What a saved machine is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    memory: u64,
    harts: u64,
    clock: ClockKind,
    seed: u64,
    append: String,
    /// Whether we answer its SBI calls.
    pub(super) own_firmware: bool,
    /// Needed to start it again only.
    firmware: Option<PathBuf>,
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
    disks: Vec<SavedDisk>,
    net: Option<net::Config>,
    shares: Vec<SavedShare>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedDisk {
    path: PathBuf,
    access: DiskAccess,
    identity: Identity,
}

/// What tells whether an image is still as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Identity {
    length: u64,
    /// When it was written last, in nanoseconds since 1970.
    modified: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedShare {
    path: PathBuf,
    tag: String,
    read_only: bool,
}

/// What a machine from a snapshot gets of the host.
#[derive(Clone, Debug)]
pub struct Resume {
    /// What executes it.
    pub engine: EngineKind,
    /// How its harts share the host: no snapshot says that.
    pub schedule: Schedule,
    /// It gets back what it had: disks, shares, network, and its kernel when it starts again.
    pub trust: bool,
    /// Disks instead of those that it had.
    pub disks: Vec<DiskOptions>,
    /// Disks may have been written since.
    pub changed_disks: bool,
    /// A network instead of the one that it had.
    pub net: Option<net::Config>,
    /// Folders instead of those that it had.
    pub shares: Vec<ShareOptions>,
}

impl Identity {
    fn of(path: &Path) -> Result<Identity, Error> {
        let found = || {
            let metadata = std::fs::metadata(path)?;
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
            Ok(Identity {
                length: metadata.len(),
                modified: modified.map_or(0, |time| time.as_nanos() as u64),
            })
        };
        found().map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

impl Description {
    /// Of a machine whose disks stand still.
    pub(super) fn of(options: &MachineOptions, own_firmware: bool) -> Result<Description, Error> {
        let file = |image: &Option<Image>| match image {
            Some(Image::File(path)) => absolute(path).map(Some),
            Some(Image::Bytes(..)) | None => Ok(None),
        };
        let disk = |disk: &DiskOptions| {
            Ok::<_, Error>(SavedDisk {
                path: absolute(&disk.path)?,
                access: disk.access,
                identity: Identity::of(&disk.path)?,
            })
        };
        let share = |share: &ShareOptions| {
            Ok::<_, Error>(SavedShare {
                path: absolute(&share.path)?,
                tag: share.tag.clone(),
                read_only: share.read_only,
            })
        };
        Ok(Description {
            memory: options.memory,
            harts: options.harts as u64,
            clock: options.clock,
            seed: options.seed,
            append: options.append.clone(),
            own_firmware,
            firmware: file(&options.firmware)?,
            kernel: file(&options.kernel)?,
            initrd: file(&options.initrd)?,
            disks: options.disks.iter().map(disk).collect::<Result<_, _>>()?,
            net: options.net.clone(),
            shares: options.shares.iter().map(share).collect::<Result<_, _>>()?,
        })
    }

    /// What lists of snapshots call it: what it started from.
    pub(super) fn title(&self) -> Vec<Vec<u8>> {
        let files = [&self.firmware, &self.kernel].into_iter().flatten();
        let mut words: Vec<Vec<u8>> = files
            .map(|path| path.as_os_str().as_encoded_bytes().to_vec())
            .collect();
        if !self.append.is_empty() {
            words.push(self.append.clone().into_bytes());
        }
        words
    }

    /// The machine again; `snapshot` is for messages.
    pub(super) fn options(self, snapshot: &Path, resume: &Resume) -> Result<MachineOptions, Error> {
        self.check_granted(snapshot, resume)?;
        let disks = if resume.disks.is_empty() {
            let again = |disk: &SavedDisk| DiskOptions {
                path: disk.path.clone(),
                access: disk.access,
            };
            self.disks.iter().map(again).collect()
        } else {
            resume.disks.clone()
        };
        for (saved, now) in self.disks.iter().zip(&disks) {
            let found = Identity::of(&now.path)?;
            if found != saved.identity && !resume.changed_disks {
                let path = now.path.display();
                return Err(Error::usage(
                    format!(
                        "disk image {path} is not as it was when the machine was saved: {} bytes, \
                         modified at {}.{:09}, and then {} bytes, {}.{:09}",
                        found.length,
                        found.modified / 1_000_000_000,
                        found.modified % 1_000_000_000,
                        saved.identity.length,
                        saved.identity.modified / 1_000_000_000,
                        saved.identity.modified % 1_000_000_000,
                    ),
                    "the guest would go on with what it remembers and spoil the disk: give a copy \
                     as of then (cp -p keeps its time), or --changed-disks if you know that the \
                     contents are the same",
                ));
            }
        }
        let shares = if resume.shares.is_empty() {
            let again = |share: SavedShare| ShareOptions {
                path: share.path,
                tag: share.tag,
                read_only: share.read_only,
            };
            self.shares.into_iter().map(again).collect()
        } else {
            resume.shares.clone()
        };
        let file = |path: Option<PathBuf>| path.map(Image::File);
        Ok(MachineOptions {
            memory: self.memory,
            harts: usize::try_from(self.harts).unwrap_or(usize::MAX),
            engine: resume.engine,
            tiers: TierOptions::default(),
            translations: KeepCode::Nowhere,
            clock: self.clock,
            schedule: resume.schedule,
            firmware: file(self.firmware),
            kernel: file(self.kernel),
            initrd: file(self.initrd),
            append: self.append,
            disks,
            net: resume.net.clone().or(self.net),
            shares,
            seed: self.seed,
        })
    }

    /// Whether the user gives all that the machine needs, in the same form.
    fn check_granted(&self, snapshot: &Path, resume: &Resume) -> Result<(), Error> {
        let suffix = |access| match access {
            DiskAccess::Write => "",
            DiskAccess::Read => ":ro",
            DiskAccess::Overlay => ":temp",
        };
        let ro = |read_only| if read_only { ":ro" } else { "" };
        let disk = |path: &Path, access| format!("--disk {}{}", path.display(), suffix(access));
        let mut needed: Vec<String> = Vec::new();
        let (saved, given) = (self.disks.iter(), resume.disks.iter());
        let same = self.disks.len() == resume.disks.len()
            && saved
                .zip(given)
                .all(|(saved, given)| saved.access == given.access);
        if !same && (!resume.trust || !resume.disks.is_empty()) {
            needed.extend(self.disks.iter().map(|d| disk(&d.path, d.access)));
            if self.disks.is_empty() {
                needed.push("no --disk".to_owned());
            }
        }
        if self.net.is_some() != resume.net.is_some() && !(resume.trust && resume.net.is_none()) {
            needed.push(
                if self.net.is_some() {
                    "--net"
                } else {
                    "no --net"
                }
                .to_owned(),
            );
            let forwards = self.net.iter().flat_map(|net| &net.forwards);
            needed.extend(forwards.map(|forward| format!("--forward {forward}")));
        }
        let (saved, given) = (self.shares.iter(), resume.shares.iter());
        let same = self.shares.len() == resume.shares.len()
            && saved
                .zip(given)
                .all(|(saved, given)| saved.tag == given.tag);
        if !same && (!resume.trust || !resume.shares.is_empty()) {
            needed.extend(self.shares.iter().map(|share| {
                let (tag, path) = (&share.tag, share.path.display());
                format!("--share {tag}={path}{}", ro(share.read_only))
            }));
            if self.shares.is_empty() {
                needed.push("no --share".to_owned());
            }
        }
        if needed.is_empty() {
            return Ok(());
        }
        let why = format!(
            "its machine had {}, and a snapshot opens nothing of the host's by itself. Give what it \
             shall have, or write --trust if you know where the snapshot comes from",
            needed.join(" ")
        );
        Err(Cause::Unsuitable {
            what: "machine",
            why,
        }
        .of(snapshot)
        .into())
    }
}
