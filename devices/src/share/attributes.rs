//! Messages about attributes: of a file, and of the file system.

use super::files::{self, Changes};
use super::server::{Server, whole};
use super::wire::{Reader, Writer, kind};
use rustix::fs::Timestamps;
use rustix::io::Result;

impl Server {
    /// getattr, setattr and statfs.
    pub(super) fn attributes(
        &mut self,
        asked: u8,
        r: &mut Reader<'_>,
        w: &mut Writer,
    ) -> Result<()> {
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
}
