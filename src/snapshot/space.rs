//! The address space of a process in a snapshot: its list of mappings, and their pages.

use super::error::Cause;
use super::layout::Source;
use super::{Kind, Reader, Run, Writer};
use memory::{Backing, FileInfo, PAGE, Piece, Place, Protection, Sharing, UserSpace, Vma};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

/// All mappings of a process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mappings {
    /// Where new mappings are looked for, downwards.
    pub mmap_base: u64,
    /// By address.
    pub list: Vec<Mapping>,
}

/// A mapping; see [`Vma`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Linux's `PROT_` bits.
    pub protection: u8,
    /// Whether others see what is written.
    pub shared: bool,
    /// The mapped file.
    pub file: Option<MappedFile>,
    /// A name such as `[heap]`.
    pub name: Option<String>,
    /// From here to `end` there is nothing: the file was shorter.
    pub reach: u64,
}

/// What was mapped. Private mappings don't need it any more; their pages are in the snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MappedFile {
    /// The guest's name of it.
    pub path: Vec<u8>,
    /// `st_dev` on the host that saved it.
    pub device: u64,
    /// `st_ino` there.
    pub inode: u64,
    /// Where the mapping starts in it.
    pub offset: u64,
}

impl Mapping {
    fn of(vma: &Vma, reach: u64) -> Mapping {
        let file = match &vma.backing {
            Backing::Anonymous => None,
            Backing::File { file, offset } => Some(MappedFile {
                path: file.path.clone(),
                device: file.device,
                inode: file.inode,
                offset: *offset,
            }),
        };
        Mapping {
            start: vma.start,
            end: vma.end,
            protection: vma.protection.bits(),
            shared: vma.sharing == Sharing::Shared,
            file,
            name: vma.name.as_deref().map(str::to_owned),
            reach,
        }
    }

    /// As memory knows it.
    pub fn vma(&self) -> Vma {
        let backing = match &self.file {
            None => Backing::Anonymous,
            Some(file) => {
                let (path, device, inode) = (file.path.clone(), file.device, file.inode);
                let info = Arc::new(FileInfo {
                    path,
                    device,
                    inode,
                    steady: 0,
                });
                Backing::File {
                    file: info,
                    offset: file.offset,
                }
            }
        };
        Vma {
            start: self.start,
            end: self.end,
            protection: Protection::from_bits(self.protection),
            sharing: if self.shared {
                Sharing::Shared
            } else {
                Sharing::Private
            },
            backing,
            name: self.name.as_deref().map(Arc::from),
        }
    }
}

/// Adds the address space: pages, page map, list of mappings. No guest thread may run meanwhile.
pub fn save(writer: &mut Writer, space: &UserSpace) -> Result<(), crate::Error> {
    let mut list = Vec::new();
    writer.pages::<crate::Error>(|pages| {
        for vma in space.vmas() {
            let reach = space.contents::<crate::Error>(&vma, |va, bytes| {
                pages.put(0, va, bytes)?;
                Ok(())
            })?;
            list.push(Mapping::of(&vma, reach));
        }
        Ok(())
    })?;
    let mappings = Mappings {
        mmap_base: space.mmap_base(),
        list,
    };
    Ok(writer.state(Kind::Mappings, &mappings)?)
}

/// Opens a file of a shared mapping again, if it is still there: the guest's name of it, and
/// whether it will be written.
pub type Reopen<'a> = dyn Fn(&[u8], bool) -> Option<File> + 'a;

/// Restores the address space into an empty one. Private memory is mapped from the snapshot, page
/// by page as it is used. A shared mapping gets its file again by `reopen`; if that is gone, and
/// for shared anonymous memory, a copy, shared with children only.
pub fn restore(
    reader: &Reader,
    space: &UserSpace,
    reopen: &Reopen<'_>,
) -> Result<(), crate::Error> {
    let mappings: Mappings = reader.needed(Kind::Mappings, "a process")?;
    let runs = reader.page_map()?;
    let mut runs = runs.as_slice();
    space.set_mmap_base(mappings.mmap_base);
    let mut end = 0;
    for mapping in &mappings.list {
        if mapping.start < end || mapping.end <= mapping.start {
            let why = format!("the mapping at {:#x} overlaps or is empty", mapping.start);
            return Err(Cause::Unsuitable {
                what: "mappings",
                why,
            }
            .of(reader.path())
            .into());
        }
        end = mapping.end;
        let (pieces, rest) = pieces_of(runs, mapping.start, mapping.end);
        runs = rest;
        if mapping.shared {
            restore_shared(reader, space, mapping, &pieces, reopen)?;
        } else {
            space.restore(
                &mapping.vma(),
                &pieces,
                mapping.reach,
                reader.file().as_fd(),
            )?;
        }
    }
    Ok(())
}

/// The parts of the runs that lie in `start..end`, joined where they follow each other, and the
/// runs that reach further.
pub(crate) fn pieces_of(mut runs: &[Run], start: u64, end: u64) -> (Vec<Piece>, &[Run]) {
    let mut pieces: Vec<Piece> = Vec::new();
    while let Some(run) = runs.first().filter(|run| run.space == 0 && run.start < end) {
        let from = run.start.max(start);
        let to = (run.start + run.length).min(end);
        if from < to {
            let offset = run.offset + (from - run.start);
            match pieces.last_mut() {
                Some(last)
                    if last.va + last.length == from && last.offset + last.length == offset =>
                {
                    last.length += to - from;
                }
                _ => pieces.push(Piece {
                    va: from,
                    length: to - from,
                    offset,
                }),
            }
        }
        if run.start + run.length > end {
            break;
        }
        runs = &runs[1..];
    }
    (pieces, runs)
}

fn restore_shared(
    reader: &Reader,
    space: &UserSpace,
    mapping: &Mapping,
    pieces: &[Piece],
    reopen: &Reopen<'_>,
) -> Result<(), crate::Error> {
    let vma = mapping.vma();
    let length = vma.end - vma.start;
    let place = Place::FixedNoReplace(vma.start);
    if let Backing::File { file, offset } = &vma.backing
        && let Some(opened) = reopen(&file.path, vma.protection.contains(Protection::WRITE))
    {
        let (fd, info) = (opened.as_fd(), file.clone());
        let (protection, sharing) = (vma.protection, Sharing::Shared);
        space.map_file(place, length, protection, sharing, fd, *offset, info)?;
        return Ok(());
    }
    let open = Protection::READ_WRITE;
    space.map_anonymous(place, length, open, Sharing::Shared, vma.name.clone())?;
    let mut buffer = vec![0; PAGE as usize];
    for piece in pieces {
        for at in (0..piece.length).step_by(PAGE as usize) {
            let read = reader.file().read_at(&mut buffer, piece.offset + at);
            read.map_err(super::error::io("read it"))
                .map_err(|c| c.of(reader.path()))?;
            space.write_bytes(piece.va + at, &buffer).map_err(|fault| {
                let why = format!("{fault:?}");
                Cause::Unsuitable {
                    what: "shared memory",
                    why,
                }
                .of(reader.path())
            })?;
        }
    }
    Ok(space.protect(vma.start, length, vma.protection)?)
}
