//! Memory for compiled code on Linux: one memory file, mapped writable at one place and executable
//! at another.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A reserved range that fills up from its start.
pub struct Arena {
    writable: *mut u8,
    executable: *mut u8,
    size: usize,
    used: AtomicUsize,
}

// SAFETY: the pointers are addresses of mappings that live as long as the arena.
unsafe impl Send for Arena {}
// SAFETY: as above; `used` is atomic and hands out each byte once.
unsafe impl Sync for Arena {}

impl Arena {
    /// Reserves `size` bytes. Takes memory only as it fills.
    pub fn new(size: usize) -> io::Result<Arena> {
        let file = memory_file(size)?;
        let writable = map(
            &file,
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            ptr::null_mut(),
        )?;
        let executable = match map(
            &file,
            size,
            libc::PROT_READ | libc::PROT_EXEC,
            ptr::null_mut(),
        ) {
            Ok(executable) => executable,
            Err(error) => {
                unmap(writable, size);
                return Err(error);
            }
        };
        Ok(Arena {
            writable,
            executable,
            size,
            used: AtomicUsize::new(0),
        })
    }

    /// The addresses that code is executed at.
    pub fn executable(&self) -> Range<usize> {
        let start = self.executable as usize;
        start..start + self.size
    }

    /// Where something written at `writable` is executed.
    pub fn executed_at(&self, writable: *const u8) -> usize {
        writable as usize - self.writable as usize + self.executable as usize
    }

    /// Bytes handed out.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes left.
    pub fn left(&self) -> usize {
        self.size - self.used()
    }

    /// Takes `size` bytes to be written to.
    pub fn allocate(&self, size: usize, align: usize) -> io::Result<*mut u8> {
        let start = self.used().next_multiple_of(align.max(1));
        let end = start + size;
        if end > self.size {
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        }
        self.used.store(end, Ordering::Relaxed);
        Ok(self.writable.wrapping_add(start))
    }

    /// Copies bytes to a place that was taken, so many bytes from the beginning.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.used());
        // SAFETY: the place is mapped writable, and was handed out to the caller.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.writable.add(offset), bytes.len()) };
    }

    /// Makes what was written since the last call executable.
    pub fn publish(&self) {
        host_cache::clear(self.executable());
    }

    /// After a fork: gives the child a copy of its own at the same addresses, so that neither
    /// process sees what the other compiles.
    pub fn unshare(&self) -> io::Result<()> {
        let file = memory_file(self.size)?;
        // SAFETY: the first `used` bytes are mapped and nobody writes them meanwhile.
        let used = unsafe { std::slice::from_raw_parts(self.executable, self.used()) };
        file.write_all_at(used, 0)?;
        map(
            &file,
            self.size,
            libc::PROT_READ | libc::PROT_WRITE,
            self.writable,
        )?;
        map(
            &file,
            self.size,
            libc::PROT_READ | libc::PROT_EXEC,
            self.executable,
        )?;
        Ok(())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        unmap(self.writable, self.size);
        unmap(self.executable, self.size);
    }
}

fn memory_file(size: usize) -> io::Result<File> {
    // SAFETY: the name is a C string; the result is checked.
    let fd = unsafe { libc::memfd_create(c"compiled-code".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(size as u64)?;
    Ok(file)
}

/// Maps the file, at `place` in place of what is there unless that is null.
fn map(file: &File, size: usize, protection: i32, place: *mut u8) -> io::Result<*mut u8> {
    let fixed = if place.is_null() { 0 } else { libc::MAP_FIXED };
    let flags = libc::MAP_SHARED | libc::MAP_NORESERVE | fixed;
    // SAFETY: either the kernel chooses the place or the caller owns the mapping there.
    let address = unsafe { libc::mmap(place.cast(), size, protection, flags, file.as_raw_fd(), 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(address.cast())
}

fn unmap(address: *mut u8, size: usize) {
    // SAFETY: called once for each mapping, when nobody uses it any more.
    unsafe { libc::munmap(address.cast(), size) };
}

/// Instruction caches.
mod host_cache {
    /// x86 keeps instruction and data caches coherent.
    #[cfg(target_arch = "x86_64")]
    pub fn clear(_range: std::ops::Range<usize>) {}

    /// Cleans data and invalidates instruction cache lines, then makes all threads refetch.
    #[cfg(target_arch = "aarch64")]
    pub fn clear(range: std::ops::Range<usize>) {
        unsafe extern "C" {
            fn __clear_cache(start: *mut libc::c_char, end: *mut libc::c_char);
        }
        // SAFETY: the range is mapped readable.
        unsafe { __clear_cache(range.start as *mut _, range.end as *mut _) };
        const PRIVATE_EXPEDITED_SYNC_CORE: i32 = 1 << 5;
        const REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: i32 = 1 << 6;
        for command in [
            REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
            PRIVATE_EXPEDITED_SYNC_CORE,
        ] {
            // SAFETY: the call takes three integers and touches no memory.
            unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
        }
    }
}
