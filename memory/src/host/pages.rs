//! Host pages: reserving, mapping, protecting. Never executable.

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, MsyncFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

/// What the host permits on a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HostAccess {
    None,
    Read,
    Write,
}

impl HostAccess {
    fn flags(self) -> ProtFlags {
        match self {
            HostAccess::None => ProtFlags::empty(),
            HostAccess::Read => ProtFlags::READ,
            HostAccess::Write => ProtFlags::READ | ProtFlags::WRITE,
        }
    }
}

/// Bytes in a host page.
pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

/// Address space without memory behind it, inaccessible.
const HOLE: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);

/// Zeroed, writable, not counted against the host's memory until written.
pub(crate) fn allocate(bytes: usize) -> io::Result<NonNull<c_void>> {
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping where the host likes; nothing existing changes.
    let start = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, prot, HOLE)? };
    NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory.into())
}

/// Inaccessible address space where the host likes.
pub(crate) fn reserve(bytes: usize) -> io::Result<NonNull<c_void>> {
    let prot = ProtFlags::empty();
    // SAFETY: a new mapping where the host likes; nothing existing changes.
    let start = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, prot, HOLE)? };
    NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory.into())
}

/// Inaccessible address space there, unless any of it is taken or the host does not permit it.
pub(crate) fn reserve_at(start: usize, bytes: usize) -> Option<NonNull<c_void>> {
    #[cfg(target_os = "linux")]
    {
        let flags = HOLE | MapFlags::FIXED_NOREPLACE;
        let (wanted, prot) = (std::ptr::without_provenance_mut(start), ProtFlags::empty());
        // SAFETY: a new mapping where nothing is; nothing existing changes.
        let got = unsafe { rustix::mm::mmap_anonymous(wanted, bytes, prot, flags) };
        let got = NonNull::new(got.ok()?)?;
        if got.as_ptr() == wanted {
            return Some(got);
        }
        // Old kernels do not know the flag, and take the address for a wish.
        // SAFETY: mapped just now, and nobody knows of it.
        unsafe { free(got, bytes) };
    }
    let _ = (start, bytes);
    None
}

/// # Safety
/// The range came from `allocate` or `reserve` (and what was mapped into it), and nothing refers
/// to it any more.
pub(crate) unsafe fn free(start: NonNull<c_void>, bytes: usize) {
    // SAFETY: the caller's promise.
    // A failure would leave the range mapped: a leak, nothing worse.
    let _ = unsafe { rustix::mm::munmap(start.as_ptr(), bytes) };
}

/// Makes the range inaccessible and gives its memory back. Never leaves the addresses free, for
/// the host could then put memory of its own there.
///
/// # Safety
/// The range lies within a reservation of the caller's, and nothing refers to its contents.
pub(crate) unsafe fn clear(start: *mut u8, bytes: usize) -> io::Result<()> {
    let flags = HOLE | MapFlags::FIXED;
    // SAFETY: the caller's promise.
    unsafe { rustix::mm::mmap_anonymous(start.cast(), bytes, ProtFlags::empty(), flags)? };
    Ok(())
}

/// A mapping that the host refused.
pub(crate) struct Refused {
    pub(crate) error: io::Error,
    /// Whether what was there before still is. If not, the range is inaccessible.
    pub(crate) intact: bool,
}

/// Maps zeroes.
///
/// # Safety
/// As for `clear`.
pub(crate) unsafe fn map_anonymous(
    start: *mut u8,
    bytes: usize,
    access: HostAccess,
    shared: bool,
) -> Result<(), Refused> {
    let sharing = if shared {
        MapFlags::SHARED
    } else {
        MapFlags::PRIVATE
    };
    let flags = MapFlags::FIXED | MapFlags::NORESERVE | sharing;
    // SAFETY: the caller's promise.
    let done = unsafe { rustix::mm::mmap_anonymous(start.cast(), bytes, access.flags(), flags) };
    // SAFETY: the caller's promise.
    unsafe { reserved_again(done, start, bytes) }
}

/// Maps a file.
///
/// # Safety
/// As for `clear`. What others do to the file shows in memory that Rust must not hold references
/// to.
pub(crate) unsafe fn map_file(
    start: *mut u8,
    bytes: usize,
    access: HostAccess,
    shared: bool,
    file: BorrowedFd<'_>,
    offset: u64,
) -> Result<(), Refused> {
    let sharing = if shared {
        MapFlags::SHARED
    } else {
        MapFlags::PRIVATE
    };
    let flags = MapFlags::FIXED | MapFlags::NORESERVE | sharing;
    // SAFETY: the caller's promise.
    let done =
        unsafe { rustix::mm::mmap(start.cast(), bytes, access.flags(), flags, file, offset) };
    // SAFETY: the caller's promise.
    unsafe { reserved_again(done, start, bytes) }
}

