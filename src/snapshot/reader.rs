//! Reading a snapshot: header, table and typed state are verified before they are believed.

use super::error::{self, Cause};
use super::layout::{self, CHECKED_APART, MAY_IGNORE, Section, Source};
use super::pages::{PageMap, Run};
use super::{Error, Kind, checksum, codec};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A snapshot whose header and table are sound.
pub struct Reader<S: Source = File> {
    path: PathBuf,
    source: S,
    sections: Vec<Section>,
}

impl Reader<File> {
    /// Opens a snapshot. Reads its header and table, nothing else.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        let file = File::open(path)
            .map_err(error::io("open it"))
            .map_err(|c| c.of(path))?;
        Reader::from_source(file, path)
    }

    /// The file, to be mapped. Whoever maps it relies on nobody changing it in place; a snapshot
    /// that replaces it under its name does no harm.
    pub fn file(&self) -> &File {
        &self.source
    }
}

/// Bytes in memory, for tests and fuzzing.
pub struct Bytes<'a>(pub &'a [u8]);

impl Source for Bytes<'_> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_at(into, offset)
    }
    fn length(&self) -> std::io::Result<u64> {
        self.0.length()
    }
}

impl<S: Source> Reader<S> {
    /// Reads header and table from wherever it is; `path` is for messages.
    pub fn from_source(source: S, path: &Path) -> Result<Reader<S>, Error> {
        let sections = layout::read(&source).map_err(|c| c.of(path))?;
        for (index, section) in sections.iter().enumerate() {
            match Kind::of_number(section.kind) {
                Some(kind) if section.version > kind.version() => {
                    let what = format!("its {} section", kind.name());
                    let (found, newest) = (section.version, kind.version());
                    return Err(Cause::Newer {
                        what,
                        found,
                        newest,
                    }
                    .of(path));
                }
                None if section.flags & MAY_IGNORE == 0 => {
                    return Err(Cause::UnknownSection {
                        index,
                        kind: section.kind,
                    }
                    .of(path));
                }
                _ => {}
            }
        }
        Ok(Reader {
            path: path.to_owned(),
            source,
            sections,
        })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The table.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section of this kind and instance.
    pub fn section(&self, kind: Kind, instance: u32) -> Option<&Section> {
        self.sections
            .iter()
            .find(|s| s.kind == kind.number() && s.instance == instance)
    }

    /// The typed state of this kind, verified; None if it has none.
    pub fn state<T: DeserializeOwned>(&self, kind: Kind) -> Result<Option<T>, Error> {
        self.section(kind, 0)
            .map(|section| self.decode(section))
            .transpose()
    }

    /// The same, where it must be there.
    pub fn needed<T: DeserializeOwned>(
        &self,
        kind: Kind,
        needed_for: &'static str,
    ) -> Result<T, Error> {
        let missing = Cause::Missing {
            kind: kind.name(),
            needed_for,
        };
        self.state(kind)?.ok_or_else(|| missing.of(&self.path))
    }

    /// The typed state in a section.
    pub fn decode<T: DeserializeOwned>(&self, section: &Section) -> Result<T, Error> {
        let bytes = self.bytes(section)?;
        codec::decode(&bytes).map_err(|why| {
            let what = self.name(section);
            Cause::Malformed {
                what,
                offset: section.offset,
                why,
            }
            .of(&self.path)
        })
    }

    /// The bytes of a section, verified.
    fn bytes(&self, section: &Section) -> Result<Vec<u8>, Error> {
        let what = self.name(section);
        if section.length > codec::MOST as u64 || section.flags & CHECKED_APART != 0 {
            let why = format!("{} bytes of typed state", section.length);
            return Err(Cause::Malformed {
                what,
                offset: section.offset,
                why,
            }
            .of(&self.path));
        }
        // The table says that this many bytes are in the file.
        let mut bytes = vec![0; section.length as usize];
        let read = self.source.read_at(&mut bytes, section.offset);
        read.map_err(error::io("read it"))
            .map_err(|c| c.of(&self.path))?;
        let sound = layout::check(&what, section.offset, &bytes, section.checksum);
        sound.map_err(|c| c.of(&self.path))?;
        Ok(bytes)
    }

    /// Where each page is, checked against the file: aligned, inside the pages section, in order,
    /// clear of each other.
    pub fn page_map(&self) -> Result<Vec<Run>, Error> {
        let Some(map) = self.state::<PageMap>(Kind::PageMap)? else {
            return Ok(Vec::new());
        };
        let pages = self
            .section(Kind::Pages, 0)
            .map_or(0..0, |s| s.offset..s.offset + s.length);
        map.check(pages).map_err(|why| {
            let offset = self
                .section(Kind::PageMap, 0)
                .map_or(0, |section| section.offset);
            Cause::Malformed {
                what: "the page map".into(),
                offset,
                why,
            }
            .of(&self.path)
        })?;
        Ok(map.runs)
    }

    /// Verifies every checked byte, pages too. `progress` is told how many bytes of how many are
    /// done.
    pub fn verify(&self, mut progress: impl FnMut(u64, u64)) -> Result<(), Error> {
        for section in &self.sections {
            if section.flags & CHECKED_APART == 0 {
                self.bytes(section)?;
            }
        }
        let runs = self.page_map()?;
        let total = runs.iter().map(|run| run.length).sum();
        let mut done = 0;
        let mut buffer = vec![0; 1 << 20];
        for run in &runs {
            let mut sum = checksum::Running::new();
            let mut at = 0;
            while at < run.length {
                let piece = &mut buffer[..(run.length - at).min(1 << 20) as usize];
                let read = self.source.read_at(piece, run.offset + at);
                read.map_err(error::io("read it"))
                    .map_err(|c| c.of(&self.path))?;
                sum.add(piece);
                at += piece.len() as u64;
            }
            if sum.value() != run.checksum {
                let what = format!("memory from guest address {:#x} on", run.start);
                let (found, expected) = (sum.value(), run.checksum);
                let damaged = Cause::Damaged {
                    what,
                    offset: run.offset,
                    found,
                    expected,
                };
                return Err(damaged.of(&self.path));
            }
            done += run.length;
            progress(done, total);
        }
        Ok(())
    }

    fn name(&self, section: &Section) -> String {
        let name = Kind::of_number(section.kind).map_or("unknown", Kind::name);
        format!("the {name} section")
    }
}
