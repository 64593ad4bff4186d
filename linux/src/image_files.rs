//! Open files in the image of a process: where they come from when it is resumed.

use crate::abi::*;
use crate::fs::fds::{Entry, Kind};
use crate::image::refused;
use crate::kernel::Kernel;
use crate::{Errno, Error, host};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsRawFd, OwnedFd};

/// Files in memory larger than this are not put into an image.
const MOST: u64 = 16 << 20;

/// An open file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileImage {
    /// Its number.
    pub fd: i32,
    /// The guest's path of it, if it has one.
    pub path: Option<Vec<u8>>,
    /// Status flags (O_APPEND...), in the guest's numbers.
    flags: u32,
    cloexec: bool,
    nonblock: bool,
    content: Content,
}

/// Where the file comes from when the process is resumed.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Content {
    /// Standard input, output or error of whoever resumes it.
    Standard(i32),
    /// Another number of the same open file.
    Same(i32),
    /// Opened anew by its path.
    Path { offset: u64 },
    /// A file in memory.
    Memory { bytes: Vec<u8>, offset: u64 },
    /// A directory of the guest's view alone.
    Listing { position: u64 },
    /// A device without a position.
    Device,
}

pub(crate) fn save_files(kernel: &Kernel) -> Result<Vec<FileImage>, Error> {
    let fds = kernel.fds.lock();
    let all: Vec<(i32, Entry)> = fds.iter().map(|(fd, entry)| (fd, entry.clone())).collect();
    drop(fds);
    let mut images: Vec<FileImage> = Vec::new();
    for (fd, entry) in &all {
        let content = match images
            .iter()
            .find(|other| host::fds::is_same_file(*fd, other.fd))
        {
            Some(same) => Content::Same(same.fd),
            None => save_content(kernel, *fd, entry)?,
        };
        let unreadable = |errno: Errno| refused(format!("descriptor {fd}: {errno:?}"));
        images.push(FileImage {
            fd: *fd,
            path: entry.path.as_ref().map(|path| path.to_vec()),
            flags: host::fds::status_flags(*fd).map_err(unreadable)?,
            cloexec: entry.cloexec,
            nonblock: entry.nonblock,
            content,
        });
    }
    Ok(images)
}

fn save_content(kernel: &Kernel, fd: i32, entry: &Entry) -> Result<Content, Error> {
    let path = entry
        .path
        .as_ref()
        .map(|path| String::from_utf8_lossy(path).into_owned());
    let name = match &path {
        Some(path) => format!("descriptor {fd} ({path})"),
        None => format!("descriptor {fd}"),
    };
    let host_error = |errno: Errno| refused(format!("{name}: {errno:?}"));
    if let Some(listing) = &entry.listing {
        let position = listing.lock().map_or(0, |listing| listing.position as u64);
        return Ok(Content::Listing { position });
    }
    let stat = host::fs::stat_fd(fd).map_err(host_error)?;
    if fd < 3 {
        return Ok(Content::Standard(fd));
    }
    match (stat.mode & S_IFMT, entry.kind) {
        (_, Kind::Epoll | Kind::Event) => Err(refused(format!(
            "{name} is an event file of the host. Close it before"
        ))),
        (S_IFIFO, _) => Err(refused(format!("{name} is a pipe. Close it before"))),
        (S_IFSOCK, _) => Err(refused(format!("{name} is a socket. Close it before"))),
        (S_IFCHR, _) => Ok(Content::Device),
        (S_IFREG | S_IFDIR, _) => {
            let offset = host::io::seek(fd, 0, 1).unwrap_or(0);
            if host::fds::is_memory_file(fd) {
                if stat.size > MOST {
                    let size = stat.size;
                    return Err(refused(format!(
                        "{name} is a file in memory of {size} bytes"
                    )));
                }
                let mut bytes = vec![0; stat.size as usize];
                let read = host::io::Transfer::Read(&mut bytes);
                host::io::transfer(fd, read, host::io::At::Offset(0)).map_err(host_error)?;
                return Ok(Content::Memory { bytes, offset });
            }
            match &entry.path {
                None => Err(refused(format!("{name} has no path in the guest's view"))),
                Some(path) if kernel.view.is_private(path) => Err(refused(format!(
                    "{name} is in this run's private directory, which ends with it. Use --dir /tmp"
                ))),
                Some(_) if stat.nlink == 0 => Err(refused(format!(
                    "{name} is deleted and could not be opened again"
                ))),
                Some(_) => Ok(Content::Path { offset }),
            }
        }
        _ => Err(refused(format!(
            "{name} is of a kind that cannot be opened again"
        ))),
    }
}

