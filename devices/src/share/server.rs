//! The server: a message in, an answer out.

use super::files::{self, Changes, Entry, Folder, ShareError};
use super::wire::{Reader, Writer, kind};
use rustix::fs::Timestamps;
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of the largest message.
pub(crate) const LARGEST: u32 = 512 << 10;
/// Size, kind and tag of a message.
const HEADER: usize = 7;
/// Bytes of an answer to read and readdir before the data.
const DATA_HEADER: u32 = HEADER as u32 + 4;
/// Names that a guest may hold at once.
const MOST_FIDS: usize = 1 << 16;
/// Names in one walk, by the protocol.
const MOST_NAMES: u16 = 16;

/// A server of one folder.
pub struct Server {
    folder: Folder,
    message_size: u32,
    fids: BTreeMap<u32, Fid>,
}

/// What a guest's number stands for.
struct Fid {
    /// From the shared folder, which itself has none.
    path: Vec<u8>,
    open: Option<Open>,
}

struct Open {
    file: File,
    flags: u32,
    /// Of a folder, as read at offset 0.
    entries: Vec<Entry>,
}

/// What is saved of a server. The files are the host's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    message_size: u32,
    fids: Vec<SavedFid>,
}

/// What is saved of a guest's number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SavedFid {
    fid: u32,
    path: Vec<u8>,
    /// The flags it was opened with.
    open: Option<u32>,
}

/// What a message that is too short becomes.
fn whole<T>(part: Option<T>) -> Result<T> {
    part.ok_or(Errno::INVAL)
}

impl Server {
    /// Shares a folder.
    pub fn new(path: &Path, read_only: bool) -> std::result::Result<Server, ShareError> {
        Ok(Server {
            folder: Folder::open(path, read_only)?,
            message_size: LARGEST,
            fids: BTreeMap::new(),
        })
    }

    /// Forgets all the guest has open.
    pub fn reset(&mut self) {
        self.fids.clear();
        self.message_size = LARGEST;
    }

    /// The answer to a message, at most `room` bytes of it.
    pub fn answer(&mut self, message: &[u8], room: u32) -> Vec<u8> {
        let mut reader = Reader(message);
        let head = (|| Some((reader.u32()?, reader.u8()?, reader.u16()?)))();
        let (_, asked, tag) = head.unwrap_or((0, 0, !0));
        let mut body = Writer::default();
        let room = room.min(self.message_size);
        let done = self.perform(asked, &mut reader, &mut body, room);
        let mut answered = asked.wrapping_add(1);
        if let Err(error) = done {
            answered = kind::LERROR;
            body = Writer::default();
            body.u32(error.raw_os_error() as u32);
        }
        let mut answer = Writer::default();
        answer
            .u32((HEADER + body.0.len()) as u32)
            .u8(answered)
            .u16(tag);
        answer.0.extend(body.0);
        answer.0
    }

