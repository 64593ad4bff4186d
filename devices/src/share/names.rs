//! Messages about names: finding, listing, making, removing and renaming.

use super::files;
use super::server::{DATA_HEADER, Server, whole};
use super::wire::{Reader, Writer, kind};
use rustix::fs::FileType;
use rustix::io::{Errno, Result};

/// Names in one walk, by the protocol.
const MOST_NAMES: u16 = 16;

impl Server {
    /// The new number stands for the last name only if all of them are there.
    pub(super) fn walk(&mut self, r: &mut Reader<'_>, w: &mut Writer) -> Result<()> {
        let (fid, new, count) = (whole(r.u32())?, whole(r.u32())?, whole(r.u16())?);
        if count > MOST_NAMES {
            return Err(Errno::INVAL);
        }
        let mut path = self.path(fid)?;
        let mut qids = Vec::new();
        for _ in 0..count {
            let name = whole(r.string())?;
            let next = match name {
                b".." => files::split(&path)
                    .map(|(above, _)| above.to_vec())
                    .unwrap_or_default(),
                name => files::join(&path, name)?,
            };
            match self.folder.stat(&next) {
                Ok(stat) => qids.push(files::qid(&stat)),
                Err(error) if qids.is_empty() => return Err(error),
                Err(_) => break,
            }
            path = next;
        }
        if qids.len() == usize::from(count) {
            self.insert(new, path)?;
        }
        w.u16(qids.len() as u16);
        for qid in &qids {
            w.qid(qid);
        }
        Ok(())
    }

    /// readdir: entries from an offset on.
    pub(super) fn read_folder(
        &mut self,
        r: &mut Reader<'_>,
        w: &mut Writer,
        room: u32,
    ) -> Result<()> {
        let (fid, offset, count) = (whole(r.u32())?, whole(r.u64())?, whole(r.u32())?);
        let most = count.min(room.saturating_sub(DATA_HEADER)) as usize;
        let mut list = Writer::default();
        files::list(&self.open(fid)?.file, offset, |entry| {
            // qid, offset of the next, type, name.
            if list.0.len() + 13 + 8 + 1 + 2 + entry.name.len() > most {
                return false;
            }
            // The type is that of a Linux directory entry; 0 for what the guest cannot open.
            let kind = match entry.kind {
                FileType::Directory => 4,
                FileType::RegularFile => 8,
                FileType::Symlink => 10,
                _ => 0,
            };
            list.u8(files::qid_kind(entry.kind)).u32(0).u64(entry.inode);
            list.u64(entry.next).u8(kind).string(entry.name);
            true
        })?;
        w.u32(list.0.len() as u32);
        w.0.extend(list.0);
        Ok(())
    }

    /// The messages that make, remove or rename, and readlink.
    pub(super) fn names(&mut self, asked: u8, r: &mut Reader<'_>, w: &mut Writer) -> Result<()> {
        let path = self.path(whole(r.u32())?)?;
        match asked {
            kind::READLINK => {
                w.string(&self.folder.read_link(&path)?);
            }
            kind::SYMLINK => {
                let (name, target) = (whole(r.string())?, whole(r.string())?);
                self.folder.make_link(&path, name, target)?;
                w.qid(&files::qid(&self.folder.stat(&files::join(&path, name)?)?));
            }
            kind::MKDIR => {
                let (name, mode) = (whole(r.string())?, whole(r.u32())?);
                self.folder.make_folder(&path, name, mode)?;
                w.qid(&files::qid(&self.folder.stat(&files::join(&path, name)?)?));
            }
            kind::LINK => {
                let file = self.path(whole(r.u32())?)?;
                self.folder.hard_link(&file, &path, whole(r.string())?)?;
            }
            kind::UNLINKAT => {
                let (name, flags) = (whole(r.string())?, whole(r.u32())?);
                self.folder.remove(&path, name, flags & 0x200 != 0)?;
            }
            kind::RENAME => {
                let to = self.path(whole(r.u32())?)?;
                let from = files::split(&path)?;
                self.rename(from, (&to, whole(r.string())?))?;
            }
            _ => {
                let name = whole(r.string())?;
                let to = self.path(whole(r.u32())?)?;
                self.rename((&path, name), (&to, whole(r.string())?))?;
            }
        }
        Ok(())
    }

    /// What the guest has of it and beneath it goes by the new name.
    fn rename(&mut self, from: (&[u8], &[u8]), to: (&[u8], &[u8])) -> Result<()> {
        self.folder.rename(from, to)?;
        let (old, new) = (files::join(from.0, from.1)?, files::join(to.0, to.1)?);
        for fid in self.fids.values_mut() {
            if let Some(rest) = fid.path.strip_prefix(&old[..])
                && (rest.is_empty() || rest[0] == b'/')
            {
                fid.path = [&new, rest].concat();
            }
        }
        Ok(())
    }
}
