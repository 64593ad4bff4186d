//! Memory images: copying out what a snapshot needs, and mapping it back in.
//!
//! An image stands on its own: what was mapped from files is in it too, so that a process goes on
//! unchanged when the files have changed or are gone.

use crate::error::Error;
use crate::flags::PageFlags;
use crate::host::pages::{self, HostAccess};
use crate::host::{Touched, guarded};
use crate::space::{Core, LIMIT, MIN_ADDRESS, PAGE, PAGE_BITS, UserSpace};
use crate::vma::{Backing, Sharing, Vma};
use crate::watch::host_access;
use std::os::fd::BorrowedFd;

/// Pages copied at once.
const PIECE: u64 = 64;
/// Pages of which the host is asked at once whether they were touched.
const LOOK: u64 = 64 * PIECE;

/// Part of an image: where in the image file the pages from `va` on are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// First guest address, page-aligned.
    pub va: u64,
    /// Bytes, a multiple of a page.
    pub length: u64,
    /// Where in the file; a multiple of a host page.
    pub offset: u64,
}

impl UserSpace {
    /// Hands over the pages of a mapping that are not all zero, in order, some at a time, whatever
    /// they permit. Returns where the mapped file stops reaching: accesses from there to the
    /// mapping's end are [`crate::FaultKind::BeyondFile`]. No guest thread may run meanwhile.
    pub fn contents<E: From<Error>>(
        &self,
        vma: &Vma,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let core = &*self.core;
        let mut buffer = vec![0; (PIECE * PAGE) as usize];
        let plain = vma.backing == Backing::Anonymous && vma.sharing == Sharing::Private;
        let touched = Touched::open();
        let mut worth = vec![true; LOOK as usize];
        for at in (vma.start..vma.end).step_by((LOOK * PAGE) as usize) {
            let worth = &mut worth[..((vma.end - at) / PAGE).min(LOOK) as usize];
            worth.fill(true);
            if plain && !core.is_imaged(at, at + worth.len() as u64 * PAGE) {
                let what = "look up guest pages";
                touched
                    .clear_others(core.host(at), worth)
                    .map_err(Error::host(what))?;
            }
            for (i, worth) in worth.chunks_mut(PIECE as usize).enumerate() {
                let at = at + i as u64 * PIECE * PAGE;
                if !worth.contains(&true) {
                    continue;
                }
                let copied = core.copy_out(at, worth.len() as u64, vma, &mut buffer)? as usize;
                let whole = copied == worth.len();
                visit_used(at, &buffer, &mut worth[..copied], &mut visit)?;
                if !whole {
                    return Ok(at + copied as u64 * PAGE);
                }
            }
        }
        Ok(vma.end)
    }

    /// Puts a private mapping in, its contents mapped copy-on-write from the pieces of an image
    /// file, zero elsewhere; from `reach` on accesses are beyond the file. Everything is checked:
    /// the arguments may come from a file that nobody vouches for. Nobody may change or shorten
    /// the image file afterwards.
    pub fn restore(
        &self,
        vma: &Vma,
        pieces: &[Piece],
        reach: u64,
        image: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let bad = |va, length| Err(Error::Invalid { va, length });
        let aligned = [vma.start, vma.end, reach]
            .iter()
            .all(|va| va.is_multiple_of(PAGE));
        let inside = vma.start >= MIN_ADDRESS && vma.start < vma.end && vma.end <= LIMIT;
        let reaches = vma.start <= reach && reach <= vma.end;
        // What is not a file's has no end before its own.
        let whole = reach == vma.end || vma.backing != Backing::Anonymous;
        if !aligned || !inside || !reaches || !whole || vma.sharing == Sharing::Shared {
            return bad(vma.start, vma.end.wrapping_sub(vma.start));
        }
        let mut end = vma.start;
        for piece in pieces {
            let aligned = [piece.va, piece.length, piece.offset]
                .iter()
                .all(|n| n % PAGE == 0);
            let piece_end = piece.va.checked_add(piece.length);
            let fits = piece.va >= end && piece_end.is_some_and(|end| end <= reach);
            if !aligned || !fits || piece.offset.checked_add(piece.length).is_none() {
                return bad(piece.va, piece.length);
            }
            end = piece.va + piece.length;
        }
        let core = &*self.core;
        let mut vmas = core.vmas();
        if !vmas.is_free(vma.start, vma.end) {
            return Err(Error::Exists {
                va: vma.start,
                length: vma.end - vma.start,
            });
        }
        let access = host_access(PageFlags::fresh(vma.protection, false));
        core.install(&mut vmas, vma.clone(), |host, bytes, _| {
            // SAFETY: `install` gives a range of the window; nobody holds references into it.
            unsafe { pages::map_anonymous(host, bytes, access, false) }
        })?;
        for piece in pieces {
            core.map_piece(piece, access, image).inspect_err(|_| {
                // Whether or not this works, the error is what the caller is told.
                let _ = core.unmap_locked(&mut vmas, vma.start, vma.end);
            })?;
        }
        if reach < vma.end {
            // Far behind the end of the image.
            let offset = (i64::MAX as u64 - (LIMIT - 1)) & !0xffff;
            let beyond = Piece {
                va: reach,
                length: vma.end - reach,
                offset,
            };
            core.map_piece(&beyond, access, image).inspect_err(|_| {
                let _ = core.unmap_locked(&mut vmas, vma.start, vma.end);
            })?;
        }
        Ok(())
    }
}