/// A failed fixed mapping may have removed what was there and left the addresses free; claims them
/// again, and ends the process if that fails: guest accesses could reach host memory otherwise.
///
/// # Safety
/// As for `clear`.
unsafe fn reserved_again(
    done: Result<*mut c_void, Errno>,
    start: *mut u8,
    bytes: usize,
) -> Result<(), Refused> {
    let Err(error) = done else { return Ok(()) };
    // These are found before anything is removed: a file that is not open, or not for this.
    let intact = matches!(error, Errno::ACCESS | Errno::BADF);
    // SAFETY: the caller's promise.
    if !intact && unsafe { clear(start, bytes) }.is_err() {
        std::process::abort();
    }
    Err(Refused {
        error: error.into(),
        intact,
    })
}

/// Changes what is permitted. Async-signal-safe.
///
/// # Safety
/// The range lies within a reservation of the caller's, and no Rust reference to it is live.
pub(crate) unsafe fn protect(start: *mut u8, bytes: usize, access: HostAccess) -> io::Result<()> {
    let flags = match access {
        HostAccess::None => MprotectFlags::empty(),
        HostAccess::Read => MprotectFlags::READ,
        HostAccess::Write => MprotectFlags::READ | MprotectFlags::WRITE,
    };
    // SAFETY: the caller's promise.
    unsafe { rustix::mm::mprotect(start.cast(), bytes, flags)? };
    Ok(())
}

/// Whether the host can do what [`discard`] does.
pub(crate) const CAN_DISCARD: bool = cfg!(target_os = "linux");

/// Drops private changes: anonymous memory reads as zero again, a file's as the file. On hosts
/// that can't, does nothing.
///
/// # Safety
/// As for `protect`.
pub(crate) unsafe fn discard(start: *mut u8, bytes: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: the caller's promise.
    unsafe {
        rustix::mm::madvise(start.cast(), bytes, rustix::mm::Advice::LinuxDontNeed)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
    Ok(())
}

/// Writes a shared file mapping's changes to the file.
///
/// # Safety
/// As for `protect`.
pub(crate) unsafe fn sync(start: *mut u8, bytes: usize, wait: bool) -> io::Result<()> {
    let flags = if wait {
        MsyncFlags::SYNC
    } else {
        MsyncFlags::ASYNC
    };
    // SAFETY: the caller's promise.
    unsafe { rustix::mm::msync(start.cast(), bytes, flags)? };
    Ok(())
}

/// Moves a mapping, contents and all, to `new`, which may overlap it, and gives it `new_bytes`.
/// What it leaves is inaccessible. At no moment are addresses of either range free.
///
/// # Safety
/// Both ranges lie within a reservation of the caller's; no Rust reference to them is live.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn relocate(
    old: *mut u8,
    old_bytes: usize,
    new: *mut u8,
    new_bytes: usize,
) -> io::Result<()> {
    use rustix::mm::MremapFlags;
    let keep = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
    let anywhere = std::ptr::null_mut::<c_void>();
    // SAFETY: the caller's promise; the kernel finds the new place.
    let aside = unsafe { libc::mremap(old.cast(), old_bytes, old_bytes, keep, anywhere) };
    if aside == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller's promise; what was here has moved.
    if unsafe { clear(old, old_bytes) }.is_err() {
        std::process::abort();
    }
    let flags = MremapFlags::MAYMOVE;
    // SAFETY: `aside` holds the mapping now, `new` is the caller's promise.
    let moved = unsafe { rustix::mm::mremap_fixed(aside, old_bytes, new_bytes, flags, new.cast()) };
    if let Err(error) = moved {
        // `new` is claimed again in case its old contents are gone, then the mapping goes back to
        // where it was. Going on without either would let the guest reach the host's memory, or
        // lose its own.
        // SAFETY: the caller's promise.
        let claimed = unsafe { clear(new, new_bytes) };
        // SAFETY: the caller's promise.
        let restored =
            unsafe { rustix::mm::mremap_fixed(aside, old_bytes, old_bytes, flags, old.cast()) };
        if claimed.is_err() || restored.is_err() {
            std::process::abort();
        }
        return Err(error.into());
    }
    Ok(())
}

/// Refuses: the caller falls back on copying.
///
/// # Safety
/// None needed.
#[cfg(not(target_os = "linux"))]
pub(crate) unsafe fn relocate(
    _old: *mut u8,
    _old_bytes: usize,
    _new: *mut u8,
    _new_bytes: usize,
) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
