//! Memory for compiled code on Apple silicon: one mapping that each thread sees either writable or
//! executable.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A reserved range that fills up from its start. A thread that allocates sees it writable, and not
/// executable, until it publishes.
pub struct Arena {
    memory: *mut u8,
    size: usize,
    used: AtomicUsize,
    published: AtomicUsize,
}

// SAFETY: the pointer is the address of a mapping that lives as long as the arena.
unsafe impl Send for Arena {}
// SAFETY: as above; `used` is atomic and hands out each byte once.
unsafe impl Sync for Arena {}

unsafe extern "C" {
    fn sys_icache_invalidate(start: *mut libc::c_void, length: usize);
}

impl Arena {
    /// Reserves `size` bytes. Takes memory only as it fills.
    pub fn new(size: usize) -> io::Result<Arena> {
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_JIT;
        // SAFETY: the kernel chooses the place.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Arena {
            memory: memory.cast(),
            size,
            used: AtomicUsize::new(0),
            published: AtomicUsize::new(0),
        })
    }

    /// The addresses that code is executed at.
    pub fn executable(&self) -> Range<usize> {
        let start = self.memory as usize;
        start..start + self.size
    }

    /// Where something written at `writable` is executed.
    pub fn executed_at(&self, writable: *const u8) -> usize {
        writable as usize
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
        // SAFETY: changes what this thread may do with JIT mappings, nothing else.
        unsafe { libc::pthread_jit_write_protect_np(0) };
        self.used.store(end, Ordering::Relaxed);
        Ok(self.memory.wrapping_add(start))
    }

    /// Copies bytes to a place that was taken, so many bytes from the beginning.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.used());
        let place = self.memory.wrapping_add(offset);
        // SAFETY: the first changes what this thread may do with JIT mappings, nothing else; the place
        // was handed out to the caller.
        unsafe {
            libc::pthread_jit_write_protect_np(0);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            libc::pthread_jit_write_protect_np(1);
            sys_icache_invalidate(place.cast(), bytes.len());
        }
    }

    /// Makes what was written since the last call executable.
    pub fn publish(&self) {
        let (start, end) = (self.published.load(Ordering::Relaxed), self.used());
        // SAFETY: as in `allocate`; the range is part of the mapping.
        unsafe {
            libc::pthread_jit_write_protect_np(1);
            sys_icache_invalidate(self.memory.wrapping_add(start).cast(), end - start);
        }
        self.published.store(end, Ordering::Relaxed);
    }

    /// After a fork: a private mapping is the child's own already.
    pub fn unshare(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: nobody uses the mapping any more.
        unsafe { libc::munmap(self.memory.cast(), self.size) };
    }
}
