//! The server: a message in, an answer out.

use super::files::{self, Folder, ShareError};
use super::wire::{Reader, Writer, kind};
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Bytes of the largest message.
pub(crate) const LARGEST: u32 = 512 << 10;
/// Size, kind and tag of a message.
const HEADER: usize = 7;
/// Bytes of an answer to read and readdir before the data.
pub(super) const DATA_HEADER: u32 = HEADER as u32 + 4;
/// Names that a guest may hold at once.
const MOST_FIDS: usize = 1 << 16;

/// A server of one folder.
pub struct Server {
    pub(super) folder: Folder,
    message_size: u32,
    pub(super) fids: BTreeMap<u32, Fid>,
    /// How many files may be open.
    most_open: usize,
    /// Each open file holds one more reference.
    tickets: Arc<()>,
}

/// What a guest's number stands for.
pub(super) struct Fid {
    /// From the shared folder, which itself has none.
    pub path: Vec<u8>,
    open: Option<Open>,
}

pub(super) struct Open {
    pub file: File,
    flags: u32,
    _ticket: Arc<()>,
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
pub(super) fn whole<T>(part: Option<T>) -> Result<T> {
    part.ok_or(Errno::INVAL)
}

impl Server {
    /// Shares a folder.
    pub fn new(path: &Path, read_only: bool) -> std::result::Result<Server, ShareError> {
        Ok(Server {
            folder: Folder::open(path, read_only)?,
            message_size: LARGEST,
            fids: BTreeMap::new(),
            most_open: files::most_open(),
            tickets: Arc::default(),
        })
    }

    /// What one more open file needs: the guest may not use up the host's.
    fn ticket(&self) -> Result<Arc<()>> {
        if Arc::strong_count(&self.tickets) > self.most_open {
            return Err(Errno::MFILE);
        }
        Ok(self.tickets.clone())
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
                let _ticket = self.ticket()?;
                let file = self.folder.open_file(&path, flags)?;
                w.qid(&files::qid(&self.folder.stat(&path)?)).u32(0);
                self.fid(fid)?.open = Some(Open {
                    file,
                    flags,
                    _ticket,
                });
            }
            kind::LCREATE => {
                let fid = args()?;
                let name = whole(r.string())?;
                let (flags, mode) = (whole(r.u32())?, whole(r.u32())?);
                let folder = self.path(fid)?;
                let _ticket = self.ticket()?;
                let file = self.folder.create(&folder, name, flags, mode)?;
                let path = files::join(&folder, name)?;
                w.qid(&files::qid(&self.folder.stat(&path)?)).u32(0);
                let flags = flags & 3;
                let open = Some(Open {
                    file,
                    flags,
                    _ticket,
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

    pub(super) fn path(&mut self, fid: u32) -> Result<Vec<u8>> {
        Ok(self.fid(fid)?.path.clone())
    }

    pub(super) fn open(&mut self, fid: u32) -> Result<&mut Open> {
        self.fid(fid)?.open.as_mut().ok_or(Errno::BADF)
    }

    pub(super) fn insert(&mut self, fid: u32, path: Vec<u8>) -> Result<()> {
        if self.fids.len() >= MOST_FIDS {
            return Err(Errno::MFILE);
        }
        self.fids.insert(fid, Fid { path, open: None });
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
                let _ticket = self.ticket().ok()?;
                let file = self.folder.open_file(&path, flags).ok()?;
                Some(Open {
                    file,
                    flags,
                    _ticket,
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