    fn perform(&mut self, asked: u8, r: &mut Reader<'_>, w: &mut Writer, room: u32) -> Result<()> {
        let mut args = || r.u32().ok_or(Errno::INVAL);
        match asked {
            kind::VERSION => {
                let size = args()?;
                self.reset();
                self.message_size = size.clamp(4096, LARGEST);
                let known = whole(r.string())? == b"9P2000.L";
                w.u32(self.message_size)
                    .string(if known { b"9P2000.L" } else { b"unknown" });
            }
            kind::ATTACH => {
                let fid = args()?;
                self.insert(fid, Vec::new())?;
                w.qid(&files::qid(&self.folder.stat(b"")?));
            }
            // There is nothing under way that could be cancelled.
            kind::FLUSH => {}
            kind::WALK => self.walk(r, w)?,
            kind::LOPEN => {
                let (fid, flags) = (args()?, args()?);
                let path = self.path(fid)?;
                let file = self.folder.open_file(&path, flags)?;
                w.qid(&files::qid(&self.folder.stat(&path)?)).u32(0);
                self.fid(fid)?.open = Some(Open {
                    file,
                    flags,
                    entries: Vec::new(),
                });
            }
            kind::LCREATE => {
                let fid = args()?;
                let name = whole(r.string())?;
                let (flags, mode) = (whole(r.u32())?, whole(r.u32())?);
                let folder = self.path(fid)?;
                let file = self.folder.create(&folder, name, flags, mode)?;
                let path = files::join(&folder, name)?;
                w.qid(&files::qid(&self.folder.stat(&path)?)).u32(0);
                let open = Some(Open {
                    file,
                    flags: flags & 3,
                    entries: Vec::new(),
                });
                *self.fid(fid)? = Fid { path, open };
            }
            kind::READ => {
                let fid = args()?;
                let (offset, count) = (whole(r.u64())?, whole(r.u32())?);
                let mut bytes = vec![0; count.min(room.saturating_sub(DATA_HEADER)) as usize];
                let read = self.open(fid)?.file.read_at(&mut bytes, offset);
                bytes.truncate(read.map_err(errno)?);
                w.u32(bytes.len() as u32);
                w.0.extend(bytes);
            }
            kind::WRITE => {
                let fid = args()?;
                let offset = whole(r.u64())?;
                let data = whole(r.data())?;
                let written = self.open(fid)?.file.write_at(data, offset).map_err(errno)?;
                w.u32(written as u32);
            }
            kind::CLUNK => {
                let fid = args()?;
                self.fids.remove(&fid).ok_or(Errno::BADF)?;
            }
            kind::REMOVE => {
                let fid = args()?;
                let path = self.fids.remove(&fid).ok_or(Errno::BADF)?.path;
                let (folder, name) = files::split(&path)?;
                let is_folder = files::qid(&self.folder.stat(&path)?).kind == 0x80;
                self.folder.remove(folder, name, is_folder)?;
            }
            kind::FSYNC => {
                let fid = args()?;
                self.open(fid)?.file.sync_data().map_err(errno)?;
            }
            kind::READDIR => self.read_folder(r, w, room)?,
            kind::LOCK => {
                // One guest alone uses the share through us: its own kernel keeps the locks.
                let fid = args()?;
                self.open(fid)?;
                w.u8(0);
            }
            kind::GETLOCK => {
                let fid = args()?;
                self.open(fid)?;
                whole(r.u8())?;
                let (start, length) = (whole(r.u64())?, whole(r.u64())?);
                let (process, client) = (whole(r.u32())?, whole(r.string())?);
                // Nobody holds a lock there.
                w.u8(2).u64(start).u64(length).u32(process).string(client);
            }
            kind::GETATTR | kind::SETATTR | kind::STATFS => self.attributes(asked, r, w)?,
            kind::SYMLINK
            | kind::LINK
            | kind::MKDIR
            | kind::READLINK
            | kind::RENAME
            | kind::RENAMEAT
            | kind::UNLINKAT => self.names(asked, r, w)?,
            // Extended attributes, authentication, device nodes.
            _ => return Err(Errno::OPNOTSUPP),
        }
        Ok(())
    }

    fn fid(&mut self, fid: u32) -> Result<&mut Fid> {
        self.fids.get_mut(&fid).ok_or(Errno::BADF)
    }

    fn path(&mut self, fid: u32) -> Result<Vec<u8>> {
        Ok(self.fid(fid)?.path.clone())
    }

    fn open(&mut self, fid: u32) -> Result<&mut Open> {
        self.fid(fid)?.open.as_mut().ok_or(Errno::BADF)
    }

    fn insert(&mut self, fid: u32, path: Vec<u8>) -> Result<()> {
        if self.fids.len() >= MOST_FIDS {
            return Err(Errno::MFILE);
        }
        self.fids.insert(fid, Fid { path, open: None });
        Ok(())
    }

    /// The new number stands for the last name only if all of them are there.
    fn walk(&mut self, r: &mut Reader<'_>, w: &mut Writer) -> Result<()> {
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

    fn read_folder(&mut self, r: &mut Reader<'_>, w: &mut Writer, room: u32) -> Result<()> {
        let (fid, offset, count) = (whole(r.u32())?, whole(r.u64())?, whole(r.u32())?);
        if offset == 0 {
            let file = self.open(fid)?.file.try_clone().map_err(errno)?;
            let entries = self.folder.list(&file)?;
            self.open(fid)?.entries = entries;
        }
        let most = count.min(room.saturating_sub(DATA_HEADER)) as usize;
        let mut list = Writer::default();
        let first = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, entry) in self.open(fid)?.entries.iter().enumerate().skip(first) {
            // qid, offset of the next, type, name.
            if list.0.len() + 13 + 8 + 1 + 2 + entry.name.len() > most {
                break;
            }
            let kind = match entry.kind {
                4 => 0x80,
                10 => 2,
                _ => 0,
            };
            list.u8(kind).u32(0).u64(entry.inode);
            list.u64(at as u64 + 1).u8(entry.kind).string(&entry.name);
        }
        w.u32(list.0.len() as u32);
        w.0.extend(list.0);
        Ok(())
    }

