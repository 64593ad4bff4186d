//! Writing a snapshot: section after section into a temporary file, which takes the name at the
//! end.

use super::error::{self, Cause, Error};
use super::layout::{self, ALIGNMENT, CHECKED_APART, Section};
use super::pages::{PageMap, PageWriter};
use super::{Kind, codec};
use serde::Serialize;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A snapshot being written. Dropped before [`Writer::finish`], it leaves nothing behind.
pub struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    sections: Vec<Section>,
    /// Where the next section may start.
    end: u64,
    finished: bool,
}

impl Writer {
    /// Starts a snapshot that will be at `path`.
    pub fn create(path: &Path) -> Result<Writer, Error> {
        let create = || -> std::io::Result<(PathBuf, File)> {
            let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
            let mut number = 0;
            loop {
                let mut hidden = std::ffi::OsString::from(".");
                hidden.push(name);
                hidden.push(format!(".{}-{number}", std::process::id()));
                let temporary = path.with_file_name(hidden);
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(&temporary);
                match file {
                    Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                    file => return Ok((temporary, file?)),
                }
            }
        };
        let (temporary, file) = create()
            .map_err(error::io("create it"))
            .map_err(|c| c.of(path))?;
        Ok(Writer {
            path: path.to_owned(),
            temporary,
            file,
            sections: Vec::new(),
            end: layout::HEADER,
            finished: false,
        })
    }

    /// Adds typed state.
    pub fn state<T: Serialize>(&mut self, kind: Kind, state: &T) -> Result<(), Error> {
        self.state_of(kind, 0, state)
    }

    /// Adds typed state of one of several things of a kind.
    pub fn state_of<T: Serialize>(
        &mut self,
        kind: Kind,
        instance: u32,
        state: &T,
    ) -> Result<(), Error> {
        let bytes = codec::encode(state).map_err(|why| {
            Cause::Unsuitable {
                what: kind.name(),
                why,
            }
            .of(&self.path)
        })?;
        let section = Section {
            kind: kind.number(),
            version: kind.version(),
            offset: self.end.next_multiple_of(16),
            length: bytes.len() as u64,
            checksum: super::checksum::of(&bytes),
            flags: if kind.may_ignore() {
                layout::MAY_IGNORE
            } else {
                0
            },
            instance,
        };
        let written = self.file.write_all_at(&bytes, section.offset);
        written
            .map_err(error::io("write it"))
            .map_err(|c| c.of(&self.path))?;
        self.end = section.offset + section.length;
        self.sections.push(section);
        Ok(())
    }

    /// Adds pages, which `fill` hands over in order of space and address, and their map.
    pub fn pages<E: From<Error>>(
        &mut self,
        fill: impl FnOnce(&mut PageWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let offset = self.end.next_multiple_of(ALIGNMENT);
        let mut pages = PageWriter::new(&self.file, &self.path, offset);
        fill(&mut pages)?;
        let (runs, end) = pages.finish();
        self.sections.push(Section {
            kind: Kind::Pages.number(),
            version: Kind::Pages.version(),
            offset,
            length: end - offset,
            checksum: 0,
            flags: CHECKED_APART,
            instance: 0,
        });
        self.end = end;
        self.state(Kind::PageMap, &PageMap { runs })?;
        Ok(())
    }

    /// Completes the snapshot and gives it its name; its length in bytes.
    pub fn finish(mut self) -> Result<u64, Error> {
        let table = layout::table(&self.sections);
        let table_offset = self.end.next_multiple_of(16);
        let length = table_offset + table.len() as u64;
        let header = layout::header(self.sections.len() as u32, length, table_offset, &table);
        let write = || {
            self.file.write_all_at(&table, table_offset)?;
            // The header comes last: without it the file is not a snapshot.
            self.file.write_all_at(&header, 0)?;
            self.file.sync_all()?;
            std::fs::rename(&self.temporary, &self.path)
        };
        write()
            .map_err(error::io("complete it"))
            .map_err(|c| c.of(&self.path))?;
        self.finished = true;
        // The name survives a power failure only when the directory is written too. Some file
        // systems can't do that; the snapshot itself is complete either way.
        let directory = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(length)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
