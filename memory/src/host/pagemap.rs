//! Which pages of anonymous memory were ever touched.

use std::io;

/// Knows which pages were touched.
pub(crate) struct Touched {
    #[cfg(target_os = "linux")]
    pagemap: Option<std::fs::File>,
}

#[cfg(target_os = "linux")]
impl Touched {
    pub(crate) fn open() -> Touched {
        Touched {
            pagemap: std::fs::File::open("/proc/self/pagemap").ok(),
        }
    }

    /// Clears the entries of pages, from `start` on, that were never touched. For private
    /// anonymous memory only. A host that can't say leaves all entries as they are.
    pub(crate) fn clear_others(&self, start: *mut u8, pages: &mut [bool]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        /// Present in memory, or swapped out (kernel documentation, "pagemap").
        const HELD: u64 = 1 << 63 | 1 << 62;
        let Some(pagemap) = &self.pagemap else {
            return Ok(());
        };
        let mut entries = vec![0; pages.len() * 8];
        let first = start as u64 / super::pages::page_size() as u64;
        pagemap.read_exact_at(&mut entries, first * 8)?;
        for (page, entry) in pages.iter_mut().zip(entries.as_chunks().0) {
            *page &= u64::from_ne_bytes(*entry) & HELD != 0;
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Touched {
    pub(crate) fn open() -> Touched {
        Touched {}
    }

    /// Can't say.
    pub(crate) fn clear_others(&self, _start: *mut u8, _pages: &mut [bool]) -> io::Result<()> {
        Ok(())
    }
}