    fn attributes(&mut self, asked: u8, r: &mut Reader<'_>, w: &mut Writer) -> Result<()> {
        let path = self.path(whole(r.u32())?)?;
        match asked {
            kind::GETATTR => {
                let stat = self.folder.stat(&path)?;
                // All basic attributes are valid.
                w.u64(0x7ff).qid(&files::qid(&stat));
                w.u32(stat.st_mode).u32(stat.st_uid).u32(stat.st_gid);
                w.u64(stat.st_nlink as u64).u64(stat.st_rdev);
                w.u64(stat.st_size as u64)
                    .u64(stat.st_blksize as u64)
                    .u64(stat.st_blocks as u64);
                w.u64(stat.st_atime as u64).u64(stat.st_atime_nsec as u64);
                w.u64(stat.st_mtime as u64).u64(stat.st_mtime_nsec as u64);
                w.u64(stat.st_ctime as u64).u64(stat.st_ctime_nsec as u64);
                // Birth time, generation and data version are not known.
                w.u64(0).u64(0).u64(0).u64(0);
            }
            kind::SETATTR => {
                let valid = whole(r.u32())?;
                let bit = |bit: u32| valid >> bit & 1 != 0;
                let (mode, uid, gid) = (whole(r.u32())?, whole(r.u32())?, whole(r.u32())?);
                let size = whole(r.u64())?;
                let access = (whole(r.u64())?, whole(r.u64())?);
                let modified = (whole(r.u64())?, whole(r.u64())?);
                let times = Timestamps {
                    last_access: files::time(bit(4), bit(7), access.0, access.1),
                    last_modification: files::time(bit(5), bit(8), modified.0, modified.1),
                };
                let changes = Changes {
                    mode: bit(0).then_some(mode),
                    uid: bit(1).then_some(uid),
                    gid: bit(2).then_some(gid),
                    size: bit(3).then_some(size),
                    times: (bit(4) || bit(5)).then_some(times),
                };
                self.folder.change(&path, &changes)?;
            }
            _ => {
                let s = self.folder.statfs(&path)?;
                // The type of file system is 9P's own.
                w.u32(0x0102_1997).u32(s.f_bsize as u32);
                w.u64(s.f_blocks)
                    .u64(s.f_bfree)
                    .u64(s.f_bavail)
                    .u64(s.f_files)
                    .u64(s.f_ffree);
                w.u64(0).u32(255);
            }
        }
        Ok(())
    }

    fn names(&mut self, asked: u8, r: &mut Reader<'_>, w: &mut Writer) -> Result<()> {
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

    /// What the guest has open, by name.
    pub fn save(&self) -> State {
        let fids = self.fids.iter().map(|(fid, value)| SavedFid {
            fid: *fid,
            path: value.path.clone(),
            open: value.open.as_ref().map(|open| open.flags),
        });
        State {
            message_size: self.message_size,
            fids: fids.collect(),
        }
    }

    /// Opens the same files again. What is no longer there, the guest finds closed.
    pub fn restore(&mut self, state: State) {
        self.message_size = state.message_size.clamp(4096, LARGEST);
        self.fids.clear();
        for SavedFid { fid, path, open } in state.fids.into_iter().take(MOST_FIDS) {
            // Not truncated once more.
            let open = open.and_then(|flags| {
                let flags = flags & 3;
                let file = self.folder.open_file(&path, flags).ok()?;
                Some(Open {
                    file,
                    flags,
                    entries: Vec::new(),
                })
            });
            self.fids.insert(fid, Fid { path, open });
        }
    }
}

/// The number by which a host's error goes to the guest: both are Linux's generic ones.
fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