/// Hands over those pages of `buffer`, which starts at guest address `at`, that are worth it and
/// not all zero.
fn visit_used<E>(
    at: u64,
    buffer: &[u8],
    worth: &mut [bool],
    visit: &mut impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let pages = buffer.chunks_exact(PAGE as usize);
    worth
        .iter_mut()
        .zip(pages)
        .for_each(|(worth, page)| *worth &= page != [0; PAGE as usize]);
    let mut first = 0;
    for run in worth.chunk_by(|a, b| a == b) {
        let end = first + run.len();
        if run[0] {
            let bytes = &buffer[first * PAGE as usize..end * PAGE as usize];
            visit(at + first as u64 * PAGE, bytes)?;
        }
        first = end;
    }
    Ok(())
}

impl Core {
    /// Copies pages into `buffer`; how many, for a file may end before the last.
    fn copy_out(&self, va: u64, count: u64, vma: &Vma, buffer: &mut [u8]) -> Result<u64, Error> {
        let bytes = (count * PAGE) as usize;
        let host = self.host(va);
        let readable = vma.protection.readable();
        let opening = Error::host("read protected guest memory");
        // Held while the pages are open, so that no other thread's access to them is settled.
        let lock = (!readable).then(|| self.page_lock.lock());
        // SAFETY: a mapping lies inside the window; nobody holds references into it. A page that
        // its file does not reach is a SIGBUS, for which the handler does not take the lock.
        let left = unsafe {
            if lock.is_some() {
                pages::protect(host, bytes, HostAccess::Read).map_err(opening)?;
            }
            let left = guarded::copy(host, buffer.as_mut_ptr(), bytes.min(buffer.len()));
            if lock.is_some() {
                let closing = Error::host("close protected guest memory");
                pages::protect(host, bytes, HostAccess::None).map_err(closing)?;
            }
            left
        };
        Ok((bytes - left) as u64 >> PAGE_BITS)
    }

    /// Maps a piece of an image over part of a mapping that the caller has put in.
    fn map_piece(
        &self,
        piece: &Piece,
        access: HostAccess,
        image: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let (host, bytes) = (self.host(piece.va), piece.length as usize);
        let lock = self.page_lock.lock();
        // SAFETY: the piece lies inside a mapping, and so in the window.
        let mapped = unsafe { pages::map_file(host, bytes, access, false, image, piece.offset) };
        drop(lock);
        mapped.map_err(|refused| Error::host("map the memory image")(refused.error))?;
        self.imaged().push(piece.va..piece.va + piece.length);
        Ok(())
    }

    /// Whether part of the range may be mapped from an image.
    pub(crate) fn is_imaged(&self, start: u64, end: u64) -> bool {
        self.imaged()
            .iter()
            .any(|range| range.start < end && start < range.end)
    }

    /// Notes that what was mapped in `start..end` has moved to `new`.
    pub(crate) fn move_imaged(&self, start: u64, end: u64, new: u64) {
        if self.is_imaged(start, end) {
            self.imaged().push(new..new + (end - start));
        }
    }
}