pub(crate) fn restore_files(kernel: &Kernel, images: &[FileImage]) -> Result<(), Error> {
    let inherited = kernel.fds.lock().numbers(3..=i32::MAX);
    for fd in inherited {
        // The process starts with its own files, not with those of whoever resumes it.
        let _ = crate::fs::open::close_fd(kernel, fd);
    }
    for image in images {
        restore_file(kernel, image).map_err(|errno| {
            let path = image
                .path
                .as_deref()
                .map(String::from_utf8_lossy)
                .unwrap_or_default();
            Error::Resume(format!(
                "descriptor {} ({path}) can't be opened again: {errno:?}. Put the file back",
                image.fd
            ))
        })?;
    }
    for fd in 0..3 {
        if !images.iter().any(|image| image.fd == fd) {
            // The guest had closed it.
            let _ = crate::fs::open::close_fd(kernel, fd);
        }
    }
    Ok(())
}

fn restore_file(kernel: &Kernel, image: &FileImage) -> Result<(), Errno> {
    let path = image.path.clone().unwrap_or_default();
    let fd = image.fd;
    let kind = |opened: i32| crate::fs::fds::kind_of(opened);
    let mut entry = match &image.content {
        Content::Standard(_) => {
            let mut fds = kernel.fds.lock();
            let entry = fds.get_mut(fd)?;
            entry.cloexec = image.cloexec;
            return Ok(());
        }
        Content::Same(other) => {
            let entry = kernel.fds.lock().get(*other)?.clone();
            host::fds::duplicate_to(*other, fd)?;
            entry
        }
        Content::Memory { bytes, offset } => {
            let file = host::fs::memory_file(c"restored", false)?;
            let write = host::io::Transfer::Write(bytes);
            host::io::transfer(file.as_raw_fd(), write, host::io::At::Offset(0))?;
            place(file, fd, Some(*offset))?;
            Entry::at(Kind::Plain, &path)
        }
        Content::Listing { .. } | Content::Path { .. } | Content::Device => {
            let flags = image.flags & !(O_CREAT | O_EXCL | O_TRUNC);
            let number = crate::fs::open::open(kernel, AT_FDCWD, &path, flags, 0)?;
            let entry = kernel.fds.lock().get(number)?.clone();
            if number != fd {
                host::fds::duplicate_to(number, fd)?;
                crate::fs::open::close_fd(kernel, number)?;
            }
            if let Content::Path { offset } = image.content {
                host::io::seek(fd, offset as i64, 0)?;
            }
            if let (Content::Listing { position }, Some(listing)) = (&image.content, &entry.listing)
                && let Ok(mut listing) = listing.lock()
            {
                listing.position = *position as usize;
            }
            Entry {
                kind: kind(fd),
                ..entry
            }
        }
    };
    entry.cloexec = image.cloexec;
    entry.nonblock = image.nonblock;
    kernel.fds.lock().insert(fd, entry);
    Ok(())
}

/// Gives a file the number that it had.
fn place(file: OwnedFd, fd: i32, offset: Option<u64>) -> Result<(), Errno> {
    host::fds::duplicate_to(file.as_raw_fd(), fd)?;
    if let Some(offset) = offset {
        host::io::seek(fd, offset as i64, 0)?;
    }
    Ok(())
}
